//! What holds for a whole layer.

use super::{Durability, Limits, Metadata, Timestamp};

/// What holds for a whole layer, as policy and limits have it: a [`Sink`](crate::Sink) is given it when the layer
/// begins, and knows nothing else of policy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// What is enforced.
    pub limits: Limits,
    /// What becomes of the owners that changes name.
    pub ownership: Ownership,
    /// What is on the disk when a layer has been applied to a tree that can be seen.
    pub durability: Durability,
    /// What a directory carries that no entry lists.
    pub implied: Metadata,
}

/// What becomes of the owners that changes name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ownership {
    /// Owners are set if we may change them. Otherwise the caller owns all files. An id that the user namespace does
    /// not map is replaced by the caller's.
    #[default]
    Possible,
    /// They are set, or it is an error.
    Required,
    /// Everything is the caller's.
    Caller,
    /// Everything is the caller's, and an extended attribute that comes with each change says whose it should be.
    Recorded,
}

impl Terms {
    /// Those of the default policy within the default limits.
    pub fn new() -> Self {
        let implied = Metadata { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new() };
        Self { limits: Limits::default(), ownership: Ownership::default(), durability: Durability::default(), implied }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self::new()
    }
}
