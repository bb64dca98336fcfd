//! Floor 2, where layers come from: read-only, regular files alone, everything checked against its digest
//! before it is used.

mod document;
mod layout;
mod manifest;
mod media_type;
mod platform;
mod select;
#[cfg(test)]
mod tests;
mod walk;

pub use layout::Image;
pub use manifest::Descriptor;
pub use select::{LayerDescriptor, Selected, Selector};
