//! How a blob is compressed, by its first bytes.

use super::magic;
use crate::words::Violation;

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
    pub(super) fn of(first: &[u8]) -> Result<Self, Violation> {
        match first {
            [0x1f, 0x8b, ..] => return Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return Ok(Self::Zstd),
            _ => {}
        }
        magic::compression(first).map_or(Ok(Self::Plain), |format| Err(Violation::Compression { format }))
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
