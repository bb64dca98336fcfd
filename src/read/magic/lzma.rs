//! LZMA without a container, and lzip: formats with a weak signature or none.

/// Four letters, the version, and the size of a dictionary of 4 KiB to 512 MiB. libarchive and liblzma still read
/// version 0, which current encoders do not write.
pub(super) fn is_lzip(block: &[u8]) -> bool {
    matches!(block, [b'L', b'Z', b'I', b'P', 0 | 1, size, ..] if (12..=29).contains(&(size & 0x1f)))
}

/// Whether libarchive or Python takes a block for the beginning of an LZMA file.
///
/// Python decodes several LZMA files in sequence as one. An empty LZMA file is 18 bytes, most of them zero. A name
/// field with one character looks the same. So the bytes after an empty file are checked, too.
pub(super) fn is_lzma(block: &[u8]) -> bool {
    if Header::of(block).is_some_and(|header| header.is_usual()) {
        return true;
    }
    let mut rest = block;
    loop {
        let Some(header) = Header::of(rest) else { return is_other_of_liblzma(rest) };
        if !header.is_possible() {
            return false;
        }
        // The start of the range coder: a byte that must be zero, and four more.
        match (header.bytes, rest.get(13..18)) {
            (_, Some(&[coder, ..])) if coder != 0 => return false,
            (0, Some([0, 0, 0, 0, 0])) => rest = rest.get(18..).unwrap_or_default(),
            // After empty content only the end mark may follow. Its first bit lies in the upper half of the range. The
            // tar crate writes PAX headers with an empty name and owner, which have digits here.
            (0, Some([_, 0..0x7f, ..]) | None) => return false,
            _ => return true,
        }
    }
}

/// Whether a block begins with an LZMA header, with any content after it.
pub(super) fn is_header(block: &[u8]) -> bool {
    Header::of(block).is_some_and(|header| header.dictionary > 0 && (header.is_usual() || header.is_possible()))
}

/// Other formats that liblzma accepts instead of an LZMA file.
fn is_other_of_liblzma(rest: &[u8]) -> bool {
    rest.starts_with(b"\xfd7zXZ\0") || is_lzip(rest)
}

struct Header {
    dictionary: u32,
    bytes: u64,
}

impl Header {
    /// Properties below 225, the sizes of the dictionary and of what is compressed.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (&properties, rest) = bytes.split_first()?;
        let (&dictionary, rest) = rest.split_first_chunk()?;
        let size = rest.first_chunk().copied().unwrap_or_default();
        let header = Self { dictionary: u32::from_le_bytes(dictionary), bytes: u64::from_le_bytes(size) };
        (properties < 225 && !is_other_of_liblzma(bytes)).then_some(header)
    }

    /// A multiple of 4 KiB, as encoders write. Of these, libarchive accepts only powers of two and whole MiB.
    fn is_usual(&self) -> bool {
        self.dictionary > 0 && self.dictionary.is_multiple_of(4096)
    }

    /// Values that liblzma accepts when it detects the format. The dictionary: 0, all ones, a power of two, or 1.5
    /// times a power of two, of any size. The content: less than 256 GiB, or unknown.
    fn is_possible(&self) -> bool {
        let Self { dictionary, bytes } = *self;
        let of_two =
            dictionary.is_power_of_two() || (dictionary.is_multiple_of(3) && (dictionary / 3).is_power_of_two());
        (dictionary == 0 || dictionary == u32::MAX || of_two) && (bytes == u64::MAX || bytes < 1 << 38)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_one_character_is_no_lzma_and_what_follows_it_may_be() {
        let block = |first: &[u8], rest: &[u8]| [first, &[0; 18][first.len()..], rest].concat();
        let file = b"]\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x11\x22\x33\x44";
        assert!(is_lzma(file));
        for name in [&b"."[..], b"a", b"b", b"a@", b"\0"] {
            let field = [name, &[0; 100][name.len()..], b"0000755\0", b"0000000\0"].concat();
            assert!(!is_lzma(&field), "{}", name.escape_ascii());
            assert!(is_lzma(&block(name, file)), "{}", name.escape_ascii());
            assert!(is_lzma(&block(name, &block(name, file))), "{}", name.escape_ascii());
            assert!(is_lzma(&block(name, b"\xfd7zXZ\0\0\x04")), "{}", name.escape_ascii());
        }
        for name in [&b"./"[..], b"bin/", b"a/", b"etc", b"\xff"] {
            let field = [name, &[0; 100][name.len()..], b"0000755\0", b"0000000\0"].concat();
            assert!(!is_lzma(&field), "{}", name.escape_ascii());
        }
    }

    /// The tar crate writes such headers in front of PAX records.
    #[test]
    fn a_header_that_is_nearly_empty_is_no_lzma() {
        let mut block = [0; 512];
        block[124..136].copy_from_slice(b"00000000036\0");
        block[148..156].copy_from_slice(b"003104\0 ");
        block[156..157].copy_from_slice(b"x");
        block[257..265].copy_from_slice(b"ustar\x0000");
        assert!(!is_lzma(&block));
        block[136..148].copy_from_slice(b"00000000000\0");
        assert!(!is_lzma(&block));
        block[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x1e");
        assert!(!is_lzma(&block));
    }

    #[test]
    fn dictionaries_are_of_any_size_that_some_reader_takes() {
        let of = |dictionary: u32| [&b"]"[..], &dictionary.to_le_bytes(), &[0xff; 8], &[0; 5]].concat();
        for taken in [0, 1, 2, 3, 4, 6, 2048, 3072, 4096, 6144, 1 << 27, 7 << 20, u32::MAX] {
            assert!(is_lzma(&of(taken)), "{taken}");
        }
        for other in [5, 7, 47, 2049] {
            assert!(!is_lzma(&of(other)), "{other}");
        }
    }
}
