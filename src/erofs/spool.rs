//! A temporary file, for what can be written to the image only when the tree is known: the ends of files, and where the
//! chunks of files with holes are.

use super::chunks::Run;
use super::output::Output;
use crate::words::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Creates the temporary file, when it is needed.
pub(super) type Create<'f> = Box<dyn FnMut() -> io::Result<File> + Send + 'f>;

const NAME: &[u8] = b"(a temporary file)";
/// Bytes that are written at once.
const BUFFER: usize = 64 << 10;
/// Bytes of a run in the file.
const RUN: usize = 16;

/// The temporary file, which is created when it is needed.
pub(super) struct Spool<'f> {
    create: Create<'f>,
    file: Option<File>,
    buffer: Vec<u8>,
    at: u64,
}

impl<'f> Spool<'f> {
    pub(super) fn new(create: Create<'f>) -> Self {
        Self { create, file: None, buffer: Vec::new(), at: 0 }
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // The file is created now: where there can be none, the error is that of the entry that needs it.
        self.file()?;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    pub(super) fn write_runs(&mut self, runs: &[Run]) -> Result<(), Error> {
        self.write(&(runs.len() as u64).to_le_bytes())?;
        runs.iter().try_for_each(|run| {
            self.write(&run.hole.to_le_bytes())?;
            self.write(&run.chunks.to_le_bytes())
        })
    }

    /// Writes what is in the buffer. It has to be called between writing and reading.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let at = self.at;
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.file()?.write_all_at(&buffer, at);
        self.buffer = buffer;
        written.map_err(|error| Error::system("pwrite64", NAME, error))?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn file(&mut self) -> Result<&File, Error> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert((self.create)().map_err(no_file)?)),
        }
    }

    /// Fills `bytes` with what was written at `at`.
    fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), Error> {
        let file = self.file.as_ref().ok_or(Error::bug("nothing was kept"))?;
        file.read_exact_at(bytes, at).map_err(|error| Error::system("pread64", NAME, error))
    }

    /// Copies the end of a file from `at` to the image.
    pub(super) fn copy(&self, at: u64, length: usize, out: &mut Output<'_>) -> Result<(), Error> {
        let mut bytes = vec![0; length];
        self.read(&mut bytes, at)?;
        out.write(&bytes)
    }

    /// Gives the runs that were written at `at` to `act`, one after another.
    pub(super) fn for_each_run(&self, mut at: u64, mut act: impl FnMut(Run) -> Result<(), Error>) -> Result<(), Error> {
        let mut count = [0; 8];
        self.read(&mut count, at)?;
        let mut left = u64::from_le_bytes(count);
        at += count.len() as u64;
        while left > 0 {
            let some = left.min((BUFFER / RUN) as u64);
            let mut bytes = vec![0; some as usize * RUN];
            self.read(&mut bytes, at)?;
            for &[a, b, c, d, e, f, g, h, ref rest @ ..] in bytes.as_chunks::<RUN>().0 {
                let hole = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                act(Run { hole, chunks: u64::from_le_bytes(*rest) })?;
            }
            at += bytes.len() as u64;
            left -= some;
        }
        Ok(())
    }
}

/// An error of the callback may be one of this library.
fn no_file(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::system("open", NAME, error),
    }
}

impl fmt::Debug for Spool<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("at", &self.at).finish_non_exhaustive()
    }
}
