//! The count of bytes read from a layer's blob, shared between threads.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of bytes read from one blob. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct BlobBytes(Arc<AtomicU64>);

impl BlobBytes {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A reader that counts its bytes. It is the first around every reader of a caller, and corrects one that says that it gave
/// more bytes than it was asked for.
pub(super) struct Counted<R> {
    reader: R,
    bytes: BlobBytes,
}

impl<R: Read> Counted<R> {
    pub(super) fn new(reader: R, bytes: BlobBytes) -> Self {
        Self { reader, bytes }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(out)?.min(out.len());
        // Only for display: no other memory depends on it.
        self.bytes.0.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}
