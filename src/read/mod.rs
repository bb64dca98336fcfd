//! Level 1, bytes to entries: sizes, digests, compression and tar. No file system, no policy.
//!
//! An error is a [`Violation`](crate::rules::Violation). Quirks belong to an entry, or to the end of the archive. The caller
//! adds the position, which [`TarReader::position`] returns.

#[cfg(any(feature = "unpack", test))]
mod bell;
mod buffer;
#[cfg(any(feature = "unpack", test))]
mod chunk;
mod counted;
mod decoder;
mod format;
#[cfg(feature = "gzip")]
mod gzip;
mod hash;
#[cfg(any(feature = "unpack", test))]
mod hash_queue;
mod input;
mod magic;
mod not_yet;
#[cfg(any(feature = "unpack", test))]
mod piped;
#[cfg(any(feature = "unpack", test))]
mod reading;
mod refusal;
#[cfg(any(feature = "unpack", test))]
mod spool;
mod stream;
mod tar;
#[cfg(any(feature = "unpack", test))]
mod upstream;
mod verify;
mod verifying;
#[cfg(any(feature = "unpack", test))]
mod windows;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "unpack")]
pub(crate) use bell::{Arrivals, Bell};
#[cfg(feature = "unpack")]
pub(crate) use chunk::Heap;
pub use format::Format;
#[cfg(feature = "image")]
pub(crate) use hash::Hasher;
#[cfg(feature = "unpack")]
pub(crate) use hash_queue::Queues;
#[cfg(feature = "unpack")]
pub(crate) use magic::is_doubtful_start;
#[cfg(feature = "unpack")]
pub(crate) use piped::{Abandoned, Arrived, PipedStream, Stop};
#[cfg(feature = "unpack")]
pub(crate) use reading::{Reading, Room, Shared, Step};
#[cfg(feature = "image")]
pub(crate) use spool::SpoolFile;
#[cfg(feature = "unpack")]
pub(crate) use spool::{Budget, CreateSpool, Spools};
pub use stream::LayerStream;
#[cfg(feature = "image")]
pub(crate) use tar::Jump;
#[cfg(feature = "unpack")]
pub(crate) use tar::{BLOCK, layout};
pub use tar::{EndMark, TarReader};
pub use verify::{Blob, Checked, Expected, Verified};
#[cfg(feature = "unpack")]
pub(crate) use verifying::Verifying;
#[cfg(feature = "unpack")]
pub(crate) use windows::Windows;
