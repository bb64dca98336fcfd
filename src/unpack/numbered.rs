//! The layers of an image in order, with their descriptions.

use super::layer::Layer;
use crate::image::{BlobReader, LayerDescriptor, Selected};
use crate::read::Expected;
use crate::words::{Error, Position};
use std::io::Read;

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

/// Opens the layers of an image in order. An error has the position of its layer.
pub(super) fn numbered<R: Read>(
    image: &Selected,
    mut open: impl FnMut(usize, &LayerDescriptor) -> Result<R, Error>,
) -> impl Iterator<Item = Result<Layer<R>, Error>> {
    image.layers().iter().enumerate().map(move |(index, layer)| {
        let at = || Position { layer: Some(layer.position()), ..Position::default() };
        let reader = open(index, layer).map_err(|error| error.at(at()))?;
        Ok(Layer::described(reader, layer))
    })
}

/// Opens the blob of a layer in the image.
pub(super) fn stored(image: &Selected) -> impl FnMut(usize, &LayerDescriptor) -> Result<BlobReader, Error> {
    |_, layer| image.open_layer(layer)
}
