//! The reader of a blob that other threads use.

use super::chunk::{Chunk, Pool};
use super::hash_queue::HashQueue;
use crate::words::{DeferredWork, Error, Misuse};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The caller's reader. It fails once the stream that it feeds is dropped.
pub(super) struct Upstream<R> {
    reader: R,
    is_dropped: Arc<AtomicBool>,
    was_short: bool,
}

impl<R: Read> Upstream<R> {
    pub(super) fn new(reader: R, is_dropped: Arc<AtomicBool>) -> Self {
        Self { reader, is_dropped, was_short: false }
    }
}

impl<R: Read> Read for Upstream<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.is_dropped.load(Ordering::Acquire) {
            return Err(Error::from(Misuse::Poisoned).into());
        }
        let got = self.reader.read(out);
        self.was_short = got.as_ref().is_ok_and(|&got| got < out.len());
        got
    }
}

/// The blob of a layer, as the decoder reads it.
pub(super) enum Source<R> {
    /// Its bytes are hashed as those of the layer, or by no thread.
    Direct(Upstream<R>),
    /// It is read in chunks of its own, which any thread can hash.
    Chunked(ChunkReader<R>),
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Direct(upstream) => upstream.read(out),
            Self::Chunked(chunks) => chunks.read(out),
        }
    }
}

impl<R> Source<R> {
    /// Reads the rest in chunks, and queues each chunk for hashing.
    pub(super) fn in_chunks(self, pool: Pool, queue: Arc<HashQueue>) -> Self {
        match self {
            Self::Direct(reader) => Self::Chunked(ChunkReader { reader, pool, queue, current: None, used: 0 }),
            chunked => chunked,
        }
    }

    /// Whether the last read gave fewer bytes than asked for. The reader may be a pipe or a connection then, and the next
    /// read may wait for the other side.
    pub(super) fn may_block(&self) -> bool {
        match self {
            Self::Direct(upstream) => upstream.was_short,
            Self::Chunked(chunks) => chunks.reader.was_short,
        }
    }
}

/// Reads a blob in chunks, and queues each chunk for hashing before its bytes are given out.
pub(super) struct ChunkReader<R> {
    reader: Upstream<R>,
    pool: Pool,
    queue: Arc<HashQueue>,
    current: Option<Arc<Chunk>>,
    /// How many bytes of the current chunk have been given out.
    used: usize,
}

/// The number of buffers for the compressed bytes of a layer. They are only read ahead as far as they can be hashed
/// meanwhile.
pub(super) const COMPRESSED: usize = 4;

impl<R: Read> ChunkReader<R> {
    /// Reads the next chunk, once the last one is used up. `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.current.as_ref().is_some_and(|chunk| chunk.len() > self.used) {
            return Ok(true);
        }
        // Returns the buffer to the pool before the next one is taken.
        self.current = None;
        let mut chunk = self.pool.wait_for(COMPRESSED, || self.queue.run_one() || self.queue.await_turn())?;
        let got = self.reader.read(chunk.buffer())?;
        if got == 0 {
            return Ok(false);
        }
        chunk.set_filled(got);
        let chunk = Arc::new(chunk);
        self.queue.add(&chunk);
        (self.current, self.used) = (Some(chunk), 0);
        Ok(true)
    }
}

impl<R: Read> Read for ChunkReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.fill()? {
            return Ok(0);
        }
        let left = self.current.as_ref().and_then(|chunk| chunk.get(self.used..)).unwrap_or_default();
        let bytes = { left }.read(out)?;
        self.used += bytes;
        Ok(bytes)
    }
}
