//! Floor 1, bytes to entries.

mod hash;

pub(crate) use hash::Hasher;
