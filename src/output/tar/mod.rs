//! Tar archives that all readers read alike.
//!
//! An archive of this module is ustar, with PAX headers where ustar has no room. `TarReader` finds no quirk in it. What
//! no form says unambiguously is an error ([`Violation::Unwritable`](crate::words::Violation::Unwritable)), not a guess.

mod header;
mod holes;
mod member;
mod records;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

pub use sink::TarSink;
#[cfg(feature = "image")]
pub(crate) use sink::check_writable;
