//! Images that Linux mounts.

use super::images::{corpus_images, every_way, image, permissive, write};
use crate::child;
use crate::merged::random::{archive, layers};
use crate::skip::skip;
use crate::support::open;
use crate::support::tree::{self, Listing};
use layercage::{Error, Selected};
use proptest::test_runner::TestRunner;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Lists an image as Linux shows it. The file itself is mounted, which Linux 6.12 does.
fn list(file: &File) -> rustix::io::Result<Listing> {
    let at = tempfile::tempdir().unwrap();
    mount_file(file, at.path())?;
    let listing = tree::list(at.path());
    unmount(at.path(), UnmountFlags::empty()).unwrap();
    Ok(listing)
}

/// Mounts an image.
pub(super) fn mount_file(file: &File, at: &Path) -> rustix::io::Result<()> {
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
    mount(source.as_str(), at, "erofs", flags, None)
}

/// The tree of an image, as root unpacks it. It is unpacked on a tmpfs, which keeps every time, as EROFS does: ext4 knows
/// none after 2446.
pub(super) fn unpacked(selected: &Selected) -> Result<Listing, Error> {
    let place = tempfile::tempdir().unwrap();
    mount("tmpfs", place.path(), "tmpfs", MountFlags::NOSUID, None).unwrap();
    let listing = selected
        .unpack_into(&open(place.path()), "rootfs", &permissive())
        .map(|_| tree::list(&place.path().join("rootfs")));
    unmount(place.path(), UnmountFlags::empty()).unwrap();
    listing
}

/// Compares the tree of an image with the images that are written of it.
fn check(selected: &Selected) -> Result<(), Error> {
    let expected = unpacked(selected)?;
    for options in every_way() {
        let (file, _) = write(selected, &permissive(), &options, 1)?;
        let differences = tree::differences(&expected, &list(&file).unwrap());
        assert!(differences.is_empty(), "{options:?}:\n{}", differences.join("\n"));
    }
    Ok(())
}

#[test]
fn mounted_the_image_is_the_rootfs_that_root_unpacks_in_every_field() {
    if !rustix::process::geteuid().is_root() {
        return skip("it needs root (its twin: random_stacks_are_the_merged_tree_in_every_field)");
    }
    let variables = [("LAYERCAGE_CHILD", "1".as_ref())];
    if let Some(command) = child::mounting("compares_mounted_images_as_root", &variables) {
        child::expect_success(command);
    }
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn compares_mounted_images_as_root() {
    if !child::is_child() {
        return;
    }
    let (_place, selected) = image(&[]);
    let (file, _) = write(&selected, &permissive(), &every_way()[0], 1).unwrap();
    if let Err(errno) = list(&file) {
        return skip(&format!("EROFS cannot be mounted from a file here: {errno}"));
    }
    let mut config = crate::random::cases(150);
    config.test_name = None;
    let compared = TestRunner::new(config).run(&layers(9), |layers| {
        let layers: Vec<_> = layers.iter().map(|layer| archive(layer).build()).collect();
        let (_place, selected) = image(&layers);
        if let Err(error) = check(&selected) {
            proptest::prop_assert!(error.rule_id().is_some(), "{error}");
        }
        Ok(())
    });
    compared.unwrap_or_else(|error| panic!("{error}"));
    corpus_images(|name, selected| check(selected).unwrap_or_else(|error| panic!("{name}: {error}")));
}

/// The tools of Debian 13, in a directory that CI made.
pub(super) fn debian_13() -> Option<PathBuf> {
    let root = std::env::var_os("LAYERCAGE_DEBIAN_13").filter(|root| !root.is_empty());
    if root.is_none() {
        skip("LAYERCAGE_DEBIAN_13 is not the path of a Debian 13 with erofs-utils");
    }
    root.map(PathBuf::from)
}

/// Runs fsck.erofs on an image.
pub(super) fn expect_no_findings(root: &Path, file: &File) {
    let path = tempfile::NamedTempFile::new_in(root.join("tmp")).unwrap();
    fs::copy(format!("/proc/self/fd/{}", file.as_raw_fd()), path.path()).unwrap();
    let name = Path::new("/tmp").join(path.path().file_name().unwrap());
    let fsck = std::process::Command::new("chroot").arg(root).arg("fsck.erofs").arg(name).output().unwrap();
    assert!(fsck.status.success() && fsck.stdout.is_empty() && fsck.stderr.is_empty(), "{fsck:?}");
}

#[test]
fn fsck_has_nothing_to_say_about_any_image() {
    let Some(root) = debian_13() else { return };
    let check = |selected: &Selected| {
        for options in every_way().into_iter().take(2) {
            expect_no_findings(&root, &write(selected, &permissive(), &options, 1).unwrap().0);
        }
    };
    check(&crate::merged::world::selected());
    corpus_images(|_, selected| check(selected));
}
