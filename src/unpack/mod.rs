//! Level 5, the only module that knows all others. Reads a layer, judges it, and gives it to a sink;
//! and whole images, all or nothing.

mod audit;
#[cfg(feature = "image")]
mod image;
mod layer;
mod pipeline;
mod progress;
mod run;
mod spool;
mod stage;
mod suspicion;
mod unpacker;
mod watched;

pub use audit::{Audit, Observer};
pub use layer::Layer;
pub use progress::{Advance, Progress, Step};
pub use run::Applied;
pub use stage::Staged;
pub use unpacker::Unpacker;
pub use watched::Watched;
