//! What the layer being applied has brought so far.

use crate::words::{DirectoryId, Limit, Limits, PlaceId, PlaceSet, Violation};

/// How a place stands to the layer being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The layer brought it (or brings it as a parent that no entry lists).
    Own,
    /// A lower layer's directory, below which the layer brought something.
    Traversed,
    /// A lower layer's.
    Lower,
}

/// What the layer being applied has brought so far, keyed by the places that names resolve to.
///
/// Nothing is kept for what lies in directories that hold nothing of lower layers, and nothing at all of a layer over
/// an empty tree. So memory is bounded by the content of lower layers and by the names of the layer's entries. A tree
/// that the layer creates and replaces many times, with different names each time, adds nothing.
#[derive(Debug, Default)]
pub(crate) struct LayerContents {
    /// There is nothing of lower layers, so that nothing needs to be kept.
    alone: bool,
    places: PlaceSet,
    passages: PlaceSet,
    /// Directories that were cleared: they hold nothing of lower layers any more.
    cleared: PlaceSet<DirectoryId>,
    is_something: bool,
}

impl LayerContents {
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

    /// Says when more is kept than the limit allows.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Violation> {
        limits.check(Limit::LayerPlaces, (self.places.len() + self.passages.len() + self.cleared.len()) as u64)
    }

    /// How a place in a directory stands to the layer.
    pub(crate) fn standing(&self, within: DirectoryId, place: PlaceId) -> Standing {
        if self.is_own(within) || self.places.contains(place) {
            Standing::Own
        } else if self.passages.contains(place) {
            Standing::Traversed
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

    /// Records that a directory holds nothing of lower layers any more.
    pub(crate) fn clear(&mut self, directory: DirectoryId) {
        if !self.is_own(directory) {
            self.cleared.insert(directory);
        }
    }

    /// Whether a directory holds nothing of lower layers: the layer created or cleared it.
    pub(crate) fn is_own(&self, directory: DirectoryId) -> bool {
        self.alone || directory.is_new() || self.cleared.contains(directory)
    }

    /// A directory of a lower layer is from now on a parent that no entry lists.
    pub(crate) fn make_implied(&mut self, within: DirectoryId, place: PlaceId) {
        self.bring(within, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_own_by_itself_or_by_its_directory() {
        let (shared, made) = (DirectoryId(0), DirectoryId::at(PlaceId(8), true));
        let mut brought = LayerContents::nothing();
        brought.bring(shared, PlaceId(1));
        brought.pass(shared, PlaceId(2));
        brought.pass(shared, PlaceId(1));
        assert_eq!(brought.standing(shared, PlaceId(1)), Standing::Own);
        assert_eq!(brought.standing(shared, PlaceId(2)), Standing::Traversed);
        assert_eq!(brought.standing(shared, PlaceId(3)), Standing::Lower);
        assert_eq!(brought.standing(made, PlaceId(4)), Standing::Own);
        brought.make_implied(shared, PlaceId(2));
        assert_eq!(brought.standing(shared, PlaceId(2)), Standing::Own);
        brought.clear(shared);
        assert_eq!(brought.standing(shared, PlaceId(3)), Standing::Own);
    }

    #[test]
    fn what_lies_in_directories_of_its_own_costs_nothing() {
        let mut brought = LayerContents::nothing();
        let (made, cleared) = (DirectoryId::at(PlaceId(8), true), DirectoryId::at(PlaceId(8), false));
        brought.clear(cleared);
        for own in [made, cleared] {
            brought.bring(own, PlaceId(1));
            brought.pass(own, PlaceId(2));
            brought.clear(own);
        }
        assert_eq!((brought.places.len(), brought.passages.len(), brought.cleared.len()), (0, 0, 1));
    }

    #[test]
    fn over_nothing_all_is_own_and_nothing_is_kept() {
        let mut brought = LayerContents::over_nothing();
        brought.clear(DirectoryId(4));
        brought.bring(DirectoryId(2), PlaceId(1));
        brought.pass(DirectoryId(2), PlaceId(2));
        assert_eq!(brought.standing(DirectoryId(3), PlaceId(3)), Standing::Own);
        assert_eq!((brought.places.len(), brought.passages.len(), brought.cleared.len()), (0, 0, 0));
    }
}
