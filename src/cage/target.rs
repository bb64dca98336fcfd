//! The name that a staged tree takes: a free name, or the name of an empty directory.
//!
//! The tree replaces an empty directory by a plain `rename`. The kernel checks that the directory is empty and replaces
//! it, both under the directory's lock. If another process creates a file in it before, the `rename` fails. Afterwards
//! such a file can no longer be created. `RENAME_EXCHANGE` is not used: it would move the directory into the stage,
//! perhaps with new files of another process. After a kill, those files would be removed with the stage.
//!
//! One race remains between our last check and the `rename`. Another process with write permission in the parent may
//! put another *empty* directory there, and that one is replaced. No file can be lost this way.

use super::directory::{self, Caller, Opened};
use super::failed::{At, Failed, swapped};
use super::names::Names;
use super::sys::{self, Status};
use crate::words::{Error, Escaped, Misuse, Occupant};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The name, in the stage, of the directory that is put back under the target's name.
pub(super) const SUBSTITUTE: &[u8] = b"empty";

const PROTECTED: &str = "the empty directory of that name may not be replaced: it belongs to another user in a directory \
                         with the sticky bit, or a flag protects it; choose another name";

/// The target of a stage.
#[derive(Debug)]
pub(super) struct Target {
    name: Box<[u8]>,
    /// The empty directory that had the name when the staging began.
    before: Option<Empty>,
}

/// An empty directory. Its handle keeps its inode number from being given to another one.
#[derive(Debug)]
struct Empty {
    _handle: OwnedFd,
    status: Status,
}

/// What was found at a name.
enum Found {
    Nothing,
    Empty(Empty),
    Occupied(Occupant),
}

impl Target {
    /// Inspects `name`. Changes nothing there, even if a mode denies us access.
    pub(super) fn find(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Error> {
        let before = match look(parent, name)? {
            Found::Nothing => None,
            Found::Empty(empty) => Some(empty),
            Found::Occupied(occupant) => return Err(exists(name, occupant)),
        };
        Ok(Self { name: name.into(), before })
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Renames the directory at `from` to the target, if that name is still free or still belongs to the same empty
    /// directory.
    pub(super) fn give(&self, parent: BorrowedFd<'_>, from: (BorrowedFd<'_>, &[u8])) -> Result<(), Error> {
        let Some(Empty { status: before, .. }) = &self.before else { return self.take_free(parent, from) };
        match look(parent, &self.name)? {
            Found::Empty(now) if now.status.identity == before.identity => self.replace(parent, from),
            Found::Empty(_) => Err(exists(&self.name, Occupant::NewDirectory)),
            Found::Occupied(occupant) => Err(exists(&self.name, occupant)),
            // Another process has removed it.
            Found::Nothing => self.take_free(parent, from),
        }
    }

    fn take_free(&self, parent: BorrowedFd<'_>, from: (BorrowedFd<'_>, &[u8])) -> Result<(), Error> {
        match sys::rename_noreplace(from, (parent, &self.name)) {
            // A file or directory that appeared meanwhile stays, even an empty directory: another process uses it.
            Err(Failed { errno: Errno::EXIST, .. }) => Err(self.occupied(parent)),
            other => other.at(&self.name),
        }
    }

    fn replace(&self, parent: BorrowedFd<'_>, from: (BorrowedFd<'_>, &[u8])) -> Result<(), Error> {
        match sys::rename(from.0, from.1, parent, &self.name) {
            Err(Failed { errno: Errno::NOTEMPTY | Errno::EXIST, .. }) => {
                Err(exists(&self.name, Occupant::FullDirectory))
            }
            // A mount appeared since our check, or the kernel does not report mounts (before 5.8).
            Err(Failed { errno: Errno::BUSY, .. }) => Err(exists(&self.name, Occupant::MountPoint)),
            Err(Failed { errno: Errno::NOTDIR, .. }) => Err(self.occupied(parent)),
            Err(failed @ Failed { errno: Errno::PERM | Errno::ACCESS, .. }) => {
                Err(failed.at(&self.name).with_advice(PROTECTED))
            }
            other => other.at(&self.name),
        }
    }

    /// The error for a name that is no longer free.
    fn occupied(&self, parent: BorrowedFd<'_>) -> Error {
        match look(parent, &self.name) {
            Ok(Found::Occupied(occupant)) => exists(&self.name, occupant),
            Ok(_) => exists(&self.name, Occupant::NewDirectory),
            Err(error) => error,
        }
    }

    /// Creates an empty directory under the name, if one was replaced. It is a new one, with the owner and mode of the
    /// old one. Only we can enter the stage, so it cannot be swapped before it is open.
    pub(super) fn restore(&self, parent: BorrowedFd<'_>, stage: BorrowedFd<'_>, caller: Caller) -> Result<(), Error> {
        let Some(Empty { status: before, .. }) = &self.before else { return Ok(()) };
        let made = make_directory(stage, SUBSTITUTE, caller)?;
        match sys::rename_noreplace((stage, SUBSTITUTE), (parent, &self.name)) {
            // The name was taken by another process. Dropping the stage removes this directory.
            Err(Failed { errno: Errno::EXIST, .. }) => return Ok(()),
            other => other.at(&self.name)?,
        }
        // If we may not change its owner, it stays ours.
        let _ = sys::set_owner(made.as_fd(), Some(before.uid), Some(before.gid));
        sys::set_mode(made.as_fd(), before.mode).at(&self.name)
    }
}

/// Makes a directory in a stage, and opens it.
pub(super) fn make_directory(stage: BorrowedFd<'_>, name: &[u8], caller: Caller) -> Result<OwnedFd, Error> {
    sys::create_directory(stage, name).at(name)?;
    let mount = sys::status(stage).at(name)?.mount;
    match directory::open(stage, name, mount, caller)? {
        Opened::Directory { fd, .. } => Ok(fd),
        _ => Err(swapped(name)),
    }
}

fn exists(name: &[u8], occupant: Occupant) -> Error {
    Misuse::TargetExists { name: Escaped::new(name), occupant }.into()
}

fn look(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Found, Error> {
    let status = |handle| sys::status(handle).at(name);
    // An `O_PATH` handle: it calls no driver, does not block on a FIFO, and follows no link.
    let handle = match sys::open_handle(parent, name) {
        Err(Failed { errno: Errno::NOENT, .. }) => return Ok(Found::Nothing),
        other => other.at(name)?,
    };
    let found = status(handle.as_fd())?;
    Ok(if found.mount != status(parent)?.mount {
        Found::Occupied(Occupant::MountPoint)
    } else if found.kind == FileType::Symlink {
        Found::Occupied(Occupant::SymbolicLink)
    } else if found.kind != FileType::Directory {
        Found::Occupied(Occupant::File)
    } else if is_empty(handle.as_fd(), name)? {
        Found::Empty(Empty { _handle: handle, status: found })
    } else {
        Found::Occupied(Occupant::FullDirectory)
    })
}

/// Whether a directory is empty. A directory that we may not read counts as empty: the kernel checks it in the
/// `rename`.
fn is_empty(directory: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Error> {
    match sys::open_directory(directory, b".") {
        Err(Failed { errno: Errno::ACCESS, .. }) => Ok(true),
        other => Ok(Names::own(other.at(name)?, name)?.next()?.is_none()),
    }
}
