//! Files with holes, in the four formats that there are.

use super::build::{Archive, Header, sparse_slots, tar};
use super::case::{Case, Expected, case};

pub(crate) fn cases() -> Vec<Case> {
    [old_gnu(), in_records(), in_data()].concat()
}

/// A block of `a` at 2 and a `b` at 600, 1,000 bytes in all.
fn holes() -> Vec<u8> {
    [&[0; 2][..], &[b'a'; 512], &[0; 86], b"b", &[0; 399]].concat()
}

/// What is stored of it.
fn stored() -> Vec<u8> {
    [&[b'a'; 512][..], b"b"].concat()
}

/// Type `S`, with four slots in the header and more in blocks behind it.
fn old_gnu() -> Vec<Case> {
    let header = |slots: &[(u64, u64)], more, size| Header::gnu(b'S', "s").sparse_map(slots, more, size);
    vec![
        case("sparse-old-gnu", "a file with holes as GNU tar wrote it before PAX", {
            tar().with(header(&[(2, 512), (600, 1), (1000, 0)], 0, 1000), stored()).end()
        })
        .noted(&["old-sparse-file"])
        .then_file("s", holes()),
        case("sparse-old-gnu-unaligned", "a run of an old map fills no whole block, and another one follows", {
            tar().with(header(&[(2, 1), (5, 1), (10, 0)], 0, 10), "ab").end()
        })
        .expected([
            Expected::Refuse("sparse-unaligned"),
            Expected::Note(vec!["old-sparse-file", "sparse-unaligned"]),
            Expected::Refuse("old-sparse-file"),
        ]),
        case("sparse-old-gnu-going-on", "an old map goes on in a block of its own", {
            tar()
                .header(header(&[(0, 512), (600, 0), (700, 0), (800, 0)], 1, 1000).size(513))
                .bytes(&more(&[(900, 1), (1000, 0)], 0))
                .padded(&stored())
                .end()
        })
        .noted(&["old-sparse-file"])
        .then_file("s", [&[b'a'; 512][..], &[0; 388], b"b", &[0; 99]].concat()),
        case("sparse-old-gnu-overlapping", "the runs of an old map overlap", {
            tar().with(header(&[(0, 2), (1, 2)], 0, 10), "abcd").end()
        })
        .refused("sparse-map"),
        case("sparse-old-gnu-out-of-order", "the runs of an old map are out of order", {
            tar().with(header(&[(5, 1), (2, 1)], 0, 10), "ab").end()
        })
        .refused("sparse-map"),
        case("sparse-old-gnu-beyond-its-end", "a run of an old map lies beyond the file's end", {
            tar().with(header(&[(10, 1)], 0, 10), "a").end()
        })
        .refused("sparse-map"),
        case("sparse-old-gnu-with-too-much", "a file has more data than its old map says", {
            tar().with(header(&[(0, 1), (10, 0)], 0, 10), "ab").end()
        })
        .refused("sparse-size"),
        case("sparse-old-gnu-without-its-end", "an old map ends before the file does", {
            tar().with(header(&[(0, 2)], 0, 10), "ab").end()
        })
        .refused("sparse-map"),
        case("sparse-old-gnu-without-a-map", "a file of type `S` has no map at all", {
            tar().header(header(&[], 0, 10)).end()
        })
        .refused("sparse-map"),
        case(
            "sparse-old-gnu-with-half-a-slot",
            "a slot of an old map has no length, where GNU tar stops and others go on",
            tar().with(header(&[(2, 1), (5, 1), (10, 0)], 0, 10).bytes(422, &[0; 12]), "ab").end(),
        )
        .refused("number"),
        case(
            "sparse-old-gnu-in-a-plain-file",
            "a file of type `0` has an old map, which libarchive reads and others do not",
            {
                let plain = Header::gnu(b'0', "s").sparse_map(&[(2, 1), (5, 1), (10, 0)], 0, 10);
                tar().with(plain, "ab").end()
            },
        )
        .refused("sparse"),
        case("sparse-old-gnu-and-records", "a file of type `S` has a map in PAX records too", {
            tar().pax(VERSION_0_1).with(header(&[(2, 1), (5, 1), (10, 0)], 0, 10), "ab").end()
        })
        .refused("sparse"),
        case(
            "sparse-old-gnu-and-its-size",
            "a file of type `S` has its size in a record too, the file's for Python",
            {
                let map = header(&[(2, 512), (600, 1), (1000, 0)], 0, 1000);
                tar().pax(&[("size", b"513")]).with(map, stored()).end()
            },
        )
        .refused("sparse"),
        case("sparse-old-gnu-with-text", "a slot of an old map is no number", {
            tar().header(header(&[], 0, 10).bytes(386, b"offset")).end()
        })
        .refused("number"),
        case("sparse-old-gnu-with-a-gap", "a slot of an old map stands behind an empty one", {
            tar().with(header(&[], 0, 10).bytes(410, &sparse_slots(&[(0, 1)])), "a").end()
        })
        .refused("number"),
        case("sparse-old-gnu-with-an-odd-mark", "an old map's mark for more is neither zero nor one", {
            tar().header(header(&[(0, 0)], 2, 0)).end()
        })
        .refused("sparse"),
        case(
            "sparse-old-gnu-in-an-unread-prefix",
            "a prefix that a GNU long name makes useless says to libarchive that the next header is a map",
            tar().long_name("g\0").header(Header::gnu(b'0', "f").prefix("n".repeat(138))).directory("d").end(),
        )
        .refused("sparse"),
        case("sparse-old-gnu-in-posix", "a file of type `S` has no GNU magic", {
            tar().header(Header::posix(b'S', "s")).end()
        })
        .refused("sparse"),
        case("sparse-old-gnu-cut", "the archive ends where an old map goes on", {
            tar().header(header(&[(0, 1)], 1, 10).size(1)).cut()
        })
        .refused("truncated"),
    ]
}

/// A block of 21 slots that an old map goes on with.
fn more(slots: &[(u64, u64)], more: u8) -> Vec<u8> {
    let mut block = sparse_slots(slots);
    block.resize(512, 0);
    block[504] = more;
    block
}

/// Records of format 0.1 as GNU tar writes them.
const VERSION_0_1: &[(&str, &[u8])] = &[
    ("GNU.sparse.size", b"1000"),
    ("GNU.sparse.numblocks", b"3"),
    ("GNU.sparse.name", b"s"),
    ("GNU.sparse.map", b"2,512,600,1,1000,0"),
];

/// Records of format 0.0 as GNU tar writes them.
const VERSION_0_0: &[(&str, &[u8])] = &[
    ("GNU.sparse.size", b"1000"),
    ("GNU.sparse.numblocks", b"3"),
    ("GNU.sparse.offset", b"2"),
    ("GNU.sparse.numbytes", b"512"),
    ("GNU.sparse.offset", b"600"),
    ("GNU.sparse.numbytes", b"1"),
    ("GNU.sparse.offset", b"1000"),
    ("GNU.sparse.numbytes", b"0"),
];

/// The records with one of them changed, or without it.
fn but<'r>(records: &[(&'r str, &'r [u8])], key: &str, value: Option<&'r [u8]>) -> Vec<(&'r str, &'r [u8])> {
    let changed = records.iter().filter_map(|&(name, old)| match name == key {
        true => value.map(|value| (name, value)),
        false => Some((name, old)),
    });
    changed.collect()
}

fn records(name: &'static str, sentence: &'static str, records: &[(&str, &[u8])], data: &[u8]) -> Case {
    case(name, sentence, tar().pax(records).file("GNUSparseFile.0/s", data).end())
}

/// PAX 0.0 and 0.1, whose maps stand in records.
fn in_records() -> Vec<Case> {
    let changed = |name, sentence, key, value: Option<&'static [u8]>| {
        records(name, sentence, &but(VERSION_0_1, key, value), &stored())
    };
    vec![
        records("sparse-0-0", "a map in format 0.0, whose keys repeat", VERSION_0_0, &stored())
            .taken()
            .then_file("GNUSparseFile.0/s", holes()),
        records(
            "sparse-0-0-miscounted",
            "a map in format 0.0 has another number of runs than it says",
            &but(VERSION_0_0, "GNU.sparse.numblocks", Some(b"9")),
            b"ab",
        )
        .refused("sparse"),
        records(
            "sparse-0-0-uncounted",
            "a map in format 0.0 does not say how many runs it has",
            &but(VERSION_0_0, "GNU.sparse.numblocks", None),
            b"ab",
        )
        .refused("sparse"),
        records(
            "sparse-0-0-without-a-length",
            "a run in format 0.0 has no length",
            &[("GNU.sparse.size", b"10"), ("GNU.sparse.numblocks", b"1"), ("GNU.sparse.offset", b"10")],
            b"",
        )
        .refused("sparse"),
        records(
            "sparse-0-0-without-an-offset",
            "a run in format 0.0 has no offset",
            &[("GNU.sparse.size", b"2"), ("GNU.sparse.numblocks", b"1"), ("GNU.sparse.numbytes", b"2")],
            b"ab",
        )
        .seen("CVE-2019-9923")
        .refused("sparse"),
        records(
            "sparse-0-0-and-0-1",
            "a file has maps in two formats",
            &[VERSION_0_0, &[("GNU.sparse.name", b"s"), ("GNU.sparse.map", b"0,2,10,0")]].concat(),
            b"ab",
        )
        .refused("sparse"),
        records(
            "sparse-0-1",
            "a map in format 0.1, and the name in a record of its own",
            &[&[("path", &b"GNUSparseFile.0/s"[..])][..], VERSION_0_1].concat(),
            &stored(),
        )
        .taken()
        .then_file("s", holes())
        .then_absent("GNUSparseFile.0"),
        changed("sparse-0-1-name-climbs", "the name in the record of a sparse file climbs", "GNU.sparse.name", {
            Some(b"../canary")
        })
        .refused("name-climbs"),
        changed(
            "sparse-0-1-name-with-a-nul",
            "the name in the record of a sparse file has a NUL",
            "GNU.sparse.name",
            Some(b"s\0t"),
        )
        .refused("name-nul"),
        changed(
            "sparse-0-1-without-a-name",
            "a file in format 0.1 has no name but the stand-in",
            "GNU.sparse.name",
            None,
        )
        .refused("sparse"),
        changed(
            "sparse-0-1-uncounted",
            "a map in format 0.1 does not say how many runs it has",
            "GNU.sparse.numblocks",
            None,
        )
        .refused("sparse"),
        records(
            "sparse-0-1-counted-late",
            "the count of a map in format 0.1 stands behind it",
            &[&but(VERSION_0_1, "GNU.sparse.numblocks", None)[..], &[("GNU.sparse.numblocks", b"3")]].concat(),
            b"ab",
        )
        .refused("sparse"),
        changed("sparse-0-1-without-a-map", "a file has a size with holes and no map", "GNU.sparse.map", None)
            .refused("sparse"),
        records(
            "sparse-0-1-of-nothing",
            "a map in format 0.1 is empty",
            &but(&but(VERSION_0_1, "GNU.sparse.numblocks", Some(b"0")), "GNU.sparse.map", Some(b"")),
            b"",
        )
        .refused("sparse"),
        records(
            "sparse-0-1-twice",
            "a map in format 0.1 stands twice",
            &[VERSION_0_1, &[("GNU.sparse.map", b"0,2,10,0")]].concat(),
            b"ab",
        )
        .refused("sparse"),
        changed("sparse-0-1-odd", "a map in format 0.1 ends in an offset without a length", "GNU.sparse.map", {
            Some(b"2,512,600,1,1000")
        })
        .refused("sparse"),
        changed("sparse-0-1-overflowing", "a run in format 0.1 ends beyond 64 bits", "GNU.sparse.map", {
            Some(b"2,512,18446744073709551615,2,1000,0")
        })
        .refused("sparse-map"),
        changed("sparse-0-1-without-its-end", "a map in format 0.1 ends before the file does", "GNU.sparse.map", {
            Some(b"2,0,3,512,600,1")
        })
        .refused("sparse-map"),
        changed(
            "sparse-0-1-with-too-little",
            "a file has less data than its map in format 0.1 says",
            "GNU.sparse.map",
            Some(b"2,512,600,5,1000,0"),
        )
        .refused("sparse-size"),
        records(
            "sparse-of-holes",
            "a file is one hole",
            &but(&but(VERSION_0_1, "GNU.sparse.numblocks", Some(b"1")), "GNU.sparse.map", Some(b"1000,0")),
            b"",
        )
        .taken()
        .then_file("s", [0; 1000]),
        records(
            "sparse-with-a-version-of-0",
            "records of format 0.1 say their version, which no writer does",
            &[VERSION_0_1, &[("GNU.sparse.major", b"0"), ("GNU.sparse.minor", b"1")]].concat(),
            b"ab",
        )
        .refused("sparse"),
        records(
            "sparse-version-2",
            "a map in a format to come",
            &[
                ("GNU.sparse.major", b"2"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", b"s"),
                ("GNU.sparse.realsize", b"10"),
            ],
            b"",
        )
        .refused("sparse"),
        records(
            "sparse-with-an-unknown-key",
            "a record about holes has a key that is not known",
            &[VERSION_0_1, &[("GNU.sparse.fill", b"x")]].concat(),
            b"ab",
        )
        .refused("sparse"),
        changed("sparse-size-is-text", "the size of a file with holes is no number", "GNU.sparse.size", Some(b"ten"))
            .refused("pax-value"),
        records(
            "sparse-size-alone",
            "a file has a size with holes, and nothing else says that it has some",
            &[("GNU.sparse.size", b"10")],
            b"ab",
        )
        .refused("sparse"),
        records("sparse-of-star", "a file with holes as star writes it", &[("SCHILY.realsize", b"10")], b"ab")
            .refused("sparse"),
        records(
            "sparse-0-0-in-a-value",
            "a value has what looks like records about holes, which Python finds with a regular expression",
            &[
                ("comment", b"x\n30 GNU.sparse.offset=1024\n30 GNU.sparse.numbytes=512\n"),
                ("GNU.sparse.size", b"2048"),
                ("GNU.sparse.numblocks", b"2"),
                ("GNU.sparse.offset", b"0"),
                ("GNU.sparse.numbytes", b"512"),
                ("GNU.sparse.offset", b"2048"),
                ("GNU.sparse.numbytes", b"0"),
            ],
            &[b'a'; 512],
        )
        .refused("sparse"),
        records(
            "sparse-0-1-and-its-size",
            "a record behind those about holes has the size of what is stored, which Python takes for the file's",
            &[VERSION_0_1, &[("size", b"513")]].concat(),
            &stored(),
        )
        .refused("sparse"),
        case("sparse-directory", "a directory has holes", tar().pax(VERSION_0_1).directory("d").end())
            .refused("sparse"),
        case("sparse-beside-gnu-magic", "records about holes stand before a header with GNU magic", {
            tar().pax(VERSION_0_1).with(Header::gnu(b'0', "s"), stored()).end()
        })
        .refused("sparse"),
        case("sparse-contiguous", "a file of type 7 has holes, of which libarchive knows nothing", {
            tar().pax(VERSION_0_1).with(Header::posix(b'7', "s"), "ab").end()
        })
        .refused("sparse"),
        case("sparse-with-a-long-name", "a sparse file has a GNU long name that says otherwise", {
            tar().long_name("long\0").pax(VERSION_0_1).file("stand-in", stored()).end()
        })
        .refused_unless_compatible(&["path-disagrees"])
        .then_file("s", holes())
        .then_absent("long"),
    ]
}

/// PAX 1.0, whose map stands in front of the data.
fn in_data() -> Vec<Case> {
    let in_data = |name, sentence, map: &str, data: &str| case(name, sentence, version_1(map, data, "10", &[]).end());
    let with = |name, sentence, more: &[(&str, &[u8])]| {
        case(name, sentence, version_1("1\n10\n0\n", "", "10", more).end()).refused("sparse")
    };
    vec![
        case("sparse-1-0", "a map in format 1.0", {
            version_1("3\n2\n512\n600\n1\n1000\n0\n", &String::from_utf8(stored()).unwrap(), "1000", &[]).end()
        })
        .taken()
        .then_file("s", holes()),
        case("sparse-1-0-with-times-of-star", "times stand where star has them, by which GNU tar takes the map for data", {
            let times = [&[0; 131][..], b"00000000000 00000000000 "].concat();
            let header = Header::posix(b'0', "GNUSparseFile.0/s").prefix(times);
            let data = [&b"2\n512\n512\n2048\n0\n"[..], &[0; 495], &[b'a'; 512]].concat();
            tar().pax(&version_1_records(b"2048")).with(header, data).end()
        })
        .refused("sparse"),
        in_data(
            "sparse-1-0-unaligned",
            "a run in format 1.0 fills no whole block, and another one follows, which GNU tar looks for in a block of its own",
            "3\n2\n1\n5\n1\n10\n0\n",
            "ab",
        )
        .refused_unless_compatible(&["sparse-unaligned"])
        .then_file("s", b"\0\0a\0\0b\0\0\0\0"),
        in_data("sparse-1-0-of-holes", "a map in format 1.0 has one run, of nothing", "1\n10\n0\n", "")
            .taken()
            .then_file("s", [0; 10]),
        in_data(
            "sparse-1-0-of-holes-by-bsdtar",
            "a map in format 1.0 has two runs, of nothing",
            "2\n0\n0\n10\n0\n",
            "",
        )
        .taken()
        .then_file("s", [0; 10]),
        in_data("sparse-1-0-of-nothing", "a map in format 1.0 has no runs", "0\n", "").refused("sparse-map"),
        in_data("sparse-1-0-without-its-end", "a map in format 1.0 ends before the file does", "1\n0\n2\n", "ab")
            .refused("sparse-map"),
        with("sparse-1-0-and-0-1", "a file in format 1.0 has the size of format 0.1", &[("GNU.sparse.size", b"10")]),
        with("sparse-1-0-with-a-count", "a file in format 1.0 has the count of format 0.1", {
            &[("GNU.sparse.numblocks", b"1")]
        }),
        in_data("sparse-1-0-with-text", "a map in format 1.0 has a number that is none", "1\nx\n1\n", "a")
            .refused("sparse"),
        in_data("sparse-1-0-with-a-sign", "a map in format 1.0 has a negative number", "1\n-1\n1\n", "a")
            .refused("sparse"),
        in_data(
            "sparse-1-0-with-endless-digits",
            "a map in format 1.0 has a number without an end",
            &"9".repeat(512),
            "",
        )
        .refused("sparse"),
        in_data("sparse-1-0-overlapping", "the runs in format 1.0 overlap", "2\n0\n2\n1\n2\n", "abcd")
            .refused("sparse-map"),
        in_data("sparse-1-0-with-more-behind", "something stands behind a map in format 1.0", "1\n2\n1\nmore", "a")
            .refused("sparse"),
        in_data(
            "sparse-1-0-beyond-its-data",
            "a map in format 1.0 is longer than all that is stored",
            "400\n1\n1\n",
            "",
        )
        .refused("sparse"),
        in_data(
            "sparse-1-0-of-a-billion-runs",
            "a map in format 1.0 says that it has a billion runs",
            "1000000000\n0\n1\n",
            "a",
        )
        .seen("CVE-2025-58183")
        .refused("limit"),
        case("sparse-1-0-of-a-petabyte", "a file of a few bytes is a petabyte long", {
            version_1("1\n1125899906842624\n0\n", "", "1125899906842624", &[]).end()
        })
        .refused("limit"),
    ]
}

fn version_1_records(size: &[u8]) -> [(&str, &[u8]); 4] {
    [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.name", b"s"), ("GNU.sparse.realsize", size)]
}

fn version_1(map: &str, data: &str, size: &str, more: &[(&str, &[u8])]) -> Archive {
    let mut stored = map.as_bytes().to_vec();
    stored.resize(map.len().next_multiple_of(512), 0);
    stored.extend_from_slice(data.as_bytes());
    tar().pax(&[&version_1_records(size.as_bytes())[..], more].concat()).file("GNUSparseFile.0/s", stored)
}
