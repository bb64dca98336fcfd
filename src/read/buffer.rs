//! Memory for buffers.

use crate::words::Error;

/// A buffer of zeros. If there is no memory for it, this is an error; `vec!` would end the process.
pub(super) fn buffer(bytes: usize, what: &str) -> Result<Vec<u8>, Error> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes).map_err(|_| Error::out_of_memory(what))?;
    buffer.resize(bytes, 0);
    Ok(buffer)
}
