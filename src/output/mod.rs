//! Level 5, outputs: changes go through a [`Sink`] to wherever they take effect.

mod audit;
mod content_file;
mod context;
mod data;
mod dropped;
#[cfg(feature = "image")]
mod erofs;
mod filter;
mod left_out;
mod merged;
mod overlay;
mod paths;
mod replay;
mod rootfs;
mod sink;
mod sink_error;
mod state;
mod tar;
mod tee;
mod tree_sink;

pub(crate) use audit::TreeModel;
#[cfg(feature = "image")]
pub(crate) use content_file::{ContentFile, ContentWriter, NotAdded};
pub(crate) use content_file::{ContentPlace, ContentReader};
pub use context::LayerContext;
pub use data::{Data, Piece};
#[cfg(feature = "image")]
pub(crate) use erofs::{
    Contents, ErofsSink, ErofsTree, ImageContent, LayerContents, LayerFiles, LayerTree, Marks, MissingFile,
    missing_files,
};
pub use filter::Filter;
pub use merged::{ContentCache, Hidden, Kind, LayerSummary, MergedTree, Merger, Node, Nodes, Part};
#[cfg(feature = "image")]
pub(crate) use merged::{ContentStore, StoringMerger};
pub use overlay::Overlay;
#[cfg(feature = "image")]
pub(crate) use overlay::OverlayLayers;
pub use rootfs::Rootfs;
pub use sink::{Sink, Visibility};
pub use sink_error::SinkError;
pub use tar::TarSink;
#[cfg(feature = "image")]
pub(crate) use tar::check_writable;
pub use tee::Tee;
