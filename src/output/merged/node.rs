//! A path of a merged tree, and what is there.

use crate::output::content_file::ContentPlace;
use crate::tree::{Model, ModelKind};
use crate::words::{Device, EntryPath, Metadata, Timestamp, Xattr};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// A path of a [`MergedTree`](crate::MergedTree), and what is there.
///
/// Two nodes are equal if they are the same path of the same tree.
#[derive(Debug, Clone, Copy)]
pub struct Node<'t> {
    pub(super) model: &'t Model,
    pub(super) name: u32,
}

/// The kind of a [`Node`], with the data of that kind. The enum is exhaustive on purpose: Linux has no other kind that
/// a layer can bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind<'t> {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its size in bytes, holes included.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// The target, as the layer has it.
        target: &'t [u8],
    },
    /// A named pipe.
    Fifo,
    /// A device node.
    Device(Device),
}

impl Kind<'_> {
    /// The word for the kind, as in lists and JSON: `dir`, `file`, `symlink`, `fifo` or `device`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Directory => "dir",
            Self::File { .. } => "file",
            Self::Symlink { .. } => "symlink",
            Self::Fifo => "fifo",
            Self::Device(_) => "device",
        }
    }
}

impl<'t> Node<'t> {
    /// The path from the root, with all symbolic links on the way resolved. Each call builds it anew.
    pub fn path(&self) -> EntryPath {
        EntryPath::of_components_joined(self.model.path_of_name(self.name))
    }

    /// The last component of the path; empty for the root.
    pub fn file_name(&self) -> &'t [u8] {
        self.model.file_name(self.name)
    }

    /// The kind, with its data.
    pub fn kind(&self) -> Kind<'t> {
        match self.model.kind(self.name) {
            ModelKind::Directory => Kind::Directory,
            ModelKind::File { size } => Kind::File { size },
            ModelKind::Symlink(target) => Kind::Symlink { target },
            ModelKind::Fifo => Kind::Fifo,
            ModelKind::Device(device) => Kind::Device(device),
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind(), Kind::Directory)
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind(), Kind::File { .. })
    }

    /// The size of a regular file in bytes, holes included; 0 for everything else.
    pub fn size(&self) -> u64 {
        match self.kind() {
            Kind::File { size } => size,
            Kind::Directory | Kind::Symlink { .. } | Kind::Fifo | Kind::Device(_) => 0,
        }
    }

    /// Whether a regular file has holes: ranges that the layer does not store, and that read as zeros.
    pub fn has_holes(&self) -> bool {
        self.model.has_holes(self.name)
    }

    /// Owner, mode, time and extended attributes, as root would unpack them under the policy.
    ///
    /// All names of a file have the same. Those of a directory come from the last entry that names it.
    pub fn metadata(&self) -> Metadata {
        let (mode, uid, gid) = self.model.mode_and_owner(self.name);
        Metadata { mode, uid, gid, mtime: self.mtime(), xattrs: self.xattrs().to_vec() }
    }

    /// Permission bits with setuid, setgid and sticky.
    pub fn mode(&self) -> u32 {
        self.model.mode_and_owner(self.name).0
    }

    /// The numeric owner.
    pub fn uid(&self) -> u32 {
        self.model.mode_and_owner(self.name).1
    }

    /// The numeric group.
    pub fn gid(&self) -> u32 {
        self.model.mode_and_owner(self.name).2
    }

    /// The time of last modification.
    pub fn mtime(&self) -> Timestamp {
        self.model.mtime(self.name)
    }

    /// The extended attributes, by name.
    pub fn xattrs(&self) -> &'t [Xattr] {
        self.model.xattrs(self.name)
    }

    /// The value of an extended attribute: `security.capability`, for instance.
    pub fn xattr(&self, name: impl AsRef<[u8]>) -> Option<&'t [u8]> {
        self.xattrs().iter().find(|xattr| xattr.name == name.as_ref()).map(|xattr| &*xattr.value)
    }

    /// Whether it has the setuid bit. All hard links to a file share its mode, so all of them are setuid or none is.
    pub fn is_setuid(&self) -> bool {
        self.mode() & SETUID != 0
    }

    /// Whether it has the setgid bit.
    pub fn is_setgid(&self) -> bool {
        self.mode() & SETGID != 0
    }

    /// Whether it has the sticky bit.
    pub fn is_sticky(&self) -> bool {
        self.mode() & STICKY != 0
    }

    /// The layer that the path comes from, counted from 1 at the bottom. For a directory, it is the last layer that has an
    /// entry for it. For a hard link, it is the layer of the link: see [`Node::content_layer`].
    ///
    /// A directory that [no entry lists](Node::is_implied) comes from the layer that needed it. A root that no entry lists
    /// comes from layer 1.
    pub fn layer(&self) -> usize {
        self.model.origin(self.name).layer.max(1) as usize
    }

    /// The number of the entry in [its layer](Node::layer) that the path comes from, counted from 1. `None` for a root that
    /// no entry lists.
    pub fn entry(&self) -> Option<u64> {
        Some(self.model.origin(self.name).entry.into()).filter(|&entry| entry > 0)
    }

    /// Where that entry begins in the uncompressed layer, in bytes. `None` for a root that no entry lists.
    pub fn offset(&self) -> Option<u64> {
        self.entry().map(|_| self.model.origin(self.name).offset)
    }

    /// The layer that content and metadata come from. It differs from [`Node::layer`] for a hard link to a file of a lower
    /// layer.
    pub fn content_layer(&self) -> usize {
        self.model.content(self.name).0.max(1) as usize
    }

    /// The number of the entry in [that layer](Node::content_layer) that has content and metadata. `None` for a root that no
    /// entry lists.
    pub fn content_entry(&self) -> Option<u64> {
        Some(self.model.content(self.name).1.into()).filter(|&entry| entry > 0)
    }

    /// Whether it is a directory that no entry lists: a parent of another path, with mode 0755, owner 0:0 and the time that
    /// policy gives such directories.
    pub fn is_implied(&self) -> bool {
        self.model.is_implied(self.name)
    }

    /// How many paths of the tree are this file. 1 for a directory.
    pub fn link_count(&self) -> u64 {
        self.model.link_count(self.name).into()
    }

    /// The other paths of the tree that are this file, in the order in which they came. This path itself is not among them, so
    /// there is one less than [`Node::link_count`].
    ///
    /// Takes time in proportion to the number of names that the file ever had, hidden ones included. To find out which
    /// paths are one file, compare [`Node::inode`].
    pub fn links(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let model = self.model;
        model.links(self.name).map(move |name| Node { model, name })
    }

    /// A number for the file: of two paths of one tree, it is the same if they are hard links to each other.
    pub fn inode(&self) -> u32 {
        self.model.inode_number(self.name)
    }

    /// Where the content of the file is, if the tree keeps it.
    pub(crate) fn content_place(&self) -> Option<ContentPlace> {
        let size = self.size();
        // Empty files are not stored.
        let place = if size == 0 { 0 } else { self.place()? };
        Some(ContentPlace { place, size, has_holes: size > 0 && self.has_holes() })
    }

    /// Where the [`ContentStore`](super::store::ContentStore) has the content of the file.
    pub(crate) fn place(&self) -> Option<u64> {
        self.model.place(self.name)
    }

    /// The children of a directory, by name.
    pub fn children(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let model = self.model;
        std::iter::successors(model.first_in(self.name), |&name| model.next_in(name))
            .map(move |name| Node { model, name })
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.model, other.model) && self.name == other.name
    }
}

impl Eq for Node<'_> {}
