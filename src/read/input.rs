//! A buffered reader with look-ahead.

use super::buffer::buffer;
use crate::words::Error;
use std::io::{self, BufRead, ErrorKind, Read};

/// A buffered reader that can look ahead. It retries interrupted reads.
pub(crate) struct Input<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    /// The size of the buffer in bytes, and the longest look-ahead.
    pub(crate) const CAPACITY: usize = 128 << 10;

    pub(crate) fn new(reader: R) -> Result<Self, Error> {
        Ok(Self { reader, buffer: buffer(Self::CAPACITY, "a buffer")?.into(), start: 0, end: 0 })
    }

    /// Returns the buffered bytes: at least `wanted`, or fewer at the end of the stream.
    pub(crate) fn fill_to(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let wanted = wanted.min(self.buffer.len());
        while self.end - self.start < wanted {
            if self.start + wanted > self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match read_some(&mut self.reader, free)? {
                0 => break,
                got => self.end += got,
            }
        }
        Ok(self.buffered())
    }

    pub(crate) fn inner(&self) -> &R {
        &self.reader
    }

    /// Replaces the underlying reader. Buffered bytes are kept.
    #[cfg(any(feature = "unpack", test))]
    pub(crate) fn map<S: Read>(self, exchange: impl FnOnce(R) -> S) -> Input<S> {
        let Self { reader, buffer, start, end } = self;
        Input { reader: exchange(reader), buffer, start, end }
    }

    /// Returns the underlying reader. Buffered bytes are lost.
    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// The bytes that were read and not consumed.
    pub(crate) fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Large reads bypass the buffer if it is empty.
        if self.start == self.end && out.len() >= self.buffer.len() {
            return read_some(&mut self.reader, out);
        }
        let got = self.fill_buf()?.read(out)?;
        self.consume(got);
        Ok(got)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.end = read_some(&mut self.reader, &mut self.buffer)?;
        }
        Ok(self.buffered())
    }

    fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start.saturating_add(bytes));
    }
}

fn read_some(reader: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(out) {
            // A broken reader may return a larger number than the size of its buffer.
            Ok(got) => return Ok(got.min(out.len())),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a call, and is interrupted before each.
    struct Halting<'a>(&'a [u8], bool);

    impl Read for Halting<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let most = out.len().min(1);
            self.0.read(&mut out[..most])
        }
    }

    #[test]
    fn looking_ahead_loses_nothing_and_outlives_interruptions() {
        let mut input = Input::new(Halting(b"abcdef", false)).unwrap();
        assert_eq!(input.fill_to(3).unwrap(), b"abc");
        input.consume(2);
        assert_eq!(input.fill_to(3).unwrap(), b"cde");
        assert_eq!(input.fill_to(9).unwrap(), b"cdef");
        let mut rest = Vec::new();
        input.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"cdef");
        assert_eq!(input.fill_to(1).unwrap(), b"");
    }

    #[test]
    fn looking_ahead_moves_what_is_left_to_the_front() {
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * Input::<&[u8]>::CAPACITY).collect();
        let mut input = Input::new(&bytes[..]).unwrap();
        input.fill_buf().unwrap();
        input.consume(Input::<&[u8]>::CAPACITY - 3);
        let ahead = input.fill_to(18).unwrap();
        assert!(ahead.len() >= 18);
        assert_eq!(ahead[..18], bytes[Input::<&[u8]>::CAPACITY - 3..][..18]);
    }
}
