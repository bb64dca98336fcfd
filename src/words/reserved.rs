//! Names that are reserved for this library's own directories.

use super::{Escaped, Misuse};
use std::ffi::OsStr;

/// The number of hexadecimal digits at the end of a reserved name.
pub(crate) const DIGITS: usize = 16;

/// The prefix of staging directories, which are beside their targets.
pub(crate) const STAGE: &[u8] = b".layercage-";

/// The prefix of the directories that mark running applications, which are in the roots of trees.
pub(crate) const RUN: &[u8] = b".layercage-run-";

/// Returns whether a name is reserved for this library's own directories: `.layercage-` or `.layercage-run-`, followed
/// by 16 lower-case hexadecimal digits.
///
/// Such a name is refused for a target and for an image ([`Misuse::ReservedName`]). The next run removes the directory
/// of a killed run, and that directory could have the same name.
///
/// ```
/// assert!(layercage::is_reserved_name(".layercage-0123456789abcdef"));
/// assert!(!layercage::is_reserved_name(".layercage-cache"));
/// ```
pub fn is_reserved_name(name: impl AsRef<OsStr>) -> bool {
    is_reserved(name.as_ref().as_encoded_bytes())
}

fn is_reserved(name: &[u8]) -> bool {
    [STAGE, RUN].iter().any(|prefix| has_digits(name, prefix))
}

/// Returns whether a name is this prefix followed by 16 hexadecimal digits.
pub(crate) fn has_digits(name: &[u8], prefix: &[u8]) -> bool {
    let digits = name.strip_prefix(prefix).unwrap_or_default();
    digits.len() == DIGITS && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Refuses a reserved name.
pub(crate) fn refuse_reserved(name: &[u8]) -> Result<(), Misuse> {
    match is_reserved(name) {
        true => Err(Misuse::ReservedName { name: Escaped::new(name) }),
        false => Ok(()),
    }
}
