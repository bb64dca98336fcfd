//! Violations as errors of readers.

use crate::words::{Error, Violation};
use std::io;

/// Wraps a violation to pass it through a [`std::io::Read`].
pub(super) fn refusal(violation: Violation) -> io::Error {
    Error::from(violation).into()
}
