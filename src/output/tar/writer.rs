//! The writer of archives.

use super::holes;
use super::member::{Member, Position, header_of_pax};
use crate::output::data::{Data, Piece};
use crate::output::sink_error::SinkError;
use crate::read::BLOCK;
use crate::words::{Change, Error, Segment};
use std::io::{self, Write};

/// Writes changes as the entries of an archive, one after another.
///
/// The same changes give the same bytes. Data is written as it comes, and nothing is kept but the headers of one entry.
#[derive(Debug)]
pub(crate) struct TarWriter<W> {
    out: W,
    at: At,
}

/// Where the archive stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// Behind a whole entry.
    Boundary,
    /// In an entry that was begun, or behind the end.
    Elsewhere,
}

const ZEROS: [u8; 16 * BLOCK] = [0; 16 * BLOCK];

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, at: At::Start }
    }

    /// Writes one entry. `data` is the content of a file.
    ///
    /// # Errors
    ///
    /// [`Violation::Unwritable`](crate::words::Violation::Unwritable), before a byte of the entry is written; a failure of
    /// the output; an error of the data.
    pub(crate) fn write(&mut self, change: &Change, mut data: Data<'_>) -> Result<(), SinkError> {
        let member = Member::of(change)?;
        let position = if self.at == At::Start { Position::First } else { Position::Later };
        let head = member.head(position)?;
        self.at = At::Elsewhere;
        self.out.write_all(&head)?;
        let written = self.content(member.segments(), &mut data)?;
        if written != member.stored() {
            return Err(Error::bug("a file has another size than its header says").into());
        }
        self.zeros(written.wrapping_neg() % BLOCK as u64)?;
        self.at = At::Boundary;
        Ok(())
    }

    /// Writes the data of a file, and returns how many bytes that was.
    fn content(&mut self, segments: Option<&[Segment]>, data: &mut Data<'_>) -> Result<u64, SinkError> {
        let (mut written, mut from) = (0, 0);
        while let Some(piece) = data.next_piece()? {
            match piece {
                Piece::Data { bytes, .. } => {
                    self.out.write_all(bytes)?;
                    written += bytes.len() as u64;
                }
                Piece::Hole { offset, length } => {
                    let hole = Segment { offset, length };
                    let zeros = segments.map_or(length, |segments| holes::zeros(segments, &mut from, hole));
                    self.zeros(zeros)?;
                    written += zeros;
                }
            }
        }
        Ok(written)
    }

    fn zeros(&mut self, bytes: u64) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
            self.out.write_all(ZEROS.get(..some).unwrap_or_default())?;
            left -= some as u64;
        }
        Ok(())
    }

    /// Writes the end mark.
    ///
    /// # Errors
    ///
    /// A failure of the output.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.at = At::Elsewhere;
        self.zeros(2 * BLOCK as u64)?;
        self.out.flush()
    }

    /// Leaves the archive truncated: it ends in the middle of an entry, or with an extended header without its content.
    ///
    /// Several readers, Go's among them, take the end of the stream behind a whole entry for the end of the archive. GNU
    /// tar and Python do so even if half a header follows. An extended header makes no file, and its content must follow.
    pub(crate) fn abandon(&mut self) {
        if matches!(std::mem::replace(&mut self.at, At::Elsewhere), At::Start | At::Boundary) {
            // What failed before is the error to report.
            let _ = self.out.write_all(&header_of_pax(BLOCK as u64)).and_then(|()| self.out.flush());
        }
    }

    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}
