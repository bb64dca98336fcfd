//! The data segments of sparse files.

use super::Violation;
use std::sync::Arc;

/// A segment of data in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// The data segments of a sparse file: ascending, without overlap, up to the end of the file. The rest are holes.
///
/// A clone shares the segments.
///
/// The last segment ends where the file ends; it is empty if the file ends in a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseMap(Arc<[Segment]>);

impl SparseMap {
    /// Checks the segments of a file of `size` bytes, holes included, with `stored` bytes in the archive.
    ///
    /// # Errors
    ///
    /// [`Violation::SparseMap`] if segments are out of order or overlap, or if the last one does not end at the end of
    /// the file. No writer writes such a map, and readers differ on the content after the last segment.
    /// [`Violation::SparseSize`] if the sum of their lengths is not `stored`.
    pub fn new(segments: Vec<Segment>, size: u64, stored: u64) -> Result<Self, Violation> {
        let mut end = 0;
        let mut data = 0_u64;
        for (index, segment) in segments.iter().enumerate() {
            let next = segment.offset.checked_add(segment.length).filter(|&next| next <= size);
            match next {
                Some(next) if segment.offset >= end => end = next,
                _ => return Err(Violation::SparseMap { segment: index + 1 }),
            }
            data += segment.length; // within `size`, for segments do not overlap
        }
        if end != size || segments.is_empty() {
            return Err(Violation::SparseMap { segment: segments.len() + 1 });
        }
        if data != stored {
            return Err(Violation::SparseSize { stored, mapped: data });
        }
        Ok(Self(segments.into()))
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_ascend_within_the_file_and_are_as_long_as_what_is_stored() {
        let map = |pairs: &[(u64, u64)], size, stored| {
            let segments = pairs.iter().map(|&(offset, length)| Segment { offset, length }).collect();
            SparseMap::new(segments, size, stored).map_err(|violation| violation.id())
        };
        assert!(
            map(&[(0, 0)], 0, 0).is_ok()
                && map(&[(100, 0)], 100, 0).is_ok()
                && map(&[(0, 0), (0, 5), (5, 5), (100, 0)], 100, 10).is_ok()
                && map(&[(0, 5), (90, 10)], 100, 15).is_ok()
        );
        let wrong =
            [&[(0, 5), (4, 1)][..], &[(9, 1), (0, 1)], &[(99, 2)], &[(u64::MAX, 2)], &[(101, 0)], &[], &[(98, 1)]];
        for wrong in wrong {
            assert_eq!(map(wrong, 100, 0), Err("sparse-map"));
        }
        assert_eq!(map(&[], 0, 0), Err("sparse-map"));
        assert_eq!(map(&[(0, 5)], 5, 6), Err("sparse-size"));
        assert_eq!(map(&[(0, 5)], 5, 0), Err("sparse-size"));
    }
}
