//! Numbers in header fields and in records.

/// The largest size that is accepted, in a header or a record.
pub(crate) const MOST_BYTES: u64 = i64::MAX.unsigned_abs();

/// Reads a number: octal digits, or base-256 when the first byte says so. A blank field is zero.
///
/// Octal digits may have blanks before them, and blanks and NULs after them. A field full of digits has neither. Other
/// bytes after the blank or NUL are refused: Go and GNU tar ignore them. A NUL in front is refused: libarchive reads
/// zero, Go reads on. In base-256 the first byte is `0x80`, or `0xff` for a negative number. GNU tar knows no other first
/// byte, and Go would use its lower bits as digits.
pub(crate) fn parse(field: &[u8]) -> Option<i64> {
    match field.split_first()? {
        (0x80, rest) => base_256(rest, 0),
        (0xff, rest) => base_256(rest, -1),
        _ => octal(field),
    }
}

fn base_256(bytes: &[u8], sign: i128) -> Option<i64> {
    // A field has at most 12 bytes, so the rest has at most 88 bits.
    let value = bytes.iter().try_fold(sign, |value, &byte| Some(value.checked_mul(256)? + i128::from(byte)))?;
    value.try_into().ok()
}

fn octal(field: &[u8]) -> Option<i64> {
    // Each digit has three bits: 20 digits fit. No field is longer than 12 bytes.
    if field.len() > 20 {
        return None;
    }
    let mut rest = field;
    while let [b' ', behind @ ..] = rest {
        rest = behind;
    }
    let mut value = 0_i64;
    while let [digit @ b'0'..=b'7', behind @ ..] = rest {
        value = value << 3 | i64::from(digit - b'0');
        rest = behind;
    }
    rest.iter().all(|byte| matches!(byte, b' ' | 0)).then_some(value)
}

/// Reads a decimal number: only digits, no sign and no blank.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Whether a field has zeros, a minus sign and an octal number, and then blanks or NULs. tar-stream writes negative numbers
/// like this.
pub(crate) fn is_zero_and_minus(field: &[u8]) -> bool {
    let Some(sign) = field.iter().position(|&byte| byte == b'-') else { return false };
    let Some((zeros, [_, number @ ..])) = field.split_at_checked(sign) else { return false };
    let is_zeros = !zeros.is_empty() && zeros.iter().all(|&byte| byte == b'0');
    is_zeros && matches!(number, [b'1'..=b'7', ..]) && octal(number).is_some()
}

/// Whether a field has text for Go: it is neither empty nor a number. Go reads a field if its first byte is not NUL. It
/// removes blanks and NULs at both ends, and reads up to the next NUL. Base-256 does not count as text here.
pub(crate) fn is_text_to_go(field: &[u8]) -> bool {
    let is_filler = |byte: &u8| matches!(byte, b' ' | 0);
    let last = field.iter().rposition(|byte| !is_filler(byte));
    let digits = field.iter().take(last.map_or(0, |last| last + 1)).skip_while(|byte| is_filler(byte));
    let is_number = digits.take_while(|&&byte| byte != 0).all(|byte| matches!(byte, b'0'..=b'7'));
    !is_number && !matches!(field.first(), Some(0 | 0x80..=0xff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_nothing_else() {
        let rows: &[(&[u8], Option<i64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"000644 \0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644\0\0\0\0\0", Some(0o644)),
            (b"77777777", Some(0o7777_7777)),
            (b"777777777777", Some(0o7777_7777_7777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"       \0", Some(0)),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"+000644\0", None),
            (b"0x00644\0", None),
            (b"644\x00644\0", None),
            (b"\x00000644\0", None),
            (b"64 4\0\0\0\0", None),
            (b"\t644\0\0\0\0", None),
            (b"", None),
            (b"\x80\0\0\0\0\0\0\x01", Some(1)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff", Some((1 << 56) - 1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x81\0\0\0\0\0\0\x01", None),
            (b"\xfe\0\0\0\0\0\0\x01", None),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN)),
            (b"\xff\0\0\0\0\0\0\0\0\0\0\0", None),
        ];
        for (field, expected) in rows {
            assert_eq!(parse(field), *expected, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_minus_sign_is_known_behind_zeros_and_nowhere_else() {
        let rows: &[(&[u8], bool)] = &[
            (b"000000000-1 ", true),
            (b"0-355016454 ", true),
            (b"000000-1\0\0\0\0", true),
            (b"-0000000001 ", false),
            (b"-3550164540 ", false),
            (b"         -1 ", false),
            (b"000000001-1 ", false),
            (b"00000000--1 ", false),
            (b"000000000-0 ", false),
            (b"000000000-8 ", false),
            (b"0000000000- ", false),
            (b"00000-1-100 ", false),
            (b"00000-1 100 ", false),
            (b"0 0000000-1 ", false),
            (b"00000000000 ", false),
            (b"-", false),
            (b"", false),
        ];
        for (field, expected) in rows {
            assert_eq!(is_zero_and_minus(field), *expected, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn text_is_what_go_makes_no_number_of() {
        let rows: &[(&[u8], bool)] = &[
            (b"00000000000\0", false),
            (b"some/long/di", true),
            (b"0\0junk\0\0\0\0\0\0", false),
            (b"  17 \0\0\0\0\0\0\0", false),
            (b" \x00017\0junk\0\0", false),
            (b"17 \0junk\0\0\0\0", true),
            (b"1 7\0\0\0\0\0\0\0\0\0", true),
            (b"8\0\0\0\0\0\0\0\0\0\0\0", true),
            (b"-1\0\0\0\0\0\0\0\0\0\0", true),
            (b"\0junk\0\0\0\0\0\0\0", false),
            (b"            ", false),
            (b"\x81junkjunkjun", false),
        ];
        for (field, expected) in rows {
            assert_eq!(is_text_to_go(field), *expected, "{}", field.escape_ascii());
        }
    }
}
