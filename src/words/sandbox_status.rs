//! What the kernel forbids a thread in the sandbox.

use super::words;

/// The restrictions of a thread and of the threads that it starts, in addition to the permissions of the user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SandboxStatus {
    /// What is forbidden. It is empty if the kernel has no Landlock, or is older than Linux 5.19 (the first version that
    /// allows renames between directories).
    pub forbidden: Vec<Forbidden>,
    /// The names of the capabilities that are left, `chown` for example. All others are dropped, and no executed program
    /// gets them back.
    pub capabilities: Vec<&'static str>,
}

words! {
    "a thing that the sandbox forbids":
    /// One thing that is forbidden.
    #[non_exhaustive]
    enum Forbidden {
        /// Opening files that are not beneath the given handles; creating, linking, renaming or removing names outside
        /// of them; executing programs; mounting. Since Linux 5.19.
        Files "files",
        /// Truncating files outside. Since Linux 6.2.
        Truncation "truncation",
        /// Connecting to TCP ports and listening on them. Since Linux 6.7.
        Tcp "tcp",
        /// `ioctl` on devices. Since Linux 6.10.
        DeviceCommands "device-commands",
        /// Connecting to abstract Unix sockets of other processes. Since Linux 6.12.
        AbstractSockets "abstract-sockets",
        /// Signals to other processes. Since Linux 6.12.
        Signals "signals",
    }
}
