//! Work that can wait.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Work that whoever has nothing else to do may do a piece of.
///
/// A [`Sink`](crate::Sink) may put off what nobody waits for, and let the threads do it that read a layer, when they
/// are ahead.
pub trait DeferredWork: Send + Sync {
    /// Does the next piece, unless there is none or somebody else is at it; says whether it did.
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
