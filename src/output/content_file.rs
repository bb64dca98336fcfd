//! The content of many files, one behind another in one temporary file.
//!
//! Before the content of a file with holes is the map of its holes: the number of segments, the number of stored bytes, and
//! then the segments. So a map of any size takes no memory.

use super::data::{Data, Piece};
use crate::words::{Error, Segment, Source, SparseMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;
/// Bytes that are read at once.
const WINDOW: u64 = 256 << 10;
/// A gap of this size is read, too: between two small files that are wanted lies one that is not.
const GAP: u64 = 64 << 10;

/// Bytes of a number in the file.
const NUMBER: usize = size_of::<u64>();

/// How the file is named in messages.
const KEPT: &[u8] = b"(kept content)";

/// Writes the content of files.
#[derive(Debug)]
pub(crate) struct ContentWriter {
    file: File,
    /// What is not written yet.
    buffer: Vec<u8>,
    written: u64,
}

/// Why content was not added.
#[derive(Debug)]
pub(crate) enum NotAdded {
    /// It could not be read.
    Unread(io::Error),
    /// It could not be written.
    #[cfg_attr(not(feature = "image"), expect(dead_code, reason = "only a replay reports it"))]
    Unwritten(Error),
}

impl ContentWriter {
    /// Writes to an empty file.
    pub(crate) fn new(file: File) -> Self {
        Self { file, buffer: Vec::with_capacity(BUFFER), written: 0 }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// How many bytes were added.
    pub(crate) fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Adds the content of a file. Returns its place.
    pub(crate) fn add(&mut self, data: &mut Data<'_>) -> Result<u64, NotAdded> {
        let place = self.bytes();
        if let Some(map) = data.map().cloned() {
            self.write_map(&map).map_err(NotAdded::Unwritten)?;
        }
        while let Some(piece) = data.next_piece().map_err(NotAdded::Unread)? {
            if let Piece::Data { bytes, .. } = piece {
                self.write(bytes).map_err(NotAdded::Unwritten)?;
            }
        }
        Ok(place)
    }

    fn write_map(&mut self, map: &SparseMap) -> Result<(), Error> {
        let segments = map.segments();
        let stored = segments.iter().map(|segment| segment.length).sum();
        let numbers = segments.iter().flat_map(|segment| [segment.offset, segment.length]);
        [segments.len() as u64, stored]
            .into_iter()
            .chain(numbers)
            .try_for_each(|number| self.write(&number.to_le_bytes()))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER / 2 {
            self.flush()?;
            return self.write_through(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn write_through(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all_at(bytes, self.written);
        written.map_err(|error| Error::system("pwrite64", KEPT, error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write_through(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, and returns the content for reading.
    pub(crate) fn finish(mut self) -> Result<ContentFile, Error> {
        self.flush()?;
        Ok(ContentFile { file: self.file, bytes: self.written })
    }
}

/// The content of files, by its places.
#[derive(Debug)]
pub(crate) struct ContentFile {
    file: File,
    bytes: u64,
}

/// Where the content of a file is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContentPlace {
    pub(crate) place: u64,
    /// The size of the file, holes included.
    pub(crate) size: u64,
    pub(crate) has_holes: bool,
}

impl ContentFile {
    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many of the wanted bytes there are from `at` on.
    fn room(&self, at: u64, wanted: u64) -> usize {
        usize::try_from(wanted.min(self.bytes.saturating_sub(at))).unwrap_or(usize::MAX)
    }

    pub(crate) fn reader(&self) -> ContentReader<'_> {
        ContentReader { content: self, window: Vec::new(), start: 0 }
    }
}

/// Reads content. In the order in which it was written, many small files are read at once.
#[derive(Debug)]
pub(crate) struct ContentReader<'c> {
    content: &'c ContentFile,
    /// The bytes that were read last, and where they begin.
    window: Vec<u8>,
    start: u64,
}

impl<'c> ContentReader<'c> {
    /// The content of a file, and the map of its holes.
    pub(crate) fn get(&mut self, at: ContentPlace) -> Result<(Option<SparseMap>, ContentSource<'_, 'c>), Error> {
        let ContentPlace { place, size, has_holes } = at;
        let (map, begin, stored) = match has_holes {
            false => (None, place, size),
            true => self.map(place, size).map(|(map, begin, stored)| (Some(map), begin, stored))?,
        };
        Ok((map, ContentSource { reader: self, at: begin, end: begin.saturating_add(stored) }))
    }

    /// The map of a file, where its content begins, and how many bytes are stored.
    fn map(&mut self, place: u64, size: u64) -> Result<(SparseMap, u64, u64), Error> {
        let head = self.numbers(place, 2)?;
        let [segments, stored] = head[..] else { return Err(Error::bug("a map of holes has no head")) };
        let at = place + 2 * NUMBER as u64;
        let numbers = self.numbers(at, segments.saturating_mul(2))?;
        let begin = at + (numbers.len() * NUMBER) as u64;
        let (pairs, _) = numbers.as_chunks();
        let segments = pairs.iter().map(|&[offset, length]| Segment { offset, length }).collect();
        Ok((SparseMap::new(segments, size, stored)?, begin, stored))
    }

    fn numbers(&mut self, place: u64, amount: u64) -> Result<Vec<u64>, Error> {
        let mut bytes = Vec::new();
        let mut source =
            ContentSource { reader: self, at: place, end: place.saturating_add(amount.saturating_mul(NUMBER as u64)) };
        loop {
            let chunk = source.chunk()?;
            if chunk.is_empty() {
                break;
            }
            bytes.extend_from_slice(chunk);
            let consumed = chunk.len();
            source.consume(consumed);
        }
        let (numbers, _) = bytes.as_chunks();
        Ok(numbers.iter().map(|&number| u64::from_le_bytes(number)).collect())
    }

    /// The bytes from `at` on, as far as they are read at once, and at most up to `end`.
    fn bytes(&mut self, at: u64, end: u64) -> io::Result<&[u8]> {
        let behind = self.start + self.window.len() as u64;
        if !(self.start..behind).contains(&at) {
            // Content in another order than it was written in is read alone.
            let is_next = (behind..=behind.saturating_add(GAP)).contains(&at);
            self.fill(at, if is_next { WINDOW } else { WINDOW.min(end - at) })?;
        }
        let offset = |at: u64| usize::try_from(at - self.start).unwrap_or(usize::MAX);
        let (from, to) = (offset(at), offset(end).min(self.window.len()));
        Ok(self.window.get(from..to).unwrap_or_default())
    }

    /// Reads a window.
    fn fill(&mut self, at: u64, wanted: u64) -> io::Result<()> {
        self.window.clear();
        // Beyond the end, the read is the error.
        self.window.resize(self.content.room(at, wanted).max(1), 0);
        self.start = at;
        self.content.file.read_exact_at(&mut self.window, at).inspect_err(|_| self.window.clear())
    }
}

/// The content of one file.
#[derive(Debug)]
pub(crate) struct ContentSource<'r, 'c> {
    reader: &'r mut ContentReader<'c>,
    at: u64,
    end: u64,
}

impl Source for ContentSource<'_, '_> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        if self.at == self.end {
            return Ok(&[]);
        }
        self.reader.bytes(self.at, self.end).map_err(|error| Error::system("pread64", KEPT, error))
    }

    fn consume(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes as u64).min(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn place(place: u64, size: u64, has_holes: bool) -> ContentPlace {
        ContentPlace { place, size, has_holes }
    }

    #[test]
    fn content_comes_back_in_any_order_with_its_holes() {
        let mut writer = ContentWriter::new(tempfile::tempfile().unwrap());
        let segments = vec![Segment { offset: 512, length: 3 }, Segment { offset: 2_000, length: 0 }];
        let map = SparseMap::new(segments, 2_000, 3).unwrap();
        let long: Vec<u8> = (0..3 * BUFFER + 7).map(|at| (at % 251) as u8).collect();
        let mut contents: Vec<(Option<&SparseMap>, usize, &[u8])> =
            vec![(None, 5, b"small"), (Some(&map), 2_000, b"abc"), (None, long.len(), &long)];
        contents.extend((0..200).map(|number| (None, number * 37, &long[number..number * 38])));
        let mut places = Vec::new();
        for &(sparse, size, mut stored) in &contents {
            let mut data = Data::new(&mut stored, size as u64, sparse.cloned());
            places.push(place(writer.add(&mut data).unwrap(), size as u64, sparse.is_some()));
        }
        let bytes = writer.bytes();
        let content = writer.finish().unwrap();
        assert_eq!(content.bytes(), bytes);
        let orders: [&dyn Fn(usize) -> usize; 3] =
            [&|number| number, &|number| contents.len() - 1 - number, &|number| number * 7 % contents.len()];
        for order in orders {
            let mut reader = content.reader();
            for number in (0..contents.len()).map(order) {
                let (sparse, size, mut stored) = contents[number];
                let (found, mut source) = reader.get(places[number]).unwrap();
                assert_eq!(found.as_ref(), sparse);
                let (mut got, mut expected) = (Vec::new(), Vec::new());
                Data::new(&mut source, size as u64, found).read_to_end(&mut got).unwrap();
                Data::new(&mut stored, size as u64, sparse.cloned()).read_to_end(&mut expected).unwrap();
                assert!(got == expected, "{number}");
            }
        }
    }

    #[test]
    fn a_file_that_lost_bytes_is_an_error_and_not_other_content() {
        let mut writer = ContentWriter::new(tempfile::tempfile().unwrap());
        writer.add(&mut Data::of(&mut &b"content"[..])).unwrap();
        let content = writer.finish().unwrap();
        content.file.set_len(3).unwrap();
        let mut reader = content.reader();
        for _ in 0..2 {
            let (_, mut source) = reader.get(place(0, 7, false)).unwrap();
            assert!(source.chunk().is_err());
        }
        let (_, mut source) = reader.get(place(100, 1, false)).unwrap();
        assert!(source.chunk().is_err());
    }

    /// Counts reads by the position of a shared file: `read_exact_at` does not move it, so windows are looked at instead.
    #[test]
    fn small_files_are_read_together_in_the_order_in_which_they_were_written() {
        let mut writer = ContentWriter::new(tempfile::tempfile().unwrap());
        let places: Vec<_> =
            (0..1_000).map(|_| place(writer.add(&mut Data::of(&mut &[7; 100][..])).unwrap(), 100, false)).collect();
        let content = writer.finish().unwrap();
        let mut reader = content.reader();
        let mut windows = Vec::new();
        for &place in &places {
            let (_, mut source) = reader.get(place).unwrap();
            assert_eq!(source.chunk().unwrap(), [7; 100]);
            windows.push(reader.start);
        }
        windows.dedup();
        assert_eq!(windows.len(), 1, "{windows:?}");
        // A file from elsewhere is read alone.
        let mut reader = content.reader();
        let (_, mut source) = reader.get(places[900]).unwrap();
        source.chunk().unwrap();
        assert_eq!(reader.window.len(), 100);
    }
}
