//! The layers of an image in order, with their descriptions.

use super::layer::Layer;
use crate::image::{BlobReader, LayerDescriptor, Selected};
use crate::read::Expected;
use crate::words::{Error, Position};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::iter;
use std::num::NonZeroUsize;

impl<R: Read> Layer<R> {
    /// Creates a layer of an image. Its bytes are checked against the descriptor, and errors name its number.
    ///
    /// The reader returns the bytes of the layer's blob, from a registry for example.
    /// [`Selected::layers`] has the descriptors.
    pub fn described(reader: R, layer: &LayerDescriptor) -> Self {
        let expected = match layer.descriptor() {
            Some(blob) => Expected::blob(*blob.digest(), blob.size()).with_diff_id(*layer.diff_id()),
            None => Expected::unchecked().with_diff_id_alone(*layer.diff_id()),
        };
        Self::new(reader).expecting(expected).of_image(layer.position(), layer)
    }
}

/// Opens the layers of an image in order. An error has the position of its layer, and ends them.
pub(super) fn numbered<R: Read>(
    image: &Selected,
    mut open: impl FnMut(&LayerDescriptor) -> Result<R, Error>,
) -> impl Iterator<Item = Result<Layer<R>, Error>> {
    described(image.layers(), move |layer| Some(open(layer)))
}

/// Opens layers in order. An error has the position of its layer, and ends them, as `None` does.
pub(super) fn described<R: Read>(
    layers: &[LayerDescriptor],
    mut open: impl FnMut(&LayerDescriptor) -> Option<Result<R, Error>>,
) -> impl Iterator<Item = Result<Layer<R>, Error>> {
    let mut is_over = false;
    layers.iter().map_while(move |layer| {
        if is_over {
            return None;
        }
        let at = || Position { layer: Some(layer.position()), ..Position::default() };
        let opened = open(layer).map(|opened| opened.map_err(|error| error.at(at())));
        is_over = !matches!(opened, Some(Ok(_)));
        Some(opened?.map(|reader| Layer::described(reader, layer)))
    })
}

/// The same with readers from the caller.
pub(super) fn numbered_from<R: Read>(
    image: &Selected,
    mut open: impl FnMut(&LayerDescriptor) -> io::Result<R>,
) -> impl Iterator<Item = Result<Layer<R>, Error>> {
    numbered(image, move |layer| open(layer).map_err(Error::of_opening))
}

/// Opens layers before they are needed. At most `readers` of them are open at once: the reader of the current layer, and
/// the next ones.
pub(super) fn opened_early<R: Read>(
    mut layers: impl Iterator<Item = Result<Layer<R>, Error>>,
    readers: NonZeroUsize,
) -> impl Iterator<Item = Result<Layer<R>, Error>> {
    let mut opened = VecDeque::new();
    iter::from_fn(move || {
        opened.extend(layers.by_ref().take(readers.get() - opened.len()));
        opened.pop_front()
    })
}

/// Opens the blob of a layer in the image.
pub(super) fn stored(image: &Selected) -> impl FnMut(&LayerDescriptor) -> Result<BlobReader, Error> {
    |layer| image.open_layer(layer)
}
