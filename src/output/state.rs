//! What calls a tree is ready for.

use crate::cage::Exposure;
use crate::words::Misuse;

/// What calls a tree is ready for.
///
/// A call first takes the state and leaves [`State::Failed`]. It sets the next state last. Thus an error or a panic in
/// between leaves [`State::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Each layer that began has ended.
    Idle,
    /// A layer has begun. If another layer begins now, or the tree is committed, the first layer did not end. Either
    /// its reader panicked, or a wrapping sink did not forward `abandon_layer`.
    InLayer,
    /// A layer failed: its changes in the tree are not verified.
    Failed,
}

impl State {
    /// Takes the state at the beginning of a layer.
    ///
    /// A staged tree refuses a layer after a failed one: the failed layer's files would become visible with the proof
    /// of the other. In a visible tree they are visible already, and applying the layer again replaces them.
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

    /// Takes the state for a call that is only valid inside a layer.
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
