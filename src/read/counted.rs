//! Readers that count, limit and hash the bytes of a layer.

use super::decoder::Decoder;
use super::hash::Hasher;
use super::not_yet::is_not_yet;
use super::refusal::refusal;
use super::verify::{Expected, Seen};
use crate::words::{Algorithm, Error, Limit, Limits, Misuse, SizeSeen, Violation};
use std::io::{self, ErrorKind, Read};

/// The blob as it is read: counted, and compared with its size and the limit. Hashed here, or by the caller.
pub(crate) struct Incoming<R> {
    reader: R,
    size: Option<u64>,
    limits: Limits,
    bytes: u64,
    hasher: Option<Hasher>,
    /// More bytes came than the size says. The bytes after these are not read: neither they nor the end are part of
    /// the blob.
    is_too_long: bool,
    /// The reader has said that it is at its end. It is not asked again: what a reader gives after its end would be part of
    /// the digest, and of no entry.
    is_at_end: bool,
}

impl<R> Incoming<R> {
    /// A blob that is not hashed here.
    pub(crate) fn unhashed(reader: R, expected: &Expected, limits: &Limits) -> Self {
        let size = expected.size();
        Self { reader, size, limits: limits.clone(), bytes: 0, hasher: None, is_too_long: false, is_at_end: false }
    }

    pub(crate) fn new(reader: R, expected: &Expected, limits: &Limits) -> Self {
        Self::unhashed(reader, expected, limits).hashed(expected.digest_algorithm().map(Hasher::new))
    }

    /// Hashes all following bytes, too.
    pub(crate) fn hashed(self, hasher: Option<Hasher>) -> Self {
        Self { hasher, ..self }
    }

    /// Replaces the underlying reader.
    #[cfg(any(feature = "unpack", test))]
    pub(crate) fn map<S>(self, exchange: impl FnOnce(R) -> S) -> Incoming<S> {
        let Self { reader, size, limits, bytes, hasher, is_too_long, is_at_end } = self;
        Incoming { reader: exchange(reader), size, limits, bytes, hasher, is_too_long, is_at_end }
    }

    #[cfg(any(feature = "unpack", test))]
    pub(crate) fn reader(&self) -> &R {
        &self.reader
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn finish(self) -> Seen {
        Seen { bytes: self.bytes, digest: self.hasher.map(Hasher::finish) }
    }
}

impl<R: Read> Incoming<R> {
    /// Reads the rest of the blob. Its size and digest show whether damage caused a refusal.
    pub(crate) fn drain(mut self) -> Result<Seen, Error> {
        io::copy(&mut self, &mut io::sink()).map_err(Error::of_reader)?;
        Ok(self.finish())
    }
}

impl<R: Read> Read for Incoming<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.is_at_end {
            return Ok(0);
        }
        let too_long = |expected| refusal(Violation::SizeMismatch { expected, got: SizeSeen::More });
        if let (true, Some(expected)) = (self.is_too_long, self.size) {
            return Err(too_long(expected));
        }
        let left = self.size.map_or(u64::MAX, |size| size - self.bytes);
        // One byte more than is left shows that the blob is too long. It is not given out.
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
        self.is_at_end = got == 0;
        Ok(got)
    }
}

/// The part of a buffer that may be read into: the bytes that are left of the limit, or one byte once none is left.
///
/// All bytes within the limit are given out, whatever the sizes of the reads.
fn within<'b>(limits: &Limits, bytes: u64, out: &'b mut [u8]) -> &'b mut [u8] {
    let left = limits.most(Limit::LayerBytes).saturating_sub(bytes).max(1);
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
    out.get_mut(..most).unwrap_or_default()
}

/// The uncompressed layer as it is read: compared with the limits, and hashed here or by the caller. After an error it
/// gives no more bytes.
pub(crate) struct Unpacked<R> {
    reader: Decoder<Incoming<R>>,
    limits: Limits,
    bytes: u64,
    hasher: Option<Hasher>,
    failed: bool,
}

impl<R: Read> Unpacked<R> {
    pub(crate) fn new(reader: Decoder<Incoming<R>>, hashed_as: Option<Algorithm>, limits: &Limits) -> Self {
        Self { reader, limits: limits.clone(), bytes: 0, hasher: hashed_as.map(Hasher::new), failed: false }
    }

    pub(crate) fn inner(&self) -> &Decoder<Incoming<R>> {
        &self.reader
    }

    #[cfg(any(feature = "unpack", test))]
    pub(crate) fn inner_mut(&mut self) -> &mut Decoder<Incoming<R>> {
        &mut self.reader
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

/// The expansion ratio is not checked for layers up to this size, in bytes.
const RATIO_COUNTS_FROM: u64 = 1 << 20;

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            // After damage, the following bytes could still lead to a proof.
            return Err(Error::from(Misuse::Poisoned).into());
        }
        let read = self.read_within(out);
        let got =
            read.inspect_err(|error| self.failed = error.kind() != ErrorKind::Interrupted && !is_not_yet(error))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(out.get(..got).unwrap_or_default());
        }
        Ok(got)
    }
}
