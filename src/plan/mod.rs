//! Floor 1, entries to changes: what an entry means, and whether it may. No I/O.

mod judge;
mod layer;
mod places;
mod skipped;
mod whiteout;
mod xattr;

pub(crate) use judge::Verdicts;
pub use judge::{Judge, Judged};
pub(crate) use layer::{Brought, Standing};
pub(crate) use skipped::Skipped;
