//! Verification before the first effect, for what comes as a stream and goes where it can be seen.

use crate::read::{Expected, LayerStream};
use crate::words::{Fault, Limits};
use std::fs::File;
use std::io::{self, Read, Seek, Write};

/// Keeps all of a layer in `file` while it is verified, and gives it back from its first byte. The stream asks for no
/// more than a byte beyond [`Limit::LayerBytes`](crate::Limit::LayerBytes).
pub(super) fn verify_first<R: Read>(reader: R, expected: Expected, file: File, limits: &Limits) -> Result<File, Fault> {
    let mut tee = Tee { reader, file };
    LayerStream::open(&mut tee, expected, limits)?.finish()?;
    let mut file = tee.file;
    file.rewind()?;
    Ok(file)
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
