//! The directories that are held open.

use super::directory::Directory;
use crate::words::{Error, PlaceId};
use std::collections::HashMap;
use std::sync::Arc;

/// How many directories are held open. The least recently used one is settled and closed first.
const MOST: usize = 64;

/// Directories held open, by their places.
#[derive(Debug, Default)]
pub(super) struct HeldDirectories {
    held: HashMap<PlaceId, Held>,
    /// Counts the uses.
    clock: u64,
}

#[derive(Debug)]
struct Held {
    directory: Arc<Directory>,
    used: u64,
}

impl HeldDirectories {
    pub(super) fn contains(&self, place: PlaceId) -> bool {
        self.held.contains_key(&place)
    }

    /// The directory at a place, if it is held.
    pub(super) fn get(&mut self, place: PlaceId) -> Option<Arc<Directory>> {
        let held = self.held.get_mut(&place)?;
        self.clock += 1;
        held.used = self.clock;
        Some(Arc::clone(&held.directory))
    }

    /// Adds a directory. If there are too many, closes the least recently used one that no caller uses.
    pub(super) fn add(&mut self, place: PlaceId, directory: Directory) -> Result<Arc<Directory>, Error> {
        if self.held.len() >= MOST {
            let idle = self.held.iter().filter(|(_, held)| Arc::strong_count(&held.directory) == 1);
            if let Some(oldest) = idle.min_by_key(|(_, held)| held.used).map(|(&place, _)| place)
                && let Some(held) = self.held.remove(&oldest)
            {
                held.directory.settle()?;
            }
        }
        self.clock += 1;
        let directory = Arc::new(directory);
        self.held.insert(place, Held { directory: Arc::clone(&directory), used: self.clock });
        Ok(directory)
    }

    /// Closes the directories at a path and below it without settling them: they are removed.
    pub(super) fn forget(&mut self, path: &[u8]) {
        self.held.retain(|_, held| !held.is_below(path));
    }

    /// Settles and closes the directories at a path and below it.
    pub(super) fn release(&mut self, path: &[u8]) -> Result<(), Error> {
        let released = self.held.extract_if(|_, held| held.is_below(path));
        released.map(|(_, held)| held.directory.settle()).fold(Ok(()), Result::and)
    }

    /// Settles and closes all directories. A failure does not stop it.
    pub(super) fn release_all(&mut self) -> Result<(), Error> {
        self.held.drain().map(|(_, held)| held.directory.settle()).fold(Ok(()), Result::and)
    }
}

impl Held {
    fn is_below(&self, path: &[u8]) -> bool {
        matches!(self.directory.path().strip_prefix(path), Some([] | [b'/', ..]))
    }
}
