//! The same bytes, coming in pieces.

use std::io::{self, BufRead, ErrorKind, Read};

/// A reader that gives its bytes in pieces of chosen sizes, and is interrupted before some of them.
pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: &'a [u8],
    next: usize,
    /// What is left of the current piece.
    left: usize,
    interrupted: bool,
}

/// Sizes of pieces of one byte each.
pub(crate) const SINGLE: &[u8] = &[0];

impl<'a> Pieces<'a> {
    /// `sizes` are used over and over; without any, everything is one piece.
    pub(crate) fn new(bytes: &'a [u8], sizes: &'a [u8]) -> Self {
        Self { bytes, sizes, next: 0, left: 0, interrupted: false }
    }

    fn next_size(&self) -> Option<u8> {
        self.sizes.get(self.next % self.sizes.len().max(1)).copied()
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            let size = self.next_size();
            if size.is_some_and(|size| size % 7 == 3) && !self.interrupted {
                self.interrupted = true;
                return Err(ErrorKind::Interrupted.into());
            }
            self.interrupted = false;
            self.next += 1;
            // Some about as large as a block, some that span several.
            let size = size.map_or(usize::MAX, |size| 1 + usize::from(size) * if size % 2 == 0 { 3 } else { 37 });
            self.left = size.min(self.bytes.len());
        }
        Ok(&self.bytes[..self.left])
    }

    fn consume(&mut self, bytes: usize) {
        self.bytes = &self.bytes[bytes..];
        self.left -= bytes;
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let got = self.fill_buf()?.read(out)?;
        self.consume(got);
        Ok(got)
    }
}
