//! PAX records.

use super::keys::Key;
use super::number::{MOST_BYTES, decimal};
use super::quirk_set::QuirkSet;
use super::sparse::SparseRecords;
use crate::words::{Escaped, Limit, Limits, Quirk, Timestamp, Violation, Xattr};
use std::collections::HashMap;

/// The values of the records of one `x` header; `None` if there is no such record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) target: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) mtime: Option<Timestamp>,
    pub(crate) xattrs: Vec<Xattr>,
    pub(crate) sparse: SparseRecords,
    /// ACLs as text: key and value.
    pub(crate) acls: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Reads the content of an `x` header.
    ///
    /// An empty value counts as absent, as in Go. Only an extended attribute may have an empty value. GNU tar refuses an
    /// empty number and accepts an empty name. libarchive and Python read an empty number as zero, and Python accepts an
    /// empty name, too.
    pub(crate) fn parse(content: &[u8], limits: &Limits, quirks: &mut QuirkSet) -> Result<Self, Violation> {
        let mut pax = Self::default();
        let mut xattr_bytes = 0;
        let mut foreign = Vec::new();
        let mut sparse_keys = 0;
        for Record { key, value } in records(content, quirks)? {
            let malformed = || Violation::PaxValue { key: Escaped::new(key), value: Escaped::new(value) };
            match Key::of(key) {
                Key::Xattr(name) => {
                    xattr_bytes += (name.len() + value.len()) as u64;
                    limits.check(Limit::Xattrs, pax.xattrs.len() as u64 + 1)?;
                    limits.check(Limit::XattrBytes, xattr_bytes)?;
                    pax.xattrs.push(xattr(name, value)?);
                    // Only GNU tar decodes these, to `=` and `%`.
                    if name.windows(3).any(|bytes| matches!(bytes, b"%3D" | b"%25")) {
                        quirks.add(Quirk::XattrNameEscaped { name: Escaped::new(name) });
                    }
                }
                Key::Sparse(key) => {
                    sparse_keys += 1;
                    pax.sparse.add(key, value, limits)?;
                }
                Key::StarSparse => return Err(Violation::Sparse { format: "star" }),
                Key::Foreign | Key::Label => quirks.add(Quirk::PaxForeignKey { key: Escaped::new(key) }),
                // Whether it is a twin of an attribute depends on the header.
                Key::Acl => pax.acls.push((key.to_vec(), value.to_vec())),
                Key::Attribute | Key::Unknown => quirks.add(Quirk::PaxUnknownKey { key: Escaped::new(key) }),
                Key::Path | Key::Target if value.is_empty() => {
                    quirks.add(Quirk::PaxEmptyName { key: Escaped::new(key) });
                }
                Key::Size if value.is_empty() => quirks.add(Quirk::PaxEmptySize),
                Key::Uid | Key::Gid | Key::Mtime if value.is_empty() => {
                    quirks.add(Quirk::PaxEmpty { key: Escaped::new(key) });
                }
                Key::OtherTime if value.is_empty() => {}
                Key::Path if value.contains(&0) => return Err(Violation::NameNul),
                Key::Target if value.contains(&0) => return Err(Violation::LinkTargetNul),
                Key::Path => pax.path = Some(value.to_vec()),
                Key::Target => pax.target = Some(value.to_vec()),
                Key::Size => pax.size = Some(decimal(value).filter(|&size| size <= MOST_BYTES).ok_or_else(malformed)?),
                Key::Uid => pax.uid = Some(id(value).ok_or_else(malformed)?),
                Key::Gid => pax.gid = Some(id(value).ok_or_else(malformed)?),
                Key::Mtime => {
                    pax.mtime = Some(time(value).ok_or_else(malformed)?);
                    if is_negative_with_fraction(value) {
                        quirks.add(Quirk::NegativeFraction { time: Escaped::new(value) });
                    }
                }
                Key::OtherTime => {
                    time(value).ok_or_else(malformed)?;
                }
                Key::ForeignXattr(name) => foreign.push((name, value)),
                Key::OwnerName | Key::Harmless | Key::Encoding => {}
            }
        }
        if sparse_keys > 0 && sparse_keys != mentions_of_sparse(content) {
            return Err(Violation::Sparse { format: "PAX" });
        }
        if foreign.is_empty() {
            return Ok(pax);
        }
        // bsdtar writes each attribute in both forms. All readers know the common form.
        let common: HashMap<_, _> =
            pax.xattrs.iter().map(|xattr| (xattr.name.as_slice(), xattr.value.as_slice())).collect();
        let is_twin = |name: &[u8], value: &[u8]| {
            // bsdtar encodes the name in both. Other writers, and older versions of bsdtar, encode it in one or none.
            let common = common.get(name).or_else(|| common.get(unescaped(name).as_slice()));
            common.is_some_and(|common| base64(common) == value)
        };
        if let Some((name, _)) = foreign.iter().find(|(name, value)| !is_twin(name, value)) {
            quirks.add(Quirk::XattrDropped { name: Escaped::new(&unescaped(name)) });
        }
        Ok(pax)
    }
}

/// Checks the records of a `g` header. None is applied: readers differ on whether they apply them.
pub(crate) fn judge_global(content: &[u8], quirks: &mut QuirkSet) -> Result<(), Violation> {
    for Record { key, .. } in records(content, quirks)? {
        quirks.add(match Key::of(key) {
            Key::Harmless | Key::Label | Key::Unknown => Quirk::GlobalComment { key: Escaped::new(key) },
            _ => Quirk::GlobalRecord { key: Escaped::new(key) },
        });
    }
    Ok(())
}

/// Counts the places that Python takes for the key of a sparse record, also inside of values: it searches for such keys
/// with a regular expression, in which a point matches any byte.
fn mentions_of_sparse(content: &[u8]) -> usize {
    let is_key = |bytes: &[u8]| matches!(bytes, [b'G', b'N', b'U', _, b's', b'p', b'a', b'r', b's', b'e', _]);
    content.windows(11).filter(|bytes| is_key(bytes)).count()
}

/// Keys that occur once for each segment in sparse format 0.0.
const REPEATED: [&[u8]; 2] = [b"GNU.sparse.offset", b"GNU.sparse.numbytes"];

/// A key and its last value.
struct Record<'a> {
    key: &'a [u8],
    value: &'a [u8],
}

/// Returns all records in order, each key once. If a key has several values, the last one counts, as in Go.
fn records<'a>(content: &'a [u8], quirks: &mut QuirkSet) -> Result<Vec<Record<'a>>, Violation> {
    let mut records: Vec<Record<'a>> = Vec::new();
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    let mut rest = content;
    while !rest.is_empty() {
        let Some((record, behind)) = record(rest) else {
            return Err(if rest.iter().all(|&byte| byte == 0) {
                Violation::PaxPadding
            } else {
                Violation::PaxRecord { record: Escaped::new(rest) }
            });
        };
        rest = behind;
        if REPEATED.contains(&record.key) {
            records.push(record);
            continue;
        }
        match place_of(record.key, &records, &mut known).and_then(|place| records.get_mut(place)) {
            None => {
                if !known.is_empty() {
                    known.insert(record.key, records.len());
                }
                records.push(record);
            }
            // Of repeated sparse records, readers use the first, the last or both.
            Some(_) if record.key.starts_with(b"GNU.sparse.") => {
                return Err(Violation::Sparse { format: "PAX" });
            }
            Some(earlier) => {
                let key = Escaped::new(record.key);
                let alike = earlier.value == record.value;
                quirks.add(if alike { Quirk::PaxKeyAlike { key } } else { Quirk::PaxKeyTwice { key } });
                earlier.value = record.value;
            }
        }
    }
    Ok(records)
}

/// Returns the index of a key among the records. A few records are searched. From then on, keys are hashed.
fn place_of<'a>(key: &[u8], records: &[Record<'a>], known: &mut HashMap<&'a [u8], usize>) -> Option<usize> {
    const FEW: usize = 16;
    if records.len() <= FEW {
        return records.iter().position(|record| record.key == key);
    }
    if known.is_empty() {
        known.extend(records.iter().enumerate().map(|(place, record)| (record.key, place)));
    }
    known.get(key).copied()
}

/// The longest record that libarchive reads.
const LONGEST_RECORD: usize = 999_999;

/// Reads one record: `LENGTH KEY=VALUE` and a newline, the length that of all this.
///
/// The length has neither a sign nor leading zeros: readers accept them, but no writer uses them. Three more forms, which no
/// writer uses, are malformed here. A key with a blank or tab in front: GNU tar ignores it. A key with a NUL, and a record
/// that is too long for libarchive: libarchive ignores all records from there on.
fn record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let blank = bytes.iter().take(20).position(|&byte| byte == b' ')?;
    let digits = bytes.get(..blank)?;
    if digits.first() == Some(&b'0') {
        return None;
    }
    let length = usize::try_from(decimal(digits)?).ok().filter(|&length| length <= LONGEST_RECORD)?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let end = body.iter().position(|&byte| matches!(byte, b'=' | 0))?;
    let (key, value) = body.split_at_checked(end)?;
    let value = value.strip_prefix(b"=")?;
    let is_key = !matches!(key, [] | [b' ' | b'\t', ..]);
    is_key.then_some((Record { key, value }, rest))
}

fn xattr(name: &[u8], value: &[u8]) -> Result<Xattr, Violation> {
    if name.is_empty() || name.len() > 255 {
        return Err(Violation::XattrName { name: Escaped::new(name) });
    }
    Ok(Xattr { name: name.to_vec(), value: value.to_vec() })
}

/// Decodes a name in bsdtar's own key, in which some bytes are written as `%` and two hexadecimal digits.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        let escaped = digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from(16 * high + low).ok());
        let (byte, taken) = match escaped.filter(|_| byte == b'%') {
            Some(escaped) => (escaped, 2),
            None => (byte, 0),
        };
        bytes.push(byte);
        rest = behind.get(taken..).unwrap_or_default();
    }
    bytes
}

/// Encodes bytes in base64 as bsdtar does, without padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_usize, |word, &byte| word << 8 | usize::from(byte)) << (8 * (3 - group.len()));
        let digits = [18, 12, 6, 0].into_iter().take(group.len() + 1);
        text.extend(digits.filter_map(|shift| DIGITS.get(word >> shift & 63)));
    }
    text
}

fn id(value: &[u8]) -> Option<u32> {
    decimal(value)?.try_into().ok().filter(|&id| id < u32::MAX)
}

/// Reads a time in seconds. It may have a fraction, and may be negative. Digits after the nanoseconds are rounded down,
/// also for a negative time.
fn time(value: &[u8]) -> Option<Timestamp> {
    let (negative, magnitude) = match value.strip_prefix(b"-") {
        Some(magnitude) => (true, magnitude),
        None => (false, value),
    };
    let point = magnitude.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (magnitude.get(..point)?, magnitude.get(point + 1..)?),
        None => (magnitude, &b"0"[..]),
    };
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = digits.fold(0, |value, digit| 10 * value + u32::from(digit - b'0'));
    if !negative {
        return Some(Timestamp::known(seconds, nanoseconds));
    }
    let finer = fraction.iter().skip(9).any(|&digit| digit != b'0');
    let behind = nanoseconds + u32::from(finer);
    Some(match behind {
        0 => Timestamp::of_seconds(-seconds),
        _ => Timestamp::known(-seconds - 1, 1_000_000_000 - behind),
    })
}

/// Whether a time is negative and has a fraction. libarchive adds the fraction instead of subtracting it.
fn is_negative_with_fraction(value: &[u8]) -> bool {
    let fraction = || value.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    value.starts_with(b"-") && value.contains(&b'.') && fraction().iter().any(|&digit| digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &[u8]) -> Result<Pax, Violation> {
        Pax::parse(content, &Limits::default(), &mut QuirkSet::default())
    }

    #[test]
    fn records_are_read_strictly() {
        assert_eq!(parse(b"").unwrap(), Pax::default());
        assert_eq!(parse(b"9 path=a\n").unwrap().path, Some(b"a".to_vec()));
        assert_eq!(parse(b"9 path=a\n9 path=b\n").unwrap().path, Some(b"b".to_vec()));
        assert_eq!(parse(b"12 path=a=b\n").unwrap().path, Some(b"a=b".to_vec()));
        assert_eq!(parse(b"12 path=a\nb\n").unwrap().path, Some(b"a\nb".to_vec()));
        assert_eq!(parse(b"8 path=\n").unwrap().path, None);
        for malformed in [
            &b"8 path=a\n"[..],
            b"11 path=a\n",
            b"9 path=ab",
            b"09 path=a\n",
            b"+9 path=a\n",
            b" 9 path=a\n",
            b"9  path=a\n0",
            b"9\tpath=a\n",
            b"9path=a\n",
            b" path=a\n",
            b"6 =ab\n",
            b"6 abc\n",
            b"8  k=ab\n",
            b"8 \tk=ab\n",
            b"7 k\0=a\n",
            b"7 \0k=a\n",
            b"2 ",
            b"1",
            b"0 ",
            b"18446744073709551615 path=a\n",
            b"99999999999999999999999999 path=a\n",
            b"9 path=a\n\nx",
            b"9 path=a\n\0\0x",
        ] {
            let violation = parse(malformed).unwrap_err();
            assert_eq!(violation.id(), "pax-record", "{}", malformed.escape_ascii());
        }
        assert_eq!(parse(b"9 path=a\n\0\0\0"), Err(Violation::PaxPadding));
    }

    #[test]
    fn the_longest_record_is_the_one_that_libarchive_takes() {
        let of = |length: usize| {
            let front = format!("{length} comment=");
            parse(format!("{front}{}\n", "c".repeat(length - front.len() - 1)).as_bytes())
        };
        assert!(of(999_999).is_ok());
        assert_eq!(of(1_000_000).unwrap_err().id(), "pax-record");
    }

    #[test]
    fn the_forms_of_bsdtar_are_known() {
        let rows: [(&[u8], &[u8]); 5] =
            [(b"", b""), (b"1", b"MQ"), (b"ab", b"YWI"), (b"\0=\n", b"AD0K"), (b"\xff\xff\xfe\xfb", b"///++w")];
        for (bytes, text) in rows {
            assert_eq!(base64(bytes), text, "{}", bytes.escape_ascii());
        }
        assert_eq!(unescaped(b"user.a%3Db%%4"), b"user.a=b%%4");
    }

    #[test]
    fn times_are_rounded_down() {
        type Row = (&'static [u8], Option<(i64, u32)>);
        let rows: &[Row] = &[
            (b"0", Some((0, 0))),
            (b"-0", Some((0, 0))),
            (b"1.5", Some((1, 500_000_000))),
            (b"1.123456789", Some((1, 123_456_789))),
            (b"1.1234567899", Some((1, 123_456_789))),
            (b"-1.5", Some((-2, 500_000_000))),
            (b"-1.0", Some((-1, 0))),
            (b"-0.0000000001", Some((-1, 999_999_999))),
            (b"-0.9999999999", Some((-1, 0))),
            (b"9223372036854775807", Some((i64::MAX, 0))),
            (b"-9223372036854775807.9", Some((i64::MIN, 100_000_000))),
            (b"9223372036854775808", None),
            (b"", None),
            (b"-", None),
            (b"+1", None),
            (b" 1", None),
            (b"1.", None),
            (b".5", None),
            (b"1.-5", None),
            (b"1e9", None),
            (b"--1", None),
        ];
        for (value, expected) in rows {
            let expected = expected.map(|(seconds, nanoseconds)| Timestamp::known(seconds, nanoseconds));
            assert_eq!(time(value), expected, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_key_that_comes_again_is_found_among_few_records_and_among_many() {
        for others in 0..40 {
            for at in [0, others / 2, others] {
                let mut keys: Vec<_> = (0..others).map(|number| format!("VENDOR.{number}")).collect();
                keys.insert(at, "uname".to_owned());
                keys.push("uname".to_owned());
                let mut content = Vec::new();
                for (value, key) in keys.iter().enumerate() {
                    let body = format!(" {key}={value}\n");
                    let length = body.len() + if body.len() < 8 { 1 } else { 2 };
                    content.extend(format!("{length}{body}").bytes());
                }
                let mut quirks = QuirkSet::default();
                let records = records(&content, &mut quirks).unwrap();
                assert_eq!(records.len(), others + 1);
                assert_eq!(records[at].value, (others + 1).to_string().as_bytes(), "the last value counts");
                assert_eq!(quirks.into_vec(), [Quirk::PaxKeyTwice { key: Escaped::new(b"uname") }]);
            }
        }
    }

    #[test]
    fn ids_end_before_the_one_that_means_none() {
        assert_eq!(id(b"4294967294"), Some(u32::MAX - 1));
        assert_eq!(id(b"4294967295"), None);
        assert_eq!(id(b"-1"), None);
    }
}
