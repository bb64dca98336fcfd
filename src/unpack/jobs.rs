//! How many threads are used, and for what.

use std::num::NonZeroUsize;

/// The threads that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jobs {
    /// Only the calling thread.
    Alone,
    /// The calling thread, and so many others.
    Beside(NonZeroUsize),
}

impl Jobs {
    pub(super) fn of(threads: NonZeroUsize) -> Self {
        NonZeroUsize::new(threads.get() - 1).map_or(Self::Alone, Self::Beside)
    }
}

/// The layers that may be read at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Their readers do not block: as many as there are threads.
    #[cfg_attr(not(feature = "image"), expect(dead_code, reason = "a layer without an image is read alone"))]
    Threads,
    /// The readers are the caller's, and may block. At most so many are open at once, and they are not read on the calling
    /// thread.
    Readers(NonZeroUsize),
}

impl Ahead {
    /// The number of readers that are open at once when layers are read one after another.
    #[cfg(feature = "image")]
    pub(super) fn readers(self) -> NonZeroUsize {
        match self {
            Self::Threads => NonZeroUsize::MIN,
            Self::Readers(readers) => readers,
        }
    }
}
