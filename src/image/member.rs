//! A member of an archive.

use super::blob::BlobReader;
use crate::words::{EntryKind, Segment, SparseMap, Violation};
use std::fs::File;
use std::sync::{Arc, OnceLock};

/// A member, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// A regular file.
    File(Place),
    /// A directory.
    Directory,
    /// A symbolic link.
    Link(Box<Link>),
    /// A hard link, with its target as written. `Members::add` replaces it by its target.
    HardLink(Box<[u8]>),
    /// A hard link whose target is missing or a directory. The error is returned when the member is used.
    Broken(Box<Violation>),
    /// A device or a FIFO. No image needs one.
    Other,
}

/// The position of a file's content in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The first byte in the archive.
    pub(super) at: u64,
    /// The size of the file in bytes, with its holes.
    pub(super) size: u64,
    /// The map of the stored parts of a sparse file. `tar -S`, bsdtar and Rust's `tar` write sparse files.
    pub(super) map: Option<Arc<SparseMap>>,
}

impl Place {
    /// The number of bytes that the content takes in the archive.
    pub(super) fn stored(&self) -> u64 {
        // The sum cannot overflow: the map checked that it is at most the size.
        self.map.as_ref().map_or(self.size, |map| map.segments().iter().map(|segment| segment.length).sum())
    }

    pub(super) fn reader(&self, archive: &Arc<File>) -> BlobReader {
        let archive = Arc::clone(archive);
        match &self.map {
            Some(map) => BlobReader::sparse(archive, self.at, self.size, Arc::clone(map)),
            None => BlobReader::new(archive, self.at, self.size),
        }
    }
}

impl Member {
    /// An entry whose content begins at this byte.
    pub(super) fn of(kind: EntryKind, at: u64) -> Self {
        match kind {
            EntryKind::File { size, sparse } => Self::File(Place { at, size, map: sparse.map(Arc::new) }),
            EntryKind::Directory => Self::Directory,
            EntryKind::Symlink { target } => {
                Self::Link(Box::new(Link { target: target.as_bytes().into(), leads_to: OnceLock::new() }))
            }
            EntryKind::HardLink { target } => Self::HardLink(target.into()),
            EntryKind::Fifo | EntryKind::Device(_) => Self::Other,
        }
    }

    /// The bytes of memory that it takes beside its name.
    pub(super) fn kept(&self) -> usize {
        match self {
            Self::Link(link) => link.target.len(),
            Self::HardLink(target) => target.len(),
            Self::File(Place { map: Some(map), .. }) => map.segments().len().saturating_mul(size_of::<Segment>()),
            Self::File(_) | Self::Directory | Self::Broken(_) | Self::Other => 0,
        }
    }
}

/// A symbolic link in an archive.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) target: Box<[u8]>,
    /// The member that the link leads to, cached after the first lookup. 500 layers may lead through the same 40 links
    /// of 4,096 bytes: each link is followed once.
    pub(super) leads_to: OnceLock<usize>,
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}

impl Eq for Link {}
