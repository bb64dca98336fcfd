//! Level 6, the only module that knows all others. Reads a layer, judges it, and gives it to a sink;
//! and whole images, all or nothing.

mod audit;
mod blob_bytes;
#[cfg(feature = "image")]
mod image;
mod layer;
#[cfg(feature = "image")]
mod numbered;
mod pipeline;
mod progress;
mod run;
mod session;
mod spool;
mod stage;
mod suspicion;
mod unpacker;

pub use audit::{Audit, Observer};
pub use layer::Layer;
pub use progress::{Advance, Progress, Step};
pub use run::Applied;
pub use session::Session;
pub use stage::Staged;
pub use unpacker::Unpacker;
