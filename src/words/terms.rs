//! What applies to a whole layer.

use super::{Cancellation, Durability, Limits, Metadata, SelinuxLabel, Timestamp, Xattrs};

/// The part of policy and limits that applies to a whole layer. A [`Sink`](crate::Sink) gets it when the layer begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// The limits.
    pub limits: Limits,
    /// How owners are handled.
    pub ownership: Ownership,
    /// What is on the disk when a layer has been applied to a visible tree.
    pub durability: Durability,
    /// The metadata of directories that no entry lists.
    pub implied: Metadata,
    /// The SELinux label of what is created.
    pub selinux_label: Option<SelinuxLabel>,
    /// Which extended attributes layers may have. An attribute that an entry lacks is removed from a directory that is there
    /// already, if layers may have it.
    pub xattrs: Xattrs,
    /// Whether the work is to stop.
    pub cancellation: Cancellation,
}

/// How owners are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ownership {
    /// Owners are set if the privileges allow it. Otherwise the caller owns all files. An id that the user namespace does
    /// not map is replaced by the caller's id.
    #[default]
    Possible,
    /// Owners are set. If that fails, it is an error.
    Required,
    /// The caller owns all files.
    Caller,
    /// The caller owns all files, and an extended attribute of each change stores the owner of the layer.
    Recorded,
}

impl Terms {
    /// The terms of the default policy and the default limits.
    pub fn new() -> Self {
        let implied = Metadata { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new() };
        Self {
            limits: Limits::default(),
            ownership: Ownership::default(),
            durability: Durability::default(),
            implied,
            selinux_label: None,
            xattrs: Xattrs::Safe,
            cancellation: Cancellation::default(),
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self::new()
    }
}
