//! The directories of a tree in memory.

use crate::words::PlaceId;
use std::sync::Arc;

/// A directory as a walk came to it.
#[derive(Debug)]
pub(crate) struct MemoryDir {
    pub(super) number: u32,
    /// The highest floor on the way: what layers below it brought was cleared away, here or further up.
    pub(super) floor: u32,
    pub(super) id: PlaceId,
    /// The components from the root, joined by slashes.
    pub(super) path: Box<[u8]>,
    /// The directory around it; the root has none.
    pub(super) above: Option<Arc<MemoryDir>>,
}

impl MemoryDir {
    /// A directory about which nothing is known.
    pub(super) fn unknown() -> Arc<Self> {
        Arc::new(Self { number: u32::MAX, floor: 0, id: PlaceId(u64::MAX), path: Box::default(), above: None })
    }
}

impl Drop for MemoryDir {
    /// Drops the directories above one by one. Each would drop the next on the stack otherwise, and a limit on the depth
    /// of paths may be raised.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(mut dir) = above.and_then(Arc::into_inner) {
            above = dir.above.take();
        }
    }
}

/// What is kept of each directory.
#[derive(Debug, Clone, Copy, Default)]
struct Directory {
    /// What layers below this one brought to it is there no more.
    floor: u32,
    /// The last layer that brought something to it.
    filled: u32,
    /// How many entries it has, as of the floor.
    entries: u32,
    /// How many of them the last layer brought or passed through.
    latest: u32,
}

/// All directories, by number. The root is 0.
#[derive(Debug)]
pub(super) struct Directories {
    all: Vec<Directory>,
    root: Arc<MemoryDir>,
    /// There were too many for a number.
    overflown: bool,
}

impl Default for Directories {
    fn default() -> Self {
        let root = MemoryDir { number: 0, floor: 0, id: PlaceId::ROOT, path: Box::default(), above: None };
        Self { all: vec![Directory::default()], root: Arc::new(root), overflown: false }
    }
}

impl Directories {
    pub(super) fn root(&self) -> Arc<MemoryDir> {
        Arc::clone(&self.root)
    }

    /// Bytes of memory; `None` if there were too many.
    pub(super) fn bytes(&self) -> Option<u64> {
        (!self.overflown).then_some(size_of_val(self.all.as_slice()) as u64)
    }

    /// Adds a directory, and returns its number.
    pub(super) fn push(&mut self, floor: u32) -> u32 {
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.overflown |= number == u32::MAX;
        self.all.push(Directory { floor, ..Directory::default() });
        number
    }

    /// The directory of a number, in another one.
    pub(super) fn open(&self, above: &Arc<MemoryDir>, number: u32, id: PlaceId, path: Box<[u8]>) -> Arc<MemoryDir> {
        let floor = self.all.get(number as usize).map_or(0, |directory| directory.floor);
        Arc::new(MemoryDir { number, floor: above.floor.max(floor), id, path, above: Some(Arc::clone(above)) })
    }

    /// How many entries a directory has.
    pub(super) fn entries(&self, dir: &MemoryDir) -> u32 {
        self.all.get(dir.number as usize).map_or(0, |directory| raised(*directory, dir.floor).entries)
    }

    /// The layer brings an entry to a directory, or passes through one. `old` is the layer of the entry that was there.
    pub(super) fn fill(&mut self, dir: &MemoryDir, layer: u32, old: Option<u32>) {
        let Some(directory) = self.all.get_mut(dir.number as usize) else { return };
        *directory = raised(*directory, dir.floor);
        if directory.filled != layer {
            (directory.filled, directory.latest) = (layer, 0);
        }
        directory.entries += u32::from(old.is_none());
        directory.latest += u32::from(old != Some(layer));
    }

    /// An entry that a layer brought is gone.
    pub(super) fn lose(&mut self, dir: &MemoryDir, layer: u32) {
        let Some(directory) = self.all.get_mut(dir.number as usize) else { return };
        *directory = raised(*directory, dir.floor);
        directory.entries = directory.entries.saturating_sub(1);
        if directory.filled == layer {
            directory.latest = directory.latest.saturating_sub(1);
        }
    }

    /// What layers below this one brought is gone. Returns whether this layer has brought anything.
    pub(super) fn clear(&mut self, dir: &MemoryDir, layer: u32) -> bool {
        let Some(directory) = self.all.get_mut(dir.number as usize) else { return false };
        *directory = raised(*directory, layer);
        let keeps_own = directory.entries > 0;
        if dir.number == 0 {
            self.root = Arc::new(MemoryDir { number: 0, floor: layer, id: dir.id, path: Box::default(), above: None });
        }
        keeps_own
    }
}

/// A directory as it is seen with a floor, which may be one of a directory above that was cleared.
///
/// Every layer that brings something raises the floor first. So no entries are newer than a floor that is higher than the
/// directory's own, but those of the layer of that floor.
fn raised(directory: Directory, floor: u32) -> Directory {
    match directory {
        Directory { floor: own, .. } if own >= floor => directory,
        Directory { filled, latest, .. } if filled >= floor => Directory { floor, filled, entries: latest, latest },
        Directory { filled, .. } => Directory { floor, filled, entries: 0, latest: 0 },
    }
}
