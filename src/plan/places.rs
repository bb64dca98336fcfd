//! A set of places that stays small.

use crate::words::PlaceId;
use std::collections::HashSet;

/// How many places are sorted into a run at a time.
const RUN: usize = 1 << 18;

/// A set of places of eight bytes each: what was added last is hashed, the rest lies in sorted runs.
///
/// A hash set alone would take up to twenty bytes a place, and half as much again while it grows: too much for a
/// layer that brings millions of files into a directory that lower layers have, too.
#[derive(Debug, Default)]
pub(crate) struct PlaceSet {
    recent: HashSet<PlaceId>,
    runs: Vec<Box<[PlaceId]>>,
}

impl PlaceSet {
    pub(crate) fn insert(&mut self, place: PlaceId) {
        if self.recent.len() == RUN && !self.recent.contains(&place) {
            let mut run: Vec<_> = self.recent.drain().collect();
            run.sort_unstable();
            self.runs.push(run.into());
        }
        self.recent.insert(place);
    }

    pub(crate) fn contains(&self, place: PlaceId) -> bool {
        self.recent.contains(&place) || self.runs.iter().any(|run| run.binary_search(&place).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_in_whichever_run_it_lies() {
        let mut set = PlaceSet::default();
        let places = 0..3 * RUN as u64 + 5;
        places.clone().for_each(|place| set.insert(PlaceId(place * 7)));
        assert_eq!((set.runs.len(), set.recent.len()), (3, 5));
        assert!(
            places.step_by(1000).all(|place| set.contains(PlaceId(place * 7)) && !set.contains(PlaceId(place * 7 + 1)))
        );
    }
}
