//! Level 1, bytes to entries: sizes, digests, compression and tar. No file system, no policy.
//!
//! What is always wrong is a [`Violation`]; what is odd is a quirk beside the entry, or at the end. Where it
//! happened is added by the caller, who has it from [`TarReader::position`].

mod chunk;
mod compression;
#[cfg(feature = "gzip")]
mod gzip;
mod hash;
mod input;
mod line;
mod magic;
mod piped;
mod stream;
mod tar;
mod verify;
#[cfg(feature = "zstd")]
mod zstd;

pub use compression::Format;
#[cfg(feature = "image")]
pub(crate) use hash::Hasher;
pub(crate) use line::Line;
pub(crate) use piped::{Abandoned, Feeder, PipedStream};
pub use stream::LayerStream;
pub(crate) use stream::Verifying;
#[cfg(feature = "image")]
pub(crate) use tar::Jump;
pub use tar::TarReader;
pub use verify::{Blob, Checked, Expected, Verified};

use crate::words::{Fault, Violation};
use std::io;

/// A buffer of zeros. Where there is no memory for it, that is said; `vec!` would end the process.
fn buffer(bytes: usize, what: &str) -> Result<Vec<u8>, Fault> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes).map_err(|_| Fault::out_of_memory(what))?;
    buffer.resize(bytes, 0);
    Ok(buffer)
}

/// A violation on its way through a [`std::io::Read`].
fn refusal(violation: Violation) -> io::Error {
    Fault::from(violation).into()
}
