//! Verification of a layer before it is applied, for trees in which changes are visible at once.

use super::blob_bytes::{BlobBytes, Counted};
use super::layer::{About, Layer, OnAbandoned, Seek};
use super::progress::{Step, Watch};
use crate::read::LayerStream;
use crate::words::{Error, Limits};
use std::fs::File;
use std::io::{self, Read, SeekFrom, Write};

/// Verifies a layer and copies it to `file`. Returns the copy. The stream reads at most one or two bytes more than
/// [`Limit::LayerBytes`](crate::rules::Limit::LayerBytes), so this also limits the size of the file.
pub(super) fn copy<R: Read>(
    layer: Layer<R>,
    file: File,
    limits: &Limits,
    watch: &Watch<'_>,
) -> Result<Layer<File>, Error> {
    let Layer { reader, about, blob_bytes, .. } = layer;
    let reader = Counted::new(reader, blob_bytes.clone());
    watch.set_blob(blob_bytes, about.expected.size());
    let mut tee = Observed { reader: Tee { reader, file }, watch };
    let mut verify = || {
        watch.begin(about.position, Step::Verifying)?;
        LayerStream::open(&mut tee, about.expected, limits)?.finish()?;
        io::Seek::rewind(&mut tee.reader.file).map_err(|error| Error::system("lseek", SPOOLED, error))
    };
    verify().map_err(|error: Error| error.at(about.position()))?;
    let (on_abandoned, blob_bytes) = (OnAbandoned::default(), BlobBytes::default());
    let about = About { is_verified: true, ..about };
    Ok(Layer { reader: tee.reader.file, about, seek: None, on_abandoned, blob_bytes })
}

/// Verifies a layer in place, and seeks back to its start.
pub(super) fn verify_in_place<R: Read>(
    layer: Layer<R>,
    seek: Seek<R>,
    limits: &Limits,
    watch: &Watch<'_>,
) -> Result<Layer<R>, Error> {
    let Layer { mut reader, about, on_abandoned, blob_bytes, .. } = layer;
    watch.set_blob(blob_bytes.clone(), about.expected.size());
    let mut verify = || {
        watch.begin(about.position, Step::Verifying)?;
        let start = seek(&mut reader, SeekFrom::Current(0)).map_err(lseek)?;
        let counted = Counted::new(&mut reader, blob_bytes.clone());
        LayerStream::open(Observed { reader: counted, watch }, about.expected, limits)?.finish()?;
        seek(&mut reader, SeekFrom::Start(start)).map_err(lseek)
    };
    verify().map_err(|error: Error| error.at(about.position()))?;
    let about = About { is_verified: true, ..about };
    Ok(Layer { reader, about, seek: Some(seek), on_abandoned, blob_bytes: BlobBytes::default() })
}

const SPOOLED: &[u8] = b"(the temporary copy of the layer)";

fn lseek(error: io::Error) -> Error {
    Error::system("lseek", b"(the layer)", error)
}

/// A reader that reports its bytes to the progress observer.
struct Observed<'w, 'p, R> {
    reader: R,
    watch: &'w Watch<'p>,
}

impl<R: Read> Read for Observed<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(out)?;
        self.watch.read(bytes as u64)?;
        Ok(bytes)
    }
}

/// A reader that copies its bytes to a file.
struct Tee<R> {
    reader: R,
    file: File,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(out)?;
        let copy = out.get(..bytes).unwrap_or_default();
        self.file.write_all(copy).map_err(|error| Error::system("write", SPOOLED, error))?;
        Ok(bytes)
    }
}
