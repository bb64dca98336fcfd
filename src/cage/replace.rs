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
use super::place::Place;
use super::state::{Cage, Exposure};
use super::sys;
use crate::tree::{Inexact, Old, Over};
use crate::words::Fault;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// What was made at a place.
pub(super) struct Installed<T> {
    pub(super) made: T,
    pub(super) old: Old,
    /// Why what it replaced is not gone.
    pub(super) leftover: Option<Fault>,
}

/// What came of making something under a name.
pub(super) enum Attempt<T> {
    Done(T),
    /// Something is there already.
    InTheWay,
    /// An attribute is not as it must be; what was made is gone again.
    Undone(Inexact),
}

impl<T> Attempt<T> {
    pub(super) fn map<U>(self, with: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Done(made) => Attempt::Done(with(made)),
            Self::InTheWay => Attempt::InTheWay,
            Self::Undone(inexact) => Attempt::Undone(inexact),
        }
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
        over: Over,
        mut make: impl FnMut(&mut Self, &[u8]) -> Result<Attempt<T>, Fault>,
    ) -> Result<Attempt<Installed<T>>, Fault> {
        place.dir().touch();
        match make(self, place.bytes())? {
            Attempt::Done(made) => {
                self.count_effect(place.dir());
                return Ok(Attempt::Done(Installed { made, old: Old::Nothing, leftover: None }));
            }
            Attempt::Undone(inexact) => return Ok(Attempt::Undone(inexact)),
            Attempt::InTheWay if over == Over::Nothing => return Ok(Attempt::InTheWay),
            Attempt::InTheWay => (),
        }
        for _ in 0..16 {
            let temporary = self.temporary(place.dir())?;
            match make(self, &temporary)? {
                Attempt::Done(made) => {
                    self.count_effect(place.dir());
                    return match self.replace(place, &temporary) {
                        Ok(old) => Ok(Attempt::Done(Installed { made, old: Old::Replaced, leftover: old.err() })),
                        Err(fault) => {
                            self.discard(place.at(), &temporary);
                            Err(fault)
                        }
                    };
                }
                Attempt::Undone(inexact) => return Ok(Attempt::Undone(inexact)),
                Attempt::InTheWay => (),
            }
        }
        Err(Fault::system("openat", b".lc-*", Errno::EXIST))
    }

    /// Puts what is complete under a temporary name into its place, and says whether the old one is gone. When
    /// that fails the old one has its place, and the new one its temporary name.
    fn replace(&mut self, place: &Place<'_>, temporary: &[u8]) -> Result<Result<(), Fault>, Fault> {
        let at = place.at();
        match sys::rename(at, temporary, at, place.bytes()) {
            // Two names of one inode: POSIX has the call do nothing.
            Ok(()) => match sys::unlink(at, temporary) {
                Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => Ok(Ok(())),
                Err(failed) => Ok(Err(failed.at(temporary))),
            },
            Err(Failed { errno: Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST, .. }) => {
                self.prepare_removal(place)?;
                self.condemn(at, place.bytes())?;
                match exchange(at, temporary, place.bytes()) {
                    Ok(()) => (),
                    Err(Failed { errno: Errno::XDEV, .. }) => {
                        self.remover().remove_tree(at, place.bytes())?;
                        sys::rename(at, temporary, at, place.bytes()).at(place.bytes())?;
                        return Ok(Ok(()));
                    }
                    Err(failed) => return Err(failed.at(place.bytes())),
                }
                match self.remover().remove_tree(at, temporary) {
                    Ok(()) => Ok(Ok(())),
                    Err(old) if !old.in_part && exchange(at, temporary, place.bytes()).is_ok() => Err(old.fault),
                    Err(old) => {
                        self.leave_for_next_run();
                        Ok(Err(old.fault))
                    }
                }
            }
            Err(failed) => Err(failed.at(place.bytes())),
        }
    }

    /// Removes the tree at a place of a tree in use.
    pub(super) fn take_away(&mut self, place: &Place<'_>) -> Result<(), Fault> {
        self.prepare_removal(place)?;
        let at = place.at();
        let temporary = self.temporary(place.dir())?;
        self.condemn(at, place.bytes())?;
        match sys::rename(at, place.bytes(), at, &temporary) {
            Ok(()) => (),
            Err(Failed { errno: Errno::NOENT, .. }) => return Ok(()),
            Err(Failed { errno: Errno::XDEV, .. }) => return Ok(self.remover().remove_tree(at, place.bytes())?),
            Err(failed) => return Err(failed.at(place.bytes())),
        }
        self.remover().remove_tree(at, &temporary).map_err(|old| {
            if old.in_part || sys::rename(at, &temporary, at, place.bytes()).is_err() {
                self.leave_for_next_run();
            }
            old.fault
        })
    }

    /// Lets go of what is held of a tree, and looks through it where a failure would cost something.
    fn prepare_removal(&mut self, place: &Place<'_>) -> Result<(), Fault> {
        match self.exposure {
            Exposure::Staged => {
                self.held.forget(&place.path());
                Ok(())
            }
            Exposure::Visible => {
                self.held.release(&place.path())?;
                self.remover().check_removable(place.at(), place.bytes())
            }
        }
    }

    /// Removes what is under a temporary name. That it fails too changes nothing about the failure that is reported.
    fn discard(&mut self, at: BorrowedFd<'_>, temporary: &[u8]) {
        if self.remover().remove_tree(at, temporary).is_err() {
            self.leave_for_next_run();
        }
    }
}

/// Turns "there already" into an answer.
pub(super) fn made(name: &[u8], result: Result<(), Failed>) -> Result<Attempt<()>, Fault> {
    match result {
        Ok(()) => Ok(Attempt::Done(())),
        Err(Failed { errno: Errno::EXIST, .. }) => Ok(Attempt::InTheWay),
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
