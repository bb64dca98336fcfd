//! Directories that are there while somebody works: locked by him, and removed by the next run when he is dead.

use super::{directory, directory::Me, remove::Names, sys};
use crate::words::Fault;
use rustix::fs::{FileType, FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const DIGITS: usize = 16;

/// What such a directory is for: its name begins with it, and sixteen hexadecimal digits come after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose(pub(super) &'static [u8]);

/// Such a directory; whoever has this has its lock.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) directory: OwnedFd,
    pub(super) name: Vec<u8>,
}

impl Claim {
    /// Makes one in `parent`.
    pub(super) fn make(parent: BorrowedFd<'_>, Purpose(prefix): Purpose, me: Me) -> Result<Self, Fault> {
        for _ in 0..16 {
            let name = [prefix, format!("{:016x}", RandomState::new().hash_one(0)).as_bytes()].concat();
            match sys::create_directory(parent, &name) {
                Err(Errno::EXIST) => continue,
                other => other.map_err(sys::fault("mkdirat", &name))?,
            }
            if let Some(claim) = claim(parent, &name, me)? {
                let status = sys::status(claim.directory.as_fd()).map_err(sys::fault("statx", &name))?;
                // A umask may keep even us out of what we just made.
                me.open_up(claim.directory.as_fd(), &status, &name)?;
                return Ok(claim);
            }
            // A run that cleans up may be faster than our lock; or the file system says that it is another's.
            if sys::status_at(parent, &name).is_ok_and(|made| made.uid != me.uid) {
                let _ = sys::remove_directory(parent, &name);
                let fault = Fault::system("mkdirat", &name, Errno::PERM);
                return Err(fault.about("what we make in this file system belongs to somebody else"));
            }
        }
        Err(Fault::system("mkdirat", prefix, Errno::EXIST))
    }

    /// Removes it, which is empty by now, unless somebody has put something else in its place.
    pub(super) fn remove(&self, parent: BorrowedFd<'_>) -> Result<(), Fault> {
        let ours = sys::status(self.directory.as_fd()).map_err(sys::fault("statx", &self.name))?;
        match sys::status_at(parent, &self.name) {
            Ok(named) if named.identity == ours.identity => {
                sys::remove_directory(parent, &self.name).map_err(sys::fault("rmdir", &self.name))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Fault::system("statx", &self.name, errno)),
        }
    }

    /// The digits of its name.
    pub(super) fn digits(&self) -> &[u8] {
        self.name.last_chunk::<DIGITS>().map_or(&[], |digits| &digits[..])
    }
}

/// Hands over what dead runs of the same user left in `parent`.
///
/// What cannot be claimed is passed over: it is not what this run is about.
pub(super) fn each_dead(
    parent: BorrowedFd<'_>,
    purpose: Purpose,
    me: Me,
    mut found: impl FnMut(Claim),
) -> Result<(), Fault> {
    let mut names = Names::of(parent, b".")?;
    while let Some((name, _)) = names.next()? {
        if purpose.is_that_of(&name)
            && let Ok(Some(claim)) = claim(parent, &name, me)
        {
            found(claim);
        }
    }
    Ok(())
}

/// Whether somebody who lives has a directory in `parent`.
pub(super) fn is_alive(parent: BorrowedFd<'_>, purpose: Purpose, name: &[u8]) -> bool {
    let is_locked = || {
        let directory = sys::open_directory(parent, name)?;
        retry_on_intr(|| flock(&directory, FlockOperation::NonBlockingLockShared))
    };
    purpose.is_that_of(name) && is_locked() == Err(Errno::WOULDBLOCK)
}

impl Purpose {
    fn is_that_of(self, name: &[u8]) -> bool {
        let digits = name.strip_prefix(self.0).unwrap_or_default();
        digits.len() == DIGITS && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// Takes the lock of one; `None` when somebody else has it, when it is somebody else's, or gone.
///
/// Its mode stays as it is: somebody else's tree may be all that it is.
fn claim(parent: BorrowedFd<'_>, name: &[u8], me: Me) -> Result<Option<Claim>, Fault> {
    let status = |handle| sys::status(handle).map_err(sys::fault("statx", name));
    let handle = match sys::open_handle(parent, name) {
        Err(Errno::NOENT) => return Ok(None),
        other => other.map_err(sys::fault("openat", name))?,
    };
    let found = status(handle.as_fd())?;
    if found.kind != FileType::Directory || found.uid != me.uid {
        return Ok(None);
    }
    let directory = directory::unlock(handle.as_fd(), name, Some(status(parent)?.mount), me)?;
    match retry_on_intr(|| flock(&directory, FlockOperation::NonBlockingLockExclusive)) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        other => other.map_err(sys::fault("flock", name))?,
    }
    // It may have been removed, or committed, between the two calls.
    let is_there = sys::names(parent, name, found.identity);
    Ok(is_there.then(|| Claim { directory, name: name.into() }))
}
