//! Descriptions of layers.

use super::descriptor::Descriptor;
use super::image_config::HistoryEntry;
use crate::read::Format;
use crate::words::{Digest, EntryPath, LayerPosition};
use std::sync::Arc;

/// A layer as the manifest and the configuration describe it. [`Selected::open_layer`](super::Selected::open_layer)
/// opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDescriptor {
    place: LayerPlace,
    position: LayerPosition,
    compression: Option<Format>,
    diff_id: Digest,
    history: Option<Arc<HistoryEntry>>,
}

/// The place of a layer's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerPlace {
    /// In a blob, which the manifest describes.
    Blob(Descriptor),
    /// In a member of an archive. Only the name is known.
    Member(EntryPath),
}

impl LayerDescriptor {
    pub(super) fn new(
        place: LayerPlace,
        position: LayerPosition,
        compression: Option<Format>,
        diff_id: Digest,
    ) -> Self {
        Self { place, position, compression, diff_id, history: None }
    }

    /// The same layer, with the step that made it.
    pub(super) fn with_history(self, step: HistoryEntry) -> Self {
        Self { history: Some(Arc::new(step)), ..self }
    }

    pub(super) fn place(&self) -> &LayerPlace {
        &self.place
    }

    /// The step of the image's history that made this layer.
    ///
    /// The steps without `empty_layer` made the layers, in the same order. So the first of these steps belongs to the
    /// first layer, and so on. `None` if their number is not the number of layers, as after a squash, or if the history
    /// is missing or malformed.
    pub fn history(&self) -> Option<&HistoryEntry> {
        self.history.as_deref()
    }

    /// The number of the layer, and how many layers the image has. The lowest layer has the number 1.
    pub fn position(&self) -> LayerPosition {
        self.position
    }

    /// The descriptor of its blob: digest, size and media type. `None` in an archive of `docker save`, which identifies
    /// layers only by their diff IDs.
    pub fn descriptor(&self) -> Option<&Descriptor> {
        match &self.place {
            LayerPlace::Blob(descriptor) => Some(descriptor),
            LayerPlace::Member(_) => None,
        }
    }

    /// The compression that its media type states; `None` if it has no media type.
    pub fn compression(&self) -> Option<Format> {
        self.compression
    }

    /// The digest of the uncompressed layer.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }
}
