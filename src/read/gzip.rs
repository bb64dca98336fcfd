//! gzip: any number of members is one stream.

use super::buffer::buffer;
use super::format::Format;
use super::input::Input;
use super::refusal::refusal;
use crate::words::{Error, Violation};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io::{self, BufRead, Read};

/// Decompresses one member after another.
///
/// Headers and trailers are read here, and not by flate2. So one decompressor is used for all members (an eStargz layer has
/// one for each file), and the bytes after the last member can be judged.
pub(crate) struct GzipDecoder<R> {
    input: Input<R>,
    inflater: Decompress,
    data: Crc,
    state: State,
    padded: bool,
}

enum State {
    /// Before the first member.
    Begin,
    Inside,
    Between,
    End,
}

impl<R: Read> GzipDecoder<R> {
    /// # Errors
    ///
    /// Not enough memory for the decompressor.
    pub(crate) fn new(input: Input<R>) -> Result<Self, Error> {
        // The decompressor would panic. Its allocations fit into the memory that is freed here.
        drop(buffer(DECOMPRESSOR, "a gzip decompressor")?);
        Ok(Self { input, inflater: Decompress::new(false), data: Crc::new(), state: State::Begin, padded: false })
    }

    /// Whether zero bytes follow the last member.
    pub(crate) fn is_padded(&self) -> bool {
        self.padded
    }

    pub(crate) fn input(&self) -> &Input<R> {
        &self.input
    }

    pub(crate) fn into_input(self) -> Input<R> {
        self.input
    }

    /// Reads a member's header, RFC 1952, section 2.3.
    fn begin(&mut self) -> io::Result<()> {
        const HEADER_CRC: u8 = 1 << 1;
        const EXTRA: u8 = 1 << 2;
        const NAME: u8 = 1 << 3;
        const COMMENT: u8 = 1 << 4;
        let mut header = HeaderBytes { input: &mut self.input, crc: Crc::new() };
        let [_, _, method, flags, _, _, _, _, _, _] = header.take()?;
        // The upper flags are reserved. Their fields could not be skipped.
        if method != 8 || flags & 0b1110_0000 != 0 {
            return Err(corrupt());
        }
        if flags & EXTRA != 0 {
            for _ in 0..u16::from_le_bytes(header.take()?) {
                header.byte()?;
            }
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && header.byte()? != 0 {}
        }
        if flags & HEADER_CRC != 0 {
            let [low, high, _, _] = header.crc.sum().to_le_bytes();
            if header.take()? != [low, high] {
                return Err(corrupt());
            }
        }
        self.inflater.reset(false);
        self.data.reset();
        self.state = State::Inside;
        Ok(())
    }

    fn inflate(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (read, written) = (self.inflater.total_in(), self.inflater.total_out());
        let input = self.input.fill_buf()?;
        let ended = input.is_empty();
        let status = self.inflater.decompress(input, out, FlushDecompress::None).map_err(|_| corrupt())?;
        let used = usize::try_from(self.inflater.total_in() - read).unwrap_or_default();
        let made = usize::try_from(self.inflater.total_out() - written).unwrap_or_default();
        self.input.consume(used);
        self.data.update(out.get(..made).unwrap_or_default());
        match status {
            Status::StreamEnd => self.end_member()?,
            _ if used == 0 && made == 0 => {
                return Err(if ended { refusal(Violation::Truncated) } else { corrupt() });
            }
            _ => {}
        }
        Ok(made)
    }

    fn end_member(&mut self) -> io::Result<()> {
        let Some(&trailer) = self.input.fill_to(8)?.first_chunk::<8>() else {
            return Err(refusal(Violation::Truncated));
        };
        self.input.consume(8);
        let expected = u64::from(self.data.amount()) << 32 | u64::from(self.data.sum());
        if u64::from_le_bytes(trailer) != expected {
            return Err(corrupt());
        }
        self.state = State::Between;
        Ok(())
    }

    fn between(&mut self) -> io::Result<()> {
        match self.input.fill_to(2)? {
            [0x1f, 0x8b, ..] => self.begin(),
            rest => {
                self.padded = !rest.is_empty();
                self.padding()?;
                self.state = State::End;
                Ok(())
            }
        }
    }

    /// Reads what follows the last member. Tape writers append zero bytes. Others are refused, because other readers ignore
    /// them.
    fn padding(&mut self) -> io::Result<()> {
        loop {
            let rest = self.input.fill_buf()?;
            let bytes = rest.len();
            if bytes == 0 {
                return Ok(());
            }
            if rest.iter().any(|&byte| byte != 0) {
                return Err(refusal(Violation::DataAfterCompression { format: Format::Gzip.name() }));
            }
            self.input.consume(bytes);
        }
    }
}

impl<R: Read> Read for GzipDecoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Begin => self.begin()?,
                State::Between => self.between()?,
                State::End => return Ok(0),
                State::Inside => match self.inflate(out)? {
                    0 => {}
                    made => return Ok(made),
                },
            }
        }
    }
}

/// An upper bound for the memory of a decompressor, in bytes: its window of 32 KiB and its tables.
const DECOMPRESSOR: usize = 128 << 10;

/// The bytes of a header, which may have a checksum of its own.
struct HeaderBytes<'a, R> {
    input: &'a mut Input<R>,
    crc: Crc,
}

impl<R: Read> HeaderBytes<'_, R> {
    fn byte(&mut self) -> io::Result<u8> {
        self.take().map(|[byte]| byte)
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let Some(&bytes) = self.input.fill_to(N)?.first_chunk::<N>() else {
            return Err(refusal(Violation::Truncated));
        };
        self.crc.update(&bytes);
        self.input.consume(N);
        Ok(bytes)
    }
}

fn corrupt() -> io::Error {
    refusal(Violation::CompressionCorrupt { format: Format::Gzip.name() })
}
