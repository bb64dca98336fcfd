//! What real images have, odd as it is: an unpacker that refuses it fails its users.

use super::build::{Archive, Header, base_256, tar};
use super::case::{Case, Fact, Told, case};
use super::compress::{gzip, zstd, zstd_skippable};

pub(crate) fn cases() -> Vec<Case> {
    [entries(), links(), headers(), blobs()].concat()
}

fn entries() -> Vec<Case> {
    vec![
        case("real-root-entry-dot", "a layer lists its root as `./`", {
            tar().directory("./").file("./f", "hello").end()
        })
        .seen("distroless images")
        .taken()
        .then_file("f", "hello"),
        case("real-root-entry-slash", "a layer lists its root as `/`", {
            tar().header(Header::posix(b'5', "/").mode(0o711)).file("f", "hello").end()
        })
        .seen("kaniko writes it")
        .taken()
        .then_file("f", "hello"),
        case("real-root-entry-last", "a layer lists its root behind all else", {
            tar().file("f", "hello").directory(".").end()
        })
        .taken()
        .then_file("f", "hello"),
        case("real-parents-unlisted", "a layer lists no parents", tar().file("a/b/c/d", "hello").end())
            .seen("Bazel writes it")
            .taken()
            .then_directory("a")
            .then_file("a/b/c/d", "hello"),
        case("real-parents-late", "a layer lists parents behind what is in them", {
            tar().file("a/b/f", "hello").directory("a/b/").directory("a/").end()
        })
        .taken()
        .then_file("a/b/f", "hello"),
        case("real-directory-ten-times", "a layer lists a directory ten times", {
            (0..10).fold(tar(), |archive: Archive, _| archive.directory("usr/")).file("usr/f", "hello").end()
        })
        .taken()
        .then_file("usr/f", "hello"),
        case("real-directory-of-mode-0", "a directory that nobody may enter has something in it", {
            tar().header(Header::posix(b'5', "d").mode(0)).file("d/f", "hello").end()
        })
        .taken()
        .then("d", Fact::DirectoryOf(0)),
        case("real-directory-of-mode-0555", "a directory that nobody may write to has something in it", {
            tar().header(Header::posix(b'5', "d").mode(0o555)).file("d/f", "hello").end()
        })
        .taken()
        .then("d", Fact::DirectoryOf(0o555)),
        case(
            "real-lower-directory-of-mode-0",
            "a lower layer has a directory that nobody may enter, and this one adds to it",
            tar().file("d/f", "hello").end(),
        )
        .over(tar().header(Header::posix(b'5', "d").mode(0)).end())
        .taken()
        .then("d", Fact::DirectoryOf(0)),
        case("real-large-id", "a file belongs to somebody whose id octal digits do not hold", {
            tar().with(Header::gnu(b'0', "f").raw_uid(&base_256::<8>(369_884_941)), "hello").end()
        })
        .taken()
        .then_file("f", "hello"),
        case("real-large-id-by-pax", "a PAX record says who owns a file, since octal digits do not", {
            tar().pax(&[("uid", b"369884941"), ("gid", b"369884941")]).file("f", "hello").end()
        })
        .taken()
        .then_file("f", "hello"),
        case(
            "real-whiteout-beside-its-directory",
            "a directory's lower content goes by whiteouts, one for each name",
            tar().directory("d/").whiteout("d/.wh.a").whiteout("d/.wh.b").file("d/c", "hello").end(),
        )
        .over(tar().file("d/a", "lower").file("d/b/x", "lower").end())
        .taken()
        .then_absent("d/a")
        .then_absent("d/b")
        .then_file("d/c", "hello"),
    ]
}

fn links() -> Vec<Case> {
    vec![
        case("real-var-run", "a file lies under `var/run`, which is a link to `/run`", {
            tar().symlink("var/run", "/run").file("var/run/lock/f", "hello").end()
        })
        .taken()
        .then_symlink("var/run", "/run")
        .then_file("run/lock/f", "hello"),
        case(
            "real-bin-of-the-lower-layer",
            "a file lies under `bin`, which the lower layer has as a link to `usr/bin`",
            tar().file("bin/tool", "hello").end(),
        )
        .over(tar().symlink("bin", "usr/bin").directory("usr/").directory("usr/bin/").end())
        .taken()
        .then_symlink("bin", "usr/bin")
        .then_file("usr/bin/tool", "hello"),
        case("real-link-that-dangles", "a file lies under a link to what no layer has", {
            tar().symlink("opt", "data/opt").file("opt/app/f", "hello").end()
        })
        .taken()
        .then_file("data/opt/app/f", "hello"),
        case("real-hard-link-absolute", "a hard link's target begins with a slash", {
            tar().file("bin/a", "hello").hard_link("bin/b", "/bin/a").end()
        })
        .seen("kaniko writes it")
        .taken()
        .then("bin/b", Fact::SameAs("bin/a")),
        case("real-hard-link-long", "a hard link's target is longer than a header holds", {
            let name = format!("directory/{}", "n".repeat(120));
            let long = [name.as_bytes(), b"\0"].concat();
            tar()
                .long_name(&long)
                .file(&name[..100], "hello")
                .long_link(&long)
                .header(Header::gnu(b'1', "l").target(&name[..100]))
                .end()
        })
        .taken()
        .then_file("l", "hello"),
        case("real-hard-link-long-by-pax", "a hard link's target is in a PAX record", {
            let name = format!("directory/{}", "n".repeat(120));
            tar()
                .pax(&[("path", name.as_bytes())])
                .file(&name[..100], "hello")
                .pax(&[("linkpath", name.as_bytes())])
                .hard_link("l", &name[..100])
                .end()
        })
        .taken()
        .then_file("l", "hello"),
        case("real-hard-link-through-a-link", "a hard link's target leads through a link", {
            tar().symlink("bin", "usr/bin").file("usr/bin/a", "hello").hard_link("b", "bin/a").end()
        })
        .taken()
        .then("b", Fact::SameAs("usr/bin/a")),
    ]
}

fn headers() -> Vec<Case> {
    vec![
        case("real-gnu-with-prefix", "a header with GNU magic has a ustar prefix", {
            tar().with(Header::gnu(b'0', "f").prefix("some/long/directory"), "hello").end()
        })
        .seen("Go before 1.8 writes it in some cases")
        .noted(&["gnu-prefix"])
        .then_file("some/long/directory/f", "hello"),
        case(
            "gnu-prefix-of-a-number",
            "where times are in a header with GNU magic stands one for Go, and text behind it",
            tar().with(Header::gnu(b'0', "f").prefix(b"0\0junk"), "hello").end(),
        )
        .refused("number"),
        case("real-gnu-with-times", "a header with GNU magic has times where others have a prefix", {
            tar().with(Header::gnu(b'0', "f").prefix(b"13773573637\x0013773573637\0"), "hello").end()
        })
        .seen("GNU tar writes it with `--incremental`")
        .noted(&["gnu-times"])
        .then_file("f", "hello"),
        case("real-posix-with-prefix", "a POSIX header has its name in two parts", {
            tar().with(Header::posix(b'0', "f").prefix("some/long/directory"), "hello").end()
        })
        .taken()
        .then_file("some/long/directory/f", "hello"),
        case("real-git-archive", "a global header holds the commit that the archive was made of", {
            let commit = b"0123456789abcdef0123456789abcdef01234567";
            tar().global(&[("comment", commit)]).file("f", "hello").end()
        })
        .seen("`git archive` writes it")
        .noted(&["global-comment"])
        .then_file("f", "hello"),
        case("real-overlay-origin", "a storage driver's attribute got into a layer, with an empty value", {
            tar().pax(&[("SCHILY.xattr.user.overlay.origin", b"")]).file("f", "hello").end()
        })
        .seen("curl 8.4.0 on quay.io")
        .noted(&["xattr-dropped"])
        .then_file("f", "hello"),
        case("real-padding-with-rubbish", "what fills a file's last block is not zero", {
            tar().header(Header::posix(b'0', "f").size(5)).bytes(b"hello").bytes(&[b'x'; 507]).end()
        })
        .taken()
        .then_file("f", "hello"),
        case("real-capability-of-a-tool", "a tool has `cap_net_raw+ep`, as `ping` has", {
            let value = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
            tar().pax(&[("SCHILY.xattr.security.capability", value)]).file("ping", "hello").end()
        })
        .taken()
        .then_file("ping", "hello"),
    ]
}

fn blobs() -> Vec<Case> {
    let layer = || tar().file("f", "hello").file("g", "hello").end();
    vec![
        case("real-empty-archive", "a layer is 1024 zero bytes", tar().end())
            .seen("Docker writes it for a layer of nothing")
            .taken(),
        case("real-empty-archive-with-gzip", "a layer is 1024 zero bytes, compressed", gzip(&tar().end())).taken(),
        case(
            "real-gzip-of-nothing",
            "a layer is a gzip member of nothing at all, and a digest says that it is whole",
            gzip(b""),
        )
        .told(Told::Truth { unpacked: Vec::new() })
        .noted(&["no-end-blocks"]),
        case("real-estargz", "a layer has a gzip member for each entry, empty ones, and landmarks", {
            let members: &[&[u8]] = &[
                b"",
                &tar().file("f", "hello").cut(),
                &tar().file(".no.prefetch.landmark", [0xf]).cut(),
                b"",
                &tar().file("stargz.index.json", "{\"version\":1}").cut(),
                &tar().end(),
                b"",
            ];
            members.iter().flat_map(|member| gzip(member)).collect()
        })
        .seen("eStargz")
        .taken()
        .then_file("f", "hello")
        .then_file("stargz.index.json", "{\"version\":1}"),
        case("real-zstd-chunked", "a layer has skippable zstd frames before, between and behind its others", {
            let (first, second) = (&layer()[..1024], &layer()[1024..]);
            let frames = [
                zstd_skippable(b"before"),
                zstd(first),
                zstd_skippable(b""),
                zstd(second),
                zstd_skippable(b"a table of contents"),
            ];
            frames.concat()
        })
        .seen("zstd:chunked")
        .taken()
        .then_file("f", "hello")
        .then_file("g", "hello"),
        case("real-gzip-padded", "zeros fill a compressed layer up to whole blocks", {
            let mut blob = gzip(&layer());
            blob.resize(blob.len().next_multiple_of(10_240), 0);
            blob
        })
        .noted(&["gzip-padding"])
        .then_file("f", "hello"),
    ]
}
