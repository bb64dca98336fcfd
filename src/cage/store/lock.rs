//! Locks in a store. The kernel releases the lock of a killed run.

use crate::cage::failed::At;
use crate::cage::sys;
use crate::words::Error;
use rustix::fs::FlockOperation;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Locks a directory, through a handle of its own; `None` if it is locked.
pub(super) fn lock_directory(directory: BorrowedFd<'_>, how: FlockOperation) -> Result<Option<OwnedFd>, Error> {
    let handle = sys::open_directory(directory, b".").at(b".")?;
    Ok(sys::lock(handle.as_fd(), how).at(b".")?.then_some(handle))
}

/// A file that is locked, and removed when this is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    directory: Arc<OwnedFd>,
    name: Vec<u8>,
    _file: OwnedFd,
}

impl FileLock {
    /// Locks a file; `None` if it is locked. It is created if it does not exist.
    pub(super) fn try_take(directory: Arc<OwnedFd>, name: Vec<u8>) -> Result<Option<Self>, Error> {
        let file = sys::open_or_create_file(directory.as_fd(), &name).at(&name)?;
        if !sys::lock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).at(&name)? {
            return Ok(None);
        }
        // Its last owner may have removed it between the two calls. Then another run may lock another file.
        let identity = sys::status(file.as_fd()).at(&name)?.identity;
        let is_there = sys::names(directory.as_fd(), &name, identity);
        Ok(is_there.then(|| Self { directory, name, _file: file }))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The lock is still held, so no other run removes the file.
        let _ = sys::unlink(self.directory.as_fd(), &self.name);
    }
}
