//! What later entries replaced or removed.

use super::node::{Kind, Node};
use crate::output::content_file::ContentPlace;
use crate::tree::Model;
use crate::words::{EntryPath, Hiding, Metadata};

/// A file or directory of a layer that a later entry replaced or removed, in an upper layer or in the same one.
///
/// Its content is still in the image. Its path may exist in the [`MergedTree`](crate::MergedTree) again: see [`Hidden::now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hidden<'t> {
    node: Node<'t>,
    by: (u32, u32),
    how: Hiding,
}

impl<'t> Hidden<'t> {
    /// The name, if it is hidden.
    pub(super) fn at(model: &'t Model, name: u32) -> Option<Self> {
        let (layer, entry, how) = model.hidden(name)?;
        Some(Self { node: Node { model, name }, by: (layer, entry), how })
    }

    #[cfg(feature = "serde")]
    pub(super) fn node(&self) -> &Node<'t> {
        &self.node
    }

    /// The path that it had, with all symbolic links on the way resolved.
    pub fn path(&self) -> EntryPath {
        self.node.path()
    }

    /// Whether it was a regular file.
    pub fn is_file(&self) -> bool {
        self.node.is_file()
    }

    /// What was there.
    pub fn kind(&self) -> Kind<'t> {
        self.node.kind()
    }

    /// The size of a regular file in bytes, holes included; 0 for everything else.
    pub fn size(&self) -> u64 {
        self.node.size()
    }

    /// Owner, mode, time and extended attributes that it had.
    pub fn metadata(&self) -> Metadata {
        self.node.metadata()
    }

    /// The layer that the path came from, counted from 1 at the bottom. For a directory, it is the last layer that had an
    /// entry for it.
    pub fn layer(&self) -> usize {
        self.node.layer()
    }

    /// The number of the entry in [its layer](Hidden::layer), counted from 1.
    pub fn entry(&self) -> Option<u64> {
        self.node.entry()
    }

    /// Where that entry begins in the uncompressed layer, in bytes.
    pub fn offset(&self) -> Option<u64> {
        self.node.offset()
    }

    /// The layer that content and metadata came from. It differs from [`Hidden::layer`] for a hard link to a file of a lower
    /// layer.
    pub fn content_layer(&self) -> usize {
        self.node.content_layer()
    }

    /// The number of the entry in [that layer](Hidden::content_layer) that has content and metadata.
    pub fn content_entry(&self) -> Option<u64> {
        self.node.content_entry()
    }

    /// A number for the file: of two paths of one tree, hidden or not, it is the same if they are hard links to each other.
    pub fn inode(&self) -> u32 {
        self.node.inode()
    }

    /// Where its content is, if the tree keeps it.
    pub(crate) fn content_place(&self) -> Option<ContentPlace> {
        self.node.content_place()
    }

    /// The layer that hid it. It is the same layer if that has another entry for the path.
    pub fn hidden_by(&self) -> usize {
        self.by.0 as usize
    }

    /// The number of the entry that hid it, counted from 1.
    pub fn hidden_by_entry(&self) -> u64 {
        self.by.1.into()
    }

    /// How it was hidden.
    pub fn how(&self) -> Hiding {
        self.how
    }

    /// The paths of the tree that are still this file.
    pub fn links(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        self.node.links()
    }

    /// How many paths of the tree are still this file. If it is 0, nothing in the tree has its content.
    pub fn link_count(&self) -> u64 {
        self.node.link_count()
    }

    /// What the tree has at this path now, symbolic links not followed; `None` if the path is gone.
    pub fn now(&self) -> Option<Node<'t>> {
        let model = self.node.model;
        model.now_at(self.node.name).map(|name| Node { model, name })
    }
}

impl<'t> Node<'t> {
    /// What the lower layers had at this path, if the [layer](Node::layer) of the node hid it: the file that it replaced,
    /// for instance. Never a directory. `None` if the layer added the path.
    pub fn replaced(&self) -> Option<Hidden<'t>> {
        self.model.replaced_by(self.name).and_then(|name| Hidden::at(self.model, name))
    }
}
