//! Documents whose bytes have their digests.

use super::descriptor::Descriptor;
use super::document;
use crate::read::Hasher;
use crate::words::{Algorithm, Digest, Limits, Violation};
use std::sync::Arc;

/// A document, and the descriptor that its bytes have.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) descriptor: Descriptor,
    /// Shared, so that a clone of an image costs no megabytes.
    pub(super) bytes: Arc<[u8]>,
}

impl Document {
    pub(super) fn new(descriptor: Descriptor, bytes: Vec<u8>) -> Self {
        Self { descriptor, bytes: bytes.into() }
    }
}

/// Lets a document pass whose bytes have this digest and that has no more values than allowed.
pub(super) fn check_bytes(bytes: &[u8], digest: &Digest, limits: &Limits) -> Result<(), Violation> {
    let got = digest_of(digest.algorithm(), bytes);
    if got != *digest {
        return Err(Violation::DigestMismatch { expected: Box::new(*digest), got: Box::new(got) });
    }
    document::check_values(bytes, limits)
}

pub(super) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}
