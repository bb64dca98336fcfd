//! Layers on directories of the caller that are not used yet.

use crate::child;
use crate::skip::skip;
use crate::support::layer::{LayerBuilder, mode};
use crate::support::{open, sha256, tree};
use layercage::error::{Effect, Misuse};
use layercage::overlay::{Overlay, OverlayFormat};
use layercage::policy::Durability;
use layercage::{Expected, Layer, Policy, Rootfs, Staged, Unpacker};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn lower() -> Vec<u8> {
    LayerBuilder::new().dir_with("./", &mode(0o710)).file("d/old", b"1").file("kept", b"2").symlink("s", "d").build()
}

fn upper() -> Vec<u8> {
    LayerBuilder::new().whiteout("d/old").file("s/new", b"3").hard_link("again", "kept").dir("s").build()
}

#[test]
fn a_private_tree_changes_like_one_in_use_and_keeps_its_root() {
    let place = tempfile::tempdir().unwrap();
    let (lower, upper) = (lower(), upper());
    for name in ["used", "private"] {
        let mut staged = Staged::beside(open(place.path()), name).unwrap();
        Unpacker::default().apply(Layer::new(&lower[..]), staged.rootfs()).unwrap();
        staged.commit_unproven().unwrap();
    }
    let at = |name: &str| place.path().join(name);
    let root = fs::metadata(at("private")).unwrap();
    let mut used = Rootfs::over(open(&at("used"))).unwrap();
    Unpacker::default().apply(Layer::new(&upper[..]), &mut used).unwrap();
    // In one pass, without a temporary file, although something is expected of it.
    let layer = Layer::new(&upper[..]).expecting(Expected::blob(sha256(&upper), upper.len() as u64));
    let mut private = Rootfs::over_private(open(&at("private"))).unwrap();
    Unpacker::default().apply(layer, &mut private).unwrap();
    drop((used, private));
    let differences = tree::differences(&tree::list(&at("used")), &tree::list(&at("private")));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let after = fs::metadata(at("private")).unwrap();
    assert_eq!((root.mode(), root.mtime()), (after.permissions().mode(), after.mtime()));
    assert_eq!(root.mode() & 0o7777, 0o710);
}

#[test]
fn a_private_tree_with_a_failed_layer_takes_no_other_one() {
    let place = tempfile::tempdir().unwrap();
    let bytes = upper();
    let mut private = Rootfs::over_private(open(place.path())).unwrap();
    let wrong = Layer::new(&bytes[..]).expecting(Expected::blob(sha256(b"other"), bytes.len() as u64));
    let error = Unpacker::default().apply(wrong, &mut private).unwrap_err();
    assert_eq!((error.rule_id(), error.effect()), (Some("digest-mismatch"), Effect::Partial));
    let error = Unpacker::default().apply(Layer::new(&bytes[..]), &mut private).unwrap_err();
    assert_eq!(error.misuse(), Some(&Misuse::Poisoned));
}

#[test]
fn a_private_tree_takes_the_place_of_no_staged_one() {
    let place = tempfile::tempdir().unwrap();
    let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
    let stage = fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
    *staged.rootfs() = Rootfs::over_private(open(&stage.join("rootfs"))).unwrap();
    assert_eq!(staged.commit_unproven().unwrap_err().misuse(), Some(&Misuse::ForeignTree));
}

#[test]
fn a_synced_layer_on_a_directory_of_the_caller_is_on_the_disk_at_its_end() {
    let place = tempfile::tempdir().unwrap();
    for (durability, synced) in [("kernel", 0), ("synced", 3)] {
        let trace = place.path().join(durability);
        let test = child::command("applies_layers_to_directories_of_the_caller", &[]);
        let mut traced = std::process::Command::new("strace");
        traced.args(["-f", "-e", "trace=syncfs", "-o"]).arg(&trace);
        traced.arg(test.get_program()).args(test.get_args()).env("DURABILITY", durability);
        if !traced.output().is_ok_and(|output| output.status.success()) {
            skip("it needs strace");
            return;
        }
        assert_eq!(fs::read_to_string(trace).unwrap().matches("syncfs(").count(), synced);
    }
}

/// Runs in a process of its own, to be traced.
#[test]
#[ignore = "started by the test above"]
fn applies_layers_to_directories_of_the_caller() {
    let Some(durability) = std::env::var_os("DURABILITY") else { return };
    let durability: Durability = durability.to_str().unwrap().parse().unwrap();
    let unpacker = Unpacker::new(Policy::default().with_durability(durability));
    let (place, bytes) = (tempfile::tempdir().unwrap(), LayerBuilder::new().file("a", b"a").build());
    let made = |name: &str| {
        fs::create_dir(place.path().join(name)).unwrap();
        open(Path::new(&place.path().join(name)))
    };
    let format = OverlayFormat::possible(open(place.path())).unwrap();
    let mut overlay = Overlay::over(made("first"), Vec::<fs::File>::new(), format).unwrap();
    unpacker.apply(Layer::new(&bytes[..]), &mut overlay).unwrap();
    let mut overlay = overlay.next(made("second")).unwrap();
    unpacker.apply(Layer::new(&bytes[..]), &mut overlay).unwrap();
    unpacker.apply(Layer::new(&bytes[..]), &mut Rootfs::over_private(made("private")).unwrap()).unwrap();
}
