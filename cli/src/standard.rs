//! Standard output and standard error without a lost byte.
//!
//! The streams of std succeed if the descriptor cannot be written to, because it was opened for reading. A stream that
//! was closed (`>&-`) cannot be told from `/dev/null`, which the runtime of Rust opens in its place before `main`.

use std::io::{self, Stderr, Stdout, Write};
use std::os::fd::AsFd;

/// A standard stream, without a buffer.
#[derive(Debug)]
pub(crate) struct Raw<S>(S);

pub(crate) fn output() -> Raw<Stdout> {
    Raw(io::stdout())
}

pub(crate) fn error() -> Raw<Stderr> {
    Raw(io::stderr())
}

impl<S: AsFd> Write for Raw<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
