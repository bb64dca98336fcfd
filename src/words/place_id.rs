//! Names of places, as values.

/// Names a directory that the cage has opened, for as long as it exists: counted out by the cage and never
/// used twice, as a bare inode number would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectoryId(pub(crate) u64);

/// Names the place that a name resolves to: a directory and a component in it, whatever spelling led there.
///
/// A keyed 64-bit hash of the two, so that sets of places stay small. The key is random and never leaves the
/// process, so that no archive can aim at a collision; by chance two of ten million places share a value once in
/// hundreds of thousands of layers of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceId(pub(crate) u64);
