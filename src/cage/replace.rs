//! Replaces and removes files so that a failure or a kill loses nothing.
//!
//! At every moment a place has its complete old state or its complete new state:
//!
//! - A new file is complete under a temporary name before one `rename` gives it its name.
//! - An old directory gets a temporary name by one `rename`, and is removed under it. Before that it is checked for
//!   what would stop the removal (another mount, a file with an immutable flag, another user's directory), while it is
//!   complete.
//! - If the removal fails all the same, the old directory gets its name back if nothing of it is removed yet. Otherwise
//!   the place keeps its new state, and the rest of the old one keeps its temporary name until the next run.
//!
//! Two names are exchanged with `RENAME_EXCHANGE`, and by three renames on file systems without it. Some file systems
//! cannot move a directory at all (overlayfs, if the directory is from a lower layer). There it is removed in place. A
//! staged tree is not checked: it is removed as a whole when anything fails.

use super::failed::{At, Failed};
use super::place::Place;
use super::state::{Cage, Exposure};
use super::sys;
use crate::tree::{Inexact, Old, Over};
use crate::words::Error;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// What was made at a place.
pub(super) struct Installed<T> {
    pub(super) made: T,
    pub(super) old: Old,
    /// Why the replaced file could not be removed.
    pub(super) leftover: Option<Error>,
}

/// The result of creating a file under a name.
pub(super) enum Attempt<T> {
    Done(T),
    /// The name is taken.
    InTheWay,
    /// An attribute cannot be set as policy demands. The file was removed again.
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
    /// Creates a file at a place.
    ///
    /// `make` creates the file under the name that it is called with, completely, or removes what it has created. The
    /// first name is the final one. If it is taken, the second is a temporary one, and the complete file then replaces
    /// the old one in one step.
    pub(super) fn install<T>(
        &mut self,
        place: &Place<'_>,
        over: Over,
        mut make: impl FnMut(&mut Self, &[u8]) -> Result<Attempt<T>, Error>,
    ) -> Result<Attempt<Installed<T>>, Error> {
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
                        Err(error) => {
                            self.discard(place.at(), &temporary);
                            Err(error)
                        }
                    };
                }
                Attempt::Undone(inexact) => return Ok(Attempt::Undone(inexact)),
                Attempt::InTheWay => (),
            }
        }
        Err(Error::system("openat", b".lc-*", Errno::EXIST))
    }

    /// Moves a complete file from its temporary name to its place. Returns whether the old file was removed. If the
    /// outer result is an error, the old file has its place, and the new one its temporary name.
    fn replace(&mut self, place: &Place<'_>, temporary: &[u8]) -> Result<Result<(), Error>, Error> {
        let at = place.at();
        match sys::rename(at, temporary, at, place.bytes()) {
            // If both names belong to one inode, `rename` does nothing and succeeds (POSIX): the temporary name is
            // left.
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
                    Err(old) if !old.in_part && exchange(at, temporary, place.bytes()).is_ok() => Err(old.error),
                    Err(old) => {
                        self.leave_for_next_run();
                        Ok(Err(old.error))
                    }
                }
            }
            Err(failed) => Err(failed.at(place.bytes())),
        }
    }

    /// Removes a directory in a tree in use.
    pub(super) fn take_away(&mut self, place: &Place<'_>) -> Result<(), Error> {
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
            old.error
        })
    }

    /// Closes the directories that are held below a place. In a tree in use, checks that they can be removed.
    fn prepare_removal(&mut self, place: &Place<'_>) -> Result<(), Error> {
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

    /// Removes a temporary name. A failure is ignored: the error that led here is reported.
    fn discard(&mut self, at: BorrowedFd<'_>, temporary: &[u8]) {
        if self.cleaner().remove_tree(at, temporary).is_err() {
            self.leave_for_next_run();
        }
    }
}

/// Turns `EEXIST` into [`Attempt::InTheWay`].
pub(super) fn made(name: &[u8], result: Result<(), Failed>) -> Result<Attempt<()>, Error> {
    match result {
        Ok(()) => Ok(Attempt::Done(())),
        Err(Failed { errno: Errno::EXIST, .. }) => Ok(Attempt::InTheWay),
        Err(failed) => Err(failed.at(name)),
    }
}

/// Exchanges two names. File systems without `RENAME_EXCHANGE` need three renames, which are undone if one fails.
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
