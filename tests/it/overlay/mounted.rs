//! Layers of an overlay, mounted.

use super::{DEVICES, USER_DEVICES, USER_XATTRS, XATTRS, compare, model};
use crate::child;
use crate::merged::random::{archive, layers, policies};
use crate::skip::skip;
use crate::support::tree::{self, Listing};
use layercage::overlay::{OverlayFormat, OverlayNamespace};
use layercage::policy::Devices;
use proptest::prelude::*;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

/// Mounts layers, the top one first.
pub(crate) fn try_mount(layers: &[PathBuf], namespace: OverlayNamespace, at: &Path) -> rustix::io::Result<()> {
    let lowers: Vec<_> = layers.iter().map(|layer| layer.to_str().unwrap()).collect();
    let user = if namespace == OverlayNamespace::User { ",userxattr" } else { "" };
    let options = CString::new(format!("lowerdir={}{user}", lowers.join(":"))).unwrap();
    mount("overlay", at, "overlay", MountFlags::empty(), options.as_c_str())
}

/// Lists layers as a mount shows them.
pub(super) fn list(layers: &[PathBuf], format: OverlayFormat) -> Listing {
    let place = layers[0].parent().unwrap();
    let (at, empty) = (place.join("mounted"), place.join("empty"));
    [&at, &empty].iter().for_each(|directory| fs::create_dir(directory).unwrap());
    // One directory alone cannot be mounted.
    let layers = [layers, &[empty]].concat();
    try_mount(&layers, format.namespace, &at).unwrap();
    let listing = tree::list(&at);
    unmount(&at, UnmountFlags::empty()).unwrap();
    listing
}

/// Whether overlayfs can be mounted in this process.
pub(super) fn can_mount() -> bool {
    let place = tempfile::tempdir().unwrap();
    let directories: Vec<_> = ["a", "b", "at"].iter().map(|name| place.path().join(name)).collect();
    directories.iter().for_each(|directory| fs::create_dir(directory).unwrap());
    let mounted = try_mount(&directories[..2], OverlayNamespace::User, &directories[2]);
    if mounted.is_ok() {
        unmount(&directories[2], UnmountFlags::empty()).unwrap();
    }
    mounted.is_ok()
}

/// Compares random stacks, with the mount and with the model.
fn compare_many(formats: Vec<OverlayFormat>, cases: u32) {
    if !can_mount() {
        return skip("overlayfs cannot be mounted here");
    }
    let in_namespace = formats.iter().all(|format| format.namespace == OverlayNamespace::User);
    let mut config = crate::random::cases(cases);
    config.test_name = None;
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let strategy = (layers(9), policies(), prop::sample::select(formats));
    let result = runner.run(&strategy, |(layers, policy, format)| {
        // Root of a user namespace cannot make devices.
        let policy = match in_namespace && policy.devices() == Devices::Create {
            true => policy.with_devices(Devices::Skip),
            false => policy,
        };
        let layers: Vec<_> = layers.iter().map(|layer| archive(layer)).collect();
        let differences = compare(&layers, &policy, format, |directories| {
            let mounted = list(directories, format);
            let modelled = model::list(directories, format);
            let differences = tree::differences(&mounted, &modelled);
            assert!(differences.is_empty(), "the model is wrong: {}", differences.join("\n"));
            mounted
        });
        prop_assert!(differences.is_ok(), "{:?}\n{}", format, differences.unwrap_err());
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

const CHILD: &[(&str, &str)] = &[("LAYERCAGE_CHILD", "1")];

fn variables() -> Vec<(&'static str, &'static std::ffi::OsStr)> {
    CHILD.iter().map(|(name, value)| (*name, std::ffi::OsStr::new(*value))).collect()
}

fn is_child() -> bool {
    std::env::var_os("LAYERCAGE_CHILD").is_some()
}

#[test]
fn mounted_as_root_random_stacks_are_the_rootfs() {
    if !rustix::process::geteuid().is_root() {
        return skip("it needs root (its twin: layers_of_an_overlay_show_the_rootfs_in_every_field)");
    }
    if let Some(command) = child::mounting("compares_stacks_as_root", &variables()) {
        child::expect_success(command);
    }
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn compares_stacks_as_root() {
    if is_child() {
        compare_many(vec![DEVICES, XATTRS], 150);
    }
}

#[test]
fn mounted_in_a_user_namespace_random_stacks_are_the_rootfs() {
    if let Some(command) = child::mounting_as_user("compares_stacks_in_a_namespace", &variables()) {
        child::expect_success(command);
    }
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn compares_stacks_in_a_namespace() {
    if is_child() {
        compare_many(vec![USER_DEVICES, USER_XATTRS], 150);
    }
}
