//! Sparse files: the maps of the four formats.
//!
//! The formats are those of the GNU tar manual, appendix "Storing Sparse Files": old GNU (type `S`), and PAX 0.0, 0.1
//! and 1.0. Only the forms that GNU tar and libarchive write are accepted. Others are refused, because some readers accept
//! them and interpret them differently: a missing or late count, records of two formats, another type than `0`, a map
//! that does not reach the end of the file.

use super::block::{BLOCK, Block, Blocks};
use super::header::Header;
use super::number::{self, MOST_BYTES, decimal};
use crate::words::{Error, Escaped, Limit, Limits, Quirk, Segment, SparseMap, Violation};
use std::io::BufRead;

/// The PAX records of an entry about its holes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseRecords {
    /// The name of the file (0.1 and 1.0). `path` is a placeholder then.
    pub(crate) name: Option<Vec<u8>>,
    has_name: bool,
    /// The version. Only 1.0 has these records.
    major: Option<Vec<u8>>,
    minor: Option<Vec<u8>>,
    /// The size with all holes: the key of 0.0 and 0.1, and that of 1.0.
    size: Option<u64>,
    real_size: Option<u64>,
    /// The number of segments (0.0 and 0.1).
    count: Option<u64>,
    map: Option<MapForm>,
    segments: Vec<Segment>,
    /// An offset whose length has not been read yet (0.0).
    pending: Option<u64>,
    any: bool,
}

/// The form of a map in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MapForm {
    /// One record for each offset and one for each length (0.0).
    Pairs,
    /// A single record (0.1).
    List,
}

/// The location of a file's map.
pub(crate) enum Layout {
    /// In the headers, which were read.
    Known { size: u64, segments: Vec<Segment> },
    /// Before the data (1.0).
    InData { size: u64 },
    /// The map begins in the header and may continue in the blocks after it (old GNU).
    InBlocks { size: u64, segments: Vec<Segment>, more: bool },
}

impl SparseRecords {
    /// Adds one record. The key comes without `GNU.sparse.`.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Result<(), Violation> {
        self.any = true;
        let number = || {
            decimal(value).filter(|&number| number <= MOST_BYTES).ok_or_else(|| Violation::PaxValue {
                key: Escaped::new(&[b"GNU.sparse.", key].concat()),
                value: Escaped::new(value),
            })
        };
        match key {
            b"name" if value.is_empty() => return Err(unknown()),
            b"name" if value.contains(&0) => return Err(Violation::NameNul),
            b"name" => (self.name, self.has_name) = (Some(value.to_vec()), true),
            b"major" => self.major = Some(value.to_vec()),
            b"minor" => self.minor = Some(value.to_vec()),
            b"size" => self.size = Some(number()?),
            b"realsize" => self.real_size = Some(number()?),
            // GNU tar allocates memory at the count, and has none for a map before it.
            b"numblocks" if self.map.is_some() => return Err(unknown()),
            b"numblocks" => self.count = Some(number()?),
            b"offset" if self.count.is_none() || self.pending.is_some() => return Err(unknown()),
            b"offset" if self.map == Some(MapForm::List) => return Err(unknown()),
            b"offset" => (self.pending, self.map) = (Some(number()?), Some(MapForm::Pairs)),
            b"numbytes" => {
                let offset = self.pending.take().ok_or_else(unknown)?;
                self.push(Segment { offset, length: number()? }, limits)?;
            }
            b"map" if self.count.is_none() || self.map.is_some() => return Err(unknown()),
            b"map" => self.read_map(value, limits)?,
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Detects the format of the records; `None` if there are none.
    pub(crate) fn layout(self) -> Result<Option<Layout>, Violation> {
        let Self { has_name, major, minor, size, real_size, count, map, segments, pending, any, .. } = self;
        if !any {
            return Ok(None);
        }
        let counted = count == Some(segments.len() as u64) && pending.is_none();
        let version = (major.as_deref(), minor.as_deref());
        let (one, zero): (&[u8], &[u8]) = (b"1", b"0");
        match (version, map, has_name, size, real_size) {
            ((None, None), Some(MapForm::Pairs), false, Some(size), None)
            | ((None, None), Some(MapForm::List), true, Some(size), None)
                if counted =>
            {
                Ok(Some(Layout::Known { size, segments }))
            }
            (version, None, true, None, Some(size)) if version == (Some(one), Some(zero)) && count.is_none() => {
                Ok(Some(Layout::InData { size }))
            }
            _ => Err(unknown()),
        }
    }

    fn read_map(&mut self, value: &[u8], limits: &Limits) -> Result<(), Violation> {
        self.map = Some(MapForm::List);
        let mut numbers = value.split(|&byte| byte == b',');
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
    /// Reads the header of an entry of type `S`.
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

    /// Reads the rest of the map. Returns the map, and the number of data bytes after it.
    pub(crate) fn read<R: BufRead>(
        self,
        blocks: &mut Blocks<R>,
        stored: u64,
        limits: &Limits,
    ) -> Result<(SparseMap, u64), Error> {
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

/// The quirk of a segment that ends inside a block and is not the last one. GNU tar does not write such a segment. It reads
/// the next segment from the start of a block, and others read it from the end of this one.
pub(crate) fn unaligned(map: &SparseMap) -> Option<Quirk> {
    let last = map.segments().iter().rposition(|segment| segment.length > 0)?;
    let before = map.segments().iter().take(last);
    let segment = before.enumerate().find(|(_, segment)| segment.length % BLOCK as u64 != 0)?.0 + 1;
    Some(Quirk::SparseUnaligned { segment })
}

/// The bytes of one slot: an offset and a length.
const SLOT: usize = 24;
/// The position of the byte that says whether another block of slots follows.
const MORE: usize = 504;

fn add_block(segments: &mut Vec<Segment>, block: &Block, limits: &Limits) -> Result<bool, Violation> {
    let (slots, rest) = block.split_at(MORE);
    add_slots(segments, slots, limits)?;
    match rest.first() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        // Some readers continue with any other value than zero, some only with 1.
        _ => Err(Violation::Sparse { format: "old GNU" }),
    }
}

/// Adds slots up to the first empty one. All slots after it must be empty.
fn add_slots(segments: &mut Vec<Segment>, area: &[u8], limits: &Limits) -> Result<(), Violation> {
    let mut ended = false;
    for slot in area.chunks_exact(SLOT) {
        if slot.iter().all(|&byte| byte == 0) {
            ended = true;
            continue;
        }
        let (offset, length) = slot.split_at(SLOT / 2);
        // Some readers stop at a slot with an empty offset, some at one with an empty length.
        let value = |field: &[u8]| {
            let written = field.iter().any(|byte| !matches!(byte, b' ' | 0));
            number::parse(field).filter(|_| written).and_then(|value| u64::try_from(value).ok())
        };
        match (ended, value(offset), value(length)) {
            (false, Some(offset), Some(length)) => push(segments, Segment { offset, length }, limits)?,
            _ => return Err(Violation::Number { field: "sparse map", value: Escaped::new(slot) }),
        }
    }
    Ok(())
}

/// Reads the map of format 1.0: the count, then offset and length of each segment. Each is a decimal number on a line of its
/// own. NULs fill the last block.
fn map_in_data<R: BufRead>(blocks: &mut Blocks<R>, stored: u64, limits: &Limits) -> Result<(Vec<Segment>, u64), Error> {
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

/// Reads numbers, one a line, from the blocks before the data of a file.
struct Lines<'a, R> {
    blocks: &'a mut Blocks<R>,
    block: Block,
    at: usize,
    used: u64,
    stored: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn number(&mut self) -> Result<u64, Error> {
        let mut digits = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(decimal(&digits).ok_or_else(unknown)?),
                _ if digits.len() == 20 => return Err(unknown().into()),
                byte => digits.push(byte),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        if self.at == BLOCK {
            if self.stored - self.used < BLOCK as u64 {
                return Err(unknown().into());
            }
            self.block = self.blocks.block()?.ok_or(Violation::Truncated)?;
            self.used += BLOCK as u64;
            self.at = 0;
        }
        let byte = self.block.get(self.at).copied().ok_or(Error::bug("a position beyond its block"))?;
        self.at += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests;
