//! Deferred work, and the lock around it.

#[cfg(feature = "unpack")]
use std::os::fd::OwnedFd;
#[cfg(feature = "unpack")]
use std::sync::{Arc, RwLock};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Deferred work: any thread may do a piece of it.
///
/// A [`Rootfs`](crate::Rootfs) defers the writing of small files. The threads that read a layer do it while they wait.
pub(crate) trait DeferredWork: Send + Sync {
    /// Does the next piece, unless there is none or another thread is doing it. Returns whether it did.
    fn run_one(&self) -> bool;
}

/// The work that the sinks of a layer have deferred. The threads that read the layer do it while they wait.
#[cfg(feature = "unpack")]
#[derive(Default)]
pub(crate) struct SharedWork {
    works: RwLock<Vec<Arc<dyn DeferredWork>>>,
    directory: Lock<Option<Arc<OwnedFd>>>,
}

#[cfg(feature = "unpack")]
impl SharedWork {
    /// Adds the work of a sink. The work of one sink is added with each layer, and kept once, as long as there is the sink.
    pub(crate) fn add(&self, work: Arc<dyn DeferredWork>) {
        let mut works = self.works.write().unwrap_or_else(PoisonError::into_inner);
        works.retain(|work| Arc::strong_count(work) > 1);
        if !works.iter().any(|known| Arc::ptr_eq(known, &work)) {
            works.push(work);
        }
    }

    /// Offers a directory of a sink, for temporary files of the threads that read. The one of the last layer is used: each
    /// layer may have a tree of its own.
    pub(crate) fn offer_directory(&self, directory: Option<OwnedFd>) {
        if let Some(directory) = directory {
            *self.directory.lock() = Some(Arc::new(directory));
        }
    }

    /// The directory for temporary files, once a sink has offered one.
    #[cfg(feature = "image")]
    pub(crate) fn directory(&self) -> Option<Arc<OwnedFd>> {
        self.directory.lock().clone()
    }
}

#[cfg(feature = "unpack")]
impl DeferredWork for SharedWork {
    fn run_one(&self) -> bool {
        self.works.read().unwrap_or_else(PoisonError::into_inner).iter().any(|work| work.run_one())
    }
}

#[cfg(feature = "unpack")]
impl std::fmt::Debug for SharedWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedWork").finish_non_exhaustive()
    }
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
