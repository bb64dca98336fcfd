//! The final file system of an image, as an EROFS image.

mod contents;
mod sink;
mod tree;

pub(crate) use contents::Contents;
pub(crate) use sink::{ErofsSink, ImageContent};
pub(crate) use tree::ErofsTree;
