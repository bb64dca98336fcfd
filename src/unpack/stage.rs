//! A tree that becomes visible as a whole, and only with the proofs of all its layers.

use crate::cage::Stage;
use crate::read::{Blob, Verified};
use crate::sink::Rootfs;
use crate::words::{Durability, Error, Misuse, Position};
use cap_std::fs::Dir;
use std::os::fd::AsFd;

/// A root filesystem that is filled out of sight, beside the place that it takes on
/// [`Staged::commit`]. Dropped before, it leaves nothing behind.
///
/// The place is a name that is free, or that of an empty directory. An empty directory is replaced at one stroke. The tree
/// takes over nothing of it, neither its inode nor its mode, owner or extended attributes. It stays as it was when
/// anything fails before.
///
/// Once an application of a layer to it has failed, for whatever reason, it can only be dropped: what the failed layer
/// left in the tree belongs to no layer that was verified. Every later application and [`Staged::commit`] fail with
/// [`Misuse::Poisoned`]. To try again, make a new one.
///
/// ```no_run
/// # use cap_std::{ambient_authority, fs::Dir};
/// # use layercage::{Digest, Layer, Policy, Staged, Unpacker};
/// # fn layers() -> Vec<(std::fs::File, Digest, u64, Digest)> { vec![] }
/// let parent = Dir::open_ambient_dir(".", ambient_authority())?;
/// let unpacker = Unpacker::new(Policy::default());
/// let mut staged = Staged::beside(&parent, "rootfs")?;
/// let mut proofs = Vec::new();
/// for (reader, digest, size, diff_id) in layers() {
///     let layer = Layer::new(reader).blob(digest, size).diff_id(diff_id);
///     proofs.push(unpacker.apply(layer, staged.rootfs())?.verified()?);
/// }
/// staged.commit(proofs)?; // visible only now
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Staged {
    // Dropped first: the descriptors that it holds may be needed to remove the stage.
    rootfs: Rootfs,
    stage: Stage,
    durability: Durability,
}

impl Staged {
    /// Makes a staging directory in `parent`, for a tree that will be called `name` there. What runs that
    /// were killed left behind is removed first.
    ///
    /// # Errors
    ///
    /// [`Misuse::TargetExists`] when something other than an empty directory is there: its
    /// [`Occupant`](crate::Occupant) says what. [`Misuse::NotAComponent`], [`Misuse::ReservedName`], and what the system
    /// refuses.
    pub fn beside(parent: &Dir, name: impl AsRef<std::ffi::OsStr>) -> Result<Self, Error> {
        use std::os::unix::ffi::OsStrExt;
        let make = || {
            let stage = Stage::beside(parent.as_fd(), name.as_ref().as_bytes())?;
            let rootfs = Rootfs::staged(stage.cage()?);
            Ok(Self { stage, rootfs, durability: Durability::default() })
        };
        make().map_err(|fault: crate::Fault| fault.at(Position::default()))
    }

    /// Sets what is to be on the disk when the tree takes its name: at least this, and at least what the policy of any of
    /// its layers asks for ([`Policy::durability`](crate::Policy::durability)). **[`Durability::Kernel`]** by default.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The tree, to apply layers to.
    pub fn rootfs(&mut self) -> &mut Rootfs {
        &mut self.rootfs
    }

    /// Makes the tree visible under its name, at one stroke.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`] after a layer that failed or has not ended, [`Misuse::ProofsDoNotMatch`] when `proofs` are not
    /// those of the layers applied, in their order; [`Misuse::ForeignTree`] when [`Staged::rootfs`] is no longer the tree
    /// that it was; [`Misuse::TargetExists`] when something of that name has
    /// come up meanwhile, or something was put into the empty directory that was there; and what the system refuses.
    /// Nothing is visible then, and what was put there stays.
    ///
    /// With [`Durability::Synced`], a failure to write the name to the disk takes the name back. Where an empty directory
    /// was replaced, a new one with its owner and mode is there then.
    pub fn commit(self, proofs: Vec<Verified<Blob>>) -> Result<(), Error> {
        let Self { stage, mut rootfs, durability } = self;
        let commit = || {
            // Whoever lends a tree out may get another one back.
            if !rootfs.is_of(&stage)? {
                return Err(Misuse::ForeignTree.into());
            }
            let applied = rootfs.layers().ok_or(Misuse::Poisoned)?;
            let (given, of) = (proofs.len(), applied.len());
            if !applied.iter().map(Option::as_ref).eq(proofs.iter().map(Some)) {
                return Err(Misuse::ProofsDoNotMatch { given, applied: of }.into());
            }
            rootfs.settle()?;
            let durability = durability.stronger(rootfs.durability());
            drop(rootfs);
            stage.commit(durability)
        };
        commit().map_err(|fault: crate::Fault| fault.at(Position::default()))
    }
}
