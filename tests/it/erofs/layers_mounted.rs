//! Layers that Linux mounts, each from its image, and an overlay over the mounts.

use super::images::{corpus_images, image, permissive};
use super::layers::{FORMATS, every_way, files, write};
use super::mounted::{debian_13, expect_no_findings, mount_file, unpacked};
use crate::child;
use crate::merged::random::{accepted, archive, layers};
use crate::merged::world;
use crate::overlay::mounted::try_mount;
use crate::overlay::{DEVICES, XATTRS};
use crate::skip::skip;
use crate::support::tree::{self, Listing};
use layercage::overlay::OverlayFormat;
use layercage::{ErofsOptions, Error, Selected};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rustix::mount::{UnmountFlags, unmount};
use std::fs::{self, File};

/// Lists layers, the top one first, as Linux shows them.
fn list(files: &[File], format: OverlayFormat) -> rustix::io::Result<Listing> {
    let place = tempfile::tempdir().unwrap();
    let (at, empty) = (place.path().join("mounted"), place.path().join("empty"));
    [&at, &empty].iter().for_each(|directory| fs::create_dir(directory).unwrap());
    let mut lowers = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let lower = place.path().join(number.to_string());
        fs::create_dir(&lower).unwrap();
        mount_file(file, &lower)?;
        lowers.push(lower);
    }
    // One directory alone cannot be mounted.
    try_mount(&[&lowers[..], &[empty]].concat(), format.namespace, &at)?;
    let listing = tree::list(&at);
    [&[at], &lowers[..]].concat().iter().for_each(|mounted| unmount(mounted, UnmountFlags::empty()).unwrap());
    Ok(listing)
}

/// Compares what layers show with the tree of the image.
fn check(selected: &Selected, format: OverlayFormat, options: &ErofsOptions) -> Result<(), Error> {
    let expected = unpacked(selected)?;
    let place = tempfile::tempdir().unwrap();
    let (written, _) = write(selected, place.path(), &permissive(), (format, options), 1)?;
    if written.layers.is_empty() {
        return Ok(());
    }
    let differences = tree::differences(&expected, &list(&files(place.path(), &written), format).unwrap());
    assert!(differences.is_empty(), "{options:?} {format:?}:\n{}", differences.join("\n"));
    Ok(())
}

#[test]
fn mounted_over_each_other_the_layers_are_the_rootfs_that_root_unpacks_in_every_field() {
    if !rustix::process::geteuid().is_root() {
        return skip("it needs root (its twin: random_stacks_show_the_merged_tree_in_every_field)");
    }
    let variables = [("LAYERCAGE_CHILD", "1".as_ref())];
    if let Some(command) = child::mounting("compares_mounted_layers_as_root", &variables) {
        child::expect_success(command);
    }
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn compares_mounted_layers_as_root() {
    if !child::is_child() {
        return;
    }
    let (_place, selected) = image(&[Vec::from([0; 1024])]);
    let place = tempfile::tempdir().unwrap();
    let (written, _) = write(&selected, place.path(), &permissive(), (DEVICES, &every_way()[0]), 1).unwrap();
    if let Err(errno) = list(&files(place.path(), &written), DEVICES) {
        return skip(&format!("EROFS or overlayfs cannot be mounted here: {errno}"));
    }
    let mut config = crate::random::cases(200);
    config.test_name = None;
    let ways = (prop::sample::select(FORMATS.to_vec()), prop::sample::select(every_way().to_vec()));
    let compared = TestRunner::new(config).run(&(layers(9), ways), |(layers, (format, options))| {
        let layers = accepted(layers, &permissive());
        let layers: Vec<_> = layers.iter().map(|layer| archive(layer).build()).collect();
        let (_place, selected) = image(&layers);
        check(&selected, format, &options).map_err(|error| TestCaseError::fail(error.to_string()))
    });
    compared.unwrap_or_else(|error| panic!("{error}"));
    corpus_images(|name, selected| {
        check(selected, DEVICES, &every_way()[0]).unwrap_or_else(|error| panic!("{name}: {error}"));
    });
}

#[test]
fn fsck_has_nothing_to_say_about_any_layer() {
    let Some(root) = debian_13() else { return };
    let check = |selected: &Selected, format| {
        for options in every_way().iter().take(2) {
            let place = tempfile::tempdir().unwrap();
            let (written, _) = write(selected, place.path(), &permissive(), (format, options), 1).unwrap();
            files(place.path(), &written).iter().for_each(|file| expect_no_findings(&root, file));
        }
    };
    check(&world::selected(), XATTRS);
    corpus_images(|_, selected| check(selected, DEVICES));
}
