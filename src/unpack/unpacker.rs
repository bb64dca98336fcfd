//! The settings for applying layers: policy, limits, threads, temporary files.

use super::jobs::Jobs;
use crate::cage::Scratch;
#[cfg(feature = "image")]
use crate::cage::{ahead_spool, ahead_spool_in};
#[cfg(feature = "image")]
use crate::read::CreateSpool;
use crate::words::{Error, Limits, Misuse, Policy};
use std::fs::File;
use std::num::NonZeroUsize;
#[cfg(feature = "image")]
use std::os::fd::OwnedFd;
#[cfg(feature = "image")]
use std::sync::Arc;

/// The settings for applying layers. [`Unpacker::session`] starts a session that uses them.
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
#[derive(Debug, Clone)]
pub struct Unpacker {
    policy: Policy,
    limits: Limits,
    jobs: NonZeroUsize,
    #[cfg(feature = "image")]
    readers: NonZeroUsize,
    scratch: Option<Scratch>,
}

/// The default policy within the default limits, on one thread.
impl Default for Unpacker {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

impl Unpacker {
    /// Applies layers under this policy, within the default limits, on one thread.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            limits: Limits::default(),
            jobs: NonZeroUsize::MIN,
            #[cfg(feature = "image")]
            readers: NonZeroUsize::MIN,
            scratch: None,
        }
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the number of threads for one session, the calling thread included. **1** by default.
    ///
    /// With two, one thread reads and decompresses while the calling thread parses and creates files. A thread that has to
    /// wait computes digests, writes small files, or decompresses the next layers of an image. More threads decompress
    /// more layers at the same time; for an image of *n* layers, at most *n* + 2 threads are used.
    ///
    /// Layers are applied one after another in any case. The tree, the report and any error are the same for every number
    /// of threads.
    ///
    /// The bytes of a layer that is read ahead are kept in memory, up to 8 MiB for all layers, and then in temporary files
    /// without names: in the [scratch file](Unpacker::with_scratch), or else in the staging directory of a
    /// [`Staged`](crate::Staged) tree or in the store of an overlay. These files have at most 1 GiB, and at most
    /// [`Limit::ImageBytes`](crate::rules::Limit::ImageBytes). They are not used if less than 1 GiB of the file system is
    /// free, or if the process may not write files of any size. Then, and if a file cannot be written, less is read ahead.
    /// Anything is read of at most 16 layers after the current one.
    #[must_use]
    pub fn with_jobs(self, jobs: NonZeroUsize) -> Self {
        Self { jobs, ..self }
    }

    /// Sets how many readers of layers are open at once in [`Session::unpack_from`](crate::Session::unpack_from),
    /// [`Session::unpack_overlay_from`](crate::Session::unpack_overlay_from) and
    /// [`Session::apply_image_from`](crate::Session::apply_image_from). **1** by default.
    ///
    /// With two readers, the next layer is opened before the current one is read, so that two layers can download at
    /// once. With up to two [jobs](Unpacker::with_jobs), layers are read one after another, and a reader has to keep what
    /// arrives before it is read. With more jobs, the next layers are read by other threads. One thread always remains for
    /// the first layer that is not read to its end: a reader may wait until the layers before it are applied.
    #[cfg(feature = "image")]
    #[must_use]
    pub fn with_readers(self, readers: NonZeroUsize) -> Self {
        Self { readers, ..self }
    }

    /// Sets where temporary files come from. **None** by default: then a layer that must be
    /// [verified first](crate::Session::apply) and is not [seekable](crate::Layer::seekable) fails with
    /// [`Misuse::NoScratch`]. The file system of the files needs space for the blob. Layers that are
    /// [read ahead](Unpacker::with_jobs) are kept there, too.
    #[must_use]
    pub fn with_scratch(self, scratch: Scratch) -> Self {
        Self { scratch: Some(scratch), ..self }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The number of threads.
    pub fn jobs(&self) -> NonZeroUsize {
        self.jobs
    }

    /// The number of readers of layers that are open at once.
    #[cfg(feature = "image")]
    pub fn readers(&self) -> NonZeroUsize {
        self.readers
    }

    /// Whether files can be created for layers that are verified before they are applied.
    #[cfg(feature = "image")]
    pub(super) fn require_scratch(&self) -> Result<(), Error> {
        self.scratch.as_ref().map(drop).ok_or(Misuse::NoScratch.into())
    }

    /// Creates a file for a layer that is verified before it is applied.
    pub(super) fn create_spool(&self) -> Result<File, Error> {
        self.scratch.as_ref().ok_or(Misuse::NoScratch)?.create()
    }

    /// Creates files for layers that are read ahead: those of [`Unpacker::with_scratch`], or in a directory, once there is one.
    #[cfg(feature = "image")]
    pub(super) fn create_ahead_spool(
        &self,
        directory: impl Fn() -> Option<Arc<OwnedFd>> + Send + Sync + 'static,
    ) -> CreateSpool {
        let scratch = self.scratch.clone();
        Box::new(move || match &scratch {
            Some(scratch) => ahead_spool(scratch).map(Some),
            None => directory().map(|directory| ahead_spool_in(&directory)).transpose(),
        })
    }

    pub(super) fn threads(&self) -> Jobs {
        Jobs::of(self.jobs)
    }
}
