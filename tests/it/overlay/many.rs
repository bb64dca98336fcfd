//! More layers than fit into the options of a mount: the kernel takes them one by one.

use super::mounted::can_mount;
use super::world::{World, layer, rootfs};
use crate::child;
use crate::skip::skip;
use crate::support::is_root;
use crate::support::tree;
use layercage::Policy;
use layercage::overlay::OverlayNamespace;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use std::fs;
use std::path::{Path, PathBuf};

const LAYERS: usize = 60;

#[test]
fn more_layers_than_options_hold_are_mounted_one_by_one() {
    let variables = [("LAYERCAGE_CHILD", "1".as_ref())];
    let as_user = child::mounting_as_user("mounts_layers_one_by_one", &variables);
    let as_root = is_root("a mount as root").then(|| child::mounting("mounts_layers_one_by_one", &variables)).flatten();
    as_user.into_iter().chain(as_root).for_each(child::expect_success);
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn mounts_layers_one_by_one() {
    if !child::is_child() {
        return;
    }
    if !can_mount() {
        return skip("overlayfs cannot be mounted here");
    }
    let world = World::new();
    // Each layer adds a file, and removes one of the layer below it.
    let layers: Vec<_> = (0..LAYERS)
        .map(|number| match number {
            0 => layer().file("d/0", b"0").file("gone/0", b""),
            _ => layer()
                .file(&format!("d/{number}"), b"1")
                .file(&format!("gone/{number}"), b"")
                .whiteout(&format!("gone/{}", number - 1)),
        })
        .collect();
    let image = world.image("image", &layers);
    let unpacked = world.unpack(&image);
    assert_eq!((unpacked.layers().len(), unpacked.mount_options("")), (LAYERS, None));
    let at = world.0.path().join("mounted");
    fs::create_dir(&at).unwrap();
    match mount_one_by_one(&world.directories(&unpacked), unpacked.format().namespace, &at) {
        Err(Errno::INVAL) => return skip("`lowerdir+` needs Linux 6.5"),
        mounted => mounted.unwrap(),
    }
    let differences = tree::differences(&rootfs(&image, &Policy::default()), &tree::list(&at));
    unmount(&at, UnmountFlags::empty()).unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn mount_one_by_one(layers: &[PathBuf], namespace: OverlayNamespace, at: &Path) -> rustix::io::Result<()> {
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    layers.iter().try_for_each(|layer| fsconfig_set_string(&overlay, "lowerdir+", layer))?;
    if namespace == OverlayNamespace::User {
        fsconfig_set_flag(&overlay, "userxattr")?;
    }
    fsconfig_create(&overlay)?;
    let mounted = fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    move_mount(&mounted, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}
