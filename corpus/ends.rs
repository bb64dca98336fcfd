//! Ends of archives: marked, unmarked, too early, and with more behind them.

use super::build::{Archive, Header, tar};
use super::case::{Case, Told, case};
use super::compress::{GzipHeader, gzip, gzip_with, zstd};

pub(crate) fn cases() -> Vec<Case> {
    [marks(), truncations(), proofs(), never_closed(), indexes()].concat()
}

fn file() -> Archive {
    tar().file("f", "data")
}

fn marks() -> Vec<Case> {
    vec![
        case("end-with-a-blocking-factor", "zeros fill an archive up to 10 KiB, as tape drives wanted it", {
            let archive = file().cut();
            let zeros = 10_240 - archive.len();
            tar().bytes(&archive).zeros(zeros).cut()
        })
        .taken()
        .then_file("f", "data"),
        case("end-of-one-zero-block", "an archive ends with one zero block", file().zeros(512).cut())
            .noted(&["one-zero-block"])
            .then_file("f", "data"),
        case("end-is-ragged", "an archive's last block is cut short", file().zeros(1025).cut())
            .noted(&["ragged-end"])
            .then_file("f", "data"),
        case("end-of-one-zero-block-and-a-bit", "an archive ends with one zero block and a bit", {
            file().zeros(612).cut()
        })
        .noted(&["one-zero-block", "ragged-end"])
        .then_file("f", "data"),
        case("end-is-missing", "an archive has no end mark, and nothing says that it is whole", file().cut())
            .refused_unless_compatible(&["unmarked-end"])
            .then_file("f", "data"),
        case("end-of-nothing", "an archive has no bytes at all", Vec::new())
            .refused_unless_compatible(&["unmarked-end"]),
        case("zero-block-in-the-middle", "one zero block stands before an entry: some readers end there", {
            file().zeros(512).file("behind", "struck").end()
        })
        .refused("lone-zero-block"),
        case("zero-block-before-text", "one zero block stands before text", file().zeros(512).padded(b"text").end())
            .refused("lone-zero-block"),
        case("entry-behind-the-end", "an entry stands behind the end: some readers go on", {
            file().zeros(1024).file("behind", "struck").end()
        })
        .refused_unless_compatible(&["data-after-end"])
        .then_absent("behind"),
        case("byte-behind-the-end", "a byte stands far behind the end", file().zeros(9_999).bytes(b"x").cut())
            .refused_unless_compatible(&["data-after-end"])
            .then_file("f", "data"),
    ]
}

fn truncations() -> Vec<Case> {
    vec![
        case("cut-in-a-header", "an archive ends within a header", cut_by(file().directory("d"), 1))
            .refused("truncated"),
        case("cut-in-content", "an archive ends within a file", cut_by(tar().file("f", [b'x'; 600]), 425))
            .refused("truncated"),
        case("cut-in-padding", "an archive ends within the zeros behind a file", cut_by(file(), 1))
            .refused("truncated"),
        case("cut-in-a-long-name", "an archive ends within a GNU long name", {
            tar().header(Header::gnu(b'L', "././@LongLink").size(600)).zeros(512).cut()
        })
        .refused("truncated"),
        case("cut-in-records", "an archive ends within a PAX header", {
            tar().header(Header::posix(b'x', "PaxHeaders/0").size(600)).bytes(b"9 path=a\n").cut()
        })
        .refused("truncated"),
        case("cut-in-the-end", "an archive ends within its first zero block", file().zeros(100).cut())
            .refused("truncated"),
        case("not-an-archive", "a page that says that the layer was not found", {
            b"<html><body>404 Not Found</body></html>\n".to_vec()
        })
        .refused("not-a-tar"),
        case("not-an-archive-at-length", "a long page that says that the layer was not found", {
            b"<html><body>404 Not Found</body></html>\n".repeat(20)
        })
        .refused("not-a-tar"),
    ]
}

/// What an extractor is told and finds, or does not.
fn proofs() -> Vec<Case> {
    let told_the_truth =
        |name, sentence, layer: Vec<u8>| case(name, sentence, layer.clone()).told(Told::Truth { unpacked: layer });
    vec![
        told_the_truth("proof-is-right", "an archive is the one that its digests name", file().end())
            .taken()
            .then_file("f", "data"),
        told_the_truth("proof-of-no-end", "an archive has no end mark, and a digest says that it is whole", {
            file().cut()
        })
        .noted(&["no-end-blocks"])
        .then_file("f", "data"),
        told_the_truth("proof-of-nothing", "an archive has no bytes, and a digest says that this is right", Vec::new())
            .noted(&["no-end-blocks"]),
        told_the_truth("proof-of-a-cut", "an archive ends within a file, and a digest says that this is right", {
            cut_by(tar().file("f", [b'x'; 600]), 425)
        })
        .refused("truncated"),
        case("digest-of-something-else", "an archive is not the one that its digest names", file().end())
            .told(Told::OtherDigest)
            .refused("digest-mismatch"),
        case("diff-id-of-something-else", "an archive is not the one that its diff ID names", file().end())
            .told(Told::OtherDiffId)
            .refused("diff-id-mismatch"),
        case("size-is-too-small", "an archive has a byte more than its descriptor says", file().end())
            .told(Told::OtherSize(-1))
            .refused("size-mismatch"),
        case("size-is-too-large", "an archive has a byte less than its descriptor says", file().end())
            .told(Told::OtherSize(1))
            .refused("size-mismatch"),
    ]
}

/// Archives whose writer was never closed: behind the data of the last file there is nothing, not even padding.
fn never_closed() -> Vec<Case> {
    let unpadded = || cut_by(tar().directory("d").file("d/f", "data"), 508);
    let told = |case: Case| case.told(Told::Truth { unpacked: unpadded() }).then_file("d/f", "data");
    let cut = |name, sentence, by: usize| {
        let layer = cut_by(tar().directory("d").file("d/f", "data"), by);
        case(name, sentence, layer.clone()).told(Told::Truth { unpacked: layer })
    };
    vec![
        told(case(
            "proof-of-no-padding",
            "an archive ends right behind the data of its last file, and a digest covers it",
            unpadded(),
        ))
        .seen("stacker and umoci wrote it until 2024")
        .noted(&["no-padding"]),
        told(case("proof-of-no-padding-in-gzip", "the same archive is compressed with gzip", gzip(&unpadded())))
            .seen("go-containerregistry and kaniko wrote it until 2019")
            .noted(&["no-padding"]),
        told(case("proof-of-no-padding-in-zstd", "the same archive is compressed with zstd", zstd(&unpadded())))
            .noted(&["no-padding"]),
        case(
            "end-without-padding",
            "an archive ends right behind the data of its last file, and no digest covers it",
            unpadded(),
        )
        .refused("truncated"),
        cut("proof-of-a-byte-too-few", "an archive ends a byte before the end of the data of its last file", 509)
            .refused("truncated"),
        cut("proof-of-half-the-padding", "an archive ends within the padding of its last file", 200)
            .refused("truncated"),
        case(
            "gzip-cut-behind-the-data-of-its-tar",
            "a gzip member ends behind all its data, which is an archive without padding, and before its checksum",
            cut_gzip(&unpadded()),
        )
        .told(Told::Truth { unpacked: unpadded() })
        .refused("truncated"),
        case(
            "gzip-cut-behind-the-end-of-its-tar",
            "a gzip member is cut behind an index behind the end of its archive",
            cut_gzip(&tar().file("f", "data").zeros(1024).file("stargz.index.json", INDEX).cut()),
        )
        .refused("truncated"),
        case("proof-of-no-padding-of-records", "an archive ends right behind PAX records, and a digest covers it", {
            let mut layer = tar().pax(&[("uid", b"1")]).cut();
            layer.truncate(512 + 8);
            layer
        })
        .refused("truncated"),
    ]
}

/// The index that BuildKit puts behind the end mark of an eStargz layer.
const INDEX: &str = "{\n\t\"version\": 1,\n\t\"entries\": []\n}";

fn indexes() -> Vec<Case> {
    let index = || tar().file("stargz.index.json", INDEX).end();
    let behind = |name, sentence, rest: Vec<u8>| case(name, sentence, file().zeros(1024).bytes(&rest).cut());
    vec![
        behind("index-behind-the-end", "the index of an eStargz layer stands behind the end of the archive", index())
            .seen("BuildKit writes it with `compression=estargz`")
            .noted(&["estargz-index"])
            .then_file("f", "data")
            .then_absent("stargz.index.json"),
        case(
            "index-behind-the-end-in-gzip",
            "the index is a gzip member of its own, and a footer without data follows",
            {
                let footer = GzipHeader { extra: b"SG\x16\x000000000000000061STARGZ", ..GzipHeader::default() };
                [gzip(&file().cut()), gzip(&[0; 1024]), gzip(&index()), gzip_with(footer, b"")].concat()
            },
        )
        .seen("BuildKit writes it with `compression=estargz`")
        .noted(&["estargz-index"])
        .then_file("f", "data")
        .then_absent("stargz.index.json"),
        behind("index-and-an-entry-behind-the-end", "another entry follows the index behind the end", {
            tar().file("stargz.index.json", INDEX).file("behind", "struck").end()
        })
        .refused_unless_compatible(&["data-after-end"])
        .then_absent("behind"),
        behind("index-and-an-archive-behind-the-end", "another archive follows the one of the index", {
            [index(), tar().file("behind", "struck").end()].concat()
        })
        .refused_unless_compatible(&["data-after-end"])
        .then_absent("behind"),
        behind("index-that-is-an-archive", "what is named like the index holds headers", {
            let inner = [b"{", &tar().file("behind", "struck").cut()[..]].concat();
            tar().file("stargz.index.json", inner).end()
        })
        .refused_unless_compatible(&["data-after-end"])
        .then_absent("behind"),
        behind(
            "index-without-an-end",
            "the index behind the end has no end mark",
            tar().file("stargz.index.json", INDEX).cut(),
        )
        .refused_unless_compatible(&["data-after-end"]),
        behind("index-that-is-a-link", "what is named like the index is a link", {
            tar().symlink("stargz.index.json", "/etc").end()
        })
        .refused_unless_compatible(&["data-after-end"])
        .then_absent("stargz.index.json"),
        behind("index-with-a-target", "the header of the index is one of a file, and has a link's target", {
            tar().with(Header::posix(b'0', "stargz.index.json").target("/etc"), INDEX).end()
        })
        .refused_unless_compatible(&["data-after-end"]),
        case("index-behind-one-zero-block", "the index stands behind one zero block", {
            file().zeros(512).bytes(&index()).cut()
        })
        .refused("lone-zero-block"),
        case("index-in-front-of-the-end", "the index is the last entry of the layer", {
            file().file("stargz.index.json", INDEX).end()
        })
        .seen("eStargz tools write it")
        .taken()
        .then_file("stargz.index.json", INDEX),
    ]
}

fn cut_by(archive: Archive, bytes: usize) -> Vec<u8> {
    let mut archive = archive.cut();
    archive.truncate(archive.len() - bytes);
    archive
}

/// A gzip member that lacks its checksum and its length.
fn cut_gzip(content: &[u8]) -> Vec<u8> {
    let mut blob = gzip(content);
    blob.truncate(blob.len() - 8);
    blob
}
