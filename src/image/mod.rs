//! Level 4, where layers come from: read-only, regular files alone, everything checked against its digest
//! before it is used.

mod alike;
mod archive;
mod blob;
mod docker;
mod document;
mod evidence;
mod files;
mod form;
mod headers;
mod held;
mod inventory;
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
mod selector;
#[cfg(feature = "serde")]
mod serialise;
#[cfg(test)]
mod tests;
mod twin;
mod walk;

pub use blob::BlobReader;
pub(crate) use evidence::{Evidence, Witness};
pub use form::ImageForm;
pub use inventory::{ListedManifest, ManifestKind};
pub use manifest::Descriptor;
pub use open::{Image, Scratch};
pub(crate) use outline::Outline;
pub use platform::Platform;
pub use recognise::What;
pub use select::{LayerDescriptor, Selected};
pub use selector::Selector;
