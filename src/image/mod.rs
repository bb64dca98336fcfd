//! Where layers come from: images in all their forms, their documents, and the chain of digests.
//!
//! An image is only read, never changed. Blobs are regular files, and everything is checked against its digest before
//! it is used (level 4).

mod agree;
mod alike;
mod archive;
mod blob;
mod config;
mod docker;
mod document;
mod evidence;
mod files;
mod form;
mod headers;
mod held;
mod inventory;
mod layer;
mod manifest;
mod media_type;
mod members;
mod open;
mod outline;
mod pinned;
mod platform;
mod recognise;
mod reference;
mod select;
mod selected;
mod selector;
#[cfg(feature = "serde")]
mod serialise;
#[cfg(test)]
mod tests;
mod twin;
mod walk;

pub use blob::BlobReader;
pub use config::{HistoryEntry, ImageConfig};
pub(crate) use evidence::{Evidence, Witness};
pub use form::ImageForm;
pub use inventory::{ListedManifest, ManifestKind};
pub use layer::LayerDescriptor;
pub use manifest::Descriptor;
pub use open::{Image, Scratch};
pub(crate) use outline::Outline;
pub use platform::Platform;
pub use recognise::What;
pub use selected::Selected;
pub use selector::Selector;
