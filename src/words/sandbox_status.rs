//! What the kernel forbids a thread in the sandbox.

use std::fmt::{self, Display};

/// What the kernel forbids a thread and those that it starts, beside what their user may not do anyway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SandboxStatus {
    /// What is forbidden; nothing where the kernel has no Landlock, or one older than Linux 5.19 (the first that
    /// lets names move between directories).
    pub forbidden: Vec<Forbidden>,
    /// The privileges that are left, as `/proc/self/status` counts them, by their names (`chown`, say). All others
    /// are gone, and no program that is executed gets any back.
    pub capabilities: Vec<&'static str>,
}

/// One thing that is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Forbidden {
    /// Opening what is not beneath the handles given, and making, linking, renaming or removing names outside of them;
    /// executing anything; mounting. Since Linux 5.19.
    Files,
    /// Truncating files outside. Since Linux 6.2.
    Truncation,
    /// Connecting to TCP ports and listening on them. Since Linux 6.7.
    Tcp,
    /// Commands to the drivers of devices (`ioctl`). Since Linux 6.10.
    DeviceCommands,
    /// Connecting to abstract Unix sockets of others. Since Linux 6.12.
    AbstractSockets,
    /// Signals to processes of others. Since Linux 6.12.
    Signals,
}

impl Forbidden {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Files, Self::Truncation, Self::Tcp, Self::DeviceCommands, Self::AbstractSockets, Self::Signals];

    /// The word for it in data.
    pub fn word(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Truncation => "truncation",
            Self::Tcp => "tcp",
            Self::DeviceCommands => "device-commands",
            Self::AbstractSockets => "abstract-sockets",
            Self::Signals => "signals",
        }
    }
}

impl Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
