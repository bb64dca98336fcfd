//! The four formats of sparse files, and what is wrong with them.

use crate::read::tar::build::{Archive, Header};
use crate::read::tar::tests::read_with;
use crate::words::{EntryKind, Limit, Limits, Segment};

type Pairs = &'static [(u64, u64)];
type Case = (&'static str, fn() -> Archive, Result<(&'static str, u64, Pairs, &'static [u8]), &'static str>);

fn a() -> Archive {
    Archive::default()
}

/// Format 0.0: a size, a count and these records.
fn v00(count: &[u8], records: &[(&str, &[u8])], data: &[u8]) -> Archive {
    let first = [("GNU.sparse.size", &b"100"[..]), ("GNU.sparse.numblocks", count)];
    a().pax(&[&first[..], records].concat()).file("f", data)
}

/// Format 0.1: a size, a count, a name and a map.
fn v01(count: &[u8], map: &[u8], data: &[u8]) -> Archive {
    v00(count, &[("GNU.sparse.name", b"real"), ("GNU.sparse.map", map)], data)
}

/// Records of no format in particular.
fn records(records: &[(&str, &[u8])]) -> Archive {
    a().pax(records).file("f", b"abc")
}

const V01: &[(&str, &[u8])] = &[
    ("GNU.sparse.size", b"3"),
    ("GNU.sparse.numblocks", b"1"),
    ("GNU.sparse.name", b"real"),
    ("GNU.sparse.map", b"0,3"),
];

const V1: &[(&str, &[u8])] = &[
    ("GNU.sparse.major", b"1"),
    ("GNU.sparse.minor", b"0"),
    ("GNU.sparse.name", b"real"),
    ("GNU.sparse.realsize", b"100"),
];

/// Format 1.0, and more records.
fn v1(more: &[(&str, &[u8])], map: &[u8], data: &[u8]) -> Archive {
    v1_of(&[V1, more].concat(), map, data)
}

fn v1_of(records: &[(&str, &[u8])], map: &[u8], data: &[u8]) -> Archive {
    let mut stored = map.to_vec();
    stored.resize(map.len().next_multiple_of(512), 0);
    stored.extend_from_slice(data);
    a().pax(records).file("stand-in", &stored)
}

/// The records without one of them, or with one of them changed.
fn but(
    records: &'static [(&str, &[u8])],
    key: &str,
    value: Option<&'static [u8]>,
) -> Vec<(&'static str, &'static [u8])> {
    let changed = records.iter().filter_map(|&(name, old)| match name == key {
        true => value.map(|value| (name, value)),
        false => Some((name, old)),
    });
    changed.collect()
}

/// A header of type `S` with these slots, and whether more follow.
fn old(slots: Pairs, more: u8) -> Header {
    let header = Header::gnu(b'S', b"s").bytes(482, &[more]).bytes(483, b"00000000144\0");
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
    // Old GNU.
    (
        "old GNU with its size in a record too",
        || a().pax(&[("size", b"3")]).with(old(&[(10, 2), (50, 1), (100, 0)], 0), b"abc"),
        Err("sparse"),
    ),
    (
        "old GNU",
        || a().with(old(&[(10, 2), (50, 1), (100, 0)], 0), b"abc"),
        Ok(("s", 100, &[(10, 2), (50, 1), (100, 0)], b"abc")),
    ),
    (
        "old GNU, going on in a block",
        || {
            a().header(old(&[(0, 1), (2, 1), (4, 1), (6, 1)], 1).size(5))
                .bytes(&block(&[(8, 1), (100, 0)], 0))
                .bytes(b"abcde")
                .zeros(507)
        },
        Ok(("s", 100, &[(0, 1), (2, 1), (4, 1), (6, 1), (8, 1), (100, 0)], b"abcde")),
    ),
    ("old GNU without a map", || a().header(old(&[], 0)), Err("sparse-map")),
    ("old GNU, not up to its end", || a().with(old(&[(0, 3)], 0), b"abc"), Err("sparse-map")),
    ("old GNU, cut in its map", || a().header(old(&[(0, 1)], 1).size(1)), Err("sparse-map-cut")),
    ("old GNU with POSIX magic", || a().header(old(&[(100, 0)], 0).bytes(257, b"ustar\x0000")), Err("sparse")),
    ("old GNU in a file of another type", || a().with(old(&[(100, 0)], 0).bytes(156, b"0"), b"abc"), Err("sparse")),
    (
        "a real size in a file of another type",
        || a().with(Header::gnu(b'0', b"f").bytes(483, b"1"), b"abc"),
        Err("sparse"),
    ),
    ("a mark for more in a hard link", || a().header(Header::gnu(b'1', b"f").bytes(482, b"1")), Err("sparse")),
    ("old GNU with an odd mark for more", || a().header(old(&[(100, 0)], 2)), Err("sparse")),
    ("old GNU with a slot behind an empty one", || a().header(old(&[], 0).bytes(410, &slot((0, 0)))), Err("number")),
    ("old GNU with a slot that is no number", || a().header(old(&[], 0).bytes(386, b"x")), Err("number")),
    ("old GNU with a slot without a length", || a().header(old(&[(100, 0)], 0).bytes(398, &[0; 12])), Err("number")),
    (
        "old GNU with a slot of a blank length",
        || a().header(old(&[(100, 0)], 0).bytes(398, &[b' '; 12])),
        Err("number"),
    ),
    ("old GNU with a slot without an offset", || a().header(old(&[(0, 100)], 0).bytes(386, &[0; 12])), Err("number")),
    ("old GNU with a map in records of PAX too", || a().pax(V01).header(old(&[(100, 0)], 0)), Err("sparse")),
    // PAX 0.0.
    (
        "PAX 0.0",
        || {
            v00(
                b"3",
                &[
                    ("GNU.sparse.offset", b"1"),
                    ("GNU.sparse.numbytes", b"2"),
                    ("GNU.sparse.offset", b"90"),
                    ("GNU.sparse.numbytes", b"1"),
                    ("GNU.sparse.offset", b"100"),
                    ("GNU.sparse.numbytes", b"0"),
                ],
                b"abc",
            )
        },
        Ok(("f", 100, &[(1, 2), (90, 1), (100, 0)], b"abc")),
    ),
    (
        "PAX 0.0 without a count",
        || records(&[("GNU.sparse.size", b"3"), ("GNU.sparse.offset", b"0"), ("GNU.sparse.numbytes", b"3")]),
        Err("sparse"),
    ),
    (
        "PAX 0.0 with a count behind its map",
        || {
            records(&[
                ("GNU.sparse.size", b"3"),
                ("GNU.sparse.offset", b"0"),
                ("GNU.sparse.numbytes", b"3"),
                ("GNU.sparse.numblocks", b"1"),
            ])
        },
        Err("sparse"),
    ),
    (
        "PAX 0.0 with a name",
        || v00(b"1", &[("GNU.sparse.name", b"n"), ("GNU.sparse.offset", b"100"), ("GNU.sparse.numbytes", b"0")], b""),
        Err("sparse"),
    ),
    ("an offset without a length", || v00(b"1", &[("GNU.sparse.offset", b"100")], b""), Err("sparse")),
    ("a length without an offset", || v00(b"1", &[("GNU.sparse.numbytes", b"100")], b"a"), Err("sparse")),
    (
        "an offset behind an offset",
        || v00(b"1", &[("GNU.sparse.offset", b"0"), ("GNU.sparse.offset", b"0")], b""),
        Err("sparse"),
    ),
    (
        "two maps",
        || {
            let pair: [(&str, &[u8]); 2] = [("GNU.sparse.offset", b"100"), ("GNU.sparse.numbytes", b"0")];
            v00(b"2", &[&pair[..], &[("GNU.sparse.name", b"n"), ("GNU.sparse.map", b"100,0")]].concat(), b"")
        },
        Err("sparse"),
    ),
    (
        "two maps, the other way round",
        || {
            let pair: [(&str, &[u8]); 2] = [("GNU.sparse.offset", b"100"), ("GNU.sparse.numbytes", b"0")];
            v00(b"2", &[&[("GNU.sparse.name", &b"n"[..]), ("GNU.sparse.map", b"100,0")], &pair[..]].concat(), b"")
        },
        Err("sparse"),
    ),
    // PAX 0.1.
    (
        "PAX 0.1, whose path is a stand-in",
        || {
            v00(
                b"3",
                &[
                    ("GNU.sparse.name", b"real"),
                    ("path", b"dir/GNUSparseFile.1/real"),
                    ("GNU.sparse.map", b"1,2,90,1,100,0"),
                ],
                b"abc",
            )
        },
        Ok(("real", 100, &[(1, 2), (90, 1), (100, 0)], b"abc")),
    ),
    ("PAX 0.1 at its shortest", || records(V01), Ok(("real", 3, &[(0, 3)], b"abc"))),
    ("PAX 0.1 without a size", || records(&but(V01, "GNU.sparse.size", None)), Err("sparse")),
    ("PAX 0.1 without a count", || records(&but(V01, "GNU.sparse.numblocks", None)), Err("sparse")),
    ("PAX 0.1 without a name", || records(&but(V01, "GNU.sparse.name", None)), Err("sparse")),
    ("PAX 0.1 with an empty name", || records(&but(V01, "GNU.sparse.name", Some(b""))), Err("sparse")),
    ("PAX 0.1 without a map", || records(&but(V01, "GNU.sparse.map", None)), Err("sparse")),
    ("PAX 0.1 with an empty map", || v01(b"0", b"", b""), Err("sparse")),
    ("PAX 0.1 with a wrong count", || records(&but(V01, "GNU.sparse.numblocks", Some(b"2"))), Err("sparse")),
    (
        "PAX 0.1 with a count behind its map",
        || records(&[&but(V01, "GNU.sparse.numblocks", None)[..], &[("GNU.sparse.numblocks", b"1")]].concat()),
        Err("sparse"),
    ),
    (
        "PAX 0.1 with a version",
        || records(&[V01, &[("GNU.sparse.major", b"0"), ("GNU.sparse.minor", b"1")]].concat()),
        Err("sparse"),
    ),
    ("PAX 0.1 with the size of 1.0", || records(&[V01, &[("GNU.sparse.realsize", b"3")]].concat()), Err("sparse")),
    ("PAX 0.1 with a key twice", || records(&[V01, &[("GNU.sparse.map", b"0,3")]].concat()), Err("sparse")),
    ("PAX 0.1 with half a pair", || v01(b"1", b"0,100,2", b"a"), Err("sparse")),
    ("PAX 0.1 with a comma behind", || v01(b"1", b"100,0,", b""), Err("sparse")),
    ("PAX 0.1, not up to its end", || v01(b"1", b"0,3", b"abc"), Err("sparse-map")),
    ("PAX 0.1 of type 7", || a().pax(V01).with(Header::posix(b'7', b"f"), b"abc"), Err("sparse")),
    ("PAX 0.1 of the old type", || a().pax(V01).with(Header::posix(0, b"f"), b"abc"), Err("sparse")),
    ("PAX 0.1 of a directory", || a().pax(V01).directory("d"), Err("sparse")),
    ("a size alone", || records(&[("GNU.sparse.size", b"3")]), Err("sparse")),
    ("a name alone", || records(&[("GNU.sparse.name", b"real")]), Err("sparse")),
    // PAX 1.0.
    (
        "PAX 1.0",
        || v1(&[], b"3\n1\n2\n90\n1\n100\n0\n", b"abc"),
        Ok(("real", 100, &[(1, 2), (90, 1), (100, 0)], b"abc")),
    ),
    (
        "PAX 1.0 as bsdtar writes a file of holes",
        || v1(&[], b"2\n0\n0\n100\n0\n", b""),
        Ok(("real", 100, &[(0, 0), (100, 0)], b"")),
    ),
    ("PAX 1.0 with an empty map", || v1(&[], b"0\n", b""), Err("sparse-map")),
    ("PAX 1.0, not up to its end", || v1(&[], b"1\n0\n3\n", b"abc"), Err("sparse-map")),
    ("PAX 1.0 without a name", || v1_of(&but(V1, "GNU.sparse.name", None), b"1\n100\n0\n", b""), Err("sparse")),
    ("PAX 1.0 with half a version", || v1_of(&but(V1, "GNU.sparse.minor", None), b"1\n100\n0\n", b""), Err("sparse")),
    (
        "PAX 1.0 with its version spelled at length",
        || v1_of(&but(V1, "GNU.sparse.major", Some(b"01")), b"1\n100\n0\n", b""),
        Err("sparse"),
    ),
    ("PAX 1.0 with rubbish behind its map", || v1(&[], b"1\n100\n0\n1", b""), Err("sparse")),
    ("PAX 1.0 with a map longer than what is stored", || v1(&[], b"9\n1\n", b""), Err("sparse")),
    ("PAX 1.0 with no map", || v1(&[], b"", b""), Err("sparse")),
    ("PAX 1.0 with a number too long", || v1(&[], b"000000000000000000001\n", b""), Err("sparse")),
    ("PAX 1.0 with the size of 0.1", || v1(&[("GNU.sparse.size", b"100")], b"1\n100\n0\n", b""), Err("sparse")),
    ("PAX 1.0 with a count", || v1(&[("GNU.sparse.numblocks", b"1")], b"1\n100\n0\n", b""), Err("sparse")),
    (
        "PAX 1.0 with a map in its records too",
        || v1(&[("GNU.sparse.numblocks", b"1"), ("GNU.sparse.map", b"0,0")], b"1\n100\n0\n", b""),
        Err("sparse"),
    ),
    ("PAX of another version", || v1_of(&but(V1, "GNU.sparse.major", Some(b"2")), b"1\n100\n0\n", b""), Err("sparse")),
    // All of them.
    ("a record that is no number", || v00(b"-1", &[], b""), Err("pax-value")),
    ("a record beyond all sizes", || v00(b"9223372036854775808", &[], b""), Err("pax-value")),
    ("a record that is empty", || v00(b"", &[], b""), Err("pax-value")),
    ("a record that is not known", || records(&[V01, &[("GNU.sparse.other", b"1")]].concat()), Err("sparse")),
    ("a name with a NUL", || records(&but(V01, "GNU.sparse.name", Some(b"a\0b"))), Err("name-nul")),
    ("data over data", || v01(b"2", b"0,2,1,1", b"abc"), Err("sparse-map")),
    ("data out of order", || v01(b"2", b"5,1,0,1", b"ab"), Err("sparse-map")),
    ("data beyond the end", || v01(b"1", b"99,2", b"ab"), Err("sparse-map")),
    ("more data than the map says", || v01(b"2", b"0,2,100,0", b"abc"), Err("sparse-size")),
    ("less data than the map says", || v01(b"2", b"0,2,100,0", b"a"), Err("sparse-size")),
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
        (v01(b"2", b"0,1,100,0", b"a"), v01(b"3", b"0,1,2,1,100,0", b"ab")),
        (v1(&[], b"2\n0\n1\n100\n0\n", b"a"), v1(&[], b"3\n0\n1\n2\n1\n100\n0\n", b"ab")),
        (a().with(old(&[(0, 1), (100, 0)], 0), b"a"), a().with(old(&[(0, 1), (2, 1), (100, 0)], 0), b"ab")),
    ];
    for (within, beyond) in archives {
        assert!(read_with(&within.end(), &few, false).is_ok());
        assert_eq!(read_with(&beyond.end(), &few, false).unwrap_err().rule_id(), Some("limit"));
    }
    let small = Limits::default().with(Limit::FileBytes, 99);
    let error = read_with(&v01(b"2", b"0,1,100,0", b"a").end(), &small, false).unwrap_err();
    assert_eq!(error.rule_id(), Some("limit"));
}

#[test]
fn a_map_in_front_of_data_is_no_part_of_the_file_that_has_a_limit() {
    let archive = v1(&[], b"2\n0\n1\n100\n0\n", b"a").end();
    let within = |most| read_with(&archive, &Limits::default().with(Limit::FileBytes, most), false);
    assert!(within(100).is_ok());
    assert_eq!(within(99).unwrap_err().rule_id(), Some("limit"));
}

#[test]
fn the_name_of_a_sparse_file_counts_before_a_long_name() {
    let both = a().long_name(b"gnu\0").pax(V01).file("f", b"abc").end();
    let read = read_with(&both, &Limits::default(), false).unwrap();
    assert_eq!(read.entries[0].0.path.as_bytes(), b"real", "as in Go");
    assert_eq!(read.quirks, ["path-disagrees"]);
}
