//! The final file system of an image, in memory.

use super::hidden::Hidden;
use super::node::Node;
use super::summary::LayerSummary;
use crate::output::content_file::ContentFile;
use crate::tree::{Follow, Model};
use crate::words::{Digest, Limits};
use std::iter::FusedIterator;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The file system that the layers of an image make together, in memory and without content: the paths, metadata and hard
/// links that unpacking would give, and for each path the entry that it comes from.
///
/// The same code applies the layers as for a [`Rootfs`](crate::Rootfs), so the tree is the same, and the same layers are
/// refused. Metadata is what root would set: owners as the policy says, every time and every extended attribute. What
/// depends on the machine is not in it: the privileges of the caller, and what a file system cannot store.
///
/// [`Session::merge`](crate::Session::merge) and [`Selected::merge`](crate::Selected::merge) make one of an image; a
/// [`Merger`](crate::merged::Merger) of layers from anywhere. [`Limit::TreeBytes`](crate::rules::Limit::TreeBytes) bounds its
/// memory.
#[derive(Debug)]
pub struct MergedTree {
    pub(super) model: Model,
    /// The limits under which the layers were read.
    limits: Limits,
    /// What is known of each layer as such.
    pub(super) summaries: Vec<LayerSummary>,
    /// The content that a cache kept.
    content: Option<ContentFile>,
}

impl MergedTree {
    pub(super) fn new(mut model: Model, limits: Limits, summaries: Vec<LayerSummary>) -> Self {
        model.finish();
        Self { model, limits, summaries, content: None }
    }

    /// Sets the content of its files. Without it, the places of content mean nothing.
    pub(super) fn with_content(mut self, content: Option<ContentFile>) -> Self {
        if content.is_none() {
            self.model.clear_places();
        }
        Self { content, ..self }
    }

    /// The root directory.
    pub fn root(&self) -> Node<'_> {
        self.node(self.model.root_name())
    }

    /// All paths in order, the root first: a directory comes right before what lies in it, and names are compared byte by
    /// byte. This is the order of [`EntryPath`](crate::tar::EntryPath).
    pub fn iter(&self) -> Nodes<'_> {
        Nodes { next: Some(self.root()) }
    }

    /// All paths by their origin: by layer, then by position in the archive. The root comes first, and a directory before
    /// what lies in it, even if its entry is a later one.
    ///
    /// If a file has hard links, the path of the entry with its content comes first, and the other paths follow. So one
    /// pass over the layers gives the content of files in this order.
    pub fn iter_by_layer(&self) -> impl Iterator<Item = Node<'_>> {
        self.model.in_order_of_layers(|_| true).into_iter().map(|name| self.node(name))
    }

    /// Finds a path as a process in a container would. Symbolic links are followed inside of the root, the last component
    /// included. An absolute target begins at the root, and `..` does not lead above it. Returns `None` if the path does not
    /// exist, or leads through more than 40 links.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<Node<'_>> {
        self.resolve(path.as_ref(), Follow::Last)
    }

    /// Finds a path like [`MergedTree::get`], but does not follow a symbolic link that is the last component.
    pub fn get_nofollow(&self, path: impl AsRef<Path>) -> Option<Node<'_>> {
        self.resolve(path.as_ref(), Follow::Parents)
    }

    /// The hidden paths, in the order in which the layers brought them: paths that an upper layer replaced or removed,
    /// and earlier entries of a path that one layer has more than once.
    ///
    /// A directory that an upper layer lists again is not hidden: only its metadata changes.
    pub fn hidden(&self) -> impl Iterator<Item = Hidden<'_>> {
        self.model.all().filter_map(|name| Hidden::at(&self.model, name))
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        self.summaries.len()
    }

    /// The diff IDs of the layers, the lowest first; `None` for a layer whose diff ID was neither given nor computed.
    pub fn diff_ids(&self) -> impl Iterator<Item = Option<Digest>> {
        self.summaries.iter().map(|layer| layer.diff_id)
    }

    /// More than the number of any inode, those of hidden files included.
    #[cfg(feature = "image")]
    pub(crate) fn inode_count(&self) -> u32 {
        self.model.inode_count()
    }

    /// At least the number of different extended attributes.
    #[cfg(feature = "image")]
    pub(crate) fn xattr_count(&self) -> u64 {
        self.model.xattr_count()
    }

    /// The memory that the tree uses, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.model.bytes().unwrap_or(u64::MAX)
    }

    /// How many bytes of content a [`ContentCache`](crate::merged::ContentCache) keeps, those of hidden files included. 0 if
    /// there is none, or if it had no room.
    pub fn cached_bytes(&self) -> u64 {
        self.content.as_ref().map_or(0, ContentFile::bytes)
    }

    /// The content that is kept.
    pub(crate) fn content(&self) -> Option<&ContentFile> {
        self.content.as_ref()
    }

    /// The limits under which the layers were read.
    #[cfg_attr(not(feature = "image"), expect(dead_code, reason = "only layers of an image can be read again"))]
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn node(&self, name: u32) -> Node<'_> {
        Node { model: &self.model, name }
    }

    fn resolve(&self, path: &Path, follow: Follow) -> Option<Node<'_>> {
        self.model.resolve(path.as_os_str().as_bytes(), follow).map(|name| self.node(name))
    }
}

impl<'t> IntoIterator for &'t MergedTree {
    type Item = Node<'t>;
    type IntoIter = Nodes<'t>;

    fn into_iter(self) -> Nodes<'t> {
        self.iter()
    }
}

/// All paths of a [`MergedTree`], in order: see [`MergedTree::iter`].
#[derive(Debug, Clone)]
pub struct Nodes<'t> {
    next: Option<Node<'t>>,
}

impl<'t> Iterator for Nodes<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        let node = self.next.take()?;
        self.next = node.model.next(node.name).map(|name| Node { name, ..node });
        Some(node)
    }
}

impl FusedIterator for Nodes<'_> {}
