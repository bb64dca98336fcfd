//! Temporary files that must not take the space that other files need.

use super::scratch::Scratch;
use super::sys;
use crate::words::Error;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// The space that is left free for other files. Below it, nothing is written that can be had in another way.
pub(super) const LEFT_FREE: u64 = 1 << 30;

/// Creates a temporary file that may grow to any size.
///
/// # Errors
///
/// A system error. Another one if the size of files is limited: a process that exceeds that limit is killed.
pub(crate) fn growing_file(scratch: &Scratch) -> Result<File, Error> {
    match sys::largest_file() {
        None => scratch.create(),
        Some(_) => Err(Error::system("getrlimit", b"(a temporary file)", io::Error::from(io::ErrorKind::FileTooLarge))),
    }
}

/// Whether the file system of a temporary file has room for so many bytes, and for what is left free.
pub(crate) fn has_room(file: &File, bytes: u64) -> bool {
    sys::free_bytes(file.as_fd()).is_ok_and(|free| free >= bytes.saturating_add(LEFT_FREE))
}
