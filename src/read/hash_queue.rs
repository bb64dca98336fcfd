//! Digests that several threads compute, whenever one of them has nothing else to do.

use super::chunk::Chunk;
use super::hash::Hasher;
use crate::words::{DeferredWork, Digest, Lock};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// A queue of chunks to be hashed, and the hasher. A thread locks the hasher first and then takes the next chunk, so
/// the chunks are hashed in order.
pub(crate) struct HashQueue {
    /// Whether chunks are hashed at all.
    is_hashed: bool,
    /// `None` without a digest to compute, and after the end. If a thread panics while it hashes, a chunk is missing from
    /// the digest, which then matches no expected one.
    hasher: Lock<Option<Hasher>>,
    waiting: Lock<VecDeque<Arc<Chunk>>>,
    /// Wakes the hashing thread for each chunk.
    call: Option<Sender<Arc<HashQueue>>>,
}

impl HashQueue {
    /// A queue for a digest. Without a hasher, nothing is queued.
    pub(crate) fn new(hasher: Option<Hasher>, call: Option<Sender<Arc<Self>>>) -> Arc<Self> {
        Arc::new(Self { is_hashed: hasher.is_some(), hasher: Lock::new(hasher), waiting: Lock::default(), call })
    }

    /// Adds a chunk at the end.
    pub(crate) fn add(self: &Arc<Self>, chunk: &Arc<Chunk>) {
        if self.is_hashed {
            self.waiting.lock().push_back(Arc::clone(chunk));
            // Fails if the hashing thread has ended. The threads that wait then hash instead.
            let _ = self.call.as_ref().map(|call| call.send(Arc::clone(self)));
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

    /// Whether there is a thread that only hashes.
    pub(crate) fn is_called(&self) -> bool {
        self.call.is_some()
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

/// What a layer's threads do while they wait: hash the blob and the uncompressed layer, or other deferred work.
#[derive(Clone)]
pub(crate) struct Queues {
    pub(crate) blob: Arc<HashQueue>,
    pub(crate) unpacked: Arc<HashQueue>,
    pub(crate) deferred: Option<Arc<dyn DeferredWork>>,
}

impl Queues {
    pub(crate) fn run_one(&self) -> bool {
        self.unpacked.run_one() || self.blob.run_one() || self.deferred.as_ref().is_some_and(|work| work.run_one())
    }

    /// Hashes the next chunk of either queue; see [`HashQueue::await_turn`].
    pub(crate) fn await_turn(&self) -> bool {
        self.unpacked.await_turn() || self.blob.await_turn()
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Pool;
    use super::*;
    use crate::words::Algorithm;
    use std::sync::mpsc::channel;

    fn queue(call: Option<Sender<Arc<HashQueue>>>) -> Arc<HashQueue> {
        HashQueue::new(Some(Hasher::new(Algorithm::Sha256)), call)
    }

    #[test]
    fn a_thread_that_waits_for_a_buffer_hashes_the_chunks_that_another_thread_has_left_in_the_queue() {
        for is_called in [false, true] {
            // A hashing thread that is called and does nothing.
            let (call, _called) = channel();
            let queue = queue(is_called.then_some(call));
            let mut pool = Pool::new(2);
            for _ in 0..2 {
                let buffer = pool.take(|| queue.run_one()).unwrap();
                let chunk = pool.chunk(buffer, 3);
                queue.add(&chunk);
            }
            let (busy, found_busy) = channel();
            std::thread::scope(|scope| {
                let turn = queue.hasher.lock();
                let waiting = Arc::clone(&queue);
                let taker = scope.spawn(move || {
                    let help = || waiting.run_one() || busy.send(()).is_err() || waiting.await_turn();
                    pool.take(help).unwrap().len()
                });
                // The waiting thread could not hash, because the hasher is locked. This thread unlocks it, and hashes
                // nothing.
                found_busy.recv().unwrap();
                drop(turn);
                assert_eq!(taker.join().unwrap(), Pool::BYTES);
            });
        }
    }

    #[test]
    fn chunks_are_hashed_in_order_whichever_thread_hashes_them() {
        let mut pool = Pool::new(4);
        let queue = queue(None);
        let mut whole = Hasher::new(Algorithm::Sha256);
        std::thread::scope(|scope| {
            let helper = Arc::clone(&queue);
            scope.spawn(move || (0..10_000).filter(|_| helper.run_one()).count());
            for number in 0..200_u8 {
                let mut buffer = pool.take(|| queue.run_one()).unwrap();
                buffer[..3].fill(number);
                whole.update(&buffer[..3]);
                let chunk = pool.chunk(buffer, 3);
                queue.add(&chunk);
            }
        });
        assert_eq!(queue.finish(), Some(whole.finish()));
        assert_eq!(queue.finish(), None);
    }
}
