//! The four formats of sparse files, and what is wrong with them.

use crate::read::tar::build::{Archive, Raw};
use crate::read::tar::tests::read_with;
use crate::words::{EntryKind, Limit, Limits, Segment};

type Pairs = &'static [(u64, u64)];
type Case = (&'static str, fn() -> Archive, Result<(&'static str, u64, Pairs, &'static [u8]), &'static str>);

fn a() -> Archive {
    Archive::default()
}

fn v0(records: &[(&str, &[u8])], data: &[u8]) -> Archive {
    let size = [("GNU.sparse.size", &b"100"[..])];
    a().pax(&[&size[..], records].concat()).file("stand-in", data)
}

fn v1(records: &[(&str, &[u8])], map: &[u8], data: &[u8]) -> Archive {
    let version = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"100")];
    let mut stored = map.to_vec();
    stored.resize(map.len().next_multiple_of(512), 0);
    stored.extend_from_slice(data);
    a().pax(&[&version[..], records].concat()).file("stand-in", &stored)
}

/// A header of type `S` with these slots, and whether more follow.
fn old(slots: Pairs, more: u8) -> Raw {
    let header = Raw::gnu(b'S', b"s").bytes(482, &[more]).bytes(483, b"00000000144\0");
    slots.iter().zip((386..).step_by(24)).fold(header, |header, (pair, at)| header.bytes(at, &slot(*pair)))
}

fn slot((offset, length): (u64, u64)) -> Vec<u8> {
    format!("{offset:011o}\0{length:011o}\0").into_bytes()
}

fn block(slots: Pairs, more: u8) -> [u8; 512] {
    let mut block = [0; 512];
    for (pair, at) in slots.iter().zip((0..).step_by(24)) {
        block[at..at + 24].copy_from_slice(&slot(*pair));
    }
    block[504] = more;
    block
}

const CASES: &[Case] = &[
    (
        "old GNU",
        || a().with(old(&[(10, 2), (50, 1), (100, 0)], 0), b"abc"),
        Ok(("s", 100, &[(10, 2), (50, 1), (100, 0)], b"abc")),
    ),
    (
        "old GNU, going on in a block",
        || {
            a().raw(old(&[(0, 1), (2, 1), (4, 1), (6, 1)], 1).size(5))
                .bytes(&block(&[(8, 1)], 0))
                .bytes(b"abcde")
                .zeros(507)
        },
        Ok(("s", 100, &[(0, 1), (2, 1), (4, 1), (6, 1), (8, 1)], b"abcde")),
    ),
    ("old GNU, cut in its map", || a().raw(old(&[(0, 1)], 1).size(1)), Err("sparse-map-cut")),
    ("old GNU with POSIX magic", || a().raw(old(&[], 0).bytes(257, b"ustar\x0000")), Err("sparse")),
    ("old GNU with an odd mark for more", || a().raw(old(&[], 2)), Err("sparse")),
    ("old GNU with a slot behind an empty one", || a().raw(old(&[], 0).bytes(410, &slot((0, 0)))), Err("number")),
    ("old GNU with a slot that is no number", || a().raw(old(&[], 0).bytes(386, b"x")), Err("number")),
    (
        "old GNU with a map in records of PAX too",
        || a().pax(&[("GNU.sparse.size", b"0"), ("GNU.sparse.map", b"")]).raw(old(&[], 0)),
        Err("entry-type"),
    ),
    (
        "PAX 0.0",
        || {
            v0(
                &[
                    ("GNU.sparse.numblocks", b"2"),
                    ("GNU.sparse.offset", b"1"),
                    ("GNU.sparse.numbytes", b"2"),
                    ("GNU.sparse.offset", b"90"),
                    ("GNU.sparse.numbytes", b"1"),
                ],
                b"abc",
            )
        },
        Ok(("stand-in", 100, &[(1, 2), (90, 1)], b"abc")),
    ),
    (
        "PAX 0.1, whose path is a stand-in",
        || {
            v0(
                &[
                    ("GNU.sparse.name", b"real"),
                    ("path", b"dir/GNUSparseFile.1/real"),
                    ("GNU.sparse.map", b"1,2,90,1"),
                    ("GNU.sparse.numblocks", b"2"),
                ],
                b"abc",
            )
        },
        Ok(("real", 100, &[(1, 2), (90, 1)], b"abc")),
    ),
    (
        "PAX 1.0",
        || v1(&[("GNU.sparse.name", b"real")], b"2\n1\n2\n90\n1\n", b"abc"),
        Ok(("real", 100, &[(1, 2), (90, 1)], b"abc")),
    ),
    ("PAX 1.0 without data", || v1(&[], b"0\n", b""), Ok(("stand-in", 100, &[], b""))),
    ("PAX 1.0 with rubbish behind its map", || v1(&[], b"0\n1", b""), Err("sparse")),
    ("PAX 1.0 with a map longer than what is stored", || v1(&[], b"9\n1\n", b""), Err("sparse")),
    ("PAX 1.0 with no map", || v1(&[], b"", b""), Err("sparse")),
    ("PAX 1.0 with a number too long", || v1(&[], b"000000000000000000001\n", b""), Err("sparse")),
    ("PAX 1.0 with a map in its records too", || v1(&[("GNU.sparse.map", b"0,0")], b"0\n", b""), Err("sparse")),
    ("PAX of another version", || v0(&[("GNU.sparse.major", b"2")], b""), Err("sparse")),
    (
        "two maps",
        || v0(&[("GNU.sparse.offset", b"1"), ("GNU.sparse.numbytes", b"0"), ("GNU.sparse.map", b"")], b""),
        Err("sparse"),
    ),
    ("two sizes", || v0(&[("GNU.sparse.realsize", b"101")], b""), Err("sparse")),
    ("no size", || a().pax(&[("GNU.sparse.map", b"0,1")]).file("f", b"a"), Err("sparse")),
    (
        "a count that is wrong",
        || v0(&[("GNU.sparse.map", b"0,1"), ("GNU.sparse.numblocks", b"2")], b"a"),
        Err("sparse"),
    ),
    ("an offset without a length", || v0(&[("GNU.sparse.offset", b"1")], b""), Err("sparse")),
    ("a length without an offset", || v0(&[("GNU.sparse.numbytes", b"1")], b"a"), Err("sparse")),
    ("half a pair", || v0(&[("GNU.sparse.map", b"0,1,2")], b"a"), Err("sparse")),
    ("a record that is no number", || v0(&[("GNU.sparse.numblocks", b"-1")], b""), Err("pax-value")),
    ("a record that is not known", || v0(&[("GNU.sparse.other", b"1")], b""), Err("sparse")),
    ("a name with a NUL", || v0(&[("GNU.sparse.name", b"a\0b")], b""), Err("name-nul")),
    ("data over data", || v0(&[("GNU.sparse.map", b"0,2,1,1")], b"abc"), Err("sparse-map")),
    ("data out of order", || v0(&[("GNU.sparse.map", b"5,1,0,1")], b"ab"), Err("sparse-map")),
    ("data beyond the end", || v0(&[("GNU.sparse.map", b"99,2")], b"ab"), Err("sparse-map")),
    ("more data than the map says", || v0(&[("GNU.sparse.map", b"0,2")], b"abc"), Err("sparse-size")),
    ("less data than the map says", || v0(&[("GNU.sparse.map", b"0,2")], b"a"), Err("sparse-size")),
    (
        "holes in a directory",
        || a().pax(&[("GNU.sparse.size", b"0"), ("GNU.sparse.map", b"")]).directory("d"),
        Err("sparse"),
    ),
];

#[test]
fn every_format_is_read_or_refused_by_its_rule() {
    for (name, archive, expected) in CASES {
        let archive = archive();
        let archive = if *expected == Err("sparse-map-cut") { archive.cut() } else { archive.end() };
        let got = read_with(&archive, &Limits::default(), false);
        let got = got.map_err(|error| error.rule_id().unwrap_or("no refusal").to_owned()).map(|read| {
            let (entry, data) = read.entries.into_iter().next().unwrap();
            let EntryKind::File { size, sparse: Some(map) } = entry.kind else { panic!("{name}: no sparse file") };
            let pairs = map.segments().iter().map(|&Segment { offset, length }| (offset, length)).collect::<Vec<_>>();
            (String::from_utf8_lossy(entry.path.as_bytes()).into_owned(), size, pairs, data)
        });
        let expected = expected
            .map_err(|id| if id == "sparse-map-cut" { "truncated".to_owned() } else { id.to_owned() })
            .map(|(path, size, pairs, data)| (path.to_owned(), size, pairs.to_vec(), data.to_vec()));
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn segments_and_logical_sizes_have_limits() {
    let few = Limits::default().with(Limit::SparseSegments, 2);
    let archives = [
        (v0(&[("GNU.sparse.map", b"0,1,2,1")], b"ab"), v0(&[("GNU.sparse.map", b"0,1,2,1,4,1")], b"abc")),
        (v1(&[], b"2\n0\n1\n2\n1\n", b"ab"), v1(&[], b"3\n0\n1\n2\n1\n4\n1\n", b"abc")),
        (a().with(old(&[(0, 1), (2, 1)], 0), b"ab"), a().with(old(&[(0, 1), (2, 1), (4, 1)], 0), b"abc")),
    ];
    for (within, beyond) in archives {
        assert!(read_with(&within.end(), &few, false).is_ok());
        assert_eq!(read_with(&beyond.end(), &few, false).unwrap_err().rule_id(), Some("limit"));
    }
    let small = Limits::default().with(Limit::FileBytes, 99);
    let error = read_with(&v0(&[("GNU.sparse.map", b"0,1")], b"a").end(), &small, false).unwrap_err();
    assert_eq!(error.rule_id(), Some("limit"));
}
