//! A directory tree: the sink that makes root filesystems.

use super::context::LayerContext;
use super::data::Data;
use super::sink::{Sink, Visibility};
use super::sink_error::SinkError;
use super::tree_sink::{Home, TreeSink};
use crate::cage::{Cage, Exposure, Stage};
use crate::plan::{Judged, Reporter};
use crate::read::{Blob, Checked, Verified};
use crate::words::{Change, Durability, Effect, Error};
use std::os::fd::AsFd;

/// A directory tree to which layers are applied, below a handle that the caller has.
///
/// Nothing outside of that handle is read, written, linked or removed, for any layer.
///
/// [`Limit::ImageBytes`](crate::rules::Limit::ImageBytes) applies to the total of all layers on one `Rootfs`.
#[derive(Debug)]
pub struct Rootfs(TreeSink<Cage>);

impl Rootfs {
    /// The tree at `directory`, as it is: a `cap_std::fs::Dir`, or any other handle of an open directory.
    ///
    /// A layer whose digest, size or diff ID is given is read through and verified before the tree is touched.
    ///
    /// After a layer failed, the same or another layer may be applied to this `Rootfs`. Each path has its old or its
    /// new state. The bytes of the failed layer do not count towards [`Limit::ImageBytes`](crate::rules::Limit::ImageBytes).
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn over(directory: impl AsFd) -> Result<Self, crate::Error> {
        let cage = Cage::over(directory.as_fd(), Exposure::Visible)?;
        Ok(Self(TreeSink::new(cage, Home::Used)))
    }

    /// The tree at `directory`, as it is, which no other process uses before the caller makes it visible: a copy of a
    /// tree, for instance, in a directory that is renamed later.
    ///
    /// A layer is applied while it is read, and verified at its end. If a layer fails, for any reason, the tree must be
    /// removed: it may have content that was never verified. Later layers on this value fail with
    /// [`Misuse::Poisoned`](crate::error::Misuse::Poisoned).
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn over_private(directory: impl AsFd) -> Result<Self, crate::Error> {
        let cage = Cage::over(directory.as_fd(), Exposure::Staged)?;
        Ok(Self(TreeSink::new(cage, Home::Private)))
    }

    /// A tree in a staging directory, which is not visible before it is committed.
    pub(crate) fn staged(cage: Cage) -> Self {
        Self(TreeSink::new(cage, Home::Staged))
    }

    /// The proofs of the applied layers, `None` for a layer without a proof. `None` instead of all if a layer failed or has
    /// not ended.
    pub(crate) fn layers(&self) -> Option<&[Option<Verified<Blob>>]> {
        self.0.layers()
    }

    /// Whether this tree is the original tree of the stage.
    pub(crate) fn is_of(&self, stage: &Stage) -> Result<bool, Error> {
        self.0.is_of(stage)
    }

    /// The durability with which a staged tree takes its name.
    pub(crate) fn durability(&self) -> Durability {
        self.0.durability()
    }

    /// Gives what is still open its mode and time: the root of a tree to which no layer was applied, say.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        self.0.settle()
    }
}

super::tree_sink::sink_around_tree!(Rootfs);
