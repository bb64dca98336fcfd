//! Files without names, for layers that are read ahead.

use super::room::{LEFT_FREE, growing_file};
use super::scratch::Scratch;
use super::sys;
use crate::read::SpoolFile;
use crate::words::Error;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The free space is checked each time that so many bytes were written.
const CHECKED_EACH: u64 = 16 << 20;

/// A temporary file for a layer that is read ahead.
///
/// # Errors
///
/// As for [`growing_file`].
pub(crate) fn ahead_spool(scratch: &Scratch) -> Result<Box<dyn SpoolFile>, Error> {
    Ok(Box::new(AheadSpool(growing_file(scratch)?)))
}

/// The same, in a directory.
pub(crate) fn ahead_spool_in(directory: &OwnedFd) -> Result<Box<dyn SpoolFile>, Error> {
    ahead_spool(&Scratch::beneath(directory)?)
}

struct AheadSpool(File);

impl SpoolFile for AheadSpool {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // A tree must not fail for want of space that a layer takes before its turn.
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
