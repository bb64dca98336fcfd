//! Sizes and digests, compared while the bytes flow.

use super::{compression::Decoder, hash::Hasher, refusal};
use crate::words::{Blame, Digest, Fault, Limit, Limits, Misuse, Quirk, SizeSeen, Violation};
use std::io::{self, ErrorKind, Read};

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

    pub(crate) fn digest(&self) -> Option<Digest> {
        self.digest
    }

    pub(crate) fn diff_id(&self) -> Option<Digest> {
        self.diff_id
    }

    /// Whether one digest over a plain layer serves as both.
    pub(crate) fn digests_alike(&self) -> bool {
        self.digest.map(|digest| digest.algorithm()) == self.diff_id.map(|digest| digest.algorithm())
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
    pub(crate) fn new(expected: Expected, blob: &Seen, unpacked: &Seen, quirks: Vec<Quirk>) -> Result<Self, Violation> {
        let proof = expected.compare(blob, unpacked)?;
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

/// What has flowed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) bytes: u64,
    pub(crate) digest: Option<Digest>,
}

/// The blob as it is read: counted against its size and the limit, hashed when a digest is expected.
pub(crate) struct Incoming<R> {
    reader: R,
    size: Option<u64>,
    limits: Limits,
    bytes: u64,
    hasher: Option<Hasher>,
    /// More came than its size says: what comes then is no part of it, nor its end.
    is_too_long: bool,
}

impl<R: Read> Incoming<R> {
    /// A blob that is counted here, and hashed elsewhere.
    pub(crate) fn counting(reader: R, expected: &Expected, limits: &Limits) -> Self {
        Self { reader, size: expected.size, limits: limits.clone(), bytes: 0, hasher: None, is_too_long: false }
    }

    pub(crate) fn new(reader: R, expected: &Expected, limits: &Limits) -> Self {
        let hasher = expected.digest.map(|digest| Hasher::new(digest.algorithm()));
        Self { hasher, ..Self::counting(reader, expected, limits) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn finish(self) -> Seen {
        Seen { bytes: self.bytes, digest: self.hasher.map(Hasher::finish) }
    }

    /// Reads the rest of the blob. Its size and digest show whether damage caused a refusal.
    pub(crate) fn drain(mut self) -> Result<Seen, Fault> {
        io::copy(&mut self, &mut io::sink()).map_err(Fault::of_reader)?;
        Ok(self.finish())
    }
}

impl<R: Read> Read for Incoming<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let too_long = |expected| refusal(Violation::SizeMismatch { expected, got: SizeSeen::More });
        if let (true, Some(expected)) = (self.is_too_long, self.size) {
            return Err(too_long(expected));
        }
        let left = self.size.map_or(u64::MAX, |size| size - self.bytes);
        // One byte more than is left shows that the blob is too long; nobody sees it.
        let most = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX).min(out.len());
        let lent = out.get_mut(..most).unwrap_or_default();
        let lent = within(&self.limits, self.bytes, lent);
        let got = self.reader.read(lent)?.min(lent.len());
        self.limits.check(Limit::LayerBytes, self.bytes + got as u64).map_err(refusal)?;
        if let Some(expected) = self.size {
            if got as u64 > left {
                self.is_too_long = true;
                return Err(too_long(expected));
            }
            if got == 0 && left > 0 {
                return Err(refusal(Violation::SizeMismatch { expected, got: SizeSeen::Exactly(self.bytes) }));
            }
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(lent.get(..got).unwrap_or_default());
        }
        self.bytes += got as u64;
        Ok(got)
    }
}

/// The part of a buffer that may be read into: what is left of the limit, and the byte behind it once nothing is.
///
/// So what is within the limit comes out whole, however the bytes arrive.
fn within<'b>(limits: &Limits, bytes: u64, out: &'b mut [u8]) -> &'b mut [u8] {
    let left = limits.most(Limit::LayerBytes).saturating_sub(bytes).max(1);
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
    out.get_mut(..most).unwrap_or_default()
}

/// The uncompressed layer as it is read: counted against the limits, hashed when a diff ID is expected, dead after an
/// error.
pub(crate) struct Unpacked<R> {
    reader: Decoder<Incoming<R>>,
    limits: Limits,
    bytes: u64,
    hasher: Option<Hasher>,
    failed: bool,
}

impl<R: Read> Unpacked<R> {
    pub(crate) fn new(reader: Decoder<Incoming<R>>, hashed_as: Option<Digest>, limits: &Limits) -> Self {
        let hasher = hashed_as.map(|digest| Hasher::new(digest.algorithm()));
        Self { reader, limits: limits.clone(), bytes: 0, hasher, failed: false }
    }

    pub(crate) fn inner(&self) -> &Decoder<Incoming<R>> {
        &self.reader
    }

    pub(crate) fn finish(self) -> (Decoder<Incoming<R>>, Seen) {
        (self.reader, Seen { bytes: self.bytes, digest: self.hasher.map(Hasher::finish) })
    }

    fn read_within(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(within(&self.limits, self.bytes, out))?;
        let bytes = self.bytes + got as u64;
        self.limits.check(Limit::LayerBytes, bytes).map_err(refusal)?;
        if bytes > RATIO_COUNTS_FROM {
            let ratio = bytes.div_ceil(self.reader.input().bytes().max(1));
            self.limits.check(Limit::ExpansionRatio, ratio).map_err(refusal)?;
        }
        self.bytes = bytes;
        Ok(got)
    }
}

/// Uncompressed bytes that any blob may have, however small.
const RATIO_COUNTS_FROM: u64 = 1 << 20;

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            // Reading on behind a damaged place could end in a proof.
            return Err(Fault::from(Misuse::Poisoned).into());
        }
        let read = self.read_within(out);
        let got = read.inspect_err(|error| self.failed = error.kind() != ErrorKind::Interrupted)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(out.get(..got).unwrap_or_default());
        }
        Ok(got)
    }
}
