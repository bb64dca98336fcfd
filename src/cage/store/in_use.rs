//! The use of a store: while it lasts, no layer is removed.

use super::lock::lock_directory;
use super::root::{IMAGES, LAYERS, Store};
use crate::cage::stage;
use crate::cage::sys;
use crate::words::{Algorithm, Error, Lock};
use rustix::fs::FlockOperation;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How a store is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Layers are made and read.
    Shared,
    /// Layers are removed: no other run may use the store.
    Alone,
}

/// A store is in use until this is dropped.
#[derive(Debug)]
pub(crate) struct InUse<'s> {
    pub(super) store: &'s Store,
    lock: OwnedFd,
    shelves: Lock<Vec<Shelf>>,
}

/// The directory of the layers whose chain IDs have the same algorithm.
#[derive(Debug)]
struct Shelf {
    algorithm: Algorithm,
    directory: Arc<OwnedFd>,
    /// What killed runs left was removed.
    is_tidy: bool,
}

impl Store {
    /// Uses the store; `None` while other runs do not allow it.
    pub(crate) fn try_use(&self, how: Use) -> Result<Option<InUse<'_>>, Error> {
        let held = self.held.lock().take();
        let lock = match (how, held) {
            (Use::Shared, Some(held)) => Some(held),
            (Use::Shared, None) => self.try_lock(FlockOperation::NonBlockingLockShared)?,
            (Use::Alone, held) => {
                drop(held);
                self.try_lock(FlockOperation::NonBlockingLockExclusive)?
            }
        };
        Ok(lock.map(|lock| InUse { store: self, lock, shelves: Lock::default() }))
    }

    /// Holds the store for the next use, as a shared use does. Returns `false` while another run does not allow it.
    pub(crate) fn try_hold(&self) -> Result<bool, Error> {
        let mut held = self.held.lock();
        if held.is_none() {
            *held = self.try_lock(FlockOperation::NonBlockingLockShared)?;
        }
        Ok(held.is_some())
    }

    fn try_lock(&self, how: FlockOperation) -> Result<Option<OwnedFd>, Error> {
        lock_directory(self.root(), how).map_err(|error| self.located(error))
    }
}

impl InUse<'_> {
    /// The directory of the layers whose chain IDs have this algorithm. It is opened once.
    pub(super) fn shelf(&self, algorithm: Algorithm) -> Result<Arc<OwnedFd>, Error> {
        let mut shelves = self.shelves.lock();
        if let Some(shelf) = shelves.iter().find(|shelf| shelf.algorithm == algorithm) {
            return Ok(Arc::clone(&shelf.directory));
        }
        let layers = self.store.open_or_make(self.store.root(), LAYERS)?;
        let directory = Arc::new(self.store.open_or_make(layers.as_fd(), algorithm.name().as_bytes())?);
        shelves.push(Shelf { algorithm, directory: Arc::clone(&directory), is_tidy: false });
        Ok(directory)
    }

    /// Removes what killed runs left there, once.
    pub(super) fn tidy(&self, algorithm: Algorithm) {
        let mut shelves = self.shelves.lock();
        for shelf in shelves.iter_mut().filter(|shelf| shelf.algorithm == algorithm && !shelf.is_tidy) {
            shelf.is_tidy = true;
            // A failure is ignored: a later run, perhaps with more privileges, tries again.
            let _ = stage::remove_dead(shelf.directory.as_fd());
        }
    }
}

impl Drop for InUse<'_> {
    /// Removes the directories that were made and stayed empty, because the first layer failed. A store that was empty is
    /// empty again.
    fn drop(&mut self) {
        // Without another run: it may be about to make a layer in one of the directories.
        if !self.store.has_made.swap(false, Ordering::Relaxed)
            || !sys::lock(self.lock.as_fd(), FlockOperation::NonBlockingLockExclusive).unwrap_or(false)
        {
            return;
        }
        // Those that are not empty stay.
        if let Ok(Some(layers)) = self.store.open_existing(self.store.root(), LAYERS) {
            for algorithm in Algorithm::ALL {
                let _ = sys::remove_directory(layers.as_fd(), algorithm.name().as_bytes());
            }
        }
        for directory in [LAYERS, IMAGES] {
            let _ = sys::remove_directory(self.store.root(), directory);
        }
    }
}
