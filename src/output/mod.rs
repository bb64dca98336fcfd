//! Level 5, outputs: changes go through a [`Sink`] to wherever they take effect.

mod audit;
mod context;
mod data;
mod dropped;
mod filter;
mod left_out;
mod merged;
mod paths;
mod replay;
mod rootfs;
mod sink;
mod sink_error;
mod state;
mod tar;
mod tee;

pub(crate) use audit::TreeModel;
pub use context::LayerContext;
pub use data::{Data, Piece};
pub use filter::Filter;
pub use merged::{Hidden, Kind, LayerSummary, MergedTree, Merger, Node, Nodes};
pub use rootfs::Rootfs;
pub use sink::{Sink, Visibility};
pub use sink_error::SinkError;
pub use tar::TarSink;
pub use tee::Tee;
