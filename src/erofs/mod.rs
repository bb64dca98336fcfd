//! Level 1, EROFS images: the writer of a file system that Linux mounts read-only, and the hash tree of dm-verity over it.
//!
//! It writes to files that the caller opened, and knows neither layers nor policies. docs/erofs.md describes the layout.
//! The facts of the format come from Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.

mod chunks;
mod content;
mod directory;
mod entries;
mod format;
mod metadata;
mod options;
mod output;
mod placement;
mod spool;
mod superblock;
mod tree;
mod verity;
mod walk;
mod writer;
mod xattrs;

pub use content::Content;
pub use entries::{Entries, EntryNode};
pub use options::{BlockSize, Options, Salt};
pub use tree::{Attributes, NodeKind, Tree};
pub use verity::Verity;
pub use writer::{Writer, Written};
#[cfg(feature = "image")]
pub(crate) use xattrs::is_possible;
