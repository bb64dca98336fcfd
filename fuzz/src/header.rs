//! One header block: fields of any bytes under a checksum that fits.

use super::build::{Archive, Header, base_256};
use super::bytes::Bytes;
use super::reading::{self, Setup, Step};
use layercage::rules::{Quirk, Violation};
use layercage::tar::Entry;

/// The fields of a header, those of GNU tar and of old sparse files among them.
const FIELDS: &[(usize, usize)] = &[
    (100, 8),
    (108, 8),
    (116, 8),
    (124, 12),
    (136, 12),
    (0, 100),
    (157, 100),
    (257, 8),
    (329, 8),
    (337, 8),
    (345, 155),
    (345, 12),
    (357, 12),
    (386, 24),
    (410, 24),
    (434, 48),
    (482, 1),
    (483, 12),
    (500, 12),
    (265, 32),
    (297, 32),
];

/// The types of entries and some that are none.
pub(crate) const FLAGS: &[u8] = b"0\x00512346S7xgLKVDMNA";

/// Reads an archive of one entry, two at most, whose first header has chosen fields.
pub fn header(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setup = Setup::choose(&mut bytes);
    let flag = bytes.pick(FLAGS);
    let make: fn(u8, &'static str) -> Header = bytes.pick(&[Header::posix, Header::gnu, Header::v7]);
    let mut header = make(flag, "a/b");
    let content = bytes.some(200);
    header = header.size(if bytes.byte() & 1 == 0 { content.len() as u64 } else { bytes.number() });
    let mut fields = Vec::new();
    for _ in 0..bytes.below(8) {
        let (at, width) = bytes.pick(FIELDS);
        let value = field(&mut bytes, width);
        header = header.bytes(at, &value);
        fields.push((at, value));
    }
    if bytes.byte() & 1 == 1 {
        header = header.bytes(bytes.below(256), bytes.take(512 - 256));
    }
    let block = header.block();
    let archive = |block: &[u8]| Archive::default().bytes(block).padded(content).file("next", "next").end();

    let steps = reading::read(&archive(&block), &setup);
    let sum = block.iter().enumerate().map(|(at, &byte)| match at {
        148..156 => i64::from(b' '),
        _ => byte.cast_signed().into(),
    });
    // A sum below zero cannot be written.
    if sum.sum::<i64>() >= 0 {
        let signed = reading::read(&archive(&header.block_summed_signed()), &setup);
        assert_eq!(steps, signed, "a checksum of signed bytes is as good");
    }
    let mut spoilt = block;
    spoilt[0] ^= 1;
    let refused = reading::read(&archive(&spoilt), &setup);
    let is_refused =
        matches!(refused[..], [Step::Refused(Violation::HeaderChecksum { .. } | Violation::NotATar { .. }, _)]);
    assert!(is_refused, "a changed byte goes unseen: {refused:?}");
    if let Some(Step::Entry(entry)) = steps.first()
        && entry.number == 1
        && !b"xgLK".contains(&block[156])
    {
        numbers(entry, &block);
    }
}

fn field(bytes: &mut Bytes<'_>, width: usize) -> Vec<u8> {
    let mut value = match bytes.below(8) {
        0 => format!("{:0width$o}\0", bytes.number(), width = width - 1).into_bytes(),
        1 => format!("{:0width$o}", bytes.number()).into_bytes(),
        2 => format!("{:>width$o} ", bytes.number(), width = width - 1).into_bytes(),
        3 => format!("{:o}", bytes.number()).into_bytes(),
        4 => base_256::<12>(bytes.number().cast_signed())[12 - width.min(12)..].to_vec(),
        5 => base_256::<12>(-i64::from(bytes.byte()))[12 - width.min(12)..].to_vec(),
        6 => [&[bytes.byte()], bytes.some(12)].concat(),
        _ => bytes.take(width).to_vec(),
    };
    value.resize(width, 0);
    value
}

/// The numbers of an entry are what somebody else reads in its fields.
fn numbers(entry: &Entry, block: &[u8; 512]) {
    let metadata = &entry.metadata;
    let stated = [
        (100, 8, i128::from(metadata.mode)),
        (108, 8, metadata.uid.into()),
        (116, 8, metadata.gid.into()),
        (136, 12, metadata.mtime.seconds().into()),
    ];
    for (at, width, got) in stated {
        let expected = number(&block[at..at + width]);
        let expected = if at == 100 { expected & 0o7777 } else { expected };
        assert_eq!(got, expected, "the field at {at}");
    }
    if let layercage::tar::EntryKind::File { size, sparse: None } = entry.kind
        && !entry.quirks.iter().any(|quirk| matches!(quirk, Quirk::SizeWithoutData { .. }))
    {
        assert_eq!(i128::from(size), number(&block[124..136]));
    }
}

/// A number as it is meant: base-256 under a mark, else octal digits somewhere among blanks and NULs. What stands behind a
/// minus sign is not read by anybody.
fn number(field: &[u8]) -> i128 {
    match field {
        [0xff, rest @ ..] => rest.iter().fold(-1, |value, &byte| value << 8 | i128::from(byte)),
        [first @ 0x80..=0xfe, rest @ ..] => {
            rest.iter().fold(i128::from(first & 0x7f), |value, &byte| value << 8 | i128::from(byte))
        }
        _ => {
            let digits = field.iter().take_while(|&&byte| byte != b'-').filter(|byte| !matches!(byte, b' ' | 0));
            digits.fold(0, |value, &digit| value * 8 + i128::from(digit) - i128::from(b'0'))
        }
    }
}
