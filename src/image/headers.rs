//! Reads only the headers of an archive.

use super::archive_file::system;
use crate::read::Jump;
use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A buffered reader that jumps over the contents between the headers.
pub(super) struct Headers {
    file: Arc<File>,
    /// Where the buffer ends in the file.
    at: u64,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Headers {
    const BUFFER: usize = 16 << 10;

    pub(super) fn of(file: Arc<File>) -> Self {
        Self { file, at: 0, buffer: vec![0; Self::BUFFER].into(), start: 0, end: 0 }
    }
}

impl Read for Headers {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(out)?;
        self.consume(got);
        Ok(got)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.end = self.file.read_at(&mut self.buffer, self.at).map_err(failed)?;
            self.at += self.end as u64;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start.saturating_add(bytes));
    }
}

/// Makes a failed read a system error of the archive: the tar reader would blame it on a layer. Callers retry an
/// interrupted read if the error keeps its kind.
fn failed(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Interrupted => error,
        _ => system("pread64", error).into(),
    }
}

impl Jump for Headers {
    fn jump(&mut self, bytes: u64) {
        let buffered = (self.end - self.start) as u64;
        if bytes <= buffered {
            self.consume(usize::try_from(bytes).unwrap_or(usize::MAX));
        } else {
            self.at = self.at.saturating_add(bytes - buffered);
            self.start = self.end;
        }
    }
}
