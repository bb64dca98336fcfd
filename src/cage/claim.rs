//! Directories that exist while a run works. The run locks them. If it is killed, the next run removes them.
//!
//! Other users may be able to rename files beside such a directory. So its name, its owner and a free lock prove
//! nothing: another directory of ours, moved to that name, has them all. The proof is a **mark** in it: a socket of
//! ours, which no archive can bring. The directory is ours, too, and only we may enter it. The name of the mark holds
//! the inode number of the directory and, where the file system stores it, the birth time. So the mark is not valid in
//! another directory, even if it is copied (`cp -a` copies sockets) or renamed. The device number is not part of it,
//! because it may change at a reboot.
//!
//! A kill between the creation of the directory and of its mark leaves an empty directory. So does a kill between the
//! two removals. But a layer may also bring an empty directory of that name. So a second socket beside the directory,
//! its **guard**, exists while the mark does not. A directory without mark and guard is left alone.

use super::directory::{self, Caller};
use super::failed::{At, Failed, swapped};
use super::names::Names;
use super::sys::{self, Origin, Status};
use crate::words::{DIGITS, Error, has_digits};
use rustix::fs::{FileType, FlockOperation};
use rustix::io::Errno;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The suffix of a guard's name, after the name of its directory.
const GUARD: &[u8] = b"~";

/// The mode of such a directory: no other user may enter it, not even to create a mark.
const PRIVATE: u32 = 0o700;

/// The bits that mkdir may produce from [`PRIVATE`]: a umask clears bits, and a parent may pass on its setgid bit.
const MADE: u32 = 0o2700;

/// What such a directory is for: its name begins with it, and sixteen hexadecimal digits come after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose(pub(super) &'static [u8]);

/// Such a directory; the claim has its lock.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) directory: OwnedFd,
    pub(super) name: Vec<u8>,
    identity: (u64, u64),
    /// The name of its mark; `None` on a file system without sockets.
    mark: Option<Vec<u8>>,
}

impl Claim {
    /// Makes one in `parent`.
    pub(super) fn make(parent: BorrowedFd<'_>, Purpose(prefix): Purpose, caller: Caller) -> Result<Self, Error> {
        for _ in 0..16 {
            let name = [prefix, format!("{:016x}", RandomState::new().hash_one(0)).as_bytes()].concat();
            let guard = guard(&name);
            let sockets = match sys::create_socket(parent, &guard) {
                Ok(()) => Sockets::Supported,
                Err(Failed { errno: Errno::EXIST, .. }) => continue,
                // FAT and some FUSE file systems. There a kill leaves the directory permanently.
                Err(Failed { errno: Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL, .. }) => {
                    Sockets::Unsupported
                }
                Err(failed) => return Err(failed.at(&guard)),
            };
            let made = make(parent, &name, sockets, caller);
            if sockets == Sockets::Supported {
                let _ = sys::unlink(parent, &guard);
            }
            if let Some(claim) = made? {
                return Ok(claim);
            }
        }
        Err(Error::system("mkdirat", prefix, Errno::EXIST))
    }

    /// Whether the next run will be able to distinguish it from other directories.
    pub(super) fn is_marked(&self) -> bool {
        self.mark.is_some()
    }

    /// Whether its name in `parent` is still that of this directory.
    pub(super) fn is_at(&self, parent: BorrowedFd<'_>) -> bool {
        sys::names(parent, &self.name, self.identity)
    }

    /// Removes its mark and then the directory, if it is empty otherwise, and if its name still belongs to it.
    pub(super) fn remove(&self, parent: BorrowedFd<'_>) -> Result<(), Error> {
        let guard = guard(&self.name);
        if let Some(mark) = &self.mark {
            // It may exist already, from a run that was killed here. If it cannot be made, only a kill right now would
            // matter.
            let _ = sys::create_socket(parent, &guard);
            match sys::unlink(self.directory.as_fd(), mark) {
                Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => (),
                Err(failed) => return Err(failed.at(mark)),
            }
        }
        let removed = match sys::status_at(parent, &self.name) {
            Ok(named) if named.identity == self.identity => sys::remove_directory(parent, &self.name).at(&self.name),
            Ok(_) | Err(Failed { errno: Errno::NOENT, .. }) => Ok(()),
            Err(failed) => Err(failed.at(&self.name)),
        };
        if let Some(mark) = &self.mark {
            if removed.is_err() {
                // The next run may be able to remove it.
                let _ = sys::create_socket(self.directory.as_fd(), mark);
            }
            let _ = sys::unlink(parent, &guard);
        }
        removed
    }

    /// The digits of its name.
    pub(super) fn digits(&self) -> &[u8] {
        self.name.last_chunk::<DIGITS>().map_or(&[], |digits| &digits[..])
    }
}

/// Whether the file system has sockets, which mark our directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sockets {
    Supported,
    Unsupported,
}

/// Creates a directory of this name, locks and marks it; `None` if the cleanup of another run was faster.
fn make(parent: BorrowedFd<'_>, name: &[u8], sockets: Sockets, caller: Caller) -> Result<Option<Claim>, Error> {
    match sys::create_directory(parent, name) {
        Err(Failed { errno: Errno::EXIST, .. }) => return Ok(None),
        other => other.at(name)?,
    }
    take(parent, name, sockets, caller).inspect_err(|_| {
        // Removes only an empty directory: a user who moved another one here could have removed that one, too.
        let _ = sys::remove_directory(parent, name);
    })
}

/// Locks and marks the new directory; `None` if it is gone, or locked by the cleanup of another run.
///
/// The directory opened here may differ from the one that mkdir made: another user with write permission in `parent`
/// can have replaced it by another directory of ours. That directory must lose no data. It is changed only if it is
/// empty and has a mode that mkdir could have produced. That user could also have removed an empty directory. Files
/// that others put into it later are not removed: we remove only what we created, by name.
fn take(parent: BorrowedFd<'_>, name: &[u8], sockets: Sockets, caller: Caller) -> Result<Option<Claim>, Error> {
    let handle = match sys::open_handle(parent, name) {
        Err(Failed { errno: Errno::NOENT, .. }) => return Ok(None),
        other => other.at(name)?,
    };
    let found = sys::status(handle.as_fd()).at(name)?;
    let another = || swapped(name).about("which is not the directory that was made");
    if found.kind != FileType::Directory {
        return Err(another());
    }
    if found.uid != caller.uid {
        let error = Error::system("mkdirat", name, Errno::PERM);
        return Err(error.about("files that we create in this file system belong to another user"));
    }
    if found.mode & !MADE != 0 {
        return Err(another());
    }
    let mount = sys::status(parent).at(name)?.mount;
    // A umask may deny access even to us.
    let directory = directory::unlock(handle.as_fd(), name, Some(mount), caller)?;
    if !lock(&directory, FlockOperation::NonBlockingLockExclusive, name)? || !sys::names(parent, name, found.identity) {
        return Ok(None);
    }
    // Through a second descriptor: its mode may still prevent us from opening it.
    let listed = sys::duplicate(directory.as_fd()).at(name)?;
    if Names::own(listed, name)?.next()?.is_some() {
        return Err(another());
    }
    if found.mode != PRIVATE {
        // Also clears a setgid bit from the parent.
        sys::set_mode(directory.as_fd(), PRIVATE).at(name)?;
    }
    let mark = match sockets {
        Sockets::Supported => Some(mark(directory.as_fd(), name)?),
        Sockets::Unsupported => None,
    };
    if let Some(mark) = &mark {
        match sys::create_socket(directory.as_fd(), mark) {
            Err(Failed { errno: Errno::NOENT, .. }) => return Ok(None),
            other => other.at(mark)?,
        }
    }
    Ok(Some(Claim { directory, name: name.into(), identity: found.identity, mark }))
}

/// Calls back for each directory that dead runs of the same user left in `parent`. Returns whether anything else of
/// theirs was removed.
///
/// What cannot be claimed is passed over: it is not what this run is about.
pub(super) fn each_dead(
    parent: BorrowedFd<'_>,
    purpose: Purpose,
    caller: Caller,
    mut found: impl FnMut(Claim),
) -> Result<bool, Error> {
    let mut names = Names::of(parent, b".")?;
    let mut any_guards = false;
    while let Some((name, _)) = names.next()? {
        if purpose.is_that_of(&name) {
            if let Ok(Some(Marked { directory, identity, mark })) = open_marked(parent, &name, caller)
                && let Ok(true) = lock(&directory, FlockOperation::NonBlockingLockExclusive, &name)
            {
                let claim = Claim { directory, name: name.into(), identity, mark: Some(mark) };
                // It may have been removed between the two calls.
                if claim.is_at(parent) {
                    found(claim);
                }
            }
        } else if let Some(unmarked) = name.strip_suffix(GUARD)
            && purpose.is_that_of(unmarked)
        {
            any_guards |= remove_guarded(parent, unmarked, &name, caller).unwrap_or(false);
        }
    }
    Ok(any_guards)
}

/// Whether a name in `parent` is that of a directory of a live run of the same user.
///
/// Any user may be able to lock a directory that a layer brought. So it must have a mark, too.
pub(super) fn is_alive(parent: BorrowedFd<'_>, purpose: Purpose, name: &[u8], caller: Caller) -> bool {
    let is_locked = || match open_marked(parent, name, caller)? {
        Some(marked) => Ok(!lock(&marked.directory, FlockOperation::NonBlockingLockShared, name)?),
        None => Ok::<_, Error>(false),
    };
    purpose.is_that_of(name) && is_locked().unwrap_or(false)
}

impl Purpose {
    fn is_that_of(self, name: &[u8]) -> bool {
        has_digits(name, self.0)
    }
}

struct Marked {
    directory: OwnedFd,
    identity: (u64, u64),
    mark: Vec<u8>,
}

/// Opens a directory that a run of ours created and marked; `None` for anything else. Changes nothing in it: it may be
/// another user's tree.
fn open_marked(parent: BorrowedFd<'_>, name: &[u8], caller: Caller) -> Result<Option<Marked>, Error> {
    let Some((directory, Status { identity, mode, .. })) = open_own(parent, name, caller)? else { return Ok(None) };
    if mode != PRIVATE {
        return Ok(None);
    }
    let mark = mark(directory.as_fd(), name)?;
    let is_valid = is_own_socket(directory.as_fd(), &mark, caller);
    Ok(is_valid.then_some(Marked { directory, identity, mark }))
}

/// Opens a directory of ours on the mount of `parent`; `None` for anything else.
fn open_own(parent: BorrowedFd<'_>, name: &[u8], caller: Caller) -> Result<Option<(OwnedFd, Status)>, Error> {
    let status = |handle| sys::status(handle).at(name);
    // An `O_PATH` handle: it calls no driver and triggers no automount, for any type of file.
    let handle = sys::open_handle(parent, name).at(name)?;
    let found = status(handle.as_fd())?;
    if found.kind != FileType::Directory || found.uid != caller.uid || found.mount != status(parent)?.mount {
        return Ok(None);
    }
    let directory = sys::open_directory(handle.as_fd(), b".").at(name)?;
    Ok(Some((directory, found)))
}

/// Removes a guard, and its directory if that is empty and not locked by a run. Returns whether it did.
fn remove_guarded(parent: BorrowedFd<'_>, name: &[u8], guard: &[u8], caller: Caller) -> Result<bool, Error> {
    if !is_own_socket(parent, guard, caller) {
        return Ok(false);
    }
    match sys::status_at(parent, name) {
        Err(Failed { errno: Errno::NOENT, .. }) => (),
        Err(failed) => return Err(failed.at(name)),
        Ok(found) if found.kind != FileType::Directory || found.uid != caller.uid => return Ok(false),
        Ok(_) => {
            let opened = open_own(parent, name, caller);
            // A umask may deny us access to an empty directory. If its run is alive, that run makes another one.
            if let Ok(None) = opened {
                return Ok(false);
            }
            if let Ok(Some((directory, _))) = &opened
                && !lock(directory, FlockOperation::NonBlockingLockExclusive, name)?
            {
                return Ok(false);
            }
            match sys::remove_directory(parent, name) {
                // A directory with a mark is removed together with its guard. With any other content it belongs to no
                // run.
                Ok(()) | Err(Failed { errno: Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST, .. }) => (),
                Err(failed) => return Err(failed.at(name)),
            }
        }
    }
    sys::unlink(parent, guard).map(|()| true).at(guard)
}

/// Takes a lock. Returns whether it was free.
fn lock(directory: &OwnedFd, how: FlockOperation, name: &[u8]) -> Result<bool, Error> {
    sys::lock(directory.as_fd(), how).at(name)
}

/// The name of the mark in a directory.
fn mark(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Error> {
    let Origin { inode, seconds, nanoseconds } = sys::origin(directory).at(name)?;
    Ok(format!("layercage-{inode:x}-{seconds:x}-{nanoseconds:x}").into_bytes())
}

fn guard(name: &[u8]) -> Vec<u8> {
    [name, GUARD].concat()
}

/// Whether a name is that of a socket of ours with a single link.
fn is_own_socket(at: BorrowedFd<'_>, name: &[u8], caller: Caller) -> bool {
    sys::status_at(at, name)
        .is_ok_and(|found| found.kind == FileType::Socket && found.uid == caller.uid && found.links == 1)
}
