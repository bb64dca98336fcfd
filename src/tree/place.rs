//! Where an effect happens.

use crate::plan::{Holds, LayerContents, Standing};
use crate::words::{Component, PlaceId};

/// A directory that a walk reached, and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Branch<D> {
    pub(crate) dir: D,
    pub(crate) holds: Holds,
}

/// A directory and one component in it: what every effect takes.
///
/// Only this module makes one, from a parsed [`Component`]. So no effect can be handed a path.
#[derive(Debug)]
pub(crate) struct Place<'a, D> {
    within: &'a Branch<D>,
    name: Component<'a>,
    id: PlaceId,
}

impl<'a, D> Place<'a, D> {
    /// The place of this id ([`Tree::place`](super::Tree::place)).
    pub(super) fn new(id: PlaceId, within: &'a Branch<D>, name: Component<'a>) -> Self {
        Self { within, name, id }
    }

    /// The directory that it is in.
    pub(crate) fn dir(&self) -> &'a D {
        &self.within.dir
    }

    /// What the directory holds.
    pub(crate) fn holds(&self) -> Holds {
        self.within.holds
    }

    pub(crate) fn name(&self) -> Component<'a> {
        self.name
    }

    pub(crate) fn id(&self) -> PlaceId {
        self.id
    }

    /// How it stands to the layer.
    pub(crate) fn standing(&self, contents: &LayerContents) -> Standing {
        contents.standing(self.holds(), self.id)
    }

    /// The directory that was found here.
    pub(crate) fn branch(&self, dir: D, contents: &LayerContents) -> Branch<D> {
        Branch { dir, holds: contents.below(self.holds(), self.id) }
    }
}

/// The path of a name in the directory at a path.
pub(crate) fn path_of(directory: &[u8], name: Component<'_>) -> Box<[u8]> {
    match directory {
        [] => name.as_bytes().into(),
        path => [path, name.as_bytes()].join(&b'/').into(),
    }
}
