#![doc = "layercage unpacks container image layers safely."]
#![forbid(unsafe_code)]
// The library proper is held to it in the build that users make.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code"))]

mod cage;
#[cfg(feature = "image")]
mod image;
mod plan;
mod read;
mod sink;
mod unpack;
mod words;

#[cfg(feature = "image")]
pub use image::{Descriptor, Image, LayerDescriptor, Selected, Selector};
pub use plan::{Judge, Judged};
pub use read::{Blob, Checked, Expected, Format, LayerStream, TarReader, Verified};
pub use sink::{Rootfs, Sink};
pub use unpack::{Applied, Audit, Layer, Observer, Staged, Unpacker};
pub use words::*;
