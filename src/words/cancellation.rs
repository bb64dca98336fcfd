//! The request to stop the work on a layer.

use super::{Error, Misuse};
use std::fmt;
use std::sync::Arc;

/// Whether the work on a layer is to stop. It is asked for each entry, for each 256 KiB that are read, and for each name of
/// a tree that is removed: one entry may remove a million files. The layer then fails with [`Misuse::Cancelled`].
///
/// The default never cancels. Clones are the same cancellation.
///
/// A tree in use is an exception: an entry that has begun is finished, so that no directory is removed in part.
///
/// ```
/// use layercage::progress::Cancellation;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let pressed = Arc::new(AtomicBool::new(false));
/// let asked = Arc::clone(&pressed);
/// let cancellation = Cancellation::when(move || asked.load(Ordering::Relaxed));
/// assert!(!cancellation.is_cancelled());
/// pressed.store(true, Ordering::Relaxed);
/// assert!(cancellation.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct Cancellation(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Cancellation {
    /// Cancels when `asked` returns true. It is called often, so it should be quick.
    pub fn when(asked: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(asked)))
    }

    /// Whether the work is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|asked| asked())
    }

    /// Fails if the work is to stop.
    ///
    /// # Errors
    ///
    /// [`Misuse::Cancelled`].
    pub fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Misuse::Cancelled.into()) } else { Ok(()) }
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation").field(&self.is_cancelled()).finish()
    }
}

/// The same cancellation.
impl PartialEq for Cancellation {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(this), Some(other)) => Arc::ptr_eq(this, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Cancellation {}
