//! Device nodes. The presets refuse them or leave them out; nothing here is ever made.

use super::build::{Header, tar};
use super::case::{Case, Expected, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("device-console", "a layer has `dev/console`", tar().character_device("dev/console", 5, 1).end())
            .seen("many base images have it")
            .refused_unless_compatible(&["device-node"])
            .then_absent("dev/console"),
        case("devices-beyond-the-limit", "a layer has more devices to skip than names may be kept of", {
            tar().character_device("dev/a", 1, 3).character_device("dev/b", 1, 3).end()
        })
        .limit("skipped-bytes", 2 * (64 + 5) - 1)
        .expected([
            Expected::Refuse("device-node"),
            Expected::Refuse("limit"),
            Expected::Refuse("device-node"),
        ]),
        case("device-ptmx", "a layer has `dev/ptmx`, on which a reader that opens it hangs or fails", {
            tar().header(Header::posix(b'3', "dev/ptmx").device(5, 2).mode(0o666)).end()
        })
        .refused_unless_compatible(&["device-node"])
        .then_absent("dev/ptmx"),
        case("device-disk", "a layer has the host's first disk, readable for all", {
            tar().header(Header::posix(b'4', "disk").device(8, 0).mode(0o666)).end()
        })
        .refused_unless_compatible(&["device-node"])
        .then_absent("disk"),
        case("device-memory", "a layer has the host's memory", tar().character_device("mem", 1, 1).end())
            .refused_unless_compatible(&["device-node"])
            .then_absent("mem"),
        case("device-zero", "a character device is 0:0, which overlay file systems take for a whiteout", {
            tar().character_device("etc/passwd", 0, 0).end()
        })
        .seen("images that carry the storage of an engine")
        .refused_unless_compatible(&["device-zero"])
        .then_absent("etc/passwd"),
        case("device-zero-over-a-lower-file", "a character device 0:0 that is left out takes the place of a file", {
            tar().character_device("f", 0, 0).end()
        })
        .over(tar().file("f", "lower").end())
        .refused_unless_compatible(&["device-zero"])
        .then_absent("f"),
        case("device-zero-and-a-hard-link", "a hard link to a character device 0:0 is left out with it", {
            tar().character_device("c", 0, 0).hard_link("l", "c").file("f", "hello").end()
        })
        .expected([
            Expected::Refuse("device-zero"),
            Expected::Note(vec!["device-zero", "hard-link-to-skipped"]),
            Expected::Refuse("device-zero"),
        ])
        .then_absent("c")
        .then_absent("l")
        .then_file("f", "hello"),
        case("block-device-beyond-linux", "a block device is 4104:0, which Linux cuts to 8:0, a disk of the host", {
            tar().block_device("disk", 4104, 0).end()
        })
        .refused("device-number"),
        case("character-device-beyond-linux", "a character device is 4096:0, which Linux cuts to a whiteout", {
            tar().character_device("etc/passwd", 4096, 0).end()
        })
        .refused("device-number"),
        case("device-minor-beyond-linux", "a device's minor number is 1048576, one more than Linux holds", {
            tar().character_device("null", 1, 1 << 20).end()
        })
        .refused("device-number"),
        case("block-device-zero", "a block device is 0:0, which is no whiteout", tar().block_device("b", 0, 0).end())
            .refused_unless_compatible(&["device-node"])
            .then_absent("b"),
        case("device-over-a-lower-file", "a device that is left out still takes the place of a lower file", {
            tar().character_device("f", 1, 3).end()
        })
        .over(tar().file("f", "lower").end())
        .refused_unless_compatible(&["device-node"])
        .then_absent("f"),
        case("device-through-a-link-that-climbs", "a device goes through a link to `..`", {
            tar().symlink("d", "..").character_device("d/canary", 1, 3).end()
        })
        .expected([
            Expected::Refuse("device-node"),
            Expected::Note(vec!["device-node", "link-climbs"]),
            Expected::Refuse("device-node"),
        ]),
        case("device-as-root", "the root of the image is a device", tar().character_device(".", 1, 3).end())
            .refused("root-not-directory"),
        case("device-and-a-hard-link", "a hard link to a device that is left out is left out too", {
            tar().character_device("c", 1, 3).hard_link("l", "c").file("f", "hello").end()
        })
        .expected([
            Expected::Refuse("device-node"),
            Expected::Note(vec!["device-node", "hard-link-to-skipped"]),
            Expected::Refuse("device-node"),
        ])
        .then_absent("c")
        .then_absent("l")
        .then_file("f", "hello"),
        case("device-and-a-hard-link-in-no-directory", "the same, in a directory that nothing else is in", {
            tar().character_device("dev/c", 1, 3).hard_link("dev/l", "dev/c").end()
        })
        .expected([
            Expected::Refuse("device-node"),
            Expected::Note(vec!["device-node", "hard-link-to-skipped"]),
            Expected::Refuse("device-node"),
        ])
        .then_absent("dev/c"),
    ]
}
