//! Compression: any bytes; and members and frames that are known, whole, cut or changed.

use super::bytes::Bytes;
use super::compress::{self, GzipHeader, HeaderChecksum};
use super::pieces::{Pieces, SINGLE};
use super::reading::violation;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use layercage::blob::{Checked, Format, LayerStream};
use layercage::rules::{Limit, Quirk, Violation};
use layercage::{Error, Expected, Limits};
use std::io::{Read, Write};
use std::ops::Range;

/// What came of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    format: Option<Format>,
    bytes: Vec<u8>,
    end: Result<Checked, Violation>,
}

/// More is not read: a few bytes may say a thousand times as many.
const MOST: usize = 1 << 18;

/// Decompresses a stream in every way.
pub fn compression(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let sizes = bytes.take(4);
    match bytes.below(4) {
        0 => any(bytes.rest(), sizes),
        1 => known(&gzip(&mut bytes), sizes, &mut bytes),
        2 => known(&zstd(&mut bytes), sizes, &mut bytes),
        _ => {
            let magic = bytes.pick(&[&[0x1f, 0x8b, 8][..], &compress::ZSTD_MAGIC, &[0x50, 0x2a, 0x4d, 0x18]]);
            any(&[magic, bytes.rest()].concat(), sizes);
        }
    }
}

fn read(stream: &[u8], sizes: &[u8]) -> Outcome {
    let limits = Limits::default().with(Limit::ZstdWindowBytes, 1 << 20);
    let error = |error: Error| Err(violation(error));
    let mut layer = match LayerStream::open(Pieces::new(stream, sizes), Expected::unchecked(), &limits) {
        Ok(layer) => layer,
        Err(refused) => return Outcome { format: None, bytes: Vec::new(), end: error(refused) },
    };
    let format = Some(layer.format());
    let mut bytes = Vec::new();
    let read = layer.by_ref().take(MOST as u64).read_to_end(&mut bytes);
    assert!(layer.blob_bytes() <= stream.len() as u64);
    let end = match read {
        Err(error) => {
            let first = violation(Error::of_reader(error));
            let again = layer.read(&mut [0; 1]).map_err(Error::of_reader);
            assert!(
                again.as_ref().is_err_and(|error| error.misuse().is_some()),
                "nothing comes behind an error: {again:?}"
            );
            Err(first)
        }
        Ok(_) if bytes.len() == MOST => Err(Violation::Truncated),
        Ok(_) => layer.finish().or_else(error),
    };
    Outcome { format, bytes, end }
}

/// Reads a stream in pieces of several sizes, of which the same must come.
fn read_alike(stream: &[u8], sizes: &[u8]) -> Outcome {
    let whole = read(stream, &[]);
    for sizes in [sizes, SINGLE] {
        let split = read(stream, sizes);
        assert_eq!((whole.format, &whole.end), (split.format, &split.end), "in pieces {sizes:?} the same comes of it");
        // How much is given out before an error depends on how much was asked for.
        let shared = if whole.end.is_ok() { usize::MAX } else { whole.bytes.len().min(split.bytes.len()) };
        assert!(whole.bytes.iter().take(shared).eq(split.bytes.iter().take(shared)), "in pieces other bytes come");
    }
    if let Ok(checked) = &whole.end {
        let all = (checked.blob_bytes, checked.unpacked_bytes);
        assert_eq!(all, (stream.len() as u64, whole.bytes.len() as u64), "all of it was read");
    }
    whole
}

/// Whatever we take, others take for the same.
fn any(stream: &[u8], sizes: &[u8]) {
    let Outcome { format, bytes, end: Ok(checked) } = read_alike(stream, sizes) else { return };
    let mut other = Vec::new();
    match format {
        Some(Format::Gzip) => {
            let padded = checked.quirks == [Quirk::GzipPadding];
            let result = MultiGzDecoder::new(stream).read_to_end(&mut other);
            assert!(result.is_ok() != padded, "{result:?}");
        }
        Some(Format::Zstd) => other = zstd::decode_all(stream).unwrap(),
        _ => other = stream.to_vec(),
    }
    assert!(bytes == other, "others read something else");
}

/// A stream of which it is known what it holds.
struct Known {
    parts: Vec<Part>,
    /// Behind the last one.
    padding: usize,
    /// Whether a change of any but the fragile bytes cannot go unseen.
    checked: bool,
}

/// A member or a frame.
struct Part {
    bytes: Vec<u8>,
    content: Vec<u8>,
    /// What no checksum covers and may yet change where the content is looked for.
    fragile: Range<usize>,
}

impl Part {
    fn new(bytes: Vec<u8>, content: impl Into<Vec<u8>>) -> Self {
        Self { bytes, content: content.into(), fragile: 0..0 }
    }
}

fn known(known: &Known, sizes: &[u8], bytes: &mut Bytes<'_>) {
    let mut stream: Vec<_> = known.parts.iter().flat_map(|part| part.bytes.clone()).collect();
    stream.resize(stream.len() + known.padding, 0);
    let content: Vec<_> = known.parts.iter().flat_map(|part| part.content.clone()).collect();
    let whole = read_alike(&stream, sizes);
    let quirks = match whole.end {
        Ok(checked) => checked.quirks,
        // The sum of the first block may stand in it by chance, as a number.
        Err(Violation::TwoFormats { .. }) if stream.iter().skip(148).take(8).any(u8::is_ascii_digit) => return,
        Err(violation) => panic!("what was written is refused: {violation}"),
    };
    assert!(whole.bytes == content, "something else comes out than went in");
    assert_eq!(quirks.contains(&Quirk::GzipPadding), known.padding > 0);

    // Cut, it is refused, or it is what stands before the cut.
    let cut = (usize::from(bytes.byte()) << 8 | usize::from(bytes.byte())) % (stream.len() + 1);
    let outcome = read_alike(&stream[..cut], sizes);
    if outcome.end.is_ok() && outcome.format == whole.format {
        let mut before = (0, 0);
        let at_an_end = known.parts.iter().any(|part| {
            before = (before.0 + part.bytes.len(), before.1 + part.content.len());
            before.1 == outcome.bytes.len() && before.0 <= cut
        });
        assert!(at_an_end && content.starts_with(&outcome.bytes), "a stream cut at {cut} passes for a whole one");
    }

    // Changed, it is refused, or it makes no difference.
    let at = (usize::from(bytes.byte()) << 8 | usize::from(bytes.byte())) % stream.len();
    let mut start = 0;
    let fragile = known.parts.iter().any(|part| {
        start += part.bytes.len();
        part.fragile.contains(&(at + part.bytes.len()).wrapping_sub(start))
    });
    if known.checked && !fragile {
        stream[at] ^= bytes.byte().max(1);
        let outcome = read_alike(&stream, sizes);
        if outcome.end.is_ok() && outcome.format == whole.format {
            assert!(outcome.bytes == content, "a changed byte at {at} changes what comes out");
        }
    }
}

/// What a part holds: some bytes, which may be repeated.
fn content(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let some = bytes.some(100);
    some.repeat(1 + bytes.below(64) * bytes.below(4))
}

fn gzip(bytes: &mut Bytes<'_>) -> Known {
    let parts = (0..1 + bytes.below(5)).map(|_| {
        let content = content(bytes);
        // The flags, and what they announce: a name that goes on may swallow a member.
        let mut fragile = 3..4;
        let member = match bytes.below(3) {
            0 => {
                let checksum = bytes.pick(&[HeaderChecksum::None, HeaderChecksum::Right]);
                let (extra, name) = (bytes.pick(&[&b""[..], b"x", &[b'x'; 300]]), bytes.pick(&["", "n", "name.tar"]));
                let comment = bytes.pick(&["", "c"]);
                fragile.end = 10 + 2 + extra.len() + name.len() + comment.len() + 2 + 2;
                compress::gzip_with(GzipHeader { extra, name, comment, checksum, flags: bytes.byte() & 1 }, &content)
            }
            _ => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(bytes.below(10) as u32));
                encoder.write_all(&content).unwrap();
                encoder.finish().unwrap()
            }
        };
        Part { fragile, ..Part::new(member, content) }
    });
    let parts = parts.collect();
    Known { parts, padding: bytes.below(40).saturating_sub(20) * 30, checked: true }
}

fn zstd(bytes: &mut Bytes<'_>) -> Known {
    let mut checked = true;
    let parts = (0..1 + bytes.below(5)).map(|_| {
        let choice = bytes.below(6);
        checked &= choice >= 3;
        match choice {
            0 => Part::new(compress::zstd_skippable(bytes.some(90)), []),
            1 => {
                let content = content(bytes);
                Part::new(compress::zstd(&content), content)
            }
            // One segment, its size in one byte.
            2 => {
                let content = bytes.some(100);
                Part::new(compress::zstd_with(0x20, &[content.len() as u8], content), content)
            }
            _ => {
                let content = content(bytes);
                let mut encoder = zstd::Encoder::new(Vec::new(), bytes.below(4) as i32).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.window_log(10 + bytes.below(10) as u32).unwrap();
                encoder.write_all(&content).unwrap();
                Part::new(encoder.finish().unwrap(), content)
            }
        }
    });
    let parts = parts.collect();
    Known { parts, padding: 0, checked }
}
