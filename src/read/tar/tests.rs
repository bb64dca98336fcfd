//! Archives that are taken or refused, and by which rule.

// Redundant for the compiler; the guard of rooms reads it.
#[cfg(test)]
mod cases;
#[cfg(test)]
mod tails;

use super::build::{Archive, Header};
use super::{EndMark, TarReader};
use crate::words::{
    Blame, Device, DeviceKind, Entry, EntryKind, Error, FileKind, Limit, Limits, Policy, Quirk, Source, Timestamp,
    Verdict, Violation, Xattr,
};
use cases::CASES;

/// What was read from an archive.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) entries: Vec<(Entry, Vec<u8>)>,
    pub(super) quirks: Vec<&'static str>,
}

/// The end mark of an archive that a digest covers, or not.
pub(super) fn end_mark(covered: bool) -> EndMark {
    if covered { EndMark::Optional } else { EndMark::Required }
}

pub(super) fn read_with(archive: &[u8], limits: &Limits, covered: bool) -> Result<Read, Error> {
    read_judged(archive, limits, covered, |_| Ok(()))
}

fn read_judged(
    archive: &[u8],
    limits: &Limits,
    covered: bool,
    judge: fn(&[Quirk]) -> Result<(), Error>,
) -> Result<Read, Error> {
    let mut reader = TarReader::new(archive, limits).with_end_mark(end_mark(covered));
    let (mut entries, mut quirks) = (Vec::new(), Vec::new());
    loop {
        let read = reader.next_entry().and_then(|entry| {
            let Some(entry) = entry else { return Ok(None) };
            let content = drain(&mut reader.source());
            Ok(Some((entry, content.map_err(|error| error.at(reader.position()))?)))
        });
        match read {
            Ok(Some((entry, content))) => {
                judge(&entry.quirks).map_err(|error| error.at(reader.position()))?;
                quirks.extend(entry.quirks.iter().map(|quirk| quirk.id()));
                entries.push((entry, content));
            }
            Ok(None) => break,
            Err(error) => return Err(error),
        }
    }
    judge(reader.end_quirks()).map_err(|error| error.at(reader.position()))?;
    quirks.extend(reader.end_quirks().iter().map(|quirk| quirk.id()));
    assert!(reader.next_entry().unwrap().is_none(), "the end is the end");
    Ok(Read { entries, quirks })
}

/// Refuses what the default policy refuses, as the table of cases expects.
fn refuse_by_default(quirks: &[Quirk]) -> Result<(), Error> {
    let refused = quirks.iter().find(|quirk| Policy::default().verdict(quirk.rule()) == Verdict::Refuse);
    refused.map_or(Ok(()), |quirk| Err(quirk.clone().into()))
}

pub(super) fn drain(source: &mut impl Source) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    loop {
        let chunk = source.chunk()?;
        if chunk.is_empty() {
            return Ok(content);
        }
        content.extend_from_slice(chunk);
        let bytes = chunk.len();
        source.consume(bytes);
    }
}

/// The result of an archive under the default policy.
fn judged(archive: &[u8]) -> Result<Read, Error> {
    read_judged(archive, &Limits::default(), false, refuse_by_default)
}

fn read(archive: &[u8]) -> Result<Read, Error> {
    read_with(archive, &Limits::default(), false)
}

fn only(archive: &[u8]) -> Entry {
    let read = read(archive).unwrap();
    let [(entry, _)] = &read.entries[..] else { panic!("{} entries", read.entries.len()) };
    entry.clone()
}

fn refused(archive: &[u8]) -> Option<&'static str> {
    judged(archive).err().and_then(|error| error.rule_id())
}

fn a() -> Archive {
    Archive::default()
}

/// A header block with one bit of this byte changed after its checksum was summed.
fn flipped(at: usize) -> [u8; 512] {
    let mut block = Header::posix(b'0', b"f").block();
    block[at] ^= 0x08;
    block
}

#[test]
fn every_archive_is_taken_or_refused_by_its_rule() {
    for (name, archive, expected) in CASES {
        let got = match judged(&archive()) {
            Ok(read) => Ok(read.quirks),
            Err(error) => Err(error.rule_id().unwrap_or("no refusal")),
        };
        assert_eq!(got.as_deref().map_err(|id| *id), *expected, "{name}");
    }
}

#[test]
fn a_covered_archive_may_lack_its_end() {
    for archive in [a().cut(), a().file("f", b"data").cut()] {
        assert_eq!(read_with(&archive, &Limits::default(), true).ok().unwrap().quirks, ["no-end-blocks"]);
    }
    let cut = a().header(Header::posix(b'0', b"f").size(600)).zeros(599).cut();
    assert!(read_with(&cut, &Limits::default(), true).is_err(), "but must not end inside of something");
}

#[test]
fn every_part_of_an_entry_is_read() {
    let entry = only(
        &a().pax(&[
            ("path", b"etc/\xff"),
            ("uid", b"369884941"),
            ("mtime", b"-1.5"),
            ("SCHILY.xattr.user.a", b"\0=\n"),
            ("SCHILY.xattr.user.b", b""),
        ])
        .header(Header::posix(b'0', b"cut").bytes(100, b"0104755\0").bytes(116, b"0000005\0"))
        .end(),
    );
    assert_eq!((entry.number, entry.offset, entry.path.as_bytes()), (1, 0, &b"etc/\xff"[..]));
    assert_eq!(entry.kind, EntryKind::File { size: 0, sparse: None });
    assert_eq!((entry.metadata.mode, entry.metadata.uid, entry.metadata.gid), (0o4755, 369_884_941, 5));
    assert_eq!(entry.metadata.mtime, Timestamp::known(-2, 500_000_000));
    let xattr = |name: &[u8], value: &[u8]| Xattr { name: name.to_vec(), value: value.to_vec() };
    assert_eq!(entry.metadata.xattrs, [xattr(b"user.a", b"\0=\n"), xattr(b"user.b", b"")]);
}

#[test]
fn every_type_is_read() {
    let device = |kind| EntryKind::Device(Device { kind, major: 5, minor: 1 });
    let numbers = |raw: Header| raw.bytes(329, b"0000005\0").bytes(337, b"0000001\0");
    let rows = [
        (Header::posix(b'5', b"d/"), EntryKind::Directory),
        (Header::posix(b'6', b"p"), EntryKind::Fifo),
        (Header::posix(b'1', b"h").target(b"../a"), EntryKind::HardLink { target: b"../a".to_vec() }),
        (numbers(Header::posix(b'3', b"c")), device(DeviceKind::Character)),
        (numbers(Header::gnu(b'4', b"b")), device(DeviceKind::Block)),
    ];
    for (raw, kind) in rows {
        assert_eq!(only(&a().header(raw).end()).kind, kind);
    }
    let link = only(&a().long_link(b"../up\0").header(Header::gnu(b'2', b"l").target(b"cut")).end());
    assert!(matches!(link.kind, EntryKind::Symlink { target } if target.as_bytes() == b"../up"));
}

#[test]
fn names_come_from_where_they_count() {
    let name = |archive: Archive| only(&archive.end()).path.as_bytes().to_vec();
    let long = [b'n'; 100];
    assert_eq!(name(a().header(Header::posix(b'0', long))), long);
    assert_eq!(name(a().header(Header::posix(b'0', b"n").prefix(b"p/q"))), b"p/q/n");
    let prefix = b"p/".repeat(78);
    assert_eq!(name(a().header(Header::posix(b'0', b"n").prefix(&prefix[..155]))), [&prefix[..155], b"/n"].concat());
    assert_eq!(name(a().header(Header::gnu(b'0', b"n").prefix(b"p/q"))), b"p/q/n");
    assert_eq!(name(a().header(Header::v7(b'0', b"n").prefix(b"p/q"))), b"n");
    assert_eq!(name(a().pax(&[("path", b"p")]).file("n", b"")), b"p");
    assert_eq!(name(a().pax(&[("path", b"")]).file("n", b"")), b"n");
    assert_eq!(name(a().pax(&[("path", b"p")]).long_name(b"g\0").file("n", b"")), b"g");
    assert_eq!(name(a().pax(&[("path", b"a"), ("path", b"b")]).file("n", b"")), b"b");
    assert_eq!(name(a().pax(&[("path", b"a"), ("path", b"")]).file("n", b"")), b"n");
    assert_eq!(name(a().global(&[("path", b"g")]).file("n", b"")), b"n");
}

#[test]
fn an_offset_is_that_of_the_first_extended_header() {
    let archive = a().file("a", b"data").global(&[("comment", b"c")]).pax(&[]).long_name(b"n\0").file("b", b"").end();
    let read = read(&archive).ok().unwrap();
    let places: Vec<_> = read.entries.iter().map(|(entry, _)| (entry.number, entry.offset)).collect();
    assert_eq!(places, [(1, 0), (2, 2048)]);
}

#[test]
fn a_fault_has_its_position() {
    let archive = a().file("a", b"data").pax(&[]).file("b/../c", b"").end();
    let error = read(&archive).err().unwrap();
    assert_eq!((error.rule_id(), error.blame()), (Some("name-climbs"), Blame::Archive));
    let position = error.position();
    assert_eq!(position.to_string(), r#"entry 2, byte 1024, "b/../c""#);
    let error = judged(&a().file("a", b"").zeros(1024).bytes(b"x").cut()).err().unwrap();
    assert_eq!(error.position().to_string(), "byte 512");
    let error = read(&a().file("a", [1; 600]).cut()[..1100]).err().unwrap();
    assert_eq!(error.position().to_string(), r#"entry 1, byte 0, "a""#);
}

#[test]
fn an_archive_without_an_end_ends_at_the_limit() {
    let limits = Limits::default().with(Limit::LayerBytes, 1 << 20);
    for start in [a().file("f", b"data").cut(), a().cut(), a().header(Header::posix(b'0', b"f").size(1 << 30)).cut()] {
        let endless = std::io::BufReader::new(std::io::Read::chain(&start[..], std::io::repeat(0)));
        let mut reader = TarReader::new(endless, &limits).with_end_mark(EndMark::Optional);
        let error = loop {
            match reader.next_entry() {
                Ok(entry) => assert!(entry.is_some(), "the end of what has none"),
                Err(error) => break error,
            }
        };
        let exceeded = Violation::LimitExceeded { limit: Limit::LayerBytes, most: 1 << 20, amount: (1 << 20) + 1 };
        assert_eq!(error.kind().to_string(), exceeded.to_string());
    }
}

#[test]
fn two_sizes_agree_wherever_the_header_can_hold_its_own() {
    const GIB: u64 = 1 << 30;
    let base_256 = |size: u64| [&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat();
    let octal = |size: u64| format!("{size:011o}\0").into_bytes();
    let rows = [
        (octal(0), 8 * GIB, None),
        (octal(8 * GIB - 1), 8 * GIB, None),
        (base_256(9 * GIB), 9 * GIB, None),
        (base_256(9 * GIB), 10 * GIB, Some("size-disagrees")),
        (base_256(9 * GIB), 5, Some("size-disagrees")),
        (octal(5), 8 * GIB - 1, Some("size-disagrees")),
    ];
    for (field, pax, expected) in rows {
        let header = Header::posix(b'0', b"f").bytes(124, &field);
        let archive = a().pax(&[("size", pax.to_string().as_bytes())]).header(header).cut();
        let entry = TarReader::new(&archive[..], &Limits::default()).next_entry().unwrap().unwrap();
        assert_eq!(entry.kind, EntryKind::File { size: pax, sparse: None });
        assert_eq!(entry.quirks.first().map(Quirk::id), expected, "{} {pax}", field.escape_ascii());
    }
}

#[test]
fn what_is_no_tar_is_called_that() {
    let rows: &[(&[u8], &str)] = &[
        (&[b'x'; 4096], "not-a-tar"),
        (&[0xff; 512], "not-a-tar"),
        (b"{\"schemaVersion\":2}", "not-a-tar"),
        (&[b'x'; 511], "not-a-tar"),
        (b"x", "not-a-tar"),
        // A layer that was compressed twice, long and short.
        (&[&b"\x1f\x8b\x08\0"[..], &[0xaa; 600]].concat(), "not-a-tar"),
        (&[&b"\x28\xb5\x2f\xfd"[..], &[0xaa; 600]].concat(), "not-a-tar"),
        (b"\xfd7zXZ\0\0\x04", "not-a-tar"),
        (b"BZh91AY&SY\0", "not-a-tar"),
        (b"\x04\x22\x4d\x18\0", "not-a-tar"),
        (&[0xff, 0, 1, 2], "not-a-tar"),
        (&[&[b'x', 0][..], &[b'@'; 200]].concat(), "not-a-tar"),
        // The beginnings of a header and of an end mark: only one with the magic shows that there was an archive.
        (&flipped(0)[..511], "truncated"),
        (&flipped(0)[..265], "truncated"),
        (&flipped(0)[..256], "not-a-tar"),
        (&[0; 1], "not-a-tar"),
        (&[0; 511], "not-a-tar"),
        (&flipped(0), "header-checksum"),
        (&flipped(149), "number"),
    ];
    for (bytes, id) in rows {
        assert_eq!(refused(bytes), Some(*id), "{}", bytes[..bytes.len().min(8)].escape_ascii());
    }
    let behind = a().file("f", b"").bytes(&[b'x'; 512]).end();
    assert_eq!(refused(&behind), Some("number"));
}

#[test]
fn what_is_no_tar_is_called_by_its_name_wherever_its_signature_lies() {
    let at = |place: usize, signature: &[u8]| {
        let mut file = vec![0; place];
        file.extend_from_slice(signature);
        file.resize(70_000, 0);
        file
    };
    let rows = [
        (at(0, b"QFI\xfb"), Some(FileKind::Qcow2)),
        (at(0, b"\xed\xab\xee\xdb"), Some(FileKind::Rpm)),
        (at(510, b"\x55\xaa"), Some(FileKind::Disk)),
        // In front of these lie zeros, which would be the end of an archive of nothing.
        (at(1_024, &[&[1; 56][..], b"\x53\xef"].concat()), Some(FileKind::Ext)),
        (at(1_024, b"\xe2\xe1\xf5\xe0"), Some(FileKind::Erofs)),
        (at(32_768, b"\x01CD001"), Some(FileKind::Iso)),
        (at(65_536, &[&[1; 64][..], b"_BHRfS_M"].concat()), Some(FileKind::Btrfs)),
        // Nothing that is known: as before.
        (at(1_024, b"something"), None),
        (at(600, b"something"), None),
    ];
    for (file, expected) in rows {
        for chunk in [512, 700, 70_000] {
            let mut reader = TarReader::new(std::io::BufReader::with_capacity(chunk, &file[..]), &Limits::default())
                .with_end_mark(EndMark::Optional);
            let got = reader.next_entry();
            let found = match got.as_ref().err().and_then(Error::violation) {
                Some(Violation::NotATar { found }) => Some(*found),
                _ => None,
            };
            assert_eq!(found, expected, "{chunk}: {got:?}");
        }
    }
    // Behind entries the same bytes are data behind the end, and no disk.
    let behind = [a().file("f", b"").end(), at(1_024, &[&[1; 56][..], b"\x53\xef"].concat())].concat();
    let mut reader = TarReader::new(&behind[..], &Limits::default()).with_end_mark(EndMark::Optional);
    assert!(reader.next_entry().unwrap().is_some());
    assert!(reader.next_entry().unwrap().is_none());
    assert_eq!(reader.end_quirks().first().map(Quirk::id), Some("data-after-end"));
}

/// What comes behind the first block is read to name the file; where that fails, the reader is to blame.
#[test]
fn a_reader_that_fails_while_a_file_is_told_apart_is_what_is_said() {
    struct Fails;
    impl std::io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    let reader = |first| std::io::BufReader::new(std::io::Read::chain(first, Fails));
    let error = TarReader::new(reader(&[0xa5; 512][..]), &Limits::default()).next_entry().unwrap_err();
    assert_eq!(error.blame(), Blame::System, "{error:?}");
    // What follows an end is not read for it.
    let archive = [&[0; 1_024][..], &[1; 512]].concat();
    let mut ended = TarReader::new(reader(&archive), &Limits::default()).with_end_mark(EndMark::Optional);
    assert!(ended.next_entry().unwrap().is_none());
    assert_eq!(ended.end_quirks().first().map(Quirk::id), Some("data-after-end"));
}

/// Is interrupted before every piece, and so before each look for what may still come at the end.
struct Interrupted<'a> {
    bytes: &'a [u8],
    /// What is left of the current piece.
    left: usize,
    pause: bool,
}

impl std::io::Read for Interrupted<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let got = std::io::Read::read(&mut std::io::BufRead::fill_buf(self)?, out)?;
        std::io::BufRead::consume(self, got);
        Ok(got)
    }
}

impl std::io::BufRead for Interrupted<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.left == 0 {
            self.pause = !self.pause;
            if self.pause {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            self.left = self.bytes.len().min(700);
        }
        Ok(&self.bytes[..self.left])
    }

    fn consume(&mut self, bytes: usize) {
        self.left -= bytes;
        self.bytes = &self.bytes[bytes..];
    }
}

#[test]
fn a_reader_that_is_interrupted_at_its_end_has_not_failed() {
    let archive = a().file("f", b"x").end();
    for (bytes, expected) in [(&archive[..], None), (&archive[..900], Some("truncated"))] {
        let mut reader = TarReader::new(Interrupted { bytes, left: 0, pause: false }, &Limits::default());
        assert!(reader.next_entry().unwrap().is_some());
        let end = reader.next_entry().map(|entry| assert!(entry.is_none()));
        assert_eq!(end.map_err(|error| error.rule_id().unwrap()).err(), expected);
    }
}

#[test]
fn extended_headers_that_are_forgotten_are_no_entry() {
    let archive = a().pax(&[]).global(&[]).file("f", b"").file("g", b"").end();
    let numbers: Vec<_> = read(&archive).unwrap().entries.iter().map(|(entry, _)| entry.number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn limits_hold() {
    let with = |limit, most| Limits::default().with(limit, most);
    let two = a().file("a", b"data").file("b", b"data").end();
    let attributes = a().pax(&[("SCHILY.xattr.a", b"1"), ("SCHILY.xattr.b", b"2")]).file("f", b"").end();
    let rows = [
        (Limit::Entries, 2, &two),
        (Limit::Headers, 2, &two),
        (Limit::Headers, 2, &attributes),
        (Limit::LayerBytes, two.len() as u64, &two),
        (Limit::FileBytes, 4, &two),
        (Limit::Xattrs, 2, &attributes),
        (Limit::XattrBytes, 4, &attributes),
        (Limit::ExtendedHeaderBytes, 40, &attributes),
    ];
    for (limit, most, archive) in rows {
        assert!(read_with(archive, &with(limit, most), false).is_ok(), "{limit}");
        let error = read_with(archive, &with(limit, most - 1), false).err().unwrap();
        let exceeded = Violation::LimitExceeded { limit, most: most - 1, amount: most };
        assert_eq!(error.kind().to_string(), exceeded.to_string());
    }
}

#[test]
fn what_is_unread_is_passed_over_and_an_error_is_final() {
    let archive = a().file("a", [1; 2000]).file("b", b"data").bytes(&flipped(0)).end();
    let mut reader = TarReader::new(&archive[..], &Limits::default());
    reader.next_entry().unwrap();
    reader.source().consume(700);
    reader.source().consume(0);
    assert_eq!(reader.next_entry().unwrap().unwrap().path.as_bytes(), b"b");
    assert_eq!(drain(&mut reader.source()).unwrap(), b"data");
    assert!(reader.source().chunk().unwrap().is_empty());
    reader.next_entry().unwrap_err();
    assert!(reader.next_entry().unwrap_err().misuse().is_some());
}

#[test]
fn behind_an_entry_that_is_refused_reading_goes_on_where_its_end_is_beyond_doubt() {
    type Refused = (&'static str, fn() -> Archive, &'static str, bool);
    let rows: &[Refused] = &[
        ("an owner", || a().with(Header::posix(b'0', b"f").bytes(108, b"zzzzzzzz"), [1; 700]), "number", true),
        ("a link to nothing", || a().header(Header::posix(b'2', b"l")), "link-target-empty", true),
        ("an unknown type", || a().with(Header::gnu(b'M', b"f"), [1; 700]), "entry-type", true),
        ("a name", || a().with(Header::gnu(b'0', b"f").prefix(b"\x01"), [1; 700]), "number", true),
        ("a name that climbs", || a().with(Header::posix(b'0', b"../f"), [1; 700]), "name-climbs", true),
        (
            "an owner beside a size that is said twice",
            || a().pax(&[("size", b"700")]).with(Header::posix(b'0', b"f").bytes(108, b"x"), [1; 700]),
            "number",
            true,
        ),
        (
            "an owner beside two sizes",
            || a().pax(&[("size", b"5")]).with(Header::posix(b'0', b"f").bytes(108, b"x"), [1; 700]),
            "number",
            false,
        ),
        ("a size", || a().header(Header::posix(b'0', b"f").bytes(124, b"x")), "number", false),
        ("a directory with data", || a().with(Header::posix(b'5', b"d").bytes(108, b"x"), [1; 700]), "number", false),
        ("an old directory with data", || a().with(Header::v7(0, b"d/").bytes(108, b"x"), [1; 700]), "number", false),
        ("a map in blocks", || a().header(Header::gnu(b'S', b"s").bytes(482, b"\x02")), "sparse", false),
        ("a record", || a().with(Header::posix(b'x', b"x"), b"8 path=a\n").file("f", b""), "pax-record", false),
    ];
    for (name, refused, id, goes_on) in rows {
        let archive = refused().file("behind", b"data").end();
        let mut reader = TarReader::new(&archive[..], &Limits::default());
        let error = reader.next_entry().unwrap_err();
        assert_eq!((error.rule_id(), error.position()), (Some(*id), &reader.position()), "{name}");
        assert_eq!((error.position().entry, error.position().offset), (Some(1), Some(0)), "{name}");
        assert_eq!(reader.can_go_on(), *goes_on, "{name}");
        if *goes_on {
            let entry = reader.next_entry().unwrap().unwrap();
            assert_eq!((entry.number, entry.path.as_bytes()), (2, &b"behind"[..]), "{name}");
            assert_eq!(drain(&mut reader.source()).unwrap(), b"data", "{name}");
            assert!(reader.next_entry().unwrap().is_none(), "{name}");
        }
    }
}

#[test]
fn no_cut_archive_is_taken_for_a_whole_one() {
    let archive = a().pax(&[("uid", b"1")]).file("a", b"data").long_name(b"n\0").file("b", b"x").end();
    // Only the second end block can be missed without harm.
    for length in 0..archive.len() - 512 {
        assert!(refused(&archive[..length]).is_some(), "{length}");
    }
}
