//! Places of the cage: an open directory, and a name in it.

use super::directory::Directory;
use crate::tree::{self, path_of};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

pub(super) type Place<'a> = tree::Place<'a, Arc<Directory>>;

impl<'a> Place<'a> {
    /// The handle of the directory.
    pub(super) fn at(&self) -> BorrowedFd<'a> {
        self.dir().as_fd()
    }

    /// The name in it.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.name().as_bytes()
    }

    /// The components from the root, with links resolved.
    pub(super) fn path(&self) -> Box<[u8]> {
        path_of(self.dir().path(), self.name())
    }
}

/// The path of a file: that of its directory, and its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    pub(super) directory: &'a [u8],
    pub(super) name: &'a [u8],
}

impl Path<'_> {
    /// Appends the path to `into`.
    pub(super) fn write(self, into: &mut Vec<u8>) {
        if !self.directory.is_empty() {
            into.extend_from_slice(self.directory);
            into.push(b'/');
        }
        into.extend_from_slice(self.name);
    }
}
