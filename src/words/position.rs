//! Where in an image something is.

use super::{Digest, Escaped};
use std::fmt::{self, Display};

/// A layer of an image, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerPosition {
    /// The layer, counted from 1 at the bottom.
    pub number: usize,
    /// How many layers the image has.
    pub of: usize,
}

/// Where in an image something is. Each part is set if it is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Position {
    /// The layer.
    pub layer: Option<LayerPosition>,
    /// The entry of the layer, counted from 1.
    pub entry: Option<u64>,
    /// The offset in the uncompressed layer of the entry's first header block, in bytes from 0.
    pub offset: Option<u64>,
    /// The path of the entry.
    pub path: Option<Escaped>,
    /// The blob.
    pub blob: Option<Digest>,
}

impl Position {
    /// Adds the parts of `other` that are not known here.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            layer: self.layer.or(other.layer),
            entry: self.entry.or(other.entry),
            offset: self.offset.or(other.offset),
            path: self.path.or(other.path),
            blob: self.blob.or(other.blob),
        }
    }

    /// The position as the beginning of a sentence; empty if nothing is known.
    pub(super) fn lead(&self) -> String {
        let place = self.to_string();
        if place.is_empty() { place } else { place + ": " }
    }

    /// A rule's id, the position where it applies, and its sentence.
    pub(super) fn message(&self, id: &str, sentence: &dyn Display) -> String {
        format!("[{id}]: {}{sentence}", self.lead())
    }
}

impl Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.layer.map(|layer| format!("layer {} of {}", layer.number, layer.of)));
        parts.extend(self.blob.map(|digest| format!("blob {digest}")));
        parts.extend(self.entry.map(|entry| format!("entry {entry}")));
        parts.extend(self.offset.map(|offset| format!("byte {offset}")));
        parts.extend(self.path.as_ref().map(Escaped::to_string));
        f.write_str(&parts.join(", "))
    }
}
