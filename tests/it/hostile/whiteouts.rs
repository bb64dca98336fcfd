//! Whiteouts that are malformed, or lie where they should not. What well-formed ones mean is in
//! `tests/it/whiteouts.rs`.

use super::{Case, layer, paranoid, refused, unpacks};
use crate::support::layer::Attributes;
use layercage::Policy;
use layercage::policy::Devices;

pub(super) fn cases(out: &str) -> Vec<Case> {
    let a = Attributes::default();
    let lower = || layer().file("d/file", b"1").file("d/other", b"2");
    vec![
        refused("whiteout-of-nothing", "a whiteout of nothing", layer().file(".wh.", b"")),
        refused("whiteout-of-nothing", "a whiteout of a directory itself", layer().file("d/.wh..", b"")).over(lower()),
        refused("whiteout-of-nothing", "a whiteout of the parent", layer().file("d/.wh...", b"")).over(lower()),
        refused("whiteout-of-nothing", "a whiteout of what is above the root", layer().file(".wh...", b"")),
        refused("whiteout-of-nothing", "a whiteout of the root", layer().file("./.wh..", b"")),
        refused(
            "whiteout-of-nothing",
            "a hard link that is a whiteout of nothing",
            layer().hard_link("d/.wh.", "d/file"),
        )
        .over(lower()),
        refused("whiteout-in-parent", "a file below a whiteout", layer().file(".wh.d/x", b"")).over(lower()),
        refused("whiteout-in-parent", "a file below a whiteout of the parent", layer().file("d/.wh.../out/file", b""))
            .over(lower()),
        refused("whiteout-in-parent", "a whiteout below a whiteout", layer().file(".wh.d/.wh.x", b"")).over(lower()),
        refused("whiteout-in-parent", "a file below an opaque marker", layer().file("d/.wh..wh..opq/x", b""))
            .over(lower()),
        refused("whiteout-type", "a whiteout that is a directory", layer().dir("d/.wh.file")).over(lower()),
        refused("whiteout-type", "a whiteout that is a link", layer().symlink("d/.wh.file", out)).over(lower()),
        refused("whiteout-type", "a whiteout that is a FIFO", layer().fifo("d/.wh.file")).over(lower()),
        refused("whiteout-type", "a whiteout that is a device", layer().device("d/.wh.file", 1, 3)).over(lower()),
        refused("whiteout-type", "a whiteout that is a device, which is skipped", layer().device("d/.wh.file", 0, 0))
            .over(lower())
            .under(Policy::default().with_devices(Devices::Skip)),
        refused("whiteout-with-content", "a whiteout with content", layer().file("d/.wh.file", b"!")).over(lower()),
        refused("whiteout-type", "an opaque marker that is a directory", layer().dir("d/.wh..wh..opq")).over(lower()),
        refused("whiteout-type", "an opaque marker that is a link", layer().symlink("d/.wh..wh..opq", "x"))
            .over(lower()),
        refused("whiteout-with-content", "an opaque marker with content", layer().file("d/.wh..wh..opq", b"!"))
            .over(lower()),
        refused(
            "component-too-long",
            "a whiteout of a name that is too long",
            layer().file(&format!(".wh.{}", "x".repeat(256)), b""),
        ),
        unpacks(
            "a whiteout that is a hard link to the outside",
            layer().hard_link("d/.wh.file", "../../out/file"),
            |w, _| {
                assert_eq!((w.kind("d/file"), w.kind("d/other")), ("", "file"));
            },
        )
        .over(lower()),
        unpacks("an opaque marker that is a hard link", layer().hard_link("d/.wh..wh..opq", "/nothing"), |w, _| {
            assert_eq!((w.kind("d/file"), w.kind("d")), ("", "dir"));
        })
        .over(lower()),
        unpacks("a hard link without a target that is a whiteout", layer().hard_link("d/.wh.file", ""), |w, _| {
            assert_eq!(w.kind("d/file"), "")
        })
        .over(lower()),
        unpacks(
            "bookkeeping of AUFS means nothing, whatever it is",
            layer()
                .dir(".wh..wh.plnk")
                .symlink(".wh..wh.aufs", out)
                .file(".wh..wh.aufs/file", b"!")
                .hard_link(".wh..wh.plnk/1.2", "../out/file")
                .device(".wh..wh.orph", 0, 0)
                .file("d/.wh..wh.", b"!"),
            |w, r| {
                assert_eq!(std::fs::read_dir(w.root()).unwrap().count(), 1);
                assert_eq!((w.text("d/file").as_str(), r.count("aufs-bookkeeping")), ("1", 6));
            },
        )
        .over(lower()),
        refused(
            "hard-link-missing",
            "a hard link to a lower layer's pseudo-link",
            layer().hard_link("a", ".wh..wh.plnk/1"),
        )
        .over(layer().file(".wh..wh.plnk/1", b"!").hard_link("b", ".wh..wh.plnk/1")),
        refused("hard-link-missing", "a hard link to what the tree has of that name", {
            layer().hard_link("a", ".wh..wh.plnk/1")
        })
        .after(|w| {
            std::fs::create_dir(w.root().join(".wh..wh.plnk")).unwrap();
            std::fs::write(w.root().join(".wh..wh.plnk/1"), "there").unwrap();
        }),
        unpacks(
            "a pseudo-link beside what the tree has of that name",
            layer().file(".wh..wh.plnk/1", b"!").hard_link("a", ".wh..wh.plnk/1"),
            |w, _| assert_eq!([w.text("a"), w.text(".wh..wh.plnk/1")], ["!", "there"]),
        )
        .after(|w| {
            std::fs::create_dir(w.root().join(".wh..wh.plnk")).unwrap();
            std::fs::write(w.root().join(".wh..wh.plnk/1"), "there").unwrap();
        }),
        refused("aufs-pseudo-link", "paranoid, a pseudo-link", layer().file(".wh..wh.plnk/1", b"!")).under(paranoid()),
        refused("parent-not-directory", "a hard link to a pseudo-link under a file", {
            layer().file("f", b"").file(".wh..wh.plnk/1", b"!").hard_link("f/a", ".wh..wh.plnk/1")
        }),
        refused("link-climbs", "a hard link to a pseudo-link through a link that climbs", {
            layer().symlink("l", "../out").file(".wh..wh.plnk/1", b"!").hard_link("l/file", ".wh..wh.plnk/1")
        }),
        refused("name-climbs", "bookkeeping of AUFS that climbs", layer().file(".wh..wh.plnk/../../out/file", b"!")),
        refused(
            "hard-link-missing",
            "a hard link to a whiteout",
            layer().file("d/.wh.file", b"").hard_link("x", "d/.wh.file"),
        )
        .over(lower()),
        refused(
            "hard-link-missing",
            "a hard link to what was whited out",
            layer().whiteout("d/file").hard_link("x", "d/file"),
        )
        .over(lower()),
        unpacks(
            "a name that only holds the prefix",
            layer().file("a.wh.b", b"1").file("d.wh./x", b"2").file(".wh", b"3"),
            |w, _| {
                assert_eq!([w.text("a.wh.b"), w.text("d.wh./x"), w.text(".wh")], ["1", "2", "3"]);
            },
        ),
        unpacks("a whiteout through a link of its own layer", layer().symlink("d", out).whiteout("d/file"), |w, r| {
            assert_eq!((w.kind("d"), r.count("whiteout-behind-own-link")), ("symlink", 1));
        }),
        unpacks(
            "an opaque marker through a link of its own layer",
            layer().symlink("d", "../out").opaque("d"),
            |w, r| {
                assert_eq!((w.kind("d"), r.count("whiteout-behind-own-link")), ("symlink", 1));
            },
        ),
        unpacks(
            "a whiteout through a lower directory that became a link",
            layer().symlink("d", "e").whiteout("d/file"),
            |w, r| {
                assert_eq!((w.kind("e/file"), r.count("whiteout-behind-own-link")), ("file", 1));
            },
        )
        .over(lower().file("e/file", b"")),
        unpacks("a whiteout of a name that is no text", layer().entry(b'0', b".wh.\xff", b"", b"", &a), |w, _| {
            assert_eq!(std::fs::read_dir(w.root()).unwrap().count(), 0);
        })
        .over(layer().entry(b'0', b"\xff", b"", b"", &a)),
    ]
}
