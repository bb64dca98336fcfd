//! The names of files that have more than one, in lower layers.

use std::collections::HashMap;

/// Bytes of memory for a name, beside the name.
pub(super) const OVERHEAD: u64 = 64;

/// The names of the files of lower layers that have more than one, by layer and inode.
#[derive(Debug, Default)]
pub(super) struct LinkedNames {
    pub(super) layers: HashMap<usize, Paths>,
    pub(super) bytes: u64,
}

/// The paths of files, by device and inode.
pub(super) type Paths = HashMap<(u64, u64), Vec<Box<[u8]>>>;
