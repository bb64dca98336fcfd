//! The names in a directory.

use super::failed::{At, Failed};
use super::sys;
use crate::words::Error;
use rustix::fs::{Dir, FileType};
use std::os::fd::{BorrowedFd, OwnedFd};

/// A name, and the type of what is there. Some file systems do not say the type.
type Name = (Box<[u8]>, FileType);

/// The names in a directory, without `.` and `..`, read piece by piece.
pub(super) struct Names {
    stream: Dir,
    path: Box<[u8]>,
    /// Where the next name is, in terms of the file system.
    pub(super) position: u64,
}

impl Names {
    /// Reads through a descriptor of its own.
    pub(super) fn of(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Self, Error> {
        let stream = sys::list(directory).at(path)?;
        Ok(Self { stream, path: path.into(), position: 0 })
    }

    /// The names in a directory. Uses the descriptor of the directory and no other.
    pub(super) fn own(directory: OwnedFd, path: &[u8]) -> Result<Self, Error> {
        let stream = sys::into_list(directory).at(path)?;
        Ok(Self { stream, path: path.into(), position: 0 })
    }

    /// Starts again at the first name.
    pub(super) fn rewind(&mut self) {
        self.stream.rewind();
    }

    /// The directory.
    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>, Failed> {
        sys::list_fd(&self.stream)
    }

    /// The names from a position on.
    pub(super) fn from_position(directory: BorrowedFd<'_>, path: &[u8], position: u64) -> Result<Self, Error> {
        let names = Self::of(directory, path)?;
        names.fd().and_then(|list| sys::seek(list, position)).at(path)?;
        Ok(Self { position, ..names })
    }

    /// The next name; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Name>, Error> {
        loop {
            let Some(entry) = sys::next_name(&mut self.stream).at(&self.path)? else { return Ok(None) };
            self.position = entry.offset().cast_unsigned();
            match entry.file_name().to_bytes() {
                b"." | b".." => (),
                name => return Ok(Some((name.into(), entry.file_type()))),
            }
        }
    }
}
