//! The application of one layer, on a thread that may block.

use crate::cancel::Cancel;
use crate::mounts::Target;
use crate::policy::Judging;
use crate::refusal::Refusal;
use crate::roots::Roots;
use layercage::blob::Algorithm;
use layercage::overlay::{Overlay, OverlayFormat, Whiteouts};
use layercage::policy::Durability;
use layercage::progress::Cancellation;
use layercage::{Digest, Error, Expected, Layer, Report, Rootfs, Sink, Unpacker};
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A layer that is to be applied.
#[derive(Debug)]
pub(crate) struct Job {
    /// The digest of its blob.
    pub(crate) digest: Digest,
    /// The size of its blob.
    pub(crate) size: u64,
    /// The directories to which it is applied.
    pub(crate) target: Target,
    /// Whether the snapshot is written to the disk before this ends.
    pub(crate) sync: bool,
    /// The policy and the limits.
    pub(crate) judging: Judging,
    /// The number of threads.
    pub(crate) jobs: NonZeroUsize,
}

/// A layer that was applied.
#[derive(Debug)]
pub(crate) struct Done {
    /// The digest of the uncompressed layer.
    pub(crate) diff_id: Digest,
    /// The size of the uncompressed layer.
    pub(crate) unpacked_bytes: u64,
    /// What was written, and what was noted.
    pub(crate) report: Report,
}

/// Where directories come from.
pub(crate) struct Places<'r> {
    pub(crate) roots: &'r Roots,
    /// Opens the directories below the target, if the request does not name them.
    pub(crate) later: Box<dyn FnOnce() -> Result<Vec<OwnedFd>, Error> + Send>,
}

impl Job {
    /// The directory that is changed.
    pub(crate) fn upper(&self) -> &Path {
        match &self.target {
            Target::Tree(path) => path,
            Target::Overlay { upper, .. } => upper,
        }
    }

    /// Applies the layer. The size and the digest of the blob are verified before this returns, and the diff ID is computed.
    ///
    /// A failure leaves what was written: containerd removes the snapshot.
    ///
    /// # Errors
    ///
    /// Why the layer was not applied.
    pub(crate) fn apply(self, blob: impl Read + Send, cancel: &Cancel, places: Places) -> Result<Done, Refusal> {
        let Places { roots, later } = places;
        match &self.target {
            Target::Tree(path) => {
                let directory = roots.open(path)?;
                let rootfs = Rootfs::over_private(&directory).map_err(|error| Refusal::of_layer(&error))?;
                self.apply_to(rootfs, blob, cancel)
            }
            Target::Overlay { upper, lowers, namespace } => {
                let format = OverlayFormat { whiteouts: Whiteouts::Device, namespace: *namespace };
                let upper = roots.open(upper)?;
                let lowers = lowers.as_ref().map(|lowers| lowers.iter().map(|lower| roots.open(lower)).collect());
                let lowers: Option<Vec<OwnedFd>> = lowers.transpose()?;
                let overlay = match lowers {
                    Some(lowers) => Overlay::over(&upper, lowers, format),
                    None => Overlay::over_later(&upper, || Ok(later()?), format),
                };
                self.apply_to(overlay.map_err(|error| Refusal::of_layer(&error))?, blob, cancel)
            }
        }
    }

    fn apply_to(&self, mut sink: impl Sink, blob: impl Read + Send, cancel: &Cancel) -> Result<Done, Refusal> {
        let expected = Expected::blob(self.digest, self.size).compute_diff_id(Algorithm::Sha256);
        let policy = self.judging.policy.clone();
        let policy = if self.sync { policy.with_durability(Durability::Synced) } else { policy };
        let unpacker = Unpacker::new(policy).with_limits(self.judging.limits.clone()).with_jobs(self.jobs);
        let cancel = cancel.clone();
        let mut session = unpacker.session().with_cancellation(Cancellation::when(move || cancel.is_cancelled()));
        let applied = session.apply(Layer::new(blob).expecting(expected), &mut sink);
        let applied = applied.map_err(|error| Refusal::of_layer(&error))?;
        let checked = applied.checked();
        let unpacked_bytes = checked.unpacked_bytes;
        let diff_id = checked.diff_id().ok_or_else(Refusal::of_panic)?;
        Ok(Done { diff_id, unpacked_bytes, report: applied.into_report() })
    }
}
