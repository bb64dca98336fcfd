//! Ends of archives: marked, unmarked, too early, and with more behind them.

use super::build::{Archive, Header, tar};
use super::case::{Case, Told, case};

pub(crate) fn cases() -> Vec<Case> {
    [marks(), truncations(), proofs()].concat()
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

fn cut_by(archive: Archive, bytes: usize) -> Vec<u8> {
    let mut archive = archive.cut();
    archive.truncate(archive.len() - bytes);
    archive
}
