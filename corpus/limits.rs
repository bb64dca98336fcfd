//! Amounts: each one that a small layer can drive beyond its limit, and the largest that passes.

use super::build::{Archive, Header, tar};
use super::case::{Case, case};
use super::compress::{gzip, zstd, zstd_of_zeros, zstd_skippable};

pub(crate) fn cases() -> Vec<Case> {
    [entries_and_bytes(), whole_layers(), names(), extended(), implied(), links()].concat()
}

fn entries_and_bytes() -> Vec<Case> {
    vec![
        case("entries-at-the-limit", "a layer has as many entries as it may", files(3)).limit("entries", 3).taken(),
        case("entries-beyond-the-limit", "a layer has one entry more than it may", files(4))
            .limit("entries", 3)
            .refused("limit"),
        case("image-bytes-at-the-limit", "a layer's files are as large together as they may be", files(3))
            .limit("image-bytes", 12)
            .taken(),
        case("image-bytes-beyond-the-limit", "a layer's files are one byte larger together than they may be", files(3))
            .limit("image-bytes", 11)
            .refused("limit"),
        case("image-bytes-of-a-bomb", "what a small compressed layer holds is larger than it may be", {
            gzip(&tar().file("f", vec![0; 100_000]).end())
        })
        .seen("CVE-2017-14992")
        .limit("image-bytes", 99_999)
        .refused("limit"),
        case("file-bytes-at-the-limit", "a file is as large as it may be", files(1)).limit("file-bytes", 4).taken(),
        case("file-bytes-beyond-the-limit", "a file is one byte larger than it may be", files(1))
            .limit("file-bytes", 3)
            .refused("limit"),
        case("file-bytes-that-nobody-wrote", "a header says that its file has a tebibyte", {
            tar().pax(&[("size", b"1099511627776")]).file("f", "").end()
        })
        .refused("limit"),
        case("zstd-window-beyond-the-limit", "a zstd frame asks for a larger window than it may", zstd(&files(1)))
            .limit("zstd-window-bytes", (128 << 10) - 1)
            .refused("limit"),
        case("sparse-segments-beyond-the-limit", "a file has more runs of data than it may", {
            let runs = [("GNU.sparse.numblocks", &b"3"[..]), ("GNU.sparse.map", b"0,1,2,1,9,0")];
            tar().pax(&sparse(b"9", runs)).file("s", "ab").end()
        })
        .limit("sparse-segments", 2)
        .refused("limit"),
        case("sparse-size-beyond-the-limit", "a file is larger than it may be, and is all holes", {
            let runs = [("GNU.sparse.numblocks", &b"1"[..]), ("GNU.sparse.map", b"1000,0")];
            tar().pax(&sparse(b"1000", runs)).file("s", "").end()
        })
        .limit("file-bytes", 999)
        .refused("limit"),
    ]
}

/// What a layer has as a whole, however little of it is an entry.
fn whole_layers() -> Vec<Case> {
    let headers = || tar().global(&[]).long_name("n").file("f", "data").end();
    let repeated = || tar().long_name("a").long_name("b").long_name("c").file("f", "").end();
    let squeezed = || [zstd(&tar().header(Header::posix(b'0', "f").size(1 << 20)).cut()), zstd_of_zeros(9)].concat();
    vec![
        case("headers-at-the-limit", "a layer has as many headers as it may, of which one is an entry's", headers())
            .limit("headers", 3)
            .taken(),
        case("headers-beyond-the-limit", "a layer has one header more than it may, though just one entry", headers())
            .limit("headers", 2)
            .refused("limit"),
        case("headers-without-an-entry", "a layer repeats the extended header of one entry", repeated())
            .limit("headers", 3)
            .refused("limit"),
        case("layer-bytes-at-the-limit", "an uncompressed layer is as large as it may be", files(1))
            .limit("layer-bytes", 2048)
            .taken(),
        case("layer-bytes-beyond-the-limit", "an uncompressed layer is one byte larger than it may be", files(1))
            .limit("layer-bytes", 2047)
            .refused("limit"),
        case("layer-bytes-of-zeros", "a small blob has nothing but zeros behind the end of its archive", {
            [zstd(&files(1)), zstd_of_zeros(100)].concat()
        })
        .limit("layer-bytes", 1 << 20)
        .refused("limit"),
        case("layer-bytes-of-nothing", "a blob is large, and holds next to nothing", {
            [zstd(&files(1)), zstd_skippable(&[0; 5000])].concat()
        })
        .limit("layer-bytes", 5000)
        .refused("limit"),
        case("expansion-ratio-at-the-limit", "a blob of 563 bytes holds as much as it may", squeezed())
            .limit("expansion-ratio", 2097)
            .taken(),
        case("expansion-ratio-beyond-the-limit", "a blob of 563 bytes holds more than it may", squeezed())
            .limit("expansion-ratio", 2096)
            .refused("limit"),
        case("expansion-ratio-of-a-small-layer", "a layer below a mebibyte is not asked for its ratio", {
            [zstd(&tar().cut()), zstd_of_zeros(8)].concat()
        })
        .limit("expansion-ratio", 1)
        .taken(),
    ]
}

/// Records of sparse format 0.1.
fn sparse(size: &'static [u8], [count, map]: [(&'static str, &'static [u8]); 2]) -> [(&'static str, &'static [u8]); 4] {
    [("GNU.sparse.size", size), count, ("GNU.sparse.name", b"s"), map]
}

/// So many files of four bytes.
fn files(number: u32) -> Vec<u8> {
    (0..number).fold(tar(), |archive: Archive, file| archive.file(format!("f{file}"), "data")).end()
}

fn names() -> Vec<Case> {
    let named = |path: &[u8]| tar().pax(&[("path", path)]).file("f", "").end();
    vec![
        case("path-of-4096-bytes", "a name is as long as it may be", {
            named(&[&b"./".repeat(2047)[..], b"ff"].concat())
        })
        .taken()
        .then_file("ff", ""),
        case("path-of-4097-bytes", "a name is one byte longer than it may be", {
            named(&[&b"./".repeat(2048)[..], b"f"].concat())
        })
        .refused("limit"),
        case("path-beyond-what-a-kernel-takes", "a name is twice as long as a kernel takes in one call", {
            named(&b"directory/".repeat(820))
        })
        .refused("limit"),
        case("path-as-deep-as-it-may-be", "a name has as many components as it may", named(b"a/b/c"))
            .limit("path-depth", 3)
            .taken(),
        case("path-deeper-than-it-may-be", "a name has one component more than it may", named(b"a/b/c/d"))
            .limit("path-depth", 3)
            .refused("limit"),
        case("hard-link-target-of-4097-bytes", "a hard link's target is one byte longer than it may be", {
            let target = [&b"./".repeat(2048)[..], b"f"].concat();
            tar().file("f", "").pax(&[("linkpath", &target)]).hard_link("l", "f").end()
        })
        .refused("limit"),
    ]
}

fn extended() -> Vec<Case> {
    let attributes = |number: u32| {
        let names: Vec<_> = (0..number).map(|number| format!("SCHILY.xattr.user.{number}")).collect();
        let records: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"v"[..])).collect();
        tar().pax(&records).file("f", "").end()
    };
    vec![
        case("pax-that-nobody-wrote", "a PAX header says that it has 8 GiB", {
            tar().header(Header::posix(b'x', "PaxHeaders/0").size(0o77_7777_7777)).cut()
        })
        .seen("CVE-2022-2879")
        .refused("limit"),
        case("long-name-that-nobody-wrote", "a GNU long name says that it has a mebibyte and a byte", {
            tar().header(Header::gnu(b'L', "././@LongLink").size((1 << 20) + 1)).cut()
        })
        .refused("limit"),
        case("global-header-beyond-the-limit", "a global header is larger than it may be", {
            tar().global(&[("comment", &[b'x'; 100])]).file("f", "").end()
        })
        .limit("extended-header-bytes", 100)
        .refused("limit"),
        case("attributes-beyond-the-limit", "an entry has 129 extended attributes", attributes(129)).refused("limit"),
        case("attributes-at-the-limit", "an entry has as many extended attributes as it may", attributes(3))
            .limit("xattrs", 3)
            .taken(),
        case("attribute-bytes-beyond-the-limit", "an entry's extended attributes are larger than they may be", {
            tar().pax(&[("SCHILY.xattr.user.a", &[b'x'; 100])]).file("f", "").end()
        })
        .limit("xattr-bytes", 100)
        .refused("limit"),
    ]
}

/// Directories that no entry lists.
fn implied() -> Vec<Case> {
    let parents = || tar().symlink("l", "x/y").file("a/b/f", "").file("l/z/f", "").file("m/.wh.n", "");
    vec![
        case("implied-directories-at-the-limit", "names and a link lead through as many directories as may be made", {
            parents().end()
        })
        .limit("implied-directories", 5)
        .taken()
        .then_directory("x/y/z")
        .then_absent("m"),
        case(
            "implied-directories-beyond-the-limit",
            "names and a link lead through one directory more than may be made",
            parents().end(),
        )
        .limit("implied-directories", 4)
        .refused("limit"),
        case(
            "implied-directories-that-are-there",
            "names lead through directories that lower layers and entries made",
            tar().file("a/b/f", "").directory("c").file("c/f", "").end(),
        )
        .over(tar().file("a/b/g", "").end())
        .limit("implied-directories", 2)
        .taken(),
        case("implied-directories-of-a-small-layer", "three names lead through 1,999 directories each", {
            let name = |number: u32| [format!("{number}/"), "d/".repeat(1_998), "f".to_owned()].concat();
            let file = |archive: Archive, number| archive.pax(&[("path", name(number).as_bytes())]).file("f", "");
            (0..3).fold(tar(), file).end()
        })
        .limit("implied-directories", 5_000)
        .refused("limit"),
    ]
}

fn back_and_forth() -> Archive {
    tar().directory("a").symlink("l", "a/../a").symlink("m", "/l").file("l/f", "").file("m/g", "").file("l/h", "")
}

fn links() -> Vec<Case> {
    let through = || tar().symlink("a", "b").symlink("b", "c").directory("c").file("a/f", "").file("a/d/g", "");
    vec![
        case("link-hops-at-the-limit", "a name goes through as many links as it may", through().end())
            .limit("link-hops", 2)
            .taken(),
        case("link-hops-beyond-the-limit", "a name goes through one link more than it may", through().end())
            .limit("link-hops", 1)
            .refused("link-loop"),
        case("layer-link-hops-beyond-the-limit", "a layer's names go through more links than they may together", {
            through().end()
        })
        .limit("layer-link-hops", 3)
        .refused("limit"),
        case("layer-link-steps-at-the-limit", "links lead back and forth as often as they may together", {
            back_and_forth().end()
        })
        .limit("layer-link-steps", 11)
        .taken(),
        case("layer-link-steps-beyond-the-limit", "links lead back and forth once more than they may together", {
            back_and_forth().end()
        })
        .limit("layer-link-steps", 10)
        .refused("limit"),
        case(
            "layer-link-steps-of-a-small-layer",
            "a name leads through 39 links of 819 times `a/../` each, three times",
            {
                // 63,882 steps for 39 links, each time.
                let link = |number: u32| ["a/../".repeat(818), format!("l{number}")].concat();
                let links = (0..39).fold(tar().directory("a").directory("l39"), |archive, number| {
                    archive.pax(&[("linkpath", link(number + 1).as_bytes())]).symlink(format!("l{number}"), "l")
                });
                (0..3).fold(links, |archive, number| archive.file(format!("l0/f{number}"), "")).end()
            },
        )
        .limit("layer-link-steps", 150_000)
        .refused("limit"),
        case(
            "layer-opens-beyond-the-limit",
            "names lead back to more directories, of very many, than may be opened",
            {
                let many = (0..500).fold(tar(), |archive, number| archive.directory(format!("d{number}")));
                many.file("d0/f", "").file("d1/f", "").end()
            },
        )
        .limit("layer-opens", 1)
        .refused("limit"),
        case("image-steps-beyond-the-limit", "two layers ask for more steps together than an image may", {
            tar().symlink("m", "a/../a").file("m/g", "").end()
        })
        .over(tar().directory("a").symlink("l", "a/../a").file("l/f", "").end())
        .limit("image-steps", 5)
        .refused("limit"),
        case(
            "layer-places-at-the-limit",
            "a layer brings as much to a lower directory as it may",
            beside_another(3).end(),
        )
        .over(beside_another(1).end())
        .limit("layer-places", 4)
        .taken(),
        case("layer-places-beyond-the-limit", "a layer brings more to a lower directory than it may", {
            beside_another(4).end()
        })
        .over(beside_another(1).end())
        .limit("layer-places", 4)
        .refused("limit"),
    ]
}

/// Files in a directory: with that itself, one place more than there are files.
fn beside_another(files: u32) -> Archive {
    (0..files).fold(tar(), |archive, number| archive.file(format!("d/f{number}"), ""))
}
