//! What the layer being applied has brought so far.

use crate::words::{Limit, Limits, PlaceId, PlaceSet, Violation};

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

/// Whether a directory can hold anything of lower layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// It can.
    Lower,
    /// It cannot: the layer made or cleared the directory, or one above it.
    OwnAlone,
}

/// What the layer being applied has brought so far, by the places that names resolve to.
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
    /// Directories that hold nothing of lower layers, in directories that do. Whatever lies below them is the layer's
    /// own, too. Once a directory is here it stays: what replaces it is made by the layer.
    own: PlaceSet,
    /// How many of those were cleared. The others are among the places.
    cleared: usize,
}

impl LayerContents {
    /// What a layer has brought before its first entry.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// The same, where there is nothing of lower layers: all is its own.
    pub(crate) fn over_nothing() -> Self {
        Self { alone: true, ..Self::default() }
    }

    /// Says when more is kept than the limit allows.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Violation> {
        limits.check(Limit::LayerPlaces, (self.places.len() + self.passages.len() + self.cleared) as u64)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.places.bytes() + self.passages.bytes() + self.own.bytes()
    }

    /// What the root holds.
    pub(crate) fn root(&self) -> Holds {
        if self.alone { Holds::OwnAlone } else { self.below(Holds::Lower, PlaceId::ROOT) }
    }

    /// What the directory at a place holds, where the place is in a directory that holds `within`.
    pub(crate) fn below(&self, within: Holds, place: PlaceId) -> Holds {
        if within == Holds::OwnAlone || self.own.contains(place) { Holds::OwnAlone } else { Holds::Lower }
    }

    /// How a place stands to the layer, in a directory that holds `within`.
    pub(crate) fn standing(&self, within: Holds, place: PlaceId) -> Standing {
        if within == Holds::OwnAlone || self.places.contains(place) {
            Standing::Own
        } else if self.passages.contains(place) {
            Standing::Traversed
        } else {
            Standing::Lower
        }
    }

    /// The layer brings something to a place.
    pub(crate) fn bring(&mut self, within: Holds, place: PlaceId) {
        if within == Holds::Lower {
            self.places.insert(place);
        }
    }

    /// The layer makes a directory at a place where none was: all in it is its own.
    pub(crate) fn bring_directory(&mut self, within: Holds, place: PlaceId) {
        if within == Holds::Lower {
            self.places.insert(place);
            self.own.insert(place);
        }
    }

    /// The layer brings something to somewhere below the directory at a place.
    pub(crate) fn pass(&mut self, within: Holds, place: PlaceId) {
        if within == Holds::Lower && !self.places.contains(place) {
            self.passages.insert(place);
        }
    }

    /// The directory at a place, which held `held`, holds nothing of lower layers any more.
    pub(crate) fn clear(&mut self, held: Holds, place: PlaceId) {
        if held == Holds::Lower && self.own.insert(place) {
            self.cleared += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Holds::{Lower, OwnAlone};

    #[test]
    fn a_place_is_own_by_itself_or_by_its_directory() {
        let mut brought = LayerContents::nothing();
        brought.bring(Lower, PlaceId(1));
        brought.pass(Lower, PlaceId(2));
        brought.pass(Lower, PlaceId(1));
        assert_eq!(brought.standing(Lower, PlaceId(1)), Standing::Own);
        assert_eq!(brought.standing(Lower, PlaceId(2)), Standing::Traversed);
        assert_eq!(brought.standing(Lower, PlaceId(3)), Standing::Lower);
        assert_eq!(brought.standing(OwnAlone, PlaceId(4)), Standing::Own);
        brought.bring(Lower, PlaceId(2));
        assert_eq!(brought.standing(Lower, PlaceId(2)), Standing::Own);
    }

    #[test]
    fn a_directory_that_is_made_or_cleared_holds_the_layers_own_and_all_below_it_does() {
        let mut brought = LayerContents::nothing();
        assert_eq!(brought.root(), Lower);
        brought.bring_directory(Lower, PlaceId(1));
        brought.bring(Lower, PlaceId(2));
        brought.clear(Lower, PlaceId(3));
        assert_eq!([1, 2, 3].map(|place| brought.below(Lower, PlaceId(place))), [OwnAlone, Lower, OwnAlone]);
        assert_eq!(brought.below(OwnAlone, PlaceId(4)), OwnAlone);
        brought.clear(Lower, PlaceId::ROOT);
        assert_eq!(brought.root(), OwnAlone);
    }

    #[test]
    fn what_lies_in_directories_of_its_own_costs_nothing_and_each_place_counts_once() {
        let mut brought = LayerContents::nothing();
        brought.clear(Lower, PlaceId(8));
        brought.bring_directory(Lower, PlaceId(9));
        for place in 0..100 {
            brought.bring(OwnAlone, PlaceId(place));
            brought.bring_directory(OwnAlone, PlaceId(place));
            brought.pass(OwnAlone, PlaceId(place));
            brought.clear(OwnAlone, PlaceId(place));
        }
        let most = |most| brought.check(&Limits::default().with(Limit::LayerPlaces, most));
        assert!(most(2).is_ok() && most(1).is_err());
        assert_eq!(brought.own.len(), 2);
    }

    #[test]
    fn over_nothing_all_is_own() {
        let brought = LayerContents::over_nothing();
        assert_eq!(brought.standing(brought.root(), PlaceId(3)), Standing::Own);
    }
}
