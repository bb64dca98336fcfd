//! A merged tree, as the writer of EROFS images takes it.

use super::contents::Contents;
use crate::erofs::{Attributes, Content, NodeKind, Tree};
use crate::output::{Kind, MergedTree, Node};

/// A merged tree whose content was written to an image.
#[derive(Debug)]
pub(crate) struct ErofsTree<'t> {
    tree: &'t MergedTree,
    contents: &'t Contents,
}

impl<'t> ErofsTree<'t> {
    pub(crate) fn new(tree: &'t MergedTree, contents: &'t Contents) -> Self {
        Self { tree, contents }
    }
}

impl<'t> Tree for ErofsTree<'t> {
    type Node = Node<'t>;

    fn root(&self) -> Node<'t> {
        self.tree.root()
    }

    fn children(&self, directory: Node<'t>) -> impl Iterator<Item = Node<'t>> {
        directory.children()
    }

    fn name(&self, node: Node<'t>) -> &[u8] {
        node.file_name()
    }

    fn inode(&self, node: Node<'t>) -> u32 {
        node.inode()
    }

    fn inode_count(&self) -> u32 {
        self.tree.inode_count()
    }

    fn link_count(&self, node: Node<'t>) -> u32 {
        u32::try_from(node.link_count()).unwrap_or(u32::MAX)
    }

    fn kind(&self, node: Node<'t>) -> NodeKind<'_> {
        match node.kind() {
            Kind::Directory => NodeKind::Directory,
            // All content was written before the tree. The content of another tree would be a bug, and the file is empty then.
            Kind::File { .. } => NodeKind::File(self.contents.get(node).unwrap_or_else(|_| Content::default())),
            Kind::Symlink { target } => NodeKind::Symlink(target),
            Kind::Fifo => NodeKind::Fifo,
            Kind::Device(device) => NodeKind::Device(device),
        }
    }

    fn attributes(&self, node: Node<'t>) -> Attributes<'_> {
        let (mode, uid, gid) = (node.mode(), node.uid(), node.gid());
        Attributes { mode, uid, gid, mtime: node.mtime(), xattrs: node.xattrs() }
    }
}
