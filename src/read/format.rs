//! How a blob is compressed, by its first bytes.

use super::magic;
use crate::words::{Because, Violation, named};

/// How a layer is compressed. The first bytes decide, not the media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Not compressed.
    Plain,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl Format {
    /// All formats.
    pub const ALL: &[Self] = &[Self::Plain, Self::Gzip, Self::Zstd];

    /// The name of the format: `plain`, `gzip` or `zstd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Whether layers of this format can be read: the cargo feature of the same name is on, for gzip and zstd.
    pub fn is_supported(self) -> bool {
        self.missing_feature().is_none()
    }

    /// What to say about a format that is not built in, and what to do about it.
    fn missing_feature(self) -> Option<Because> {
        let (what, advice) = match self {
            Self::Gzip if cfg!(not(feature = "gzip")) => (
                "gzip (layercage is built without its feature `gzip`)",
                "build layercage with its feature `gzip`, or decompress the data",
            ),
            Self::Zstd if cfg!(not(feature = "zstd")) => (
                "zstd (layercage is built without its feature `zstd`)",
                "build layercage with its feature `zstd`, or decompress the data",
            ),
            _ => return None,
        };
        Some(Because { advice: Some(advice), ..what.into() })
    }

    /// Refuses a format that is not built in.
    pub(super) fn check_supported(self) -> Result<(), Violation> {
        self.missing_feature().map_or(Ok(()), |format| Err(Violation::Compression { format }))
    }

    /// Detects the format by its magic. Without a magic it is plain; the tar reader checks whether that is a tar archive.
    pub(super) fn of(first: &[u8]) -> Result<Self, Violation> {
        match first {
            [0x1f, 0x8b, ..] => return Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return Ok(Self::Zstd),
            _ => {}
        }
        magic::compression(first)
            .map_or(Ok(Self::Plain), |format| Err(Violation::Compression { format: format.into() }))
    }
}

named!(Format, "a compression", name, ["plain", "gzip", "zstd"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_read_from_its_name() {
        for &format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("bzip2".parse::<Format>().is_err());
    }

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
            let expected = expected.map_err(|format| Violation::Compression { format: format.into() });
            assert_eq!(Format::of(first), expected, "{}", first.escape_ascii());
        }
    }
}
