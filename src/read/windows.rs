//! The memory for zstd windows of layers whose turn has not come.

use super::spool::Budget;
#[cfg(feature = "zstd")]
use super::spool::Taken;
#[cfg(feature = "zstd")]
use crate::words::Lock;
#[cfg(feature = "zstd")]
use ::zstd::stream::raw::Decoder;
#[cfg(feature = "zstd")]
use std::sync::Arc;

/// A budget for windows, and decompressors that can be used again.
///
/// An allocator may keep freed memory for the thread that allocated it. So the windows of past layers are used again, on
/// any thread.
#[derive(Clone)]
pub(crate) struct Windows {
    #[cfg(feature = "zstd")]
    budget: Budget,
    #[cfg(feature = "zstd")]
    spare: Arc<Lock<Vec<Decoder<'static>>>>,
}

impl Windows {
    #[cfg_attr(not(feature = "zstd"), expect(unused_variables, reason = "only zstd has windows"))]
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            #[cfg(feature = "zstd")]
            budget,
            #[cfg(feature = "zstd")]
            spare: Arc::default(),
        }
    }

    #[cfg(feature = "zstd")]
    pub(super) fn take(&self, bytes: u64) -> Option<Taken> {
        self.budget.take(bytes)
    }

    #[cfg(feature = "zstd")]
    pub(super) fn reuse(&self) -> Option<Decoder<'static>> {
        self.spare.lock().pop()
    }

    #[cfg(feature = "zstd")]
    pub(super) fn recycle(&self, decoder: Decoder<'static>) {
        self.spare.lock().push(decoder);
    }
}

/// Whether it is a layer's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Its windows are not taken from the budget.
    Now,
    Later,
}
