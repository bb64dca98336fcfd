//! tar: 512-byte blocks to entries.
//!
//! The reader is strict where tar readers differ: a layer that two readers unpack differently hides something from one
//! of them. A comment explains each difference from Go's archive/tar and GNU tar at the code that decides it.

mod block;
mod content;
mod end;
mod entry;
mod extended;
mod header;
mod keys;
pub(crate) mod layout;
mod number;
mod pax;
mod quirk_set;
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
