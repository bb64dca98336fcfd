//! The configuration of containerd: the one that sends every layer to this program, and whether another one does.

mod check;
mod print;
mod version;

pub(crate) use check::check;
pub(crate) use print::print;
pub(crate) use version::Version;

/// The plugin through which clients unpack by themselves.
const DIFF_SERVICE: &str = "io.containerd.service.v1.diff-service";

/// The plugin that unpacks for clients of the transfer service.
const TRANSFER: &str = "io.containerd.transfer.v1.local";
