//! layercage unpacks container image layers safely.

#![forbid(unsafe_code)]

#[cfg(feature = "image")]
mod cage;
#[cfg(feature = "image")]
mod image;
#[cfg(feature = "image")]
mod read;
mod words;

#[cfg(feature = "image")]
pub use image::{Descriptor, Image, LayerCompression, LayerDescriptor, Selected, Selector};
pub use words::*;
