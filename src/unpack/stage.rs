//! A tree that becomes visible in one step, after all its layers were verified.

use crate::cage::{Contents, Stage};
use crate::output::Rootfs;
use crate::read::{Blob, Verified};
use crate::words::{Durability, Error, Misuse};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// A root filesystem that is filled in a staging directory, and becomes visible on [`Staged::commit`]. If it is dropped
/// before, it leaves nothing behind.
///
/// The target name must be free, or the name of an empty directory. An empty directory is replaced in one step. The
/// tree does not inherit its inode, mode, owner or extended attributes. If anything fails before that step, the empty
/// directory is unchanged.
///
/// If a layer fails, for any reason, this value can only be dropped: the tree may contain data that was never verified.
/// Every later layer and [`Staged::commit`] fail with [`Misuse::Poisoned`]. To try again, create a new `Staged`.
///
/// ```no_run
/// # use cap_std::{ambient_authority, fs::Dir};
/// # use layercage::{Digest, Expected, Layer, Policy, Staged, Unpacker};
/// # fn layers() -> Vec<(std::fs::File, Digest, u64, Digest)> { vec![] }
/// let parent = Dir::open_ambient_dir(".", ambient_authority())?;
/// let mut session = Unpacker::new(Policy::default()).session();
/// let mut staged = Staged::beside(&parent, "rootfs")?;
/// let mut proofs = Vec::new();
/// for (reader, digest, size, diff_id) in layers() {
///     let layer = Layer::new(reader).expecting(Expected::blob(digest, size).with_diff_id(diff_id));
///     proofs.push(session.apply(layer, staged.rootfs())?.verified()?);
/// }
/// staged.commit(proofs)?; // visible only now
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Staged {
    // Dropped first: its descriptors may be needed to remove the stage.
    rootfs: Rootfs,
    stage: Stage,
    durability: Durability,
}

impl Staged {
    /// Creates a staging directory in `parent`, for a tree that will be called `name` there. Leftovers of killed runs
    /// are removed first. `parent` is a `cap_std::fs::Dir`, or any other handle of an open directory.
    ///
    /// # Errors
    ///
    /// [`Misuse::TargetExists`] if the name is taken by anything but an empty directory: its
    /// [`Occupant`](crate::error::Occupant) says by what. [`Misuse::NotAComponent`], [`Misuse::ReservedName`], and system
    /// errors.
    pub fn beside(parent: impl AsFd, name: impl AsRef<OsStr>) -> Result<Self, Error> {
        Self::with(Contents::Rootfs, parent.as_fd(), name.as_ref())
    }

    /// Creates a staging directory in `parent` for a bundle that will be called `name` there: a directory with the tree,
    /// as `rootfs`, and this `config.json`. A container runtime starts it (runtime-spec, bundle.md).
    ///
    /// Only its owner may enter the bundle (mode 0700): other users of the machine cannot run the setuid programs of the
    /// image.
    ///
    /// # Errors
    ///
    /// As for [`Staged::beside`].
    pub fn bundle(parent: impl AsFd, name: impl AsRef<OsStr>, config: &[u8]) -> Result<Self, Error> {
        Self::with(Contents::Bundle { config }, parent.as_fd(), name.as_ref())
    }

    fn with(contents: Contents<'_>, parent: BorrowedFd<'_>, name: &OsStr) -> Result<Self, Error> {
        let stage = Stage::beside(parent, name.as_bytes(), contents)?;
        let rootfs = Rootfs::staged(stage.cage()?);
        Ok(Self { stage, rootfs, durability: Durability::default() })
    }

    /// Sets the minimum durability of the tree when it takes its name. **[`Durability::Kernel`]** by default. If the
    /// policy of any layer requests more ([`Policy::with_durability`](crate::Policy::with_durability)), that applies.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The tree, to apply layers to.
    pub fn rootfs(&mut self) -> &mut Rootfs {
        &mut self.rootfs
    }

    /// Makes the tree visible under its name, in one step.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`] after a layer that failed or has not ended. [`Misuse::ProofsDoNotMatch`] if `proofs` are
    /// not those of the applied layers, in order. [`Misuse::ForeignTree`] if [`Staged::rootfs`] is no longer the
    /// original tree. [`Misuse::TargetExists`] if the name is taken by now, or the empty directory there is no longer
    /// empty. System errors. In all cases the tree is not visible, and files of other processes stay.
    ///
    /// With [`Durability::Synced`], the name is removed again if it cannot be written to the disk. If the tree had
    /// replaced an empty directory, a new one with the same owner and mode is created.
    pub fn commit(self, proofs: Vec<Verified<Blob>>) -> Result<(), Error> {
        self.commit_if(|applied| match applied.iter().map(Option::as_ref).eq(proofs.iter().map(Some)) {
            true => Ok(()),
            false => Err(Misuse::ProofsDoNotMatch { given: proofs.len(), applied: applied.len() }),
        })
    }

    /// Makes the tree visible like [`Staged::commit`], but without proofs: for layers without a known digest. The
    /// caller vouches for their content.
    ///
    /// Everything else holds: no layer may have failed, and every value that was expected of a layer was compared.
    ///
    /// # Errors
    ///
    /// The same as for [`Staged::commit`], but not [`Misuse::ProofsDoNotMatch`].
    pub fn commit_unproven(self) -> Result<(), Error> {
        self.commit_if(|_| Ok(()))
    }

    fn commit_if(self, check: impl FnOnce(&[Option<Verified<Blob>>]) -> Result<(), Misuse>) -> Result<(), Error> {
        let Self { stage, mut rootfs, durability } = self;
        // The caller may have put another tree in its place.
        if !rootfs.is_of(&stage)? {
            return Err(Misuse::ForeignTree.into());
        }
        check(rootfs.layers().ok_or(Misuse::Poisoned)?)?;
        rootfs.settle()?;
        let durability = durability.stronger(rootfs.durability());
        drop(rootfs);
        stage.commit(durability)
    }
}
