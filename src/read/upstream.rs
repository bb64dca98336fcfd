//! The reader of a blob on the feeding thread.

use super::chunk::{Chunk, Pool};
use super::hash_queue::HashQueue;
use crate::words::{DeferredWork, Error, Misuse};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A reader whose next read may block.
pub(super) trait MayBlock {
    /// Whether the last read gave fewer bytes than asked for. The reader may be a pipe or a connection then, and the next
    /// read may wait for the other side.
    fn may_block(&self) -> bool;
}

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

impl<R> MayBlock for Upstream<R> {
    fn may_block(&self) -> bool {
        self.was_short
    }
}

/// Reads a blob in chunks, and queues each chunk for hashing before its bytes are given out.
pub(super) struct ChunkReader<'p, R> {
    reader: R,
    pool: &'p mut Pool,
    queue: Arc<HashQueue>,
    current: Option<Arc<Chunk>>,
    /// How many bytes of the current chunk have been given out.
    used: usize,
}

impl<'p, R: Read> ChunkReader<'p, R> {
    pub(super) fn new(reader: R, pool: &'p mut Pool, queue: Arc<HashQueue>) -> Self {
        Self { reader, pool, queue, current: None, used: 0 }
    }

    /// Reads the next chunk, once the last one is used up. `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.current.as_ref().is_some_and(|chunk| chunk.len() > self.used) {
            return Ok(true);
        }
        // Returns the buffer to the pool before the next one is taken.
        self.current = None;
        let mut buffer = self.pool.take(|| self.queue.run_one() || self.queue.await_turn())?;
        let got = self.reader.read(&mut buffer);
        // The chunk returns the buffer to the pool even if the read failed.
        let chunk = self.pool.chunk(buffer, *got.as_ref().unwrap_or(&0));
        if got? == 0 {
            return Ok(false);
        }
        self.queue.add(&chunk);
        (self.current, self.used) = (Some(chunk), 0);
        Ok(true)
    }
}

impl<R: Read> Read for ChunkReader<'_, R> {
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

impl<R: MayBlock> MayBlock for ChunkReader<'_, R> {
    fn may_block(&self) -> bool {
        self.reader.may_block()
    }
}
