//! What is written is read back by the strict reader, without a quirk.

use super::writer::TarWriter;
use crate::output::data::Data;
use crate::output::sink_error::SinkError;
use crate::read::TarReader;
use crate::words::{
    Change, ChangeKind, Device, DeviceKind, EntryPath, Limit, Limits, LinkTarget, Metadata, Segment, Skippable, Source,
    SparseMap, Timestamp, Violation, Xattr,
};
use proptest::prelude::*;

fn path(name: &[u8]) -> EntryPath {
    EntryPath::parse(name, &Limits::default()).unwrap()
}

/// An archive of these changes, each with the stored bytes of its content.
fn write(changes: &[(Change, Vec<u8>)]) -> Result<Vec<u8>, SinkError> {
    let mut writer = TarWriter::new(Vec::new());
    for (change, stored) in changes {
        writer.write(change, Data::of_change(change, &mut &stored[..]))?;
    }
    writer.finish()?;
    Ok(writer.into_inner())
}

/// The rule that refuses a change.
fn refusal(change: Change) -> Option<Violation> {
    write(&[(change, Vec::new())]).err().and_then(|error| error.error().violation().cloned())
}

/// All changes of an archive, with the stored bytes of their content. Nothing is odd about them.
fn read(archive: &[u8]) -> Vec<(Change, Vec<u8>)> {
    // A directory has a slash behind its name, and a whiteout four bytes before it.
    let limits = Limits::default().with(Limit::PathBytes, 4200);
    let mut reader = TarReader::new(archive, &limits);
    let mut changes = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        assert_eq!(entry.quirks, [], "{entry:?}");
        let mut stored = Vec::new();
        loop {
            let chunk = reader.source().chunk().unwrap().to_vec();
            if chunk.is_empty() {
                break;
            }
            reader.source().consume(chunk.len());
            stored.extend(chunk);
        }
        changes.push((Change::of(&entry, &limits).unwrap().unwrap(), stored));
    }
    assert_eq!(reader.end_quirks(), []);
    assert_eq!(reader.into_inner().len(), 0);
    changes
}

/// What is read of a change that was written: without what has no meaning.
fn canonical(mut change: Change) -> Change {
    match &mut change.kind {
        ChangeKind::Symlink { metadata, .. } => metadata.mode = 0o777,
        ChangeKind::HardLink { metadata, .. } => metadata.xattrs.clear(),
        ChangeKind::File { sparse, .. } | ChangeKind::PseudoLink { sparse, .. } => *sparse = None,
        _ => (),
    }
    if let Some(metadata) = metadata(&mut change) {
        metadata.xattrs.sort_by(|one, other| one.name.cmp(&other.name));
    }
    change
}

fn metadata(change: &mut Change) -> Option<&mut Metadata> {
    match &mut change.kind {
        ChangeKind::Directory(metadata) | ChangeKind::Fifo(metadata) => Some(metadata),
        ChangeKind::File { metadata, .. } | ChangeKind::PseudoLink { metadata, .. } => Some(metadata),
        ChangeKind::HardLink { metadata, .. } | ChangeKind::Symlink { metadata, .. } => Some(metadata),
        ChangeKind::Device { metadata, .. } => Some(metadata),
        ChangeKind::Whiteout | ChangeKind::OpaqueWhiteout | ChangeKind::Skipped(_) => None,
    }
}

/// The content of a change, with its holes as zeros.
fn content((change, stored): &(Change, Vec<u8>)) -> Vec<u8> {
    let mut source = &stored[..];
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut Data::of_change(change, &mut source), &mut bytes).unwrap();
    bytes
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = prop::collection::vec(any::<u8>(), 1..=255);
    prop_oneof![
        4 => "[a-zA-Z0-9._=% -]{1,40}".prop_map(String::into_bytes),
        2 => "[a-zé]{1,120}".prop_map(String::into_bytes),
        1 => prop::sample::select(vec![&b"PK\x03\x04"[..], b"MZ", b"\x1f\x8b", b"070701", b"#mtree", b"GNU.sparse.map"]).prop_map(<[u8]>::to_vec),
        2 => any_bytes.prop_map(|bytes| bytes.into_iter().map(|byte| if matches!(byte, 0 | b'/') { b'x' } else { byte }).collect()),
    ]
    .prop_filter("a component", |name| name.len() <= 255 && !matches!(&name[..], b"." | b"..") && !name.starts_with(b".wh."))
}

fn name() -> impl Strategy<Value = EntryPath> {
    prop::collection::vec(component(), 1..8).prop_map(|parts| path(&parts.join(&b'/')))
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0..1_i64 << 34, 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanoseconds)| Timestamp::known(seconds, nanoseconds)),
        (1 - i64::MAX..i64::MAX - 511).prop_map(Timestamp::of_seconds),
        (-5_000_000_000_i64..5_000_000_000).prop_map(Timestamp::of_seconds),
    ]
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let id = || prop_oneof![0..70_000_u32, 0..u32::MAX];
    let xattrs = prop::collection::btree_map("user\\.[a-zé. ]{1,30}", prop::collection::vec(any::<u8>(), 0..300), 0..4);
    (0..0o10000_u32, id(), id(), any_time(), xattrs).prop_map(|(mode, uid, gid, mtime, xattrs)| {
        // In an order of their own.
        let xattrs = xattrs.into_iter().rev().map(|(name, value)| Xattr { name: name.into_bytes(), value }).collect();
        Metadata { mode, uid, gid, mtime, xattrs }
    })
}

/// A file with its stored bytes: whole, or with holes of any length and segments of any alignment.
fn file() -> impl Strategy<Value = (u64, Option<SparseMap>, Vec<u8>)> {
    let whole = prop::collection::vec(any::<u8>(), 0..2000).prop_map(|bytes| (bytes.len() as u64, None, bytes));
    let runs = prop::collection::vec((0..3000_u64, 0..1200_u64), 1..10);
    let sparse = (runs, any::<u8>()).prop_map(|(runs, seed)| {
        let (mut segments, mut at) = (Vec::new(), 0);
        for (hole, length) in runs {
            segments.push(Segment { offset: at + hole, length });
            at += hole + length;
        }
        let stored: u64 = segments.iter().map(|segment| segment.length).sum();
        let bytes = (0..stored).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        (at, Some(SparseMap::new(segments, at, stored).unwrap()), bytes)
    });
    prop_oneof![whole, sparse]
}

fn change() -> impl Strategy<Value = (Change, Vec<u8>)> {
    let target = prop_oneof!["[a-z./]{1,60}".prop_map(String::into_bytes), prop::collection::vec(1..=255_u8, 1..4095)];
    let device = (any::<bool>(), 0..=Device::MAX_MAJOR, 1..=Device::MAX_MINOR).prop_map(|(character, major, minor)| {
        let kind = if character { DeviceKind::Character } else { DeviceKind::Block };
        Device { kind, major, minor }
    });
    let kind = prop_oneof![
        2 => any_metadata().prop_map(|metadata| (ChangeKind::Directory(metadata), Vec::new())),
        4 => (any_metadata(), file()).prop_map(|(metadata, (size, sparse, stored))| {
            (ChangeKind::File { metadata, size, sparse }, stored)
        }),
        1 => (name(), any_metadata()).prop_map(|(target, metadata)| (ChangeKind::HardLink { target, metadata }, Vec::new())),
        1 => (target, any_metadata()).prop_map(|(target, metadata)| {
            (ChangeKind::Symlink { metadata, target: LinkTarget::parse(&target).unwrap() }, Vec::new())
        }),
        1 => any_metadata().prop_map(|metadata| (ChangeKind::Fifo(metadata), Vec::new())),
        1 => (any_metadata(), device).prop_map(|(metadata, device)| (ChangeKind::Device { metadata, device }, Vec::new())),
        1 => Just((ChangeKind::Whiteout, Vec::new())),
        1 => Just((ChangeKind::OpaqueWhiteout, Vec::new())),
    ];
    (name(), kind).prop_map(|(path, (kind, stored))| (Change { path, kind }, stored))
}

proptest! {
    #[test]
    fn what_is_written_reads_back_without_a_quirk(changes in prop::collection::vec(change(), 0..6)) {
        let sparse_key = |(change, _): &(Change, Vec<u8>)| {
            let name = change.path.as_bytes();
            matches!(change.kind, ChangeKind::File { sparse: Some(_), .. })
                && name.windows(11).any(|bytes| bytes == b"GNU.sparse.")
        };
        prop_assume!(!changes.iter().any(sparse_key));
        let archive = write(&changes).unwrap();
        prop_assert_eq!(&write(&changes).unwrap(), &archive, "the same changes give the same bytes");
        let again = read(&archive);
        prop_assert_eq!(again.len(), changes.len());
        for (got, written) in again.iter().zip(&changes) {
            prop_assert_eq!(canonical(got.0.clone()), canonical(written.0.clone()));
            prop_assert_eq!(content(got), content(written));
        }
        // What was read is canonical already, maps of holes included.
        prop_assert_eq!(write(&again).unwrap(), archive);
    }

    /// Of a change that cannot be written not one byte is written.
    #[test]
    fn what_is_not_written_leaves_no_trace(change in change(), mode in 0o10000_u32..) {
        let (mut change, stored) = change;
        let Some(metadata) = metadata(&mut change) else { return Ok(()) };
        metadata.mode = mode;
        let mut writer = TarWriter::new(Vec::new());
        prop_assert!(writer.write(&change, Data::of_change(&change, &mut &stored[..])).is_err());
        prop_assert_eq!(writer.into_inner(), b"");
    }
}

fn file_with(metadata: Metadata) -> Change {
    Change { path: path(b"f"), kind: ChangeKind::File { metadata, size: 0, sparse: None } }
}

fn file_named(name: &[u8]) -> Change {
    Change { path: path(name), kind: ChangeKind::File { metadata: Metadata::default(), size: 0, sparse: None } }
}

#[test]
fn what_readers_would_read_differently_is_an_error() {
    let xattr = |name: &[u8]| {
        let xattrs = vec![Xattr { name: name.into(), value: b"v".into() }];
        file_with(Metadata { xattrs, ..Metadata::default() })
    };
    let time = |seconds, nanoseconds| {
        file_with(Metadata { mtime: Timestamp::known(seconds, nanoseconds), ..Metadata::default() })
    };
    let of = |name: &[u8], kind| Change { path: path(name), kind };
    let twice = Xattr { name: b"user.a".into(), value: b"".into() };
    let device = |major, minor| ChangeKind::Device {
        metadata: Metadata::default(),
        device: Device { kind: DeviceKind::Character, major, minor },
    };
    let link = |target: &[u8]| ChangeKind::HardLink { target: path(target), metadata: Metadata::default() };
    for (change, because) in [
        (time(-1, 1), "before 1970"),
        (time(i64::MIN, 0), "out of range"),
        (time(i64::MAX, 0), "out of range"),
        // Python stops in the middle of the archive at the next second after the last one that it takes.
        (time(9_223_372_036_854_775_296, 0), "out of range"),
        (xattr(b"user.a=b"), "`=`"),
        (xattr(b"user.a%3Db"), "`%3D`"),
        (xattr(b"user.%25"), "`%25`"),
        (xattr(b""), "empty"),
        (xattr(b"user.\0"), "NUL"),
        (xattr(&[b'x'; 256]), "too long"),
        (file_with(Metadata { xattrs: vec![twice.clone(), twice], ..Metadata::default() }), "twice"),
        (file_with(Metadata { mode: 0o100_644, ..Metadata::default() }), "mode"),
        (file_with(Metadata { uid: u32::MAX, ..Metadata::default() }), "owner"),
        (file_with(Metadata { gid: u32::MAX, ..Metadata::default() }), "owner"),
        (file_named(b"a/.wh.b"), "whiteout"),
        (file_named(b".wh..wh.plnk/1"), "whiteout"),
        (file_named(b""), "root"),
        (of(b"", ChangeKind::Whiteout), "root"),
        (of(b".wh.a", ChangeKind::Whiteout), "whiteout"),
        (of(b"a", link(b"")), "root"),
        (of(b"a", link(b".wh.b")), "whiteout"),
        (of(b"a", device(0, 0)), "device"),
        (of(b"a", device(4096, 0)), "device"),
        (of(b"a", ChangeKind::Skipped(Skippable::Fifo)), "skips"),
    ] {
        match refusal(change.clone()) {
            Some(Violation::Unwritable { because: reason }) => {
                assert!(reason.contains(because), "{reason}: {change:?}")
            }
            other => panic!("{change:?}: {other:?}"),
        }
    }
}

/// The header blocks of an archive of one entry.
fn head(change: Change) -> Vec<u8> {
    let mut archive = write(&[(change, Vec::new())]).unwrap();
    archive.truncate(archive.len() - 1024);
    archive
}

#[test]
fn plain_ustar_is_written_where_it_suffices() {
    let of_path = |name: &[u8]| head(file_named(name)).len() / 512;
    assert_eq!(of_path(b"etc/passwd"), 1);
    assert_eq!(of_path("größe/ключ".as_bytes()), 1, "a short name is bytes");
    assert_eq!(of_path(&[b'n'; 100]), 1);
    assert_eq!(of_path(&[b'n'; 101]), 3);
    assert_eq!(of_path(&[[b'd'; 155].as_slice(), &[b'n'; 100]].join(&b'/')), 1);
    assert_eq!(of_path(&[[b'd'; 155].as_slice(), &[b'n'; 101]].join(&b'/')), 3);
    let of = |metadata| head(file_with(metadata)).len() / 512;
    let id = |uid| of(Metadata { uid, ..Metadata::default() });
    assert_eq!((id(0o777_7777), id(0o1000_0000)), (1, 3));
    let time =
        |seconds, nanoseconds| of(Metadata { mtime: Timestamp::known(seconds, nanoseconds), ..Metadata::default() });
    assert_eq!((time((1 << 33) - 1, 0), time(1 << 33, 0), time(1, 1), time(-1, 0)), (1, 3, 3, 3));
}

#[test]
fn each_name_that_readers_would_convert_or_shorten_is_written_so_that_they_do_not() {
    let holds = |archive: &[u8], text: &str| archive.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    let binary = "21 hdrcharset=BINARY\n";
    let long = |letter: &str| letter.repeat(60);
    let to = |target: &str| {
        let kind = ChangeKind::Symlink {
            metadata: Metadata::default(),
            target: LinkTarget::parse(target.as_bytes()).unwrap(),
        };
        head(Change { path: path(b"l"), kind })
    };
    for letter in ["u\u{308}", "\u{fc}"] {
        assert!(holds(&head(file_named(long(letter).as_bytes())), binary), "{letter}");
        assert!(holds(&to(&long(letter)), binary), "{letter}");
    }
    assert!(!holds(&head(file_named(long("ab").as_bytes())), binary));
    for (name, written) in [
        ("C:/x", "./C:/x"),
        ("z:", "./z:"),
        ("\\x", "./\\x"),
        ("C", "C"),
        ("CC:", "CC:"),
        ("1:", "1:"),
        ("a\\x", "a\\x"),
    ] {
        assert!(head(file_named(name.as_bytes())).starts_with(format!("{written}\0").as_bytes()), "{name}");
        let kind = ChangeKind::HardLink { target: path(name.as_bytes()), metadata: Metadata::default() };
        let head = head(Change { path: path(b"l"), kind });
        assert!(head[157..].starts_with(format!("{written}\0").as_bytes()), "{name}");
        assert!(to(name)[157..].starts_with(format!("{name}\0").as_bytes()), "the target of a symbolic link is data");
    }
}

#[test]
fn an_archive_begins_like_no_other_format() {
    let names = [&b"MZ"[..], b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh91AY&SY", b"\x7fELF", b"xar!\0", b"Rar!\x1a\x07"];
    for name in names.map(|name| name.split(|&byte| byte == 0).next().unwrap()) {
        let archive = write(&[(file_named(name), Vec::new()), (file_named(name), Vec::new())]).unwrap();
        assert_eq!(read(&archive).len(), 2);
    }
    // A number that is not octal does no harm behind a PAX header.
    let first = Metadata { uid: 1 << 30, ..Metadata::default() };
    assert_eq!(&head(file_with(first))[..10], b"PaxHeaders");
}

#[test]
fn a_hole_of_any_size_costs_a_map() {
    let size = 1 << 40;
    let map = SparseMap::new(vec![Segment { offset: size - 10, length: 10 }], size, 10).unwrap();
    let change = Change {
        path: path(b"holes"),
        kind: ChangeKind::File { metadata: Metadata::default(), size, sparse: Some(map) },
    };
    // The rest of the last block belongs to the last segment.
    let data = b"0123456789".to_vec();
    let limits = Limits::default().with(Limit::FileBytes, Limit::OFF);
    let archive = write(&[(change.clone(), data)]).unwrap();
    assert_eq!(archive.len(), (3 + 1 + 1 + 2) * 512);
    let entry = TarReader::new(&archive[..], &limits).next_entry().unwrap().unwrap();
    let begin = size - 512;
    let ChangeKind::File { size: read, sparse: Some(map), .. } = Change::of(&entry, &limits).unwrap().unwrap().kind
    else {
        panic!("{entry:?}")
    };
    assert_eq!((read, map.segments()), (size, &[Segment { offset: begin, length: 512 }][..]));
}

/// More zeros than memory has, as they are read.
struct Zeros(Vec<u8>, u64);

impl Source for Zeros {
    fn chunk(&mut self) -> Result<&[u8], crate::words::Error> {
        let most = usize::try_from(self.1).unwrap().min(self.0.len());
        Ok(&self.0[..most])
    }

    fn consume(&mut self, bytes: usize) {
        self.1 -= bytes as u64;
    }
}

/// Keeps the first bytes, and counts all.
#[derive(Default)]
struct Front(Vec<u8>, u64);

impl std::io::Write for Front {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = 4096_usize.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_size_beyond_eleven_octal_digits_stands_in_both_headers() {
    let size = (1 << 33) + 1;
    let kind = ChangeKind::File { metadata: Metadata::default(), size, sparse: None };
    let change = Change { path: path(b"large"), kind };
    let mut writer = TarWriter::new(Front::default());
    let mut source = Zeros(vec![0; 1 << 20], size);
    writer.write(&change, Data::of_change(&change, &mut source)).unwrap();
    let Front(front, written) = writer.into_inner();
    assert_eq!(written, 3 * 512 + size.next_multiple_of(512));
    assert_eq!(&front[512..528], b"19 size=85899345");
    let entry = TarReader::new(&front[..], &Limits::default()).next_entry().unwrap().unwrap();
    assert_eq!((Change::of(&entry, &Limits::default()).unwrap(), entry.quirks), (Some(change), vec![]));
}

#[test]
fn an_archive_that_is_abandoned_is_truncated_wherever_it_stands() {
    let change = file_named(b"f");
    for entries in 0..3 {
        let mut writer = TarWriter::new(Vec::new());
        for _ in 0..entries {
            writer.write(&change, Data::of(&mut &b""[..])).unwrap();
        }
        writer.abandon();
        writer.abandon();
        let archive = writer.into_inner();
        assert_eq!(archive.len(), entries * 512 + 512);
        let mut reader = TarReader::new(&archive[..], &Limits::default());
        let read = std::iter::from_fn(|| reader.next_entry().transpose()).collect::<Result<Vec<_>, _>>();
        assert_eq!(read.unwrap_err().rule_id(), Some("truncated"));
    }
}
