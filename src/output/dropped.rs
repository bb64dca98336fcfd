//! The names that a filter dropped: a hard link to one of them is told from a hard link to nothing.

use super::paths::Paths;
use crate::words::{Change, ChangeKind, EntryPath, Skippable};

/// The bytes of memory for names. When they are used up, a target that is not known may be a dropped one.
const MOST: usize = 32 << 20;

/// The memory for a name in addition to its bytes.
const OVERHEAD: usize = 96;

/// The names that were dropped. Of the names that the sink has, those that decide where a target leads.
#[derive(Debug)]
pub(super) struct Dropped {
    names: Paths<What>,
    layer: u64,
    /// The bytes that may still be used.
    left: usize,
    /// Whether a name was not recorded, because there was no room.
    lacks_names: bool,
}

/// What is at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Skipped(Skippable),
    Directory,
    Symlink,
    Other,
}

/// The target of a hard link which the filter does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The filter dropped it, or may have dropped it.
    Dropped,
    /// The policy skipped it.
    Skipped(Skippable),
    Directory,
    /// No layer brought it.
    Missing,
}

impl Dropped {
    pub(super) fn new() -> Self {
        Self { names: Paths::new(), layer: 0, left: MOST, lacks_names: false }
    }

    pub(super) fn begin_layer(&mut self) {
        self.layer += 1;
    }

    /// Removes the names that the current layer brought.
    pub(super) fn abandon_layer(&mut self) {
        self.names.forget(self.layer);
    }

    /// Follows a change that the sink gets.
    pub(super) fn keep(&mut self, change: &Change) {
        if let Some(what) = self.follow(change)
            && let What::Skipped(_) | What::Symlink = what
        {
            self.record(&change.path, what);
        }
    }

    /// Follows a change that the sink does not get.
    pub(super) fn drop(&mut self, change: &Change, target: Target) {
        let what = match (self.follow(change), target) {
            (Some(what), _) => what,
            // A hard link to what the sink has.
            (None, Target::Dropped) if matches!(change.kind, ChangeKind::HardLink { .. }) => What::Other,
            (None, _) => return,
        };
        self.record(&change.path, what);
    }

    /// Removes what a change replaces or removes, and returns what it brings; `None` for a hard link to a name that is not
    /// recorded, and for what brings nothing.
    fn follow(&mut self, change: &Change) -> Option<What> {
        let Change { path, kind } = change;
        let what = match kind {
            ChangeKind::HardLink { target, .. } => self.names.get(target.as_bytes()),
            ChangeKind::Skipped(skippable) => Some(What::Skipped(*skippable)),
            ChangeKind::Directory(_) => Some(What::Directory),
            ChangeKind::Symlink { .. } => Some(What::Symlink),
            ChangeKind::File { .. } | ChangeKind::Fifo(_) | ChangeKind::Device { .. } => Some(What::Other),
            ChangeKind::PseudoLink { .. } | ChangeKind::Whiteout | ChangeKind::OpaqueWhiteout => None,
        };
        self.names.follow(path.as_bytes(), kind, self.layer);
        what
    }

    fn record(&mut self, path: &EntryPath, what: What) {
        match self.left.checked_sub(path.as_bytes().len() + OVERHEAD) {
            Some(left) => {
                self.left = left;
                self.names.insert(path, self.layer, what);
            }
            None => self.lacks_names = true,
        }
    }

    /// What a path that the filter does not keep leads to. Paths behind a symbolic link are not resolved.
    pub(super) fn target(&self, path: &EntryPath) -> Target {
        match self.names.get(path.as_bytes()) {
            Some(What::Skipped(skippable)) => Target::Skipped(skippable),
            Some(What::Directory) => Target::Directory,
            Some(What::Symlink | What::Other) => Target::Dropped,
            // A directory that no entry lists.
            None if self.names.any_below(path, |what| !matches!(what, What::Skipped(_))) => Target::Directory,
            None if self.lacks_names || self.is_behind_symlink(path) => Target::Dropped,
            None => Target::Missing,
        }
    }

    fn is_behind_symlink(&self, path: &EntryPath) -> bool {
        let bytes = path.as_bytes();
        let slashes = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        slashes.filter_map(|(at, _)| bytes.get(..at)).any(|parent| self.names.get(parent) == Some(What::Symlink))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Limits, Metadata};

    fn path(path: &str) -> EntryPath {
        EntryPath::parse(path.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn a_target_that_may_have_been_dropped_is_not_missing() {
        let file = |name: &str| Change::new(path(name), ChangeKind::Fifo(Metadata::default()));
        let mut dropped = Dropped::new();
        dropped.begin_layer();
        dropped.drop(&file("a"), Target::Missing);
        assert_eq!(["a", "b"].map(|name| dropped.target(&path(name))), [Target::Dropped, Target::Missing]);
        dropped.left = OVERHEAD;
        dropped.drop(&file("c"), Target::Missing);
        assert_eq!(["a", "b", "c"].map(|name| dropped.target(&path(name))), [Target::Dropped; 3]);
    }
}
