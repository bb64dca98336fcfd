//! The data of an entry.

use super::Error;

/// The data of one entry, chunk by chunk. It ends where the entry's data ends.
pub trait Source {
    /// Returns the next bytes; empty only at the end of the entry's data. Bytes that are not consumed are returned again.
    ///
    /// # Errors
    ///
    /// Violations of the archive, and errors of the reader below.
    fn chunk(&mut self) -> Result<&[u8], Error>;

    /// Marks the first `bytes` of the last chunk as used.
    fn consume(&mut self, bytes: usize);
}

impl Source for &[u8] {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        Ok(self)
    }

    fn consume(&mut self, bytes: usize) {
        *self = self.get(bytes..).unwrap_or_default();
    }
}
