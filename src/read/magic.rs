//! What formats begin with.

/// Compressions that layers do not have.
const COMPRESSIONS: &[(&[u8], &str)] =
    &[(b"\xfd7zXZ\0", "xz"), (b"\x04\x22\x4d\x18", "lz4"), (b"LZIP\x01", "lzip"), (b"\x1f\x9d", "compress")];

/// The compression that a layer should not have, so that a message can name it.
pub(super) fn compression(first: &[u8]) -> Option<&'static str> {
    let known = COMPRESSIONS.iter().find(|(magic, _)| first.starts_with(magic)).map(|&(_, format)| format);
    // The three letters of bzip2 may begin a name in a plain tar; its whole first header may not.
    known.or_else(|| is_bzip2(first).then_some("bzip2"))
}

/// What else libarchive looks for before it looks for tar, by as many bytes as no name has by chance.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    (b"GRZipII\0\x02\x04:)", "grzip"),
    (b"\xed\xab\xee\xdb", "rpm"),
    (b"!<arch>\n", "ar"),
    (b"xar!\0\x1c", "xar"),
    (b"MSCF\0\0\0\0", "cab"),
];

/// The format for which some reader takes an archive that begins with this block, though it is a tar header.
pub(super) fn foreign(block: &[u8]) -> Option<&'static str> {
    let known = OTHERS.iter().find(|(magic, _)| block.starts_with(magic)).map(|&(_, format)| format);
    known.or_else(|| compression(block)).or_else(|| match block {
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some("zstd"),
        [b'L', b'R', b'Z', b'I', 0, 6..=255, ..] => Some("lrzip"),
        // Properties, and the size of a dictionary, which is a multiple of 4 KiB.
        [0..=224, 0, low, middle, high, ..] if low & 0x0f == 0 && [*low, *middle, *high] != [0; 3] => Some("lzma"),
        _ if is_warc(block) => Some("WARC"),
        _ if is_encoded(block) => Some("uuencode"),
        _ => None,
    })
}

fn is_bzip2(first: &[u8]) -> bool {
    let block = first.strip_prefix(b"BZh").and_then(|rest| rest.strip_prefix(&[*rest.first()?]));
    block.is_some_and(|block| block.starts_with(b"1AY&SY") || block.starts_with(b"\x17\x72\x45\x38\x50\x90"))
}

/// A version and the end of its line.
fn is_warc(block: &[u8]) -> bool {
    block.strip_prefix(b"WARC/").is_some_and(|rest| rest.iter().take(8).any(|&byte| byte == b'\n'))
}

/// Whether a line of the text in front begins what is encoded. It need not be the first.
fn is_encoded(block: &[u8]) -> bool {
    let text = block.split(|&byte| byte == 0).next().unwrap_or_default();
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let whole = text.iter().rposition(is_end).and_then(|end| text.get(..end)).unwrap_or_default();
    whole.split(is_end).any(|line| {
        let mode = line.strip_prefix(b"begin ").or_else(|| line.strip_prefix(b"begin-base64 "));
        matches!(mode, Some([b'0'..=b'7', b'0'..=b'7', b'0'..=b'7', b' ', ..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_like_other_formats_only_on_purpose() {
        let rows: &[(&[u8], Option<&str>)] = &[
            (b"", None),
            (b"\0", None),
            (b"bin/", None),
            (b"./", None),
            (b".\0\0\0\0\0", None),
            (b"a\0b\0\0\0", None),
            (b"begin", None),
            (b"begin 644 x", None),
            (b"begin again\nand again\n", None),
            (b"WARC/1.0", None),
            (b"MSCF", None),
            (b"xar!/a", None),
            (b"!<arch>", None),
            (b"BZh9", None),
            (b"LZIPPED", None),
            (b"LRZIP", None),
            (b"LRZI\0\0", None),
            (b"LRZI\0\x06", Some("lrzip")),
            (b"\x1f\x8b\x08\x04", Some("gzip")),
            (b"\x28\xb5\x2f\xfd", Some("zstd")),
            (b"P*M\x18", Some("zstd")),
            (b"\xfd7zXZ\0", Some("xz")),
            (b"BZh91AY&SY", Some("bzip2")),
            (b"\x04\x22\x4d\x18", Some("lz4")),
            (b"LZIP\x01", Some("lzip")),
            (b"\x89LZO\0\r\n\x1a\n", Some("lzop")),
            (b"\x1f\x9d\x90", Some("compress")),
            (b"]\0\0\x80\0\xff", Some("lzma")),
            (b"a\0\x10\0\0", Some("lzma")),
            (b"\xed\xab\xee\xdb", Some("rpm")),
            (b"xar!\0\x1c\0\x01", Some("xar")),
            (b"MSCF\0\0\0\0", Some("cab")),
            (b"WARC/1.0\r\n", Some("WARC")),
            (b"!<arch>\n", Some("ar")),
            (b"begin 644 x\n#aaaa\n", Some("uuencode")),
            (b"a\r\nbegin-base64 644 x\nYWFh\n", Some("uuencode")),
        ];
        for (block, expected) in rows {
            assert_eq!(foreign(block), *expected, "{}", block.escape_ascii());
        }
    }
}
