//! Buffers that go round between threads.

use super::buffer::buffer;
use crate::words::Error;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes on their way from one thread to others; the buffer goes home when the last of them lets go.
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
        // Nobody is at home any more once the pool is gone: then nobody needs the buffer.
        let _ = self.home.send(std::mem::take(&mut self.buffer));
    }
}

/// The buffers of one stage: never more than `most`, each of [`Pool::BYTES`], made when they are first needed.
pub(crate) struct Pool {
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    made: usize,
    most: usize,
}

impl Pool {
    /// Bytes of one buffer.
    pub(crate) const BYTES: usize = 256 << 10;

    pub(crate) fn new(most: usize) -> Self {
        let (home, free) = channel();
        Self { free, home, made: 0, most }
    }

    /// A buffer to be filled. Whoever has to wait for one helps meanwhile. Once `help` says that there is nothing to do,
    /// every buffer that is out must be in the hands of somebody who lets go of it.
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

    /// A buffer that is `filled` so far, ready to go round.
    pub(crate) fn chunk(&self, buffer: Vec<u8>, filled: usize) -> Arc<Chunk> {
        Arc::new(Chunk { buffer, filled, home: self.home.clone() })
    }
}
