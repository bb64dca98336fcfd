//! Device nodes under each choice.

use super::{Case, layer, paranoid, refused, unpacks};
use crate::support::layer::LayerBuilder;
use layercage::Policy;
use layercage::policy::{Devices, Owners};
use layercage::rules::QuirkRule;
use std::os::unix::fs::MetadataExt;

fn null() -> LayerBuilder {
    layer().dir("dev").device("dev/null", 1, 3)
}

pub(super) fn cases(out: &str) -> Vec<Case> {
    let skip = || Policy::default().with_devices(Devices::Skip);
    let create = || Policy::default().with_devices(Devices::Create);
    let zero = || layer().device("x", 0, 0);
    let is_null = |w: &crate::support::world::World, path: &str| {
        let node = w.metadata(path);
        assert_eq!((w.kind(path), node.rdev(), node.mode() & 0o7777), ("char", rustix::fs::makedev(1, 3), 0o644));
    };
    vec![
        refused("device-node", "a character device", null()),
        refused("device-node", "a block device", layer().node(b'4', "sda", 8, 0)),
        refused("device-zero", "a device that overlay takes for a whiteout", zero()),
        unpacks("the same where devices are skipped", zero(), |w, r| {
            assert_eq!((w.kind("x"), r.count("device-zero"), r.count("device-node")), ("", 1, 0));
        })
        .under(skip()),
        unpacks("the same by the compatible policy, over a lower tree", zero(), |w, r| {
            assert_eq!((w.kind("x"), r.count("device-zero")), ("", 1));
        })
        .over(layer().file("x/y/z", b""))
        .under(Policy::compatible()),
        unpacks("the same under paranoia where devices are skipped", zero(), |w, _| assert_eq!(w.kind("x"), ""))
            .under(paranoid().with_devices(Devices::Skip)),
        unpacks("the same where devices would be recorded and are skipped", zero(), |w, _| assert_eq!(w.kind("x"), ""))
            .under(skip().with_owners(Owners::Record)),
        unpacks("a hard link to it where devices are skipped", zero().hard_link("y", "x"), |w, r| {
            assert_eq!((w.kind("x"), w.kind("y"), r.count("hard-link-to-skipped")), ("", "", 1));
        })
        .under(skip()),
        unpacks(
            "no directory is made for a hard link that is skipped",
            layer().device("c/x", 1, 3).hard_link("k/y", "c/x"),
            |w, r| {
                assert_eq!((w.kind("c"), w.kind("k"), r.count("hard-link-to-skipped")), ("", "", 1));
            },
        )
        .under(skip()),
        unpacks(
            "a hard link to a skipped hard link, in directories of its own",
            null().hard_link("k/y", "dev/null").hard_link("m/z", "k/y"),
            |w, r| {
                assert_eq!(
                    (w.kind("dev"), w.kind("k"), w.kind("m"), r.count("hard-link-to-skipped")),
                    ("dir", "", "", 2)
                );
            },
        )
        .under(skip()),
        unpacks("the rule lets it be skipped, and never made", zero(), |w, _| assert_eq!(w.kind("x"), ""))
            .under(create().allow(QuirkRule::DeviceZero)),
        refused("device-zero", "the same where devices are made", zero()).under(create()),
        refused("device-zero", "the same where devices are recorded", zero())
            .under(create().with_owners(Owners::Record)),
        refused("device-number", "a device that Linux cuts to the first disk", layer().node(b'4', "sda", 4104, 0)),
        refused("device-number", "the same where devices are skipped", layer().node(b'4', "sda", 4104, 0))
            .under(skip()),
        refused("device-number", "the same where devices are made", layer().node(b'4', "sda", 4104, 0)).under(create()),
        refused("device-number", "the same where devices are recorded", layer().node(b'4', "sda", 4104, 0))
            .under(create().with_owners(Owners::Record)),
        refused("device-number", "the same by the compatible policy", layer().node(b'4', "sda", 4104, 0))
            .under(Policy::compatible()),
        refused("device-number", "a device that Linux cuts to a whiteout", layer().device("x", 4096, 0))
            .under(create()),
        refused("device-number", "a minor number that Linux cuts", layer().device("x", 1, 1 << 20)).under(create()),
        refused("device-node", "the largest device that Linux has", layer().device("x", 4095, (1 << 20) - 1)),
        refused("device-node", "paranoid, a device", null()).under(paranoid()),
        unpacks("a device that is skipped", null(), |w, r| {
            assert_eq!((w.kind("dev"), w.kind("dev/null"), r.count("device-node")), ("dir", "", 1));
        })
        .under(skip()),
        unpacks("compatible skips devices", null().node(b'4', "sda", 8, 0), |w, r| {
            assert_eq!((w.kind("sda"), w.kind("dev/null"), r.count("device-node")), ("", "", 2));
        })
        .under(Policy::compatible()),
        unpacks("a skipped device over a lower file", layer().device("a", 1, 3), |w, _| assert_eq!(w.kind("a"), ""))
            .over(layer().file("a", b""))
            .under(skip()),
        unpacks("a skipped device over a lower tree", layer().device("a", 1, 3), |w, _| assert_eq!(w.kind("a"), ""))
            .over(layer().file("a/b/c", b""))
            .under(skip()),
        unpacks("a skipped device over a link to the outside", layer().device("a", 1, 3), |w, _| {
            assert_eq!(w.kind("a"), "")
        })
        .over(layer().symlink("a", out))
        .under(skip()),
        unpacks("a skipped device through an absolute link", layer().device("d/file", 1, 3), |w, _| {
            assert_eq!(w.kind("d"), "symlink")
        })
        .over(layer().symlink("d", out))
        .under(skip()),
        refused("link-climbs", "a skipped device through a link that climbs", layer().device("d/file", 1, 3))
            .over(layer().symlink("d", "../out"))
            .under(skip()),
        unpacks("a skipped device under a file needs no directory", layer().device("f/x", 1, 3), |w, _| {
            assert_eq!(w.kind("f"), "file");
        })
        .over(layer().file("f", b""))
        .under(skip()),
        unpacks("a hard link to a skipped device", null().hard_link("a", "dev/null").hard_link("b", "/a"), |w, r| {
            assert_eq!((w.kind("a"), w.kind("b"), r.count("hard-link-to-skipped")), ("", "", 2));
        })
        .under(skip()),
        unpacks(
            "a hard link to a skipped device whose directory nothing lists",
            layer().device("dev/null", 1, 3).hard_link("dev/zero", "dev/null"),
            |w, r| {
                assert_eq!((w.kind("dev/zero"), r.count("hard-link-to-skipped")), ("", 1));
            },
        )
        .under(skip()),
        unpacks("a hard link to a lower layer's skipped device", layer().hard_link("a", "dev/null"), |w, r| {
            assert_eq!((w.kind("a"), r.count("hard-link-to-skipped")), ("", 1));
        })
        .over(null())
        .under(skip()),
        unpacks("a hard link to a skipped device over a lower file", null().hard_link("a", "dev/null"), |w, _| {
            assert_eq!(w.kind("a"), "")
        })
        .over(layer().file("a", b""))
        .under(skip()),
        unpacks(
            "a hard link to the file that takes a skipped device's place",
            null().file("dev/null", b"!").hard_link("a", "dev/null"),
            |w, _| {
                assert_eq!(w.text("a"), "!");
            },
        )
        .under(skip()),
        refused(
            "hard-link-missing",
            "a hard link to a device that was skipped and whited out since",
            layer().whiteout("dev/null").hard_link("a", "dev/null"),
        )
        .over(null())
        .under(skip()),
        unpacks("a device that is made", null(), move |w, _| is_null(w, "dev/null")).under(create()).needs_root(),
        unpacks("the largest device that Linux has, made", layer().node(b'4', "x", 4095, (1 << 20) - 1), |w, _| {
            assert_eq!((w.kind("x"), w.metadata("x").rdev()), ("block", rustix::fs::makedev(4095, (1 << 20) - 1)));
        })
        .under(create())
        .needs_root(),
        unpacks("a device over a lower tree", layer().device("a", 1, 3), move |w, _| is_null(w, "a"))
            .over(layer().file("a/b/c", b""))
            .under(create())
            .needs_root(),
        unpacks("a device over a link to the outside", layer().device("a", 1, 3), move |w, _| is_null(w, "a"))
            .over(layer().symlink("a", &format!("{out}/file")))
            .under(create())
            .needs_root(),
        unpacks("a file over a device", layer().file("dev/null", b"!"), |w, _| assert_eq!(w.text("dev/null"), "!"))
            .over(null())
            .under(create())
            .needs_root(),
        unpacks("a hard link to a device", layer().hard_link("a", "dev/null"), move |w, _| is_null(w, "a"))
            .over(null())
            .under(create())
            .needs_root(),
        refused(
            "link-climbs",
            "a device through a link that climbs",
            layer().symlink("d", "../out").device("d/null", 1, 3),
        )
        .under(create()),
    ]
}
