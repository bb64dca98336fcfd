//! Entries of a tar archive.

use super::{Device, EntryPath, LinkTarget, Quirk, SparseMap, Timestamp};

/// One entry of a layer, as it is in the archive. A [`Change`](crate::tar::Change) is its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its number in the layer, from 1.
    pub number: u64,
    /// Where its first header block (extended headers included) starts in the uncompressed layer.
    pub offset: u64,
    /// Its final name.
    pub path: EntryPath,
    /// Its type, with the data of that type.
    pub kind: EntryKind,
    /// Owner, mode, time and extended attributes.
    pub metadata: Metadata,
    /// Its quirks, which policy decides.
    pub quirks: Vec<Quirk>,
}

/// The type of an entry. The enum is exhaustive on purpose: a program that matches it must handle each type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its size in bytes, holes included.
        size: u64,
        /// The segments of its data, if it has holes.
        sparse: Option<SparseMap>,
    },
    /// Another name of a file.
    HardLink {
        /// The name as it is written. It is not parsed, because whiteouts ignore it.
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// The target.
        target: LinkTarget,
    },
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A device node.
    Device(Device),
}

/// The metadata of an inode.
///
/// The default is owner 0:0, mode 0, the time 1970-01-01 and no attributes. Set the fields that differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u32,
    /// The numeric owner, 0 to 2³²-2.
    pub uid: u32,
    /// The numeric group, 0 to 2³²-2.
    pub gid: u32,
    /// The time of last modification.
    pub mtime: Timestamp,
    /// Extended attributes, each name once.
    pub xattrs: Vec<Xattr>,
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Xattr {
    /// Its full name, `user.mime_type` for example: not empty, no NUL, at most 255 bytes.
    pub name: Vec<u8>,
    /// Its value, which may be empty.
    pub value: Vec<u8>,
}
