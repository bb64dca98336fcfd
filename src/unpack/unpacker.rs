//! Who applies layers: the policy, the limits and the threads of it.

use super::layer::Layer;
use super::pipeline::Jobs;
use super::progress::{Progress, Watch};
use super::run::Applied;
use super::watched::Watched;
use crate::cage::create_spool;
use crate::output::Sink;
use crate::words::{Error, Fault, Limits, Misuse, Policy};
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

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
    scratch: Option<Arc<OwnedFd>>,
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

    /// Sets a directory for temporary files, which have no names there. Without one, a layer that has to be
    /// [verified first](Unpacker::apply) and is not [seekable](Layer::seekable) is an error
    /// ([`Misuse::NoScratch`]). The directory has to have room for the blob.
    ///
    /// Any open directory will do: a `cap_std::fs::Dir`, or a [`File`] of one.
    #[must_use]
    pub fn with_scratch(mut self, directory: impl Into<OwnedFd>) -> Self {
        self.scratch = Some(Arc::new(directory.into()));
        self
    }

    /// Has somebody told how far the unpacking is, who may end it.
    pub fn with_progress<'u>(&'u self, progress: &'u mut dyn Progress) -> Watched<'u> {
        Watched { unpacker: self, watch: Watch::new(progress) }
    }

    /// Applies a layer, all on the calling thread.
    ///
    /// If the sink's changes are [visible at once](crate::Visibility::AtOnce), and a digest, size or diff ID is given,
    /// the layer is verified first. A [seekable](Layer::seekable) layer is read twice. Any other layer is copied to a
    /// temporary file in the [scratch directory](Unpacker::with_scratch). A refusal in the middle leaves what was
    /// applied so far, and [`Error::effect`] says whether that is anything. Each path then has its old or its new
    /// state.
    ///
    /// # Errors
    ///
    /// The refusal, with its position, or what the system refused.
    pub fn apply<R: Read>(&self, layer: Layer<R>, sink: &mut (impl Sink + ?Sized)) -> Result<Applied, Error> {
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
    pub fn apply_side_by_side<R: Read + Send>(
        &self,
        layer: Layer<R>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Applied, Error> {
        self.with_progress(&mut ()).apply_side_by_side(layer, sink)
    }

    /// Creates a file for a layer that is verified before it is applied.
    pub(super) fn create_spool(&self) -> Result<File, Fault> {
        create_spool(self.scratch.as_ref().ok_or(Misuse::NoScratch)?.as_fd())
    }

    pub(super) fn threads(&self) -> Jobs {
        self.jobs
    }

    pub(super) fn within(&self) -> &Limits {
        &self.limits
    }
}
