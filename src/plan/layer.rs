//! What the layer being applied has brought so far.

use super::places::PlaceSet;
use crate::words::{DirectoryId, PlaceId};
use std::collections::HashSet;

/// How a place stands to the layer being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The layer brought it (or brings it as a parent that no entry lists).
    Own,
    /// A lower layer's directory, below which the layer brought something.
    Passage,
    /// A lower layer's.
    Lower,
}

/// What the layer being applied has brought so far, keyed by the places that names resolve to.
///
/// Nothing is kept for what lies in directories that hold nothing of lower layers, and nothing at all of a layer
/// over an empty tree.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// There is nothing of lower layers, so that nothing needs to be kept.
    alone: bool,
    places: PlaceSet,
    passages: HashSet<PlaceId>,
    /// Directories that hold nothing of lower layers: made, or cleared, by this one.
    own: HashSet<DirectoryId>,
    is_something: bool,
}

impl Brought {
    /// What a layer has brought before its first entry.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// Whether the layer has brought anything, a parent that no entry lists included.
    pub(crate) fn is_something(&self) -> bool {
        self.is_something
    }

    /// The same, where there is nothing of lower layers: all is its own.
    pub(crate) fn over_nothing() -> Self {
        Self { alone: true, ..Self::default() }
    }

    /// How a place in a directory stands to the layer.
    pub(crate) fn standing(&self, within: DirectoryId, place: PlaceId) -> Standing {
        if self.is_own(within) || self.places.contains(place) {
            Standing::Own
        } else if self.passages.contains(&place) {
            Standing::Passage
        } else {
            Standing::Lower
        }
    }

    /// The layer brings something to a place.
    pub(crate) fn bring(&mut self, within: DirectoryId, place: PlaceId) {
        self.is_something = true;
        if !self.is_own(within) {
            self.places.insert(place);
        }
    }

    /// The layer brings something to somewhere below a directory at a place.
    pub(crate) fn pass(&mut self, within: DirectoryId, place: PlaceId) {
        if !self.is_own(within) && !self.places.contains(place) {
            self.passages.insert(place);
        }
    }

    /// A directory holds nothing of lower layers.
    pub(crate) fn own(&mut self, directory: DirectoryId) {
        if !self.alone {
            self.own.insert(directory);
        }
    }

    /// Whether a directory holds nothing of lower layers.
    pub(crate) fn is_own(&self, directory: DirectoryId) -> bool {
        self.alone || self.own.contains(&directory)
    }

    /// A directory of a lower layer is from now on a parent that no entry lists.
    pub(crate) fn make_implied(&mut self, within: DirectoryId, place: PlaceId) {
        self.passages.remove(&place);
        self.bring(within, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_own_by_itself_or_by_its_directory() {
        let (shared, made) = (DirectoryId(0), DirectoryId(1));
        let mut brought = Brought::nothing();
        brought.bring(shared, PlaceId(1));
        brought.pass(shared, PlaceId(2));
        brought.pass(shared, PlaceId(1));
        brought.own(made);
        assert_eq!(brought.standing(shared, PlaceId(1)), Standing::Own);
        assert_eq!(brought.standing(shared, PlaceId(2)), Standing::Passage);
        assert_eq!(brought.standing(shared, PlaceId(3)), Standing::Lower);
        assert_eq!(brought.standing(made, PlaceId(4)), Standing::Own);
        brought.make_implied(shared, PlaceId(2));
        assert_eq!(brought.standing(shared, PlaceId(2)), Standing::Own);
    }

    #[test]
    fn files_in_directories_of_its_own_cost_nothing() {
        let mut brought = Brought::nothing();
        brought.own(DirectoryId(0));
        brought.bring(DirectoryId(0), PlaceId(1));
        assert!(!brought.places.contains(PlaceId(1)));
    }

    #[test]
    fn over_nothing_all_is_own_and_nothing_is_kept() {
        let mut brought = Brought::over_nothing();
        brought.own(DirectoryId(1));
        brought.bring(DirectoryId(2), PlaceId(1));
        brought.pass(DirectoryId(2), PlaceId(2));
        assert_eq!(brought.standing(DirectoryId(3), PlaceId(3)), Standing::Own);
        assert!(brought.own.is_empty() && brought.passages.is_empty() && !brought.places.contains(PlaceId(1)));
    }
}
