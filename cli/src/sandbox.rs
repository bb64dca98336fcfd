//! The second wall: what the kernel forbids the command from here on.

use crate::arguments::Arguments;
use crate::tell::Failure;
use layercage::{Restrictions, Wall};

/// Whether there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// As far as the kernel can.
    Possible,
    /// Nobody wants one.
    Off,
}

impl Sandbox {
    pub(crate) fn asked_for(arguments: &Arguments) -> Self {
        if arguments.no_sandbox { Self::Off } else { Self::Possible }
    }

    /// Puts the wall up: before other threads are started, since it is around this one, and before the first byte is
    /// read that somebody else wrote. `None` when nobody wants it.
    pub(crate) fn enter(self, wall: Wall<'_>) -> Result<Option<Restrictions>, Failure> {
        match self {
            Self::Possible => wall.restrict().map(Some).map_err(Failure::sandbox),
            Self::Off => Ok(None),
        }
    }
}
