//! Names of places, as values.

/// Identifies a directory while one layer is applied, by its place and by whether the layer created it.
///
/// The lowest bit says whether the layer created the directory or one of its parents. All content of such a directory
/// is the layer's own. Nothing needs to be remembered about it, even if it is replaced often. The other bits are a
/// keyed hash of the place. Two directories share an id only if both are new and one replaced the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectoryId(pub(crate) u64);

impl DirectoryId {
    /// The root, which no layer creates.
    pub(crate) const ROOT: Self = Self(0);

    /// The directory at a place. The flag says whether the layer created it.
    pub(crate) fn at(place: PlaceId, is_new: bool) -> Self {
        Self(place.0 & !1 | u64::from(is_new))
    }

    /// Whether the layer created the directory or one of its parents.
    pub(crate) fn is_new(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Names the place that a name resolves to: a directory and a component in it, whatever spelling led there.
///
/// A keyed 64-bit hash of the two, so that sets of places stay small. The key is random and never leaves the
/// process, so that no archive can aim at a collision; by chance two of ten million places share a value once in
/// hundreds of thousands of layers of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceId(pub(crate) u64);
