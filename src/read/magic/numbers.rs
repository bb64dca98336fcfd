//! The numeric fields of a tar header, as other readers check them.

/// The numeric fields that readers check before they accept a block as a tar header: mode, owner, group, size, time,
/// and the device numbers, which only devices have.
const NUMBERS: [std::ops::Range<usize>; 7] = [100..108, 108..116, 116..124, 124..136, 136..148, 329..337, 337..345];

/// Whether all numeric fields are octal digits, with blanks before them, and blanks and NULs after them.
pub(super) fn is_plain(block: &[u8]) -> bool {
    NUMBERS.into_iter().all(|field| is_octal(block.get(field).unwrap_or_default()))
}

/// Whether libarchive accepts a block with a correct checksum as a tar header. It accepts any field that begins with a
/// NUL or is base-256.
pub(super) fn is_header_to_libarchive(block: &[u8]) -> bool {
    NUMBERS.into_iter().all(|field| {
        let field = block.get(field).unwrap_or_default();
        matches!(field.first(), None | Some(0 | 0x80 | 0xff)) || is_octal(field)
    })
}

/// Whether 7-Zip accepts a block with a correct checksum as a tar header, and then prefers tar to most other formats. It
/// ignores the owner and the group, reads base-256 in the size and the time, and takes a device number that begins with a NUL
/// for none.
pub(super) fn is_header_to_7zip(block: &[u8]) -> bool {
    let [mode, _, _, size, time, major, minor] = NUMBERS.map(|field| block.get(field).unwrap_or_default());
    let is_positive = |field: &[u8]| matches!(field, [0x80, 0, 0, 0, 0..=0x7f, ..]);
    let is_negative = |field: &[u8]| matches!(field, [0xff, 0xff, 0xff, 0xff, 0x80..=0xff, ..]);
    is_octal(mode)
        && (is_octal(size) || is_positive(size))
        && (is_octal(time) || is_positive(time) || is_negative(time))
        && [major, minor].into_iter().all(|field| field.first() == Some(&0) || is_octal(field))
}

fn is_octal(field: &[u8]) -> bool {
    let digits = field.iter().skip_while(|&&byte| byte == b' ');
    let mut behind = digits.skip_while(|&&byte| matches!(byte, b'0'..=b'7'));
    behind.all(|&byte| matches!(byte, b' ' | 0))
}
