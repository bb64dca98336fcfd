//! Temporary names.

use std::hash::{BuildHasher, RandomState};

/// The prefix of all temporary names.
pub(super) const TEMPORARY: &[u8] = b".lc-";

/// A sequence of temporary names. No other user can predict them.
#[derive(Debug)]
pub(super) struct TemporaryNames(u64);

impl TemporaryNames {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    pub(super) fn next(&mut self) -> Vec<u8> {
        // Knuth's MMIX generator: no number comes twice.
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        [TEMPORARY, format!("{:016x}", self.0).as_bytes()].concat()
    }
}
