//! Where a change's data comes from.

use super::Fault;

/// The data of one entry, lent chunk by chunk and never more than the entry has.
pub trait Source {
    /// The next bytes, empty only at the end of the entry's data. What is not consumed comes again.
    ///
    /// # Errors
    ///
    /// What is wrong with the archive, or with the reader under it.
    fn chunk(&mut self) -> Result<&[u8], Fault>;

    /// Marks the first `bytes` of the last chunk as used.
    fn consume(&mut self, bytes: usize);
}

impl Source for &[u8] {
    fn chunk(&mut self) -> Result<&[u8], Fault> {
        Ok(self)
    }

    fn consume(&mut self, bytes: usize) {
        *self = self.get(bytes..).unwrap_or_default();
    }
}
