//! Buffers that are passed between threads and reused.

use super::bell::Bell;
use super::buffer::buffer;
use crate::words::{Error, Lock};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The buffers of all layers that are read.
pub(crate) struct Heap {
    free: Lock<Vec<Vec<u8>>>,
    /// The number of chunks of layers that wait for their turn.
    ahead: AtomicUsize,
    most_ahead: usize,
    /// Rings when a buffer is free, for a thread that needs it to finish a step.
    returned: Bell,
    /// The same, for a thread that looks for work.
    work: Arc<Bell>,
}

impl Heap {
    /// No buffers yet. Chunks of layers whose turn has not come take at most `most_ahead` buffers.
    pub(crate) fn new(most_ahead: usize, work: Arc<Bell>) -> Arc<Self> {
        let (free, ahead, returned) = (Lock::default(), AtomicUsize::new(0), Bell::default());
        Arc::new(Self { free, ahead, most_ahead, returned, work })
    }
}

/// Bytes that are passed from one thread to others. The buffer returns to its heap when the last reference is dropped.
pub(crate) struct Chunk {
    buffer: Vec<u8>,
    filled: usize,
    is_ahead: bool,
    in_use: Arc<AtomicUsize>,
    heap: Arc<Heap>,
}

impl Chunk {
    /// The whole buffer.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Sets how many bytes of the buffer are used.
    pub(crate) fn set_filled(&mut self, bytes: usize) {
        self.filled = bytes;
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.heap.free.lock().push(std::mem::take(&mut self.buffer));
        self.in_use.fetch_sub(1, Ordering::AcqRel);
        if self.is_ahead {
            self.heap.ahead.fetch_sub(1, Ordering::AcqRel);
        }
        self.heap.returned.ring();
        self.heap.work.ring_for_one();
    }
}

/// The buffers of one stage of a layer, each of [`Pool::BYTES`].
pub(crate) struct Pool {
    heap: Arc<Heap>,
    in_use: Arc<AtomicUsize>,
}

impl Pool {
    /// The size of one buffer in bytes.
    pub(crate) const BYTES: usize = 256 << 10;

    pub(crate) fn new(heap: &Arc<Heap>) -> Self {
        Self { heap: Arc::clone(heap), in_use: Arc::default() }
    }

    /// Returns an empty chunk to be filled, or `None` if this pool has `most` in use, or if there is no memory for more.
    ///
    /// # Errors
    ///
    /// Not enough memory for a single chunk.
    pub(crate) fn take(&self, most: usize) -> Result<Option<Chunk>, Error> {
        // Chunks are taken by one thread at a time, so the number can only become smaller meanwhile.
        let in_use = self.in_use.load(Ordering::Acquire);
        if in_use >= most {
            return Ok(None);
        }
        let free = self.heap.free.lock().pop();
        let buffer = match free.map_or_else(|| buffer(Self::BYTES, "a buffer"), Ok) {
            Ok(buffer) => buffer,
            Err(error) if in_use == 0 => return Err(error),
            Err(_) => return Ok(None),
        };
        self.in_use.fetch_add(1, Ordering::AcqRel);
        let (in_use, heap) = (Arc::clone(&self.in_use), Arc::clone(&self.heap));
        Ok(Some(Chunk { buffer, filled: 0, is_ahead: false, in_use, heap }))
    }

    /// The same for a layer whose turn has not come. `None` if such layers use as much memory as they may.
    pub(crate) fn take_ahead(&self) -> Result<Option<Chunk>, Error> {
        let ahead = &self.heap.ahead;
        if ahead.fetch_add(1, Ordering::AcqRel) >= self.heap.most_ahead {
            ahead.fetch_sub(1, Ordering::AcqRel);
            return Ok(None);
        }
        match self.take(usize::MAX) {
            Ok(Some(mut chunk)) => {
                chunk.is_ahead = true;
                Ok(Some(chunk))
            }
            none => {
                ahead.fetch_sub(1, Ordering::AcqRel);
                none
            }
        }
    }

    /// The same, but waits for a chunk that another thread hashes. While none is free, it calls `help`, which does other
    /// work and returns `false` if there is none. Then all buffers must be with threads that will drop them, or this waits
    /// forever.
    ///
    /// # Errors
    ///
    /// The same as for [`Pool::take`].
    pub(crate) fn wait_for(&self, most: usize, help: impl Fn() -> bool) -> Result<Chunk, Error> {
        loop {
            let seen = self.heap.returned.count();
            if let Some(chunk) = self.take(most)? {
                return Ok(chunk);
            }
            if !help() {
                self.heap.returned.wait(seen);
            }
        }
    }
}
