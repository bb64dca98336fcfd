//! Bytes from an archive as a message shows them.

use std::fmt::{self, Display, Write};

/// Bytes of an archive (a name, a key, a value) for a message: between double quotes, and escaped so that they cannot
/// control a terminal or be mistaken for the text around them.
///
/// Printable ASCII except `"` and `\` is unchanged. Every other byte becomes `\xNN`. At most [`Escaped::SHOWN`] bytes
/// are kept; a longer text ends in `…`.
///
/// ```
/// # use layercage::error::Escaped;
/// assert_eq!(Escaped::new(b"etc/\x1b[2J").to_string(), r#""etc/\x1b[2J""#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Escaped {
    bytes: Vec<u8>,
    cut: bool,
}

impl Escaped {
    /// How many bytes are kept for a message.
    pub const SHOWN: usize = 512;

    /// Keeps the part of `bytes` that a message shows.
    pub fn new(bytes: &[u8]) -> Self {
        let kept = bytes.get(..Self::SHOWN).unwrap_or(bytes);
        Self { bytes: kept.into(), cut: kept.len() < bytes.len() }
    }

    /// The same of other bytes, in the same memory.
    pub(crate) fn renew(&mut self, bytes: &[u8]) {
        let kept = bytes.get(..Self::SHOWN).unwrap_or(bytes);
        self.bytes.clear();
        self.bytes.extend_from_slice(kept);
        self.cut = kept.len() < bytes.len();
    }

    /// Keeps all of `bytes`, for output that must be complete.
    pub fn whole(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), cut: false }
    }

    /// The bytes as they are, as far as they are kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The escaped text without the quotes around it.
    pub fn unquoted(&self) -> String {
        let mut text = String::with_capacity(self.bytes.len());
        for &byte in &self.bytes {
            match byte {
                b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
        }
        if self.cut {
            text.push('…');
        }
        text
    }
}

impl Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.unquoted())
    }
}
