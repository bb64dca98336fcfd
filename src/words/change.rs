//! What an entry means.

use super::{Device, EntryPath, LinkTarget, Metadata, SparseMap};

/// What an entry does to the tree that the lower layers left.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Where: for a whiteout the path that it removes, for an opaque whiteout the directory.
    pub path: EntryPath,
    /// What.
    pub kind: ChangeKind,
}

impl Change {
    /// A change of this kind at a path.
    pub fn new(path: EntryPath, kind: ChangeKind) -> Self {
        Self { path, kind }
    }
}

/// The kinds of changes. The enum is exhaustive on purpose: a sink has to decide about each kind.
///
/// Follows image-spec, layer.md, "Change Types" and "Representing Changes".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// A directory: made, or given these attributes where one is.
    Directory(Metadata),
    /// A regular file.
    File {
        /// Its attributes.
        metadata: Metadata,
        /// Its size in bytes, holes included.
        size: u64,
        /// Where its data lies when it has holes.
        sparse: Option<SparseMap>,
    },
    /// The data of hard links of the same layer, as AUFS keeps it: a regular file that is not in the image under this
    /// path, but under the names of the hard links to it, if there are any.
    ///
    /// It is known to hard links behind it, until its layer ends. [`EntryPath::pseudo_link`] is its name.
    PseudoLink {
        /// Its attributes.
        metadata: Metadata,
        /// Its size in bytes, holes included.
        size: u64,
        /// Where its data lies when it has holes.
        sparse: Option<SparseMap>,
    },
    /// One more name for what is at another path.
    HardLink {
        /// The path in the image whose inode is named, or that of a [`ChangeKind::PseudoLink`] of the same layer
        /// ([`EntryPath::pseudo_link`]).
        target: EntryPath,
        /// The attributes that the entry repeats; not applied, since the inode has those of its first entry.
        metadata: Metadata,
    },
    /// A symbolic link.
    Symlink {
        /// Its attributes; the mode means nothing.
        metadata: Metadata,
        /// What it points at.
        target: LinkTarget,
    },
    /// A named pipe.
    Fifo(Metadata),
    /// A device node, which policy lets pass.
    Device {
        /// Its attributes.
        metadata: Metadata,
        /// Which one.
        device: Device,
    },
    /// Nothing is made, but what a lower layer has at this path goes: a device node or named pipe that policy
    /// skips.
    Skipped,
    /// A whiteout: what lower layers have at this path goes.
    Whiteout,
    /// An opaque whiteout: what lower layers have below this directory goes.
    OpaqueWhiteout,
}
