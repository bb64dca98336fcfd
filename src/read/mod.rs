//! Level 1, bytes to entries: sizes, digests, compression and tar. No file system, no policy.
//!
//! An error is a [`Violation`](crate::rules::Violation). Quirks belong to an entry, or to the end of the archive. The caller
//! adds the position, which [`TarReader::position`] returns.

mod buffer;
#[cfg(any(feature = "unpack", test))]
mod chunk;
mod counted;
mod decoder;
#[cfg(any(feature = "unpack", test))]
mod feed;
mod format;
#[cfg(feature = "gzip")]
mod gzip;
mod hash;
#[cfg(any(feature = "unpack", test))]
mod hash_queue;
mod input;
mod magic;
#[cfg(any(feature = "unpack", test))]
mod piped;
mod refusal;
mod stream;
mod tar;
#[cfg(any(feature = "unpack", test))]
mod upstream;
mod verify;
mod verifying;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "unpack")]
pub(crate) use feed::Feeder;
pub use format::Format;
#[cfg(feature = "image")]
pub(crate) use hash::Hasher;
#[cfg(feature = "unpack")]
pub(crate) use hash_queue::HashQueue;
#[cfg(feature = "unpack")]
pub(crate) use magic::is_doubtful_start;
#[cfg(feature = "unpack")]
pub(crate) use piped::{Abandoned, PipedStream, Stop};
pub use stream::LayerStream;
#[cfg(feature = "image")]
pub(crate) use tar::Jump;
#[cfg(feature = "unpack")]
pub(crate) use tar::{BLOCK, layout};
pub use tar::{EndMark, TarReader};
pub use verify::{Blob, Checked, Expected, Verified};
#[cfg(feature = "unpack")]
pub(crate) use verifying::Verifying;
