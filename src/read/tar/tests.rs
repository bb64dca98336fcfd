//! Archives that are taken or refused, and by which rule.

use super::TarReader;
use super::build::{Archive, Raw};
use crate::words::{
    Blame, Device, DeviceKind, Entry, EntryKind, Error, Fault, Limit, Limits, Policy, Quirk, Source, Timestamp,
    Verdict, Violation, Xattr,
};

/// What an archive comes to.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) entries: Vec<(Entry, Vec<u8>)>,
    pub(super) quirks: Vec<&'static str>,
}

pub(super) fn read_with(archive: &[u8], limits: &Limits, covered: bool) -> Result<Read, Error> {
    read_judged(archive, limits, covered, |_| Ok(()))
}

fn read_judged(
    archive: &[u8],
    limits: &Limits,
    covered: bool,
    judge: fn(&[Quirk]) -> Result<(), Fault>,
) -> Result<Read, Error> {
    let mut reader = TarReader::new(archive, limits, covered);
    let (mut entries, mut quirks) = (Vec::new(), Vec::new());
    loop {
        let read = reader.next_entry().and_then(|entry| {
            let Some(entry) = entry else { return Ok(None) };
            let content = drain(&mut reader.source())?;
            Ok(Some((entry, content)))
        });
        match read {
            Ok(Some((entry, content))) => {
                judge(&entry.quirks).map_err(|fault| fault.at(reader.position()))?;
                quirks.extend(entry.quirks.iter().map(|quirk| quirk.id()));
                entries.push((entry, content));
            }
            Ok(None) => break,
            Err(fault) => return Err(fault.at(reader.position())),
        }
    }
    judge(reader.end_quirks()).map_err(|fault| fault.at(reader.position()))?;
    quirks.extend(reader.end_quirks().iter().map(|quirk| quirk.id()));
    assert!(reader.next_entry().unwrap().is_none(), "the end is the end");
    Ok(Read { entries, quirks })
}

/// The table says what comes of an archive under the default policy.
fn refuse_by_default(quirks: &[Quirk]) -> Result<(), Fault> {
    let refused = quirks.iter().find(|quirk| Policy::default().verdict(quirk.rule()) == Verdict::Refuse);
    refused.map_or(Ok(()), |quirk| Err(quirk.clone().into()))
}

pub(super) fn drain(source: &mut impl Source) -> Result<Vec<u8>, Fault> {
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

/// What comes of an archive under the default policy.
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

/// An `x` header with these records, and a file.
fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    a().pax(records).file("f", b"").end()
}

/// An `x` header with this content, and a file.
fn pax_content(content: &[u8]) -> Vec<u8> {
    a().with(Raw::posix(b'x', b"x"), content).file("f", b"").end()
}

type Case = (&'static str, fn() -> Vec<u8>, Result<&'static [&'static str], &'static str>);

/// A sentence, an archive, and what comes of it: the quirks it is taken with, or the rule that refuses it.
const CASES: &[Case] = &[
    // Types.
    ("a file", || a().file("f", b"data").end(), Ok(&[])),
    ("a file of the old type", || a().with(Raw::old(0, b"f"), b"data").end(), Ok(&[])),
    ("a contiguous file", || a().with(Raw::posix(b'7', b"f"), b"data").end(), Ok(&["contiguous-file"])),
    ("an old directory, by its slash", || a().raw(Raw::old(0, b"d/")).end(), Ok(&[])),
    ("a new file with a slash", || a().raw(Raw::posix(b'0', b"d/")).end(), Err("file-with-slash")),
    ("a contiguous file with a slash", || a().raw(Raw::posix(b'7', b"d/")).end(), Err("file-with-slash")),
    ("an old directory with content", || a().with(Raw::old(0, b"d/"), b"data").end(), Err("file-with-slash")),
    (
        "a file whose cut name alone ends in a slash",
        || a().pax(&[("path", b"dir/file")]).file("dir/", b"data").end(),
        Ok(&[]),
    ),
    (
        "a file whose long name alone ends in a slash",
        || a().long_name(b"dir/\0").file("dir", b"").end(),
        Err("file-with-slash"),
    ),
    ("a directory with a size", || a().with(Raw::posix(b'5', b"d"), b"data").end(), Err("size-without-data")),
    ("a hard link with a size", || a().raw(Raw::posix(b'1', b"l").size(1)).end(), Err("size-without-data")),
    (
        "a symbolic link with a size",
        || a().raw(Raw::posix(b'2', b"l").target(b"t").size(1)).end(),
        Err("size-without-data"),
    ),
    ("a named pipe with a size", || a().raw(Raw::posix(b'6', b"p").size(1)).end(), Err("size-without-data")),
    ("a device with a size", || a().raw(Raw::posix(b'3', b"d").size(1)).end(), Err("size-without-data")),
    ("a symbolic link to nothing", || a().raw(Raw::posix(b'2', b"l")).end(), Err("link-target-empty")),
    ("a hard link to nothing, left to the judge", || a().raw(Raw::posix(b'1', b"l")).end(), Ok(&[])),
    (
        "an old sparse file",
        || a().raw(Raw::gnu(b'S', b"s").bytes(386, b"00000000000\x0000000000000\0")).end(),
        Ok(&["old-sparse-file"]),
    ),
    ("a PAX sparse file", || pax(&[("GNU.sparse.major", b"1")]), Err("sparse")),
    ("a star sparse file", || pax(&[("SCHILY.realsize", b"1")]), Err("sparse")),
    ("a multi-volume header", || a().raw(Raw::gnu(b'M', b"f")).end(), Err("entry-type")),
    ("a volume label", || a().raw(Raw::gnu(b'V', b"label")).end(), Err("entry-type")),
    ("a Solaris extended header", || a().raw(Raw::posix(b'X', b"x")).end(), Err("entry-type")),
    // Names.
    ("a name that climbs", || a().file("a/../b", b"").end(), Err("name-climbs")),
    ("a PAX name that climbs", || pax(&[("path", b"..")]), Err("name-climbs")),
    ("a prefix that climbs", || a().raw(Raw::posix(b'0', b"f").prefix(b"..")).end(), Err("name-climbs")),
    ("a PAX name with a NUL", || pax(&[("path", b"a\0b")]), Err("name-nul")),
    ("a PAX link with a NUL", || pax(&[("linkpath", b"a\0b")]), Err("link-target-nul")),
    (
        "a GNU header with a prefix",
        || a().raw(Raw::gnu(b'0', b"f").prefix(b"some/long/directory")).end(),
        Ok(&["gnu-prefix"]),
    ),
    (
        "a GNU header with a prefix as long as a field",
        || a().raw(Raw::gnu(b'0', b"f").prefix(&[b'p'; 155])).end(),
        Ok(&["gnu-prefix"]),
    ),
    (
        "a GNU header with times",
        || a().raw(Raw::gnu(b'0', b"f").prefix(b"13773573637\x0013773573637\0")).end(),
        Ok(&[]),
    ),
    (
        "a GNU header with neither times nor a prefix",
        || a().raw(Raw::gnu(b'0', b"f").prefix(b"\x01\x02\x03")).end(),
        Err("number"),
    ),
    (
        "an old header with something where a prefix would stand",
        || a().raw(Raw::old(0, b"f").prefix(b"\x01..")).end(),
        Err("header-dialect"),
    ),
    (
        "an old header with something behind the NUL of no prefix",
        || a().raw(Raw::old(0, b"f").prefix(b"\0rubbish")).end(),
        Ok(&[]),
    ),
    (
        "a header of no known dialect with a prefix",
        || a().raw(Raw::old(b'0', b"f").bytes(257, b"ustar00\0").prefix(b"p")).end(),
        Err("header-dialect"),
    ),
    (
        "a header of no known dialect without a prefix",
        || a().raw(Raw::old(b'0', b"f").bytes(257, b"ustar00\0")).end(),
        Ok(&[]),
    ),
    (
        "a header of no known dialect whose name is elsewhere",
        || a().pax(&[("path", b"f")]).raw(Raw::old(b'0', b"f").prefix(b"p")).end(),
        Ok(&[]),
    ),
    (
        "a device of the old type",
        || a().raw(Raw::old(b'4', b"d").bytes(329, b"0000005\0")).end(),
        Err("header-dialect"),
    ),
    (
        "a star header with a prefix",
        || a().raw(Raw::posix(b'0', b"f").prefix(b"p/q").bytes(508, b"tar\0")).end(),
        Ok(&[]),
    ),
    (
        "a star header with a prefix longer than star has it",
        || a().raw(Raw::posix(b'0', b"f").prefix(&[b'p'; 132]).bytes(508, b"tar\0")).end(),
        Err("header-dialect"),
    ),
    // Numbers.
    ("a checksum summed signed", || a().bytes(&Raw::posix(b'0', b"\xff").block_summed_signed()).end(), Ok(&[])),
    ("a checksum that is off by one", || a().bytes(&flipped(0)).end(), Err("header-checksum")),
    ("a checksum that is no number", || a().bytes(&flipped(149)).end(), Err("number")),
    ("a size that is no number", || a().raw(Raw::posix(b'0', b"f").bytes(124, b"1x")).end(), Err("number")),
    ("a negative size", || a().raw(Raw::gnu(b'0', b"f").bytes(124, &[0xff; 12])).end(), Err("number")),
    ("a mode with the file type", || a().raw(Raw::posix(b'0', b"f").bytes(100, b"0100644\0")).end(), Ok(&[])),
    ("a mode with more than that", || a().raw(Raw::posix(b'0', b"f").bytes(100, b"0200644\0")).end(), Err("number")),
    ("the largest owner", || a().raw(Raw::gnu(b'0', b"f").bytes(108, b"\x80\0\0\0\xff\xff\xff\xfe")).end(), Ok(&[])),
    (
        "the owner that means none",
        || a().raw(Raw::gnu(b'0', b"f").bytes(108, b"\x80\0\0\0\xff\xff\xff\xff")).end(),
        Err("number"),
    ),
    ("a negative group", || a().raw(Raw::gnu(b'0', b"f").bytes(116, &[0xff; 8])).end(), Err("number")),
    ("a negative time", || a().raw(Raw::gnu(b'0', b"f").bytes(136, &[0xff; 12])).end(), Ok(&[])),
    ("device numbers on a file", || a().raw(Raw::posix(b'0', b"f").bytes(329, b"rubbish")).end(), Ok(&[])),
    ("rubbish device numbers", || a().raw(Raw::posix(b'3', b"d").bytes(329, b"rubbish")).end(), Err("number")),
    (
        "a PAX owner over a field that is no number",
        || a().pax(&[("uid", b"1")]).raw(Raw::posix(b'0', b"f").bytes(108, b"x")).end(),
        Err("number"),
    ),
    ("padding that is not zero", || a().raw(Raw::posix(b'0', b"f").size(1)).bytes(&[b'x'; 512]).end(), Ok(&[])),
    // Extended headers.
    ("a long name and a long link", || a().long_name(b"n\0").long_link(b"t\0").directory("d").end(), Ok(&[])),
    ("a long name without a NUL", || a().long_name(b"n").file("f", b"").end(), Ok(&[])),
    ("a long name with many NULs", || a().long_name(b"n\0\0\0").file("f", b"").end(), Ok(&[])),
    ("a long name with more behind its NUL", || a().long_name(b"n\0m").file("f", b"").end(), Err("long-name-trailing")),
    (
        "a long name with more behind its size",
        || a().raw(Raw::gnu(b'L', b"L").size(1)).bytes(b"nm").zeros(510).file("f", b"").end(),
        Err("long-name-trailing"),
    ),
    (
        "a PAX header with a record behind its size",
        || a().raw(Raw::posix(b'x', b"x").size(9)).bytes(b"9 path=a\n9 path=b\n").zeros(494).file("f", b"").end(),
        Err("pax-padding"),
    ),
    (
        "a global header with something behind its size",
        || a().raw(Raw::posix(b'g', b"g").size(0o16)).bytes(b"14 comment=ab\nx").zeros(497).file("f", b"").end(),
        Err("pax-padding"),
    ),
    ("an empty long name", || a().long_name(b"").file("f", b"").end(), Err("name-empty")),
    ("an empty long link", || a().long_link(b"\0").file("f", b"").end(), Err("link-target-empty")),
    ("two long names", || a().long_name(b"n\0").long_name(b"n\0").file("f", b"").end(), Err("extended-header-twice")),
    (
        "two PAX headers, the first of them empty",
        || a().pax(&[]).pax(&[]).file("f", b"").end(),
        Err("extended-header-twice"),
    ),
    ("a long name at the end", || a().long_name(b"n\0").end(), Err("extended-header-alone")),
    ("a PAX header where the stream ends", || a().pax(&[]).cut(), Err("extended-header-alone")),
    (
        "a global header between a PAX header and its entry",
        || a().pax(&[]).global(&[]).file("f", b"").end(),
        Err("extended-header-alone"),
    ),
    ("a malformed record", || pax_content(b"8 path=a\n"), Err("pax-record")),
    ("zeros behind the last record", || pax_content(b"9 path=a\n\0"), Err("pax-padding")),
    ("a PAX key twice alike", || pax(&[("path", b"a"), ("path", b"a")]), Ok(&["pax-key-alike"])),
    ("a PAX key twice", || pax(&[("path", b"a"), ("path", b"b")]), Err("pax-key-twice")),
    ("many unknown keys", || pax(&[("VENDOR.a", b"1"), ("VENDOR.b", b"2")]), Ok(&["pax-unknown-key"])),
    (
        "keys that are known and change nothing",
        || {
            pax(&[
                ("atime", b"1.5"),
                ("ctime", b"-1"),
                ("uname", b"root"),
                ("gname", b""),
                ("comment", b"hello"),
                ("hdrcharset", b"BINARY"),
                ("LIBARCHIVE.creationtime", b"1"),
                ("SCHILY.dev", b"1"),
                ("SCHILY.ino", b"1"),
                ("SCHILY.nlink", b"1"),
                ("MSWINDOWS.rawsd", b"AQ=="),
            ])
        },
        Ok(&[]),
    ),
    ("a PAX path of nothing", || pax(&[("path", b"")]), Err("pax-empty-name")),
    ("a PAX link target of nothing", || pax(&[("linkpath", b"")]), Err("pax-empty-name")),
    ("a PAX size of nothing", || pax(&[("size", b"")]), Err("pax-empty-size")),
    ("a PAX owner of nothing", || pax(&[("uid", b"")]), Ok(&["pax-empty"])),
    ("a PAX group and a time of nothing", || pax(&[("gid", b""), ("mtime", b"")]), Ok(&["pax-empty"])),
    ("PAX records of nothing that change nothing", || pax(&[("atime", b""), ("uname", b"")]), Ok(&[])),
    (
        "an attribute in both of bsdtar's forms",
        || {
            pax(&[
                ("LIBARCHIVE.xattr.user.a%20b%3Dc%25", b"AP89CjE"),
                ("SCHILY.xattr.user.a%20b%3Dc%25", b"\0\xff=\n1"),
                ("LIBARCHIVE.xattr.user.d%20e", b""),
                ("SCHILY.xattr.user.d e", b""),
            ])
        },
        Ok(&[]),
    ),
    (
        "an attribute in both of bsdtar's forms, with two values",
        || pax(&[("LIBARCHIVE.xattr.user.a", b"MQ"), ("SCHILY.xattr.user.a", b"2")]),
        Ok(&["xattr-dropped"]),
    ),
    (
        "an attribute in bsdtar's own form alone",
        || pax(&[("LIBARCHIVE.xattr.user.a", b"MQ"), ("SCHILY.xattr.user.b", b"1")]),
        Ok(&["xattr-dropped"]),
    ),
    ("an owner with a sign", || pax(&[("uid", b"+1")]), Err("pax-value")),
    ("a group that means none", || pax(&[("gid", b"4294967295")]), Err("pax-value")),
    ("a time that is no number", || pax(&[("mtime", b"now")]), Err("pax-value")),
    ("an access time that is no number", || pax(&[("atime", b"now")]), Err("pax-value")),
    ("a size beyond all files", || pax(&[("size", b"9223372036854775808")]), Err("pax-value")),
    ("a size said twice alike", || a().pax(&[("size", b"4")]).file("f", b"data").end(), Ok(&[])),
    ("a size said in two ways", || a().pax(&[("size", b"5")]).file("f", b"data").end(), Err("size-disagrees")),
    (
        "a size that only PAX has",
        || a().pax(&[("size", b"512")]).file("f", b"").zeros(512).end(),
        Err("size-disagrees"),
    ),
    (
        "a size beyond a file's limit, which no octal field holds",
        || a().pax(&[("size", b"1099511627776")]).file("f", b"").end(),
        Err("limit"),
    ),
    (
        "a size record before a long name, which it does not change",
        || a().pax(&[("size", b"4")]).long_name(b"name\0").file("f", b"data").end(),
        Ok(&[]),
    ),
    (
        "two names that disagree",
        || a().pax(&[("path", b"p")]).long_name(b"g\0").file("f", b"").end(),
        Err("path-disagrees"),
    ),
    (
        "two link targets that disagree",
        || a().long_link(b"g\0").pax(&[("linkpath", b"p")]).raw(Raw::posix(b'2', b"l")).end(),
        Err("path-disagrees"),
    ),
    ("two names that agree", || a().pax(&[("path", b"n")]).long_name(b"n\0").file("f", b"").end(), Ok(&[])),
    ("an attribute without a name", || pax(&[("SCHILY.xattr.", b"v")]), Err("xattr-name")),
    ("an attribute with a NUL in its name", || pax(&[("SCHILY.xattr.a\0b", b"v")]), Err("xattr-name")),
    ("an attribute with an empty value", || pax(&[("SCHILY.xattr.user.overlay.origin", b"")]), Ok(&[])),
    ("a global comment", || a().global(&[("comment", b"0a1b2c")]).file("f", b"").end(), Ok(&["global-comment"])),
    ("a global comment at the end", || a().global(&[("comment", b"c")]).end(), Ok(&["global-comment"])),
    ("an empty global header", || a().global(&[]).file("f", b"").end(), Ok(&[])),
    (
        "global headers one after another",
        || a().global(&[("VENDOR.a", b"1")]).global(&[("comment", b"c")]).global(&[("gid", b"1")]).file("f", b"").end(),
        Err("global-record"),
    ),
    ("a global path", || a().global(&[("path", b"g")]).file("f", b"").end(), Err("global-record")),
    ("a global sparse map", || a().global(&[("GNU.sparse.map", b"0,1")]).file("f", b"").end(), Err("global-record")),
    ("a malformed global record", || a().with(Raw::posix(b'g', b"g"), b"5 a=").end(), Err("pax-record")),
    (
        "an extended header over the limit, none of which is there",
        || a().raw(Raw::gnu(b'L', b"L").size((1 << 20) + 1)).cut(),
        Err("limit"),
    ),
    // Ends.
    ("an archive of two zero blocks", || a().end(), Ok(&[])),
    ("an archive with a blocking factor", || a().file("f", b"").zeros(10240).cut(), Ok(&[])),
    ("an empty archive", || a().cut(), Err("unmarked-end")),
    ("an archive without an end", || a().file("f", b"data").cut(), Err("unmarked-end")),
    ("one zero block", || a().file("f", b"").zeros(512).cut(), Ok(&["one-zero-block"])),
    ("one zero block and a bit", || a().file("f", b"").zeros(612).cut(), Ok(&["one-zero-block", "ragged-end"])),
    ("two zero blocks and a bit", || a().file("f", b"").zeros(1025).cut(), Ok(&["ragged-end"])),
    ("less than one zero block", || a().file("f", b"").zeros(100).cut(), Err("truncated")),
    ("a lone zero block", || a().zeros(512).file("f", b"").end(), Err("lone-zero-block")),
    ("a lone zero block before rubbish", || a().zeros(1023).bytes(b"x").cut(), Err("lone-zero-block")),
    ("a file behind the end", || a().zeros(1024).file("f", b"").end(), Err("data-after-end")),
    ("a byte far behind the end", || a().zeros(9999).bytes(b"x").cut(), Err("data-after-end")),
    ("a header cut short", || a().file("f", b"").bytes(&flipped(0)[..511]).cut(), Err("truncated")),
    ("content cut short", || a().raw(Raw::posix(b'0', b"f").size(600)).zeros(599).cut(), Err("truncated")),
    ("padding cut short", || a().raw(Raw::posix(b'0', b"f").size(600)).zeros(1023).cut(), Err("truncated")),
    ("a long name cut short", || a().raw(Raw::gnu(b'L', b"L").size(600)).zeros(599).cut(), Err("truncated")),
    (
        "a PAX header's padding cut short",
        || a().raw(Raw::posix(b'x', b"x").size(0o11)).bytes(b"9 path=a\n").cut(),
        Err("truncated"),
    ),
];

/// A header block with one bit of this byte changed after its checksum was summed.
fn flipped(at: usize) -> [u8; 512] {
    let mut block = Raw::posix(b'0', b"f").block();
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
    let cut = a().raw(Raw::posix(b'0', b"f").size(600)).zeros(599).cut();
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
        .raw(Raw::posix(b'0', b"cut").bytes(100, b"0104755\0").bytes(116, b"0000005\0"))
        .end(),
    );
    assert_eq!((entry.number, entry.offset, entry.path.as_bytes()), (1, 0, &b"etc/\xff"[..]));
    assert_eq!(entry.kind, EntryKind::File { size: 0, sparse: None });
    assert_eq!((entry.metadata.mode, entry.metadata.uid, entry.metadata.gid), (0o4755, 369_884_941, 5));
    assert_eq!(entry.metadata.mtime, Timestamp { seconds: -2, nanoseconds: 500_000_000 });
    let xattr = |name: &[u8], value: &[u8]| Xattr { name: name.to_vec(), value: value.to_vec() };
    assert_eq!(entry.metadata.xattrs, [xattr(b"user.a", b"\0=\n"), xattr(b"user.b", b"")]);
}

#[test]
fn every_type_is_read() {
    let device = |kind| EntryKind::Device(Device { kind, major: 5, minor: 1 });
    let numbers = |raw: Raw| raw.bytes(329, b"0000005\0").bytes(337, b"0000001\0");
    let rows = [
        (Raw::posix(b'5', b"d/"), EntryKind::Directory),
        (Raw::posix(b'6', b"p"), EntryKind::Fifo),
        (Raw::posix(b'1', b"h").target(b"../a"), EntryKind::HardLink { target: b"../a".to_vec() }),
        (numbers(Raw::posix(b'3', b"c")), device(DeviceKind::Character)),
        (numbers(Raw::gnu(b'4', b"b")), device(DeviceKind::Block)),
    ];
    for (raw, kind) in rows {
        assert_eq!(only(&a().raw(raw).end()).kind, kind);
    }
    let link = only(&a().long_link(b"../up\0").raw(Raw::gnu(b'2', b"l").target(b"cut")).end());
    assert!(matches!(link.kind, EntryKind::Symlink { target } if target.as_bytes() == b"../up"));
}

#[test]
fn names_come_from_where_they_count() {
    let name = |archive: Archive| only(&archive.end()).path.as_bytes().to_vec();
    let long = [b'n'; 100];
    assert_eq!(name(a().raw(Raw::posix(b'0', &long))), long);
    assert_eq!(name(a().raw(Raw::posix(b'0', b"n").prefix(b"p/q"))), b"p/q/n");
    let prefix = b"p/".repeat(78);
    assert_eq!(name(a().raw(Raw::posix(b'0', b"n").prefix(&prefix[..155]))), [&prefix[..155], b"/n"].concat());
    assert_eq!(name(a().raw(Raw::gnu(b'0', b"n").prefix(b"p/q"))), b"p/q/n");
    assert_eq!(name(a().raw(Raw::old(b'0', b"n").prefix(b"p/q"))), b"n");
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
    let error = read(&a().file("a", &[1; 600]).cut()[..1100]).err().unwrap();
    assert_eq!(error.position().to_string(), r#"entry 1, byte 0, "a""#);
}

#[test]
fn an_archive_without_an_end_ends_at_the_limit() {
    let limits = Limits::default().with(Limit::LayerBytes, 1 << 20);
    for start in [a().file("f", b"data").cut(), a().cut(), a().raw(Raw::posix(b'0', b"f").size(1 << 30)).cut()] {
        let endless = std::io::BufReader::new(std::io::Read::chain(&start[..], std::io::repeat(0)));
        let mut reader = TarReader::new(endless, &limits, true);
        let fault = loop {
            match reader.next_entry() {
                Ok(entry) => assert!(entry.is_some(), "the end of what has none"),
                Err(fault) => break fault,
            }
        };
        let exceeded = Violation::LimitExceeded { limit: Limit::LayerBytes, most: 1 << 20, amount: (1 << 20) + 1 };
        assert_eq!(fault.to_string(), exceeded.to_string());
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
        let header = Raw::posix(b'0', b"f").bytes(124, &field);
        let archive = a().pax(&[("size", pax.to_string().as_bytes())]).raw(header).cut();
        let entry = TarReader::new(&archive[..], &Limits::default(), false).next_entry().unwrap().unwrap();
        assert_eq!(entry.kind, EntryKind::File { size: pax, sparse: None });
        assert_eq!(entry.quirks.first().map(Quirk::id), expected, "{} {pax}", field.escape_ascii());
    }
}

#[test]
fn what_is_no_tar_is_called_that() {
    let rows: &[(&[u8], &str)] = &[
        (&[b'x'; 4096], "not-a-tar"),
        (&[0xff; 512], "not-a-tar"),
        (b"{\"schemaVersion\":2}", "truncated"),
        (&flipped(0), "header-checksum"),
        (&flipped(149), "number"),
    ];
    for (bytes, id) in rows {
        assert_eq!(refused(bytes), Some(*id), "{}", bytes[..8].escape_ascii());
    }
    let behind = a().file("f", b"").bytes(&[b'x'; 512]).end();
    assert_eq!(refused(&behind), Some("number"));
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
        let mut reader = TarReader::new(Interrupted { bytes, left: 0, pause: false }, &Limits::default(), false);
        assert!(reader.next_entry().unwrap().is_some());
        let end = reader.next_entry().map(|entry| assert!(entry.is_none()));
        assert_eq!(end.map_err(|fault| fault.at(reader.position()).rule_id().unwrap()).err(), expected);
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
    let archive = a().file("a", &[1; 2000]).file("b", b"data").bytes(&flipped(0)).end();
    let mut reader = TarReader::new(&archive[..], &Limits::default(), false);
    reader.next_entry().unwrap();
    reader.source().consume(700);
    reader.source().consume(0);
    assert_eq!(reader.next_entry().unwrap().unwrap().path.as_bytes(), b"b");
    assert_eq!(drain(&mut reader.source()).unwrap(), b"data");
    assert!(reader.source().chunk().unwrap().is_empty());
    reader.next_entry().unwrap_err();
    assert!(matches!(reader.next_entry(), Err(Fault::Misuse(_))));
}

#[test]
fn no_cut_archive_is_taken_for_a_whole_one() {
    let archive = a().pax(&[("uid", b"1")]).file("a", b"data").long_name(b"n\0").file("b", b"x").end();
    // Only the second end block can be missed without harm.
    for length in 0..archive.len() - 512 {
        assert!(refused(&archive[..length]).is_some(), "{length}");
    }
}
