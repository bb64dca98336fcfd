use super::directory::Directory;
use super::{Cage, Exposure};
use crate::plan::{Holds, Reporter};
use crate::tree::{Applier, Branch, ExactTime, ExactXattrs, Exactness};
use crate::words::{
    Change, ChangeKind, Component, EntryPath, Limit, Limits, Metadata, Policy, Skippable, Terms, Timestamp,
};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Lets everything pass.
pub(super) const ANYHOW: Exactness = Exactness { xattrs: ExactXattrs::Any, time: ExactTime::Nearest };

pub(super) fn component(name: &str) -> Component<'_> {
    Component::parse(name.as_bytes()).unwrap()
}

/// A directory in which everything is the layer's own.
pub(super) fn own(dir: Arc<Directory>) -> Branch<Arc<Directory>> {
    Branch { dir, holds: Holds::OwnAlone }
}

pub(super) fn metadata(mode: u32) -> Metadata {
    Metadata { mode, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new() }
}

fn apply(applier: &mut Applier<Cage>, path: &str, kind: ChangeKind, limits: &Limits) {
    let policy = Policy::compatible();
    let path = EntryPath::parse(path.as_bytes(), limits).unwrap();
    let mut reporter = Reporter::new(&policy, limits);
    applier.apply(Change { path, kind }, &mut &b""[..], &mut reporter).unwrap();
}

#[test]
fn a_tree_that_is_replaced_again_and_again_leaves_nothing_in_memory() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("before")).unwrap();
    let root = openat(CWD, tree.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    // The place of `d`, and `before`, which is passed through.
    let limits = Limits::default().with(Limit::LayerPlaces, 2);
    for exposure in [Exposure::Visible, Exposure::Staged] {
        let terms = Terms { limits: limits.clone(), ..Terms::new() };
        let mut applier = Applier::new(Cage::over(root.as_fd(), exposure).unwrap());
        applier.tree_mut().begin(&terms).unwrap();
        applier.begin_layer(&terms).unwrap();
        for number in 0..50 {
            // Other names each time: nothing but where the tree begins is the same.
            let deepest = format!("before/d/{number}/a/b/c");
            apply(&mut applier, &deepest, ChangeKind::Directory(metadata(0o755)), &limits);
            apply(&mut applier, "before/d", ChangeKind::Fifo(metadata(0o644)), &limits);
            apply(&mut applier, "before/d", ChangeKind::Skipped(Skippable::Fifo), &limits);
        }
        applier.end_layer();
        applier.tree_mut().settle().unwrap();
    }
}

#[test]
fn only_what_changes_the_tree_is_an_effect() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("lower")).unwrap();
    std::fs::write(tree.path().join("lower/file"), "").unwrap();
    let root = openat(CWD, tree.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let mut applier = Applier::new(Cage::over(root.as_fd(), Exposure::Visible).unwrap());
    let (terms, limits) = (Terms::new(), Limits::default());
    applier.tree_mut().begin(&terms).unwrap();
    applier.begin_layer(&terms).unwrap();
    assert_eq!(applier.tree().effects(), 0);
    let directory = || ChangeKind::Directory(metadata(0o755));
    let file = || ChangeKind::File { metadata: metadata(0o644), size: 0, sparse: None };
    let apart = || ChangeKind::PseudoLink { metadata: metadata(0o644), size: 0, sparse: None };
    for (sentence, path, kind, effects) in [
        ("a file that is not in the tree", ".wh..wh.plnk/1", apart(), 0),
        ("the same once more", ".wh..wh.plnk/1", apart(), 0),
        ("a whiteout in a directory that is not there", "none/x", ChangeKind::Whiteout, 0),
        ("an opaque whiteout of what holds nothing more", "lower", ChangeKind::OpaqueWhiteout, 1),
        ("the same once more", "lower", ChangeKind::OpaqueWhiteout, 0),
        ("a directory and its parent", "a/b", directory(), 2),
        ("a directory over a directory", "a/b", directory(), 1),
        ("a file", "f", file(), 1),
        ("a file in its place", "f", file(), 1),
        ("a whiteout of it, which stays", "f", ChangeKind::Whiteout, 0),
    ] {
        let before = applier.tree().effects();
        apply(&mut applier, path, kind, &limits);
        assert_eq!(applier.tree().effects() - before, effects, "{sentence}");
    }
    applier.end_layer();
    applier.tree_mut().settle().unwrap();
}
