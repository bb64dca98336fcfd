//! Buffers that are passed between threads and reused.

use super::buffer::buffer;
use crate::words::Error;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes that are passed from one thread to others. The buffer returns to its pool when the last reference is dropped.
pub(crate) struct Chunk {
    buffer: Vec<u8>,
    filled: usize,
    home: Sender<Vec<u8>>,
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Fails if the pool was dropped. Then the buffer is not needed.
        let _ = self.home.send(std::mem::take(&mut self.buffer));
    }
}

/// The buffers of one stage: at most `most`, each of [`Pool::BYTES`], allocated when first needed.
pub(crate) struct Pool {
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    made: usize,
    most: usize,
}

impl Pool {
    /// The size of one buffer in bytes.
    pub(crate) const BYTES: usize = 256 << 10;

    pub(crate) fn new(most: usize) -> Self {
        let (home, free) = channel();
        Self { free, home, made: 0, most }
    }

    /// Returns a buffer to be filled. While none is free, it calls `help`, which does other work and returns `false` if
    /// there is none. Then all buffers must be with threads that will drop them, or this waits forever.
    ///
    /// # Errors
    ///
    /// Not enough memory for a single chunk. If some chunks exist already, these are reused.
    pub(crate) fn take(&mut self, help: impl Fn() -> bool) -> Result<Vec<u8>, Error> {
        loop {
            if let Ok(buffer) = self.free.try_recv() {
                return Ok(buffer);
            }
            if self.made < self.most {
                match buffer(Self::BYTES, "a buffer") {
                    Ok(buffer) => {
                        self.made += 1;
                        return Ok(buffer);
                    }
                    Err(error) if self.made == 0 => return Err(error),
                    Err(_) => self.most = self.made,
                }
            }
            if help() {
                continue;
            }
            if let Ok(buffer) = self.free.recv() {
                return Ok(buffer);
            }
        }
    }

    /// Makes a chunk of a buffer whose first `filled` bytes are used.
    pub(crate) fn chunk(&self, buffer: Vec<u8>, filled: usize) -> Arc<Chunk> {
        Arc::new(Chunk { buffer, filled, home: self.home.clone() })
    }
}
