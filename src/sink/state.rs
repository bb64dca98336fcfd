//! What calls a tree is ready for.

use crate::cage::Exposure;
use crate::words::Misuse;

/// What calls a tree is ready for.
///
/// A call takes the state first, which leaves [`State::Failed`], and sets the state that it leads to last: an error on
/// its way and a panic both leave [`State::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Each layer that began has ended.
    Idle,
    /// A layer has begun. If another one begins now or the tree is committed, that layer broke off: its reader
    /// panicked, or a sink around this one did not pass on that it was abandoned.
    InLayer,
    /// A layer failed: what it left in the tree is not verified.
    Failed,
}

impl State {
    /// Takes the state, for a layer that begins.
    ///
    /// Another layer on a staged tree would hide what a failed one left there: its files would become visible with the
    /// proof of the other. On a visible tree they are visible already, and a layer applied once more replaces them.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`].
    pub(super) fn take_to_begin(&mut self, exposure: Exposure) -> Result<(), Misuse> {
        match (exposure, self.take()) {
            (Exposure::Visible, _) | (Exposure::Staged, Self::Idle) => Ok(()),
            (Exposure::Staged, Self::InLayer | Self::Failed) => Err(Misuse::Poisoned),
        }
    }

    /// Takes the state, for a call that belongs in a layer.
    ///
    /// # Errors
    ///
    /// [`Misuse::OutsideLayer`], and [`Misuse::Poisoned`] in a layer that failed.
    pub(super) fn take_in_layer(&mut self, call: &'static str) -> Result<(), Misuse> {
        match self.take() {
            Self::InLayer => Ok(()),
            Self::Idle => Err(Misuse::OutsideLayer { call }),
            Self::Failed => Err(Misuse::Poisoned),
        }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Failed)
    }
}
