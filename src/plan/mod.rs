//! Level 1, entries to changes: what an entry means, and whether it may. No I/O.

mod contents;
mod judge;
mod owner;
mod reporter;
mod skipped;
mod whiteout;
mod xattr;

pub(crate) use contents::{Holds, LayerContents, Standing};
pub use judge::Judged;
pub(crate) use judge::judge;
pub(crate) use owner::{lacks_xattr, needed_xattr, terms};
pub use reporter::Reporter;
pub(crate) use skipped::{Skippable, Skipped, links_to_skippable};
pub(crate) use whiteout::may_be_made;
