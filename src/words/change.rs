//! The meaning of an entry.

use super::{Device, EntryPath, LinkTarget, Metadata, SparseMap};

/// A change to the tree of the lower layers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The path; for a whiteout the path that it removes, for an opaque whiteout the directory.
    pub path: EntryPath,
    /// The kind, with its data.
    pub kind: ChangeKind,
}

impl Change {
    /// A change of this kind at a path.
    pub fn new(path: EntryPath, kind: ChangeKind) -> Self {
        Self { path, kind }
    }

    /// The attributes; `None` for what is skipped and for whiteouts. Those of a hard link are repeated from its first entry,
    /// and are not applied.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.kind.metadata()
    }
}

impl ChangeKind {
    /// The attributes: see [`Change::metadata`].
    pub fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Directory(metadata)
            | Self::Fifo(metadata)
            | Self::File { metadata, .. }
            | Self::PseudoLink { metadata, .. }
            | Self::HardLink { metadata, .. }
            | Self::Symlink { metadata, .. }
            | Self::Device { metadata, .. } => Some(metadata),
            Self::Skipped(_) | Self::Whiteout | Self::OpaqueWhiteout => None,
        }
    }
}

/// The kinds of changes. The enum is exhaustive on purpose: a sink has to decide about each kind.
///
/// Follows image-spec, layer.md, "Change Types" and "Representing Changes".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// A directory. It is created, or an existing directory gets these attributes.
    Directory(Metadata),
    /// A regular file.
    File {
        /// Its attributes.
        metadata: Metadata,
        /// Its size in bytes, holes included.
        size: u64,
        /// The segments of its data, if it has holes.
        sparse: Option<SparseMap>,
    },
    /// The data of hard links of the same layer, as AUFS keeps it: a regular file. In the image, it does not have this
    /// path, but the paths of the hard links to it, if there are any.
    ///
    /// Later hard links of the same layer can name it. [`EntryPath::pseudo_link`] is its name.
    PseudoLink {
        /// Its attributes.
        metadata: Metadata,
        /// Its size in bytes, holes included.
        size: u64,
        /// The segments of its data, if it has holes.
        sparse: Option<SparseMap>,
    },
    /// Another name for the file at another path.
    HardLink {
        /// The path of the file as the archive names it. Symbolic links on the way are not resolved. It may be the path of
        /// a [`ChangeKind::PseudoLink`] of the same layer ([`EntryPath::pseudo_link`]).
        target: EntryPath,
        /// The attributes that the entry repeats. They are not applied: the inode has those of its first entry.
        metadata: Metadata,
    },
    /// A symbolic link.
    Symlink {
        /// Its attributes. The mode has no meaning.
        metadata: Metadata,
        /// The target.
        target: LinkTarget,
    },
    /// A named pipe.
    Fifo(Metadata),
    /// A device node. The policy creates devices.
    Device {
        /// Its attributes.
        metadata: Metadata,
        /// The device.
        device: Device,
    },
    /// A device node or named pipe that the policy skips. It is not created, but a file of a lower layer at this path
    /// is removed.
    Skipped(Skippable),
    /// A whiteout. The file or directory of lower layers at this path is removed.
    Whiteout,
    /// An opaque whiteout. All content of lower layers in this directory is removed.
    OpaqueWhiteout,
}

/// The entries that a policy may skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skippable {
    /// A device node.
    Device,
    /// The character device 0:0, which is a whiteout to overlay file systems. No policy creates it.
    DeviceZero,
    /// A named pipe.
    Fifo,
}

impl Skippable {
    /// What a device node is.
    pub(crate) fn of(device: Device) -> Self {
        if device.is_zero() { Self::DeviceZero } else { Self::Device }
    }
}
