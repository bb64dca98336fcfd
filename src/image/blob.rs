//! A reader over part of a file.

use crate::words::{Escaped, Segment, SparseMap, Violation};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Reads a blob, or another file of an image, from its first byte to its last.
///
/// It reads by position, so several threads can read from one archive, each with a reader of its own. The bytes are not
/// verified: the caller must check them against the digest. The holes of a sparse member of an archive are read as
/// zeros.
#[derive(Debug, Clone)]
pub struct BlobReader {
    file: Arc<File>,
    start: u64,
    at: u64,
    end: u64,
    spread: Option<Spread>,
}

/// The stored data of a sparse member. The positions of its reader are those of the file with its holes.
#[derive(Debug, Clone)]
struct Spread {
    map: Arc<SparseMap>,
    /// The current segment, or the next one.
    segment: usize,
    /// The offset in the archive where the data of the first segment begins.
    first: u64,
    /// The offset in the archive where the data of the current segment begins.
    stored_at: u64,
}

impl BlobReader {
    pub(super) fn new(file: Arc<File>, at: u64, size: u64) -> Self {
        Self { file, start: at, at, end: at.saturating_add(size), spread: None }
    }

    /// Reads a sparse file of `size` bytes with its holes, whose data begins at `stored_at`.
    pub(super) fn sparse(file: Arc<File>, stored_at: u64, size: u64, map: Arc<SparseMap>) -> Self {
        Self { file, start: 0, at: 0, end: size, spread: Some(Spread { map, segment: 0, first: stored_at, stored_at }) }
    }

    /// The number of bytes that are left, unless the file is truncated in the meantime.
    pub fn bytes_left(&self) -> u64 {
        self.end - self.at
    }
}

/// The violation of a file that is not regular.
pub(super) fn not_regular(name: &[u8]) -> Violation {
    Violation::BlobNotRegular { name: Escaped::new(name) }
}

impl Spread {
    /// The segment that holds `at`, or the next one; `None` behind the last.
    fn segment_at(&mut self, at: u64) -> Option<Segment> {
        loop {
            let segment = *self.map.segments().get(self.segment)?;
            if at < segment.offset.saturating_add(segment.length) {
                return Some(segment);
            }
            self.segment += 1;
            self.stored_at = self.stored_at.saturating_add(segment.length);
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let at_most = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let out = out.get_mut(..at_most(self.end - self.at).min(out.len())).unwrap_or_default();
        let Self { file, at, end, spread, .. } = self;
        let got = match spread {
            None => file.read_at(out, *at)?,
            Some(spread) => match spread.segment_at(*at) {
                Some(segment) if segment.offset <= *at => {
                    let within = *at - segment.offset;
                    let data = out.get_mut(..at_most(segment.length - within).min(out.len())).unwrap_or_default();
                    file.read_at(data, spread.stored_at.saturating_add(within))?
                }
                next => {
                    let hole = next.map_or(*end, |segment| segment.offset) - *at;
                    let zeros = out.get_mut(..at_most(hole).min(out.len())).unwrap_or_default();
                    zeros.fill(0);
                    zeros.len()
                }
            },
        };
        *at += got as u64;
        Ok(got)
    }
}

/// A position after the end is an error.
impl Seek for BlobReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(offset) => self.start.checked_add(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
            SeekFrom::End(offset) => self.end.checked_add_signed(offset),
        };
        let at = at.filter(|at| (self.start..=self.end).contains(at));
        self.at = at.ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
        if let Some(spread) = &mut self.spread {
            // The segments are found again from the first one.
            (spread.segment, spread.stored_at) = (0, spread.first);
        }
        Ok(self.at - self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Offsets and lengths, the size with holes, and the content.
    type Case = (&'static [(u64, u64)], u64, &'static [u8]);

    #[test]
    fn holes_are_zeros_and_data_is_read_from_where_it_is_stored() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"--abcdef--").unwrap();
        let file = Arc::new(file);
        let cases: &[Case] = &[
            (&[(0, 6)], 6, b"abcdef"),
            (&[(2, 1), (3, 2), (8, 3), (12, 0)], 12, b"\0\0abc\0\0\0def\0"),
            (&[(0, 0), (0, 3), (3, 0), (4, 3)], 7, b"abc\0def"),
            (&[(5, 0)], 5, b"\0\0\0\0\0"),
            (&[(0, 0)], 0, b""),
        ];
        for (segments, size, expected) in cases {
            let stored = segments.iter().map(|(_, length)| length).sum();
            let segments = segments.iter().map(|&(offset, length)| Segment { offset, length }).collect();
            let map = Arc::new(SparseMap::new(segments, *size, stored).unwrap());
            for step in 1..=13 {
                let mut reader = BlobReader::sparse(Arc::clone(&file), 2, *size, Arc::clone(&map));
                let (mut got, mut buffer) = (Vec::new(), vec![b'x'; step]);
                loop {
                    assert_eq!(reader.bytes_left(), size - got.len() as u64);
                    match reader.read(&mut buffer).unwrap() {
                        0 => break,
                        bytes => got.extend_from_slice(&buffer[..bytes]),
                    }
                }
                assert_eq!(got, *expected, "{step} bytes at once");
                for start in 0..=expected.len() {
                    assert_eq!(reader.seek(SeekFrom::Start(start as u64)).unwrap(), start as u64);
                    let mut rest = Vec::new();
                    reader.read_to_end(&mut rest).unwrap();
                    assert_eq!(rest, expected[start..], "from byte {start}");
                }
                assert!(reader.seek(SeekFrom::Start(size + 1)).is_err() && reader.seek(SeekFrom::Current(1)).is_err());
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_short_ends_early() {
        let map = SparseMap::new(vec![Segment { offset: 4, length: 4 }], 8, 4).unwrap();
        let mut reader = BlobReader::sparse(Arc::new(tempfile::tempfile().unwrap()), 0, 8, Arc::new(map));
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        assert_eq!((got.len(), reader.bytes_left()), (4, 4));
    }
}
