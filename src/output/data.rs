//! The content of a file, as a sink reads it.

use crate::words::{Change, ChangeKind, Cursor, Error, Got, HolesRead, Misuse, Next, Source, SparseMap, stored};
use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read};

/// The content of one file, read front to back.
///
/// [`Read`] gives the content with its holes as zeros, and fails beyond
/// [`Limit::HoleBytes`](crate::rules::Limit::HoleBytes). [`Data::next_piece`] gives it piece by piece without a copy, and
/// tells data from holes. Both may be used on one `Data`: each continues where the other stopped.
///
/// A failed read means that the archive or its reader failed. Return the error with `?`:
/// [`SinkError`](crate::sink::SinkError) keeps it.
///
/// ```
/// # use layercage::sink::{Data, Piece, SinkError};
/// /// The number of bytes of data, without holes.
/// fn stored(mut data: Data<'_>) -> Result<usize, SinkError> {
///     let mut stored = 0;
///     while let Some(piece) = data.next_piece()? {
///         match piece {
///             Piece::Data { bytes, .. } => stored += bytes.len(),
///             Piece::Hole { .. } => (),
///         }
///     }
///     Ok(stored)
/// }
/// assert_eq!(stored(Data::of(&mut &b"content"[..]))?, 7);
/// # Ok::<(), SinkError>(())
/// ```
pub struct Data<'a> {
    source: &'a mut dyn Source,
    cursor: Cursor,
    /// Bytes of the last piece, which the next call consumes.
    lent: usize,
    /// Counts the zeros of all files of the image.
    holes: Option<&'a HolesRead>,
}

/// A piece of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes that are stored. Never empty.
    Data {
        /// Where in the file they begin.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Zeros that are not stored. Never empty.
    Hole {
        /// Where in the file they begin.
        offset: u64,
        /// Their number.
        length: u64,
    },
}

impl<'a> Data<'a> {
    /// Content without holes, from memory: for the test of a sink.
    pub fn of(bytes: &'a mut &[u8]) -> Self {
        let size = bytes.len() as u64;
        Self::new(bytes, size, None)
    }

    /// The content that belongs to a change.
    pub(crate) fn of_change(change: &Change, source: &'a mut dyn Source) -> Self {
        match &change.kind {
            ChangeKind::File { size, sparse, .. } | ChangeKind::PseudoLink { size, sparse, .. } => {
                Self::new(source, *size, sparse.clone())
            }
            _ => Self::new(source, 0, None),
        }
    }

    pub(crate) fn new(source: &'a mut dyn Source, size: u64, map: Option<SparseMap>) -> Self {
        Self { source, cursor: Cursor::new(size, map), lent: 0, holes: None }
    }

    /// Counts holes that are read as zeros.
    pub(crate) fn counting(self, holes: Option<&'a HolesRead>) -> Self {
        Self { holes, ..self }
    }

    /// The counter of holes that are read as zeros.
    pub(super) fn holes(&self) -> Option<&'a HolesRead> {
        self.holes
    }

    /// The stored bytes alone, for a sink of this crate that reads the map of the change. Not to be mixed with the
    /// other methods.
    pub(crate) fn stored(&mut self) -> &mut dyn Source {
        self.source
    }

    /// The map of the holes.
    pub(crate) fn map(&self) -> Option<&SparseMap> {
        self.cursor.map()
    }

    /// How many bytes are stored: all but the holes.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.map().map_or(self.size(), |map| map.segments().iter().map(|segment| segment.length).sum())
    }

    /// Checks that this is the content of a change, from its first byte on.
    pub(crate) fn check_whole(&self, change: &Change) -> Result<(), Misuse> {
        let is_whole = match &change.kind {
            ChangeKind::File { size, sparse, .. } | ChangeKind::PseudoLink { size, sparse, .. } => {
                (self.cursor.size(), self.cursor.offset(), self.cursor.map()) == (*size, 0, sparse.as_ref())
            }
            _ => true,
        };
        if is_whole { Ok(()) } else { Err(Misuse::OtherContent) }
    }

    /// The size of the file in bytes, holes included.
    pub fn size(&self) -> u64 {
        self.cursor.size()
    }

    /// Where in the file the next byte stands.
    pub fn offset(&self) -> u64 {
        self.cursor.offset()
    }

    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    ///
    /// An [`Error`] of the archive or of its reader, inside of the [`io::Error`].
    pub fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.consume_lent();
        let offset = self.cursor.offset();
        match self.cursor.next() {
            Next::End => Ok(None),
            Next::Hole(length) => {
                self.cursor.advance(length);
                Ok(Some(Piece::Hole { offset, length }))
            }
            Next::Data(most) => {
                let bytes = stored(self.source, most).map_err(ReadError::wrap)?;
                self.cursor.advance(bytes.len() as u64);
                self.lent = bytes.len();
                Ok(Some(Piece::Data { offset, bytes }))
            }
        }
    }

    fn consume_lent(&mut self) {
        if self.lent > 0 {
            self.source.consume(std::mem::take(&mut self.lent));
        }
    }
}

impl Read for Data<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.consume_lent();
        if out.is_empty() {
            return Ok(0);
        }
        match self.cursor.read(self.source, out).map_err(ReadError::wrap)? {
            Got::Zeros(bytes) => {
                let counted = self.holes.map_or(Ok(()), |holes| holes.add(bytes));
                counted.map(|()| bytes).map_err(|violation| ReadError::wrap(violation.into()))
            }
            Got::Stored(bytes) => {
                self.source.consume(bytes);
                self.cursor.advance(bytes as u64);
                Ok(bytes)
            }
        }
    }
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data").field("size", &self.size()).field("offset", &self.offset()).finish_non_exhaustive()
    }
}

/// An error of the archive or its reader, on its way through a sink. Its type tells it from the sink's own errors.
#[derive(Debug)]
pub(super) struct ReadError(pub(super) Error);

impl ReadError {
    fn wrap(error: Error) -> io::Error {
        io::Error::new(error.io_kind(), Self(error))
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for ReadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Segment;

    fn sparse(segments: &[(u64, u64)], size: u64, stored: u64) -> SparseMap {
        let segments = segments.iter().map(|&(offset, length)| Segment { offset, length }).collect();
        SparseMap::new(segments, size, stored).unwrap()
    }

    /// Each case: a map, the size, the stored bytes, and the content.
    #[expect(clippy::type_complexity, reason = "a table")]
    const CASES: &[(&[(u64, u64)], u64, &[u8], &[u8])] = &[
        (&[(0, 3)], 3, b"abc", b"abc"),
        (&[(2, 1), (5, 2)], 7, b"abc", b"\0\0a\0\0bc"),
        (&[(0, 1), (4, 0)], 4, b"a", b"a\0\0\0"),
        (&[(0, 0), (0, 1), (1, 1)], 2, b"ab", b"ab"),
        (&[(3, 0)], 3, b"", b"\0\0\0"),
        (&[(0, 0)], 0, b"", b""),
    ];

    #[test]
    fn holes_are_read_as_zeros_whatever_the_size_of_the_buffer() {
        for (map, size, stored, content) in CASES {
            for step in 1..=8 {
                let mut source = *stored;
                let map = sparse(map, *size, stored.len() as u64);
                let mut data = Data::new(&mut source, *size, Some(map));
                let (mut got, mut buffer) = (Vec::new(), vec![9; step]);
                loop {
                    match data.read(&mut buffer).unwrap() {
                        0 => break,
                        bytes => got.extend_from_slice(&buffer[..bytes]),
                    }
                }
                assert_eq!(got, *content);
                assert!(source.is_empty(), "all that is stored was consumed");
            }
        }
    }

    #[test]
    fn pieces_are_the_runs_of_data_and_holes_and_reading_may_go_on_behind_each() {
        for (map, size, stored, content) in CASES {
            for pieces in 0..5 {
                let mut source = *stored;
                let mut data = Data::new(&mut source, *size, Some(sparse(map, *size, stored.len() as u64)));
                let mut got = Vec::new();
                for _ in 0..pieces {
                    match data.next_piece().unwrap() {
                        Some(Piece::Data { offset, bytes }) => {
                            assert!(offset == got.len() as u64 && !bytes.is_empty());
                            got.extend_from_slice(bytes);
                        }
                        Some(Piece::Hole { offset, length }) => {
                            assert!(offset == got.len() as u64 && length > 0);
                            got.resize(got.len() + usize::try_from(length).unwrap(), 0);
                        }
                        None => assert_eq!(got, *content),
                    }
                }
                data.read_to_end(&mut got).unwrap();
                assert_eq!(got, *content, "{pieces} pieces first");
                assert!(data.next_piece().unwrap().is_none());
            }
        }
    }
}
