//! Sparse files: where each of the four formats says which parts of a file it has.
//!
//! The formats are those of the GNU tar manual, appendix "Storing Sparse Files": old GNU (type `S`), and PAX
//! 0.0, 0.1 and 1.0.

use super::block::{BLOCK, Block, Blocks};
use super::header::Header;
use super::number;
use super::pax::decimal;
use crate::words::{Escaped, Fault, Limit, Limits, Segment, SparseMap, Violation};
use std::io::BufRead;

/// What the PAX records of an entry say about its holes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseRecords {
    /// The name of the file, for which `path` is a stand-in.
    pub(crate) name: Option<Vec<u8>>,
    major: Option<u64>,
    minor: Option<u64>,
    /// The size with all holes, under both of its keys.
    size: Option<u64>,
    count: Option<u64>,
    segments: Vec<Segment>,
    /// An offset that waits for its length (0.0).
    pending: Option<u64>,
    has_map: bool,
    any: bool,
}

/// How a file's map is found.
pub(crate) enum Layout {
    /// It stands in the headers.
    Known { size: u64, segments: Vec<Segment> },
    /// It stands in front of the data (1.0).
    InData { size: u64 },
    /// It begins in the header and may go on in blocks behind it (old GNU).
    InBlocks { size: u64, segments: Vec<Segment>, more: bool },
}

impl SparseRecords {
    /// Takes one record, by its key without `GNU.sparse.`.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Result<(), Violation> {
        self.any = true;
        let number = || {
            decimal(value).ok_or_else(|| Violation::PaxValue {
                key: Escaped::new(&[b"GNU.sparse.", key].concat()),
                value: Escaped::new(value),
            })
        };
        match key {
            b"name" if value.contains(&0) => return Err(Violation::NameNul),
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = Some(number()?),
            b"minor" => self.minor = Some(number()?),
            b"size" | b"realsize" => match self.size.replace(number()?) {
                Some(other) if Some(other) != self.size => return Err(unknown()),
                _ => (),
            },
            b"numblocks" => self.count = Some(number()?),
            b"offset" if self.pending.is_some() => return Err(unknown()),
            b"offset" => self.pending = Some(number()?),
            b"numbytes" => {
                let offset = self.pending.take().ok_or_else(unknown)?;
                self.push(Segment { offset, length: number()? }, limits)?;
            }
            b"map" if self.has_map || !self.segments.is_empty() => return Err(unknown()),
            b"map" => self.read_map(value, limits)?,
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Which format these records are; `None` when there are none.
    pub(crate) fn layout(self) -> Result<Option<Layout>, Violation> {
        match self {
            Self { any: false, .. } => Ok(None),
            Self { pending: Some(_), .. } => Err(unknown()),
            Self { major: Some(1), minor: Some(0), size: Some(size), has_map: false, segments, .. }
                if segments.is_empty() =>
            {
                Ok(Some(Layout::InData { size }))
            }
            Self { major: None | Some(0), minor: None | Some(0 | 1), size: Some(size), count, segments, .. }
                if count.is_none_or(|count| count == segments.len() as u64) =>
            {
                Ok(Some(Layout::Known { size, segments }))
            }
            _ => Err(unknown()),
        }
    }

    fn read_map(&mut self, value: &[u8], limits: &Limits) -> Result<(), Violation> {
        self.has_map = true;
        let mut numbers = value.split(|&byte| byte == b',').filter(|_| !value.is_empty());
        while let Some(offset) = numbers.next() {
            let pair = (decimal(offset), numbers.next().and_then(decimal));
            let (Some(offset), Some(length)) = pair else { return Err(unknown()) };
            self.push(Segment { offset, length }, limits)?;
        }
        Ok(())
    }

    fn push(&mut self, segment: Segment, limits: &Limits) -> Result<(), Violation> {
        push(&mut self.segments, segment, limits)
    }
}

fn push(segments: &mut Vec<Segment>, segment: Segment, limits: &Limits) -> Result<(), Violation> {
    limits.check(Limit::SparseSegments, segments.len() as u64 + 1)?;
    segments.push(segment);
    Ok(())
}

fn unknown() -> Violation {
    Violation::Sparse { format: "PAX" }
}

impl Layout {
    /// Reads what the header of an entry of type `S` says.
    pub(crate) fn of_old_gnu(header: &Header, limits: &Limits) -> Result<Self, Violation> {
        let (area, more, size) = header.gnu_sparse()?;
        let mut segments = Vec::new();
        add_slots(&mut segments, area, limits)?;
        Ok(Self::InBlocks { size, segments, more })
    }

    /// The size of the file with all its holes.
    pub(crate) fn size(&self) -> u64 {
        match *self {
            Self::Known { size, .. } | Self::InData { size } | Self::InBlocks { size, .. } => size,
        }
    }

    /// Reads what is still to be read of the map, and gives it with the bytes of data that are left.
    pub(crate) fn read<R: BufRead>(
        self,
        blocks: &mut Blocks<R>,
        stored: u64,
        limits: &Limits,
    ) -> Result<(SparseMap, u64), Fault> {
        match self {
            Self::Known { size, segments } => Ok((SparseMap::new(segments, size, stored)?, stored)),
            Self::InBlocks { size, mut segments, mut more } => {
                while more {
                    let block = blocks.block()?.ok_or(Violation::Truncated)?;
                    more = add_block(&mut segments, &block, limits)?;
                }
                Ok((SparseMap::new(segments, size, stored)?, stored))
            }
            Self::InData { size } => {
                let (segments, used) = map_in_data(blocks, stored, limits)?;
                Ok((SparseMap::new(segments, size, stored - used)?, stored - used))
            }
        }
    }
}

/// Bytes of one slot: an offset and a length.
const SLOT: usize = 24;
/// Where a block of slots says whether another one follows.
const MORE: usize = 504;

fn add_block(segments: &mut Vec<Segment>, block: &Block, limits: &Limits) -> Result<bool, Violation> {
    let (slots, rest) = block.split_at(MORE);
    add_slots(segments, slots, limits)?;
    match rest.first() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        // Some readers ask for any other value than zero, some for just this one.
        _ => Err(Violation::Sparse { format: "old GNU" }),
    }
}

/// Adds slots up to the first empty one, behind which all must be empty.
fn add_slots(segments: &mut Vec<Segment>, area: &[u8], limits: &Limits) -> Result<(), Violation> {
    let mut ended = false;
    for slot in area.chunks_exact(SLOT) {
        if slot.iter().all(|&byte| byte == 0) {
            ended = true;
            continue;
        }
        let (offset, length) = slot.split_at(SLOT / 2);
        let value = |field: &[u8]| number::parse(field).and_then(|value| u64::try_from(value).ok());
        match (ended, value(offset), value(length)) {
            (false, Some(offset), Some(length)) => push(segments, Segment { offset, length }, limits)?,
            _ => return Err(Violation::Number { field: "sparse map", value: Escaped::new(slot) }),
        }
    }
    Ok(())
}

/// Reads the map of format 1.0: the count and then offset and length of each segment, a decimal number a
/// line, filled up with NULs to whole blocks.
fn map_in_data<R: BufRead>(blocks: &mut Blocks<R>, stored: u64, limits: &Limits) -> Result<(Vec<Segment>, u64), Fault> {
    let mut lines = Lines { blocks, block: [0; BLOCK], at: BLOCK, used: 0, stored };
    let count = lines.number()?;
    limits.check(Limit::SparseSegments, count)?;
    let mut segments = Vec::new();
    for _ in 0..count {
        let (offset, length) = (lines.number()?, lines.number()?);
        segments.push(Segment { offset, length });
    }
    if lines.block.iter().skip(lines.at).any(|&byte| byte != 0) {
        return Err(unknown().into());
    }
    Ok((segments, lines.used))
}

/// Numbers, a line each, in the blocks before a file's data.
struct Lines<'a, R> {
    blocks: &'a mut Blocks<R>,
    block: Block,
    at: usize,
    used: u64,
    stored: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn number(&mut self) -> Result<u64, Fault> {
        let mut digits = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(decimal(&digits).ok_or_else(unknown)?),
                _ if digits.len() == 20 => return Err(unknown().into()),
                byte => digits.push(byte),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        if self.at == BLOCK {
            if self.stored - self.used < BLOCK as u64 {
                return Err(unknown().into());
            }
            self.block = self.blocks.block()?.ok_or(Violation::Truncated)?;
            self.used += BLOCK as u64;
            self.at = 0;
        }
        let byte = self.block.get(self.at).copied().ok_or(Fault::Bug("a position beyond its block"))?;
        self.at += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests;
