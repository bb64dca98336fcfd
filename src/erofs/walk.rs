//! The order in which a tree is written.

use super::tree::{NodeKind, Tree};
use crate::words::{Error, Misuse};

/// A name, and the directory that it is in. The root is in itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visited<N> {
    pub(super) node: N,
    pub(super) parent: N,
}

/// Calls `visit` for the root, and then for the names of one directory after another. A directory comes before those in it.
/// So the inodes of a directory lie together.
pub(super) fn walk<T: Tree>(
    tree: &T,
    mut visit: impl FnMut(Visited<T::Node>) -> Result<(), Error>,
) -> Result<(), Error> {
    visit(Visited { node: tree.root(), parent: tree.root() })?;
    visit_children(tree, tree.root(), &mut visit)?;
    // One iterator for each level, so that a deep tree needs no stack.
    let mut open = vec![tree.children(tree.root())];
    while let Some(children) = open.last_mut() {
        let Some(node) = children.next() else {
            open.pop();
            continue;
        };
        if let NodeKind::Directory = tree.kind(node) {
            visit_children(tree, node, &mut visit)?;
            open.push(tree.children(node));
        }
    }
    Ok(())
}

fn visit_children<T: Tree>(
    tree: &T,
    parent: T::Node,
    visit: &mut impl FnMut(Visited<T::Node>) -> Result<(), Error>,
) -> Result<(), Error> {
    tree.children(parent).try_for_each(|node| visit(Visited { node, parent }))
}

/// Which inodes were visited, and their slots.
#[derive(Debug)]
pub(super) struct Slots(Vec<u32>);

/// No inode.
const NONE: u32 = u32::MAX;
/// The inode was seen, and has no slot yet.
const SEEN: u32 = NONE - 1;

impl Slots {
    /// The last slot that there may be.
    pub(super) const LAST: u32 = SEEN - 1;
    /// Bytes of memory for each inode.
    #[cfg(feature = "image")]
    pub(super) const MEMORY: u64 = size_of::<u32>() as u64;

    pub(super) fn new(inodes: u32) -> Self {
        Self(vec![NONE; inodes as usize])
    }

    /// Whether an inode is visited for the first time. It is then seen.
    pub(super) fn see(&mut self, inode: u32) -> Result<bool, Error> {
        let slot = self.0.get_mut(inode as usize).ok_or(Misuse::InodeOutOfRange)?;
        Ok(std::mem::replace(slot, SEEN) == NONE)
    }

    /// The slot of an inode; `None` if it has none yet.
    pub(super) fn get(&self, inode: u32) -> Option<u32> {
        self.0.get(inode as usize).copied().filter(|&slot| slot < SEEN)
    }

    pub(super) fn set(&mut self, inode: u32, slot: u32) {
        if let Some(place) = self.0.get_mut(inode as usize) {
            *place = slot;
        }
    }
}
