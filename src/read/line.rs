//! Digests that several threads compute, each when it has nothing else to do.

use super::chunk::Chunk;
use super::hash::Hasher;
use crate::words::{Algorithm, DeferredWork, Digest, Lock};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Chunks waiting to be hashed, and the hasher: whoever holds that takes the next chunk, so that their order holds.
pub(crate) struct Line {
    algorithm: Option<Algorithm>,
    /// A thread that panicked while it hashed leaves one that has not seen all: no digest comes out right.
    hasher: Lock<Option<Hasher>>,
    waiting: Lock<VecDeque<Arc<Chunk>>>,
    /// Tells threads that do nothing else that there is something to do.
    call: Option<Sender<Arc<Line>>>,
}

impl Line {
    /// A line for a digest of this algorithm; without one, nothing waits in it.
    pub(crate) fn new(algorithm: Option<Algorithm>, call: Option<Sender<Arc<Self>>>) -> Arc<Self> {
        Arc::new(Self { algorithm, hasher: Lock::new(algorithm.map(Hasher::new)), waiting: Lock::default(), call })
    }

    /// Puts a chunk at the end.
    pub(crate) fn add(self: &Arc<Self>, chunk: &Arc<Chunk>) {
        if self.algorithm.is_some() {
            self.waiting.wait().push_back(Arc::clone(chunk));
            // Where the other threads are gone, those that wait will do it.
            let _ = self.call.as_ref().map(|call| call.send(Arc::clone(self)));
        }
    }

    /// Hashes what is left, and gives the digest; `None` the second time, or without an algorithm.
    pub(crate) fn finish(&self) -> Option<Digest> {
        let mut hasher = self.hasher.wait();
        while self.hash_next(&mut hasher) {}
        hasher.take().map(Hasher::finish)
    }

    /// Hashes the next chunk as soon as nobody else is at it. `false` says that nothing waits: whoever adds the chunks
    /// knows then that each is either done or being used.
    pub(crate) fn await_turn(&self) -> bool {
        let any = !self.waiting.wait().is_empty();
        any && self.hash_next(&mut self.hasher.wait())
    }

    /// Whether there are threads that do nothing else.
    pub(crate) fn is_called(&self) -> bool {
        self.call.is_some()
    }

    fn hash_next(&self, hasher: &mut Option<Hasher>) -> bool {
        let next = self.waiting.wait().pop_front();
        match (hasher, next) {
            (Some(hasher), Some(chunk)) => {
                hasher.update(&chunk);
                true
            }
            _ => false,
        }
    }
}

impl DeferredWork for Line {
    /// Hashes the next chunk.
    fn help(&self) -> bool {
        self.hasher.take().is_some_and(|mut hasher| self.hash_next(&mut hasher))
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Pool;
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_waits_for_a_buffer_hashes_those_that_another_has_left_in_the_line() {
        for called in [false, true] {
            // Somebody who is called, and does not come.
            let (call, _called) = std::sync::mpsc::channel();
            let line = Line::new(Some(Algorithm::Sha256), called.then_some(call));
            let mut pool = Pool::new(2);
            for _ in 0..2 {
                let buffer = pool.take(|| line.help()).unwrap();
                let chunk = pool.chunk(buffer, 3);
                line.add(&chunk);
            }
            std::thread::scope(|scope| {
                let turn = line.hasher.wait();
                let helper = Arc::clone(&line);
                let taker = scope.spawn(move || pool.take(|| helper.help() || helper.await_turn()).unwrap().len());
                // By then it has found the turn taken; and whoever has it does no more.
                std::thread::sleep(Duration::from_millis(50));
                drop(turn);
                assert_eq!(taker.join().unwrap(), Pool::BYTES);
            });
        }
    }

    #[test]
    fn chunks_are_hashed_in_their_order_whoever_helps() {
        let mut pool = Pool::new(4);
        let line = Line::new(Some(Algorithm::Sha256), None);
        let mut whole = Hasher::new(Algorithm::Sha256);
        std::thread::scope(|scope| {
            let helper = Arc::clone(&line);
            scope.spawn(move || (0..10_000).filter(|_| helper.help()).count());
            for number in 0..200_u8 {
                let mut buffer = pool.take(|| line.help()).unwrap();
                buffer[..3].fill(number);
                whole.update(&buffer[..3]);
                let chunk = pool.chunk(buffer, 3);
                line.add(&chunk);
            }
        });
        assert_eq!(line.finish(), Some(whole.finish()));
        assert_eq!(line.finish(), None);
    }
}
