//! A merged tree is written elsewhere: as a tar archive, as a directory, by layer and by path, in whole and in part.

mod acls;
mod cached;
mod corpus;
mod failures;
mod parts;
mod random;

use crate::merged::{anywhere, world};
use crate::support::layer::LayerBuilder;
use crate::support::layout::{self, Stored};
use crate::support::open;
use crate::support::tree::{self, Listing};
use layercage::audit::{Audit, Finding, Lower, Observer};
use layercage::error::Position;
use layercage::merged::Part;
use layercage::policy::{Devices, Owners};
use layercage::tar::Change;
use layercage::{Error, Image, Layer, Limits, MergedTree, Policy, Scratch, Selected, Selector, Staged, Unpacker};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use tempfile::TempDir;

/// A layout of these layers, and what was selected in it.
fn image(layers: &[LayerBuilder]) -> (TempDir, Selected) {
    let layers: Vec<_> = layers.iter().map(|layer| layer.clone().build()).collect();
    of_bytes(&layers)
}

pub(crate) fn of_bytes(layers: &[Vec<u8>]) -> (TempDir, Selected) {
    let place = tempfile::tempdir().unwrap();
    let stored = [Stored::Gzip, Stored::Plain, Stored::Zstd].into_iter().cycle();
    let layers: Vec<_> = layers.iter().cloned().zip(stored).collect();
    layout::write(place.path(), &layers);
    let selected = Image::open(&open(place.path())).unwrap().select(&Selector::host()).unwrap();
    (place, selected)
}

/// What is exported, with as many threads.
fn export<'t>(
    tree: &'t MergedTree,
    selected: &Selected,
    threads: usize,
    part: impl FnOnce(&'t MergedTree) -> Part<'t>,
) -> Vec<u8> {
    let unpacker = Unpacker::new(permissive()).with_jobs(NonZeroUsize::new(threads).unwrap());
    let mut tar = Vec::new();
    unpacker.session().export_tar(&part(tree), selected, &mut tar).unwrap();
    tar
}

fn whole(tree: &MergedTree) -> Part<'_> {
    tree.whole()
}

fn by_path(tree: &MergedTree) -> Part<'_> {
    tree.whole().by_path(Scratch::of(tempfile::tempfile))
}

/// A policy that takes what an archive is exported of.
fn permissive() -> Policy {
    let is_root = rustix::process::geteuid().is_root();
    let policy = anywhere(Policy::compatible());
    if is_root { policy.with_devices(Devices::Create) } else { policy }
}

/// The tree that an archive alone gives.
fn unpacked(tar: &[u8]) -> Listing {
    listed(|staged| {
        Unpacker::new(permissive()).apply(Layer::new(tar), staged.rootfs()).unwrap();
    })
}

fn listed(fill: impl FnOnce(&mut Staged)) -> Listing {
    let place = tempfile::tempdir().unwrap();
    let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
    fill(&mut staged);
    staged.commit_unproven().unwrap();
    removed(place)
}

/// Lists the root filesystem in a place, and removes that.
fn removed(place: TempDir) -> Listing {
    let rootfs = place.path().join("rootfs");
    let listing = tree::list(&rootfs);
    tree::unlock(&rootfs);
    listing
}

/// What an audit finds in a layer, and its paths.
#[derive(Default)]
struct Seen {
    findings: Vec<String>,
    paths: Vec<Vec<u8>>,
}

impl Observer for Seen {
    fn change(&mut self, change: &Change, _: &Position) {
        self.paths.push(change.path.as_bytes().to_vec());
    }

    fn finding(&mut self, finding: &Finding) {
        self.findings.push(finding.to_string());
    }
}

fn audited(tar: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut audit = Audit::new(Limits::default()).with_policy(Policy::paranoid()).with_tree(Lower::Nothing);
    audit.layer(Layer::new(tar), &mut seen).unwrap();
    // A device is in the archive only because the caller allowed it.
    let is_of_devices =
        |finding: &String| ["[device-node]", "[hard-link-to-skipped]"].iter().any(|id| finding.contains(id));
    seen.findings.retain(|finding| !is_of_devices(finding));
    seen
}

/// Exports an image in every way, and compares all with the tree that unpacking gives. Returns the archive.
fn check(selected: &Selected, policy: &Policy) -> Result<Vec<u8>, Error> {
    let tree = selected.merge(policy)?;
    let mut tar = Vec::new();
    Unpacker::new(permissive()).session().export_tar(&tree.whole(), selected, &mut tar)?;
    assert!(tar == export(&tree, selected, 3, whole), "threads change the archive");
    let kept = cached::merge(selected, policy, cached::cache());
    assert!(tar == export(&kept, selected, 1, whole), "kept content changes the archive");
    let place = tempfile::tempdir().unwrap();
    selected.unpack_into(&open(place.path()), "rootfs", policy).unwrap();
    let expected = removed(place);
    let same = |what: &str, got: &Listing| {
        let differences = tree::differences(&expected, got);
        assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
    };
    same("the archive", &unpacked(&tar));
    let sorted = export(&tree, selected, 1, by_path);
    same("the archive by path", &unpacked(&sorted));
    assert!(sorted == export(&kept, selected, 3, by_path), "kept content changes the archive by path");
    let place = tempfile::tempdir().unwrap();
    let session = Unpacker::new(policy.clone()).session();
    session.unpack_part(&tree.whole(), selected, &open(place.path()), "rootfs").unwrap();
    same("the tree", &removed(place));
    for (tar, part) in [(&tar, whole as fn(&MergedTree) -> Part<'_>), (&sorted, by_path)] {
        let Seen { findings, paths } = audited(tar);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(paths.len(), paths.iter().collect::<BTreeSet<_>>().len(), "a path is there twice");
        let (_place, wrapped) = of_bytes(std::slice::from_ref(tar));
        assert!(export(&wrapped.merge(&permissive()).unwrap(), &wrapped, 1, part) == *tar, "it is not exported alike");
    }
    Ok(tar)
}

#[test]
fn the_real_image_is_exported_as_real_tools_listed_it() {
    let tar = check(&world::selected(), &Policy::default()).unwrap();
    let mut got = unpacked(&tar);
    let mut expected = world::listed();
    if !rustix::process::geteuid().is_root() {
        let contents =
            |listing: &mut Listing| listing.values_mut().for_each(|fields| fields.retain(|name, _| name == "sha256"));
        contents(&mut got);
        contents(&mut expected);
    }
    let differences = tree::differences(&expected, &got);
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    let mut again = Vec::new();
    let report = world::selected().export_tar(&mut again, &Policy::default()).unwrap();
    assert!(again == tar && report.entries > 0);
}

#[test]
fn the_archive_has_paths_in_the_order_of_layers_and_by_path_if_asked() {
    let layers = [
        LayerBuilder::new().file("z", b"1").file("d/b", b"2").file("gone", b"3").hard_link("a", "z"),
        LayerBuilder::new().whiteout("gone").file("d/a", b"4").dir("d").symlink("c", "z"),
    ];
    let (_place, selected) = image(&layers);
    let tree = selected.merge(&permissive()).unwrap();
    let paths = |part: fn(&MergedTree) -> Part<'_>| {
        let paths = audited(&export(&tree, &selected, 1, part)).paths;
        paths.into_iter().map(|path| String::from_utf8(path).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(paths(whole), ["", "z", "d", "d/b", "a", "d/a", "c"]);
    assert_eq!(paths(by_path), ["", "a", "c", "d", "d/a", "d/b", "z"]);
    check(&selected, &permissive()).unwrap();
}

/// Adds a sparse file in PAX form.
fn with_sparse(layer: LayerBuilder, name: &str) -> LayerBuilder {
    let map: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", name.as_bytes()),
        ("GNU.sparse.realsize", b"1048576"),
    ];
    let mut content = b"2\n65536\n3\n1048576\n0\n".to_vec();
    content.resize(512, 0);
    content.extend(b"abc");
    let layer = map.iter().fold(layer, |layer, (key, value)| layer.record(key, value));
    layer.file(&format!("GNUSparseFile.0/{name}"), &content)
}

#[test]
fn content_is_kept_with_its_holes_in_either_order() {
    let layer = with_sparse(LayerBuilder::new(), "sparse").file("a", b"small").file("empty", b"");
    let (_place, selected) = image(&[layer]);
    let tar = check(&selected, &permissive()).unwrap();
    assert!(tar.len() < 16 << 10, "{} bytes", tar.len());
}

#[test]
fn an_archive_has_no_owner_that_depends_on_the_caller() {
    let (_place, selected) = image(&[LayerBuilder::new().file("a", b"1")]);
    for owners in [Owners::Caller, Owners::Record] {
        let mut tar = Vec::new();
        let error = selected.export_tar(&mut tar, &Policy::default().with_owners(owners)).unwrap_err();
        assert_eq!(error.misuse(), Some(&layercage::error::Misuse::CallerInArchive), "{error}");
        assert!(tar.is_empty());
    }
}
