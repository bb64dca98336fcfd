//! Who applies layers: the policy, the limits and the threads of it.

use super::layer::Layer;
use super::pipeline::Jobs;
use super::progress::{Progress, Watch};
use super::run::Applied;
use super::watched::Watched;
use crate::output::Sink;
use crate::words::{Error, Limits, Policy};
use std::io::Read;
use std::num::NonZeroUsize;

/// Applies layers under one policy.
///
/// ```
/// # use layercage::{Error, Layer, Policy, Rootfs, Unpacker};
/// # let directory = tempfile::tempdir()?;
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_size(2);
/// # header.set_mode(0o644);
/// # archive.append_data(&mut header, "etc/hostname", &b"a\n"[..])?;
/// # let archive = archive.into_inner()?;
/// use cap_std::{ambient_authority, fs::Dir};
///
/// let rootfs = Dir::open_ambient_dir(directory.path(), ambient_authority())?;
/// let applied = Unpacker::new(Policy::default()).apply(Layer::new(&archive[..]), &mut Rootfs::over(&rootfs)?)?;
/// assert_eq!(applied.report().entries, 1);
/// assert_eq!(rootfs.read("etc/hostname")?, b"a\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Unpacker {
    pub(super) policy: Policy,
    limits: Limits,
    jobs: Jobs,
}

impl Unpacker {
    /// Applies layers under this policy, within the default limits.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Sets what is enforced while layers are read.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets [`Unpacker::apply_side_by_side`] and [`Unpacker::unpack`] use so many threads, the calling one among
    /// them; one by default.
    ///
    /// With two, reading and inflating go on beside parsing and making files, and whichever has to wait computes
    /// digests and writes small files; a third does nothing but that. More are not used.
    #[must_use]
    pub fn jobs(mut self, threads: NonZeroUsize) -> Self {
        self.jobs = Jobs::of(threads);
        self
    }

    /// Has somebody told how far the unpacking is, who may end it.
    pub fn with_progress<'u>(&'u self, progress: &'u mut dyn Progress) -> Watched<'u> {
        Watched { unpacker: self, watch: Watch::new(progress) }
    }

    /// Applies a layer, all on the calling thread.
    ///
    /// Where the sink's effects can be seen at once and a digest, size or diff ID is given, the layer is verified
    /// first: read through once where it is [seekable](Layer::seekable), or kept in a file without a name meanwhile. A
    /// refusal in the middle leaves what was applied so far, and [`Error::effect`] says whether that is anything; each
    /// path then has its old or its new state.
    ///
    /// # Errors
    ///
    /// The refusal, with its position, or what the system refused.
    pub fn apply<R: Read>(&self, layer: Layer<R>, sink: &mut impl Sink) -> Result<Applied, Error> {
        self.with_progress(&mut ()).apply(layer, sink)
    }

    /// Applies a layer as [`Unpacker::apply`] does, on as many threads as [`Unpacker::jobs`] allows.
    ///
    /// Whatever ends it, a panic of the sink included, ends the other threads before this returns; one that waits
    /// for the layer's reader ends when that answers, which [`Layer::on_abandoned`] may have it do.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn apply_side_by_side<R: Read + Send>(&self, layer: Layer<R>, sink: &mut impl Sink) -> Result<Applied, Error> {
        self.with_progress(&mut ()).apply_side_by_side(layer, sink)
    }

    pub(super) fn threads(&self) -> Jobs {
        self.jobs
    }

    pub(super) fn within(&self) -> &Limits {
        &self.limits
    }
}
