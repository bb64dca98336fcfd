//! The sandbox: what the kernel forbids the command from here on.

use crate::arguments::Arguments;
use crate::tell::Failure;
use layercage::sandbox::{Sandbox, SandboxStatus};

/// Whether the sandbox is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SandboxChoice {
    /// As far as the kernel supports it.
    Possible,
    /// Disabled by the user.
    Off,
}

impl SandboxChoice {
    pub(crate) fn asked_for(arguments: &Arguments) -> Self {
        if arguments.no_sandbox { Self::Off } else { Self::Possible }
    }

    /// Enters the sandbox. It applies to this thread, so it has to be entered before other threads start, and before the
    /// first byte of untrusted input is read. `None` if the user disabled it.
    pub(crate) fn enter(self, sandbox: Sandbox<'_>) -> Result<Option<SandboxStatus>, Failure> {
        match self {
            Self::Possible => sandbox.enter().map(Some).map_err(Failure::sandbox),
            Self::Off => Ok(None),
        }
    }
}
