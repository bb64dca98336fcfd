//! Sparse files, in the one form that readers agree on.
//!
//! PAX format 1.0 is the one that GNU tar writes today, and GNU tar, libarchive, Go and Python read it. GNU tar reads each
//! segment from the beginning of a block, others from where the last one ends. So all segments are whole blocks, up to
//! the end of the file.

use crate::read::BLOCK;
use crate::words::{Segment, SparseMap};

const BLOCK_BYTES: u64 = BLOCK as u64;

/// The canonical segments of a file: whole blocks that do not touch each other. Only a segment at the end of the file
/// may be empty.
///
/// `None` if there is no hole of a whole block: such a file is written as it reads.
pub(super) fn segments(map: &SparseMap, size: u64) -> Option<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::with_capacity(map.segments().len());
    for segment in map.segments().iter().filter(|segment| segment.length > 0) {
        let begin = segment.offset - segment.offset % BLOCK_BYTES;
        let end = (segment.offset + segment.length).checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u64::MAX).min(size);
        match segments.last_mut() {
            Some(last) if last.offset + last.length >= begin => last.length = end - last.offset,
            _ => segments.push(Segment { offset: begin, length: end - begin }),
        }
    }
    match segments.last() {
        Some(last) if last.offset + last.length == size => (),
        // Of a file that has holes alone, libarchive reads nothing. So its last block is stored.
        None if size > 0 => {
            let offset = (size - 1) / BLOCK_BYTES * BLOCK_BYTES;
            segments.push(Segment { offset, length: size - offset });
        }
        // The map has to reach the end of the file.
        _ => segments.push(Segment { offset: size, length: 0 }),
    }
    let is_whole = matches!(segments.first(), Some(&Segment { offset: 0, length }) if length == size);
    (!is_whole).then_some(segments)
}

/// The bytes of all segments.
pub(super) fn stored(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| segment.length).sum()
}

/// The map as it stands in front of the data: the number of segments and then the offset and length of each, a decimal
/// number a line, filled up to whole blocks.
pub(super) fn text(segments: &[Segment]) -> Vec<u8> {
    let numbers = segments.iter().flat_map(|segment| [segment.offset, segment.length]);
    let numbers = std::iter::once(segments.len() as u64).chain(numbers);
    let mut text = numbers.map(|number| format!("{number}\n")).collect::<String>().into_bytes();
    text.resize(text.len().next_multiple_of(BLOCK), 0);
    text
}

/// How many bytes of a hole are stored as zeros, because the segments around it are whole blocks. `from` is the first
/// segment that does not end before the hole; it moves on.
pub(super) fn zeros(segments: &[Segment], from: &mut usize, hole: Segment) -> u64 {
    let end = hole.offset + hole.length;
    let mut zeros = 0;
    while let Some(segment) = segments.get(*from).filter(|segment| segment.offset < end) {
        let segment_end = segment.offset + segment.length;
        zeros += segment_end.min(end).saturating_sub(segment.offset.max(hole.offset));
        if segment_end > end {
            break;
        }
        *from += 1;
    }
    zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(u64, u64)], size: u64) -> Option<Vec<(u64, u64)>> {
        let segments: Vec<_> = pairs.iter().map(|&(offset, length)| Segment { offset, length }).collect();
        let stored = stored(&segments);
        let map = SparseMap::new(segments, size, stored).unwrap();
        let segments = super::segments(&map, size)?;
        Some(segments.iter().map(|segment| (segment.offset, segment.length)).collect())
    }

    #[test]
    fn segments_are_whole_blocks_that_do_not_touch() {
        assert_eq!(of(&[(0, 0)], 0), None);
        assert_eq!(of(&[(0, 700)], 700), None);
        assert_eq!(of(&[(0, 5), (9, 1)], 10), None);
        assert_eq!(of(&[(100, 0)], 100), None);
        assert_eq!(of(&[(5000, 0)], 5000), Some(vec![(4608, 392)]));
        assert_eq!(of(&[(1024, 512), (4096, 0)], 4096), Some(vec![(1024, 512), (4096, 0)]));
        assert_eq!(of(&[(0, 0), (512, 512), (1024, 512), (5000, 0)], 5000), Some(vec![(512, 1024), (5000, 0)]));
        assert_eq!(of(&[(600, 10), (1030, 10), (4000, 1)], 4001), Some(vec![(512, 1024), (3584, 417)]));
        assert_eq!(of(&[(1 << 40, 7)], (1 << 40) + 7), Some(vec![(1 << 40, 7)]));
    }

    #[test]
    fn the_map_is_decimal_lines_in_whole_blocks() {
        let text = text(&[Segment { offset: 512, length: 1024 }, Segment { offset: 5000, length: 0 }]);
        assert!(text.starts_with(b"2\n512\n1024\n5000\n0\n\0") && text.len() == 512);
        assert!(super::text(&vec![Segment { offset: 1 << 40, length: 512 }; 100]).len().is_multiple_of(512));
    }
}
