//! Paths that follow the changes of layers: what a change replaces or removes is no longer there.

use crate::words::{ChangeKind, EntryPath};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Values by path, with the layer that brought each name.
#[derive(Debug)]
pub(super) struct Paths<T>(BTreeMap<Box<[u8]>, (u64, T)>);

impl<T: Copy> Paths<T> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<T> {
        self.0.get(path).map(|&(_, value)| value)
    }

    pub(super) fn insert(&mut self, path: &EntryPath, layer: u64, value: T) {
        self.0.insert(path.as_bytes().into(), (layer, value));
    }

    /// Whether a name below a directory has such a value.
    pub(super) fn any_below(&self, directory: &EntryPath, mut is_one: impl FnMut(T) -> bool) -> bool {
        let prefix = prefix_of(directory.as_bytes());
        self.below(&prefix).any(|(_, &(_, value))| is_one(value))
    }

    /// Removes the names that a layer brought, and returns their values.
    pub(super) fn forget(&mut self, layer: u64) -> Vec<T> {
        let mut forgotten = Vec::new();
        self.0.retain(|_, &mut (brought_by, value)| {
            let stays = brought_by != layer;
            forgotten.extend((!stays).then_some(value));
            stays
        });
        forgotten
    }

    /// Removes the names that a change replaces or removes, and returns their values.
    pub(super) fn follow(&mut self, path: &[u8], kind: &ChangeKind, layer: u64) -> Vec<T> {
        let (mut removed, is_lower) = (Vec::new(), |brought_by: u64| brought_by < layer);
        match kind {
            _ if self.0.is_empty() => (),
            ChangeKind::PseudoLink { .. } => (),
            ChangeKind::Directory(_) => removed.extend(self.remove(path, |_| true)),
            ChangeKind::OpaqueWhiteout => self.remove_below(path, is_lower, &mut removed),
            ChangeKind::Whiteout => {
                removed.extend(self.remove(path, is_lower));
                self.remove_below(path, is_lower, &mut removed);
            }
            _ => {
                removed.extend(self.remove(path, |_| true));
                self.remove_below(path, |_| true, &mut removed);
            }
        }
        removed
    }

    fn remove(&mut self, path: &[u8], which: impl Fn(u64) -> bool) -> Option<T> {
        let &(layer, value) = self.0.get(path)?;
        which(layer).then(|| self.0.remove(path)).flatten().map(|_| value)
    }

    fn remove_below(&mut self, directory: &[u8], which: impl Fn(u64) -> bool, removed: &mut Vec<T>) {
        let prefix = prefix_of(directory);
        let going = self.below(&prefix).filter(|(_, (layer, _))| which(*layer));
        let going = going.map(|(path, _)| path.clone()).collect::<Vec<_>>();
        for path in going {
            removed.extend(self.0.remove(&path).map(|(_, value)| value));
        }
    }

    fn below<'p>(&'p self, prefix: &'p [u8]) -> impl Iterator<Item = (&'p Box<[u8]>, &'p (u64, T))> {
        let range = self.0.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        range.take_while(move |(path, _)| path.starts_with(prefix))
    }
}

/// How the paths below a directory begin.
fn prefix_of(directory: &[u8]) -> Vec<u8> {
    if directory.is_empty() { Vec::new() } else { [directory, b"/"].concat() }
}
