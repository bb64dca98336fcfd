//! Verification of a layer before it is applied, for trees in which changes are visible at once.

use super::blob_bytes::{BlobBytes, Counted};
use super::layer::{About, Layer, OnAbandoned, Opened, Seek};
use super::pipeline::{Plan, side_by_side};
use super::progress::{Step, Watch};
use crate::read::{LayerStream, PipedStream, Verifying};
use crate::words::{Blame, Error, Limits, SharedWork};
use std::fs::File;
use std::io::{self, BufRead, Read, SeekFrom, Write};
use std::num::NonZeroUsize;

/// How a layer is read to its end.
pub(super) struct Check<'w, 'p> {
    pub(super) limits: &'w Limits,
    pub(super) watch: &'w Watch<'p>,
}

/// A layer of which a check needs all but the reader.
pub(super) struct Checking {
    about: About,
    blob_bytes: BlobBytes,
    on_abandoned: OnAbandoned,
}

impl Check<'_, '_> {
    /// Reads a layer to its end on the calling thread.
    pub(super) fn alone(&self, reader: impl Read, layer: Checking) -> Result<(), Error> {
        let reader = Observed { reader: Counted::new(reader, layer.blob_bytes), watch: self.watch };
        LayerStream::open(reader, layer.about.expected, self.limits)?.finish().map(drop)
    }

    /// Reads a layer to its end on other threads. The calling thread computes digests while it waits, and calls the observer.
    pub(super) fn beside(&self, workers: NonZeroUsize, reader: impl Read + Send, layer: Checking) -> Result<(), Error> {
        let Checking { about, blob_bytes, on_abandoned } = layer;
        let layer = Layer { reader, about, seek: None, on_abandoned, blob_bytes };
        let work = SharedWork::default();
        let plan = Plan::of_one_layer(workers, self.limits, &work);
        side_by_side(plan, [Ok(layer)].into_iter(), |opened| match opened.next() {
            Some(Ok(Opened { blob_bytes, stream, .. })) => self.finish(stream, &blob_bytes),
            Some(Err(error)) => Err(error),
            None => Err(Error::bug("the thread that reads a layer ended early")),
        })
    }

    fn finish(&self, mut stream: PipedStream<'_>, blob_bytes: &BlobBytes) -> Result<(), Error> {
        let mut observed = 0;
        let mut observe = || {
            let before = std::mem::replace(&mut observed, blob_bytes.get());
            self.watch.read(observed.saturating_sub(before))
        };
        loop {
            let bytes = match stream.fill_buf() {
                Ok(chunk) => chunk.len(),
                Err(error) => {
                    let error = Error::of_reader(error);
                    // A wrong digest explains damaged data.
                    let is_refused = error.blame() == Blame::Archive;
                    return Err(if is_refused { stream.damage().unwrap_or(error) } else { error });
                }
            };
            observe()?;
            if bytes == 0 {
                return stream.finish().and_then(|_| observe());
            }
            stream.consume(bytes);
        }
    }
}

/// Verifies a layer and copies it to `file`. Returns the copy. The stream reads at most one or two bytes more than
/// [`Limit::LayerBytes`](crate::rules::Limit::LayerBytes), so this also limits the size of the file.
pub(super) fn copy<R: Read>(
    layer: Layer<R>,
    file: File,
    watch: &Watch<'_>,
    check: impl FnOnce(&mut Tee<R>, Checking) -> Result<(), Error>,
) -> Result<Layer<File>, Error> {
    let Layer { reader, about, blob_bytes, on_abandoned, .. } = layer;
    watch.set_blob(blob_bytes.clone(), about.expected.size());
    let mut tee = Tee { reader, file };
    let verify = || {
        watch.begin(about.position, Step::Verifying)?;
        check(&mut tee, Checking { about: about.clone(), blob_bytes, on_abandoned })?;
        io::Seek::rewind(&mut tee.file).map_err(|error| Error::system("lseek", SPOOLED, error))
    };
    verify().map_err(|error: Error| error.at(about.position()))?;
    let (on_abandoned, blob_bytes) = (OnAbandoned::default(), BlobBytes::default());
    let about = About { is_verified: true, ..about };
    Ok(Layer { reader: tee.file, about, seek: None, on_abandoned, blob_bytes })
}

/// Verifies a layer in place, and seeks back to its start. The callback for a layer that is abandoned is kept for the second
/// reading.
pub(super) fn verify_in_place<R: Read>(
    layer: Layer<R>,
    seek: Seek<R>,
    watch: &Watch<'_>,
    check: impl FnOnce(&mut R, Checking) -> Result<(), Error>,
) -> Result<Layer<R>, Error> {
    let Layer { mut reader, about, on_abandoned, blob_bytes, .. } = layer;
    watch.set_blob(blob_bytes.clone(), about.expected.size());
    let verify = || {
        watch.begin(about.position, Step::Verifying)?;
        let start = seek(&mut reader, SeekFrom::Current(0)).map_err(lseek)?;
        check(&mut reader, Checking { about: about.clone(), blob_bytes, on_abandoned: OnAbandoned::default() })?;
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
pub(super) struct Tee<R> {
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
