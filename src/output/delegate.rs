//! What a root filesystem answers when the cage asks: by what the layer brought, and by policy.

use crate::cage::{Keep, Lower, Unheld, WalkDelegate};
use crate::plan::{LayerContents, Reporter, Standing, lacks_xattr, may_be_made};
use crate::words::{Component, DirectoryId, Escaped, Fault, PlaceId, Quirk, QuirkRule};

/// Answers the cage while something is brought.
pub(super) struct Bringing<'a, 'p> {
    pub(super) brought: &'a mut LayerContents,
    pub(super) reporter: &'a mut Reporter<'p>,
}

impl WalkDelegate for Bringing<'_, '_> {
    fn climbs(&mut self, target: &[u8]) -> Result<(), Fault> {
        self.reporter.quirk(Quirk::LinkClimbs { target: Escaped::new(target) })
    }

    fn follows(&mut self, target: &[u8]) -> Result<(), Fault> {
        follows(self.reporter, target)
    }

    fn stops_at(&mut self, _: DirectoryId, _: PlaceId) -> bool {
        false
    }

    fn passes(&mut self, within: DirectoryId, place: PlaceId) {
        self.brought.pass(within, place);
    }

    fn makes(&mut self, name: Component<'_>) -> Result<(), Fault> {
        may_be_made(name).map_err(Fault::from)
    }

    fn made(&mut self, within: DirectoryId, place: PlaceId) {
        self.brought.bring(within, place);
    }

    fn replaces(&mut self, within: DirectoryId, place: PlaceId) -> Result<(), Fault> {
        match self.brought.standing(within, place) {
            Standing::Own => self.reporter.quirk(Quirk::DuplicatePath),
            Standing::Traversed | Standing::Lower => Ok(()),
        }
    }

    fn turns_link(&mut self, target: &[u8]) -> Result<(), Fault> {
        self.reporter.quirk(Quirk::DirectoryOverLink { target: Escaped::new(target) })
    }

    fn lacks_xattr(&mut self, name: &[u8], error: std::io::Error) -> Result<(), Fault> {
        lacks_xattr(self.reporter, name, error)
    }

    fn changes_time(&mut self, unheld: Unheld) -> Result<(), Fault> {
        changes_time(self.reporter, unheld)
    }
}

/// The file system stored a different time than requested.
pub(super) fn changes_time(reporter: &mut Reporter<'_>, Unheld { asked, kept }: Unheld) -> Result<(), Fault> {
    reporter.quirk(Quirk::TimeClamped { asked, kept })
}

/// Links on the way are many, and odd to few.
fn follows(reporter: &mut Reporter<'_>, target: &[u8]) -> Result<(), Fault> {
    match reporter.is_silent_on(QuirkRule::LinkParent) {
        true => Ok(()),
        false => reporter.quirk(Quirk::LinkParent { target: Escaped::new(target) }),
    }
}

/// Answers the cage while something is looked for that is there, or not.
pub(super) struct Looking<'a, 'p> {
    /// For a whiteout: what its own layer brought is none of the lower layers'.
    pub(super) stopped_by: Option<&'a LayerContents>,
    pub(super) reporter: &'a mut Reporter<'p>,
}

impl WalkDelegate for Looking<'_, '_> {
    fn climbs(&mut self, target: &[u8]) -> Result<(), Fault> {
        self.reporter.quirk(Quirk::LinkClimbs { target: Escaped::new(target) })
    }

    fn follows(&mut self, target: &[u8]) -> Result<(), Fault> {
        follows(self.reporter, target)
    }

    fn stops_at(&mut self, within: DirectoryId, place: PlaceId) -> bool {
        self.stopped_by.is_some_and(|brought| brought.standing(within, place) == Standing::Own)
    }

    fn passes(&mut self, _: DirectoryId, _: PlaceId) {}

    fn makes(&mut self, _: Component<'_>) -> Result<(), Fault> {
        Err(Fault::bug("looking for something makes it"))
    }

    fn made(&mut self, _: DirectoryId, _: PlaceId) {}

    fn replaces(&mut self, _: DirectoryId, _: PlaceId) -> Result<(), Fault> {
        Err(Fault::bug("looking for something replaces it"))
    }

    fn turns_link(&mut self, _: &[u8]) -> Result<(), Fault> {
        Err(Fault::bug("looking for something replaces a link"))
    }

    fn lacks_xattr(&mut self, _: &[u8], _: std::io::Error) -> Result<(), Fault> {
        Err(Fault::bug("looking for something sets attributes"))
    }

    fn changes_time(&mut self, _: Unheld) -> Result<(), Fault> {
        Err(Fault::bug("looking for something sets times"))
    }
}

/// Answers the cage while a directory is cleared.
pub(super) struct Clearing<'a> {
    pub(super) brought: &'a mut LayerContents,
    /// Whether something of the layer was there, which stays.
    pub(super) kept: bool,
}

impl Lower for Clearing<'_> {
    fn keep(&mut self, within: DirectoryId, place: PlaceId) -> Keep {
        let standing = self.brought.standing(within, place);
        self.kept |= standing != Standing::Lower;
        match standing {
            Standing::Lower => Keep::Nothing,
            Standing::Own => Keep::Cleared,
            Standing::Traversed => {
                self.brought.make_implied(within, place);
                Keep::Implied
            }
        }
    }

    fn is_clear(&self, directory: DirectoryId) -> bool {
        self.brought.is_own(directory)
    }

    fn cleared(&mut self, directory: DirectoryId) {
        self.brought.clear(directory);
    }
}
