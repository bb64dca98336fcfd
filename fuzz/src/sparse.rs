//! Sparse maps: one map in the four formats.

use super::build::{Archive, Header, sparse_slots};
use super::bytes::Bytes;
use super::reading::{self, Setup, Step};
use super::written::record;
use layercage::tar::{Entry, EntryKind, Segment};

/// What an archive says of a file with holes.
struct Map {
    segments: Vec<(u64, u64)>,
    size: u64,
    content: Vec<u8>,
}

/// Reads one map in four formats, of which the same must come; and then one with something broken about it.
pub fn sparse(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setup = Setup::choose(&mut bytes);
    let map = map(&mut bytes);
    let outcomes = FORMATS.map(|format| outcome(&reading::read(&format(&map), &setup)));
    for other in &outcomes[1..] {
        assert_eq!(*other, outcomes[0], "one map in four formats");
    }
    match &outcomes[0] {
        Ok((segments, size)) => {
            let expected: Vec<_> = map.segments.iter().map(|&(offset, length)| Segment { offset, length }).collect();
            assert_eq!((segments, *size), (&expected, map.size), "the map that was written is the map that is read");
        }
        Err(rule) => assert!(["sparse-map", "sparse-size", "limit"].contains(rule), "{rule}"),
    }
    reading::read(&broken(&map, &mut bytes), &setup);
}

fn map(bytes: &mut Bytes<'_>) -> Map {
    let (mut end, mut segments) = (0_u64, Vec::new());
    // Not all formats can say that there are none.
    for _ in 0..1 + bytes.below(40) {
        let choice = bytes.byte();
        // Most segments stand behind the one before.
        let offset =
            if choice & 0xc0 == 0xc0 { small(bytes) } else { end.saturating_add(u64::from(choice & 0x3f) * 64) };
        let length = if bytes.byte() == 255 { small(bytes) } else { bytes.below(40) as u64 };
        segments.push((offset.min(MOST), length));
        end = offset.saturating_add(length).min(MOST);
    }
    let size = if bytes.byte() < 200 { end } else { small(bytes) };
    let mapped = segments.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length)).min(4000);
    let stored = if bytes.byte() < 240 { mapped } else { bytes.below(200) as u64 };
    let content = (0..stored).map(|index| index.to_le_bytes()[0]).collect();
    Map { segments, size, content }
}

/// What eleven octal digits hold.
const MOST: u64 = 0o777_7777_7777;

fn small(bytes: &mut Bytes<'_>) -> u64 {
    bytes.number().min(MOST)
}

fn outcome(steps: &[Step]) -> Result<(Vec<Segment>, u64), &'static str> {
    match steps.first() {
        Some(Step::Entry(entry)) => Ok(found(entry)),
        Some(Step::Refused(violation, _)) => Err(violation.id()),
        other => panic!("a file with holes came as {other:?}"),
    }
}

fn found(entry: &Entry) -> (Vec<Segment>, u64) {
    assert_eq!(entry.path.as_bytes(), b"holes");
    match &entry.kind {
        EntryKind::File { size, sparse: Some(map) } => (map.segments().to_vec(), *size),
        other => panic!("a file with holes came as {other:?}"),
    }
}

const FORMATS: [fn(&Map) -> Vec<u8>; 4] = [old_gnu, pax_00, pax_01, pax_10];

fn old_gnu(map: &Map) -> Vec<u8> {
    let (first, rest) = map.segments.split_at(map.segments.len().min(4));
    let header = Header::gnu(b'S', "holes").sparse_map(first, u8::from(!rest.is_empty()), map.size);
    let mut archive = Archive::default().header(header.size(map.content.len() as u64));
    let blocks: Vec<_> = rest.chunks(21).collect();
    for (index, slots) in blocks.iter().enumerate() {
        let mut block = sparse_slots(slots);
        block.resize(512, 0);
        block[504] = u8::from(index + 1 < blocks.len());
        archive = archive.bytes(&block);
    }
    archive.padded(&map.content).end()
}

fn pax_00(map: &Map) -> Vec<u8> {
    let mut records = size_record(map);
    records.extend(record(b"GNU.sparse.numblocks", map.segments.len().to_string().as_bytes()));
    for (offset, length) in &map.segments {
        records.extend(record(b"GNU.sparse.offset", offset.to_string().as_bytes()));
        records.extend(record(b"GNU.sparse.numbytes", length.to_string().as_bytes()));
    }
    pax(&records, "holes", &map.content)
}

fn pax_01(map: &Map) -> Vec<u8> {
    let mut records = size_record(map);
    records.extend(record(b"GNU.sparse.numblocks", map.segments.len().to_string().as_bytes()));
    records.extend(record(b"GNU.sparse.name", b"holes"));
    let numbers = map.segments.iter().flat_map(|(offset, length)| [offset.to_string(), length.to_string()]);
    records.extend(record(b"GNU.sparse.map", numbers.collect::<Vec<_>>().join(",").as_bytes()));
    pax(&records, "GNUSparseFile.1/holes", &map.content)
}

fn pax_10(map: &Map) -> Vec<u8> {
    let mut content = Archive::default().padded(&lines(map)).cut();
    content.extend_from_slice(&map.content);
    pax(&records_10(map), "GNUSparseFile.1/holes", &content)
}

fn records_10(map: &Map) -> Vec<u8> {
    let fixed = [(&b"GNU.sparse.major"[..], &b"1"[..]), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"holes")];
    let mut records: Vec<_> = fixed.iter().flat_map(|(key, value)| record(key, value)).collect();
    records.extend(record(b"GNU.sparse.realsize", map.size.to_string().as_bytes()));
    records
}

fn size_record(map: &Map) -> Vec<u8> {
    record(b"GNU.sparse.size", map.size.to_string().as_bytes())
}

fn lines(map: &Map) -> Vec<u8> {
    let numbers = map.segments.iter().flat_map(|&(offset, length)| [offset, length]);
    let numbers = std::iter::once(map.segments.len() as u64).chain(numbers);
    numbers.map(|number| format!("{number}\n")).collect::<String>().into_bytes()
}

fn pax(records: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    Archive::default().raw_pax(records).with(Header::posix(b'0', name), content).end()
}

/// One of the formats with some bytes changed where the map is.
fn broken(map: &Map, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let (mut records, mut lines) = (records_10(map), lines(map));
    let format = bytes.below(4);
    let text = if format == 0 { &mut records } else { &mut lines };
    for _ in 0..bytes.below(6) {
        if let Some(byte) = text.len().checked_sub(1).map(|last| bytes.below(256).min(last)) {
            text[byte] = bytes.byte();
        }
    }
    match format {
        3 => {
            // Slots of any bytes, and a block that follows or not.
            let slots = bytes.take(96);
            let header = Header::gnu(b'S', "holes").sparse_map(&[], bytes.below(3) as u8, map.size).bytes(386, slots);
            let mut block = bytes.take(504).to_vec();
            block.resize(512, bytes.byte() & 1);
            Archive::default().header(header.size(map.content.len() as u64)).bytes(&block).padded(&map.content).end()
        }
        _ => {
            let mut content = Archive::default().padded(&lines).cut();
            content.extend_from_slice(&map.content);
            pax(&records, "stand-in", &content)
        }
    }
}
