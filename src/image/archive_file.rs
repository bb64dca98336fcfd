//! Reads the file of an archive: in place, as a stream, and decompressed.

use super::blob::BlobReader;
use crate::read::{Expected, LayerStream};
use crate::words::{Error, Limit, Limits};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::sync::Arc;

/// The limits for the archive itself. Limits for the files and entries of a layer do not apply: a member is a whole
/// layer.
pub(super) fn of_archives(limits: &Limits) -> Limits {
    let limits = limits.clone().with(Limit::FileBytes, u64::MAX).with(Limit::Entries, u64::MAX);
    limits.with(Limit::LayerBytes, u64::MAX)
}

/// The limits for decompressing an archive. It may turn out to be a layer, so the larger limit of the two counts.
fn of_streams(limits: &Limits) -> Limits {
    let most = limits.most(Limit::LayerBytes).max(limits.most(Limit::ArchiveBytes));
    limits.clone().with(Limit::LayerBytes, most)
}

/// Whether the file is a pipe or another stream, which cannot be read by position.
pub(super) fn is_stream(file: &File) -> Result<bool, Error> {
    let metadata = file.metadata().map_err(|error| system("fstat", error))?;
    Ok(!metadata.is_file())
}

pub(super) fn whole(file: &Arc<File>) -> Result<Whole<BlobReader>, Error> {
    let length = file.metadata().map_err(|error| system("fstat", error))?.len();
    Ok(Whole { reader: BlobReader::new(Arc::clone(file), 0, length), call: "pread64" })
}

/// Reads a whole archive. The decompressor and the tar reader blame a failed read on the layer; this wrapper makes it a
/// system error of the archive.
#[derive(Clone)]
pub(super) struct Whole<R> {
    pub(super) reader: R,
    pub(super) call: &'static str,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out).map_err(|error| match error.kind() {
            // Callers retry an interrupted read if the error keeps its kind.
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
