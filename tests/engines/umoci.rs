//! umoci: the layers that it packs, against the tree that was packed and the tree that it unpacks.

use crate::images::LAYERS;
use crate::{Known, complaints, have, in_seconds, needs_root, run, script, tree, unpacked};
use std::process::Command;

/// Where umoci packs or unpacks something else than the tree.
const LOSSES: &[Known] = &[(
    "unpacked-1-base.sh unpacked-2-changes.sh unpacked-3-back.sh",
    "opt/after-2262",
    "mtime",
    "umoci computes a time in 64 bits of nanoseconds, which end in 2262",
)];

#[test]
fn what_umoci_packs_is_the_tree_and_what_umoci_unpacks() {
    let what = "umoci's bundles with owners and devices (without: the forms of tests/it/forms.rs)";
    if !needs_root(what) || !have(&["umoci", "setfattr"]) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let umoci = |arguments: &[&str]| run(Command::new("umoci").args(arguments).current_dir(place.path()));
    umoci(&["init", "--layout", "layout"]);
    umoci(&["new", "--image", "layout:bottom"]);
    umoci(&["unpack", "--image", "layout:bottom", "source"]);
    let mut lines = Vec::new();
    for layer in LAYERS {
        let rootfs = place.path().join("source/rootfs");
        // umoci compares whole seconds: it would miss the new time of a directory that the last layer changed just now.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        script(layer, &rootfs);
        let image = format!("layout:{layer}");
        umoci(&["repack", "--refresh-bundle", "--image", &image, "source"]);
        umoci(&["unpack", "--image", &image, "again"]);
        let again = tree::list(&place.path().join("again/rootfs"));
        std::fs::remove_dir_all(place.path().join("again")).unwrap();
        match unpacked(&place.path().join("layout"), Some(layer), place.path()) {
            Ok((got, _)) => {
                let source = in_seconds(tree::list(&rootfs));
                lines.extend(complaints(&format!("packed-{layer}"), &source, &got, LOSSES));
                lines.extend(complaints(&format!("unpacked-{layer}"), &again, &got, LOSSES));
            }
            Err(error) => lines.push(format!("{layer}: {error}")),
        }
    }
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}
