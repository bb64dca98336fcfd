//! A layer as a stream of uncompressed bytes.

use super::compression::{Decoder, Format};
use super::input::Input;
use super::verify::{Checked, Expected, Incoming, Unpacked, is_of_the_reader};
use crate::words::{Blame, Fault, Limits, Quirk};
use std::io::{self, BufRead, Read};

/// The uncompressed bytes of a layer as the corridor takes them, from whichever thread they come.
pub(crate) trait Verifying: BufRead {
    /// How the blob is compressed.
    fn format(&self) -> Format;

    /// Reads what remains and compares all that is expected.
    fn finish(self) -> Result<Checked, Fault>;

    /// Says whether what was refused comes of a damaged blob, or of a wrong one: reads what is left of it and
    /// compares size and digest, or the diff ID where nothing else is known. `None` when the blob is the one that was
    /// meant, or when nobody knows.
    ///
    /// If the reader fails before its end, its error is returned instead. It is then unknown whether the blob is
    /// damaged. A reader that verifies its download reports damage by failing at the end.
    fn damage(self) -> Option<Fault>;
}

/// The uncompressed bytes of a layer, verified on the way: the blob's size and digest below the
/// decompression, the diff ID above it.
///
/// Errors of [`Read`] carry a [`Fault`]; [`Fault::of_reader`] extracts it.
///
/// ```
/// # use layercage::{Expected, Fault, Format, LayerStream, Limits};
/// let layer = LayerStream::open(&[0; 1024][..], Expected::unchecked().with_size(1024), &Limits::default())?;
/// assert_eq!(layer.format(), Format::Plain);
/// let checked = layer.finish()?;
/// assert_eq!(checked.unpacked_bytes, 1024);
/// assert!(checked.proof().is_none());
/// # Ok::<(), Fault>(())
/// ```
pub struct LayerStream<R: Read> {
    expected: Expected,
    stream: Input<Unpacked<R>>,
}

impl<R: Read> LayerStream<R> {
    /// Looks at the first bytes of a blob.
    ///
    /// # Errors
    ///
    /// [`Violation::Compression`](crate::Violation::Compression) for an unsupported compression,
    /// [`Violation::SizeMismatch`](crate::Violation::SizeMismatch),
    /// [`Violation::LimitExceeded`](crate::Violation::LimitExceeded), and what is wrong with the reader.
    pub fn open(reader: R, expected: Expected, limits: &Limits) -> Result<Self, Fault> {
        let decoder = Decoder::open(Incoming::new(reader, &expected, limits), limits)
            .map_err(|(fault, rest)| expected.blamed(fault, || Some(rest?.drain())))?;
        let shared = decoder.format() == Format::Plain && expected.digests_alike();
        let diff_id = expected.diff_id().filter(|_| !shared);
        Ok(Self { expected, stream: Input::new(Unpacked::new(decoder, diff_id, limits))? })
    }

    /// How the blob is compressed.
    pub fn format(&self) -> Format {
        self.decoder().format()
    }

    /// Bytes of the blob read so far.
    pub fn blob_bytes(&self) -> u64 {
        self.decoder().input().bytes()
    }

    /// What is odd about the compression so far; all of it is known at the end only.
    pub fn quirks(&self) -> Vec<Quirk> {
        self.decoder().quirks()
    }

    /// Reads what remains and compares all that is expected.
    ///
    /// # Errors
    ///
    /// What is wrong with the remaining bytes. [`Violation::SizeMismatch`](crate::Violation::SizeMismatch),
    /// [`Violation::DigestMismatch`](crate::Violation::DigestMismatch),
    /// [`Violation::DiffIdMismatch`](crate::Violation::DiffIdMismatch).
    pub fn finish(mut self) -> Result<Checked, Fault> {
        match io::copy(&mut self, &mut io::sink()).map_err(Fault::of_reader) {
            Err(fault) if fault.blame() == Blame::Archive => return Err(self.damage().unwrap_or(fault)),
            drained => drained.map(drop)?,
        }
        let quirks = self.quirks();
        let (decoder, mut unpacked) = self.stream.into_inner().finish();
        let plain = decoder.format() == Format::Plain;
        let blob = decoder.into_input().finish();
        if plain && self.expected.digests_alike() {
            unpacked.digest = blob.digest;
        }
        Ok(Checked::new(self.expected, &blob, &unpacked, quirks)?)
    }

    fn decoder(&self) -> &Decoder<Incoming<R>> {
        self.stream.inner().inner()
    }
}

impl<R: Read> Verifying for LayerStream<R> {
    fn format(&self) -> Format {
        self.format()
    }

    fn finish(self) -> Result<Checked, Fault> {
        self.finish()
    }

    fn damage(mut self) -> Option<Fault> {
        if !self.expected.checks_anything() {
            return None;
        }
        if !self.expected.names_blob() {
            match io::copy(&mut self, &mut io::sink()).map_err(Fault::of_reader) {
                Ok(_) => {
                    let (_, unpacked) = self.stream.into_inner().finish();
                    return self.expected.compare_unpacked(&unpacked).err().map(Fault::from);
                }
                Err(fault) if is_of_the_reader(&fault) => return Some(fault),
                // No data follows damaged compressed data, and a rule already reports it. The code below checks whether
                // the reader has an error of its own.
                Err(_) => (),
            }
        }
        let (decoder, _) = self.stream.into_inner().finish();
        self.expected.damage(decoder.into_input().drain())
    }
}

impl<R: Read> Read for LayerStream<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.stream.read(out)
    }
}

impl<R: Read> BufRead for LayerStream<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stream.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.stream.consume(bytes);
    }
}

#[cfg(test)]
mod tests;
