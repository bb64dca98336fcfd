//! The name that a staged tree takes: a free one, or that of an empty directory.
//!
//! The tree takes the place of an empty directory by a plain `rename`. The kernel looks whether the directory is empty,
//! and replaces it, under the directory's lock: a file that another process puts into it either makes the `rename` fail
//! or cannot be made any more. No `RENAME_EXCHANGE`: the directory would come out into the stage, perhaps with files that
//! another process has just made in it, and a kill right then would leave those to be removed with the stage.
//!
//! Between our last look at the name and the `rename` one thing can go unnoticed: another process that may write to the
//! parent puts another *empty* directory there, and that one is replaced. No data can be lost this way.

use super::directory::{self, Me, Opened};
use super::remove::Names;
use super::sys::{self, Status};
use crate::words::{Escaped, Fault, Misuse, Occupant};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a directory in the stage is called that is to be put back under the target's name.
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

/// What a name is that of.
enum Found {
    Nothing,
    Empty(Empty),
    Occupied(Occupant),
}

impl Target {
    /// Looks at what is at `name`. Nothing there is changed, not even where a mode keeps us out.
    pub(super) fn find(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Fault> {
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

    /// Gives the name to the directory that is at `from`, if it is still free, or that of the same empty directory.
    pub(super) fn give(&self, parent: BorrowedFd<'_>, from: (BorrowedFd<'_>, &[u8])) -> Result<(), Fault> {
        let Some(Empty { status: before, .. }) = &self.before else { return self.take_free(parent, from) };
        match look(parent, &self.name)? {
            Found::Empty(now) if now.status.identity == before.identity => self.replace(parent, from),
            Found::Empty(_) => Err(exists(&self.name, Occupant::NewDirectory)),
            Found::Occupied(occupant) => Err(exists(&self.name, occupant)),
            // Another process has removed it.
            Found::Nothing => self.take_free(parent, from),
        }
    }

    fn take_free(&self, parent: BorrowedFd<'_>, from: (BorrowedFd<'_>, &[u8])) -> Result<(), Fault> {
        match sys::carry(from, (parent, &self.name)) {
            // What came up meanwhile stays, even an empty directory: another process has a use for it.
            Err(Errno::EXIST) => Err(self.occupied(parent)),
            other => other.map_err(sys::fault("renameat2", &self.name)),
        }
    }

    fn replace(&self, parent: BorrowedFd<'_>, from: (BorrowedFd<'_>, &[u8])) -> Result<(), Fault> {
        match sys::rename(from.0, from.1, parent, &self.name) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => Err(exists(&self.name, Occupant::FullDirectory)),
            // Something was mounted there since we looked, or the kernel does not tell us of mounts (before 5.8).
            Err(Errno::BUSY) => Err(exists(&self.name, Occupant::MountPoint)),
            Err(Errno::NOTDIR) => Err(self.occupied(parent)),
            Err(errno @ (Errno::PERM | Errno::ACCESS)) => {
                Err(Fault::system("renameat", &self.name, errno).with_help(PROTECTED))
            }
            other => other.map_err(sys::fault("renameat", &self.name)),
        }
    }

    /// The error for a name that is no longer free.
    fn occupied(&self, parent: BorrowedFd<'_>) -> Fault {
        match look(parent, &self.name) {
            Ok(Found::Occupied(occupant)) => exists(&self.name, occupant),
            Ok(_) => exists(&self.name, Occupant::NewDirectory),
            Err(fault) => fault,
        }
    }

    /// Puts an empty directory under the name, where one was and has been replaced. It is a new one, with the owner and
    /// the mode of the old one. The stage is ours alone, so nothing can be swapped for it before it is open.
    pub(super) fn restore(&self, parent: BorrowedFd<'_>, stage: BorrowedFd<'_>, me: Me) -> Result<(), Fault> {
        let Some(Empty { status: before, .. }) = &self.before else { return Ok(()) };
        let made = make_directory(stage, SUBSTITUTE, me)?;
        match sys::carry((stage, SUBSTITUTE), (parent, &self.name)) {
            // The name has gone to something else: dropping the stage removes this one.
            Err(Errno::EXIST) => return Ok(()),
            other => other.map_err(sys::fault("renameat2", &self.name))?,
        }
        // It stays ours where we may not give it away.
        let _ = sys::set_owner(made.as_fd(), Some(before.uid), Some(before.gid));
        sys::set_mode(made.as_fd(), before.mode).map_err(sys::fault("fchmod", &self.name))
    }
}

/// Makes a directory in a stage, and opens it.
pub(super) fn make_directory(stage: BorrowedFd<'_>, name: &[u8], me: Me) -> Result<OwnedFd, Fault> {
    sys::create_directory(stage, name).map_err(sys::fault("mkdirat", name))?;
    let mount = sys::status(stage).map_err(sys::fault("statx", name))?.mount;
    match directory::open(stage, name, mount, me)? {
        Opened::Directory { fd, .. } => Ok(fd),
        _ => Err(Fault::system("openat", name, Errno::STALE)),
    }
}

fn exists(name: &[u8], occupant: Occupant) -> Fault {
    Misuse::TargetExists { name: Escaped::new(name), occupant }.into()
}

fn look(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Found, Fault> {
    let status = |handle| sys::status(handle).map_err(sys::fault("statx", name));
    // A handle that only names: no driver runs, no FIFO waits, and a link is not followed.
    let handle = match sys::open_handle(parent, name) {
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        other => other.map_err(sys::fault("openat", name))?,
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

/// Whether a directory is empty, as far as we may see: one whose mode keeps us out counts as empty. The kernel knows
/// better, and says so when the tree is to take the name.
fn is_empty(directory: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Fault> {
    match sys::open_directory(directory, b".") {
        Err(Errno::ACCESS) => Ok(true),
        other => Ok(Names::own(other.map_err(sys::fault("openat", name))?, name)?.next()?.is_none()),
    }
}
