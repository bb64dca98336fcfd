//! Lower layers that are not at hand when a layer begins: they may still be made, side by side with it.
//!
//! Most of a layer needs no lower one. A whiteout is written in any case, and a directory that an entry lists is merged with
//! one of the same name below it, if there is one. Lower layers are waited for when only they can say what a path leads to:
//! a parent that the layer does not list may be a link, or a directory whose attributes must be copied.
//!
//! Nothing of what was written until then is changed when they come. It is right with every lower layer, but for whiteouts in
//! a directory that no lower layer has: a mount lists them as entries that cannot be read. Only a layer that removes what never
//! was has such whiteouts, and waiting for that would end the reading side by side for most layers.

use crate::words::{Error, Escaped, Lock, Misuse};
use std::fmt::{self, Debug};
use std::os::fd::OwnedFd;

/// Opens the lower layers, the top one first.
type Open = Box<dyn FnOnce() -> Result<Vec<OwnedFd>, Error> + Send>;

/// Where lower layers come from when they are needed.
pub(crate) struct LaterLowers(Lock<Option<Open>>);

impl LaterLowers {
    pub(crate) fn new(open: impl FnOnce() -> Result<Vec<OwnedFd>, Error> + Send + 'static) -> Self {
        Self(Lock::new(Some(Box::new(open))))
    }

    /// Waits for them. `None` if that was tried before.
    pub(super) fn open(self) -> Option<Result<Vec<OwnedFd>, Error>> {
        let open = self.0.lock().take();
        open.map(|open| open())
    }
}

impl Debug for LaterLowers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaterLowers")
    }
}

/// The error for a question that only lower layers can answer that are not at hand.
pub(super) fn needs_lower(path: &[u8]) -> Error {
    Misuse::LowerNeeded { name: Escaped::new(path) }.into()
}
