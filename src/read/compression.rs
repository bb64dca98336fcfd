//! Which compression a blob has, by its first bytes.

use super::tar::{BLOCK, may_be_header};
use super::{input::Input, magic, refusal};
#[cfg(feature = "gzip")]
use crate::read::gzip::GzipDecoder;
#[cfg(feature = "zstd")]
use crate::read::zstd::ZstdDecoder;
use crate::words::{Fault, Limits, Quirk, Violation};
use std::io::{self, Read};

/// How a layer is compressed: what its first bytes say, whatever its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Not at all.
    Plain,
    /// With gzip, RFC 1952.
    Gzip,
    /// With zstd, RFC 8878.
    Zstd,
}

impl Format {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Reads the magic bytes. No magic is plain tar, which says by itself whether it is one.
    fn of(first: &[u8]) -> Result<Self, Violation> {
        match first {
            [0x1f, 0x8b, ..] => return Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return Ok(Self::Zstd),
            _ => {}
        }
        magic::compression(first).map_or(Ok(Self::Plain), |format| Err(Violation::Compression { format }))
    }
}

/// Gives out what a blob holds. At its end, what follows the compressed bytes has been judged.
pub(crate) enum Decoder<R> {
    Plain(Input<R>),
    #[cfg(feature = "gzip")]
    Gzip(Box<GzipDecoder<R>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<ZstdDecoder<R>>),
}

impl<R: Read> Decoder<R> {
    /// # Errors
    ///
    /// The error, and also the reader if its rest may explain the error. That is the case for an unsupported
    /// compression and for two formats at once: a damaged blob may look like either.
    pub(crate) fn open(reader: R, limits: &Limits) -> Result<Self, (Fault, Option<R>)> {
        let mut input = Input::new(reader).map_err(|fault| (fault, None))?;
        match format_of(&mut input) {
            Ok(format) => Self::of(format, input, limits).map_err(|error| (Fault::of_reader(error), None)),
            Err(error) => Err((Fault::of_reader(error), Some(input.into_inner()))),
        }
    }

    fn of(format: Format, input: Input<R>, limits: &Limits) -> io::Result<Self> {
        match format {
            Format::Plain => Ok(Self::Plain(input)),
            #[cfg(feature = "gzip")]
            Format::Gzip => Ok(Self::Gzip(Box::new(GzipDecoder::new(input)?))),
            #[cfg(feature = "zstd")]
            Format::Zstd => Ok(Self::Zstd(Box::new(ZstdDecoder::new(input, limits)?))),
            #[cfg(not(all(feature = "gzip", feature = "zstd")))]
            format => {
                let _ = limits;
                Err(refusal(Violation::Compression { format: format.name() }))
            }
        }
    }

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

    pub(crate) fn input(&self) -> &R {
        match self {
            Self::Plain(input) => input.inner(),
            #[cfg(feature = "gzip")]
            Self::Gzip(decoder) => decoder.input().inner(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.input().inner(),
        }
    }

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

fn format_of<R: Read>(input: &mut Input<R>) -> io::Result<Format> {
    let format = Format::of(input.fill_to(10)?).map_err(refusal)?;
    // GNU tar checks for a tar header before it checks for a compression.
    if format != Format::Plain && input.fill_to(BLOCK)?.first_chunk().is_some_and(may_be_header) {
        return Err(refusal(Violation::TwoFormats { format: format.name() }));
    }
    Ok(format)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_name_the_compression() {
        let rows: &[(&[u8], Result<Format, &str>)] = &[
            (b"", Ok(Format::Plain)),
            (b"\x1f", Ok(Format::Plain)),
            (b"etc/passwd", Ok(Format::Plain)),
            (b"BZh9-names", Ok(Format::Plain)),
            (b"LZIPPED", Ok(Format::Plain)),
            (b"\x1f\x8b", Ok(Format::Gzip)),
            (b"\x28\xb5\x2f\xfd", Ok(Format::Zstd)),
            (b"\x50\x2a\x4d\x18", Ok(Format::Zstd)),
            (b"\x5f\x2a\x4d\x18", Ok(Format::Zstd)),
            (b"\x60\x2a\x4d\x18", Ok(Format::Plain)),
            (b"BZh91AY&SY", Err("bzip2")),
            (b"\xfd7zXZ\0", Err("xz")),
            (b"\x04\x22\x4d\x18", Err("lz4")),
            (b"LZIP\x01", Err("lzip")),
            (b"\x1f\x9d\x90", Err("compress")),
        ];
        for (first, expected) in rows {
            let expected = expected.map_err(|format| Violation::Compression { format });
            assert_eq!(Format::of(first), expected, "{}", first.escape_ascii());
        }
    }
}
