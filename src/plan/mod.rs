//! Level 1, entries to changes: what an entry means, and whether policy lets it pass. No I/O.

#[cfg(feature = "unpack")]
mod contents;
#[cfg(feature = "unpack")]
mod judge;
mod meaning;
#[cfg(feature = "unpack")]
mod owner;
#[cfg(feature = "unpack")]
mod reporter;
#[cfg(feature = "unpack")]
mod skipped;
mod whiteout;
#[cfg(feature = "unpack")]
mod xattr;

#[cfg(feature = "unpack")]
pub(crate) use contents::{Holds, LayerContents, Standing};
#[cfg(feature = "unpack")]
pub use judge::Judged;
#[cfg(feature = "unpack")]
pub(crate) use judge::judge;
#[cfg(feature = "unpack")]
pub(crate) use owner::{lacks_xattr, needed_xattr, terms};
#[cfg(feature = "unpack")]
pub use reporter::Reporter;
#[cfg(feature = "unpack")]
pub(crate) use skipped::{Skipped, is_skipped_by};
#[cfg(feature = "unpack")]
pub(crate) use whiteout::may_be_made;
