//! The stream as blocks of 512 bytes.

use super::layout::MAGIC;
use crate::read::magic::Search;
use crate::words::{Blame, Error, FileKind, Limit, Limits, Violation};
use std::io::{BufRead, ErrorKind};

/// Bytes in a block.
pub(crate) const BLOCK: usize = 512;

/// One block.
pub(crate) type Block = [u8; BLOCK];

/// Whether a block has what all dialects but the oldest have in common.
pub(crate) fn has_magic(block: &[u8]) -> bool {
    block.get(MAGIC).is_some_and(|magic| magic.starts_with(b"ustar"))
}

/// A stream with its offset, within the limit on the bytes of a layer.
pub(crate) struct Blocks<R> {
    reader: R,
    offset: u64,
    /// The most bytes that may be consumed.
    most: u64,
    /// A search over all consumed bytes; `None` for nearly all archives.
    search: Option<Box<Search>>,
}

impl<R: BufRead> Blocks<R> {
    pub(crate) fn new(reader: R, limits: &Limits) -> Self {
        Self { reader, offset: 0, most: limits.most(Limit::LayerBytes), search: None }
    }

    /// The number of bytes consumed so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next bytes, at most `most`. The result is empty only at the end of the stream.
    pub(crate) fn chunk(&mut self, most: u64) -> Result<&[u8], Error> {
        loop {
            match self.reader.fill_buf() {
                // A second call at the end would ask the reader again, and could be interrupted again.
                Ok([]) => return Ok(&[]),
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(Error::of_reader(error)),
            }
        }
        let chunk = self.reader.fill_buf().map_err(Error::of_reader)?;
        let within = self.most.saturating_sub(self.offset);
        if within == 0 && most > 0 && !chunk.is_empty() {
            let most = self.most;
            return Err(Violation::LimitExceeded { limit: Limit::LayerBytes, most, amount: self.offset + 1 }.into());
        }
        let most = usize::try_from(most.min(within)).unwrap_or(usize::MAX).min(chunk.len());
        Ok(chunk.get(..most).unwrap_or_default())
    }

    /// Starts a search over all following bytes.
    pub(crate) fn search(&mut self, search: Option<Search>) {
        self.search = search.map(Box::new);
    }

    /// The format that the search has found, returned once.
    pub(crate) fn take_found(&mut self) -> Option<&'static str> {
        self.search.as_mut()?.take_found()
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        if let Some(search) = &mut self.search
            // Consumed bytes are already in the buffer.
            && let Ok(chunk) = self.reader.fill_buf()
        {
            search.look(chunk.get(..bytes).unwrap_or(chunk));
        }
        self.reader.consume(bytes);
        self.offset += bytes as u64;
    }

    /// Reads the next block; `None` if the stream ends before it.
    pub(crate) fn block(&mut self) -> Result<Option<Block>, Error> {
        if let Some(&block) = self.chunk(BLOCK as u64)?.first_chunk() {
            self.consume(BLOCK);
            return Ok(Some(block));
        }
        let is_first = self.offset == 0;
        let mut bytes = Vec::with_capacity(BLOCK);
        self.append(&mut bytes, BLOCK as u64)?;
        match bytes.first_chunk() {
            Some(&block) => Ok(Some(block)),
            None if bytes.is_empty() => Ok(None),
            // An HTML error page or a manifest is not a truncated archive. The same holds for every other file that is
            // shorter than a block, unless it has the magic of a tar header.
            None if is_first && !has_magic(&bytes) => Err(Violation::NotATar { found: FileKind::of(&bytes, 0) }.into()),
            None => Err(Violation::Truncated.into()),
        }
    }

    /// Detects what a stream is that is not an archive and begins with this block. Reads as far as signatures reach.
    ///
    /// # Errors
    ///
    /// An error of the reader. A reader returns it only once. If it were ignored here, the archive would be blamed.
    pub(crate) fn kind(&mut self, first: &Block) -> Result<FileKind, Error> {
        let mut bytes = first.to_vec();
        match self.append(&mut bytes, (FileKind::REACH - BLOCK) as u64) {
            // What the bytes are is more useful than what else is wrong with them.
            Err(error) if error.blame() != Blame::Archive => Err(error),
            _ => Ok(FileKind::of(&bytes, 0)),
        }
    }

    /// Like [`Blocks::kind`], if all consumed bytes are zeros. Inspects only the reader's buffer and consumes nothing:
    /// data after the end of an archive stays unread.
    pub(crate) fn kind_behind_zeros(&mut self) -> Result<FileKind, Error> {
        let at = usize::try_from(self.offset).unwrap_or(usize::MAX);
        Ok(FileKind::of(self.chunk(FileKind::REACH as u64)?, at))
    }

    /// Reads the content of an extended header into a buffer, and returns what fills its last block. The caller has
    /// checked the size. Memory grows only as bytes arrive.
    pub(crate) fn content(&mut self, size: u64, into: &mut Vec<u8>) -> Result<Padding, Error> {
        into.clear();
        let whole = size + padding(size);
        self.append(into, whole)?;
        if (into.len() as u64) < whole {
            return Err(Violation::Truncated.into());
        }
        let size = usize::try_from(size).unwrap_or(into.len());
        let is_zero = into.iter().skip(size).all(|&byte| byte == 0);
        into.truncate(size);
        Ok(if is_zero { Padding::Zeros } else { Padding::Text })
    }

    /// Skips bytes, which must be there.
    pub(crate) fn skip(&mut self, bytes: u64) -> Result<(), Error> {
        let mut left = bytes;
        while left > 0 {
            let chunk = self.chunk(left)?.len();
            if chunk == 0 {
                return Err(Violation::Truncated.into());
            }
            self.consume(chunk);
            left -= chunk as u64;
        }
        Ok(())
    }

    #[cfg(feature = "image")]
    pub(crate) fn jump(&mut self, bytes: u64)
    where
        R: Jump,
    {
        if let Some(search) = self.search.as_mut().filter(|_| bytes > 0) {
            search.miss();
        }
        self.reader.jump(bytes);
        self.offset = self.offset.saturating_add(bytes);
    }

    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// Appends the next bytes to a buffer; fewer than requested only at the end of the stream.
    pub(crate) fn append(&mut self, bytes: &mut Vec<u8>, size: u64) -> Result<(), Error> {
        let mut left = size;
        while left > 0 {
            let chunk = self.chunk(left)?;
            let got = chunk.len();
            if got == 0 {
                break;
            }
            bytes.extend_from_slice(chunk);
            self.consume(got);
            left -= got as u64;
        }
        Ok(())
    }
}

/// A reader that can skip bytes without reading them.
#[cfg(feature = "image")]
pub(crate) trait Jump: BufRead {
    /// Skips this many bytes after the last consumed one. The new position may be behind the end.
    fn jump(&mut self, bytes: u64);
}

/// What fills the last block of an extended header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    Zeros,
    /// Other bytes. Python reads them as content.
    Text,
}

/// The number of bytes that fill the last block of content of this size. Readers ignore their values after a file.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
