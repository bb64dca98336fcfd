//! Names of entries: where they lead, and what bytes they have.

use super::build::{Header, tar};
use super::case::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("name-climbs-at-once", "a name begins with `..`", tar().file("../canary", "struck").end())
            .seen("CVE-2001-1267")
            .refused("name-climbs"),
        case("name-climbs-behind-a-slash", "a name begins with `/..`", tar().file("/../canary", "struck").end())
            .seen("CVE-2002-0399")
            .refused("name-climbs"),
        case("name-climbs-behind-a-dot", "a name begins with `./..`", tar().file("./../canary", "struck").end())
            .seen("CVE-2002-0399")
            .refused("name-climbs"),
        case(
            "name-climbs-behind-directories",
            "a name climbs out behind two directories that are there",
            tar().directory("a/").directory("a/b/").file("a/b/../../../canary", "struck").end(),
        )
        .refused("name-climbs"),
        case(
            "name-climbs-behind-many-slashes",
            "a name climbs out, and slashes are doubled around its `..`",
            tar().file("a//..//..//canary", "struck").end(),
        )
        .seen("CVE-2007-4131")
        .refused("name-climbs"),
        case("name-climbs-and-stays", "a name has a `..` and stays inside", tar().file("a/../b", "").end())
            .refused("name-climbs"),
        case("name-ends-climbing", "a directory's name ends in `..`", tar().directory("a/../").end())
            .refused("name-climbs"),
        case(
            "name-is-dot-dot",
            "a directory is called `..`",
            tar().header(Header::posix(b'5', "..").mode(0o777)).end(),
        )
        .refused("name-climbs"),
        case(
            "name-climbs-by-pax",
            "a PAX record gives a harmless name one that climbs",
            tar().pax(&[("path", b"../canary")]).file("harmless", "struck").end(),
        )
        .refused("name-climbs"),
        case(
            "name-climbs-by-long-name",
            "a GNU long name gives a harmless name one that climbs",
            tar().long_name(b"../canary\0").file("harmless", "struck").end(),
        )
        .refused("name-climbs"),
        case(
            "name-climbs-by-prefix",
            "the prefix of a POSIX header climbs",
            tar().with(Header::posix(b'0', "canary").prefix(".."), "struck").end(),
        )
        .refused("name-climbs"),
        case(
            "name-climbs-as-symlink",
            "a symbolic link has a name that climbs",
            tar().symlink("../canary", "/etc/passwd").end(),
        )
        .refused("name-climbs"),
        case("name-climbs-as-whiteout", "a whiteout climbs to what it removes", tar().whiteout("../.wh.canary").end())
            .refused("name-climbs"),
        case("name-is-absolute", "a name begins with a slash, which counts from the root of the image", {
            tar().file("/etc/motd", "hello").end()
        })
        .taken()
        .then_file("etc/motd", "hello"),
        case(
            "name-has-many-slashes-in-front",
            "a name begins with four slashes, of which a reader that strips one leaves an absolute name",
            tar().file("////etc/motd", "hello").end(),
        )
        .seen("CVE-2021-32804")
        .taken()
        .then_file("etc/motd", "hello"),
        case(
            "name-has-dots-and-slashes",
            "a name has empty and `.` components",
            tar().file("./a/.//./b", "hello").end(),
        )
        .taken()
        .then_file("a/b", "hello"),
        case(
            "name-of-three-dots",
            "names that only begin with two dots are ordinary ones",
            tar().file("...", "3").file("..a", "2").file("a..", "a").end(),
        )
        .taken()
        .then_file("...", "3")
        .then_file("..a", "2")
        .then_file("a..", "a"),
        case(
            "name-with-backslashes",
            "backslashes are bytes of a name and separate nothing",
            tar().file("..\\canary", "hello").end(),
        )
        .taken()
        .then_file("..\\canary", "hello"),
        case("name-with-a-drive", "a name looks like one of Windows", tar().file("C:/x", "hello").end())
            .taken()
            .then_file("C:/x", "hello"),
        case(
            "name-is-not-utf-8",
            "a name has bytes that are no UTF-8",
            tar().file(b"caf\xe9", "latin 1").file(b"\xff\xfe", "nothing at all").end(),
        )
        .taken(),
        case(
            "name-with-a-newline",
            "a name has a newline in it, and what looks like another name behind it",
            tar().file("a\n/etc/shadow", "hello").end(),
        )
        .taken()
        .then_file("a\n/etc/shadow", "hello"),
        case(
            "name-with-an-escape-sequence",
            "a name clears the screen of a terminal that it is printed on",
            tar().file("\x1b[2J\x1b]0;owned\x07", "hello").end(),
        )
        .taken(),
        case("name-with-blanks", "names of blanks alone are names", tar().file(" ", "1").file("  ", "2").end())
            .taken()
            .then_file(" ", "1")
            .then_file("  ", "2"),
        case(
            "name-in-two-normal-forms",
            "two names look the same, one composed and one decomposed, and are two files",
            tar().file("caf\u{e9}", "composed").file("cafe\u{301}", "decomposed").end(),
        )
        .seen("CVE-2021-37712")
        .taken()
        .then_file("caf\u{e9}", "composed")
        .then_file("cafe\u{301}", "decomposed"),
        case(
            "name-in-two-cases",
            "two names differ in case alone",
            tar().file("readme", "a").file("README", "b").end(),
        )
        .taken()
        .then_file("readme", "a")
        .then_file("README", "b"),
        case(
            "name-with-a-nul",
            "a PAX name has a NUL, where some readers stop and others do not",
            tar().pax(&[("path", b"harmless\0.so")]).file("f", "").end(),
        )
        .refused("name-nul"),
        case("name-with-a-prefix-in-v7", "a header of version 7 has something where others have a prefix", {
            tar().with(Header::v7(0, "f").prefix("etc"), "hello").end()
        })
        .refused_unless_compatible(&["header-dialect"])
        .then_file("f", "hello")
        .then_absent("etc"),
        case("name-with-a-prefix-in-no-dialect", "a header's magic only begins like POSIX's, and it has a prefix", {
            tar().with(Header::v7(0, "f").bytes(257, b"ustar00\0").prefix("etc"), "hello").end()
        })
        .refused_unless_compatible(&["header-dialect"])
        .then_file("f", "hello")
        .then_absent("etc"),
        case("name-with-a-prefix-of-star", "star's prefix is shorter than that of POSIX, and times stand behind it", {
            let prefix = [&b"d/".repeat(65)[..], b"d13773573637 13773573637 "].concat();
            tar().with(Header::posix(b'0', "f").prefix(&prefix[..155]).bytes(508, b"tar\0"), "hello").end()
        })
        .refused_unless_compatible(&["header-dialect"]),
        case("name-of-star", "a header of star's has a name without a prefix, and times", {
            let times = b"13773573637 13773573637 ";
            tar().with(Header::posix(b'0', "f").bytes(476, times).bytes(508, b"tar\0"), "hello").end()
        })
        .taken()
        .then_file("f", "hello"),
        case("name-is-empty", "a header has no name at all", tar().file("", "data").end())
            .refused("root-not-directory"),
        case(
            "long-name-is-empty",
            "a GNU long name is empty, where some readers take the header's own",
            tar().long_name(b"\0").file("f", "").end(),
        )
        .refused("name-empty"),
        case(
            "component-of-255-bytes",
            "a component is as long as file systems take",
            tar().pax(&[("path", &[b'a'; 255])]).file("f", "hello").end(),
        )
        .taken()
        .then_absent("f"),
        case(
            "component-of-256-bytes",
            "a component is longer than file systems take",
            tar().pax(&[("path", &[b'a'; 256])]).file("f", "").end(),
        )
        .refused("component-too-long"),
        long_whiteout(
            "whiteout-of-252-bytes",
            "a whiteout is longer than file systems take, and what it removes is not",
            252,
        )
        .seen("Docker and buildah write it")
        .taken(),
        long_whiteout("whiteout-of-255-bytes", "a whiteout removes a name that is as long as file systems take", 255)
            .taken(),
        long_whiteout("whiteout-of-256-bytes", "a whiteout removes a name that is longer than file systems take", 256)
            .refused("component-too-long"),
        case("bookkeeping-of-256-bytes", "a name of AUFS bookkeeping is longer than file systems take", {
            tar().pax(&[("path", &[b".wh..wh.", &[b'n'; 248][..]].concat())]).file("f", "").end()
        })
        .refused("component-too-long"),
        case("whiteout-of-252-bytes-on-the-way", "a name leads through what is called like a long whiteout", {
            tar().pax(&[("path", &[b".wh.", &[b'n'; 252][..], b"/f"].concat())]).file("f", "").end()
        })
        .refused("component-too-long"),
        case("hard-link-to-a-whiteout-of-252-bytes", "a hard link's target is called like a long whiteout", {
            tar().pax(&[("linkpath", &[b".wh.", &[b'n'; 252][..]].concat())]).hard_link("l", "t").end()
        })
        .refused("hard-link-target"),
        case("root-as-file", "the root of the image is a file", tar().file(".", "data").end())
            .refused("root-not-directory"),
        case(
            "root-as-symlink",
            "the root of the image is a symbolic link, through which all that follows would go",
            tar().symlink(".", "..").file("canary", "struck").end(),
        )
        .seen("CVE-2021-29136")
        .refused("root-not-directory"),
        case(
            "root-as-hard-link",
            "the root of the image is a hard link",
            tar().file("f", "").hard_link(".", "f").end(),
        )
        .refused("root-not-directory"),
        case("root-as-fifo", "the root of the image is a named pipe", tar().fifo(".").end())
            .refused("root-not-directory"),
    ]
}

/// The longest name that file systems take.
const LONGEST: &str = match std::str::from_utf8(&[b'n'; 255]) {
    Ok(name) => name,
    Err(_) => "",
};

/// A whiteout of a name of so many bytes, over a layer with this name if there can be one, and with the longest one.
fn long_whiteout(name: &'static str, sentence: &'static str, bytes: usize) -> Case {
    let removed = vec![b'n'; bytes];
    let layer = tar().pax(&[("path", &[b".wh.", &removed[..]].concat())]).whiteout(".wh.n").end();
    let removed = &removed[..bytes.min(LONGEST.len())];
    let lower = tar().pax(&[("path", removed)]).file("n", "lower").file("kept", "lower").end();
    let gone: &'static str = &LONGEST[..removed.len()];
    case(name, sentence, layer).over(lower).then_absent(gone).then_file("kept", "lower")
}
