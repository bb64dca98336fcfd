//! Holes that are read as zeros.

use super::{Limit, Limits, Violation};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes of holes that readers of one image got as zeros.
///
/// A hole of 256 GiB takes a few bytes of an archive, and an hour of the reader that hashes its zeros.
#[derive(Debug)]
pub(crate) struct HolesRead {
    limits: Limits,
    bytes: AtomicU64,
}

impl HolesRead {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), bytes: AtomicU64::new(0) }
    }

    /// Counts bytes against [`Limit::HoleBytes`].
    pub(crate) fn add(&self, bytes: usize) -> Result<(), Violation> {
        let bytes = bytes as u64;
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.limits.check(Limit::HoleBytes, before.saturating_add(bytes))
    }
}
