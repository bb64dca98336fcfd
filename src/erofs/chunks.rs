//! The chunks of a file with holes.

use crate::words::{Segment, SparseMap};

/// The largest chunk is 1 GiB: Linux shifts a number of 32 bits by this on small machines.
const LARGEST: u8 = 30;

/// Chunks without data, and then chunks with data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) hole: u64,
    pub(super) chunks: u64,
}

/// How a file with holes is divided into chunks. A chunk with any data is stored whole; one without data is not stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The size of a chunk is two to this power.
    pub(super) bits: u8,
    pub(super) runs: Vec<Run>,
}

impl Plan {
    /// The division that takes the fewest bytes. Small chunks need a long map, and large ones store zeros around the data.
    pub(super) fn new(map: &SparseMap, size: u64, block_bits: u8) -> Self {
        let cost = |bits: u8| {
            let stored = (stored_chunks(map, bits)).saturating_mul(1 << bits);
            stored.saturating_add(4 * size.div_ceil(1 << bits))
        };
        let bits = (block_bits..=LARGEST).rev().min_by_key(|&bits| cost(bits)).unwrap_or(block_bits);
        let mut runs: Vec<Run> = Vec::new();
        let mut end = 0;
        for (first, behind) in spans(map, bits) {
            match runs.last_mut() {
                Some(run) if first <= end => run.chunks += behind - end.min(behind),
                _ => runs.push(Run { hole: first - end, chunks: behind - first }),
            }
            end = behind;
        }
        Self { bits, runs }
    }
}

/// The number of chunks with data.
fn stored_chunks(map: &SparseMap, bits: u8) -> u64 {
    let (mut end, mut chunks) = (0, 0);
    for (first, behind) in spans(map, bits) {
        chunks += behind - first.max(end).min(behind);
        end = behind;
    }
    chunks
}

/// The first chunk of each segment with data, and the one behind its last.
fn spans(map: &SparseMap, bits: u8) -> impl Iterator<Item = (u64, u64)> {
    let segments = map.segments().iter().filter(|segment| segment.length > 0);
    segments.map(move |&Segment { offset, length }| (offset >> bits, ((offset + length - 1) >> bits) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(segments: &[(u64, u64)], size: u64) -> Plan {
        let segments: Vec<_> = segments.iter().map(|&(offset, length)| Segment { offset, length }).collect();
        let stored = segments.iter().map(|segment| segment.length).sum();
        Plan::new(&SparseMap::new(segments, size, stored).unwrap(), size, 9)
    }

    #[test]
    fn the_division_with_the_fewest_bytes_is_chosen() {
        // A file that is one hole has few chunks.
        assert_eq!(plan(&[(1 << 40, 0)], 1 << 40), Plan { bits: 30, runs: vec![] });
        // Data in a single block among few is stored as that block.
        let run = Run { hole: 4, chunks: 1 };
        assert_eq!(plan(&[(2100, 8), (4096, 0)], 4096), Plan { bits: 9, runs: vec![run] });
        // Two segments in one chunk, and one across chunks.
        let found = plan(&[(0, 1), (100, 1), (1000, 100), (8192, 0)], 8192);
        assert_eq!(found, Plan { bits: 9, runs: vec![Run { hole: 0, chunks: 3 }] });
        // Of a large file with little data, the map and the zeros around the data are balanced.
        let segments: Vec<_> = (0..1024).map(|at| (at << 30, 1)).chain([(1 << 40, 0)]).collect();
        let found = plan(&segments, 1 << 40);
        assert_eq!((found.bits, found.runs.len()), (16, 1024));
        assert_eq!(found.runs[1], Run { hole: (1 << 14) - 1, chunks: 1 });
    }
}
