//! What threads wait for that have nothing to do.

use crate::words::Lock;
use std::sync::{Condvar, PoisonError};

/// Wakes threads that found nothing to do.
///
/// A thread takes the [`Bell::count`], looks for work, and waits for a later ring only if there is none. So no ring is
/// missed: one between the two steps is a later one already.
#[derive(Default)]
pub(crate) struct Bell {
    rings: Lock<u64>,
    rung: Condvar,
}

impl Bell {
    /// Wakes all threads that wait.
    pub(crate) fn ring(&self) {
        *self.rings.lock() += 1;
        self.rung.notify_all();
    }

    /// Wakes one thread that waits, for work that any of them can do. With many threads, waking all of them for each buffer
    /// would take longer than the work.
    pub(crate) fn ring_for_one(&self) {
        *self.rings.lock() += 1;
        self.rung.notify_one();
    }

    /// The number of rings so far.
    pub(crate) fn count(&self) -> u64 {
        *self.rings.lock()
    }

    /// Waits until there were more rings than `seen`.
    pub(crate) fn wait(&self, seen: u64) {
        let rings = self.rings.lock();
        drop(self.rung.wait_while(rings, |rings| *rings == seen).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Wakes the thread that uses one layer after another. Only news of the current layer wakes it.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// The index of the current layer. It is locked while the bell rings, so that the news belongs to it.
    layer: Lock<usize>,
    news: Bell,
}

impl Arrivals {
    /// There is news of a layer. It is sent before: if the layer becomes current later, the news is found there.
    pub(crate) fn announce(&self, layer: usize) {
        let current = self.layer.lock();
        if *current == layer {
            self.news.ring();
        }
    }

    /// Makes a layer the current one. Returns whether another one was.
    #[cfg(feature = "unpack")]
    pub(crate) fn turn_to(&self, layer: usize) -> bool {
        std::mem::replace(&mut *self.layer.lock(), layer) != layer
    }

    /// The index of the current layer.
    #[cfg(feature = "unpack")]
    pub(crate) fn layer(&self) -> usize {
        *self.layer.lock()
    }

    /// The amount of news so far.
    pub(crate) fn count(&self) -> u64 {
        self.news.count()
    }

    /// Waits for more news than `seen`.
    pub(crate) fn wait(&self, seen: u64) {
        self.news.wait(seen);
    }
}
