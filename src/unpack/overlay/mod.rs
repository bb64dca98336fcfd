//! Images as layers of overlayfs, in a store.

mod chain;
mod image;
mod made;
mod staged;
mod store;
mod unpack;

pub(super) use chain::chain_ids;
pub use image::{OverlayImage, OverlayLayer};
pub use staged::StagedOverlay;
pub use store::OverlayStore;
