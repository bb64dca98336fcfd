//! The corpus of odd and hostile layers, as layers of an overlay: mounted, they are the root filesystem.

#[path = "../../../corpus/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only the layers are used")]
#[allow(
    clippy::duplicate_mod,
    clippy::module_inception,
    reason = "the builder of layers is that of the other tests, too"
)]
mod corpus;

use super::mounted::{can_mount, list};
use super::{DEVICES, USER_DEVICES, USER_XATTRS, XATTRS, compare};
use crate::child;
use crate::skip::skip;
use layercage::Policy;
use layercage::overlay::OverlayFormat;
use layercage::policy::Devices;
use std::path::PathBuf;

#[test]
fn mounted_as_root_the_corpus_is_the_rootfs() {
    if !rustix::process::geteuid().is_root() {
        return skip("it needs root (its twin: mounted_in_a_user_namespace_the_corpus_is_the_rootfs)");
    }
    if let Some(command) = child::mounting("compares_the_corpus_as_root", &[("LAYERCAGE_CHILD", "1".as_ref())]) {
        child::expect_success(command);
    }
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn compares_the_corpus_as_root() {
    compare_corpus(&[(DEVICES, Devices::Create), (XATTRS, Devices::Skip)]);
}

#[test]
fn mounted_in_a_user_namespace_the_corpus_is_the_rootfs() {
    let variables = [("LAYERCAGE_CHILD", "1".as_ref())];
    if let Some(command) = child::mounting_as_user("compares_the_corpus_in_a_namespace", &variables) {
        child::expect_success(command);
    }
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn compares_the_corpus_in_a_namespace() {
    // Root of a user namespace cannot make devices.
    compare_corpus(&[(USER_DEVICES, Devices::Refuse), (USER_XATTRS, Devices::Skip)]);
}

/// Compares every layer of the corpus, over its lower layer.
fn compare_corpus(choices: &[(OverlayFormat, Devices)]) {
    if !child::is_child() {
        return;
    }
    if !can_mount() {
        return skip("overlayfs cannot be mounted here");
    }
    let (mut wrong, mut mounted) = (Vec::new(), 0);
    for case in corpus::all() {
        let layers: Vec<_> = case.lower.into_iter().chain([case.layer]).collect();
        for &(format, devices) in choices {
            let policy = Policy::compatible().with_devices(devices);
            let show = |directories: &[PathBuf]| {
                mounted += 1;
                list(directories, format)
            };
            if let Err(why) = compare(&layers, &policy, format, show) {
                wrong.push(format!("{} {format:?} {devices:?}: {why}", case.name));
            }
        }
    }
    eprintln!("{mounted} mounts");
    assert!(wrong.is_empty(), "{} of {mounted}\n{}", wrong.len(), wrong.join("\n"));
    assert!(mounted > 200, "{mounted}");
}
