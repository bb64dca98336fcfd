//! How something new takes its place, and how what is there leaves it.
//!
//! At every moment a place has its old state, whole, or its new one, whole:
//!
//! - What is new is complete under a temporary name before it takes the place, at one stroke.
//! - What is old leaves the place at one stroke, and is removed under a temporary name. A tree is looked
//!   through before that: whatever would keep it from being removed (another mount in it, a file that a flag
//!   protects, somebody else's directory) is found while all of it is there.
//! - Where removing it fails all the same, it goes back if nothing of it is gone; if something is, the place
//!   keeps its new state, and the remains keep their temporary name until the next run.
//!
//! File systems that cannot exchange two names need three strokes; one that cannot move a directory at all
//! (overlayfs one of its lower layers', often) has it removed where it is. A staged tree is not looked through:
//! it goes as a whole when anything fails.

use super::failed::{At, Failed};
use super::{Cage, Exposure, Place, WalkDelegate, sys};
use crate::words::Fault;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// What was made at a place.
pub(super) struct Installed<T> {
    pub(super) made: T,
    /// Whether what it replaced is gone.
    pub(super) old: Result<(), Fault>,
}

impl<T> Installed<T> {
    /// What was made, where nothing is left to be said about the old one.
    pub(super) fn done(self) -> Result<T, Fault> {
        self.old.map(|()| self.made)
    }
}

impl Cage {
    /// Makes something at a place.
    ///
    /// `make` is called with a name and makes it there, completely, or cleans up after itself. Where nothing
    /// is in the way that name is the final one; otherwise it is a temporary one, and what is complete takes
    /// the old one's place at one stroke, so that a failure never costs what was there.
    pub(super) fn install<T>(
        &mut self,
        place: &Place<'_>,
        delegate: &mut dyn WalkDelegate,
        mut make: impl FnMut(&mut Self, &[u8], &mut dyn WalkDelegate) -> Result<Made<T>, Fault>,
    ) -> Result<Installed<T>, Fault> {
        place.parent.touch();
        if let Made::Done(made) = make(self, place.name(), delegate)? {
            return Ok(Installed { made, old: Ok(()) });
        }
        delegate.replaces(place.parent.id(), place.id())?;
        for _ in 0..16 {
            let temporary = self.temporary(&place.parent)?;
            if let Made::Done(made) = make(self, &temporary, delegate)? {
                return match self.replace(place, &temporary) {
                    Ok(old) => Ok(Installed { made, old }),
                    Err(fault) => {
                        self.discard(place.at(), &temporary);
                        Err(fault)
                    }
                };
            }
        }
        Err(Fault::system("openat", b".lc-*", Errno::EXIST))
    }

    /// Puts what is complete under a temporary name into its place, and says whether the old one is gone. When
    /// that fails the old one has its place, and the new one its temporary name.
    fn replace(&mut self, place: &Place<'_>, temporary: &[u8]) -> Result<Result<(), Fault>, Fault> {
        // What was there may have been a link that led to the last parent.
        self.recent.forget();
        let at = place.at();
        match sys::rename(at, temporary, at, place.name()) {
            // Two names of one inode: POSIX has the call do nothing.
            Ok(()) => match sys::unlink(at, temporary) {
                Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => Ok(Ok(())),
                Err(failed) => Ok(Err(failed.at(temporary))),
            },
            Err(Failed { errno: Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST, .. }) => {
                self.prepare_removal(place)?;
                self.condemn(at, place.name())?;
                match exchange(at, temporary, place.name()) {
                    Ok(()) => (),
                    Err(Failed { errno: Errno::XDEV, .. }) => {
                        self.remove_tree(at, place.name())?;
                        sys::rename(at, temporary, at, place.name()).at(place.name())?;
                        return Ok(Ok(()));
                    }
                    Err(failed) => return Err(failed.at(place.name())),
                }
                match self.remove_tree(at, temporary) {
                    Ok(()) => Ok(Ok(())),
                    Err(old) if !old.in_part && exchange(at, temporary, place.name()).is_ok() => Err(old.fault),
                    Err(old) => {
                        self.leave_for_next_run();
                        Ok(Err(old.fault))
                    }
                }
            }
            Err(failed) => Err(failed.at(place.name())),
        }
    }

    /// Removes the tree at a place of a tree in use.
    pub(super) fn take_away(&mut self, place: &Place<'_>) -> Result<(), Fault> {
        self.prepare_removal(place)?;
        let at = place.at();
        let temporary = self.temporary(&place.parent)?;
        self.condemn(at, place.name())?;
        match sys::rename(at, place.name(), at, &temporary) {
            Ok(()) => (),
            Err(Failed { errno: Errno::NOENT, .. }) => return Ok(()),
            Err(Failed { errno: Errno::XDEV, .. }) => return Ok(self.remove_tree(at, place.name())?),
            Err(failed) => return Err(failed.at(place.name())),
        }
        self.remove_tree(at, &temporary).map_err(|old| {
            if old.in_part || sys::rename(at, &temporary, at, place.name()).is_err() {
                self.leave_for_next_run();
            }
            old.fault
        })
    }

    /// Lets go of what is held of a tree, and looks through it where a failure would cost something.
    fn prepare_removal(&mut self, place: &Place<'_>) -> Result<(), Fault> {
        match self.exposure {
            Exposure::Staged => {
                self.forget(&place.path());
                Ok(())
            }
            Exposure::Visible => {
                self.release(&place.path())?;
                self.check_removable(place.at(), place.name())
            }
        }
    }

    /// Removes what is under a temporary name. That it fails too changes nothing about the failure that is reported.
    fn discard(&mut self, at: BorrowedFd<'_>, temporary: &[u8]) {
        if self.remove_tree(at, temporary).is_err() {
            self.leave_for_next_run();
        }
    }
}

/// What a maker says.
pub(super) enum Made<T> {
    Done(T),
    /// Something is there already.
    InTheWay,
}

/// Turns "there already" into an answer.
pub(super) fn made(name: &[u8], result: Result<(), Failed>) -> Result<Made<()>, Fault> {
    match result {
        Ok(()) => Ok(Made::Done(())),
        Err(Failed { errno: Errno::EXIST, .. }) => Ok(Made::InTheWay),
        Err(failed) => Err(failed.at(name)),
    }
}

/// Swaps two names; file systems that cannot do it at one stroke get it in three, taken back on failure.
fn exchange(at: BorrowedFd<'_>, new: &[u8], name: &[u8]) -> Result<(), Failed> {
    match sys::rename_with(at, new, name, RenameFlags::EXCHANGE) {
        Err(Failed { errno: Errno::INVAL | Errno::NOSYS, .. }) => {
            let aside = [new, b"~"].concat();
            sys::rename(at, name, at, &aside)?;
            if let Err(failed) = sys::rename(at, new, at, name) {
                sys::rename(at, &aside, at, name)?;
                return Err(failed);
            }
            if let Err(failed) = sys::rename(at, &aside, at, new) {
                sys::rename(at, name, at, new)?;
                sys::rename(at, &aside, at, name)?;
                return Err(failed);
            }
            Ok(())
        }
        other => other,
    }
}
