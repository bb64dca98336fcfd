//! What each layer did, by the paths that the model of origins has at the end of each layer.

use super::merge;
use super::origin::{Entry, Model, Path, model, said, text};
use crate::support::layer::LayerBuilder;
use layercage::merged::{LayerSummary, Merger};
use layercage::tar::EntryPath;
use layercage::{Expected, Layer, MergedTree, Policy, Unpacker};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Files = BTreeMap<String, Path>;

fn files(paths: &BTreeMap<String, Path>) -> Files {
    paths.iter().filter(|(_, path)| path.size.is_some()).map(|(name, path)| (name.clone(), *path)).collect()
}

/// Files added, changed and removed by a layer, and the bytes of it that are hidden.
type Counts = [u64; 4];

fn counts(layer: &LayerSummary) -> Counts {
    [layer.added, layer.changed, layer.removed, layer.hidden_bytes]
}

/// The counts of a layer, from the files before and after it.
fn expected(model: &Model, number: usize) -> Counts {
    let before = if number == 1 { Files::new() } else { files(&model.ends[number - 2]) };
    let after = files(&model.ends[number - 1]);
    let added = after.keys().filter(|path| !before.contains_key(*path)).count();
    let changed =
        after.iter().filter(|(path, now)| before.get(*path).is_some_and(|then| then.entry != now.entry)).count();
    let removed = before.keys().filter(|path| !after.contains_key(*path)).count();
    let kept: BTreeSet<Entry> = files(&model.paths).values().map(|path| path.content).collect();
    let hidden = model.hidden.iter().zip(&model.hidden_paths).filter(|((.., by), path)| {
        path.size.is_some() && path.content.0 == number && by.0 > number && !kept.contains(&path.content)
    });
    let hidden: BTreeMap<Entry, u64> = hidden.map(|(_, path)| (path.content, path.size.unwrap())).collect();
    [added as u64, changed as u64, removed as u64, hidden.values().sum()]
}

/// The files of a tree, each with the entry that it comes from.
fn origins(tree: &MergedTree) -> BTreeMap<EntryPath, (usize, Option<u64>)> {
    let files = tree.iter().filter(|node| !node.is_directory());
    files.map(|node| (node.path(), (node.layer(), node.entry()))).collect()
}

/// Compares the counts of each layer with the trees of the layers up to it and below it.
pub(super) fn check_by_merging_fewer(layers: &[LayerBuilder], unpacker: &Unpacker, tree: &MergedTree) {
    let mut before = BTreeMap::new();
    for summary in tree.layers() {
        let mut merger = Merger::new();
        super::apply(&layers[..summary.number], &mut merger, unpacker).unwrap();
        let after = origins(&merger.into_tree().unwrap());
        let added = after.keys().filter(|path| !before.contains_key(*path)).count() as u64;
        let changed = after.iter().filter(|(path, now)| before.get(*path).is_some_and(|then| then != *now)).count();
        let removed = before.keys().filter(|path| !after.contains_key(*path)).count() as u64;
        let counts = [summary.added, summary.changed, summary.removed];
        assert_eq!(counts, [added, changed as u64, removed], "layer {}", summary.number);
        before = after;
    }
    assert_eq!(before, origins(tree));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_layer_adds_changes_removes_and_hides_what_the_model_says(
        layers in prop::collection::vec(prop::collection::vec(said(), 1..16), 1..6)
    ) {
        let (archives, model) = model(&layers);
        let tree = merge(&archives);
        let summaries = tree.layers();
        prop_assert_eq!(summaries.len(), layers.len());
        for summary in &summaries {
            prop_assert_eq!(counts(summary), expected(&model, summary.number), "layer {}", summary.number);
        }
        for node in tree.iter().filter(|node| !node.is_directory()) {
            let below = node.layer().checked_sub(2).map(|index| files(&model.ends[index])).unwrap_or_default();
            let replaced = node.replaced().map(|hidden| (hidden.layer(), hidden.entry().unwrap()));
            prop_assert_eq!(replaced, below.get(&text(&node.path())).map(|path| path.entry), "{}", node.path());
        }
        for hidden in tree.hidden() {
            let now = hidden.now().map(|node| text(&node.path()));
            let path = text(&hidden.path());
            prop_assert_eq!(now, model.paths.contains_key(&path).then_some(path));
        }
    }
}

#[test]
fn the_layers_of_an_image_are_counted() {
    let tree = merge(&[
        LayerBuilder::new().file("etc/passwd", b"root").file("bin/a", b"12").hard_link("bin/b", "bin/a"),
        LayerBuilder::new().file("etc/passwd", b"root, too").file("id", b"secret").file("id", b"twice"),
        // One name of the file stays, so its content is not hidden; a directory takes the place of a file, with a file.
        LayerBuilder::new().whiteout("bin/a").dir("id").file("id/key", b"").symlink("sh", "bin/b").whiteout("none"),
    ]);
    let layers = tree.layers();
    assert_eq!(layers.iter().map(|layer| layer.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(layers.iter().map(|layer| layer.entries).collect::<Vec<_>>(), [3, 3, 5]);
    assert_eq!(layers.iter().map(counts).collect::<Vec<_>>(), [[3, 0, 0, 4], [1, 1, 0, 5], [2, 0, 2, 0]]);
    assert!(layers.iter().all(|layer| layer.blob_bytes == layer.unpacked_bytes && layer.digest.is_none()));
    let passwd = tree.get("etc/passwd").unwrap().replaced().unwrap();
    assert_eq!((passwd.layer(), passwd.size(), passwd.now()), (1, 4, tree.get("etc/passwd")));
    assert!(tree.get("etc").unwrap().replaced().is_none() && tree.get("id/key").unwrap().replaced().is_none());
    assert_eq!(tree.get("id").unwrap().replaced().map(|hidden| hidden.size()), Some(5));
}

#[test]
fn a_path_is_the_same_though_the_directories_above_it_are_new() {
    let tree = merge(&[
        LayerBuilder::new().file("a/b/c", b"1").file("a/b/d", b"1"),
        LayerBuilder::new().whiteout("a"),
        LayerBuilder::new().file("a/b/c", b"2"),
        LayerBuilder::new().opaque("a").file("a/b/c", b"3"),
        LayerBuilder::new().file("a", b"4"),
    ]);
    let counted: Vec<_> = tree.layers().iter().map(counts).collect();
    assert_eq!(counted, [[2, 0, 0, 2], [0, 0, 2, 0], [1, 0, 0, 1], [0, 1, 0, 1], [1, 0, 1, 0]]);
    let now: Vec<_> = tree.hidden().map(|hidden| hidden.now().map(|node| node.path().to_string())).collect();
    assert_eq!(now.iter().flatten().collect::<Vec<_>>(), ["\"a\"", "\"a\""]);
}

#[test]
fn a_layer_of_which_digests_are_computed_has_them() {
    let archive = LayerBuilder::new().file("a", b"1").build();
    let mut merger = Merger::new();
    let expected = Expected::unchecked().compute_diff_id(layercage::blob::Algorithm::Sha256);
    let layer = Layer::new(&archive[..]).expecting(expected);
    let checked = Unpacker::new(Policy::default()).apply(layer, &mut merger).unwrap().checked().clone();
    let tree = merger.into_tree().unwrap();
    assert!(checked.diff_id().is_some());
    assert_eq!(tree.diff_ids().collect::<Vec<_>>(), [checked.diff_id()]);
    assert_eq!((tree.layers()[0].diff_id, tree.layers()[0].blob_bytes), (checked.diff_id(), archive.len() as u64));
}
