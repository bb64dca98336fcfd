//! Names of places, as values.

/// Names a directory while one layer is applied: by the place that it is at, and by whether the layer made it.
///
/// The lowest bit says whether the layer made the directory, or one that it lies in. All that such a directory holds
/// is the layer's own, so that nothing needs to be kept about it, however often it is replaced. The other bits are a
/// keyed hash of the place. Two directories share an id only where both are new and one took the other's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectoryId(pub(crate) u64);

impl DirectoryId {
    /// The root, which no layer makes.
    pub(crate) const ROOT: Self = Self(0);

    /// The directory at a place, and whether the layer made it.
    pub(crate) fn at(place: PlaceId, is_new: bool) -> Self {
        Self(place.0 & !1 | u64::from(is_new))
    }

    /// Whether the layer made the directory, or one that it lies in.
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
