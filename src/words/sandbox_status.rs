//! What the kernel forbids a thread in the sandbox.

use super::words;

/// What the kernel forbids a thread and those that it starts, beside what their user may not do anyway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SandboxStatus {
    /// What is forbidden; nothing where the kernel has no Landlock, or one older than Linux 5.19 (the first that
    /// lets names move between directories).
    pub forbidden: Vec<Forbidden>,
    /// The privileges that are left, as `/proc/self/status` counts them, by their names (`chown`, say). All others
    /// are gone, and no program that is executed gets any back.
    pub capabilities: Vec<&'static str>,
}

words! {
    "a thing that the sandbox forbids":
    /// One thing that is forbidden.
    #[non_exhaustive]
    enum Forbidden {
        /// Opening what is not beneath the handles given, and making, linking, renaming or removing names outside of
        /// them; executing anything; mounting. Since Linux 5.19.
        Files "files",
        /// Truncating files outside. Since Linux 6.2.
        Truncation "truncation",
        /// Connecting to TCP ports and listening on them. Since Linux 6.7.
        Tcp "tcp",
        /// Commands to the drivers of devices (`ioctl`). Since Linux 6.10.
        DeviceCommands "device-commands",
        /// Connecting to abstract Unix sockets of other processes. Since Linux 6.12.
        AbstractSockets "abstract-sockets",
        /// Signals to other processes. Since Linux 6.12.
        Signals "signals",
    }
}
