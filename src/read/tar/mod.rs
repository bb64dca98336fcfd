//! tar: 512-byte blocks to entries.
//!
//! Strict where readers differ, since a layer that two readers unpack differently hides something from one
//! of them. Each departure from what Go's archive/tar or GNU tar take is said where it is decided.

mod block;
mod end;
mod entry;
mod extended;
mod header;
mod keys;
mod number;
mod oddities;
mod pax;
mod reader;
mod sparse;

#[cfg(test)]
#[path = "../../../corpus/build.rs"]
mod build;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub(crate) use block::BLOCK;
#[cfg(feature = "image")]
pub(crate) use block::Jump;
pub use end::EndMark;
pub(crate) use header::may_be_header;
pub use reader::TarReader;
