//! Removes whole trees. No symbolic link is followed. A tree in use is checked before.
//!
//! A directory needs one descriptor while its content is removed, and two more for a moment if its mode denies us
//! access. If no descriptors are left, deep directories are moved up. With three levels open any tree can be removed.

use super::directory::{self, Caller, Opened};
use super::failed::{At, Failed, lacks_descriptors};
use super::names::Names;
use super::sys::{self, Origin, Status};
use super::temporary_names::TemporaryNames;
use crate::words::{Cancellation, Error, Escaped, Violation};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// The number of levels whose handles are held while a tree is removed. Deeper directories are moved up first.
const DEEPEST: usize = 32;

/// A tree that was not removed.
#[derive(Debug)]
pub(super) struct Unremoved {
    pub(super) error: Error,
    /// Whether a part of it was removed.
    pub(super) in_part: bool,
}

impl From<Unremoved> for Error {
    fn from(unremoved: Unremoved) -> Self {
        unremoved.error
    }
}

/// Removes trees on one mount.
#[derive(Debug)]
pub(super) struct Remover<'a> {
    pub(super) mount: u64,
    pub(super) caller: Caller,
    /// For directories that are moved up.
    pub(super) names: &'a mut TemporaryNames,
    /// Asked for each name: a layer removes a million of them by one.
    pub(super) cancellation: Cancellation,
}

impl Remover<'_> {
    /// Removes `name`, of any type. If that fails, the directories that stay get their modes back.
    pub(super) fn remove_tree(&mut self, at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Unremoved> {
        match sys::unlink(at, name) {
            Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => return Ok(()),
            Err(Failed { errno: Errno::ISDIR | Errno::PERM, .. }) => (),
            Err(failed) => {
                return Err(Unremoved { error: failed.at(name), in_part: false });
            }
        }
        let (mut stack, mut in_part) = (Vec::new(), false);
        self.remove_directory(at, name, &mut stack, &mut in_part).map_err(|error| {
            stack.iter().rev().for_each(Removal::restore);
            Unremoved { error, in_part }
        })
    }

    /// Removes `name` if it is not a directory, an empty directory, or the condemned directory. Anything else stays.
    pub(super) fn remove_condemned(
        &mut self,
        at: BorrowedFd<'_>,
        name: &[u8],
        condemned: Origin,
    ) -> Result<(), Unremoved> {
        match sys::unlink(at, name) {
            Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => return Ok(()),
            Err(Failed { errno: Errno::ISDIR | Errno::PERM, .. }) => (),
            Err(failed) => return Err(Unremoved { error: failed.at(name), in_part: false }),
        }
        let (mut stack, mut in_part) = (Vec::new(), false);
        let result = match self.open_removal(at, name) {
            // The name may belong to another directory by now. The open handle decides.
            Ok(Some(removal)) if removal.is(condemned) => {
                stack.push(removal);
                self.remove_opened(at, &mut stack, &mut in_part)
            }
            Ok(Some(removal)) => {
                removal.restore();
                match sys::remove_directory(at, name) {
                    Err(Failed { errno: Errno::NOTEMPTY | Errno::EXIST, .. }) => Ok(()),
                    other => other.at(name),
                }
            }
            other => other.map(drop),
        };
        result.map_err(|error| {
            stack.iter().rev().for_each(Removal::restore);
            Unremoved { error, in_part }
        })
    }

    fn remove_directory(
        &mut self,
        at: BorrowedFd<'_>,
        name: &[u8],
        stack: &mut Vec<Removal>,
        in_part: &mut bool,
    ) -> Result<(), Error> {
        stack.extend(self.open_removal(at, name)?);
        self.remove_opened(at, stack, in_part)
    }

    /// Removes the open directory and its content.
    fn remove_opened(&mut self, at: BorrowedFd<'_>, stack: &mut Vec<Removal>, in_part: &mut bool) -> Result<(), Error> {
        while let Some(removal) = stack.last_mut() {
            self.cancellation.check()?;
            match removal.names.next()? {
                Some((child, FileType::Directory)) => self.descend(stack, &child, in_part)?,
                Some((child, _)) => match sys::unlink(removal.fd()?, &child) {
                    Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => (removal.progress, *in_part) = (true, true),
                    Err(Failed { errno: Errno::ISDIR | Errno::PERM, .. }) => self.descend(stack, &child, in_part)?,
                    Err(failed) => return Err(failed.at(&child)),
                },
                None => {
                    let parent = match stack.len().checked_sub(2).and_then(|above| stack.get(above)) {
                        Some(parent) => parent.fd()?,
                        None => at,
                    };
                    let Some(removal) = stack.last() else { break };
                    match sys::remove_directory(parent, &removal.name) {
                        Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => {
                            *in_part = true;
                            stack.pop();
                            if let Some(parent) = stack.last_mut() {
                                parent.progress = true;
                            }
                        }
                        // Reading a directory while it changes may skip names: read again as long as that helps.
                        Err(Failed { errno: Errno::NOTEMPTY | Errno::EXIST, .. }) if removal.progress => {
                            if let Some(removal) = stack.last_mut() {
                                removal.names.rewind();
                                removal.progress = false;
                            }
                        }
                        Err(failed) => return Err(failed.at(&removal.name)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens a directory that is to be removed, or moves it up if this is the deepest level.
    fn descend(&mut self, stack: &mut Vec<Removal>, name: &[u8], in_part: &mut bool) -> Result<(), Error> {
        let (Some(parent), Some(top)) = (stack.last(), stack.first()) else { return Ok(()) };
        let removal = match self.open_removal(parent.fd()?, name) {
            // The name is read again together with its directory.
            Err(error) if stack.len() > 2 && lacks_descriptors(&error) => {
                return self.move_up_last(stack, in_part);
            }
            other => other?,
        };
        let Some(removal) = removal else { return Ok(()) };
        if stack.len() < DEEPEST {
            stack.push(removal);
            return Ok(());
        }
        // The kernel rewrites the `..` of a directory that it moves, so the directory must be writable. Opening it made
        // it so.
        let temporary = self.names.next();
        let moved = sys::rename(parent.fd()?, name, top.fd()?, &temporary);
        removal.restore();
        moved.at(name)?;
        *in_part = true;
        for removal in stack {
            removal.progress = true;
        }
        Ok(())
    }

    /// Moves the deepest open directory up, to free its descriptor.
    fn move_up_last(&mut self, stack: &mut Vec<Removal>, in_part: &mut bool) -> Result<(), Error> {
        let temporary = self.names.next();
        let [top, .., parent, last] = stack.as_slice() else { return Ok(()) };
        let moved = sys::rename(parent.fd()?, &last.name, top.fd()?, &temporary);
        moved.at(&last.name)?;
        last.restore();
        stack.pop();
        *in_part = true;
        for removal in stack {
            removal.progress = true;
        }
        Ok(())
    }

    fn open_removal(&self, at: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Removal>, Error> {
        match directory::open(at, name, self.mount, self.caller)? {
            Opened::Directory { fd, status, mode_now } => {
                let names = Names::own(fd, name)?;
                Ok(Some(Removal { name: name.into(), names, status, mode_now, progress: false }))
            }
            Opened::Missing => Ok(None),
            // A file that may not be removed, because of an immutable flag for example.
            Opened::Link(_) | Opened::Other => Err(Error::system("unlinkat", name, Errno::PERM)),
        }
    }

    /// Finds what would stop [`Remover::remove_tree`], before anything is removed: another mount, a protected file,
    /// another user's directory.
    ///
    /// Levels below 32 are not checked, and another process may change the tree afterwards.
    pub(super) fn check_removable(&self, at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Error> {
        let mut stack = Vec::new();
        let found = self.check(at, name, &mut stack);
        stack.iter().rev().for_each(Removal::restore);
        found
    }

    fn check(&self, at: BorrowedFd<'_>, name: &[u8], stack: &mut Vec<Removal>) -> Result<(), Error> {
        if !matches!(sys::status_at(at, name), Ok(status) if status.kind == FileType::Directory) {
            return Ok(());
        }
        stack.extend(self.open_removal(at, name)?);
        while let Some(removal) = stack.last_mut() {
            let Some((child, _)) = removal.names.next()? else {
                stack.pop().iter().for_each(Removal::restore);
                continue;
            };
            let found = match sys::status_at(removal.fd()?, &child) {
                Err(Failed { errno: Errno::NOENT, .. }) => continue,
                found => found.at(&child)?,
            };
            if found.mount != self.mount {
                return Err(Violation::MountCrossed { at: Escaped::new(&child) }.into());
            }
            removal.check_child(&found, self.caller).at(&child)?;
            if found.kind == FileType::Directory && stack.len() < DEEPEST {
                let inner = stack.last().map(|removal| self.open_removal(removal.fd()?, &child)).transpose()?;
                stack.extend(inner.flatten());
            }
        }
        Ok(())
    }
}

/// A directory that is being removed.
struct Removal {
    name: Box<[u8]>,
    /// The names in it, and its handle.
    names: Names,
    status: Status,
    mode_now: u32,
    /// Whether anything was removed since the names were last read from the start.
    progress: bool,
}

impl Removal {
    fn is(&self, condemned: Origin) -> bool {
        self.names.fd().and_then(sys::origin) == Ok(condemned)
    }

    fn fd(&self) -> Result<BorrowedFd<'_>, Error> {
        self.names.fd().at(&self.name)
    }

    /// Restores the mode. A failure is ignored: the error that led here is reported.
    fn restore(&self) {
        if self.mode_now != self.status.mode
            && let Ok(fd) = self.names.fd()
        {
            let _ = sys::set_mode(fd, self.status.mode);
        }
    }

    /// Returns the error that the kernel would return for the removal of a child.
    fn check_child(&self, child: &Status, caller: Caller) -> Result<(), Failed> {
        let unlink = |errno| Failed { call: "unlinkat", errno };
        let sticks = self.status.mode & 0o1000 != 0 && ![self.status.uid, child.uid].contains(&caller.uid);
        if child.is_fixed || self.status.is_fixed || (sticks && !caller.overrides) {
            return Err(unlink(Errno::PERM));
        }
        match caller.overrides || self.status.uid == caller.uid {
            true => Ok(()),
            false => self.names.fd().and_then(sys::may_change).map_err(|failed| unlink(failed.errno)),
        }
    }
}
