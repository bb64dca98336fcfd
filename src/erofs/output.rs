//! Writes to a file in order, with few system calls.

use crate::words::{Error, Misuse};
use rustix::fs::{OFlags, fcntl_getfl};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;
/// From this length on, zeros are a hole of the file.
const HOLE: u64 = 64 << 10;

/// Refuses a file that would not have the image afterwards, or that has something else to lose.
fn check(file: &File, name: &'static [u8]) -> Result<(), Error> {
    let unsuitable = |why| Err(Misuse::UnsuitableFile { why }.into());
    let metadata = file.metadata().map_err(|error| Error::system("fstat", name, error))?;
    if !metadata.is_file() {
        return unsuitable("is a pipe, a device or a directory, and not a regular file");
    }
    let flags = fcntl_getfl(file).map_err(|errno| Error::system("fcntl", name, errno))?;
    // Linux ignores the offset of a write to such a file.
    if flags.contains(OFlags::APPEND) {
        return unsuitable("is open for appending, and the image is not written in order");
    }
    if flags & OFlags::RWMODE != OFlags::RDWR {
        return unsuitable("is not open for reading and writing");
    }
    match metadata.len() {
        0 => Ok(()),
        _ => unsuitable("is not empty"),
    }
}

/// A file, and what is not written to it yet.
#[derive(Debug)]
pub(super) struct Output<'f> {
    file: &'f File,
    name: &'static [u8],
    buffer: Vec<u8>,
    /// Where the buffer belongs.
    at: u64,
}

impl<'f> Output<'f> {
    /// Writes to an empty file, whose name in messages is given.
    pub(super) fn create(file: &'f File, name: &'static [u8]) -> Result<Self, Error> {
        check(file, name)?;
        Ok(Self { file, name, buffer: Vec::with_capacity(BUFFER), at: 0 })
    }

    pub(super) fn file(&self) -> &'f File {
        self.file
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() >= BUFFER {
            self.write_at(bytes, self.at)?;
            self.at += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Writes so many zeros.
    pub(super) fn zeros(&mut self, count: u64) -> Result<(), Error> {
        if count >= HOLE {
            self.flush()?;
            self.at += count;
            return Ok(());
        }
        static ZEROS: [u8; HOLE as usize] = [0; HOLE as usize];
        self.write(ZEROS.get(..count as usize).unwrap_or_default())
    }

    /// Writes zeros up to a multiple of `unit`, a power of two.
    pub(super) fn align(&mut self, unit: u64) -> Result<(), Error> {
        self.zeros(self.position().next_multiple_of(unit) - self.position())
    }

    /// Writes what is in the buffer.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.write_at(&self.buffer, self.at)?;
        self.at = self.position();
        self.buffer.clear();
        Ok(())
    }

    /// Writes everything. If the end is a hole, the file is extended to it.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.finish_at(self.at)
    }

    /// Ends the file at a position, before which everything was written by [`Output::write_at`].
    pub(super) fn finish_at(&mut self, end: u64) -> Result<(), Error> {
        self.at = end;
        self.file.set_len(end).map_err(|error| Error::system("ftruncate", self.name, error))
    }

    /// Writes elsewhere.
    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> Result<(), Error> {
        self.file.write_all_at(bytes, at).map_err(|error| Error::system("pwrite64", self.name, error))
    }
}
