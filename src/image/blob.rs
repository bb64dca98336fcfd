//! A reader over part of a file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Reads a blob, or another file of an image, from its first byte to its last.
///
/// It reads by position, so that many may read one archive at once, each in a thread of its own. What it reads
/// is unchecked: whoever takes the bytes compares them with what the image says of them.
#[derive(Debug, Clone)]
pub struct BlobReader {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl BlobReader {
    pub(super) fn new(file: Arc<File>, at: u64, size: u64) -> Self {
        Self { file, at, end: at.saturating_add(size) }
    }

    /// How many bytes are still to come, unless somebody cuts the file short meanwhile.
    pub fn bytes_left(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for BlobReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.bytes_left()).unwrap_or(usize::MAX).min(out.len());
        let got = self.file.read_at(out.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}
