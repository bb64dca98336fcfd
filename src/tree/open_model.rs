//! Which directories count as open, so that the limit on opened directories is the same for every tree.

use crate::words::PlaceId;

/// How many directories count as open.
const OPEN: usize = 64;

/// The directories that were used last.
///
/// The cage holds about as many open. Which ones depends on more than names there (on what is cleared or removed, and
/// on what is in use). The count must depend on names alone: an audit refuses at the same entry as unpacking.
#[derive(Debug, Default)]
pub(super) struct OpenModel {
    /// The one that was used last comes last.
    places: Vec<PlaceId>,
}

impl OpenModel {
    pub(super) fn clear(&mut self) {
        self.places.clear();
    }

    /// Uses a directory, and returns whether it counts as open already.
    pub(super) fn use_at(&mut self, place: PlaceId) -> bool {
        match self.places.iter().rposition(|&other| other == place) {
            Some(index) => {
                if let Some(last) = self.places.get_mut(index..) {
                    last.rotate_left(1);
                }
                true
            }
            None => {
                if self.places.len() == OPEN {
                    self.places.remove(0);
                }
                self.places.push(place);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_that_were_used_last_are_open() {
        let mut model = OpenModel::default();
        assert!((0..OPEN as u64).all(|place| !model.use_at(PlaceId(place))));
        assert!(model.use_at(PlaceId(0)), "the oldest of them");
        assert!(!model.use_at(PlaceId(100)));
        assert!(model.use_at(PlaceId(0)), "it was used since");
        assert!(!model.use_at(PlaceId(1)), "the oldest by then");
        model.clear();
        assert!(!model.use_at(PlaceId(0)));
    }
}
