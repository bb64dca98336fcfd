//! How something new takes its place.

use super::{Cage, Counsel, Place, sys};
use crate::words::Fault;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

impl Cage {
    /// Makes something at a place.
    ///
    /// `make` is called with a name and makes it there, completely, or cleans up after itself. Where nothing
    /// is in the way that name is the final one; otherwise it is a temporary one, and what is complete takes
    /// the old one's place at one stroke, so that a failure never costs what was there.
    pub(super) fn install<T>(
        &mut self,
        place: &Place,
        counsel: &mut dyn Counsel,
        mut make: impl FnMut(&mut Self, &[u8], &mut dyn Counsel) -> Result<Made<T>, Fault>,
    ) -> Result<T, Fault> {
        place.parent.touch();
        if let Made::Done(made) = make(self, place.name(), counsel)? {
            return Ok(made);
        }
        counsel.replaces(place.parent.id(), place.id())?;
        for _ in 0..16 {
            let temporary = self.temporary_name();
            if let Made::Done(made) = make(self, &temporary, counsel)? {
                let replaced = self.replace(place, &temporary);
                if replaced.is_err() {
                    self.remove_tree(place.at(), &temporary)?;
                }
                return replaced.map(|()| made);
            }
        }
        Err(Fault::system("openat", b".lc-*", Errno::EXIST))
    }

    fn replace(&mut self, place: &Place, temporary: &[u8]) -> Result<(), Fault> {
        // What was there may have been a link that led to the last parent.
        self.last = None;
        match sys::rename(place.at(), temporary, place.at(), place.name()) {
            // Two names of one inode: POSIX has the call do nothing.
            Ok(()) => match sys::unlink(place.at(), temporary) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                // The new one is a directory, over an empty one.
                Err(errno) => Err(Fault::system("unlinkat", temporary, errno)),
            },
            Err(Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                exchange(place.at(), temporary, place.name()).map_err(sys::fault("renameat2", place.name()))?;
                self.forget(&place.path());
                self.remove_tree(place.at(), temporary)
            }
            Err(errno) => Err(Fault::system("renameat", place.name(), errno)),
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
pub(super) fn made(call: &'static str, name: &[u8], result: Result<(), Errno>) -> Result<Made<()>, Fault> {
    match result {
        Ok(()) => Ok(Made::Done(())),
        Err(Errno::EXIST) => Ok(Made::InTheWay),
        Err(errno) => Err(Fault::system(call, name, errno)),
    }
}

/// Swaps two names; file systems that cannot do it at one stroke get it in two, the old one moved back on failure.
fn exchange(at: BorrowedFd<'_>, new: &[u8], name: &[u8]) -> Result<(), Errno> {
    match sys::rename_with(at, new, name, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            let aside = [new, b"~"].concat();
            sys::rename(at, name, at, &aside)?;
            if let Err(errno) = sys::rename(at, new, at, name) {
                sys::rename(at, &aside, at, name)?;
                return Err(errno);
            }
            sys::rename(at, &aside, at, new)
        }
        other => other,
    }
}
