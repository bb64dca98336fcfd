//! Verification before the first effect, for what comes as a stream and goes where it can be seen.

use super::layer::Layer;
use crate::read::LayerStream;
use crate::words::{Error, Fault, Limits};
use std::fs::File;
use std::io::{self, Read, Seek, Write};

/// Keeps all of a layer in `file` while it is verified, and gives it back from its first byte. The stream asks for a
/// byte or two more than [`Limit::LayerBytes`](crate::Limit::LayerBytes) at most, whatever else is known.
pub(super) fn verify_first<R: Read>(layer: Layer<R>, file: File, limits: &Limits) -> Result<Layer<File>, Error> {
    let Layer { reader, about } = layer;
    let mut tee = Tee { reader, file };
    let mut verify = || {
        LayerStream::open(&mut tee, about.expected, limits)?.finish()?;
        Ok(tee.file.rewind()?)
    };
    verify().map_err(|fault: Fault| fault.at(about.position()))?;
    Ok(Layer { reader: tee.file, about })
}

/// Hands on what it reads, and keeps a copy.
struct Tee<R> {
    reader: R,
    file: File,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(out)?;
        let copy = out.get(..bytes).unwrap_or_default();
        self.file.write_all(copy).map_err(|error| Fault::system("write", b"(spooled layer)", error))?;
        Ok(bytes)
    }
}
