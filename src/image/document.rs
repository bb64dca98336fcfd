//! Documents that are verified by their digests.

use super::descriptor::Descriptor;
use super::json;
use crate::read::Hasher;
use crate::words::{Algorithm, Digest, Limits, Violation};
use std::sync::Arc;

/// The bytes of a document, and the descriptor that they were checked against.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) descriptor: Descriptor,
    /// Shared, so that a clone of an image does not copy megabytes.
    pub(super) bytes: Arc<[u8]>,
}

impl Document {
    pub(super) fn new(descriptor: Descriptor, bytes: Vec<u8>) -> Self {
        Self { descriptor, bytes: bytes.into() }
    }
}

/// Refuses a document that has another digest, or more values than the limit allows.
pub(super) fn check_bytes(bytes: &[u8], digest: &Digest, limits: &Limits) -> Result<(), Violation> {
    let got = digest_of(digest.algorithm(), bytes);
    if got != *digest {
        return Err(Violation::DigestMismatch { expected: Box::new(*digest), got: Box::new(got) });
    }
    json::check_values(bytes, limits)
}

pub(super) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}
