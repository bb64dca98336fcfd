//! Symbolic and hard links: where names lead through them.

use super::build::{Archive, Header, tar};
use super::case::{Case, Expected, Fact, case};

pub(crate) fn cases() -> Vec<Case> {
    [parents(), last_components(), targets(), hard_links()].concat()
}

/// Links on the way to an entry.
fn parents() -> Vec<Case> {
    vec![
        case(
            "parent-climbs",
            "a file goes through a link to `..`",
            tar().symlink("d", "..").file("d/canary", "struck").end(),
        )
        .refused_unless_compatible(&["link-climbs"])
        .then_file("canary", "struck"),
        case(
            "parent-climbs-from-below",
            "a file goes through a link in a directory that climbs more often than it may",
            tar().symlink("a/b/d", "../../../..").file("a/b/d/canary", "struck").end(),
        )
        .refused_unless_compatible(&["link-climbs"])
        .then_file("canary", "struck"),
        case(
            "parent-of-the-lower-layer-climbs",
            "a lower layer has a link to `..`, and a file goes through it",
            tar().file("d/canary", "struck").end(),
        )
        .over(tar().symlink("d", "..").end())
        .seen("CVE-2025-45582")
        .refused_unless_compatible(&["link-climbs"])
        .then_file("canary", "struck"),
        case(
            "parent-climbs-for-a-directory",
            "a directory is made through a link to `..`",
            tar().symlink("d", "..").directory("d/made/").end(),
        )
        .seen("CVE-2021-38511")
        .refused_unless_compatible(&["link-climbs"])
        .then_directory("made"),
        case(
            "parent-climbs-in-two-links",
            "neither of two links climbs out of the root by itself, together they do",
            tar().directory("a/").symlink("a/up", "..").symlink("out", "a/up/..").file("out/canary", "struck").end(),
        )
        .refused_unless_compatible(&["link-climbs"])
        .then_file("canary", "struck"),
        case(
            "parent-climbs-behind-an-absolute-target",
            "a link's target is `/..`, which the kernel resolves to the root",
            tar().symlink("d", "/..").file("d/canary", "struck").end(),
        )
        .refused_unless_compatible(&["link-climbs"])
        .then_file("canary", "struck"),
        case(
            "parent-climbs-behind-nothing",
            "a link's target climbs over a directory that nobody made",
            tar().symlink("d", "nowhere/../..").file("d/canary", "struck").end(),
        )
        .refused_unless_compatible(&["link-climbs"])
        .then_file("canary", "struck"),
        case(
            "directory-turns-into-a-link",
            "a directory turns into a link to `..` before a file goes there, behind the back of a cache",
            tar().directory("d/").symlink("d", "..").file("d/canary", "struck").end(),
        )
        .seen("CVE-2021-32803")
        .expected([
            Expected::Refuse("link-climbs"),
            Expected::Note(vec!["duplicate-path", "link-climbs"]),
            Expected::Refuse("duplicate-path"),
        ])
        .then_file("canary", "struck"),
        case(
            "parent-is-absolute",
            "a file goes through an absolute link, which counts from the root of the image",
            tar().symlink("d", "/etc").file("d/motd", "hello").end(),
        )
        .seen("CVE-2014-9356")
        .taken()
        .then_file("etc/motd", "hello")
        .then_symlink("d", "/etc"),
        case(
            "parent-is-a-magic-link",
            "a file goes through a link to `/proc/self/root`, which is in the image and not in the host",
            tar().symlink("d", "/proc/self/root").file("d/canary", "hello").end(),
        )
        .taken()
        .then_file("proc/self/root/canary", "hello"),
        case(
            "parent-climbs-and-stays",
            "a link climbs and does not leave the root",
            tar().directory("a/").directory("b/").symlink("a/l", "../b").file("a/l/f", "hello").end(),
        )
        .taken()
        .then_file("b/f", "hello"),
        case(
            "parent-points-at-itself",
            "a file goes through a link that points at itself",
            tar().symlink("a", "a").file("a/f", "").end(),
        )
        .refused("link-loop"),
        case(
            "parents-point-at-each-other",
            "a file goes through two links that point at each other",
            tar().symlink("a", "b").symlink("b", "a").file("a/f", "").end(),
        )
        .refused("link-loop"),
        case(
            "parent-loop-that-grows",
            "a link's target names the link and something below it, so that the name to resolve grows",
            tar().symlink("a", "a/x").file("a/f", "").end(),
        )
        .refused("link-loop"),
        case("parent-of-40-links", "a file goes through as many links as Linux follows", chain(40)).taken(),
        case("parent-of-41-links", "a file goes through one link more than Linux follows", chain(41))
            .refused("link-loop"),
        case("parent-is-a-file", "a file's parent is a file", tar().file("f", "").file("f/g", "").end())
            .refused("parent-not-directory"),
        case("parent-is-a-fifo", "a file's parent is a named pipe", tar().fifo("p").file("p/g", "").end())
            .refused("parent-not-directory"),
        case(
            "parent-is-a-link-to-a-file",
            "a file's parent is a link to a file",
            tar().file("f", "").symlink("l", "f").file("l/g", "").end(),
        )
        .refused("parent-not-directory"),
        case(
            "parent-of-the-lower-layer-is-a-file",
            "a file's parent is a file of the lower layer, which no entry of this one replaces",
            tar().file("f/g", "").end(),
        )
        .over(tar().file("f", "lower").end())
        .refused("parent-not-directory"),
    ]
}

/// `d` leads to a directory through so many links.
fn chain(links: u32) -> Vec<u8> {
    let linked = (1..links).fold(tar().directory("real/").symlink("l0", "real"), |layer: Archive, link| {
        layer.symlink(format!("l{link}"), format!("l{}", link - 1))
    });
    linked.file(format!("l{}/f", links - 1), "hello").end()
}

/// Links where an entry itself goes.
fn last_components() -> Vec<Case> {
    vec![
        case(
            "file-over-a-link",
            "a file comes where the same layer has put a link to something outside",
            tar().symlink("f", "../canary").file("f", "hello").end(),
        )
        .seen("CVE-2018-20990")
        .noted(&["duplicate-path"])
        .then_file("f", "hello"),
        case(
            "file-over-a-lower-link",
            "a file comes where a lower layer has a link to something outside",
            tar().file("f", "hello").end(),
        )
        .over(tar().symlink("f", "../canary").end())
        .taken()
        .then_file("f", "hello"),
        case(
            "directory-over-a-lower-link",
            "a directory that all may write to comes where a lower layer has a link to one outside",
            tar().header(Header::posix(b'5', "d").mode(0o777)).file("d/f", "hello").end(),
        )
        .over(tar().symlink("d", "../outside").end())
        .seen("CVE-2021-32760")
        .noted(&["directory-over-link"])
        .then_directory("d")
        .then_file("d/f", "hello"),
        case(
            "hard-link-over-a-lower-link",
            "a hard link comes where a lower layer has a link to something outside",
            tar().file("f", "hello").hard_link("l", "f").end(),
        )
        .over(tar().symlink("l", "../canary").end())
        .taken()
        .then("l", Fact::SameAs("f")),
        case(
            "link-over-a-lower-directory",
            "a link comes where a lower layer has a directory, all of which goes",
            tar().symlink("d", "/etc").end(),
        )
        .over(tar().file("d/a/b", "lower").file("d/c", "lower").end())
        .taken()
        .then_symlink("d", "/etc")
        .then_absent("etc"),
        case(
            "directory-over-a-lower-directory",
            "a directory comes where a lower layer has one, and what is in it stays",
            tar().header(Header::posix(b'5', "d").mode(0o700)).end(),
        )
        .over(tar().directory("d/").file("d/f", "lower").end())
        .taken()
        .then_file("d/f", "lower")
        .then("d", Fact::DirectoryOf(0o700)),
        case(
            "file-over-a-lower-hard-link",
            "one name of a file of the lower layer gets new content, the other one keeps the old",
            tar().file("a", "new").end(),
        )
        .over(tar().file("a", "lower").hard_link("b", "a").end())
        .taken()
        .then_file("a", "new")
        .then_file("b", "lower"),
        case(
            "file-over-its-own-hard-link",
            "a file comes twice with a hard link to the first one in between, which keeps its content",
            tar().file("a", "first").hard_link("b", "a").file("a", "second").end(),
        )
        .noted(&["duplicate-path"])
        .then_file("a", "second")
        .then_file("b", "first"),
        case(
            "file-twice",
            "a layer has a file twice: the later one stays",
            tar().file("f", "first").file("f", "second").end(),
        )
        .noted(&["duplicate-path"])
        .then_file("f", "second"),
        case(
            "file-twice-in-two-spellings",
            "a layer has a file twice, and spells its name in two ways",
            tar().file("a/f", "first").file("./a//f", "second").end(),
        )
        .noted(&["duplicate-path"])
        .then_file("a/f", "second"),
        case(
            "file-twice-by-a-link",
            "a layer has a file twice, once through a link",
            tar().file("a/f", "first").symlink("l", "a").file("l/f", "second").end(),
        )
        .noted(&["duplicate-path"])
        .then_file("a/f", "second"),
        case(
            "directory-then-file",
            "a directory with something in it turns into a file within one layer",
            tar().file("d/f", "first").directory("d/").file("d", "second").end(),
        )
        .noted(&["duplicate-path"])
        .then_file("d", "second"),
    ]
}

/// What symbolic links point at.
fn targets() -> Vec<Case> {
    vec![
        case(
            "symlink-to-anywhere",
            "links that nothing goes through point anywhere: their targets are data",
            tar().symlink("a", "../../../etc/shadow").symlink("b", "/proc/self/mem").symlink("c", "//..//.").end(),
        )
        .taken()
        .then_symlink("a", "../../../etc/shadow")
        .then_symlink("b", "/proc/self/mem")
        .then_symlink("c", "//..//."),
        case("symlink-to-nothing", "a link has no target", tar().symlink("l", "").end()).refused("link-target-empty"),
        case(
            "symlink-to-an-empty-long-link",
            "a GNU long link is empty, where some readers take the header's own target",
            tar().long_link(b"\0").symlink("l", "t").end(),
        )
        .refused("link-target-empty"),
        case(
            "symlink-of-4095-bytes",
            "a link's target is as long as Linux takes",
            tar().pax(&[("linkpath", &b"t/".repeat(2048)[..4095])]).symlink("l", "t").end(),
        )
        .taken(),
        case(
            "symlink-of-4096-bytes",
            "a link's target is longer than Linux takes",
            tar().pax(&[("linkpath", &b"t/".repeat(2048))]).symlink("l", "t").end(),
        )
        .refused("link-target-too-long"),
        case(
            "symlink-with-a-nul",
            "a link's target has a NUL in it",
            tar().pax(&[("linkpath", b"harmless\0/../canary")]).symlink("l", "t").end(),
        )
        .refused("link-target-nul"),
    ]
}

fn hard_links() -> Vec<Case> {
    vec![
        case(
            "hard-link-climbs",
            "a hard link's target climbs",
            tar().hard_link("l", "../canary").file("l", "struck").end(),
        )
        .seen("CVE-2014-6407")
        .refused("hard-link-target"),
        case(
            "hard-link-climbs-through-a-link",
            "a hard link's target leads through a link to `..`",
            tar().symlink("d", "..").hard_link("l", "d/canary").end(),
        )
        .expected([
            Expected::Refuse("link-climbs"),
            Expected::Refuse("hard-link-missing"),
            Expected::Refuse("link-climbs"),
        ]),
        case(
            "link-targets-in-extended-headers-alone",
            "links have no target in their own headers, and are none for bsdtar",
            {
                let layer = tar().file("f", "hello").pax(&[("linkpath", b"f")]).hard_link("h", "");
                layer.long_link("f\0").symlink("s", "").end()
            },
        )
        .seen("Go writes it for targets without a letter of ASCII")
        .taken()
        .then("h", Fact::SameAs("f"))
        .then_symlink("s", "f"),
        case("hard-link-to-nothing", "a hard link has no target", tar().hard_link("l", "").end())
            .refused("hard-link-to-directory"),
        case("hard-link-to-what-is-missing", "a hard link's target is not there", tar().hard_link("l", "f").end())
            .refused("hard-link-missing"),
        case(
            "hard-link-to-the-host",
            "a hard link's target is an absolute name that the host has and the image has not",
            tar().hard_link("l", "/etc/passwd").end(),
        )
        .refused("hard-link-missing"),
        case(
            "hard-link-to-what-comes-later",
            "a hard link's target comes behind it",
            tar().hard_link("l", "f").file("f", "").end(),
        )
        .refused("hard-link-missing"),
        case(
            "hard-link-to-what-is-whited-out",
            "a hard link's target was removed by a whiteout in front of it",
            tar().whiteout(".wh.f").hard_link("l", "f").end(),
        )
        .over(tar().file("f", "lower").end())
        .refused("hard-link-missing"),
        case(
            "hard-link-before-its-whiteout",
            "a hard link's target is removed by a whiteout behind it, as when a file is renamed",
            tar().hard_link("l", "f").whiteout(".wh.f").end(),
        )
        .over(tar().file("f", "lower").end())
        .taken()
        .then_file("l", "lower")
        .then_absent("f"),
        case(
            "hard-link-below-a-file",
            "a hard link's target leads through a file",
            tar().file("f", "").hard_link("l", "f/g").end(),
        )
        .refused("hard-link-missing"),
        case(
            "hard-link-to-a-directory",
            "a hard link's target is a directory",
            tar().directory("d/").hard_link("l", "d").end(),
        )
        .refused("hard-link-to-directory"),
        case("hard-link-to-the-root", "a hard link's target is the root", tar().hard_link("l", "/").end())
            .refused("hard-link-to-directory"),
        case(
            "hard-link-to-itself",
            "a hard link's target is the entry itself, and nothing is there",
            tar().hard_link("l", "./l").file("l", "data").end(),
        )
        .refused("hard-link-to-itself"),
        case(
            "hard-link-to-its-own-directory",
            "a hard link's target is the entry itself, which is a directory",
            tar().directory("d/").hard_link("d", "d").end(),
        )
        .refused("hard-link-to-directory"),
        case(
            "hard-link-to-itself-whited-out",
            "a hard link's target is the entry itself, which a whiteout has removed",
            tar().whiteout(".wh.l").hard_link("l", "l").end(),
        )
        .over(tar().file("l", "lower").end())
        .refused("hard-link-to-itself"),
        case(
            "hard-link-repeated",
            "a hard link's target is the entry itself, which is there and stays",
            tar().file("l", "data").hard_link("m", "l").hard_link("l", "./l").hard_link("m", "m").end(),
        )
        .seen("GNU tar writes it of a file that is named twice")
        .noted(&["hard-link-repeated"])
        .then_file("l", "data")
        .then("m", Fact::SameAs("l")),
        case(
            "hard-link-repeated-of-the-lower-layer",
            "a hard link's target is the entry itself, which the lower layer has, and a whiteout follows",
            tar().hard_link("l", "l").whiteout(".wh.l").end(),
        )
        .over(tar().file("l", "lower").end())
        .noted(&["hard-link-repeated", "whiteout-of-own"])
        .then_file("l", "lower"),
        case(
            "hard-link-repeated-of-a-symlink",
            "a hard link's target is the entry itself, which is a symbolic link and is not followed",
            tar().symlink("l", "../canary").hard_link("l", "l").end(),
        )
        .noted(&["hard-link-repeated"])
        .then_symlink("l", "../canary"),
        case(
            "hard-link-repeated-by-a-link",
            "a hard link's target is the entry itself, by way of a link",
            tar().file("d/l", "data").symlink("e", "d").hard_link("d/l", "e/l").end(),
        )
        .noted(&["hard-link-repeated"])
        .then_file("d/l", "data"),
        case(
            "directory-over-lib",
            "a directory takes the place of a link of the lower layer, and what the link led to is no longer there",
            tar().directory("lib/").file("lib/new", "hello").end(),
        )
        .over(tar().file("usr/lib/f", "lower").symlink("lib", "usr/lib").end())
        .noted(&["directory-over-link"])
        .then_directory("lib")
        .then_file("lib/new", "hello")
        .then_absent("lib/f")
        .then_file("usr/lib/f", "lower"),
        case(
            "directory-over-its-own-link",
            "a directory takes the place of a link of the same layer that leads above the root",
            tar().symlink("d", "../outside").directory("d/").file("d/f", "struck").end(),
        )
        .noted(&["directory-over-link", "duplicate-path"])
        .then_directory("d")
        .then_file("d/f", "struck"),
        case(
            "hard-link-to-a-symlink",
            "a hard link to a symbolic link is another name of the link",
            tar().symlink("s", "../canary").hard_link("l", "s").end(),
        )
        .taken()
        .then("l", Fact::SameAs("s"))
        .then_symlink("l", "../canary"),
        case(
            "hard-link-with-another-mode",
            "a hard link's header has a setuid mode that its target has not: the target's counts",
            tar().file("f", "data").header(Header::posix(b'1', "l").mode(0o4755).target("f")).end(),
        )
        .noted(&["hard-link-metadata"])
        .then("l", Fact::SameAs("f")),
        case(
            "hard-link-to-the-lower-layer",
            "a hard link's target is a file of the lower layer",
            tar().hard_link("l", "f").end(),
        )
        .over(tar().file("f", "lower").end())
        .taken()
        .then("l", Fact::SameAs("f")),
        case("hard-link-to-a-fifo", "a hard link's target is a named pipe", tar().fifo("p").hard_link("l", "p").end())
            .taken()
            .then("l", Fact::SameAs("p")),
        case("hard-link-twice", "a hard link comes twice", {
            tar().file("f", "data").hard_link("l", "f").hard_link("l", "f").end()
        })
        .noted(&["duplicate-path"])
        .then("l", Fact::SameAs("f")),
    ]
}
