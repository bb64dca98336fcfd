#![doc = "layercage unpacks container image layers safely."]
#![forbid(unsafe_code)]

mod cage;
#[cfg(feature = "image")]
mod image;
mod plan;
mod read;
mod sink;
mod unpack;
mod words;

#[cfg(feature = "image")]
pub use image::{Descriptor, Image, LayerCompression, LayerDescriptor, Selected, Selector};
pub use plan::{Judge, Judged};
pub use read::{Blob, Checked, Expected, Format, LayerStream, TarReader, Verified};
pub use sink::{Rootfs, Sink};
#[cfg(feature = "image")]
pub use unpack::Staged;
pub use unpack::{Applied, Layer, Unpacker};
pub use words::*;
