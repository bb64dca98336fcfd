//! Files without names, for what is kept while it is looked through.

use super::sys;
use crate::words::Fault;
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::BorrowedFd;

/// Makes a file in a directory that nobody else can open, and that is gone when it is closed.
#[cfg(feature = "image")]
pub(crate) fn create_spool(directory: BorrowedFd<'_>) -> Result<File, Fault> {
    use std::hash::{BuildHasher, RandomState};
    create(directory, || Ok(format!(".lc-{:016x}", RandomState::new().hash_one(0)).into_bytes()))
}

/// The same, with a name for file systems on which a file must have one: there it loses it at once.
pub(super) fn create(directory: BorrowedFd<'_>, name: impl FnOnce() -> Result<Vec<u8>, Fault>) -> Result<File, Fault> {
    match sys::create_nameless(directory) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {
            let name = name()?;
            let file = sys::create_spool(directory, &name).map_err(sys::fault("openat", &name))?;
            sys::unlink(directory, &name).map_err(sys::fault("unlinkat", &name))?;
            Ok(file.into())
        }
        file => file.map(File::from).map_err(sys::fault("openat", b"(a file without a name)")),
    }
}
