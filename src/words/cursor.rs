//! Where in the content of a file a reader stands: in data or in a hole.

use super::{Error, Source, SparseMap};
use std::io::Read;

/// An offset in the content of a file, whose holes are known.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The size of the file, holes included.
    size: u64,
    map: Option<SparseMap>,
    /// The index in the map of the segment at or behind the offset.
    segment: usize,
    offset: u64,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    End,
    /// So many zeros that are not stored.
    Hole(u64),
    /// At most so many bytes of data.
    Data(u64),
}

impl Cursor {
    pub(crate) fn new(size: u64, map: Option<SparseMap>) -> Self {
        Self { size, map, segment: 0, offset: 0 }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn map(&self) -> Option<&SparseMap> {
        self.map.as_ref()
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn next(&mut self) -> Next {
        let left = self.size - self.offset;
        if left == 0 {
            return Next::End;
        }
        let Some(map) = &self.map else { return Next::Data(left) };
        while let Some(segment) = map.segments().get(self.segment) {
            if self.offset < segment.offset {
                return Next::Hole(segment.offset - self.offset);
            }
            let end = segment.offset + segment.length;
            if self.offset < end {
                return Next::Data(end - self.offset);
            }
            self.segment += 1;
        }
        // The last segment ends where the file does.
        Next::Hole(left)
    }

    /// Goes on by bytes of what comes next.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.offset += bytes;
    }

    /// Goes on by stored bytes, over the holes between them.
    pub(crate) fn advance_stored(&mut self, bytes: u64) {
        let mut left = bytes;
        while left > 0 {
            match self.next() {
                Next::End => return,
                Next::Hole(length) => self.advance(length),
                Next::Data(length) => {
                    let some = length.min(left);
                    self.advance(some);
                    left -= some;
                }
            }
        }
    }

    /// Reads zeros of a hole, or bytes of `source`, which are not consumed. Returns what was read, and goes on by zeros
    /// alone.
    pub(crate) fn read(&mut self, source: &mut dyn Source, out: &mut [u8]) -> Result<Got, Error> {
        let most = |length: u64| usize::try_from(length).unwrap_or(usize::MAX).min(out.len());
        match self.next() {
            Next::End => Ok(Got::Zeros(0)),
            Next::Hole(length) => {
                let bytes = most(length);
                out.get_mut(..bytes).unwrap_or_default().fill(0);
                self.advance(bytes as u64);
                Ok(Got::Zeros(bytes))
            }
            Next::Data(length) => {
                let mut stored = stored(source, length)?;
                // Cannot fail: the source is a slice.
                Ok(Got::Stored(stored.read(out).unwrap_or_default()))
            }
        }
    }
}

/// Bytes that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// Of a hole.
    Zeros(usize),
    /// Of the source, which is to consume them.
    Stored(usize),
}

/// The next stored bytes: at least one, and at most so many.
pub(crate) fn stored(source: &mut dyn Source, most: u64) -> Result<&[u8], Error> {
    let chunk = source.chunk()?;
    if chunk.is_empty() {
        return Err(Error::bug("a file has less data than its header says"));
    }
    Ok(chunk.get(..usize::try_from(most).unwrap_or(usize::MAX)).unwrap_or(chunk))
}
