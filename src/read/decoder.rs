//! The decompression of a blob, chosen by its first bytes.

use super::format::Format;
#[cfg(feature = "gzip")]
use super::gzip::GzipDecoder;
use super::input::Input;
use super::refusal::refusal;
use super::tar::{BLOCK, may_be_header};
#[cfg(any(feature = "unpack", test))]
use super::windows::{Turn, Windows};
#[cfg(feature = "zstd")]
use super::zstd::ZstdDecoder;
use crate::words::{Error, Limits, Quirk, Violation};
use std::io::{self, Read};

/// A blob whose format is known from its first bytes. They are in the buffer, and still to be decoded.
pub(crate) struct Peeked<R> {
    format: Format,
    input: Input<R>,
}

/// A blob that was refused by its first bytes.
pub(crate) struct NotOpened<R> {
    pub(crate) error: Error,
    /// The blob, if its rest may explain the error. That is the case for an unsupported compression and for two formats
    /// at once: a damaged blob may look like either.
    pub(crate) rest: Option<Input<R>>,
}

impl<R: Read> Peeked<R> {
    /// Reads the first bytes of a blob.
    ///
    /// # Errors
    ///
    /// The error, and what may explain it.
    pub(crate) fn open(reader: R) -> Result<Self, Box<NotOpened<R>>> {
        let mut input = Input::new(reader).map_err(|error| Box::new(NotOpened { error, rest: None }))?;
        match format_of(&mut input) {
            Ok(format) => Ok(Self { format, input }),
            Err(error) => Err(Box::new(NotOpened { error: Error::of_reader(error), rest: Some(input) })),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The bytes in the buffer.
    #[cfg(any(feature = "unpack", test))]
    pub(crate) fn first_bytes(&self) -> &[u8] {
        self.input.buffered()
    }

    /// Replaces the reader from which the bytes after [`Peeked::first_bytes`] come.
    #[cfg(any(feature = "unpack", test))]
    pub(crate) fn map<S: Read>(self, exchange: impl FnOnce(R) -> S) -> Peeked<S> {
        Peeked { format: self.format, input: self.input.map(exchange) }
    }

    /// Starts the decompression.
    ///
    /// # Errors
    ///
    /// Not enough memory for the decompressor.
    #[cfg_attr(not(feature = "zstd"), expect(unused_variables, reason = "only zstd has a limit of its own"))]
    pub(crate) fn decode(self, limits: &Limits) -> Result<Decoder<R>, Error> {
        let Self { format, input } = self;
        match format {
            Format::Plain => Ok(Decoder::Plain(input)),
            #[cfg(feature = "gzip")]
            Format::Gzip => Ok(Decoder::Gzip(Box::new(GzipDecoder::new(input)?))),
            #[cfg(feature = "zstd")]
            Format::Zstd => Ok(Decoder::Zstd(Box::new(ZstdDecoder::new(input, limits).map_err(Error::of_reader)?))),
            #[cfg(not(all(feature = "gzip", feature = "zstd")))]
            _ => Err(Error::bug("a format that is not built in was accepted")),
        }
    }
}

fn format_of<R: Read>(input: &mut Input<R>) -> io::Result<Format> {
    let format = Format::of(input.fill_to(10)?).map_err(refusal)?;
    // GNU tar checks for a tar header before it checks for a compression.
    if format != Format::Plain && input.fill_to(BLOCK)?.first_chunk().is_some_and(may_be_header) {
        return Err(refusal(Violation::TwoFormats { format: format.name() }));
    }
    format.check_supported().map_err(refusal)?;
    Ok(format)
}

/// Reads the uncompressed bytes of a blob. At the end, the bytes after the compressed data have been checked, too.
pub(crate) enum Decoder<R> {
    Plain(Input<R>),
    #[cfg(feature = "gzip")]
    Gzip(Box<GzipDecoder<R>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<ZstdDecoder<R>>),
}

impl<R: Read> Decoder<R> {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Plain(_) => Format::Plain,
            #[cfg(feature = "gzip")]
            Self::Gzip(_) => Format::Gzip,
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => Format::Zstd,
        }
    }

    pub(crate) fn quirks(&self) -> Vec<Quirk> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(decoder) if decoder.is_padded() => vec![Quirk::GzipPadding],
            _ => Vec::new(),
        }
    }

    /// Sets which memory is used for windows.
    #[cfg(any(feature = "unpack", test))]
    #[cfg_attr(not(feature = "zstd"), expect(unused_variables, reason = "only zstd has windows"))]
    pub(crate) fn set_windows(&mut self, windows: &Windows, turn: Turn) {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.set_windows(windows, turn),
            _ => (),
        }
    }

    /// Returns the blob, and keeps memory that another layer can use. Bytes in the buffer are lost.
    #[cfg(any(feature = "unpack", test))]
    #[cfg_attr(not(feature = "zstd"), expect(unused_variables, reason = "as above"))]
    pub(crate) fn recycle(self, windows: &Windows) -> R {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.recycle(windows).into_inner(),
            decoder => decoder.into_input(),
        }
    }

    /// The blob.
    pub(crate) fn input(&self) -> &R {
        match self {
            Self::Plain(input) => input.inner(),
            #[cfg(feature = "gzip")]
            Self::Gzip(decoder) => decoder.input().inner(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.input().inner(),
        }
    }

    /// The blob. Bytes that are in the buffer and not decoded are lost.
    pub(crate) fn into_input(self) -> R {
        match self {
            Self::Plain(input) => input.into_inner(),
            #[cfg(feature = "gzip")]
            Self::Gzip(decoder) => decoder.into_input().into_inner(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.into_input().into_inner(),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            #[cfg(feature = "gzip")]
            Self::Gzip(decoder) => decoder.read(out),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.read(out),
        }
    }
}
