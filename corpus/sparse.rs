//! Files with holes, in the four formats that there are.

use super::build::{Archive, Header, sparse_slots, tar};
use super::case::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    [old_gnu(), in_records(), in_data()].concat()
}

/// `a` at 2, `b` at 5, ten bytes in all.
const HOLES: &[u8] = b"\0\0a\0\0b\0\0\0\0";

/// Type `S`, with four slots in the header and more in blocks behind it.
fn old_gnu() -> Vec<Case> {
    let header = |slots: &[(u64, u64)], more, size| Header::gnu(b'S', "s").sparse_map(slots, more, size);
    vec![
        case("sparse-old-gnu", "a file with holes as GNU tar wrote it before PAX", {
            tar().with(header(&[(2, 1), (5, 1), (10, 0)], 0, 10), "ab").end()
        })
        .noted(&["old-sparse-file"])
        .then_file("s", HOLES),
        case("sparse-old-gnu-going-on", "an old map goes on in a block of its own", {
            tar()
                .header(header(&[(0, 1), (2, 1), (4, 1), (6, 1)], 1, 10).size(5))
                .bytes(&more(&[(8, 1)], 0))
                .padded(b"abcde")
                .end()
        })
        .noted(&["old-sparse-file"])
        .then_file("s", b"a\0b\0c\0d\0e\0"),
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
            tar().with(header(&[(0, 1)], 0, 10), "ab").end()
        })
        .refused("sparse-size"),
        case("sparse-old-gnu-with-text", "a slot of an old map is no number", {
            tar().header(header(&[], 0, 10).bytes(386, b"offset")).end()
        })
        .refused("number"),
        case("sparse-old-gnu-with-a-gap", "a slot of an old map stands behind an empty one", {
            tar().with(header(&[], 0, 10).bytes(410, &sparse_slots(&[(0, 1)])), "a").end()
        })
        .refused("number"),
        case("sparse-old-gnu-with-an-odd-mark", "an old map's mark for more is neither zero nor one", {
            tar().header(header(&[], 2, 0)).end()
        })
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

/// PAX 0.0 and 0.1, whose maps stand in records.
fn in_records() -> Vec<Case> {
    let records = |name, sentence, records: &[(&str, &[u8])], data: &[u8]| {
        case(name, sentence, tar().pax(records).file("GNUSparseFile.0/s", data).end())
    };
    vec![
        records(
            "sparse-0-0",
            "a map in format 0.0, whose keys repeat",
            &[
                ("GNU.sparse.size", b"10"),
                ("GNU.sparse.numblocks", b"2"),
                ("GNU.sparse.offset", b"2"),
                ("GNU.sparse.numbytes", b"1"),
                ("GNU.sparse.offset", b"5"),
                ("GNU.sparse.numbytes", b"1"),
            ],
            b"ab",
        )
        .taken()
        .then_file("GNUSparseFile.0/s", HOLES),
        records(
            "sparse-0-0-miscounted",
            "a map in format 0.0 has another number of runs than it says",
            &[
                ("GNU.sparse.size", b"10"),
                ("GNU.sparse.numblocks", b"9"),
                ("GNU.sparse.offset", b"2"),
                ("GNU.sparse.numbytes", b"1"),
            ],
            b"a",
        )
        .refused("sparse"),
        records(
            "sparse-0-0-without-a-length",
            "a run in format 0.0 has no length",
            &[("GNU.sparse.size", b"10"), ("GNU.sparse.offset", b"2")],
            b"",
        )
        .refused("sparse"),
        records(
            "sparse-0-0-without-an-offset",
            "a run in format 0.0 has no offset",
            &[("GNU.sparse.size", b"10"), ("GNU.sparse.numbytes", b"2")],
            b"ab",
        )
        .seen("CVE-2019-9923")
        .refused("sparse"),
        records(
            "sparse-0-1",
            "a map in format 0.1, and the name in a record of its own",
            &[
                ("path", b"GNUSparseFile.0/s"),
                ("GNU.sparse.name", b"s"),
                ("GNU.sparse.size", b"10"),
                ("GNU.sparse.numblocks", b"2"),
                ("GNU.sparse.map", b"2,1,5,1"),
            ],
            b"ab",
        )
        .taken()
        .then_file("s", HOLES)
        .then_absent("GNUSparseFile.0"),
        records(
            "sparse-0-1-name-climbs",
            "the name in the record of a sparse file climbs",
            &[
                ("path", b"GNUSparseFile.0/s"),
                ("GNU.sparse.name", b"../canary"),
                ("GNU.sparse.size", b"1"),
                ("GNU.sparse.map", b"0,1"),
            ],
            b"!",
        )
        .refused("name-climbs"),
        records(
            "sparse-0-1-name-with-a-nul",
            "the name in the record of a sparse file has a NUL",
            &[("GNU.sparse.name", b"s\0t"), ("GNU.sparse.size", b"1"), ("GNU.sparse.map", b"0,1")],
            b"!",
        )
        .refused("name-nul"),
        records(
            "sparse-0-1-odd",
            "a map in format 0.1 ends in an offset without a length",
            &[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"2,1,5")],
            b"a",
        )
        .refused("sparse"),
        records(
            "sparse-0-1-overflowing",
            "a run in format 0.1 ends beyond 64 bits",
            &[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"18446744073709551615,2")],
            b"ab",
        )
        .refused("sparse-map"),
        records(
            "sparse-0-1-with-too-little",
            "a file has less data than its map in format 0.1 says",
            &[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"0,10")],
            b"ab",
        )
        .refused("sparse-size"),
        records(
            "sparse-of-holes",
            "a file is one hole",
            &[("GNU.sparse.size", b"10"), ("GNU.sparse.numblocks", b"0"), ("GNU.sparse.map", b"")],
            b"",
        )
        .taken()
        .then_file("GNUSparseFile.0/s", [0; 10]),
        records(
            "sparse-version-2",
            "a map in a format to come",
            &[("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"10")],
            b"",
        )
        .refused("sparse"),
        records(
            "sparse-with-an-unknown-key",
            "a record about holes has a key that is not known",
            &[("GNU.sparse.size", b"10"), ("GNU.sparse.fill", b"x")],
            b"",
        )
        .refused("sparse"),
        records(
            "sparse-size-is-text",
            "the size of a file with holes is no number",
            &[("GNU.sparse.size", b"ten"), ("GNU.sparse.map", b"0,1")],
            b"a",
        )
        .refused("pax-value"),
        records("sparse-of-star", "a file with holes as star writes it", &[("SCHILY.realsize", b"10")], b"ab")
            .refused("sparse"),
        case("sparse-directory", "a directory has holes", {
            tar().pax(&[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"")]).directory("d").end()
        })
        .refused("sparse"),
    ]
}

/// PAX 1.0, whose map stands in front of the data.
fn in_data() -> Vec<Case> {
    let in_data = |name, sentence, map: &str, data: &str| case(name, sentence, version_1(map, data, "10").end());
    vec![
        in_data("sparse-1-0", "a map in format 1.0", "2\n2\n1\n5\n1\n", "ab").taken().then_file("s", HOLES),
        in_data("sparse-1-0-of-holes", "a map in format 1.0 has no runs", "0\n", "").taken().then_file("s", [0; 10]),
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
            version_1("0\n", "", "1125899906842624").end()
        })
        .refused("limit"),
    ]
}

fn version_1(map: &str, data: &str, size: &str) -> Archive {
    let mut stored = map.as_bytes().to_vec();
    stored.resize(map.len().next_multiple_of(512), 0);
    stored.extend_from_slice(data.as_bytes());
    let records: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"s"),
        ("GNU.sparse.realsize", size.as_bytes()),
    ];
    tar().pax(records).file("GNUSparseFile.0/s", stored)
}
