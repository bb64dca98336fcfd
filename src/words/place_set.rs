//! A set of places that stays small.

use super::PlaceId;
use std::collections::HashSet;

/// How many places are sorted into a run at a time.
const RUN: usize = 1 << 18;

/// A set of places, eight bytes each. The latest are in a hash set, the rest in sorted runs.
///
/// A hash set alone would take up to twenty bytes a place, and half as much again while it grows. That is too much for
/// a layer with millions of files in a directory of a lower layer.
#[derive(Debug, Default)]
pub(crate) struct PlaceSet {
    recent: HashSet<PlaceId>,
    runs: Vec<Box<[PlaceId]>>,
}

impl PlaceSet {
    /// Adds a place, and returns whether it is new to the set. A layer may bring the same places again and again, and
    /// more of them than are hashed.
    pub(crate) fn insert(&mut self, place: PlaceId) -> bool {
        if self.runs.iter().any(|run| run.binary_search(&place).is_ok()) {
            return false;
        }
        if self.recent.len() == RUN && !self.recent.contains(&place) {
            let mut run: Vec<_> = self.recent.drain().collect();
            run.sort_unstable();
            self.runs.push(run.into());
        }
        self.recent.insert(place)
    }

    pub(crate) fn contains(&self, place: PlaceId) -> bool {
        self.recent.contains(&place) || self.runs.iter().any(|run| run.binary_search(&place).is_ok())
    }

    /// How many places it has.
    pub(crate) fn len(&self) -> usize {
        self.recent.len() + self.runs.iter().map(|run| run.len()).sum::<usize>()
    }

    /// Bytes of memory: a hash table has a byte beside each slot, and one slot in eight stays free.
    pub(crate) fn bytes(&self) -> u64 {
        let slots = self.recent.capacity() * 8 / 7;
        let runs: usize = self.runs.iter().map(|run| size_of_val(&**run)).sum();
        (slots * (size_of::<PlaceId>() + 1) + runs) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_in_whichever_run_it_lies() {
        let mut set = PlaceSet::default();
        let places = 0..3 * RUN as u64 + 5;
        places.clone().for_each(|place| assert!(set.insert(PlaceId(place * 7))));
        assert_eq!((set.runs.len(), set.recent.len()), (3, 5));
        assert!(
            places.step_by(1000).all(|place| set.contains(PlaceId(place * 7)) && !set.contains(PlaceId(place * 7 + 1)))
        );
    }

    #[test]
    fn what_comes_again_and_again_is_kept_once() {
        let mut set = PlaceSet::default();
        let places = 0..RUN as u64 * 2;
        (0..3).for_each(|round| places.clone().for_each(|place| assert_eq!(set.insert(PlaceId(place)), round == 0)));
        assert_eq!(set.len(), 2 * RUN);
    }
}
