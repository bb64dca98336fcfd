//! The layers below one that is unpacked side by side with them: which they are, where they are, and when they are applied.
//!
//! A request for such a layer has no lower directories. containerd names the snapshot of a layer that is being unpacked after
//! its chain ID, which is a hash over the diff IDs of the layer and of all layers below it. So a configuration whose diff IDs
//! have that chain ID names the lower layers, wherever it comes from. Each of them has a snapshot, too: a committed one, or
//! one that this program applies at the same time.

mod applied;
mod chain;
mod search;

pub(crate) use applied::{Applied, Applying};
pub(crate) use search::Search;
