//! Level 3, names to effects: the only module that changes a file system.
//!
//! Everything goes through directory handles, one component at a time, and no symbolic link is followed. The cage is a
//! [`Tree`](crate::tree::Tree): it knows no tar and no policy. It does one effect at one place, and returns what it
//! could not do exactly.

#[cfg(feature = "image")]
mod ahead;
mod apart;
mod attributes;
mod claim;
mod content;
mod create;
mod deferred;
mod directory;
mod failed;
mod held;
mod label;
mod marker;
mod metadata;
mod names;
mod on_disk;
#[cfg(feature = "image")]
mod open;
mod overlay;
mod owner;
mod place;
mod proc;
mod pseudo_links;
mod removal;
mod remove;
mod replace;
mod room;
mod scratch;
mod spool;
mod stage;
mod staged_file;
mod state;
#[cfg(feature = "image")]
mod store;
mod sys;
mod target;
mod temporary;
mod temporary_names;
#[cfg(test)]
mod tests;
mod times;
mod tree;

#[cfg(feature = "image")]
pub(crate) use ahead::{ahead_spool, ahead_spool_in};
pub(crate) use on_disk::OnDisk;
#[cfg(feature = "image")]
pub(crate) use open::{NotOpened, open_directory, open_inside, open_regular};
pub(crate) use overlay::{LaterLowers, Lowers, OverlayTree, Stack as LowerStack, may_set_trusted};
pub(crate) use room::{growing_file, has_room};
pub use scratch::Scratch;
pub(crate) use stage::{Contents, Stage};
pub(crate) use staged_file::FileStage;
pub(crate) use state::{Cage, Exposure};
#[cfg(feature = "image")]
pub(crate) use store::{Found, InUse, LayerClaim, LayerKey, ListedImage, Store, StoredLayer, Use};
pub(crate) use sys::most_open_files;
