//! One header block.

use crate::read::BLOCK;
use crate::read::layout::{CHECKSUM, FLAG, GID, MAGIC, MAJOR, MINOR, MODE, MTIME, NAME, PREFIX, SIZE, TARGET, UID};
use std::ops::Range;

pub(super) type Block = [u8; BLOCK];

/// The fields of a header. The default is all zeros and empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields<'a> {
    pub(super) flag: u8,
    pub(super) prefix: &'a [u8],
    pub(super) name: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Seconds since the epoch.
    pub(super) mtime: i64,
    pub(super) device: (u32, u32),
}

/// Makes the block: POSIX magic, no names of owners, and all numbers octal that fit.
pub(super) fn block(fields: &Fields<'_>) -> Block {
    let mut block = [0; BLOCK];
    let mut put = |range: Range<usize>, bytes: &[u8]| {
        let field = block.get_mut(range).unwrap_or_default();
        field.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    };
    put(NAME, fields.name);
    put(PREFIX, fields.prefix);
    put(TARGET, fields.target);
    put(FLAG..FLAG + 1, &[fields.flag]);
    put(MAGIC, b"ustar\x0000");
    let numbers = [
        (MODE, fields.mode.into()),
        (UID, fields.uid.into()),
        (GID, fields.gid.into()),
        (SIZE, i64::try_from(fields.size).unwrap_or(i64::MAX)),
        (MTIME, fields.mtime),
        (MAJOR, fields.device.0.into()),
        (MINOR, fields.device.1.into()),
    ];
    for (range, value) in numbers {
        let width = range.len();
        put(range, &number(value, width));
    }
    put(CHECKSUM, b"        ");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    let field = block.get_mut(CHECKSUM).unwrap_or_default();
    field.iter_mut().zip(format!("{sum:06o}\0 ").bytes()).for_each(|(to, from)| *to = from);
    block
}

/// Whether the octal digits of a field have room for a number.
fn is_octal(value: i64, width: usize) -> bool {
    // One byte of the field is the NUL behind the digits.
    value >= 0 && value >> (3 * (width - 1)) == 0
}

/// Whether the octal digits of the field for owners have room for an id.
pub(super) fn is_octal_id(id: u32) -> bool {
    is_octal(id.into(), UID.len())
}

/// Whether the octal digits of the field for the size have room for it.
pub(super) fn is_octal_size(size: u64) -> bool {
    i64::try_from(size).is_ok_and(|size| is_octal(size, SIZE.len()))
}

/// Whether the octal digits of the field for the time have room for it.
pub(super) fn is_octal_time(seconds: i64) -> bool {
    is_octal(seconds, MTIME.len())
}

/// A number as octal digits and a NUL, or in base-256, which all readers know, where the digits have no room.
fn number(value: i64, width: usize) -> Vec<u8> {
    if is_octal(value, width) {
        let digits = width - 1;
        return format!("{value:0digits$o}\0").into_bytes();
    }
    let sign = if value < 0 { 0xff } else { 0 };
    let mut field = vec![sign; width - 8];
    field.extend_from_slice(&value.to_be_bytes());
    // The mark of base-256. A field of 8 bytes has a 32-bit id, whose first byte is zero.
    if let Some(first) = field.first_mut() {
        *first |= 0x80;
    }
    field
}

/// Splits a name that the header's name field has no room for, at the last slash that leaves enough room.
///
/// Returns the prefix, which is empty for a short name, and the name. `None` if the two fields have no room.
pub(super) fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME.len() {
        return Some((&[], name));
    }
    // The slash at the end of the name of a directory is no place to split.
    let slashes = name.iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at + 1 < name.len());
    let (at, _) = slashes.take_while(|&(at, _)| at <= PREFIX.len()).last()?;
    let (prefix, rest) = (name.get(..at)?, name.get(at + 1..)?);
    (rest.len() <= NAME.len()).then_some((prefix, rest))
}

/// Whether the header has room for the target of a link.
pub(super) fn has_room_for_target(target: &[u8]) -> bool {
    target.len() <= TARGET.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_where_the_field_has_room_and_base_256_where_not() {
        assert_eq!(number(0o644, 8), b"0000644\0");
        assert_eq!(number(0o777_7777, 8), b"7777777\0");
        assert_eq!(number(0o1000_0000, 8), b"\x80\0\0\0\0\x20\0\0");
        assert_eq!(number(0xffff_fffe, 8), b"\x80\0\0\0\xff\xff\xff\xfe");
        assert_eq!(number(0o777_7777_7777, 12), b"77777777777\0");
        assert_eq!(number(1 << 33, 12), b"\x80\0\0\0\0\0\0\x02\0\0\0\0");
        assert_eq!(number(-1, 12), [0xff; 12]);
        assert_eq!(number(i64::MAX, 12), b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
        assert!(is_octal_id(0o777_7777) && !is_octal_id(0o1000_0000));
        assert!(is_octal_size((1 << 33) - 1) && !is_octal_size(1 << 33) && !is_octal_size(u64::MAX));
        assert!(is_octal_time(0) && !is_octal_time(-1) && !is_octal_time(1 << 33));
    }

    #[test]
    fn a_long_name_is_split_at_the_last_slash_that_leaves_room() {
        let n = |length: usize| "n".repeat(length);
        let rows: &[(String, Option<(String, String)>)] = &[
            (n(100), Some((String::new(), n(100)))),
            (n(101), None),
            (format!("a/{}", n(99)), Some(("a".into(), n(99)))),
            (format!("a/{}", n(100)), Some(("a".into(), n(100)))),
            (format!("a/{}", n(101)), None),
            (format!("{}/{}", n(155), n(100)), Some((n(155), n(100)))),
            (format!("{}/{}", n(156), n(50)), None),
            (format!("a/b/{}/c/d", n(98)), Some((format!("a/b/{}/c", n(98)), "d".into()))),
            (format!("{}/", n(100)), None),
            (format!("a/{}/", n(99)), Some(("a".into(), format!("{}/", n(99))))),
        ];
        for (name, expected) in rows {
            let expected = expected.as_ref().map(|(prefix, name)| (prefix.as_bytes(), name.as_bytes()));
            assert_eq!(split(name.as_bytes()), expected, "{name}");
        }
    }
}
