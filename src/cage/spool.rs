//! Files without names.

use super::failed::{At, Failed};
use super::sys;
use crate::words::Error;
use rustix::io::Errno;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::BorrowedFd;

/// Creates a file in a directory that no other process can open. It is gone when it is closed.
///
/// File systems without such files get one with a name, which it loses at once.
pub(super) fn create_spool(directory: BorrowedFd<'_>) -> Result<File, Error> {
    match sys::create_nameless(directory) {
        Err(Failed { errno: Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT, .. }) => {
            let name = format!(".lc-{:016x}", RandomState::new().hash_one(0)).into_bytes();
            let file = sys::create_spool(directory, &name).at(&name)?;
            sys::unlink(directory, &name).at(&name)?;
            Ok(file.into())
        }
        file => file.map(File::from).at(b"(a temporary file)"),
    }
}
