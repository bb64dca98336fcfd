//! Work that can wait.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Work that any thread may do a piece of.
///
/// A [`Rootfs`](crate::Rootfs) defers the writing of small files. The threads that read a layer do it while they wait.
#[expect(unnameable_types, reason = "sealed: only a sink of this crate can defer work")]
pub trait DeferredWork: Send + Sync {
    /// Does the next piece, unless there is none or another thread is at it. Returns whether it did.
    fn help(&self) -> bool;
}

/// What one thread at a time works on, and the others pass by.
///
/// A thread that panicked over it leaves it as it is: whoever works on it sees to it that nothing wrong comes of that.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits until nobody else is at it.
    pub(crate) fn wait(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while somebody else is at it.
    pub(crate) fn take(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(value) => Some(value),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
