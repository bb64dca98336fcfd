//! What the layer being applied has brought so far.

use crate::words::{Limit, Limits, PlaceId, PlaceSet, Violation};

/// Which layer brought what is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The layer being applied, with an entry or as a parent directory that no entry lists.
    Own,
    /// A lower layer. It is a directory, and the layer being applied brought something below it.
    Traversed,
    /// A lower layer.
    Lower,
}

/// Whether a directory can hold anything of lower layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// It can.
    Lower,
    /// It cannot: the layer being applied created or cleared the directory, or a parent of it.
    OwnAlone,
}

/// What the layer being applied has brought so far, by the places to which names resolve.
///
/// Places in directories that hold nothing of lower layers are not stored. Over an empty tree, nothing is stored. So the
/// content of lower layers and the names of the layer's entries limit the memory. A tree that the layer creates and replaces
/// many times, with different names each time, needs no memory.
#[derive(Debug, Default)]
pub(crate) struct LayerContents {
    /// Whether there is nothing of lower layers. Then nothing is stored.
    alone: bool,
    places: PlaceSet,
    passages: PlaceSet,
    /// Directories that hold nothing of lower layers, in directories that do. Everything below them is the layer's own.
    /// Such a directory stays here, because what replaces it is created by the layer.
    own: PlaceSet,
    /// The number of these that were cleared. The others are in `places`, too.
    cleared: usize,
}

impl LayerContents {
    /// The contents of a layer before its first entry.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// The contents of a layer over an empty tree: everything is its own.
    pub(crate) fn over_nothing() -> Self {
        Self { alone: true, ..Self::default() }
    }

    /// Checks the number of stored places against the limit.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Violation> {
        limits.check(Limit::LayerPlaces, (self.places.len() + self.passages.len() + self.cleared) as u64)
    }

    /// The memory in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.places.bytes() + self.passages.bytes() + self.own.bytes()
    }

    /// What the root can hold.
    pub(crate) fn root(&self) -> Holds {
        if self.alone { Holds::OwnAlone } else { self.below(Holds::Lower, PlaceId::ROOT) }
    }

    /// What the directory at a place can hold. `within` is what the parent directory of the place can hold.
    pub(crate) fn below(&self, within: Holds, place: PlaceId) -> Holds {
        if within == Holds::OwnAlone || self.own.contains(place) { Holds::OwnAlone } else { Holds::Lower }
    }

    /// Which layer brought what is at a place. `within` is what the parent directory of the place can hold.
    pub(crate) fn standing(&self, within: Holds, place: PlaceId) -> Standing {
        if within == Holds::OwnAlone || self.places.contains(place) {
            Standing::Own
        } else if self.passages.contains(place) {
            Standing::Traversed
        } else {
            Standing::Lower
        }
    }

    /// Records that the layer brings something to a place.
    pub(crate) fn bring(&mut self, within: Holds, place: PlaceId) {
        if within == Holds::Lower {
            self.places.insert(place);
        }
    }

    /// Records that the layer creates a directory at a place. Everything in it is the layer's own.
    pub(crate) fn bring_directory(&mut self, within: Holds, place: PlaceId) {
        if within == Holds::Lower {
            self.places.insert(place);
            self.own.insert(place);
        }
    }

    /// Records that the layer brings something below the directory at a place.
    pub(crate) fn pass(&mut self, within: Holds, place: PlaceId) {
        if within == Holds::Lower && !self.places.contains(place) {
            self.passages.insert(place);
        }
    }

    /// Records that the directory at a place is cleared of lower layers. `held` is what it could hold before.
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
