//! Open directories, and the mode and time that they get when they are closed.

use super::failed::{At, Failed};
use super::proc;
use super::sys::{self, HandleKind, Status};
use crate::words::acl::DEFAULT_ACL;
use crate::words::{Error, Escaped, PlaceId, Timestamp, Violation, Xattr};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A directory below the root (or the root itself) that the cage holds open.
///
/// While it is open, it has a mode that lets us work in it, and any time. [`Directory::settle`] sets the final mode and
/// time. A directory that is opened again is settled again. So no list of all directories of a layer is needed.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    id: PlaceId,
    /// The components from the root, joined by slashes.
    path: Box<[u8]>,
    pub(super) status: Status,
    has_default_acl: AtomicBool,
    settled: Mutex<Settled>,
}

/// Whether new files get an ACL from their directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DefaultAcl {
    Present,
    Absent,
}

impl DefaultAcl {
    /// Reads it from a directory.
    pub(super) fn read(directory: BorrowedFd<'_>) -> Self {
        if sys::has_xattr(directory, DEFAULT_ACL) { Self::Present } else { Self::Absent }
    }

    /// Finds it among the attributes of a directory.
    pub(super) fn among(xattrs: &[Xattr]) -> Self {
        if xattrs.iter().any(|xattr| xattr.name == DEFAULT_ACL) { Self::Present } else { Self::Absent }
    }
}

/// The attributes that a directory gets when it is settled.
#[derive(Debug)]
struct Settled {
    mode: u32,
    mtime: Timestamp,
    /// The present mode.
    mode_now: u32,
    owner: (u32, u32),
    /// Whether a name in it was added or removed, which changes its time.
    touched: bool,
    /// Whether an entry sets these attributes. Otherwise they are those that the directory had.
    named: bool,
}

impl Directory {
    pub(super) fn new(
        fd: OwnedFd,
        id: PlaceId,
        path: Box<[u8]>,
        status: Status,
        mode_now: u32,
        acl: DefaultAcl,
    ) -> Self {
        let owner = (status.uid, status.gid);
        let settled = Settled { mode: status.mode, mtime: status.mtime, mode_now, owner, touched: false, named: false };
        Self {
            fd,
            id,
            path,
            status,
            has_default_acl: AtomicBool::new(acl == DefaultAcl::Present),
            settled: Mutex::new(settled),
        }
    }

    /// Its place. A file that replaces it has the same place.
    pub(crate) fn id(&self) -> PlaceId {
        self.id
    }

    /// The components from the root, joined by slashes, with symbolic links resolved.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(super) fn has_default_acl(&self) -> bool {
        self.has_default_acl.load(Ordering::Relaxed)
    }

    pub(super) fn set_default_acl(&self, acl: DefaultAcl) {
        self.has_default_acl.store(acl == DefaultAcl::Present, Ordering::Relaxed);
    }

    /// Whether new files take their group from this directory: it is setgid.
    pub(super) fn leaks(&self) -> bool {
        self.lock().mode_now & 0o2000 != 0
    }

    /// Records that a name in it is about to be added, replaced or removed.
    pub(super) fn touch(&self) {
        self.lock().touched = true;
    }

    /// Its owner.
    pub(super) fn owner(&self) -> (u32, u32) {
        self.lock().owner
    }

    pub(super) fn set_owner(&self, owner: (u32, u32)) {
        self.lock().owner = owner;
    }

    /// Reads the present mode, and adds the permissions that we need to work in it.
    pub(super) fn open_up(&self, caller: Caller) -> Result<(), Error> {
        let status = sys::status(self.fd.as_fd()).at(&self.path)?;
        self.lock().mode_now = caller.open_up(self.fd.as_fd(), &status, &self.path)?;
        Ok(())
    }

    /// Sets the mode and time that it gets when it is settled.
    pub(super) fn settle_with(&self, mode: u32, mtime: Timestamp) {
        let mut settled = self.lock();
        (settled.mode, settled.mtime, settled.touched, settled.named) = (mode, mtime, true, true);
    }

    /// Sets the final mode and time.
    pub(super) fn settle(&self) -> Result<(), Error> {
        let mut settled = self.lock();
        if settled.mode != settled.mode_now {
            sys::set_mode(self.fd.as_fd(), settled.mode).at(&self.path)?;
            settled.mode_now = settled.mode;
        }
        if settled.touched {
            match sys::set_mtime(self.fd.as_fd(), settled.mtime, HandleKind::Open) {
                // A directory of another user in which we may write: its time cannot be restored. No entry asked for
                // it.
                Err(Failed { errno: Errno::PERM, .. }) if !settled.named => (),
                other => other.at(&self.path)?,
            }
            settled.touched = false;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Settled> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What was found at a name where a directory is expected.
pub(super) enum Opened {
    Directory { fd: OwnedFd, status: Status, mode_now: u32 },
    Link(Vec<u8>),
    Missing,
    Other,
}

/// Opens one component without following it, and makes sure that we may work in it.
///
/// An unprivileged caller may own directories of mode 0000 or 0555, which real images have. They get the permissions of
/// the owner, and their own mode back when they are settled.
pub(super) fn open(at: BorrowedFd<'_>, name: &[u8], mount: u64, caller: Caller) -> Result<Opened, Error> {
    // Another process may exchange the name again and again, between two of our calls. After 16 tries that is an error.
    for _ in 0..16 {
        let fd = match sys::open_directory(at, name) {
            Ok(fd) => fd,
            Err(Failed { errno: Errno::ACCESS, .. }) => match open_locked(at, name, mount, caller)? {
                Some(fd) => fd,
                None => continue,
            },
            Err(Failed { errno: Errno::NOENT, .. }) => return Ok(Opened::Missing),
            Err(Failed { errno: Errno::NOTDIR | Errno::LOOP, .. }) => match sys::read_link(at, name) {
                Ok(target) => return Ok(Opened::Link(target)),
                Err(Failed { errno: Errno::INVAL, .. }) => match sys::status_at(at, name) {
                    Ok(status) if status.kind == FileType::Directory => continue,
                    _ => return Ok(Opened::Other),
                },
                Err(Failed { errno: Errno::NOENT, .. }) => continue,
                Err(failed) => return Err(failed.at(name)),
            },
            Err(failed) => return Err(failed.at(name)),
        };
        let status = sys::status(fd.as_fd()).at(name)?;
        if status.mount != mount {
            return Err(Violation::MountCrossed { at: Escaped::new(name) }.into());
        }
        let mode_now = caller.open_up(fd.as_fd(), &status, name)?;
        return Ok(Opened::Directory { fd, status, mode_now });
    }
    Err(Error::system("openat", name, Errno::AGAIN))
}

/// Opens a directory of ours whose mode denies us access.
fn open_locked(at: BorrowedFd<'_>, name: &[u8], mount: u64, caller: Caller) -> Result<Option<OwnedFd>, Error> {
    let handle = match sys::open_handle(at, name) {
        Err(Failed { errno: Errno::NOENT, .. }) => return Ok(None),
        other => other.at(name)?,
    };
    unlock(handle.as_fd(), name, Some(mount), caller).map(Some)
}

/// Opens the directory that a handle names, even if it is ours and its mode denies us access. A directory on another
/// mount than `mount` is not changed.
pub(super) fn unlock(
    handle: BorrowedFd<'_>,
    name: &[u8],
    mount: Option<u64>,
    caller: Caller,
) -> Result<OwnedFd, Error> {
    let status = sys::status(handle).at(name)?;
    if mount.is_some_and(|mount| mount != status.mount) {
        return Err(Violation::MountCrossed { at: Escaped::new(name) }.into());
    }
    match sys::open_directory(handle, b".") {
        Err(Failed { errno: Errno::ACCESS, .. }) => (),
        other => return other.at(name),
    }
    if status.kind != FileType::Directory || status.uid != caller.uid {
        return Err(Error::system("openat", name, Errno::ACCESS));
    }
    proc::set_mode(handle, status.mode | 0o700, name)?;
    let fd = sys::open_directory(handle, b".").at(name);
    // The mode is restored at once: `Caller::open_up` must see the original one, to restore it later.
    let restored = proc::set_mode(handle, status.mode, name);
    fd.and_then(|fd| restored.map(|()| fd))
}

/// The ids and privileges of this process, read once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether file modes do not apply to us (`CAP_DAC_OVERRIDE`).
    pub(super) overrides: bool,
    /// Whether we may change owners, and then still work on the file (`CAP_CHOWN`, `CAP_DAC_OVERRIDE` and
    /// `CAP_FOWNER`).
    pub(super) chowns: bool,
    /// Whether a setgid bit stays on files of a group that we are not in (`CAP_FSETID`).
    pub(super) sets_any_gid: bool,
}

impl Caller {
    pub(super) fn current() -> Self {
        use rustix::thread::{CapabilitySet, capabilities};
        let uid = rustix::process::geteuid().as_raw();
        let has = |wanted| capabilities(None).map_or(uid == 0, |sets| sets.effective.contains(wanted));
        Self {
            uid,
            gid: rustix::process::getegid().as_raw(),
            overrides: has(CapabilitySet::DAC_OVERRIDE),
            chowns: has(CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER),
            sets_any_gid: has(CapabilitySet::FSETID),
        }
    }

    /// The uid and gid.
    pub(super) fn ids(self) -> (u32, u32) {
        (self.uid, self.gid)
    }

    /// Adds the owner's permissions to a directory of ours that lacks them. Returns its mode.
    pub(super) fn open_up(self, fd: BorrowedFd<'_>, status: &Status, name: &[u8]) -> Result<u32, Error> {
        if self.overrides || status.uid != self.uid || status.mode & 0o700 == 0o700 {
            return Ok(status.mode);
        }
        let mode = status.mode | 0o700;
        sys::set_mode(fd, mode).at(name)?;
        Ok(mode)
    }
}
