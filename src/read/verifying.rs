//! How a layer ends: which error is reported if several are possible.

#[cfg(any(feature = "unpack", test))]
use super::format::Format;
use super::verify::{Checked, Expected, Seen, Whole, is_of_the_reader};
use crate::words::{Blame, Error};
use std::io::{self, BufRead};

/// The uncompressed bytes of a layer, verified as they are read, on one thread or two.
#[cfg(any(feature = "unpack", test))]
pub(crate) trait Verifying: BufRead {
    /// How the blob is compressed.
    #[cfg_attr(not(feature = "unpack"), allow(dead_code, reason = "only an unpacking compares it"))]
    fn format(&self) -> Format;

    /// Reads the remaining bytes and compares everything that is expected.
    fn finish(self) -> Result<Checked, Error>;

    /// Returns the reason for a refusal if the blob is damaged or a different one: reads the rest of the blob and
    /// compares size and digest, or the diff ID if nothing else is known. `None` if the blob is the expected one, or if
    /// nothing is expected.
    ///
    /// If the reader fails before its end, its error is returned instead. It is then unknown whether the blob is
    /// damaged. A reader that verifies its download reports damage by failing at the end.
    fn damage(self) -> Option<Error>;
}

/// A stream of uncompressed bytes, as [`finish`] and [`damage`] need it.
pub(super) trait Ending: BufRead + Sized {
    fn expected(&self) -> Expected;

    /// Amounts, digests and quirks, after all bytes have been read.
    fn into_whole(self) -> Result<Whole, Error>;

    /// Reads the blob to its end and does not use its content. `None` if the blob cannot be read to its end because of
    /// an error that the stream has already returned.
    fn abandon(self) -> Option<Result<Seen, Error>>;
}

/// Reads the remaining bytes and compares everything that is expected.
///
/// A wrong size or digest explains every other violation, so it is the one that is reported.
pub(super) fn finish<S: Ending>(mut stream: S) -> Result<Checked, Error> {
    match read_to_end(&mut stream) {
        Ok(()) => {
            let expected = stream.expected();
            Ok(Checked::new(expected, stream.into_whole()?)?)
        }
        Err(error) if error.blame() == Blame::Archive => Err(damage(stream).unwrap_or(error)),
        Err(error) => Err(error),
    }
}

/// Returns the reason for a refusal if the blob is damaged or a different one: see `Verifying::damage`.
pub(super) fn damage<S: Ending>(mut stream: S) -> Option<Error> {
    let expected = stream.expected();
    if !expected.checks_anything() {
        return None;
    }
    if !expected.names_blob() {
        // Only the diff ID is known, so the rest must be decompressed.
        match read_to_end(&mut stream) {
            Ok(()) => {
                let compared = stream.into_whole().and_then(|whole| Ok(expected.compare_unpacked(&whole.unpacked)?));
                return compared.err();
            }
            Err(error) if is_of_the_reader(&error) => return Some(error),
            // No data follows damaged compressed data, and a rule already reports it. The rest of the blob shows whether
            // the reader has an error of its own.
            Err(_) => (),
        }
    }
    expected.damage(stream.abandon()?)
}

fn read_to_end(stream: &mut impl BufRead) -> Result<(), Error> {
    io::copy(stream, &mut io::sink()).map(drop).map_err(Error::of_reader)
}
