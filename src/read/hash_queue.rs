//! Digests that several threads compute, whenever one of them has nothing else to do.

use super::chunk::Chunk;
use super::hash::Hasher;
use crate::words::{DeferredWork, Digest, Lock};
use std::collections::VecDeque;
use std::sync::Arc;

/// A queue of chunks to be hashed, and the hasher. A thread locks the hasher first and then takes the next chunk, so
/// the chunks are hashed in order.
pub(crate) struct HashQueue {
    /// Whether chunks are hashed at all.
    is_hashed: bool,
    /// `None` without a digest to compute, and after the end. If a thread panics while it hashes, a chunk is missing from
    /// the digest, which then matches no expected one.
    hasher: Lock<Option<Hasher>>,
    waiting: Lock<VecDeque<Arc<Chunk>>>,
}

impl HashQueue {
    /// A queue for a digest. Without a hasher, nothing is queued.
    pub(crate) fn new(hasher: Option<Hasher>) -> Arc<Self> {
        Arc::new(Self { is_hashed: hasher.is_some(), hasher: Lock::new(hasher), waiting: Lock::default() })
    }

    /// Adds a chunk at the end.
    pub(crate) fn add(&self, chunk: &Arc<Chunk>) {
        if self.is_hashed {
            self.waiting.lock().push_back(Arc::clone(chunk));
        }
    }

    /// Hashes the remaining chunks, and returns the digest; `None` the second time, or without a hasher.
    pub(crate) fn finish(&self) -> Option<Digest> {
        let mut hasher = self.hasher.lock();
        while self.hash_next(&mut hasher) {}
        hasher.take().map(Hasher::finish)
    }

    /// Hashes the next chunk, after waiting for a thread that is hashing one. `false` if the queue is empty: then no
    /// chunk is in the hands of a hashing thread either, unless the caller itself has to free it.
    pub(crate) fn await_turn(&self) -> bool {
        let is_empty = self.waiting.lock().is_empty();
        !is_empty && self.hash_next(&mut self.hasher.lock())
    }

    fn hash_next(&self, hasher: &mut Option<Hasher>) -> bool {
        let next = self.waiting.lock().pop_front();
        match (hasher, next) {
            (Some(hasher), Some(chunk)) => {
                hasher.update(&chunk);
                true
            }
            _ => false,
        }
    }
}

impl DeferredWork for HashQueue {
    /// Hashes the next chunk.
    fn run_one(&self) -> bool {
        self.hasher.try_lock().is_some_and(|mut hasher| self.hash_next(&mut hasher))
    }
}

/// The digests of a layer: of the blob, and of the uncompressed layer.
#[derive(Clone)]
pub(crate) struct Queues {
    pub(crate) blob: Arc<HashQueue>,
    pub(crate) unpacked: Arc<HashQueue>,
}

impl Queues {
    /// Hashes the next chunk of either queue, unless other threads are hashing both.
    pub(crate) fn run_one(&self) -> bool {
        self.unpacked.run_one() || self.blob.run_one()
    }

    /// Hashes the next chunk of either queue; see [`HashQueue::await_turn`].
    pub(crate) fn await_turn(&self) -> bool {
        self.unpacked.await_turn() || self.blob.await_turn()
    }

    /// Hashes everything in the queues.
    pub(crate) fn run_all(&self) {
        while self.run_one() || self.await_turn() {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::bell::Bell;
    use super::super::chunk::{Heap, Pool};
    use super::*;
    use crate::words::Algorithm;
    use std::sync::mpsc::channel;

    fn queue() -> Arc<HashQueue> {
        HashQueue::new(Some(Hasher::new(Algorithm::Sha256)))
    }

    fn pool() -> Pool {
        Pool::new(&Heap::new(0, Arc::new(Bell::default())))
    }

    #[test]
    fn a_thread_that_waits_for_a_buffer_hashes_the_chunks_that_another_thread_has_left_in_the_queue() {
        let (queue, pool) = (queue(), pool());
        for _ in 0..2 {
            let mut chunk = pool.take(2).unwrap().unwrap();
            chunk.set_filled(3);
            queue.add(&Arc::new(chunk));
        }
        assert!(pool.take(2).unwrap().is_none());
        let (busy, found_busy) = channel();
        std::thread::scope(|scope| {
            let turn = queue.hasher.lock();
            let waiting = Arc::clone(&queue);
            let taker = scope.spawn(move || {
                let help = || waiting.run_one() || busy.send(()).is_err() || waiting.await_turn();
                pool.wait_for(2, help).unwrap().buffer().len()
            });
            // The waiting thread could not hash, because the hasher is locked. This thread unlocks it, and hashes
            // nothing.
            found_busy.recv().unwrap();
            drop(turn);
            assert_eq!(taker.join().unwrap(), Pool::BYTES);
        });
    }

    #[test]
    fn chunks_are_hashed_in_order_whichever_thread_hashes_them() {
        let (queue, pool) = (queue(), pool());
        let mut whole = Hasher::new(Algorithm::Sha256);
        std::thread::scope(|scope| {
            let helper = Arc::clone(&queue);
            scope.spawn(move || (0..10_000).filter(|_| helper.run_one()).count());
            for number in 0..200_u8 {
                let mut chunk = pool.wait_for(4, || queue.run_one()).unwrap();
                chunk.buffer()[..3].fill(number);
                chunk.set_filled(3);
                whole.update(&chunk);
                queue.add(&Arc::new(chunk));
            }
        });
        assert_eq!(queue.finish(), Some(whole.finish()));
        assert_eq!(queue.finish(), None);
    }
}
