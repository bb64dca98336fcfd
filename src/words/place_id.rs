//! Names of places, as values.

/// Names a directory for as long as it exists, and while one layer is applied.
///
/// A keyed hash of its inode number, and of how often that number has come back since: a bare one would name the
/// next directory, too. Nothing needs to be kept for it but for directories that were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectoryId(pub(crate) u64);

/// Names the place that a name resolves to: a directory and a component in it, whatever spelling led there.
///
/// A keyed 64-bit hash of the two, so that sets of places stay small. The key is random and never leaves the
/// process, so that no archive can aim at a collision; by chance two of ten million places share a value once in
/// hundreds of thousands of layers of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceId(pub(crate) u64);
