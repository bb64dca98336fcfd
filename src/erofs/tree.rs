//! What a writer is given: a tree of names and inodes.

use super::content::Content;
use crate::words::{Device, Timestamp, Xattr};

/// A file system tree, as a [`Writer`](super::Writer) writes it.
///
/// The writer walks over it several times, so that it needs no copy. Each walk must see the same tree. [`Entries`] is a
/// tree that is built path by path.
///
/// [`Entries`]: super::Entries
pub trait Tree {
    /// A name in the tree. Copies are the same name.
    type Node: Copy;

    /// The root directory.
    fn root(&self) -> Self::Node;

    /// The names in a directory, in ascending order of their bytes. A directory has one name in the tree.
    fn children(&self, directory: Self::Node) -> impl Iterator<Item = Self::Node>;

    /// The last component of its path. It is not called for the root.
    fn name(&self, node: Self::Node) -> &[u8];

    /// The number of its inode: the same for all hard links, and less than [`Tree::inode_count`].
    fn inode(&self, node: Self::Node) -> u32;

    /// A number above all inode numbers. The writer takes 4 bytes of memory for each number below it.
    fn inode_count(&self) -> u32;

    /// The link count of an inode that is not a directory: how many names of the tree lead to it.
    fn link_count(&self, node: Self::Node) -> u32;

    /// The kind of its inode.
    fn kind(&self, node: Self::Node) -> NodeKind<'_>;

    /// The attributes of its inode.
    fn attributes(&self, node: Self::Node) -> Attributes<'_>;
}

/// What a name of a [`Tree`] leads to. The enum is exhaustive on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind<'t> {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link: its target, of 1 to 4095 bytes.
    Symlink(&'t [u8]),
    /// A named pipe.
    Fifo,
    /// A device node.
    Device(Device),
}

/// The attributes of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes<'t> {
    /// Permission bits with setuid, setgid and sticky. Those of symbolic links are ignored: they are always 0777.
    pub mode: u32,
    /// The numeric owner.
    pub uid: u32,
    /// The numeric group.
    pub gid: u32,
    /// The time of last modification.
    pub mtime: Timestamp,
    /// Extended attributes, each name once.
    pub xattrs: &'t [Xattr],
}
