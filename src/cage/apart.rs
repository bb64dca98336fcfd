//! The directory for files that are not in the tree. `pseudo_links.rs` explains what it is for.

use super::attributes::strip_acls;
use super::directory::{self, Caller, DefaultAcl, Directory, Opened};
use super::failed::{At, swapped};
use super::removal::{Remover, Unremoved};
use super::sys;
use crate::words::{Error, PlaceId};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The name of the directory, beside the staged tree or in the directory of the run.
pub(super) const APART: &[u8] = b"apart";

/// The path of the directory in error messages: the name that archives use.
const SHOWN: &[u8] = b".wh..wh.plnk";

/// The directory, with its parent and its name there.
#[derive(Debug)]
pub(super) struct Apart {
    directory: Arc<Directory>,
    parent: OwnedFd,
    name: Vec<u8>,
}

impl Apart {
    /// Creates the directory.
    pub(super) fn make(parent: OwnedFd, name: Vec<u8>, id: PlaceId, mount: u64, caller: Caller) -> Result<Self, Error> {
        sys::create_directory(parent.as_fd(), &name).at(&name)?;
        let opened = open(parent.as_fd(), &name, id, mount, caller);
        let directory = opened.inspect_err(|_| {
            let _ = sys::remove_directory(parent.as_fd(), &name);
        })?;
        Ok(Self { directory: Arc::new(directory), parent, name })
    }

    pub(super) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    /// Whether it is this directory.
    pub(super) fn is(&self, directory: &Directory) -> bool {
        self.directory.id() == directory.id()
    }

    /// Whether a name in `parent` is that of the directory.
    pub(super) fn is_at(&self, parent: BorrowedFd<'_>, name: &[u8]) -> bool {
        self.name == name && sys::names(parent, name, self.directory.status.identity)
    }

    /// Removes the directory with its content.
    pub(super) fn remove(self, mut remover: Remover<'_>) -> Result<(), Unremoved> {
        let Self { directory, parent, name } = self;
        drop(directory);
        remover.remove_tree(parent.as_fd(), &name)
    }
}

fn open(parent: BorrowedFd<'_>, name: &[u8], id: PlaceId, mount: u64, caller: Caller) -> Result<Directory, Error> {
    let Opened::Directory { fd, status, mode_now } = directory::open(parent, name, mount, caller)? else {
        return Err(swapped(name));
    };
    // The directory above, or the root of the tree, may have a default ACL. Files that get a name in the tree must not
    // inherit it.
    strip_acls(fd.as_fd())?;
    Ok(Directory::new(fd, id, SHOWN.into(), status, mode_now, DefaultAcl::Absent))
}
