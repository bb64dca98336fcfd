//! Floor 1, entries to changes: what an entry means, and whether it may. No I/O.

mod judge;
mod layer;
mod owner;
mod skipped;
mod whiteout;
mod xattr;

pub use judge::{Judge, Judged};
pub(crate) use layer::{Brought, Standing};
use owner::OVERRIDE_STAT;
pub(crate) use skipped::{Skippable, Skipped};
pub(crate) use whiteout::may_be_made;
