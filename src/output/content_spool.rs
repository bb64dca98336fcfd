//! The content of many files, kept in one file until it is needed in another order.

use super::data::{Data, Piece};
use super::replay::FileSource;
use super::sink_error::SinkError;
use crate::words::{Error, Segment, SparseMap};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes that are written at once.
const BUFFER: usize = 128 << 10;

/// Bytes of a segment in the file: its offset and its length.
const SEGMENT: usize = 16;

/// The content of files, by a number for each. Maps of holes are in the file, too, since archives decide about their size.
#[derive(Debug)]
pub(crate) struct ContentSpool<'f> {
    file: &'f File,
    kept: HashMap<u32, Kept>,
    /// What is not written yet, and where it will be.
    buffer: Vec<u8>,
    at: u64,
}

/// Where the content of one file is: the segments of its map, then its stored bytes.
#[derive(Debug, Clone, Copy)]
struct Kept {
    at: u64,
    size: u64,
    stored: u64,
    segments: Option<usize>,
}

impl<'f> ContentSpool<'f> {
    /// Keeps content in a file, from its first byte on.
    pub(crate) fn new(file: &'f File) -> Self {
        Self { file, kept: HashMap::new(), buffer: Vec::with_capacity(BUFFER), at: 0 }
    }

    /// Keeps the content of a file.
    pub(crate) fn keep(
        &mut self,
        number: u32,
        sparse: Option<&SparseMap>,
        data: &mut Data<'_>,
    ) -> Result<(), SinkError> {
        let at = self.at + self.buffer.len() as u64;
        let segments = sparse.map(SparseMap::segments);
        for segment in segments.into_iter().flatten() {
            self.write(&segment.offset.to_le_bytes())?;
            self.write(&segment.length.to_le_bytes())?;
        }
        let mut stored = 0;
        while let Some(piece) = data.next_piece()? {
            if let Piece::Data { bytes, .. } = piece {
                stored += bytes.len() as u64;
                self.write(bytes)?;
            }
        }
        self.kept.insert(number, Kept { at, size: data.size(), stored, segments: segments.map(<[_]>::len) });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            return self.write_at_end(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn write_at_end(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all_at(bytes, self.at);
        written.map_err(|error| Error::system("pwrite64", KEPT, error))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes what is not written yet. It has to be called between keeping and reading.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write_at_end(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// The kept content of a file, and the map of its holes.
    pub(crate) fn get(&self, number: u32) -> Result<(Option<SparseMap>, FileSource<'f>), Error> {
        let kept = self.kept.get(&number).copied().ok_or(Error::bug("the content of a file was not kept"))?;
        let (mut at, mut sparse) = (kept.at, None);
        if let Some(segments) = kept.segments {
            let mut bytes = vec![0; segments * SEGMENT];
            self.file.read_exact_at(&mut bytes, at).map_err(|error| Error::system("pread64", KEPT, error))?;
            at += bytes.len() as u64;
            sparse = Some(SparseMap::new(parse(&bytes), kept.size, kept.stored)?);
        }
        Ok((sparse, FileSource::new(self.file, at, kept.stored)))
    }
}

const KEPT: &[u8] = b"(kept content)";

fn parse(bytes: &[u8]) -> Vec<Segment> {
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (segments, _) = bytes.as_chunks::<SEGMENT>();
    let segment = |bytes: &[u8; SEGMENT]| {
        let (offset, length) = bytes.split_at(SEGMENT / 2);
        Segment { offset: number(offset), length: number(length) }
    };
    segments.iter().map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn content_comes_back_in_any_order_with_its_holes() {
        let file = tempfile::tempfile().unwrap();
        let mut spool = ContentSpool::new(&file);
        let segments = vec![Segment { offset: 512, length: 3 }, Segment { offset: 2_000, length: 0 }];
        let map = SparseMap::new(segments, 2_000, 3).unwrap();
        let long: Vec<u8> = (0..3 * BUFFER + 7).map(|at| (at % 251) as u8).collect();
        let contents = [(7, None, 5, &b"small"[..]), (3, Some(&map), 2_000, b"abc"), (9, None, long.len(), &long)];
        for (number, sparse, size, mut stored) in contents {
            let mut data = Data::new(&mut stored, size as u64, sparse.cloned());
            spool.keep(number, sparse, &mut data).unwrap();
        }
        spool.flush().unwrap();
        for (number, sparse, size, mut stored) in contents.into_iter().rev() {
            let (found, mut source) = spool.get(number).unwrap();
            assert_eq!(found.as_ref(), sparse);
            let (mut got, mut expected) = (Vec::new(), Vec::new());
            Data::new(&mut source, size as u64, found).read_to_end(&mut got).unwrap();
            Data::new(&mut stored, size as u64, sparse.cloned()).read_to_end(&mut expected).unwrap();
            assert!(got == expected, "{number}");
        }
        assert!(spool.get(1).is_err());
    }
}
