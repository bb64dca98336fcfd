//! Where an effect happens.

use super::failed::Failed;
use super::{Cage, Directory, path_of, sys};
use crate::words::{Component, Fault, PlaceId};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// A parent that is open, and one component in it: what every effect of the cage takes.
///
/// Only the cage makes one, so that no effect can be handed a path.
#[derive(Debug)]
pub(crate) struct Place<'n> {
    pub(super) parent: Arc<Directory>,
    name: Component<'n>,
    id: PlaceId,
}

impl<'n> Place<'n> {
    /// The directory that it is in.
    pub(crate) fn parent(&self) -> &Arc<Directory> {
        &self.parent
    }

    /// Names it, as a value.
    pub(crate) fn id(&self) -> PlaceId {
        self.id
    }

    /// The components from the root, links on the way resolved.
    pub(crate) fn path(&self) -> Box<[u8]> {
        path_of(&self.parent, self.name)
    }

    pub(super) fn name(&self) -> &'n [u8] {
        self.name.as_bytes()
    }

    pub(super) fn component(&self) -> Component<'n> {
        self.name
    }

    pub(super) fn at(&self) -> BorrowedFd<'_> {
        self.parent.as_fd()
    }
}

impl Cage {
    /// The place of a name in a directory.
    pub(crate) fn place<'n>(&self, parent: &Arc<Directory>, name: Component<'n>) -> Place<'n> {
        Place { parent: Arc::clone(parent), name, id: self.place_id(parent.id(), name) }
    }

    /// Whether anything is there; a link is not followed.
    pub(crate) fn exists(&self, place: &Place<'_>) -> Result<bool, Fault> {
        match sys::status_at(place.at(), place.name()) {
            Ok(_) => Ok(true),
            Err(Failed { errno: Errno::NOENT, .. }) => Ok(false),
            Err(failed) => Err(failed.at(&place.path())),
        }
    }

    /// The directory at a place; `None` for anything else.
    pub(crate) fn enter(&mut self, place: &Place<'_>) -> Result<Option<Arc<Directory>>, Fault> {
        match self.step(&place.parent, place.name)? {
            super::Step::Directory(directory, _) => Ok(Some(directory)),
            _ => Ok(None),
        }
    }
}
