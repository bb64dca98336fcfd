//! zstd: any number of frames is one stream.

use super::format::Format;
use super::input::Input;
#[cfg(any(feature = "unpack", test))]
use super::not_yet::not_yet;
use super::refusal::refusal;
#[cfg(any(feature = "unpack", test))]
use super::spool::Taken;
#[cfg(any(feature = "unpack", test))]
use super::windows::{Turn, Windows};
use crate::words::{Error, Limit, Limits, Violation};
use ::zstd::stream::raw::{DParameter, Decoder, Operation};
use ::zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use std::io::{self, BufRead, Read};

/// Decompresses one frame after another.
pub(crate) struct ZstdDecoder<R> {
    input: Input<R>,
    decoder: Decoder<'static>,
    limits: Limits,
    state: State,
    /// The memory of the largest window so far.
    window: u64,
    #[cfg(any(feature = "unpack", test))]
    shared: Option<(Windows, Turn)>,
    /// The memory that was taken from the budget.
    #[cfg(any(feature = "unpack", test))]
    taken: Vec<Taken>,
}

enum State {
    Between,
    Frame,
    /// In a skippable frame, with this number of bytes left.
    Skippable(u64),
    End,
}

impl<R: Read> ZstdDecoder<R> {
    pub(crate) fn new(input: Input<R>, limits: &Limits) -> io::Result<Self> {
        // Without a dictionary, only the allocation of the context can fail here.
        let mut decoder = Decoder::new().map_err(|_| Error::out_of_memory("a zstd decompressor"))?;
        // The exact limit is checked before each frame. This is the next power of two, as zstd needs it.
        let most = limits.most(Limit::ZstdWindowBytes).clamp(1 << 10, LARGEST_WINDOW);
        decoder.set_parameter(DParameter::WindowLogMax(most.next_power_of_two().ilog2()))?;
        Ok(Self {
            input,
            decoder,
            limits: limits.clone(),
            state: State::Between,
            window: 0,
            #[cfg(any(feature = "unpack", test))]
            shared: None,
            #[cfg(any(feature = "unpack", test))]
            taken: Vec::new(),
        })
    }

    /// Sets which memory is used for windows. What was taken from the budget is returned when this is dropped.
    #[cfg(any(feature = "unpack", test))]
    pub(crate) fn set_windows(&mut self, windows: &Windows, turn: Turn) {
        self.shared = Some((windows.clone(), turn));
    }

    /// Returns the input, and keeps the decompressor for another layer.
    #[cfg(any(feature = "unpack", test))]
    pub(crate) fn recycle(self, windows: &Windows) -> Input<R> {
        if self.window > 0 {
            windows.recycle(self.decoder);
        }
        self.input
    }

    /// Takes the memory for a window, of which that of the largest one so far is there.
    fn allocate_window(&mut self, window: u64) -> io::Result<()> {
        #[cfg(any(feature = "unpack", test))]
        if let Some((windows, turn)) = &self.shared
            && window > self.window
        {
            if *turn == Turn::Later {
                self.taken.push(windows.take(window - self.window).ok_or_else(not_yet)?);
            }
            if self.window == 0
                && let Some(decoder) = windows.reuse()
            {
                self.decoder = decoder;
            }
        }
        self.window = self.window.max(window);
        Ok(())
    }

    pub(crate) fn input(&self) -> &Input<R> {
        &self.input
    }

    pub(crate) fn into_input(self) -> Input<R> {
        self.input
    }

    fn between(&mut self) -> io::Result<()> {
        let ahead = self.input.fill_to(LONGEST_HEADER)?;
        self.state = match ahead {
            [] => State::End,
            [0x28, 0xb5, 0x2f, 0xfd, header @ ..] => {
                let window = window_bytes(header).ok_or_else(|| refusal(Violation::Truncated))?;
                self.limits.check(Limit::ZstdWindowBytes, window).map_err(refusal)?;
                if needs_dictionary(header) {
                    return Err(refusal(Violation::Compression { format: "zstd with a dictionary".into() }));
                }
                self.allocate_window(window)?;
                self.decoder.reinit()?;
                State::Frame
            }
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, rest @ ..] => {
                let Some(&size) = rest.first_chunk() else {
                    return Err(refusal(Violation::Truncated));
                };
                self.input.consume(8);
                State::Skippable(u32::from_le_bytes(size).into())
            }
            _ => return Err(refusal(Violation::DataAfterCompression { format: Format::Zstd.name() })),
        };
        Ok(())
    }

    fn decode(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.input.fill_buf()?;
        let ended = input.is_empty();
        let status = self.decoder.run_on_buffers(input, out).map_err(|error| failed(&error))?;
        self.input.consume(status.bytes_read);
        if status.remaining == 0 {
            self.state = State::Between;
        } else if ended && status.bytes_written == 0 {
            return Err(refusal(Violation::Truncated));
        }
        Ok(status.bytes_written)
    }

    fn skip(&mut self, left: u64) -> io::Result<()> {
        let ahead = self.input.fill_buf()?.len();
        if ahead == 0 && left > 0 {
            return Err(refusal(Violation::Truncated));
        }
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(ahead);
        self.input.consume(bytes);
        self.state = match left - bytes as u64 {
            0 => State::Between,
            left => State::Skippable(left),
        };
        Ok(())
    }
}

impl<R: Read> Read for ZstdDecoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Between => self.between()?,
                State::Skippable(left) => self.skip(left)?,
                State::End => return Ok(0),
                State::Frame => match self.decode(out)? {
                    0 => {}
                    made => return Ok(made),
                },
            }
        }
    }
}

/// Distinguishes a damaged frame from a failed allocation of its window. zstd allocates the window after the frame
/// header. Both errors differ only in their code.
fn failed(error: &io::Error) -> io::Error {
    let code = error.get_ref().and_then(|error| error.downcast_ref::<::zstd::Error>());
    match code {
        Some(code) if code.is(ZSTD_ErrorCode::ZSTD_error_memory_allocation) => {
            Error::out_of_memory("the window of a zstd frame").into()
        }
        _ => refusal(Violation::CompressionCorrupt { format: Format::Zstd.name() }),
    }
}

/// The largest window that zstd supports (`ZSTD_WINDOWLOG_MAX`).
const LARGEST_WINDOW: u64 = if usize::BITS == 32 { 1 << 30 } else { 1 << 31 };

/// Magic, descriptor, window, dictionary and content size.
const LONGEST_HEADER: usize = 4 + 1 + 1 + 4 + 8;

/// Returns the memory that a frame needs, from the header after the magic; `None` if the header is incomplete.
///
/// Follows RFC 8878, section 3.1.1.1. A single-segment frame has no window: its whole content is one.
fn window_bytes(header: &[u8]) -> Option<u64> {
    let (&descriptor, rest) = header.split_first()?;
    let dictionary_bytes = dictionary_bytes(descriptor);
    let single_segment = descriptor & 0b10_0000 != 0;
    let size_bytes = match descriptor >> 6 {
        0 => usize::from(single_segment),
        power => 1 << power,
    };
    if !single_segment {
        let (&window, rest) = rest.split_first()?;
        rest.get(..dictionary_bytes + size_bytes)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 0b111));
    }
    let size = rest.get(dictionary_bytes..dictionary_bytes + size_bytes)?;
    let value = size.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    // A size of two bytes is stored minus 256.
    Some(if size_bytes == 2 { value + 256 } else { value })
}

/// Whether a frame needs a dictionary, which a layer cannot contain. The number zero means that there is none.
fn needs_dictionary(header: &[u8]) -> bool {
    let Some((&descriptor, rest)) = header.split_first() else { return false };
    let window_bytes = usize::from(descriptor & 0b10_0000 == 0);
    let id = rest.iter().skip(window_bytes).take(dictionary_bytes(descriptor));
    id.into_iter().any(|&byte| byte != 0)
}

/// The size of a dictionary's number in bytes.
fn dictionary_bytes(descriptor: u8) -> usize {
    match descriptor & 0b11 {
        3 => 4,
        bytes => bytes.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_needed_where_a_header_has_a_number_for_it() {
        let rows: &[(&[u8], bool)] = &[
            (&[], false),
            (&[0x00, 0x38], false),
            (&[0x01, 0x38, 0], false),
            (&[0x01, 0x38, 42], true),
            (&[0x02, 0x38, 0, 1], true),
            (&[0x03, 0x38, 0, 0, 0, 1], true),
            (&[0x03, 0x38, 0, 0, 0, 0, 9], false),
            // A single segment has no window descriptor.
            (&[0x21, 42, 5], true),
            (&[0x21, 0, 5], false),
            (&[0x20, 200], false),
        ];
        for (header, expected) in rows {
            assert_eq!(needs_dictionary(header), *expected, "{header:02x?}");
        }
    }

    #[test]
    fn the_window_is_read_from_every_form_of_header() {
        let rows: &[(&[u8], Option<u64>)] = &[
            (&[], None),
            (&[0x00], None),
            (&[0x00, 0x00], Some(1 << 10)),
            (&[0x00, 0x01], Some(1152)),
            (&[0x00, 0x88], Some(128 << 20)),
            (&[0x00, 0xff], Some((1 << 41) + (7 << 38))),
            (&[0x01, 0x00], None),
            (&[0x03, 0x50, 1, 2, 3, 4], Some(1 << 20)),
            (&[0x20, 200], Some(200)),
            (&[0x60, 0, 1], Some(512)),
            (&[0x62, 9, 9, 0, 1], Some(512)),
            (&[0xa0, 0, 0, 0, 0x80], Some(1 << 31)),
            (&[0xe0, 0, 0, 0, 0, 0, 0, 0], None),
            (&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], Some(1 << 63)),
        ];
        for (header, expected) in rows {
            assert_eq!(window_bytes(header), *expected, "{header:02x?}");
        }
    }
}
