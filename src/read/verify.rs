//! What is expected of a layer, and the proof that it was read.

use super::format::Format;
use super::tar::EndMark;
use crate::words::{Algorithm, Blame, Digest, Error, Misuse, Quirk, SizeSeen, Violation};

/// What the caller knows about a layer before it is read, and which digests to compute. What is not known is not
/// compared.
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
    compute_digest: Option<Algorithm>,
    compute_diff_id: Option<Algorithm>,
}

/// What an image names a layer by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    /// Digest and size of the blob, and the diff ID.
    Blob,
    /// Digest and size of the blob alone.
    BlobAlone,
    /// The diff ID alone.
    DiffId,
}

impl Expected {
    /// Expects nothing: the layer is trusted, and there is no proof.
    pub fn unchecked() -> Self {
        Self {
            digest: None,
            size: None,
            diff_id: None,
            named_by: NamedBy::Blob,
            compute_digest: None,
            compute_diff_id: None,
        }
    }

    /// Expects a blob with the digest and the size in bytes of its descriptor. With the
    /// [diff ID](Expected::with_diff_id), they make a proof.
    pub fn blob(digest: Digest, size: u64) -> Self {
        Self { digest: Some(digest), size: Some(size), ..Self::unchecked() }
    }

    /// Expects a blob that has no diff ID, such as a layer of an artifact: its digest and size alone make a proof.
    pub fn blob_alone(digest: Digest, size: u64) -> Self {
        Self { named_by: NamedBy::BlobAlone, ..Self::blob(digest, size) }
    }

    /// Sets the digest of the blob, as the manifest has it.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// Sets the size of the blob in bytes, as the manifest has it.
    #[must_use]
    pub fn with_size(self, size: u64) -> Self {
        Self { size: Some(size), ..self }
    }

    /// Sets the diff ID, the digest of the uncompressed layer, as the configuration has it.
    #[must_use]
    pub fn with_diff_id(self, diff_id: Digest) -> Self {
        Self { diff_id: Some(diff_id), ..self }
    }

    /// Sets the diff ID of a layer that the image names by nothing else, as in `docker save`. It alone makes a proof. The
    /// proof covers the uncompressed bytes, and not the compression around them.
    #[must_use]
    pub fn with_diff_id_alone(self, diff_id: Digest) -> Self {
        Self { diff_id: Some(diff_id), named_by: NamedBy::DiffId, ..self }
    }

    /// Computes the digest of the blob, for [`Checked::digest`]. This compares nothing and makes no proof.
    ///
    /// If a digest is expected, that one is computed with its own algorithm, and `algorithm` is not used.
    #[must_use]
    pub fn compute_digest(self, algorithm: Algorithm) -> Self {
        Self { compute_digest: Some(algorithm), ..self }
    }

    /// Computes the diff ID, for [`Checked::diff_id`]. This compares nothing and makes no proof.
    ///
    /// If a diff ID is expected, that one is computed with its own algorithm, and `algorithm` is not used.
    ///
    /// ```
    /// # use layercage::{Error, Expected, Limits};
    /// # use layercage::blob::{Algorithm, LayerStream};
    /// # let blob = [0; 1024];
    /// let expected = Expected::unchecked().compute_diff_id(Algorithm::Sha256);
    /// let checked = LayerStream::open(&blob[..], expected, &Limits::default())?.finish()?;
    /// let diff_id = checked.diff_id().expect("it was asked for");
    /// assert_eq!(diff_id.to_string(), "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn compute_diff_id(self, algorithm: Algorithm) -> Self {
        Self { compute_diff_id: Some(algorithm), ..self }
    }

    /// Whether anything is expected that only the end of the layer shows.
    pub fn checks_anything(&self) -> bool {
        self.covers_stream() || self.size.is_some()
    }

    /// Whether a digest or diff ID is expected, which shows that the layer is complete. A size does not show that.
    pub fn covers_stream(&self) -> bool {
        self.digest.is_some() || self.diff_id.is_some()
    }

    /// Whether a tar archive may end without its end mark: yes, if the [whole stream](Expected::covers_stream) is
    /// verified.
    pub fn end_mark(&self) -> EndMark {
        if self.covers_stream() { EndMark::Optional } else { EndMark::Required }
    }

    /// Whether anything is expected of the blob as it is stored.
    pub(crate) fn names_blob(&self) -> bool {
        self.digest.is_some() || self.size.is_some()
    }

    /// The digest of the blob, if it is known.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The digest of the uncompressed layer, if it is known.
    pub fn diff_id(&self) -> Option<Digest> {
        self.diff_id
    }

    /// The size of the blob in bytes, if it is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The algorithm to hash the blob with.
    pub(crate) fn digest_algorithm(&self) -> Option<Algorithm> {
        self.digest.map(|digest| digest.algorithm()).or(self.compute_digest)
    }

    /// The algorithm to hash the uncompressed layer with. `None` also for a plain layer whose digest is its diff ID.
    pub(crate) fn diff_id_algorithm(&self, format: Format) -> Option<Algorithm> {
        let algorithm = self.diff_id.map(|diff_id| diff_id.algorithm()).or(self.compute_diff_id);
        algorithm.filter(|_| format != Format::Plain || algorithm != self.digest_algorithm())
    }

    /// The digest of the uncompressed layer: of a plain layer it may be that of the blob.
    pub(crate) fn with_shared_digest(&self, format: Format, unpacked: Seen, blob: &Seen) -> Seen {
        if format == Format::Plain { Seen { digest: unpacked.digest.or(blob.digest), ..unpacked } } else { unpacked }
    }

    /// Compares everything that is expected with the bytes that were read. This is the only place where a proof is made.
    pub(crate) fn compare(&self, blob: &Seen, unpacked: &Seen) -> Result<Option<Verified<Blob>>, Violation> {
        self.compare_blob(blob)?;
        self.compare_unpacked(unpacked)?;
        // A proof contains only what was expected, computed here, and equal.
        let (digest, diff_id) = (self.digest.and(blob.digest), self.diff_id.and(unpacked.digest));
        let is_blob = digest.is_some() && self.size.is_some();
        let is_proven = match self.named_by {
            NamedBy::Blob => is_blob && diff_id.is_some(),
            NamedBy::BlobAlone => is_blob,
            NamedBy::DiffId => diff_id.is_some(),
        };
        Ok(is_proven.then_some(Verified(Blob { digest, size: blob.bytes, diff_id })))
    }

    /// Compares the size and digest of the blob as it is stored.
    pub(crate) fn compare_blob(&self, blob: &Seen) -> Result<(), Violation> {
        if let Some(expected) = self.size.filter(|&size| size != blob.bytes) {
            return Err(Violation::SizeMismatch { expected, got: SizeSeen::Exactly(blob.bytes) });
        }
        match differing(self.digest, blob.digest) {
            Some((expected, got)) => Err(Violation::DigestMismatch { expected: expected.into(), got: got.into() }),
            None => Ok(()),
        }
    }

    /// Compares the diff ID.
    pub(crate) fn compare_unpacked(&self, unpacked: &Seen) -> Result<(), Violation> {
        match differing(self.diff_id, unpacked.digest) {
            Some((expected, got)) => Err(Violation::DiffIdMismatch { expected: expected.into(), got: got.into() }),
            None => Ok(()),
        }
    }

    /// Explains a refusal before the end of a blob, from the rest of the blob. The blob may be damaged, or a different
    /// one. Or the reader failed, and the cause is unknown.
    pub(crate) fn damage(&self, drained: Result<Seen, Error>) -> Option<Error> {
        match drained {
            Ok(seen) => self.compare_blob(&seen).err().map(Error::from),
            Err(error) => (self.names_blob() || is_of_the_reader(&error)).then_some(error),
        }
    }

    /// The same for a blob whose first bytes are refused. `rest` reads the remaining bytes.
    pub(crate) fn blamed(&self, error: Error, rest: impl FnOnce() -> Option<Result<Seen, Error>>) -> Error {
        if error.blame() != Blame::Archive || !self.checks_anything() {
            return error;
        }
        rest().and_then(|drained| self.damage(drained)).unwrap_or(error)
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
pub(crate) fn is_of_the_reader(error: &Error) -> bool {
    !error.is_refusal() && error.misuse() != Some(&Misuse::Poisoned)
}

fn differing(expected: Option<Digest>, got: Option<Digest>) -> Option<(Digest, Digest)> {
    expected.zip(got).filter(|(expected, got)| expected != got)
}

/// A proof that the value was verified. Only the comparison itself can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The verified value.
    pub fn value(&self) -> &T {
        &self.0
    }
}

/// Everything that identifies a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blob {
    /// The digest of the blob as it is stored; `None` if the image names the layer by its diff ID alone.
    pub digest: Option<Digest>,
    /// The size of the blob as it is stored, in bytes.
    pub size: u64,
    /// The diff ID, the digest of the uncompressed layer; `None` if the layer is named by its blob alone and no diff ID
    /// was expected.
    pub diff_id: Option<Digest>,
}

/// The result for a layer that was read to its end and matches everything that was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    expected: Expected,
    proof: Option<Verified<Blob>>,
    digest: Option<Digest>,
    diff_id: Option<Digest>,
    /// Bytes of the blob.
    pub blob_bytes: u64,
    /// Bytes of the uncompressed layer.
    pub unpacked_bytes: u64,
    /// The quirks of the compression. They have not been judged by a policy.
    pub quirks: Vec<Quirk>,
}

impl Checked {
    pub(crate) fn new(expected: Expected, whole: Whole) -> Result<Self, Violation> {
        let Whole { blob, unpacked, quirks } = whole;
        let proof = expected.compare(&blob, &unpacked)?;
        let (digest, diff_id) = (blob.digest, unpacked.digest);
        Ok(Self { expected, proof, digest, diff_id, blob_bytes: blob.bytes, unpacked_bytes: unpacked.bytes, quirks })
    }

    /// The result for a layer of which nothing was expected and no byte was read: a merged tree that is replayed. There is
    /// no proof in it.
    #[cfg(feature = "image")]
    pub(crate) fn of_nothing() -> Self {
        let expected = Expected::unchecked();
        Self {
            expected,
            proof: None,
            digest: None,
            diff_id: None,
            blob_bytes: 0,
            unpacked_bytes: 0,
            quirks: Vec::new(),
        }
    }

    /// Whether this is the result of a layer of which this was expected.
    #[cfg(feature = "unpack")]
    pub(crate) fn is_of(&self, expected: &Expected) -> bool {
        self.expected == *expected
    }

    /// The digest of the blob, if it was expected or [asked for](Expected::compute_digest).
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The digest of the uncompressed layer, if it was expected or [asked for](Expected::compute_diff_id), or if the
    /// layer is not compressed and the digest of the blob is known.
    pub fn diff_id(&self) -> Option<Digest> {
        self.diff_id
    }

    /// The proof that this is the expected layer. There is one if digest, size and diff ID were all expected, or the
    /// [blob alone](Expected::blob_alone), or the [diff ID alone](Expected::with_diff_id_alone).
    pub fn proof(&self) -> Option<&Verified<Blob>> {
        self.proof.as_ref()
    }

    /// Like [`Checked::proof`], but an error if there is no proof.
    ///
    /// # Errors
    ///
    /// [`Misuse::Unproven`], which names what was not expected.
    pub fn verified(self) -> Result<Verified<Blob>, Error> {
        self.proof.ok_or_else(|| Misuse::Unproven { missing: self.expected.missing() }.into())
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
