//! What is at a place: in the upper directory, in the lower layers, in both.

use super::directory::{Below, OverlayDir, OverlayPlace};
use super::later::needs_lower;
use super::lower::Shown;
use super::state::OverlayTree;
use crate::cage::directory::Directory;
use crate::cage::failed::{At, Failed};
use crate::cage::names::Names;
use crate::cage::place;
use crate::cage::sys::{self, Status};
use crate::tree::{Branch, Step, Tree, path_of};
use crate::words::Error;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::sync::Arc;

/// What the upper directory has at a place.
pub(super) enum Above {
    /// Nothing: lower layers decide.
    Nothing,
    /// A whiteout: nothing is at the place.
    Whiteout,
    Thing(Status),
}

impl OverlayTree {
    /// The directory of the upper directory that a place is in.
    pub(super) fn within(at: &OverlayPlace<'_>, upper: Arc<Directory>) -> Branch<Arc<Directory>> {
        Branch { dir: upper, holds: at.holds() }
    }

    /// Does something at the same place in the upper directory, whose directory is there.
    pub(super) fn at_upper<T>(
        &mut self,
        at: &OverlayPlace<'_>,
        upper: Arc<Directory>,
        act: impl FnOnce(&mut crate::cage::Cage, &place::Place<'_>) -> T,
    ) -> T {
        let within = Self::within(at, upper);
        let place = self.upper.place(&within, at.name());
        act(&mut self.upper, &place)
    }

    /// What the upper directory has at a place.
    pub(super) fn above(&self, at: &OverlayPlace<'_>) -> Result<Above, Error> {
        let Some(upper) = at.dir().upper() else { return Ok(Above::Nothing) };
        let name = at.name().as_bytes();
        match sys::status_at(upper.as_fd(), name) {
            Err(Failed { errno: Errno::NOENT, .. }) => Ok(Above::Nothing),
            Err(failed) => Err(failed.at(&path_of(at.dir().path(), at.name()))),
            Ok(status) if self.marks.is_whiteout(upper.as_fd(), name, &status)? => Ok(Above::Whiteout),
            Ok(status) => Ok(Above::Thing(status)),
        }
    }

    /// What lower layers show at a place, whatever the upper directory has there; `None` if they are not at hand.
    pub(super) fn show(&self, at: &OverlayPlace<'_>) -> Result<Option<Shown>, Error> {
        match &self.lower {
            _ if at.dir().is_alone() => Ok(Some(Shown::Missing)),
            Some(lower) if at.dir().is_known() => lower.show(self.marks, &self.upper.key, at).map(Some),
            _ => Ok(None),
        }
    }

    /// The same, where the answer is needed: lower layers that come later are waited for.
    pub(super) fn show_now(&mut self, at: &OverlayPlace<'_>) -> Result<Shown, Error> {
        if let Some(shown) = self.show(at)? {
            return Ok(shown);
        }
        self.bring_lowers(at)?;
        self.show(at)?.ok_or_else(|| needs_lower(&path_of(at.dir().path(), at.name())))
    }

    /// What a mount would show at a place.
    pub(super) fn look(&mut self, at: &OverlayPlace<'_>) -> Result<Step<Arc<OverlayDir>>, Error> {
        if let Some(directory) = self.held.get(at.id()) {
            return Ok(Step::Directory(directory));
        }
        if let Some(upper) = at.dir().upper() {
            let found = self.at_upper(at, Arc::clone(&upper), |cage, place| cage.look(place))?;
            match found {
                Step::Missing => (),
                Step::Directory(directory) => {
                    let below = self.below(at, &directory)?;
                    return Ok(Step::Directory(self.hold(at, below, Some(directory))));
                }
                Step::Other => {
                    return Ok(match self.above(at)? {
                        Above::Thing(_) => Step::Other,
                        Above::Whiteout | Above::Nothing => Step::Missing,
                    });
                }
                Step::Symlink(target) => return Ok(Step::Symlink(target)),
                Step::Unknown(_) => return Err(Error::bug("something on disk is not known")),
            }
        }
        match self.show_now(at)? {
            Shown::Missing => Ok(Step::Missing),
            Shown::Directory(layers) => Ok(Step::Directory(self.hold(at, Below::Layers(layers), None))),
            Shown::File { layer, status } if status.kind == rustix::fs::FileType::Symlink => {
                self.target_below(layer, at).map(Step::Symlink)
            }
            Shown::File { .. } => Ok(Step::Other),
        }
    }

    /// What lower layers have in a directory that the upper directory has.
    fn below(&self, at: &OverlayPlace<'_>, upper: &Directory) -> Result<Below, Error> {
        if at.dir().is_alone() || self.marks.is_opaque(upper.as_fd(), upper.path())? {
            return Ok(Below::nothing());
        }
        Ok(match self.show(at)? {
            None => Below::Unknown,
            Some(Shown::Directory(layers)) => Below::Layers(layers),
            Some(Shown::Missing | Shown::File { .. }) => Below::nothing(),
        })
    }

    pub(super) fn hold(
        &mut self,
        at: &OverlayPlace<'_>,
        below: Below,
        upper: Option<Arc<Directory>>,
    ) -> Arc<OverlayDir> {
        self.held.add(OverlayDir::new(at.id(), path_of(at.dir().path(), at.name()), below, upper))
    }

    fn target_below(&self, layer: usize, at: &OverlayPlace<'_>) -> Result<Vec<u8>, Error> {
        let directory = self.open_below(layer, at.dir().path())?;
        sys::read_link(directory.as_fd(), at.name().as_bytes()).at(at.name().as_bytes())
    }

    /// Opens a directory of a lower layer.
    pub(super) fn open_below(&self, layer: usize, path: &[u8]) -> Result<Arc<std::os::fd::OwnedFd>, Error> {
        let lower = self.lower.as_ref().ok_or(Error::bug("lower layers that are not at hand are read"))?;
        lower.open(self.marks, &self.upper.key, layer, path)
    }

    /// The names in a directory of a lower layer.
    pub(super) fn list_below(&self, layer: usize, path: &[u8]) -> Result<Names, Error> {
        let lower = self.lower.as_ref().ok_or(Error::bug("lower layers that are not at hand are read"))?;
        lower.list(self.marks, &self.upper.key, layer, path)
    }
}
