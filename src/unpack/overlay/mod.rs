//! Images as layers of overlayfs, in a store.

mod chain;
mod image;
mod made;
mod staged;
mod store;
mod unpack;

pub use image::{OverlayImage, OverlayLayer};
pub use staged::StagedOverlay;
pub use store::OverlayStore;
