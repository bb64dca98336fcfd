//! Level 1, entries to changes: what an entry means, and whether it may. No I/O.

mod contents;
mod judge;
mod owner;
mod skipped;
mod whiteout;
mod xattr;

pub(crate) use contents::{LayerContents, Standing};
pub use judge::{Judge, Judged};
use owner::OVERRIDE_STAT;
pub(crate) use skipped::{Skippable, Skipped};
pub(crate) use whiteout::may_be_made;
