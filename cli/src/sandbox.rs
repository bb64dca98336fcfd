//! The sandbox: what the kernel forbids the command from here on.

use crate::arguments::Arguments;
use crate::tell::Failure;
use layercage::{Sandbox, SandboxStatus};

/// Whether there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SandboxChoice {
    /// As far as the kernel can.
    Possible,
    /// Nobody wants one.
    Off,
}

impl SandboxChoice {
    pub(crate) fn asked_for(arguments: &Arguments) -> Self {
        if arguments.no_sandbox { Self::Off } else { Self::Possible }
    }

    /// Enters the sandbox: before other threads are started, since it binds this one, and before the first byte is
    /// read that somebody else wrote. `None` when nobody wants it.
    pub(crate) fn enter(self, sandbox: Sandbox<'_>) -> Result<Option<SandboxStatus>, Failure> {
        match self {
            Self::Possible => sandbox.enter().map(Some).map_err(Failure::sandbox),
            Self::Off => Ok(None),
        }
    }
}
