//! The ends of archives from writers that were never closed, the index after the end of an eStargz layer, and numbers with a
//! sign.

use super::super::build::Header;
use super::super::{EndMark, TarReader};
use super::{a, read_with, refused};
use crate::words::Limits;

#[test]
fn a_covered_archive_may_lack_the_padding_of_its_last_file_and_no_more() {
    let quirks = |archive: &[u8], covered| {
        let read = read_with(archive, &Limits::default(), covered);
        read.map(|read| read.quirks).map_err(|error| error.rule_id().unwrap_or_default())
    };
    let whole = a().directory("d").file("f", b"data").cut();
    let unpadded = &whole[..whole.len() - 508];
    assert_eq!(quirks(unpadded, true), Ok(vec!["no-padding"]));
    assert_eq!(quirks(unpadded, false), Err("truncated"));
    for length in 1024..whole.len() {
        // Right behind the data, and nowhere else.
        let expected = if length == unpadded.len() { Ok(vec!["no-padding"]) } else { Err("truncated") };
        let expected = if length == 1024 { Err("truncated") } else { expected };
        assert_eq!(quirks(&whole[..length], true), expected, "{length}");
    }
    // Where there is no padding to be left out, the end mark alone is missing.
    assert_eq!(quirks(&a().file("f", [b'x'; 512]).cut(), true), Ok(vec!["no-end-blocks"]));
    // The content is all there, whether it is read or passed over.
    let mut reader = TarReader::new(unpadded, &Limits::default()).with_end_mark(EndMark::Optional);
    while reader.next_entry().unwrap().is_some() {}
    assert_eq!(reader.position().offset, Some(unpadded.len() as u64));
    let read = read_with(unpadded, &Limits::default(), true).unwrap();
    assert_eq!(read.entries.last().unwrap().1, b"data");
    // What belongs to an extended header is no file's.
    let records = a().pax(&[("uid", b"1")]).cut();
    assert_eq!(quirks(&records[..records.len() - 500], true), Err("truncated"));
}

#[test]
fn behind_the_end_stands_the_index_of_an_estargz_layer_or_nothing() {
    const NAME: &[u8] = b"stargz.index.json";
    let index = |header: Header, content: &[u8]| a().with(header, content);
    let json = b"{\n\t\"version\": 1\n}";
    let right = || index(Header::posix(b'0', NAME), json);
    let taken: &[(&str, Vec<u8>)] = &[
        ("as BuildKit writes it", right().end()),
        ("with more zeros", right().zeros(512).end()),
        ("of a whole block", index(Header::posix(b'0', NAME), &[b'{'; 512]).end()),
    ];
    let others: &[(&str, Vec<u8>)] = &[
        ("another name", index(Header::posix(b'0', b"stargz.index.jsonx"), json).end()),
        ("a name of the same kind", index(Header::posix(b'0', b"./stargz.index.json"), json).end()),
        ("in a directory", index(Header::posix(b'0', NAME).prefix(b"d"), json).end()),
        ("another type", index(Header::posix(b'7', NAME), json).end()),
        ("a link", a().header(Header::posix(b'2', NAME).target(b"t")).end()),
        ("another dialect", index(Header::gnu(b'0', NAME), json).end()),
        ("a wrong checksum", a().bytes(&Header::posix(b'0', NAME).block_summed_signed()).end()[1..].to_vec()),
        ("a link's target", index(Header::posix(b'0', NAME).target(b"t"), json).end()),
        ("something behind a target's end", index(Header::posix(b'0', NAME).bytes(158, b"t"), json).end()),
        ("a name that goes on", index(Header::posix(b'0', NAME).bytes(18, b"x"), json).end()),
        ("a major number", index(Header::posix(b'0', NAME).bytes(329, b"0000001\0"), json).end()),
        ("a minor number", index(Header::posix(b'0', NAME).bytes(337, b"0000001\0"), json).end()),
        ("a prefix behind a NUL", index(Header::posix(b'0', NAME).bytes(346, b"d"), json).end()),
        ("a real size", index(Header::posix(b'0', NAME).bytes(483, b"00000001000\0"), json).end()),
        ("star's trailer", index(Header::posix(b'0', NAME).bytes(508, b"tar\0"), json).end()),
        ("a byte at the end", index(Header::posix(b'0', NAME).bytes(511, b"x"), json).end()),
        ("a setuid bit", index(Header::posix(b'0', NAME).bytes(100, b"0004755\0"), json).end()),
        ("the type of a directory in the mode", index(Header::posix(b'0', NAME).bytes(100, b"0040755\0"), json).end()),
        ("a mode that is none", index(Header::posix(b'0', NAME).bytes(100, b"rubbish\0"), json).end()),
        ("a long name in front", a().long_name(b"x\0").end()),
        ("records in front", [a().pax(&[("uid", b"1")]).cut(), right().end()].concat()),
        ("nothing in it", index(Header::posix(b'0', NAME), b"").end()),
        ("no JSON in it", index(Header::posix(b'0', NAME), b"[]").end()),
        (
            "an archive in it",
            index(Header::posix(b'0', NAME), &[b"{", &a().file("evil", b"x").cut()[..]].concat()).end(),
        ),
        ("a second entry", right().file("evil", b"x").end()),
        ("a second index", [right().cut(), right().end()].concat()),
        ("an archive behind it", [right().end(), a().file("evil", b"x").end()].concat()),
        ("a byte behind it", right().zeros(2000).bytes(b"x").cut()),
        ("padding that is text", {
            let mut archive = right().end();
            archive[1023] = b'x';
            archive
        }),
        ("no end", right().cut()),
        ("half an end", right().zeros(512).cut()),
        ("a ragged end", right().zeros(1025).cut()),
        ("a size beyond the end", index(Header::posix(b'0', NAME), json).cut()[..520].to_vec()),
        ("half a header", right().cut()[..300].to_vec()),
    ];
    let quirks = |zeros, behind: &[u8]| {
        let archive = a().file("f", b"data").zeros(zeros).bytes(behind).cut();
        let read = read_with(&archive, &Limits::default(), false).unwrap();
        assert_eq!(read.entries.len(), 1, "it is no part of the layer");
        read.quirks
    };
    for (name, behind) in taken {
        assert_eq!(quirks(1024, behind), ["estargz-index"], "{name}");
        assert_eq!(quirks(10_240, behind), ["estargz-index"], "{name}");
        assert_eq!(quirks(1100, behind), ["data-after-end"], "{name}, not at a block");
    }
    for (name, behind) in others {
        assert_eq!(quirks(1024, behind), ["data-after-end"], "{name}");
    }
    // Every cut of it is found.
    let whole = right().end();
    for length in 1..whole.len() {
        assert_eq!(quirks(1024, &whole[..length]), ["data-after-end"], "{length}");
    }
    let lone = a().file("f", b"data").zeros(512).bytes(&whole).cut();
    assert_eq!(refused(&lone), Some("lone-zero-block"));
}

#[test]
fn a_time_with_a_minus_sign_behind_zeros_is_refused_or_zero() {
    let with = |field: &[u8]| a().header(Header::posix(b'0', b"f").bytes(136, field)).end();
    for field in [b"000000000-1 ", b"0-355016454 "] {
        assert_eq!(seconds(&with(field)), (0, vec!["time-sign"]), "{}", field.escape_ascii());
        assert_eq!(refused(&with(field)), Some("time-sign"), "tarfile ends here without a word");
    }
    assert_eq!(seconds(&with(b"00000000001 ")), (1, Vec::new()));
    for field in [b"-0000000001 ", b"-3550164540 ", b"         -1 ", b"000000001-1 "] {
        assert_eq!(refused(&with(field)), Some("number"), "{}", field.escape_ascii());
    }
    // It is no number of anything else, and where a record says the time, that one counts.
    for at in [100, 108, 116] {
        assert_eq!(refused(&a().header(Header::posix(b'0', b"f").bytes(at, b"0000-1 \0")).end()), Some("number"));
    }
    let over = a().pax(&[("mtime", b"-1")]).header(Header::posix(b'0', b"f").bytes(136, b"000000000-1 ")).end();
    assert_eq!(seconds(&over), (-1, vec!["time-sign"]));
}

/// Seconds and quirks of an archive's only entry, whatever a policy says of them.
fn seconds(archive: &[u8]) -> (i64, Vec<&'static str>) {
    let read = read_with(archive, &Limits::default(), false).unwrap();
    let [(entry, _)] = &read.entries[..] else { panic!("{} entries", read.entries.len()) };
    (entry.metadata.mtime.seconds(), read.quirks)
}
