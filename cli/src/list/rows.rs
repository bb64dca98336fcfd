//! The rows of a tree: its paths and those that are gone, with the sizes of what is below directories.

use crate::only::Pattern;
use layercage::MergedTree;
use layercage::merged::{Hidden, Kind, Node};
use layercage::tar::EntryPath;
use std::collections::HashSet;

/// A path of the tree, or one that is gone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown<'t> {
    There(Node<'t>),
    Gone(Hidden<'t>),
}

impl<'t> Shown<'t> {
    pub(super) fn is_gone(self) -> bool {
        matches!(self, Self::Gone(_))
    }

    pub(super) fn kind(self) -> Kind<'t> {
        match self {
            Self::There(node) => node.kind(),
            Self::Gone(hidden) => hidden.kind(),
        }
    }

    pub(super) fn path(self) -> EntryPath {
        match self {
            Self::There(node) => node.path(),
            Self::Gone(hidden) => hidden.path(),
        }
    }

    /// The last component; empty for the root.
    pub(super) fn file_name(self) -> Vec<u8> {
        self.path().split_last().map(|(_, name)| name.as_bytes().to_vec()).unwrap_or_default()
    }

    /// The layer that brought the path, or the layer that hid it. None of a directory.
    pub(super) fn layer(self) -> Option<usize> {
        match self {
            Self::There(node) => Some(node.layer()).filter(|_| !node.is_directory()),
            Self::Gone(hidden) => Some(hidden.hidden_by()).filter(|_| hidden.kind() != Kind::Directory),
        }
    }
}

/// What was done to a file, or to the files below a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// The lowest layer has it, and no other.
    pub(super) kept: bool,
    pub(super) added: bool,
    pub(super) changed: bool,
    pub(super) removed: bool,
}

impl Done {
    fn and(self, other: Self) -> Self {
        Self {
            kept: self.kept || other.kept,
            added: self.added || other.added,
            changed: self.changed || other.changed,
            removed: self.removed || other.removed,
        }
    }
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'t> {
    pub(super) shown: Shown<'t>,
    pub(super) depth: usize,
    /// The size of a file, or the sum of those below a directory. The sum has what is there, and each file once.
    pub(super) size: u64,
    pub(super) done: Done,
}

/// The rows down to a depth, a directory before what lies in it. The root has the depth 0. Patterns keep what they match and
/// the directories above that; without a pattern, everything is kept.
pub(super) fn rows<'t>(tree: &'t MergedTree, only: &[Pattern], most: usize) -> Vec<Row<'t>> {
    let mut sums = Sums { rows: Vec::new(), way: Vec::new(), most };
    let mut gone = gone(tree);
    let kept = (!only.is_empty()).then(|| kept(tree, &gone, only));
    let is_kept = |path: &[u8]| kept.as_ref().is_none_or(|kept| kept.contains(path));
    gone.retain(|(path, _)| is_kept(path.as_bytes()));
    let mut gone = gone.into_iter().peekable();
    let mut linked = HashSet::new();
    for node in tree.iter().filter(|node| kept.is_none() || is_kept(node.path().as_bytes())) {
        // A path is made only if it is compared.
        while let Some((_, hidden)) =
            gone.peek().is_some().then(|| gone.next_if(|(path, _)| *path < node.path())).flatten()
        {
            sums.add_gone(hidden);
        }
        let is_first = node.link_count() == 1 || linked.insert(node.inode());
        sums.add(node, if is_first { node.size() } else { 0 });
    }
    gone.for_each(|(_, hidden)| sums.add_gone(hidden));
    sums.finish()
}

/// The paths that a pattern keeps, and the directories above them.
fn kept(tree: &MergedTree, gone: &[(EntryPath, Hidden<'_>)], only: &[Pattern]) -> HashSet<Vec<u8>> {
    let mut kept = HashSet::from([Vec::new()]);
    for path in tree.iter().map(|node| node.path()).chain(gone.iter().map(|(path, _)| path.clone())) {
        let path = path.as_bytes();
        if only.iter().any(|pattern| pattern.keeps(path)) {
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
            kept.extend(slashes.chain([path.len()]).filter_map(|end| path.get(..end)).map(<[u8]>::to_vec));
        }
    }
    kept
}

/// The paths that are gone, in order, each with what was there last.
fn gone(tree: &MergedTree) -> Vec<(EntryPath, Hidden<'_>)> {
    let is_gone = |hidden: &Hidden<'_>| hidden.now().is_none();
    let mut gone: Vec<_> = tree.hidden().filter(is_gone).map(|hidden| (hidden.path(), hidden)).collect();
    // The last of a path comes first, and the others go. The order of those of one path stays the reverse.
    gone.reverse();
    gone.sort_by(|(one, _), (other, _)| one.cmp(other));
    gone.dedup_by(|(one, _), (other, _)| one == other);
    gone
}

/// Adds up what lies in directories.
struct Sums<'t> {
    rows: Vec<Row<'t>>,
    /// The rows on the way to the current path.
    way: Vec<OnTheWay>,
    most: usize,
}

/// A row on the way, and what counts for the row above when the way leaves this one.
struct OnTheWay {
    row: usize,
    bytes: u64,
    done: Done,
}

impl<'t> Sums<'t> {
    fn add(&mut self, node: Node<'t>, counted: u64) {
        let done = match (node.is_directory(), node.layer(), node.replaced()) {
            (true, ..) => Done::default(),
            (false, 1, _) => Done { kept: true, ..Done::default() },
            (false, _, None) => Done { added: true, ..Done::default() },
            (false, _, Some(_)) => Done { changed: true, ..Done::default() },
        };
        self.push(Shown::There(node), node.path().components().count(), node.size(), counted, done);
    }

    fn add_gone(&mut self, hidden: Hidden<'t>) {
        // A layer that hides what it brought itself removes nothing.
        let removed = hidden.hidden_by() > hidden.layer();
        let done = Done { removed, ..Done::default() };
        if removed || hidden.kind() == Kind::Directory {
            self.push(Shown::Gone(hidden), hidden.path().components().count(), hidden.size(), 0, done);
        }
    }

    fn push(&mut self, shown: Shown<'t>, depth: usize, size: u64, counted: u64, done: Done) {
        self.leave(depth);
        if depth <= self.most {
            self.way.push(OnTheWay { row: self.rows.len(), bytes: counted, done });
            self.rows.push(Row { shown, depth, size, done });
        } else {
            self.add_to_last(counted, done);
        }
    }

    /// Leaves the rows that are not above this depth.
    fn leave(&mut self, depth: usize) {
        let is_left = |rows: &[Row<'_>], row: usize| rows.get(row).is_some_and(|row| row.depth >= depth);
        while let Some(OnTheWay { row, bytes, done }) = self.way.pop_if(|last| is_left(&self.rows, last.row)) {
            // What lay in a directory may lie below a file now, and says nothing of the file.
            if let Some(row) = self.rows.get_mut(row).filter(|row| row.shown.kind() == Kind::Directory) {
                (row.size, row.done) = (bytes, done);
            }
            self.add_to_last(bytes, done);
        }
    }

    fn add_to_last(&mut self, bytes: u64, done: Done) {
        if let Some(last) = self.way.last_mut() {
            last.bytes += bytes;
            last.done = last.done.and(done);
        }
    }

    fn finish(mut self) -> Vec<Row<'t>> {
        self.leave(0);
        // A directory that its own layer hid was never there.
        let was_there = |row: &Row<'_>| !row.shown.is_gone() || row.done.removed;
        self.rows.retain(was_there);
        self.rows
    }
}
