//! The final file system of an image, as an EROFS image, and its layers, as one EROFS image each.

mod contents;
mod layer;
mod layer_tree;
mod sink;
mod tree;

pub(crate) use contents::Contents;
pub(crate) use layer::{LayerContents, LayerFiles};
pub(crate) use layer_tree::{LayerTree, Marks, MissingFile, missing_files};
pub(crate) use sink::{ErofsSink, ImageContent};
pub(crate) use tree::ErofsTree;
