//! The layers of an image, one after another, with all that the image says of them.

use super::layer::Layer;
use crate::image::{BlobReader, LayerDescriptor, Selected};
use crate::words::{Error, LayerPosition, Position};
use std::io::Read;

/// Opens the layers of an image in order. An error has the position of its layer.
pub(super) fn numbered<R: Read>(
    image: &Selected,
    mut open: impl FnMut(usize, &LayerDescriptor) -> Result<R, Error>,
) -> impl Iterator<Item = Result<Layer<R>, Error>> {
    let of = image.layers().len();
    image.layers().iter().enumerate().map(move |(index, layer)| {
        let position = LayerPosition { number: index + 1, of };
        let at = || Position { layer: Some(position), ..Position::default() };
        let reader = open(index, layer).map_err(|error| error.at(at()))?;
        let known = match layer.descriptor() {
            Some(blob) => Layer::new(reader).blob(*blob.digest(), blob.size()).diff_id(*layer.diff_id()),
            None => Layer::new(reader).diff_id_alone(*layer.diff_id()),
        };
        Ok(known.of_image(position, layer))
    })
}

/// Opens a layer where the image has it.
pub(super) fn stored(image: &Selected) -> impl FnMut(usize, &LayerDescriptor) -> Result<BlobReader, Error> {
    |_, layer| image.image().open_layer(layer)
}
