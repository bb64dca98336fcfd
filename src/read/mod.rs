//! Level 1, bytes to entries: sizes, digests, compression and tar. No file system, no policy.
//!
//! What is always wrong is a [`Violation`](crate::Violation). What is odd is a quirk of the entry, or of the end. The
//! caller adds the position, which [`TarReader::position`] returns.

mod buffer;
mod chunk;
mod counted;
mod decoder;
mod feed;
mod format;
#[cfg(feature = "gzip")]
mod gzip;
mod hash;
mod hash_queue;
mod input;
mod magic;
mod piped;
mod refusal;
mod stream;
mod tar;
mod upstream;
mod verify;
mod verifying;
#[cfg(feature = "zstd")]
mod zstd;

pub(crate) use feed::Feeder;
pub use format::Format;
#[cfg(feature = "image")]
pub(crate) use hash::Hasher;
pub(crate) use hash_queue::HashQueue;
pub(crate) use piped::{Abandoned, PipedStream};
pub use stream::LayerStream;
#[cfg(feature = "image")]
pub(crate) use tar::Jump;
pub use tar::{EndMark, TarReader};
pub use verify::{Blob, Checked, Expected, Verified};
pub(crate) use verifying::Verifying;
