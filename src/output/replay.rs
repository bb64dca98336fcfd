//! Content that is kept for a second reading: in memory while it is small, then in a temporary file.

use super::data::Data;
use crate::cage::Scratch;
use crate::words::{Error, Source};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read from a file at once.
const CHUNK: u64 = 64 << 10;

/// Reads a range of a file.
pub(crate) struct FileSource<'f> {
    file: &'f File,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl<'f> FileSource<'f> {
    pub(super) fn new(file: &'f File, at: u64, length: u64) -> Self {
        Self { file, at, end: at.saturating_add(length), buffer: Vec::new(), used: 0 }
    }

    fn fill(&mut self) -> io::Result<()> {
        let length = usize::try_from(CHUNK.min(self.end - self.at)).unwrap_or(usize::MAX);
        self.buffer.resize(length, 0);
        self.file.read_exact_at(&mut self.buffer, self.at)?;
        self.at += length as u64;
        self.used = 0;
        Ok(())
    }
}

impl Source for FileSource<'_> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        if self.used == self.buffer.len() {
            self.fill().map_err(|error| Error::system("pread64", b"(kept content)", error))?;
        }
        Ok(self.buffer.get(self.used..).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes).min(self.buffer.len());
    }
}

/// The bytes of a file that are kept in memory at most.
const IN_MEMORY: usize = 1 << 20;

/// The content of one file after another, each kept for a second reading.
#[derive(Debug)]
pub(super) struct Replay {
    memory: Vec<u8>,
    scratch: Scratch,
    /// Created when it is needed.
    file: Option<File>,
    in_file: u64,
}

impl Replay {
    pub(super) fn new(scratch: Scratch) -> Self {
        Self { memory: Vec::new(), scratch, file: None, in_file: 0 }
    }

    /// Keeps what is read of `data` from now on. What was kept before is gone.
    pub(super) fn record<'r>(&'r mut self, data: &'r mut Data<'_>) -> Recording<'r> {
        self.memory.clear();
        self.in_file = 0;
        Recording { source: data.stored(), replay: self, failed: None }
    }

    /// Reads what was kept.
    pub(super) fn source(&self) -> Kept<'_> {
        Kept { memory: &self.memory, file: self.file.as_ref().map(|file| FileSource::new(file, 0, self.in_file)) }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let room = IN_MEMORY.saturating_sub(self.memory.len());
        let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.memory.extend_from_slice(first);
        if rest.is_empty() {
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(self.scratch.create()?),
        };
        let written = file.write_all_at(rest, self.in_file);
        self.in_file += rest.len() as u64;
        written.map_err(|error| Error::system("pwrite64", b"(kept content)", error))
    }
}

/// Content that is being read, and kept.
pub(super) struct Recording<'r> {
    source: &'r mut dyn Source,
    replay: &'r mut Replay,
    /// The failure to keep some bytes. Every later call returns it, because the first sink may ignore it.
    failed: Option<Error>,
}

impl Recording<'_> {
    /// Keeps the bytes that are not read yet.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        loop {
            match self.chunk()?.len() {
                0 => return Ok(()),
                bytes => self.consume(bytes),
            }
        }
    }
}

impl Source for Recording<'_> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        match &self.failed {
            Some(error) => Err(error.again()),
            None => self.source.chunk(),
        }
    }

    fn consume(&mut self, bytes: usize) {
        // The same chunk as before: it comes again until it is consumed.
        if self.failed.is_none()
            && let Ok(chunk) = self.source.chunk()
        {
            self.failed = self.replay.keep(chunk.get(..bytes).unwrap_or(chunk)).err();
        }
        self.source.consume(bytes);
    }
}

/// Content that was kept.
pub(super) struct Kept<'r> {
    memory: &'r [u8],
    file: Option<FileSource<'r>>,
}

impl Source for Kept<'_> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        match &mut self.file {
            Some(file) if self.memory.is_empty() => file.chunk(),
            _ => Ok(self.memory),
        }
    }

    fn consume(&mut self, bytes: usize) {
        match self.memory.split_at_checked(bytes) {
            Some((_, rest)) if !self.memory.is_empty() => self.memory = rest,
            _ => self.file.iter_mut().for_each(|file| file.consume(bytes)),
        }
    }
}
