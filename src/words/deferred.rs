//! Deferred work, and the lock around it.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Deferred work: any thread may do a piece of it.
///
/// A [`Rootfs`](crate::Rootfs) defers the writing of small files. The threads that read a layer do it while they wait.
#[cfg_attr(feature = "unpack", expect(unnameable_types, reason = "sealed: only a sink of this crate can defer work"))]
pub trait DeferredWork: Send + Sync {
    /// Does the next piece, unless there is none or another thread is doing it. Returns whether it did.
    fn run_one(&self) -> bool;
}

/// A mutex that ignores poisoning.
///
/// A thread that panics leaves the value as it is, so each user must keep it valid at every point where a panic may
/// happen.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits until no other thread holds the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `None` while another thread holds the lock.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(value) => Some(value),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
