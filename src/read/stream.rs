//! A layer as a stream of uncompressed bytes.

use super::counted::{Incoming, Unpacked};
use super::decoder::{Decoder, NotOpened, Peeked};
use super::format::Format;
use super::input::Input;
use super::verify::{Checked, Expected, Seen, Whole};
#[cfg(any(feature = "unpack", test))]
use super::verifying::Verifying;
use super::verifying::{self, Ending};
use crate::words::{Error, Limits, Quirk};
use std::fmt;
use std::io::{self, BufRead, Read};

/// The uncompressed bytes of a layer, verified as they are read: size and digest of the blob before decompression, and
/// the diff ID after it.
///
/// Errors of [`Read`] carry an [`Error`](crate::Error); [`Error::of_reader`](crate::Error::of_reader) extracts it.
///
/// ```
/// # use layercage::{Error, Expected, Limits};
/// # use layercage::blob::{Format, LayerStream};
/// let layer = LayerStream::open(&[0; 1024][..], Expected::unchecked().with_size(1024), &Limits::default())?;
/// assert_eq!(layer.format(), Format::Plain);
/// let checked = layer.finish()?;
/// assert_eq!(checked.unpacked_bytes, 1024);
/// assert!(checked.proof().is_none());
/// # Ok::<(), Error>(())
/// ```
pub struct LayerStream<R: Read> {
    expected: Expected,
    stream: Input<Unpacked<R>>,
}

impl<R: Read> LayerStream<R> {
    /// Opens a layer, and detects the compression from the first bytes of the blob.
    ///
    /// # Errors
    ///
    /// [`Violation::Compression`](crate::rules::Violation::Compression) for an unsupported compression,
    /// [`Violation::SizeMismatch`](crate::rules::Violation::SizeMismatch),
    /// [`Violation::LimitExceeded`](crate::rules::Violation::LimitExceeded), and errors of the reader.
    pub fn open(reader: R, expected: Expected, limits: &Limits) -> Result<Self, Error> {
        let peeked = Peeked::open(Incoming::new(reader, &expected, limits)).map_err(|not_opened| {
            let NotOpened { error, rest } = *not_opened;
            expected.blamed(error, || Some(rest?.into_inner().drain()))
        })?;
        let hashed_as = expected.diff_id_algorithm(peeked.format());
        let unpacked = Unpacked::new(peeked.decode(limits)?, hashed_as, limits);
        Ok(Self { expected, stream: Input::new(unpacked)? })
    }

    /// How the blob is compressed.
    pub fn format(&self) -> Format {
        self.decoder().format()
    }

    /// Bytes of the blob read so far.
    pub fn blob_bytes(&self) -> u64 {
        self.decoder().input().bytes()
    }

    /// The quirks of the compression so far. They are complete only at the end.
    pub fn quirks(&self) -> Vec<Quirk> {
        self.decoder().quirks()
    }

    /// Reads the remaining bytes and compares everything that is expected.
    ///
    /// # Errors
    ///
    /// Errors in the remaining bytes. [`Violation::SizeMismatch`](crate::rules::Violation::SizeMismatch),
    /// [`Violation::DigestMismatch`](crate::rules::Violation::DigestMismatch),
    /// [`Violation::DiffIdMismatch`](crate::rules::Violation::DiffIdMismatch).
    pub fn finish(self) -> Result<Checked, Error> {
        verifying::finish(self)
    }

    fn decoder(&self) -> &Decoder<Incoming<R>> {
        self.stream.inner().inner()
    }
}

impl<R: Read> fmt::Debug for LayerStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LayerStream");
        debug.field("format", &self.format()).field("expected", &self.expected);
        debug.field("blob_bytes", &self.blob_bytes()).finish_non_exhaustive()
    }
}

#[cfg(any(feature = "unpack", test))]
impl<R: Read> Verifying for LayerStream<R> {
    fn format(&self) -> Format {
        self.format()
    }

    fn finish(self) -> Result<Checked, Error> {
        self.finish()
    }

    fn damage(self) -> Option<Error> {
        verifying::damage(self)
    }
}

impl<R: Read> Ending for LayerStream<R> {
    fn expected(&self) -> Expected {
        self.expected
    }

    fn into_whole(self) -> Result<Whole, Error> {
        let quirks = self.quirks();
        let (decoder, unpacked) = self.stream.into_inner().finish();
        let format = decoder.format();
        let blob = decoder.into_input().finish();
        Ok(Whole { unpacked: self.expected.with_shared_digest(format, unpacked, &blob), blob, quirks })
    }

    fn abandon(self) -> Option<Result<Seen, Error>> {
        let (decoder, _) = self.stream.into_inner().finish();
        Some(decoder.into_input().drain())
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
