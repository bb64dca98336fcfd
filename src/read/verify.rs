//! What is expected of a layer, and the proof that it was read.

use super::format::Format;
use crate::words::{Algorithm, Blame, Digest, Fault, Misuse, Quirk, SizeSeen, Violation};

/// What the caller knows about a layer before it is read; what it does not know is not looked at.
///
/// ```
/// # use layercage::{Digest, Expected};
/// # let (digest, diff_id) = (Digest::Sha256([1; 32]), Digest::Sha256([2; 32]));
/// let all = Expected::unchecked().with_digest(digest).with_size(4096).with_diff_id(diff_id);
/// let size = Expected::unchecked().with_size(4096);
/// assert!(all.covers_stream() && !size.covers_stream());
/// assert!(size.checks_anything() && !Expected::unchecked().checks_anything());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    digest: Option<Digest>,
    size: Option<u64>,
    diff_id: Option<Digest>,
    named_by: NamedBy,
}

/// What an image names a layer by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    /// Digest and size of the blob, and the diff ID.
    Blob,
    /// The diff ID alone.
    DiffId,
}

impl Expected {
    /// Nothing: the layer is read on trust, and no proof comes of it.
    pub fn unchecked() -> Self {
        Self { digest: None, size: None, diff_id: None, named_by: NamedBy::Blob }
    }

    /// The digest of the blob, as the manifest names it.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// The size of the blob in bytes, as the manifest states it.
    #[must_use]
    pub fn with_size(self, size: u64) -> Self {
        Self { size: Some(size), ..self }
    }

    /// The digest of the uncompressed layer, as the configuration names it.
    #[must_use]
    pub fn with_diff_id(self, diff_id: Digest) -> Self {
        Self { diff_id: Some(diff_id), ..self }
    }

    /// Whether anything is expected that only the end of the layer shows.
    pub fn checks_anything(&self) -> bool {
        self.covers_stream() || self.size.is_some()
    }

    /// The digest of the uncompressed layer, of an image that names its layers by nothing else, as `docker save`
    /// writes them: it alone makes a proof. What is compressed around these bytes, if anything, is not proven.
    #[must_use]
    pub fn with_diff_id_alone(self, diff_id: Digest) -> Self {
        Self { diff_id: Some(diff_id), named_by: NamedBy::DiffId, ..self }
    }

    /// Whether a digest or diff ID shows that the layer is whole; a size alone does not.
    pub fn covers_stream(&self) -> bool {
        self.digest.is_some() || self.diff_id.is_some()
    }

    /// Whether anything is known of the blob as it is stored.
    pub(crate) fn names_blob(&self) -> bool {
        self.digest.is_some() || self.size.is_some()
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// The algorithm to hash the blob with.
    pub(crate) fn digest_algorithm(&self) -> Option<Algorithm> {
        self.digest.map(|digest| digest.algorithm())
    }

    /// The algorithm to hash the uncompressed layer with. `None` also for a plain layer whose digest is its diff ID.
    pub(crate) fn diff_id_algorithm(&self, format: Format) -> Option<Algorithm> {
        let algorithm = self.diff_id.map(|diff_id| diff_id.algorithm());
        algorithm.filter(|_| format != Format::Plain || algorithm != self.digest_algorithm())
    }

    /// The digest of the uncompressed layer: of a plain layer it may be that of the blob.
    pub(crate) fn with_shared_digest(&self, format: Format, unpacked: Seen, blob: &Seen) -> Seen {
        if format == Format::Plain { Seen { digest: unpacked.digest.or(blob.digest), ..unpacked } } else { unpacked }
    }

    /// Compares all that is expected with what flowed by: the one place where a proof is made.
    pub(crate) fn compare(&self, blob: &Seen, unpacked: &Seen) -> Result<Option<Verified<Blob>>, Violation> {
        self.compare_blob(blob)?;
        self.compare_unpacked(unpacked)?;
        // Only what was computed here and is equal goes into a proof.
        let Some(diff_id) = self.diff_id.and(unpacked.digest) else { return Ok(None) };
        let digest = self.digest.and(blob.digest);
        let is_proven = match self.named_by {
            NamedBy::Blob => digest.is_some() && self.size.is_some(),
            NamedBy::DiffId => true,
        };
        Ok(is_proven.then_some(Verified(Blob { digest, size: blob.bytes, diff_id })))
    }

    /// Compares what is expected of the blob as it is stored.
    pub(crate) fn compare_blob(&self, blob: &Seen) -> Result<(), Violation> {
        if let Some(expected) = self.size.filter(|&size| size != blob.bytes) {
            return Err(Violation::SizeMismatch { expected, got: SizeSeen::Exactly(blob.bytes) });
        }
        match differing(self.digest, blob.digest) {
            Some((expected, got)) => Err(Violation::DigestMismatch { expected, got }),
            None => Ok(()),
        }
    }

    /// Compares what is expected of the uncompressed layer.
    pub(crate) fn compare_unpacked(&self, unpacked: &Seen) -> Result<(), Violation> {
        match differing(self.diff_id, unpacked.digest) {
            Some((expected, got)) => Err(Violation::DiffIdMismatch { expected, got }),
            None => Ok(()),
        }
    }

    /// Explains a refusal before the end of a blob, from the rest of the blob. The blob may be damaged, or a different
    /// one. Or the reader failed, and the cause is unknown.
    pub(crate) fn damage(&self, drained: Result<Seen, Fault>) -> Option<Fault> {
        match drained {
            Ok(seen) => self.compare_blob(&seen).err().map(Fault::from),
            Err(fault) => (self.names_blob() || is_of_the_reader(&fault)).then_some(fault),
        }
    }

    /// The same for a blob whose first bytes are refused. `rest` reads the remaining bytes.
    pub(crate) fn blamed(&self, fault: Fault, rest: impl FnOnce() -> Option<Result<Seen, Fault>>) -> Fault {
        if fault.blame() != Blame::Archive || !self.checks_anything() {
            return fault;
        }
        rest().and_then(|drained| self.damage(drained)).unwrap_or(fault)
    }

    fn missing(&self) -> &'static str {
        match self {
            Self { named_by: NamedBy::DiffId, .. } => "a diff ID",
            Self { digest: None, .. } => "a digest",
            Self { size: None, .. } => "a size",
            _ => "a diff ID",
        }
    }
}

/// Whether the reader failed or the caller cancelled. Otherwise the archive is to blame, or we stopped reading after
/// damaged data.
pub(crate) fn is_of_the_reader(fault: &Fault) -> bool {
    !matches!(fault, Fault::Refused(_) | Fault::Misuse(Misuse::Poisoned))
}

fn differing(expected: Option<Digest>, got: Option<Digest>) -> Option<(Digest, Digest)> {
    expected.zip(got).filter(|(expected, got)| expected != got)
}

/// A proof: the value was verified. Nothing outside of the comparison itself can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// What was verified.
    pub fn value(&self) -> &T {
        &self.0
    }
}

/// The blob of a layer, named by all that identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blob {
    /// Of the blob as it is stored; `None` when the image names the layer by its diff ID alone.
    pub digest: Option<Digest>,
    /// Of the blob as it is stored, in bytes.
    pub size: u64,
    /// The digest of the uncompressed layer.
    pub diff_id: Digest,
}

/// What came of a layer that was read to its end and has all that was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    expected: Expected,
    proof: Option<Verified<Blob>>,
    /// Bytes of the blob.
    pub blob_bytes: u64,
    /// Bytes of the uncompressed layer.
    pub unpacked_bytes: u64,
    /// What is odd about the compression; policy decides.
    pub quirks: Vec<Quirk>,
}

impl Checked {
    pub(crate) fn new(expected: Expected, whole: Whole) -> Result<Self, Violation> {
        let Whole { blob, unpacked, quirks } = whole;
        let proof = expected.compare(&blob, &unpacked)?;
        Ok(Self { expected, proof, blob_bytes: blob.bytes, unpacked_bytes: unpacked.bytes, quirks })
    }

    /// The proof that this was the layer meant, when digest, size and diff ID were all expected, or the diff ID
    /// [alone](Expected::with_diff_id_alone).
    pub fn proof(&self) -> Option<&Verified<Blob>> {
        self.proof.as_ref()
    }

    /// The same, as an error if there is no proof.
    ///
    /// # Errors
    ///
    /// [`Misuse::Unproven`], which says what was not expected.
    pub fn verified(self) -> Result<Verified<Blob>, Misuse> {
        self.proof.ok_or(Misuse::Unproven { missing: self.expected.missing() })
    }
}

/// A layer that has been read to its end.
pub(crate) struct Whole {
    pub(crate) blob: Seen,
    pub(crate) unpacked: Seen,
    pub(crate) quirks: Vec<Quirk>,
}

/// The amount and digest of the bytes that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) bytes: u64,
    pub(crate) digest: Option<Digest>,
}
