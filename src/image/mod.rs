//! Where layers come from: images in all their forms, their documents, and the chain of digests.
//!
//! An image is only read, never changed. Blobs are regular files, and everything is checked against its digest before
//! it is used (level 4).

mod agree;
mod archive;
mod archive_file;
mod blob;
mod by_digest;
mod candidate;
mod config;
mod descriptor;
mod dir;
mod docker;
mod docker_list;
mod document;
mod evidence;
mod files;
mod form;
mod headers;
mod image_config;
mod inventory;
mod json;
mod layer;
mod layout;
mod manifest;
mod media_type;
mod member;
mod members;
mod names;
mod on_disk;
mod open;
mod outline;
mod partial;
mod platform;
mod recognise;
mod reference;
mod same_member;
mod select;
mod selected;
mod selector;
#[cfg(feature = "serde")]
mod serialise;
mod store;
#[cfg(test)]
mod tests;
mod two_lists;
mod walk;

pub use blob::BlobReader;
pub use descriptor::Descriptor;
pub(crate) use evidence::{Evidence, Inspector};
pub use form::ImageForm;
pub use image_config::{HistoryEntry, ImageConfig};
pub use inventory::{ListedManifest, ManifestKind};
pub use layer::LayerDescriptor;
pub use on_disk::Image;
pub(crate) use outline::Outline;
pub use platform::Platform;
pub use recognise::What;
pub use selected::Selected;
pub use selector::Selector;
