//! Bytes from an archive as a message shows them.

use std::fmt::{self, Display, Write};

/// Bytes of an archive (a name, a key, a value) for a message: between double quotes, and escaped so that they cannot
/// control a terminal or be mistaken for the text around them.
///
/// Printable ASCII except `"` and `\` is unchanged. Every other byte becomes `\xNN`. A message shows at most
/// [`Escaped::SHOWN`] bytes; a longer text ends in `…`. At most [`Escaped::KEPT`] bytes are kept, for machines.
///
/// ```
/// # use layercage::error::Escaped;
/// assert_eq!(Escaped::new(b"etc/\x1b[2J").to_string(), r#""etc/\x1b[2J""#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Escaped {
    bytes: Vec<u8>,
    /// Whether `bytes` is only the beginning.
    is_cut: bool,
    /// Whether a message shows all of `bytes`.
    is_whole: bool,
}

impl Escaped {
    /// How many bytes a message shows.
    pub const SHOWN: usize = 512;

    /// How many bytes are kept: as many as a path has by default.
    pub const KEPT: usize = 4096;

    /// Keeps the beginning of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let kept = bytes.get(..Self::KEPT).unwrap_or(bytes);
        Self { bytes: kept.into(), is_cut: kept.len() < bytes.len(), is_whole: false }
    }

    /// The same of other bytes, in the same memory.
    pub(crate) fn renew(&mut self, bytes: &[u8]) {
        let kept = bytes.get(..Self::KEPT).unwrap_or(bytes);
        self.bytes.clear();
        self.bytes.extend_from_slice(kept);
        self.is_cut = kept.len() < bytes.len();
    }

    /// Keeps all of `bytes`, for output that must be complete.
    pub fn whole(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), is_cut: false, is_whole: true }
    }

    /// The bytes as they are, as far as they are kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether these are only the first of the bytes.
    #[cfg(feature = "serde")]
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The escaped text without the quotes around it.
    pub fn unquoted(&self) -> String {
        let shown = self.bytes.get(..Self::SHOWN).filter(|_| !self.is_whole).unwrap_or(&self.bytes);
        let mut text = String::with_capacity(shown.len());
        for &byte in shown {
            match byte {
                b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
        }
        if self.is_cut || shown.len() < self.bytes.len() {
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
