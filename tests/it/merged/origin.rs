//! Where paths come from and what is hidden, by a model that knows neither trees nor links: a map from paths, entry by
//! entry.

use super::merge;
use crate::support::layer::LayerBuilder;
use layercage::MergedTree;
use layercage::merged::{Hidden, Hiding};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(super) enum Said {
    Dir(String),
    /// A file of so many bytes.
    File(String, u64),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
}

/// A layer and an entry of it.
pub(super) type Entry = (usize, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path {
    /// The size of a file.
    pub(super) size: Option<u64>,
    pub(super) entry: Entry,
    pub(super) content: Entry,
    is_implied: bool,
}

/// A path, its entry and size, how it was hidden and by which entry.
pub(super) type Gone = (String, Entry, Option<u64>, Hiding, Entry);

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) paths: BTreeMap<String, Path>,
    pub(super) hidden: Vec<Gone>,
    /// What was hidden, in the same order.
    pub(super) hidden_paths: Vec<Path>,
    /// The paths at the end of each layer.
    pub(super) ends: Vec<BTreeMap<String, Path>>,
}

fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

impl Model {
    fn is_file(&self, path: &str) -> bool {
        self.paths.get(path).is_some_and(|path| path.size.is_some())
    }

    /// Whether an entry can be applied: it leads through no file, and its target is a file.
    fn takes(&self, said: &Said) -> bool {
        let (Said::Dir(path) | Said::File(path, _) | Said::HardLink(path, _)) = said else { return true };
        let target = if let Said::HardLink(_, target) = said { self.is_file(target) && path != target } else { true };
        target && !parents(path).any(|parent| self.is_file(parent))
    }

    fn hide(&mut self, path: &str, how: Hiding, by: Entry) {
        if let Some(old) = self.paths.remove(path) {
            self.hidden.push((path.to_owned(), old.entry, old.size, how, by));
            self.hidden_paths.push(old);
        }
    }

    fn below(&self, directory: &str) -> Vec<String> {
        self.paths.keys().filter(|path| is_below(path, directory)).cloned().collect()
    }

    fn bring(&mut self, path: &str, size: Option<u64>, content: Entry, entry: Entry) {
        for parent in parents(path) {
            let implied = Path { size: None, entry, content: entry, is_implied: true };
            self.paths.entry(parent.to_owned()).or_insert(implied);
        }
        let both_directories = size.is_none() && self.paths.get(path).is_some_and(|old| old.size.is_none());
        if !both_directories {
            for below in self.below(path) {
                self.hide(&below, Hiding::ParentReplaced, entry);
            }
            self.hide(path, Hiding::Replaced, entry);
        }
        self.paths.insert(path.to_owned(), Path { size, entry, content, is_implied: false });
    }

    /// Hides what lower layers have below a directory. What is on the way to something of this layer stays, as a directory
    /// that no entry lists.
    fn clear(&mut self, directory: &str, how: Hiding, by: Entry) {
        for path in self.below(directory) {
            if self.paths[&path].entry.0 == by.0 {
                continue;
            }
            if self.holds_own(&path, by.0) {
                let implied = Path { size: None, entry: by, content: by, is_implied: true };
                self.paths.insert(path, implied);
            } else {
                self.hide(&path, how, by);
            }
        }
    }

    fn holds_own(&self, directory: &str, layer: usize) -> bool {
        self.below(directory).iter().any(|path| self.paths[path].entry.0 == layer)
    }

    fn white_out(&mut self, path: &str, by: Entry) {
        let Some(&old) = self.paths.get(path) else { return };
        self.clear(path, Hiding::WhitedOut, by);
        if old.entry.0 != by.0 {
            if self.holds_own(path, by.0) {
                let implied = Path { size: None, entry: by, content: by, is_implied: true };
                self.paths.insert(path.to_owned(), implied);
            } else {
                self.hide(path, Hiding::WhitedOut, by);
            }
        }
    }

    fn apply(&mut self, said: &Said, entry: Entry) {
        match said {
            Said::Dir(path) => self.bring(path, None, entry, entry),
            Said::File(path, size) => self.bring(path, Some(*size), entry, entry),
            Said::HardLink(path, target) => {
                let Path { size, content, .. } = self.paths[target];
                self.bring(path, size, content, entry);
            }
            Said::Whiteout(path) => self.white_out(path, entry),
            Said::Opaque(path) => self.clear(path, Hiding::Opaque, entry),
        }
    }
}

/// The layers without what cannot be applied, as archives, and what the model makes of them.
pub(super) fn model(layers: &[Vec<Said>]) -> (Vec<LayerBuilder>, Model) {
    let (mut archives, mut model) = (Vec::new(), Model::default());
    for (layer, said) in layers.iter().enumerate() {
        let (mut archive, mut entry) = (LayerBuilder::new(), 0);
        for said in said {
            if !model.takes(said) {
                continue;
            }
            entry += 1;
            model.apply(said, (layer + 1, entry));
            archive = match said {
                Said::Dir(path) => archive.dir(path),
                Said::File(path, size) => archive.file(path, &vec![b'x'; *size as usize]),
                Said::HardLink(path, target) => archive.hard_link(path, target),
                Said::Whiteout(path) => archive.whiteout(path),
                Said::Opaque(path) => archive.opaque(path),
            };
        }
        archives.push(archive);
        model.ends.push(model.paths.clone());
    }
    (archives, model)
}

pub(super) fn text(path: &layercage::tar::EntryPath) -> String {
    String::from_utf8(path.as_bytes().to_vec()).unwrap()
}

fn gone(hidden: Hidden<'_>) -> Gone {
    let size = (!matches!(hidden.kind(), layercage::merged::Kind::Directory)).then(|| hidden.size());
    let by = (hidden.hidden_by(), hidden.hidden_by_entry());
    (text(&hidden.path()), (hidden.layer(), hidden.entry().unwrap()), size, hidden.how(), by)
}

fn paths(tree: &MergedTree) -> BTreeMap<String, Path> {
    let paths = tree.iter().skip(1).map(|node| {
        let path = Path {
            size: node.is_file().then(|| node.size()),
            entry: (node.layer(), node.entry().unwrap()),
            content: (node.content_layer(), node.content_entry().unwrap()),
            is_implied: node.is_implied(),
        };
        (text(&node.path()), path)
    });
    paths.collect()
}

fn names() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|parts| parts.join("/"))
}

pub(super) fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        3 => names().prop_map(Said::Dir),
        5 => (names(), 0..9_u64).prop_map(|(path, size)| Said::File(path, size)),
        2 => (names(), names()).prop_map(|(path, target)| Said::HardLink(path, target)),
        2 => names().prop_map(Said::Whiteout),
        2 => names().prop_map(Said::Opaque),
        1 => Just(Said::Opaque(String::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_path_comes_from_the_entry_that_the_model_says_and_hides_what_it_says(
        layers in prop::collection::vec(prop::collection::vec(said(), 1..16), 1..5)
    ) {
        let (archives, mut model) = model(&layers);
        let tree = merge(&archives);
        prop_assert_eq!(paths(&tree), model.paths);
        let mut hidden: Vec<_> = tree.hidden().map(gone).collect();
        let key = |gone: &Gone| (gone.0.clone(), gone.4);
        hidden.sort_by_key(key);
        model.hidden.sort_by_key(key);
        prop_assert_eq!(hidden, model.hidden);
    }
}

#[test]
fn a_secret_that_is_deleted_in_layer_3_is_told_of_with_its_layer_and_size() {
    let layers = [
        LayerBuilder::new().dir("etc").file("etc/passwd", b"root"),
        LayerBuilder::new().file("etc/passwd", b"root, too").file("root/.ssh/id", b"secret").file("srv/a/b", b"1"),
        LayerBuilder::new().whiteout("root/.ssh/id").opaque("srv").file("etc", b""),
    ];
    let tree = merge(&layers);
    let hidden: Vec<_> = tree.hidden().map(|hidden| (text(&hidden.path()), hidden.layer(), hidden.how())).collect();
    let expected = [
        ("etc", 1, Hiding::Replaced),
        ("etc/passwd", 1, Hiding::Replaced),
        ("etc/passwd", 2, Hiding::ParentReplaced),
        ("root/.ssh/id", 2, Hiding::WhitedOut),
        ("srv/a", 2, Hiding::Opaque),
        ("srv/a/b", 2, Hiding::Opaque),
    ];
    assert_eq!(hidden, expected.map(|(path, layer, how)| (path.to_owned(), layer, how)));
    let secret = tree.hidden().find(|hidden| hidden.path().as_bytes().ends_with(b"id")).unwrap();
    assert_eq!((secret.size(), secret.entry(), secret.hidden_by(), secret.hidden_by_entry()), (6, Some(2), 3, 1));
    assert_eq!((secret.link_count(), secret.metadata().mode), (0, 0o644));
}

#[test]
fn what_a_layer_brings_twice_is_hidden_by_itself_and_data_beside_the_tree_is_not() {
    let tree = merge(&[LayerBuilder::new()
        .file("f", b"1")
        .file("f", b"12")
        .file(".wh..wh.plnk/1", b"123")
        .file(".wh..wh.plnk/1", b"1234")
        .hard_link("a", ".wh..wh.plnk/1")
        .hard_link("b", ".wh..wh.plnk/1")
        .whiteout("f")]);
    let hidden: Vec<_> = tree.hidden().map(gone).collect();
    assert_eq!(hidden, [("f".to_owned(), (1, 1), Some(1), Hiding::Replaced, (1, 2))]);
    let a = tree.get("a").unwrap();
    assert_eq!((a.link_count(), a.size(), a.entry(), a.content_entry()), (2, 4, Some(5), Some(4)));
}

#[test]
fn a_hidden_name_of_a_file_tells_which_names_are_left() {
    let layers = [
        LayerBuilder::new().file("a", b"1").hard_link("b", "a").hard_link("c", "a"),
        LayerBuilder::new().whiteout("a").whiteout("c"),
    ];
    let tree = merge(&layers);
    for hidden in tree.hidden() {
        assert_eq!(hidden.link_count(), 1, "{}", hidden.path());
        assert!(hidden.links().eq([tree.get("b").unwrap()]), "{}", hidden.path());
    }
    assert_eq!(tree.hidden().count(), 2);
}
