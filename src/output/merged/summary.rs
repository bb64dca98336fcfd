//! A layer of a merged tree, and what it did.

use crate::read::Checked;
use crate::words::Digest;

/// A layer of a [`MergedTree`](crate::MergedTree): its size, and what it did to the file system of the layers below.
///
/// Here, a file is anything but a directory, and each hard link counts. Files are compared by path, at the end of each
/// layer. A path with two entries in one layer counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The number of the layer, from 1 at the bottom.
    pub number: usize,
    /// The digest of the blob, if it was expected or computed.
    pub digest: Option<Digest>,
    /// The digest of the uncompressed layer, if it was expected or computed.
    pub diff_id: Option<Digest>,
    /// Bytes of the blob.
    pub blob_bytes: u64,
    /// Bytes of the uncompressed layer.
    pub unpacked_bytes: u64,
    /// Entries, whiteouts included. Entries without a meaning are not counted: the bookkeeping of AUFS, for instance.
    pub entries: u64,
    /// Files at paths where the layers below have no file.
    pub added: u64,
    /// Files in place of files of the layers below.
    pub changed: u64,
    /// Files of the layers below that are gone, with no file at their paths.
    pub removed: u64,
    /// Bytes of content of this layer that upper layers hid, and that no path of the tree has any more.
    pub hidden_bytes: u64,
}

impl LayerSummary {
    /// A layer that ended. What it did is not counted yet.
    pub(super) fn of(number: usize, checked: &Checked, entries: u64) -> Self {
        Self {
            number,
            digest: checked.digest(),
            diff_id: checked.diff_id(),
            blob_bytes: checked.blob_bytes,
            unpacked_bytes: checked.unpacked_bytes,
            entries,
            added: 0,
            changed: 0,
            removed: 0,
            hidden_bytes: 0,
        }
    }
}
