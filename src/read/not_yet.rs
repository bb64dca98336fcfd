//! A read that has to wait until it is the layer's turn.

use std::fmt;
use std::io;

/// The next bytes need more memory than a layer may take before its turn. Nothing was consumed, and the read can be
/// repeated.
#[derive(Debug)]
struct NotYet;

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the memory is kept for the layers before this one")
    }
}

impl std::error::Error for NotYet {}

#[cfg(all(feature = "zstd", any(feature = "unpack", test)))]
pub(super) fn not_yet() -> io::Error {
    io::Error::other(NotYet)
}

pub(super) fn is_not_yet(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|source| source.is::<NotYet>())
}
