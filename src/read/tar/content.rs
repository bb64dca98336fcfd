//! The content of an entry.

use super::block::Blocks;
use crate::words::{Cursor, Error, Got, Source, Violation};
use std::io::{self, BufRead, Read};

/// What is not read yet of the content of an entry.
#[derive(Default)]
pub(super) struct Unread {
    /// The unread stored bytes.
    pub(super) stored: u64,
    /// Where reading stands in a sparse file.
    pub(super) sparse: Option<Cursor>,
    /// The error that was returned. The underlying reader may not return it again.
    pub(super) error: Option<Error>,
}

/// The content of the current entry.
pub(super) struct Content<'a, R> {
    blocks: &'a mut Blocks<R>,
    unread: &'a mut Unread,
}

impl<'a, R> Content<'a, R> {
    pub(super) fn new(blocks: &'a mut Blocks<R>, unread: &'a mut Unread) -> Self {
        Self { blocks, unread }
    }
}

impl<R: BufRead> Source for Content<'_, R> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        let Unread { stored, error: failed, .. } = &mut *self.unread;
        if *stored == 0 {
            return Ok(&[]);
        }
        match self.blocks.chunk(*stored) {
            Ok([]) => Err(Violation::Truncated.into()),
            Ok(chunk) => Ok(chunk),
            Err(error) => match failed {
                Some(first) => Err(first.again()),
                None => {
                    *failed = Some(error.again());
                    Err(error)
                }
            },
        }
    }

    fn consume(&mut self, bytes: usize) {
        let Unread { stored, sparse, .. } = &mut *self.unread;
        let bytes = bytes.min(usize::try_from(*stored).unwrap_or(usize::MAX));
        self.blocks.consume(bytes);
        *stored -= bytes as u64;
        if let Some(cursor) = sparse {
            cursor.advance_stored(bytes as u64);
        }
    }
}

impl<R: BufRead> Read for Content<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = match self.unread.sparse.take() {
            None => self.chunk()?.read(out)?,
            Some(mut cursor) => {
                let got = cursor.read(self, out);
                self.unread.sparse = Some(cursor);
                match got? {
                    Got::Zeros(bytes) => return Ok(bytes),
                    Got::Stored(bytes) => bytes,
                }
            }
        };
        self.consume(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tar::TarReader;
    use crate::read::tar::build::tar;
    use crate::words::Limits;

    /// A file of 14 bytes with three runs of data, and a plain one.
    fn archive() -> Vec<u8> {
        let records: &[(&str, &[u8])] = &[
            ("GNU.sparse.size", b"14"),
            ("GNU.sparse.numblocks", b"3"),
            ("GNU.sparse.name", b"holes"),
            ("GNU.sparse.map", b"2,3,8,2,14,0"),
        ];
        tar().pax(records).file("stand-in", b"abcde").file("plain", b"plain").end()
    }

    const WHOLE: &[u8; 14] = b"\0\0abc\0\0\0de\0\0\0\0";

    fn first<'a>(archive: &'a [u8], limits: &Limits) -> TarReader<&'a [u8]> {
        let mut reader = TarReader::new(archive, limits);
        reader.next_entry().unwrap().unwrap();
        reader
    }

    #[test]
    fn holes_are_read_as_zeros_in_pieces_of_any_size() {
        let (archive, limits) = (archive(), Limits::default());
        for size in 1..=20 {
            let mut reader = first(&archive, &limits);
            let mut content = Vec::new();
            loop {
                let mut piece = vec![7; size];
                // Each call begins where the last one stopped.
                match reader.source().read(&mut piece).unwrap() {
                    0 => break,
                    bytes => content.extend_from_slice(&piece[..bytes]),
                }
            }
            assert_eq!(content, WHOLE, "{size}");
            reader.next_entry().unwrap().unwrap();
            assert_eq!(io::read_to_string(reader.source()).unwrap(), "plain");
            assert_eq!(reader.next_entry().unwrap(), None);
            assert_eq!(io::read_to_string(reader.source()).unwrap(), "");
        }
    }

    #[test]
    fn stored_bytes_and_content_are_read_in_turn() {
        let (archive, limits) = (archive(), Limits::default());
        for (before, expected) in [(0, &WHOLE[3..]), (1, &WHOLE[3..]), (2, &WHOLE[3..]), (3, &WHOLE[4..])] {
            let mut reader = first(&archive, &limits);
            let mut source = reader.source();
            assert_eq!(source.read(&mut vec![0; before]).unwrap(), before.min(2));
            if before == 3 {
                assert_eq!(source.read(&mut [0; 1]).unwrap(), 1);
            }
            // One stored byte, over the rest of the hole before it.
            source.chunk().unwrap();
            source.consume(1);
            let mut rest = Vec::new();
            source.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, expected, "{before}");
        }
    }

    #[test]
    fn an_archive_that_ends_inside_a_file_is_truncated_to_a_reader_too() {
        let whole = tar().file("f", [1; 600]).cut();
        let limits = Limits::default();
        let mut reader = first(&whole[..1_000], &limits);
        let error = reader.source().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(Error::of_reader(error).violation(), Some(&Violation::Truncated));
        assert_eq!(reader.next_entry().unwrap_err().violation(), Some(&Violation::Truncated));
    }
}
