//! The final file system without writing it.

mod cache;
mod hidden;
mod layers;
mod merger;
mod node;
mod part;
#[cfg(feature = "serde")]
mod serialise;
mod store;
mod summary;
mod tree;

pub use cache::ContentCache;
pub use hidden::Hidden;
pub use merger::Merger;
#[cfg(feature = "image")]
pub(crate) use merger::StoringMerger;
pub use node::{Kind, Node};
pub use part::Part;
#[cfg(feature = "image")]
pub(crate) use store::ContentStore;
pub use summary::LayerSummary;
pub use tree::{MergedTree, Nodes};
