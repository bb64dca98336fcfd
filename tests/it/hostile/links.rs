//! Paths through links: of the same layer, of a lower one, of the tree that was there.

use super::{Case, layer, refused, unpacks};
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::world::World;
use layercage::Policy;
use std::os::unix::fs::symlink;

fn climbing_link(world: &World) {
    symlink("../out", world.root().join("d")).unwrap();
}

fn absolute_link(world: &World) {
    symlink(world.out(), world.root().join("d")).unwrap();
}

fn link_to_a_file(world: &World) {
    symlink(world.out().join("file"), world.root().join("d")).unwrap();
}

/// `l1` leads to `l2`, and so on; the last leads to `end`.
fn chain(links: u32) -> LayerBuilder {
    (1..links)
        .fold(layer().dir("end"), |layer, link| layer.symlink(&format!("l{link}"), &format!("l{}", link + 1)))
        .symlink(&format!("l{links}"), "end")
}

pub(super) fn cases(out: &str) -> Vec<Case> {
    let inside = out.trim_start_matches('/').to_owned();
    // What lies inside of the root at the name that a link has of the canaries.
    let at = |name: &str| format!("{inside}/{name}");
    let kind_at = |name: &str, kind: &'static str| {
        let path = at(name);
        move |w: &World, _: &_| assert_eq!(w.kind(&path), kind, "{path}")
    };
    let xattr = Attributes { xattrs: vec![("user.canary", b"2")], ..mode(0o777) };
    let climbing = || layer().symlink("d", "../out");
    let absolute = || layer().symlink("d", out);
    vec![
        // Links that climb.
        refused("link-climbs", "a file through a link that climbs", climbing().file("d/new", b"!")),
        refused(
            "link-climbs",
            "a file over one that is there, through a link that climbs",
            climbing().file("d/file", b"!"),
        ),
        refused("link-climbs", "a file through a lower layer's link that climbs", layer().file("d/file", b"!"))
            .over(climbing()),
        refused("link-climbs", "a file through a link that climbs and was there", layer().file("d/file", b"!"))
            .after(climbing_link),
        refused(
            "link-climbs",
            "a link that climbs far",
            layer().symlink("d", "../../../../../../../out").file("d/x", b"!"),
        ),
        refused("link-climbs", "a link that climbs and comes back", layer().symlink("d", "../root").file("d/x", b"!")),
        refused("link-climbs", "an absolute link that climbs", layer().symlink("d", "/../out").file("d/x", b"!")),
        refused(
            "link-climbs",
            "a link that goes down before it climbs",
            layer().dir("a").symlink("d", "a/../../out").file("d/x", b"!"),
        ),
        refused(
            "link-climbs",
            "a link that goes through what is missing before it climbs",
            layer().symlink("d", "gone/../../out").file("d/x", b"!"),
        ),
        refused(
            "link-climbs",
            "a link deep down that climbs",
            layer().dir("a/b").symlink("a/b/d", "../../../out").file("a/b/d/x", b"!"),
        ),
        refused(
            "link-climbs",
            "two links that climb together",
            layer().dir("a").symlink("a/up", "..").symlink("d", "a/up/../out").file("d/x", b"!"),
        ),
        refused("link-climbs", "a directory through a link that climbs", climbing().dir_with("d/dir", &mode(0o777))),
        refused("link-climbs", "a link through a link that climbs", climbing().symlink("d/new", "x")),
        refused("link-climbs", "a FIFO through a link that climbs", climbing().fifo("d/new")),
        refused(
            "link-climbs",
            "a hard link to what lies behind a link that climbs",
            climbing().hard_link("a", "d/file"),
        ),
        refused(
            "link-climbs",
            "a hard link behind a link that climbs",
            climbing().file("a", b"").hard_link("d/new", "a"),
        ),
        refused("link-climbs", "a whiteout through a lower link that climbs", layer().whiteout("d/file"))
            .over(climbing()),
        refused("link-climbs", "an opaque marker through a lower link that climbs", layer().opaque("d"))
            .over(climbing()),
        refused("link-climbs", "an opaque marker through a link that climbs and was there", layer().opaque("d"))
            .after(climbing_link),
        unpacks("compatible clamps a link at the root", climbing().file("d/file", b"!"), |w, r| {
            assert_eq!((w.text("out/file").as_str(), r.count("link-climbs")), ("!", 1));
        })
        .under(Policy::compatible()),
        unpacks("compatible clamps a link that was there", layer().file("d/dir/file", b"!"), |w, _| {
            assert_eq!(w.text("out/dir/file"), "!");
        })
        .after(climbing_link)
        .under(Policy::compatible()),
        unpacks("compatible clamps a whiteout at the root", layer().whiteout("d/file"), |w, _| {
            assert_eq!(w.kind("out/file"), "");
            assert_eq!(w.kind("out/other"), "file");
        })
        .over(climbing().file("out/file", b"").file("out/other", b""))
        .under(Policy::compatible()),
        // Absolute links to the canaries.
        unpacks(
            "a file through an absolute link stays inside",
            absolute().file("d/file", b"!"),
            kind_at("file", "file"),
        ),
        unpacks("a file through a lower absolute link", layer().file("d/file", b"!"), kind_at("file", "file"))
            .over(absolute()),
        unpacks(
            "a file through an absolute link that was there",
            layer().file("d/file", b"!"),
            kind_at("file", "file"),
        )
        .after(absolute_link),
        unpacks("a directory through an absolute link", absolute().dir_with("d/dir", &xattr), kind_at("dir", "dir")),
        unpacks("a FIFO through an absolute link", absolute().fifo("d/fifo"), kind_at("fifo", "fifo")),
        unpacks("a link through an absolute link", absolute().symlink("d/link", "x"), kind_at("link", "symlink")),
        refused(
            "hard-link-missing",
            "a hard link to what an absolute link has outside",
            absolute().hard_link("a", "d/file"),
        ),
        refused(
            "hard-link-missing",
            "a hard link through an absolute link that was there",
            layer().hard_link("a", "d/file"),
        )
        .after(absolute_link),
        unpacks("a whiteout through an absolute link of a lower layer", layer().whiteout("d/file"), |w, _| {
            assert_eq!(w.kind("d"), "symlink")
        })
        .over(absolute()),
        unpacks("an opaque marker through an absolute link that was there", layer().opaque("d"), |w, _| {
            assert_eq!(w.kind("d"), "symlink")
        })
        .after(absolute_link),
        unpacks(
            "a name of /proc that leads to the host's root",
            layer().symlink("d", "/proc/self/root").file("d/x", b"!"),
            |w, _| {
                assert_eq!(w.text("proc/self/root/x"), "!");
            },
        ),
        // The last component is never followed.
        unpacks("a file over a link to the outside", layer().file_with("d", b"!", &xattr), |w, _| {
            assert_eq!(w.text("d"), "!")
        })
        .after(link_to_a_file),
        unpacks("a directory over a link to the outside", absolute().dir_with("d", &xattr), |w, r| {
            assert_eq!((w.kind("d"), w.mode("d"), r.count("duplicate-path")), ("dir", 0o777, 1));
        }),
        unpacks(
            "a directory over a link that was there",
            layer().dir_with("d", &xattr).file("d/file", b"!"),
            |w, _| assert_eq!(w.text("d/file"), "!"),
        )
        .after(absolute_link),
        unpacks("a FIFO over a link to the outside", layer().fifo("d"), |w, _| assert_eq!(w.kind("d"), "fifo"))
            .after(link_to_a_file),
        unpacks("a link over a link to the outside", layer().symlink("d", "x"), |w, _| assert_eq!(w.text("d"), "x"))
            .after(link_to_a_file),
        unpacks("a hard link over a link to the outside", layer().file("a", b"!").hard_link("d", "a"), |w, _| {
            assert_eq!(w.text("d"), "!")
        })
        .after(link_to_a_file),
        unpacks("a whiteout of a link to the outside", layer().whiteout("d"), |w, _| assert_eq!(w.kind("d"), ""))
            .after(absolute_link),
        unpacks("an opaque root with a link to the outside", layer().opaque(""), |w, _| assert_eq!(w.kind("d"), ""))
            .after(absolute_link),
        unpacks(
            "a hard link to a link links the link",
            layer().symlink("s", &format!("{out}/file")).hard_link("h", "s").file("h", b"!"),
            |w, _| {
                assert_eq!((w.text("h").as_str(), w.kind("s")), ("!", "symlink"));
            },
        ),
        unpacks(
            "a second name of a link that was there",
            layer().hard_link("h", "d").file("h", b"!").file("d", b"?"),
            |w, _| {
                assert_eq!((w.text("h").as_str(), w.text("d").as_str()), ("!", "?"));
            },
        )
        .after(link_to_a_file),
        // Links that change while a layer is applied.
        refused(
            "link-climbs",
            "a directory that becomes a link",
            layer().dir("a").file("a/x", b"").symlink("a", "../out").file("a/file", b"!"),
        ),
        unpacks(
            "a directory that becomes an absolute link",
            layer().dir("a").file("a/x", b"").symlink("a", out).file("a/file", b"!"),
            kind_at("file", "file"),
        ),
        unpacks(
            "a link that becomes a directory",
            absolute().file("d/x", b"").dir("d").file("d/file", b"!"),
            |w, _| assert_eq!(w.text("d/file"), "!"),
        ),
        unpacks(
            "a directory that is whited out and comes back as a link",
            layer().file("a/b/x", b"").whiteout("a").symlink("a", out).file("a/b/y", b"!"),
            kind_at("b/y", "file"),
        ),
        refused(
            "link-climbs",
            "a lower directory that becomes a link",
            layer().file("a/b/x", b"").symlink("a", "../out").file("a/b/y", b"!"),
        )
        .over(layer().file("a/b/c", b"")),
        // Chains and loops.
        unpacks("40 links in a row", chain(40).file("l1/x", b"!"), |w, _| assert_eq!(w.text("end/x"), "!")),
        refused("link-loop", "41 links in a row", chain(41).file("l1/x", b"!")),
        refused(
            "link-loop",
            "a hard link's target behind 41 links",
            chain(41).file("end/x", b"").hard_link("a", "l1/x"),
        ),
        refused("link-loop", "a whiteout behind 41 links", layer().whiteout("l1/x")).over(chain(41)),
        refused("link-loop", "a link to itself", layer().symlink("l", "l").file("l/x", b"!")),
        refused(
            "link-loop",
            "two links to one another",
            layer().symlink("a", "b").symlink("b", "/a/x").file("a/x", b"!"),
        ),
        refused("link-loop", "a link into itself", layer().symlink("l", "l/l").file("l/x", b"!")),
        refused("link-loop", "an opaque marker behind a loop", layer().opaque("l")).over(layer().symlink("l", "./l")),
        refused("link-loop", "a hard link to what lies behind a loop", layer().symlink("l", "l").hard_link("a", "l/x")),
        unpacks("a loop by itself harms nobody", layer().symlink("l", "l").hard_link("m", "l"), |w, _| {
            assert_eq!(w.text("m"), "l")
        }),
        // Where links lead within.
        unpacks("a dangling link is created at its target", layer().symlink("l", "a/b").file("l/x", b"!"), |w, _| {
            assert_eq!(w.text("a/b/x"), "!")
        }),
        unpacks(
            "a link up and across",
            layer().dir("a/b").symlink("a/b/l", "../../c").file("a/b/l/x", b"!"),
            |w, _| assert_eq!(w.text("c/x"), "!"),
        ),
        unpacks(
            "links to the root and to here",
            layer().symlink("r", "/").symlink("h", ".").file("r/h/r/x", b"!"),
            |w, _| assert_eq!(w.text("x"), "!"),
        ),
        refused(
            "parent-not-directory",
            "a link to a file on the way",
            layer().file("f", b"").symlink("l", "f").file("l/x", b"!"),
        ),
        refused("parent-not-directory", "a file on the way", layer().file("f", b"").file("f/x", b"!")),
        refused("parent-not-directory", "a FIFO on the way", layer().fifo("f").file("f/x", b"!")),
        refused("parent-not-directory", "a lower file on the way", layer().dir("f/d")).over(layer().file("f", b"")),
    ]
}
