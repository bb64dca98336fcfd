//! Names and targets that are not what they should be.

use super::{Case, layer, refused, unpacks};
use crate::support::layer::{Attributes, mode};
use layercage::Policy;
use layercage::policy::Devices;

pub(super) fn cases(out: &str) -> Vec<Case> {
    let a = Attributes::default();
    let inside = out.trim_start_matches('/').to_owned();
    let in_file = format!("{inside}/file");
    vec![
        refused("name-climbs", "a file whose name climbs", layer().file("../out/new", b"!")),
        refused("name-climbs", "a file whose name climbs after it went down", layer().file("a/../../out/new", b"!")),
        refused("name-climbs", "a file whose name climbs and comes back", layer().file("../root/new", b"!")),
        refused("name-climbs", "a file whose absolute name climbs", layer().file("/../out/file", b"!")),
        refused(
            "name-climbs",
            "a file whose name climbs behind slashes and dots",
            layer().file("//.//../out/file", b"!"),
        ),
        refused("name-climbs", "a directory called ..", layer().dir("..")),
        refused("name-climbs", "a directory called ../", layer().dir("../")),
        refused("name-climbs", "a directory that ends in ..", layer().dir("a").dir("a/..")),
        refused("name-climbs", "a directory that means the root by ..", layer().dir("a").dir("a/../")),
        refused("name-climbs", "a link whose name climbs", layer().symlink("../out/new", "file")),
        refused("name-climbs", "a FIFO whose name climbs", layer().fifo("../out/new")),
        refused("name-climbs", "a hard link whose name climbs", layer().file("a", b"").hard_link("../out/new", "a")),
        refused("hard-link-target", "a hard link whose target climbs", layer().hard_link("a", "../out/file")),
        refused("hard-link-target", "a hard link whose absolute target climbs", layer().hard_link("a", "/../out/file")),
        refused(
            "hard-link-target",
            "a hard link whose target climbs within",
            layer().file("b", b"").hard_link("a", "x/../b"),
        ),
        refused("name-climbs", "a whiteout whose name climbs", layer().whiteout("../out/file")),
        refused("name-climbs", "an opaque marker whose name climbs", layer().opaque("../out")),
        refused("name-climbs", "a device whose name climbs", layer().device("../out/null", 1, 3))
            .under(Policy::default().with_devices(Devices::Skip)),
        unpacks("an absolute name is one from the image's root", layer().file("/etc/passwd", b"!"), |w, _| {
            assert_eq!(w.text("etc/passwd"), "!");
        }),
        unpacks(
            "an absolute name of the host is one from the image's root",
            layer().file(&format!("{out}/file"), b"!"),
            {
                let in_file = in_file.clone();
                move |w, _| assert_eq!(w.text(&in_file), "!")
            },
        ),
        refused(
            "hard-link-missing",
            "a hard link to an absolute name of the host",
            layer().hard_link("a", &format!("{out}/file")),
        ),
        unpacks(
            "an absolute hard link is one from the image's root",
            layer().file("b", b"!").hard_link("a", "/b"),
            |w, _| {
                assert_eq!(w.text("a"), "!");
            },
        ),
        unpacks(
            "names that only look as if they climbed",
            layer().file(".../..a", b"1").file("..\\..\\out", b"2").file("a..", b"3"),
            |w, _| {
                assert_eq!([w.text(".../..a"), w.text("..\\..\\out"), w.text("a..")], ["1", "2", "3"]);
            },
        ),
        unpacks("a name that is no text", layer().entry(b'0', b"\xff\x01\n", b"", b"!", &a), |w, _| {
            assert_eq!(std::fs::read_dir(w.root()).unwrap().count(), 1);
        }),
        refused("name-nul", "a name with a NUL in it", layer().record("path", b"a\0b").file("a", b"")),
        refused(
            "link-target-nul",
            "a hard link's target with a NUL in it",
            layer().file("a", b"").record("linkpath", b"a\0b").hard_link("b", "a"),
        ),
        refused(
            "link-target-nul",
            "a link's target with a NUL in it",
            layer().record("linkpath", b"a\0b").symlink("b", "a"),
        ),
        refused("link-target-empty", "a link that points at nothing", layer().symlink("a", "")),
        refused("link-target-too-long", "a link's target of 4,096 bytes", layer().symlink("a", &"x".repeat(4096))),
        unpacks("a link's target of 4,095 bytes", layer().symlink("a", &"x".repeat(4095)), |w, _| {
            assert_eq!(w.text("a").len(), 4095);
        }),
        refused("component-too-long", "a component of 256 bytes", layer().file(&"x".repeat(256), b"")),
        refused(
            "component-too-long",
            "a directory of 256 bytes on the way",
            layer().file(&format!("{}/x", "x".repeat(256)), b""),
        ),
        refused("hard-link-target", "a hard link's target of 256 bytes", layer().hard_link("a", &"x".repeat(256))),
        refused(
            "component-too-long",
            "a link on the way with a component of 256 bytes",
            layer().symlink("a", &"x".repeat(256)).file("a/b", b""),
        ),
        unpacks("a component of 255 bytes", layer().file(&"x".repeat(255), b"!"), |w, _| {
            assert_eq!(w.text(&"x".repeat(255)), "!");
        }),
        refused("limit", "a name of more than 4,096 bytes", layer().file(&"x/".repeat(2049), b"")),
        refused(
            "limit",
            "a hard link's target of more than 4,096 bytes",
            layer().hard_link("a", &["x/".repeat(2049), "x".into()].concat()),
        ),
        refused("root-not-directory", "the root as a file", layer().file(".", b"!")),
        refused("file-with-slash", "the root as a file with a slash", layer().file("/", b"!")),
        refused("root-not-directory", "the root as a file without any name", layer().file("", b"!")),
        refused("root-not-directory", "the root as a link", layer().symlink(".", "../out")),
        refused("file-with-slash", "the root as a link with a slash", layer().symlink("./", "../out")),
        refused("root-not-directory", "the root as a hard link", layer().file("a", b"").hard_link("/.", "a")),
        refused("root-not-directory", "the root as a FIFO", layer().fifo("/./.")),
        refused("file-with-slash", "the root as a FIFO with a slash", layer().fifo(".//")),
        refused("root-not-directory", "the root as a device that is skipped", layer().device("./.", 1, 3))
            .under(Policy::default().with_devices(Devices::Skip)),
        unpacks("the root as a directory", layer().dir_with("./", &mode(0o711)).file("a", b""), |w, _| {
            assert_eq!((w.mode(""), w.mtime("")), (0o711, (1_000_000_000, 0)));
        }),
    ]
}
