//! Floor 2, where layers come from: read-only, regular files alone, everything checked against its digest
//! before it is used.

mod archive;
mod blob;
mod docker;
mod document;
mod files;
mod headers;
mod manifest;
mod media_type;
mod members;
mod open;
mod platform;
mod recognise;
mod reference;
mod select;
#[cfg(test)]
mod tests;
mod twin;
mod walk;

pub use blob::BlobReader;
pub use manifest::Descriptor;
pub use open::{Image, Scratch};
pub use platform::Platform;
pub use select::{LayerDescriptor, Selected, Selector};
