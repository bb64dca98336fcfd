//! Where an effect happens.

use super::{Cage, Directory, path_of, sys};
use crate::words::{Component, Fault, PlaceId};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// A parent that is open, and one component in it: what every effect of the cage takes.
///
/// Only the cage makes one, so that no effect can be handed a path.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) parent: Arc<Directory>,
    name: Box<[u8]>,
    id: PlaceId,
}

impl Place {
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
        match self.parent.path() {
            [] => self.name.clone(),
            path => [path, &self.name].join(&b'/').into(),
        }
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn at(&self) -> BorrowedFd<'_> {
        self.parent.as_fd()
    }
}

impl Cage {
    /// The place of a name in a directory.
    pub(crate) fn place(&self, parent: &Arc<Directory>, name: Component<'_>) -> Place {
        Place { parent: Arc::clone(parent), name: name.as_bytes().into(), id: self.place_id(parent.id(), name) }
    }

    /// Whether anything is there; a link is not followed.
    pub(crate) fn exists(&self, place: &Place) -> Result<bool, Fault> {
        match sys::status_at(place.at(), place.name()) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Fault::system("statx", &path_of(&place.parent, component(place)?), errno)),
        }
    }

    /// The directory at a place; `None` for anything else.
    pub(crate) fn enter(&mut self, place: &Place) -> Result<Option<Arc<Directory>>, Fault> {
        match self.step(&Arc::clone(&place.parent), component(place)?)? {
            super::Step::Directory(directory, _) => Ok(Some(directory)),
            _ => Ok(None),
        }
    }
}

pub(super) fn component(place: &Place) -> Result<Component<'_>, Fault> {
    Component::parse(&place.name).map_err(|_| Fault::Bug("a place has a name that is no component"))
}
