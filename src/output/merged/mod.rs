//! The final file system without writing it.

mod hidden;
mod merger;
mod node;
mod tree;

pub use hidden::Hidden;
pub use merger::Merger;
pub use node::{Kind, Node};
pub use tree::{MergedTree, Nodes};
