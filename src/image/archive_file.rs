//! The file of an archive: in place, as a stream, and uncompressed.

use super::blob::BlobReader;
use crate::read::{Expected, LayerStream};
use crate::words::{Error, Limit, Limits};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::sync::Arc;

/// The limits for the archive itself, which has its own: a member is a layer, not a file of one.
pub(super) fn of_archives(limits: &Limits) -> Limits {
    let limits = limits.clone().with(Limit::FileBytes, u64::MAX).with(Limit::Entries, u64::MAX);
    limits.with(Limit::LayerBytes, u64::MAX)
}

/// The same for one that must be inflated: looking at it ends where keeping it would, or a layer.
fn of_streams(limits: &Limits) -> Limits {
    let most = limits.most(Limit::LayerBytes).max(limits.most(Limit::ArchiveBytes));
    limits.clone().with(Limit::LayerBytes, most)
}

/// The file, and whether it cannot be read by position.
pub(super) fn looked_at(file: File) -> Result<(Arc<File>, bool), Error> {
    let metadata = file.metadata().map_err(|error| system("fstat", error))?;
    Ok((Arc::new(file), !metadata.is_file()))
}

pub(super) fn whole(file: &Arc<File>) -> Result<Whole<BlobReader>, Error> {
    let length = file.metadata().map_err(|error| system("fstat", error))?.len();
    Ok(Whole { reader: BlobReader::new(Arc::clone(file), 0, length), call: "pread64" })
}

/// A whole archive. The decompressor and tar reader report system errors as errors of a layer. Here they are renamed.
#[derive(Clone)]
pub(super) struct Whole<R> {
    pub(super) reader: R,
    pub(super) call: &'static str,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out).map_err(|error| match error.kind() {
            // Callers retry this error, if it keeps its kind.
            ErrorKind::Interrupted => error,
            _ => system(self.call, error).into(),
        })
    }
}

pub(super) fn uncompressed<R: Read>(reader: R, limits: &Limits) -> Result<LayerStream<R>, Error> {
    LayerStream::open(reader, Expected::unchecked(), &of_streams(limits))
}

pub(super) fn system(call: &'static str, error: io::Error) -> Error {
    Error::system(call, b"(archive)", error)
}

/// Copies a stream to a file, and returns the file positioned at its first byte.
pub(super) fn kept(stream: &mut impl Read, file: File, limits: &Limits, limit: Limit) -> Result<File, Error> {
    let mut bounded = Bounded { file, limits, limit, bytes: 0 };
    io::copy(stream, &mut bounded).map_err(Error::of_reader)?;
    bounded.file.rewind().map_err(|error| Error::system("lseek", SPOOLED, error))?;
    Ok(bounded.file)
}

const SPOOLED: &[u8] = b"(the temporary copy of the archive)";

/// Writes to the file, up to the limit.
struct Bounded<'l> {
    file: File,
    limits: &'l Limits,
    limit: Limit,
    bytes: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.limits.check(self.limit, self.bytes).map_err(Error::from)?;
        self.file.write_all(bytes).map_err(|error| Error::system("write", SPOOLED, error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
