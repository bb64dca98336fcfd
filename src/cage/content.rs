//! Writes the content of files.

use super::failed::At;
use super::sys;
use crate::tree::Content;
use crate::words::Error;
use std::os::fd::BorrowedFd;

impl<'a> Content<'a> {
    /// The rest of `source`, without holes.
    pub(super) fn of(source: &'a mut &[u8]) -> Self {
        Self { size: source.len() as u64, source, sparse: None }
    }

    /// The whole content, if it has at most `most` bytes, has no holes, and is in one chunk. It is not consumed.
    pub(super) fn at_hand(&mut self, most: u64) -> Result<Option<&[u8]>, Error> {
        if self.sparse.is_some() || self.size > most {
            return Ok(None);
        }
        let chunk = self.source.chunk()?;
        Ok((chunk.len() as u64 == self.size).then_some(chunk))
    }

    /// Writes the content to a new file.
    pub(super) fn fill(&mut self, file: BorrowedFd<'_>, name: &[u8]) -> Result<(), Error> {
        let Some(map) = self.sparse else {
            while self.copy(file, name, None, u64::MAX)? > 0 {}
            return Ok(());
        };
        for segment in map.segments() {
            let mut done = 0;
            while done < segment.length {
                match self.copy(file, name, Some(segment.offset + done), segment.length - done)? {
                    0 => return Err(Error::bug("a sparse file has less data than its map says")),
                    bytes => done += bytes,
                }
            }
        }
        sys::set_size(file, self.size).at(name)
    }

    /// Writes one chunk. Returns its length; 0 at the end.
    fn copy(&mut self, file: BorrowedFd<'_>, name: &[u8], offset: Option<u64>, most: u64) -> Result<u64, Error> {
        let chunk = self.source.chunk()?;
        let chunk = chunk.get(..usize::try_from(most).unwrap_or(usize::MAX)).unwrap_or(chunk);
        if chunk.is_empty() {
            return Ok(0);
        }
        let written = match offset {
            None => sys::write(file, chunk),
            Some(offset) => sys::write_at(file, chunk, offset),
        };
        let bytes = written.at(name)?;
        self.source.consume(bytes);
        Ok(bytes as u64)
    }
}
