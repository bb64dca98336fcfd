//! layercage unpacks container image layers safely.

#![forbid(unsafe_code)]

mod read;
mod words;

pub use read::{Blob, Checked, Expected, Format, LayerStream, TarReader, Verified};
pub use words::*;
