//! The data about a layer that a sink gets when the layer begins.

#[cfg(feature = "image")]
use crate::image::{HistoryEntry, LayerDescriptor};
use crate::read::Expected;
use crate::words::{Digest, LayerPosition, SharedWork, Terms};

/// A layer that is about to be applied: its place in the image, what identifies it, and the terms that hold for it.
///
/// Each value is `None` if the caller did not give it. A digest or size that is given here is the expected value; it is
/// not verified yet.
#[derive(Debug, Clone, Copy)]
pub struct LayerContext<'a> {
    position: Option<LayerPosition>,
    expected: Expected,
    is_verified: bool,
    is_replay: bool,
    terms: &'a Terms,
    shared_work: Option<&'a SharedWork>,
    #[cfg(feature = "image")]
    layer: Option<&'a LayerDescriptor>,
}

impl<'a> LayerContext<'a> {
    /// A layer about which only the terms are known.
    pub fn new(terms: &'a Terms) -> Self {
        Self {
            position: None,
            expected: Expected::unchecked(),
            is_verified: false,
            is_replay: false,
            terms,
            shared_work: None,
            #[cfg(feature = "image")]
            layer: None,
        }
    }

    /// Sets the layer's number and the number of layers.
    #[must_use]
    pub fn with_position(self, position: LayerPosition) -> Self {
        Self { position: Some(position), ..self }
    }

    /// Sets what identifies the layer.
    #[must_use]
    pub fn with_expected(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    /// States that the layer was read once, and that it is what identifies it.
    #[must_use]
    pub fn with_verified(self) -> Self {
        Self { is_verified: true, ..self }
    }

    /// Whether the layer was verified before it began. A session does so for a sink whose changes are
    /// [visible at once](crate::sink::Visibility::AtOnce), if a digest, size or diff ID is given.
    pub fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// Sets where sinks add the work that other threads may do.
    pub(crate) fn with_shared_work(self, work: &'a SharedWork) -> Self {
        Self { shared_work: Some(work), ..self }
    }

    /// Where a sink adds the work that other threads may do; `None` if there are no other threads. A sink around another
    /// one passes the context on, and so it need not know of this.
    pub(crate) fn shared_work(&self) -> Option<&'a SharedWork> {
        self.shared_work
    }

    /// States that the layer is a merged tree.
    #[cfg(feature = "image")]
    pub(crate) fn of_replay(self) -> Self {
        Self { is_replay: true, ..self }
    }

    /// Whether the layer is a merged tree that [`Session::replay`](crate::Session::replay) gives to the sink: each path
    /// occurs once, nothing is removed, and a hard link comes after the path that it links to.
    pub fn is_replay(&self) -> bool {
        self.is_replay
    }

    /// What identifies the layer.
    pub(crate) fn expected(&self) -> &Expected {
        &self.expected
    }

    /// Sets what the image says of the layer.
    #[cfg(feature = "image")]
    #[must_use]
    pub fn with_layer(self, layer: &'a LayerDescriptor) -> Self {
        Self { layer: Some(layer), ..self }
    }

    /// What the image says of the layer: its [descriptor](LayerDescriptor::descriptor) with the media type, for
    /// instance.
    #[cfg(feature = "image")]
    pub fn layer(&self) -> Option<&'a LayerDescriptor> {
        self.layer
    }

    /// The step of the image's history that made the layer: see [`LayerDescriptor::history`].
    #[cfg(feature = "image")]
    pub fn history(&self) -> Option<&'a HistoryEntry> {
        self.layer.and_then(LayerDescriptor::history)
    }

    /// The number of the layer, from 1 at the bottom.
    pub fn number(&self) -> Option<usize> {
        self.position.map(|position| position.number)
    }

    /// How many layers the image has.
    pub fn of(&self) -> Option<usize> {
        self.position.map(|position| position.of)
    }

    /// The expected digest of the blob.
    pub fn digest(&self) -> Option<Digest> {
        self.expected.digest()
    }

    /// The expected size of the blob in bytes.
    pub fn size(&self) -> Option<u64> {
        self.expected.size()
    }

    /// The expected digest of the uncompressed layer.
    pub fn diff_id(&self) -> Option<Digest> {
        self.expected.diff_id()
    }

    /// What policy and limits say for the whole layer.
    pub fn terms(&self) -> &'a Terms {
        self.terms
    }
}
