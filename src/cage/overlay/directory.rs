//! The directories of an overlay, and those that are held.

use crate::cage::directory::Directory;
use crate::tree::Place;
use crate::words::{Lock, PlaceId};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// A place in an overlay.
pub(super) type OverlayPlace<'a> = Place<'a, Arc<OverlayDir>>;

/// How many directories are held. The least recently used one goes first.
const MOST: usize = 64;

/// A directory of an overlay: one in the upper directory, directories of lower layers, or both merged.
#[derive(Debug)]
pub(crate) struct OverlayDir {
    id: PlaceId,
    /// The components from the root, joined by slashes.
    path: Box<[u8]>,
    /// The lower layers that have the directory, by their numbers, the top one first. Not set while the lower layers are not
    /// at hand.
    below: OnceLock<Box<[usize]>>,
    /// The directory in the upper directory. It is there as soon as something in the directory, or the directory itself,
    /// is changed.
    upper: Lock<Option<Arc<Directory>>>,
}

/// What lower layers have in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Below {
    /// The lower layers that have the directory, by their numbers, the top one first.
    Layers(Box<[usize]>),
    /// The lower layers are not at hand.
    Unknown,
}

impl Below {
    pub(super) fn nothing() -> Self {
        Self::Layers(Box::default())
    }
}

impl OverlayDir {
    pub(super) fn new(id: PlaceId, path: Box<[u8]>, below: Below, upper: Option<Arc<Directory>>) -> Self {
        let below = match below {
            Below::Layers(layers) => OnceLock::from(layers),
            Below::Unknown => OnceLock::new(),
        };
        Self { id, path, below, upper: Lock::new(upper) }
    }

    pub(super) fn id(&self) -> PlaceId {
        self.id
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Whether it is known which lower layers have the directory.
    pub(super) fn is_known(&self) -> bool {
        self.below.get().is_some()
    }

    /// Whether no lower layer can have anything in the directory.
    pub(super) fn is_alone(&self) -> bool {
        self.below.get().is_some_and(|layers| layers.is_empty())
    }

    /// The lower layers that have the directory.
    pub(super) fn layers(&self) -> &[usize] {
        self.below.get().map_or(&[], |layers| layers)
    }

    /// Says which lower layers have the directory, if that was not known.
    pub(super) fn learn(&self, layers: &[usize]) {
        self.below.get_or_init(|| layers.into());
    }

    pub(super) fn upper(&self) -> Option<Arc<Directory>> {
        self.upper.lock().clone()
    }

    pub(super) fn set_upper(&self, upper: Arc<Directory>) {
        *self.upper.lock() = Some(upper);
    }
}

/// The directories that are held, by their places. There is one value for each place: what one user of it adds to the
/// upper directory, all see.
#[derive(Debug, Default)]
pub(super) struct HeldDirs {
    held: HashMap<PlaceId, (Arc<OverlayDir>, u64)>,
    clock: u64,
}

impl HeldDirs {
    pub(super) fn get(&mut self, place: PlaceId) -> Option<Arc<OverlayDir>> {
        let (directory, used) = self.held.get_mut(&place)?;
        self.clock += 1;
        *used = self.clock;
        Some(Arc::clone(directory))
    }

    pub(super) fn contains(&self, place: PlaceId) -> bool {
        self.held.contains_key(&place)
    }

    pub(super) fn add(&mut self, directory: OverlayDir) -> Arc<OverlayDir> {
        if self.held.len() >= MOST {
            // One that the applier uses stays: a second value for its place would not see what it adds.
            let idle = self.held.iter().filter(|(_, (directory, _))| Arc::strong_count(directory) == 1);
            if let Some(oldest) = idle.min_by_key(|(_, (_, used))| *used).map(|(&place, _)| place) {
                self.held.remove(&oldest);
            }
        }
        self.clock += 1;
        let directory = Arc::new(directory);
        self.held.insert(directory.id(), (Arc::clone(&directory), self.clock));
        directory
    }

    /// The directories that are held.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<OverlayDir>> {
        self.held.values().map(|(directory, _)| directory)
    }

    /// Forgets the directories at a path and below it.
    pub(super) fn forget(&mut self, path: &[u8]) {
        self.held.retain(|_, (directory, _)| !is_within(directory.path(), path));
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

fn is_within(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || matches!(path.strip_prefix(directory), Some([] | [b'/', ..]))
}
