//! Files without names, for layers that are read ahead.

use super::scratch::Scratch;
use super::sys;
use crate::read::SpoolFile;
use crate::words::Error;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The space that is left free for the tree. Below it, no layer is read ahead: it must not fail for want of space that
/// another layer takes before its turn.
const LEFT_FREE: u64 = 1 << 30;
/// The free space is checked each time that so many bytes were written.
const CHECKED_EACH: u64 = 16 << 20;

/// A temporary file for a layer that is read ahead.
///
/// # Errors
///
/// A system error. Another one if the size of files is limited: a process that exceeds that limit is killed.
pub(crate) fn ahead_spool(scratch: &Scratch) -> Result<Box<dyn SpoolFile>, Error> {
    match sys::largest_file() {
        None => Ok(Box::new(AheadSpool(scratch.create()?))),
        Some(_) => Err(Error::system("getrlimit", b"(a temporary file)", io::Error::from(io::ErrorKind::FileTooLarge))),
    }
}

/// The same, in a directory.
pub(crate) fn ahead_spool_in(directory: &OwnedFd) -> Result<Box<dyn SpoolFile>, Error> {
    ahead_spool(&Scratch::beneath(directory)?)
}

struct AheadSpool(File);

impl SpoolFile for AheadSpool {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset.is_multiple_of(CHECKED_EACH) && sys::free_bytes(self.0.as_fd())? < LEFT_FREE {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn free(&self, offset: u64, bytes: u64) -> bool {
        sys::punch_hole(self.0.as_fd(), offset, bytes).is_ok()
    }
}
