//! The merged tree is what unpacking makes: in every field, for the real image, for layers made at random and for hostile
//! ones. Where paths come from, and what is hidden, is as a model says that was written apart.

#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod files;
mod layers;
mod lookup;
mod origin;
pub(crate) mod random;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
pub(crate) mod world;

use crate::support::layer::LayerBuilder;
use crate::support::open;
use crate::support::tree::{self, comparable};
use layercage::merged::Merger;
use layercage::rules::{QuirkRule, Rule};
use layercage::{Error, Layer, Limits, MergedTree, Policy, Report, Sink, Staged, Unpacker};
use std::path::Path;

/// What the caller's privileges and the file system decide.
const OF_THE_SYSTEM: [QuirkRule; 3] = [QuirkRule::OwnerToCaller, QuirkRule::SetIdDropped, QuirkRule::TimeClamped];

/// Whether the caller's privileges or the file system decide about a rule. A file that belongs to the caller lacks bits of
/// its mode, which the header of a hard link to it may lack, too.
fn is_of_the_system(rule: QuirkRule) -> bool {
    let of_others = rule == QuirkRule::HardLinkMetadata && !rustix::process::geteuid().is_root();
    of_others || OF_THE_SYSTEM.contains(&rule)
}

/// A policy under which the machine decides nothing.
pub(crate) fn anywhere(policy: Policy) -> Policy {
    QuirkRule::ALL.iter().copied().filter(|rule| is_of_the_system(*rule)).fold(policy, Policy::allow)
}

/// Where layers end: at an entry of one of them, by a rule, or with these notes.
type End = Result<Vec<(Option<u64>, &'static str)>, (usize, Option<u64>, Option<&'static str>)>;

fn end(report: Result<Report, (usize, Error)>) -> End {
    match report {
        Ok(report) => {
            let notes = report.notes().iter().filter(|note| !is_of_the_system(note.quirk.rule()));
            Ok(notes.map(|note| (note.position.entry, Rule::Quirk(note.quirk.clone()).id())).collect())
        }
        Err((layer, error)) => Err((layer, error.position().entry, error.rule_id())),
    }
}

fn apply(layers: &[LayerBuilder], sink: &mut impl Sink, unpacker: &Unpacker) -> Result<Report, (usize, Error)> {
    let mut session = unpacker.session();
    for (number, layer) in layers.iter().enumerate() {
        session.apply(Layer::new(&layer.clone().build()[..]), sink).map_err(|error| (number, error))?;
    }
    Ok(session.into_report())
}

/// Merges layers.
fn merge(layers: &[LayerBuilder]) -> MergedTree {
    let mut merger = Merger::new();
    apply(layers, &mut merger, &Unpacker::new(anywhere(Policy::default()))).unwrap();
    merger.into_tree().unwrap()
}

/// Unpacks layers and merges them, and says what differs. Returns whether they are taken.
fn compare(layers: &[LayerBuilder], policy: &Policy, limits: &Limits) -> Result<bool, String> {
    let place = tempfile::tempdir().unwrap();
    let unpacker = Unpacker::new(anywhere(policy.clone())).with_limits(limits.clone());
    let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
    let on_disk = end(apply(layers, staged.rootfs(), &unpacker));
    let mut merger = Merger::new();
    let in_memory = end(apply(layers, &mut merger, &unpacker));
    if on_disk != in_memory {
        return Err(format!("on disk {on_disk:?}, merged {in_memory:?}"));
    }
    if on_disk.is_err() {
        assert!(merger.into_tree().is_err(), "a part of an image is no tree");
        return Ok(false);
    }
    staged.commit_unproven().unwrap();
    let tree = merger.into_tree().unwrap();
    differences(&tree, &place.path().join("rootfs"))?;
    check_orders(&tree);
    layers::check_by_merging_fewer(layers, &unpacker, &tree);
    Ok(true)
}

fn differences(tree: &MergedTree, rootfs: &Path) -> Result<(), String> {
    let expected = comparable(tree::list(rootfs));
    tree::unlock(rootfs);
    let differences = tree::differences(&expected, &comparable(tree::list_merged(tree)));
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}

/// Both orders have every path once, parents first, and each path leads to itself.
fn check_orders(tree: &MergedTree) {
    let by_name: Vec<_> = tree.iter().map(|node| node.path()).collect();
    assert!(by_name.is_sorted() && by_name.windows(2).all(|pair| pair[0] != pair[1]), "{by_name:?}");
    let by_layer: Vec<_> = tree.iter_by_layer().collect();
    let mut paths: Vec<_> = by_layer.iter().map(|node| node.path()).collect();
    for (at, path) in paths.iter().enumerate() {
        assert!(path.parent().is_none_or(|parent| paths[..at].contains(&parent)), "{path} before its directory");
    }
    paths.sort();
    assert_eq!(paths, by_name);
    let mut last = (0, None);
    for (at, node) in by_layer.iter().enumerate() {
        let is_first = by_layer[..at].iter().all(|other| other.inode() != node.inode());
        if is_first && !node.is_directory() {
            let position = (node.content_layer(), node.content_entry());
            assert!(position > last, "{} is out of order", node.path());
            last = position;
        }
    }
    for node in tree.iter() {
        assert!(tree.get_nofollow(node.path().as_path()) == Some(node), "{}", node.path());
        assert_eq!(node.links().count() as u64 + 1, node.link_count(), "{}", node.path());
        assert!(node.links().all(|other| other.inode() == node.inode() && other.metadata() == node.metadata()));
        assert!(node.children().all(|child| child.path().parent() == Some(node.path())));
    }
}
