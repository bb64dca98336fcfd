//! What is kept of each name and of each inode.

use super::texts::Text;
use super::xattrs::XattrSet;
use crate::words::{Device, Hiding, Metadata, Timestamp};

/// No name, or no inode.
pub(super) const NONE: u32 = u32::MAX;

/// Where in an image something comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    /// The layer, from 1 at the bottom; 0 for a root that no entry lists.
    pub(crate) layer: u32,
    /// The entry, from 1.
    pub(crate) entry: u32,
    /// Where the entry begins in the uncompressed layer.
    pub(crate) offset: u64,
}

/// A name in a directory.
///
/// Names that are not in the tree any more stay in memory, and so do their inodes: they are what is hidden.
#[derive(Debug)]
pub(super) struct NameData {
    /// The inode of the directory that it is in.
    pub(super) parent: u32,
    pub(super) inode: u32,
    pub(super) text: Text,
    pub(super) hash: u32,
    /// The next name of the inode; that of the last one is the first.
    pub(super) next_link: u32,
    pub(super) state: State,
    pub(super) origin: Origin,
}

/// Whether a name is in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is, between these names of its directory.
    Present { previous: u32, next: u32 },
    /// An entry of this layer has hidden it.
    Hidden { layer: u32, entry: u32, how: Hiding },
    /// It was never in the tree, but the name of data that a layer kept beside it.
    Apart,
}

/// What names lead to.
#[derive(Debug)]
pub(super) struct InodeData {
    pub(super) kind: Kind,
    seconds: i64,
    nanoseconds: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) xattrs: XattrSet,
    /// How many names lead to it.
    pub(super) links: u32,
    /// The name that came last. A directory has no other.
    pub(super) last_name: u32,
    /// The layer and the entry that its content and metadata come from.
    pub(super) layer: u32,
    pub(super) entry: u32,
}

/// The kind of an inode, with what only that kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first and the last name in it.
    Directory {
        first: u32,
        last: u32,
        listed: Listed,
    },
    File {
        size: u64,
        has_holes: bool,
    },
    Symlink(Text),
    Fifo,
    Device(Device),
}

/// Whether an entry lists a directory, or it is only the parent of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    Yes,
    No,
}

impl Kind {
    pub(super) fn directory(listed: Listed) -> Self {
        Self::Directory { first: NONE, last: NONE, listed }
    }
}

impl InodeData {
    pub(super) fn new(kind: Kind, origin: Origin) -> Self {
        Self {
            kind,
            seconds: 0,
            nanoseconds: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            xattrs: XattrSet::default(),
            links: 0,
            last_name: NONE,
            layer: origin.layer,
            entry: origin.entry,
        }
    }

    /// Sets everything but the extended attributes.
    pub(super) fn set(&mut self, metadata: &Metadata) {
        (self.mode, self.uid, self.gid) = (metadata.mode, metadata.uid, metadata.gid);
        (self.seconds, self.nanoseconds) = (metadata.mtime.seconds(), metadata.mtime.nanoseconds());
    }

    pub(super) fn mtime(&self) -> Timestamp {
        Timestamp::known(self.seconds, self.nanoseconds)
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_inode_take_120_bytes() {
        assert_eq!((size_of::<NameData>(), size_of::<InodeData>()), (56, 64));
    }
}
