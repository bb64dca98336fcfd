//! What prevents an unpacked tree from taking its name.

use std::fmt::{self, Display};

/// What occupies the name of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Occupant {
    /// A directory that is not empty.
    FullDirectory,
    /// A mount point.
    MountPoint,
    /// A symbolic link. It is not followed.
    SymbolicLink,
    /// A file, a FIFO, a socket or a device.
    File,
    /// A directory that appeared after the staging began.
    NewDirectory,
}

impl Occupant {
    /// What a person can do about it.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::FullDirectory => "choose another name, or empty the directory: an empty one is replaced",
            Self::MountPoint => "a mount point cannot be replaced; name a new directory inside it, or unmount it",
            Self::SymbolicLink => "name the directory that the link leads to, if it is empty, or choose another name",
            Self::File => "choose another name, or remove what is there",
            Self::NewDirectory => "another program made it meanwhile; choose another name, or run again if it is empty",
        }
    }
}

impl Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FullDirectory => "a directory that is not empty",
            Self::MountPoint => "a mount point",
            Self::SymbolicLink => "a symbolic link",
            Self::File => "not a directory",
            Self::NewDirectory => "a directory that was not there at the start",
        })
    }
}
