//! What was read, written in the one form that leaves no doubt.

use super::build::{Archive, Header, base_256};
use layercage::Limits;
use layercage::rules::Quirk;
use layercage::tar::{DeviceKind, Entry, EntryKind, Source, TarReader, Timestamp};

/// An entry that is written plainly reads back as the same, and nothing is odd about it but what it is.
pub(crate) fn reads_back(entry: &Entry, content: &[u8]) {
    let archive = write(entry, content);
    let mut reader = TarReader::new(&archive[..], &Limits::default());
    let again = reader.next_entry();
    let mut again = again.unwrap_or_else(|error| panic!("{entry:?} is refused when it is written plainly: {error}"));
    // This one has the text of the time, which may have been written in another way.
    again.iter_mut().for_each(|entry| entry.quirks.retain(|quirk| !matches!(quirk, Quirk::NegativeFraction { .. })));
    let mut quirks = entry.quirks.clone();
    quirks.retain(|quirk| is_of_the_value(quirk, entry));
    let mut expected = entry.clone();
    (expected.number, expected.offset, expected.quirks) = (1, 0, quirks);
    assert_eq!(again, Some(expected));
    let mut source = reader.source();
    assert_eq!(source.chunk().map(<[u8]>::to_vec).unwrap(), content);
}

/// Whether a quirk is about what the entry says, however that is written: the lengths of a map of holes, the name of an
/// attribute, the end of a hard link's target.
fn is_of_the_value(quirk: &Quirk, entry: &Entry) -> bool {
    match quirk {
        Quirk::SparseUnaligned { .. } | Quirk::XattrNameEscaped { .. } => true,
        Quirk::FileWithSlash => match &entry.kind {
            EntryKind::HardLink { target } => target.ends_with(b"/") || target.ends_with(b"/.") || target == b".",
            _ => false,
        },
        _ => false,
    }
}

fn write(entry: &Entry, content: &[u8]) -> Vec<u8> {
    let metadata = &entry.metadata;
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| records.extend(record(key, value));
    let path = if entry.path.is_root() { b"." } else { entry.path.as_bytes() };
    let (flag, mut target, mut device, mut map) = (&entry.kind, &[][..], (0, 0), None);
    let flag = match flag {
        EntryKind::File { sparse: None, .. } => b'0',
        EntryKind::File { size, sparse: Some(sparse) } => {
            add(b"GNU.sparse.major", b"1");
            add(b"GNU.sparse.minor", b"0");
            add(b"GNU.sparse.name", path);
            add(b"GNU.sparse.realsize", size.to_string().as_bytes());
            let segments = sparse.segments();
            let numbers = segments.iter().flat_map(|segment| [segment.offset, segment.length]);
            let lines = std::iter::once(segments.len() as u64).chain(numbers).map(|number| format!("{number}\n"));
            map = Some(lines.collect::<String>().into_bytes());
            b'0'
        }
        EntryKind::HardLink { target: name } => {
            target = name;
            b'1'
        }
        EntryKind::Symlink { target: text } => {
            target = text.as_bytes();
            b'2'
        }
        EntryKind::Device(node) => {
            device = (node.major, node.minor);
            if node.kind == DeviceKind::Character { b'3' } else { b'4' }
        }
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    };
    add(b"path", path);
    add(b"uid", metadata.uid.to_string().as_bytes());
    add(b"gid", metadata.gid.to_string().as_bytes());
    if !target.is_empty() {
        add(b"linkpath", target);
    }
    let mtime = metadata.mtime;
    if mtime.nanoseconds() > 0 {
        add(b"mtime", decimal(mtime).as_bytes());
    }
    for xattr in &metadata.xattrs {
        add(&[b"SCHILY.xattr.", &xattr.name[..]].concat(), &xattr.value);
    }
    let mut stored = map.map(|map| Archive::default().padded(&map).cut()).unwrap_or_default();
    stored.extend_from_slice(content);
    let header = Header::posix(flag, "-").mode(metadata.mode).raw_mtime(&base_256::<12>(mtime.seconds()));
    let header = header.raw_major(&base_256::<8>(device.0.into())).bytes(337, &base_256::<8>(device.1.into()));
    Archive::default().raw_pax(&records).with(header, stored).end()
}

/// A PAX record: its length, which counts itself, a key and a value.
pub(crate) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = 3 + key.len() + value.len();
    let length = (body + 1..).find(|length| body + length.to_string().len() == *length).unwrap();
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// A time with its fraction. Before 1970 the fraction counts backwards, too.
fn decimal(time: Timestamp) -> String {
    match time.seconds() {
        seconds @ 0.. => format!("{seconds}.{:09}", time.nanoseconds()),
        seconds => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - time.nanoseconds()),
    }
}
