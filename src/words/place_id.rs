//! Places in a tree, as values.

use super::Component;
use std::hash::{BuildHasher, RandomState};

/// Identifies a place in a tree: a directory and a name in it. The same place has the same id through whatever links a
/// name leads to it. A directory has the id of its place.
///
/// It is a keyed 64-bit hash, so that sets of places stay small. The key is random and never leaves the process, so no
/// archive can aim at a collision. By chance, two of ten million places share an id once in hundreds of thousands of
/// layers of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PlaceId(pub(crate) u64);

impl PlaceId {
    /// The root.
    pub(crate) const ROOT: Self = Self(0);
}

/// The key with which one tree hashes its places.
#[derive(Debug, Default)]
pub(crate) struct PlaceKey(RandomState);

impl PlaceKey {
    /// The place of a name in the directory at a place.
    pub(crate) fn place(&self, within: PlaceId, name: Component<'_>) -> PlaceId {
        PlaceId(self.0.hash_one((within.0, name.as_bytes())))
    }

    /// Hashes something that is kept for a place.
    pub(crate) fn hash(&self, value: impl std::hash::Hash) -> u64 {
        self.0.hash_one(value)
    }
}
