//! Level 6, the only module that knows all others. It reads layers, judges them, and passes them to a sink. It unpacks whole
//! images, all or nothing.

mod audit;
mod blob_bytes;
mod cached;
mod contents;
#[cfg(feature = "image")]
mod erofs;
#[cfg(feature = "image")]
mod erofs_layers;
#[cfg(feature = "image")]
mod image;
mod image_check;
#[cfg(feature = "image")]
mod image_contents;
mod jobs;
mod layer;
#[cfg(feature = "image")]
mod merge;
#[cfg(feature = "image")]
mod numbered;
#[cfg(feature = "image")]
mod overlay;
mod pipeline;
mod progress;
mod readings;
#[cfg(feature = "image")]
mod replay;
mod run;
mod session;
mod spool;
mod stage;
mod staged_file;
mod unpacker;

pub use audit::{Audit, Observer};
#[cfg(feature = "image")]
pub use erofs::{ErofsImage, ErofsOptions, HiddenContent};
#[cfg(feature = "image")]
pub use erofs_layers::{ErofsLayer, ErofsLayers};
pub use layer::Layer;
#[cfg(feature = "image")]
pub use overlay::{OverlayImage, OverlayLayer, OverlayStore, StagedOverlay};
pub use progress::{Advance, Progress, Step};
pub use run::Applied;
pub use session::Session;
pub use stage::Staged;
pub use staged_file::StagedFile;
pub use unpacker::Unpacker;
