//! Whiteouts: what they remove, and what they must not.

use super::build::{Archive, Header, tar};
use super::case::{Case, Expected, Fact, case};

pub(crate) fn cases() -> Vec<Case> {
    [grammar(), pseudo_links(), removals(), own()].concat()
}

/// Names and types of whiteouts.
fn grammar() -> Vec<Case> {
    vec![
        case("whiteout-of-nothing", "nothing follows `.wh.`", tar().whiteout("d/.wh.").end())
            .over(lower())
            .refused("whiteout-of-nothing"),
        case(
            "whiteout-of-dot",
            "`.` follows `.wh.`, and a reader that strips the prefix removes the directory itself",
            tar().whiteout("d/.wh..").end(),
        )
        .over(lower())
        .refused("whiteout-of-nothing"),
        case(
            "whiteout-of-dot-dot",
            "`..` follows `.wh.`, and a reader that strips the prefix removes what is above the root",
            tar().whiteout(".wh...").end(),
        )
        .over(lower())
        .refused("whiteout-of-nothing"),
        case("whiteout-as-parent", "a file lies below a whiteout", tar().file(".wh.d/f", "data").end())
            .over(lower())
            .refused("whiteout-in-parent"),
        case("whiteout-as-opaque-parent", "a file lies below an opaque marker", {
            tar().file("d/.wh..wh..opq/f", "data").end()
        })
        .over(lower())
        .refused("whiteout-in-parent"),
        case("whiteout-as-directory", "a whiteout is a directory", tar().directory("d/.wh.f").end())
            .over(lower())
            .refused("whiteout-type"),
        case("whiteout-as-symlink", "a whiteout is a symbolic link", tar().symlink("d/.wh.f", "x").end())
            .over(lower())
            .refused("whiteout-type"),
        case("whiteout-as-fifo", "a whiteout is a named pipe", tar().fifo("d/.wh.f").end())
            .over(lower())
            .refused("whiteout-type"),
        case("whiteout-as-device", "a whiteout is a device", tar().character_device("d/.wh.f", 0, 0).end())
            .over(lower())
            .refused("whiteout-type"),
        case("opaque-as-directory", "an opaque marker is a directory", tar().directory("d/.wh..wh..opq/").end())
            .over(lower())
            .refused("whiteout-type"),
        case("whiteout-with-content", "a whiteout has content", tar().file("d/.wh.f", "data").end())
            .over(lower())
            .refused("whiteout-with-content"),
        case("opaque-with-content", "an opaque marker has content", tar().file("d/.wh..wh..opq", "data").end())
            .over(lower())
            .refused("whiteout-with-content"),
        case("whiteout-in-capitals", "`.WH.` is no whiteout", tar().file("d/.WH.f", "data").end())
            .over(lower())
            .taken()
            .then_file("d/f", "lower")
            .then_file("d/.WH.f", "data"),
        case("whiteout-behind-a-name", "`.wh.` behind a name is none", tar().file("d/f.wh.g", "data").end())
            .over(lower())
            .taken()
            .then_file("d/f", "lower")
            .then_file("d/f.wh.g", "data"),
        case(
            "aufs-bookkeeping",
            "AUFS has left its own files and directories, and something below one of them",
            tar()
                .directory(".wh..wh.orph/")
                .file(".wh..wh.aufs", "")
                .directory(".wh..wh.plnk/")
                .file(".wh..wh.plnk/12.34", "data")
                .file("f", "hello")
                .end(),
        )
        .noted(&["aufs-bookkeeping", "aufs-pseudo-link"])
        .then_file("f", "hello")
        .then_absent(".wh..wh.plnk")
        .then_absent(".wh..wh.aufs"),
    ]
}

/// The data of hard links, as AUFS keeps it.
fn pseudo_links() -> Vec<Case> {
    vec![
        case("aufs-pseudo-link", "files are hard links to the data that AUFS keeps beside them", {
            plnk().hard_link("a", ".wh..wh.plnk/1.2").hard_link("d/b", "/./.wh..wh.plnk/1.2").hard_link("c", "a").end()
        })
        .seen("old images of the Docker Hub")
        .noted(&["aufs-bookkeeping", "aufs-pseudo-link"])
        .then_file("a", "data")
        .then("d/b", Fact::SameAs("a"))
        .then("c", Fact::SameAs("a"))
        .then_absent(".wh..wh.plnk"),
        case("aufs-pseudo-link-over-lower-names", "hard links to AUFS data take the place of what is there", {
            plnk().hard_link("d", ".wh..wh.plnk/1.2").hard_link("l", ".wh..wh.plnk/1.2").end()
        })
        .over(lower())
        .noted(&["aufs-bookkeeping", "aufs-pseudo-link"])
        .then_file("d", "data")
        .then("l", Fact::SameAs("d"))
        .then_file("top", "lower"),
        case("aufs-pseudo-link-under-an-opaque-root", "an opaque root leaves the AUFS data of its own layer", {
            plnk().whiteout(".wh..wh..opq").hard_link("a", ".wh..wh.plnk/1.2").end()
        })
        .over(lower())
        .noted(&["aufs-bookkeeping", "aufs-pseudo-link"])
        .then_file("a", "data")
        .then_absent("top"),
        case("aufs-pseudo-link-without-hard-links", "no hard link leads to AUFS data", {
            tar().file(".wh..wh.plnk/1.2", "data").end()
        })
        .noted(&["aufs-pseudo-link"])
        .then_absent(".wh..wh.plnk"),
        case("aufs-pseudo-link-twice", "AUFS data comes twice: hard links behind it lead to the later", {
            tar()
                .file(".wh..wh.plnk/1", "old")
                .hard_link("a", ".wh..wh.plnk/1")
                .file(".wh..wh.plnk/1", "new")
                .hard_link("b", ".wh..wh.plnk/1")
                .end()
        })
        .noted(&["aufs-pseudo-link", "duplicate-path"])
        .then_file("a", "old")
        .then_file("b", "new"),
        case("aufs-pseudo-link-replaced", "the first name of AUFS data is replaced, and another is given to it", {
            tar()
                .file(".wh..wh.plnk/1", "data")
                .hard_link("a", ".wh..wh.plnk/1")
                .hard_link("b", ".wh..wh.plnk/1")
                .file("a", "new")
                .hard_link("c", ".wh..wh.plnk/1")
                .end()
        })
        .noted(&["aufs-pseudo-link", "duplicate-path"])
        .then_file("a", "new")
        .then_file("b", "data")
        .then("c", Fact::SameAs("b")),
        case("aufs-pseudo-link-of-another-mode", "a hard link to AUFS data has another mode than that", {
            tar().file(".wh..wh.plnk/1", "data").header(link("a", ".wh..wh.plnk/1").mode(0o600)).end()
        })
        .noted(&["aufs-pseudo-link", "hard-link-metadata"])
        .then_file("a", "data"),
        case("aufs-pseudo-link-as-a-whiteout", "a whiteout is a hard link to AUFS data, which is ignored", {
            tar().hard_link(".wh.top", ".wh..wh.plnk/1").end()
        })
        .over(lower())
        .taken()
        .then_absent("top"),
        case("aufs-pseudo-link-behind-its-hard-link", "a hard link leads to AUFS data that comes behind it", {
            tar().hard_link("a", ".wh..wh.plnk/1").file(".wh..wh.plnk/1", "data").end()
        })
        .refused("hard-link-missing"),
        case("aufs-pseudo-link-of-another-layer", "a hard link leads to AUFS data that no layer has", {
            tar().file(".wh..wh.plnk/1", "data").hard_link("a", ".wh..wh.plnk/2").end()
        })
        .expected(missing_behind("aufs-pseudo-link")),
        case("aufs-pseudo-link-in-a-directory", "a hard link leads to AUFS data where AUFS has none", {
            tar().file("d/.wh..wh.plnk/1", "data").hard_link("a", "d/.wh..wh.plnk/1").end()
        })
        .expected(missing_behind("aufs-bookkeeping")),
        case("aufs-pseudo-link-too-deep", "a hard link leads to a directory below AUFS data", {
            tar().file(".wh..wh.plnk/1/2", "data").hard_link("a", ".wh..wh.plnk/1/2").end()
        })
        .expected(missing_behind("aufs-bookkeeping")),
        case("aufs-pseudo-link-that-is-a-link", "a hard link leads to a symbolic link among AUFS data", {
            tar().symlink(".wh..wh.plnk/1", "../canary").hard_link("a", ".wh..wh.plnk/1").end()
        })
        .expected(missing_behind("aufs-bookkeeping")),
        case("aufs-pseudo-link-that-is-a-device", "a hard link leads to a device among AUFS data", {
            tar().character_device(".wh..wh.plnk/1", 1, 3).hard_link("a", ".wh..wh.plnk/1").end()
        })
        .expected(missing_behind("aufs-bookkeeping")),
        case("aufs-pseudo-link-that-climbs", "AUFS data has a name that climbs", {
            tar().file(".wh..wh.plnk/../../canary", "struck").end()
        })
        .refused("name-climbs"),
        case("aufs-pseudo-link-by-a-link", "a hard link leads to AUFS data by way of a symbolic link", {
            tar().file(".wh..wh.plnk/1", "data").symlink("l", ".wh..wh.plnk").hard_link("a", "l/1").end()
        })
        .expected(missing_behind("aufs-pseudo-link")),
        case("aufs-pseudo-link-with-bad-attributes", "AUFS data has a capability that is malformed", {
            tar().pax(&[("SCHILY.xattr.security.capability", b"x")]).file(".wh..wh.plnk/1", "data").end()
        })
        .expected([
            Expected::Refuse("xattr-value"),
            Expected::Refuse("xattr-value"),
            Expected::Refuse("aufs-pseudo-link"),
        ]),
        case("aufs-pseudo-links-beyond-the-limit", "AUFS data without hard links is more than may be written", {
            tar().file(".wh..wh.plnk/1", "data").file(".wh..wh.plnk/2", "data").end()
        })
        .limit("image-bytes", 7)
        .expected([
            Expected::Refuse("limit"),
            Expected::Refuse("limit"),
            Expected::Refuse("aufs-pseudo-link"),
        ]),
    ]
}

/// A hard link's target is missing; paranoia refuses what stands before it.
fn missing_behind(rule: &'static str) -> [Expected; 3] {
    [Expected::Refuse("hard-link-missing"), Expected::Refuse("hard-link-missing"), Expected::Refuse(rule)]
}

/// The directory of AUFS for the data of hard links, with one of them.
fn plnk() -> Archive {
    tar().directory(".wh..wh.plnk/").file(".wh..wh.plnk/1.2", "data")
}

fn link(name: &str, target: &str) -> Header {
    Header::posix(b'1', name).target(target)
}

/// A lower layer with a bit of everything.
fn lower() -> Vec<u8> {
    tar()
        .directory("d/")
        .file("d/f", "lower")
        .file("d/sub/g", "lower")
        .symlink("l", "d")
        .symlink("up", "..")
        .file("top", "lower")
        .end()
}

/// What lower layers lose.
fn removals() -> Vec<Case> {
    vec![
        case("whiteout-removes-a-file", "a whiteout removes a file of the lower layer", {
            tar().whiteout("d/.wh.f").end()
        })
        .over(lower())
        .taken()
        .then_absent("d/f")
        .then_absent("d/.wh.f")
        .then_file("d/sub/g", "lower"),
        case("whiteout-removes-a-directory", "a whiteout removes a directory and all below it", {
            tar().whiteout(".wh.d").end()
        })
        .over(lower())
        .taken()
        .then_absent("d")
        .then_file("top", "lower"),
        case("whiteout-removes-a-link", "a whiteout removes a link and not what it points at", {
            tar().whiteout(".wh.l").end()
        })
        .over(lower())
        .taken()
        .then_absent("l")
        .then_file("d/f", "lower"),
        case("whiteout-removes-a-link-out", "a whiteout removes a link to the directory above the root", {
            tar().whiteout(".wh.up").end()
        })
        .over(lower())
        .taken()
        .then_absent("up"),
        case("whiteout-through-a-lower-link", "a whiteout goes through a link of the lower layer", {
            tar().whiteout("l/.wh.f").end()
        })
        .over(lower())
        .taken()
        .then_absent("d/f")
        .then_symlink("l", "d"),
        case("whiteout-climbs", "a whiteout goes through a link of the lower layer that climbs", {
            tar().whiteout("up/.wh.canary").end()
        })
        .over(lower())
        .refused_unless_compatible(&["link-climbs"]),
        case("opaque-climbs", "an opaque marker goes through a link of the lower layer that climbs", {
            tar().whiteout("up/outside/.wh..wh..opq").end()
        })
        .over(lower())
        .refused_unless_compatible(&["link-climbs"]),
        case("whiteout-of-what-is-missing", "a whiteout removes what is not there", tar().whiteout("d/.wh.x").end())
            .over(lower())
            .taken()
            .then_file("d/f", "lower"),
        case("whiteout-twice", "a whiteout stands twice", tar().whiteout(".wh.top").whiteout(".wh.top").end())
            .over(lower())
            .taken()
            .then_absent("top"),
        case("whiteout-in-a-missing-directory", "a whiteout's directory is not there, and is not made for it", {
            tar().whiteout("x/y/.wh.z").end()
        })
        .over(lower())
        .taken()
        .then_absent("x"),
        case("whiteout-below-a-file", "a whiteout's directory is a file of the lower layer, which stays", {
            tar().whiteout("top/.wh.x").end()
        })
        .over(lower())
        .taken()
        .then_file("top", "lower"),
        case("whiteout-in-a-loop", "a whiteout goes through a link of the lower layer that points at itself", {
            tar().whiteout("loop/.wh.x").end()
        })
        .over(tar().symlink("loop", "loop").end())
        .refused("link-loop"),
        case("opaque-clears", "an opaque marker clears a directory of the lower layer", {
            tar().directory("d/").whiteout("d/.wh..wh..opq").end()
        })
        .over(lower())
        .taken()
        .then_directory("d")
        .then_absent("d/f")
        .then_absent("d/sub"),
        case("opaque-without-its-directory", "an opaque marker's directory is listed by the lower layer alone", {
            tar().whiteout("d/.wh..wh..opq").end()
        })
        .over(lower())
        .taken()
        .then_directory("d")
        .then_absent("d/f"),
        case("opaque-root", "an opaque marker at the root clears all of the lower layer", {
            tar().file("new", "hello").whiteout(".wh..wh..opq").end()
        })
        .over(lower())
        .taken()
        .then_file("new", "hello")
        .then_absent("d")
        .then_absent("top"),
        case(
            "opaque-over-an-empty-root",
            "an opaque marker has nothing to clear",
            tar().whiteout("x/.wh..wh..opq").end(),
        )
        .taken()
        .then_absent("x"),
        case("opaque-before-siblings", "an opaque marker stands before what its directory has anew", {
            tar().directory("d/").whiteout("d/.wh..wh..opq").file("d/new", "hello").end()
        })
        .over(lower())
        .seen("Docker writes it")
        .taken()
        .then_file("d/new", "hello")
        .then_absent("d/f")
        .then_absent("d/sub"),
        case("opaque-after-siblings", "an opaque marker stands after what its directory has anew", {
            tar().directory("d/").file("d/new", "hello").file("d/sub/new", "hello").whiteout("d/.wh..wh..opq").end()
        })
        .over(lower())
        .taken()
        .then_file("d/new", "hello")
        .then_file("d/sub/new", "hello")
        .then_absent("d/sub/g")
        .then_absent("d/f"),
        case("opaque-twice", "an opaque marker stands before and after its siblings", {
            tar().whiteout("d/.wh..wh..opq").file("d/new", "hello").whiteout("d/.wh..wh..opq").end()
        })
        .over(lower())
        .taken()
        .then_file("d/new", "hello")
        .then_absent("d/f"),
        case("whiteout-in-a-locked-directory", "a whiteout lies in a directory that nobody may write to", {
            tar().whiteout("d/.wh.f").end()
        })
        .over(tar().file("d/f", "lower").header(Header::posix(b'5', "d").mode(0o555)).end())
        .taken()
        .then("d", Fact::DirectoryOf(0o555))
        .then_absent("d/f"),
        case("whiteout-of-locked-directories", "a whiteout removes directories that nobody may enter", {
            tar().whiteout(".wh.d").end()
        })
        .over({
            tar()
                .file("d/e/f", "lower")
                .header(Header::posix(b'5', "d/e").mode(0))
                .header(Header::posix(b'5', "d").mode(0))
                .end()
        })
        .taken()
        .then_absent("d"),
        case("opaque-in-a-locked-directory", "an opaque marker lies in a directory that nobody may enter", {
            tar().whiteout("d/.wh..wh..opq").end()
        })
        .over(tar().file("d/e/f", "lower").header(Header::posix(b'5', "d").mode(0)).end())
        .taken()
        .then("d", Fact::DirectoryOf(0))
        .then_absent("d/e"),
    ]
}

/// What a layer has brought itself stays, and leads no whiteout astray.
fn own() -> Vec<Case> {
    vec![
        case("whiteout-before-its-name", "a whiteout stands before a file of the same name, which stays", {
            tar().whiteout("d/.wh.f").file("d/f", "hello").end()
        })
        .over(lower())
        .taken()
        .then_file("d/f", "hello"),
        case("whiteout-after-its-name", "a whiteout stands after a file of the same name, which stays", {
            tar().file("d/f", "hello").whiteout("d/.wh.f").end()
        })
        .over(lower())
        .noted(&["whiteout-of-own"])
        .then_file("d/f", "hello"),
        case(
            "whiteout-after-its-directory",
            "a whiteout stands after a directory of the same name: its own files stay",
            tar().directory("d/").file("d/new", "hello").whiteout(".wh.d").end(),
        )
        .over(lower())
        .noted(&["whiteout-of-own"])
        .then_file("d/new", "hello")
        .then_absent("d/f")
        .then_absent("d/sub"),
        case("whiteout-of-own-over-nothing", "a whiteout names a file that only its own layer has", {
            tar().file("new", "hello").whiteout(".wh.new").end()
        })
        .over(lower())
        .noted(&["whiteout-of-own"])
        .then_file("new", "hello"),
        case("whiteout-behind-own-link", "a directory turns into a link, and a whiteout goes through it", {
            own_link().whiteout("gone/.wh.f").end()
        })
        .over(tar().file("gone/f", "lower").file("kept/f", "lower").end())
        .seen("`umoci repack` writes them")
        .noted(&["whiteout-behind-own-link"])
        .then_file("kept/f", "lower")
        .then_symlink("gone", "kept"),
        case(
            "whiteout-behind-own-link-out",
            "a directory turns into a link that climbs, and a whiteout goes through it",
            tar().symlink("gone", "..").whiteout("gone/.wh.canary").end(),
        )
        .over(tar().file("gone/f", "lower").end())
        .noted(&["whiteout-behind-own-link"])
        .then_symlink("gone", ".."),
        case("opaque-behind-own-link", "a directory turns into a link, and an opaque marker goes through it", {
            own_link().whiteout("gone/.wh..wh..opq").end()
        })
        .over(tar().file("gone/f", "lower").file("kept/f", "lower").end())
        .noted(&["whiteout-behind-own-link"])
        .then_file("kept/f", "lower"),
        case("whiteout-behind-own-file", "a directory turns into a file, and a whiteout lies below it", {
            tar().file("gone", "hello").whiteout("gone/.wh.f").end()
        })
        .over(tar().file("gone/f", "lower").end())
        .seen("`umoci repack` writes them")
        .noted(&["whiteout-behind-own-link"])
        .then_file("gone", "hello"),
        case("file-turns-into-a-directory", "a file turns into a directory, with a whiteout for the file", {
            tar().whiteout(".wh.top").directory("top/").file("top/f", "hello").end()
        })
        .over(lower())
        .taken()
        .then_file("top/f", "hello"),
        case(
            "whiteout-behind-a-type-change",
            "what vanished when a directory turned into a file and back stays away",
            tar().file("d", "").directory("d/").file("d/new", "hello").end(),
        )
        .over(lower())
        .noted(&["duplicate-path"])
        .then_file("d/new", "hello")
        .then_absent("d/f"),
        case("whiteout-as-hard-link", "a whiteout is a hard link to a file of the lower layer", {
            tar().header(Header::posix(b'1', "d/.wh.f").target("d/f")).end()
        })
        .over(lower())
        .seen("cmssw/el9")
        .taken()
        .then_absent("d/f"),
        case("whiteout-as-hard-link-to-nothing", "a whiteout is a hard link to what is not there", {
            tar().hard_link("d/.wh.f", "no/such/file").end()
        })
        .over(lower())
        .taken()
        .then_absent("d/f"),
        case("whiteout-as-hard-link-that-climbs", "a whiteout is a hard link to what is above the root", {
            tar().hard_link("d/.wh.f", "../canary").end()
        })
        .over(lower())
        .taken()
        .then_absent("d/f"),
        case("opaque-as-hard-link", "an opaque marker is a hard link", tar().hard_link("d/.wh..wh..opq", "top").end())
            .over(lower())
            .taken()
            .then("d", Fact::Directory)
            .then_absent("d/f"),
        case(
            "whiteout-after-its-unlisted-directory",
            "a whiteout stands after a file in a directory of that name, which no entry lists",
            tar().file("d/new", "hello").whiteout(".wh.d").end(),
        )
        .over(lower())
        .noted(&["whiteout-of-own"])
        .then_file("d/new", "hello")
        .then_absent("d/f")
        .then_absent("d/sub"),
        case("whiteout-of-own-by-a-lower-link", "a file comes by a link of the lower layer, a whiteout without it", {
            tar().file("l/f", "hello").whiteout("d/.wh.f").end()
        })
        .over(lower())
        .noted(&["whiteout-of-own"])
        .then_file("d/f", "hello"),
        case(
            "whiteout-of-a-link-in-use",
            "a whiteout removes a link of the lower layer behind a file that came by it",
            tar().file("l/new", "hello").whiteout(".wh.l").end(),
        )
        .over(lower())
        .taken()
        .then_absent("l")
        .then_file("d/new", "hello")
        .then_file("d/f", "lower"),
        case(
            "whiteout-of-a-directory-in-use",
            "a whiteout removes a directory of the lower layer behind a file that came there by a link",
            tar().file("l/new", "hello").whiteout(".wh.d").end(),
        )
        .over(lower())
        .noted(&["whiteout-of-own"])
        .then_file("d/new", "hello")
        .then_absent("d/f"),
        case(
            "opaque-by-a-lower-link",
            "an opaque marker goes through a link of the lower layer, behind a file that did not",
            tar().file("d/new", "hello").whiteout("l/.wh..wh..opq").end(),
        )
        .over(lower())
        .taken()
        .then_file("d/new", "hello")
        .then_absent("d/f"),
        case(
            "whiteout-behind-own-directory",
            "a link of the lower layer turns into a directory, and a whiteout lies in it",
            tar().directory("l/").whiteout("l/.wh.f").end(),
        )
        .over(lower())
        .noted(&["directory-over-link"])
        .then_directory("l")
        .then_file("d/f", "lower"),
        case("opaque-before-a-hard-link", "a hard link's target was cleared by an opaque marker in front of it", {
            tar().whiteout("d/.wh..wh..opq").hard_link("d/new", "d/f").end()
        })
        .over(lower())
        .refused("hard-link-missing"),
        case(
            "whiteout-of-a-directory-on-the-way",
            "a whiteout removes a directory of the lower layer that a link's target only passes",
            tar().file("l/new", "hello").whiteout(".wh.x").end(),
        )
        .over(tar().file("x/f", "lower").file("d/f", "lower").symlink("l", "x/../d").end())
        .taken()
        .then_file("d/new", "hello")
        .then_absent("x"),
        case(
            "whiteout-above-a-skipped-device",
            "a whiteout removes a directory of the lower layer behind a device in it that is left out",
            tar().character_device("d/c", 1, 3).whiteout(".wh.d").end(),
        )
        .over(lower())
        .refused_unless_compatible(&["device-node"])
        .then_absent("d"),
        case(
            "whiteout-of-what-went",
            "a whiteout names a file of its own layer that a link has taken the place of since",
            tar().file("d/f", "hello").symlink("d", "top").whiteout("d/.wh.f").end(),
        )
        .over(lower())
        .noted(&["whiteout-behind-own-link"])
        .then_symlink("d", "top"),
    ]
}

/// A layer that puts a link where a lower one has a directory.
fn own_link() -> Archive {
    tar().symlink("gone", "kept")
}
