//! Whole trees on their way out: removed without following anything, and looked through before where that matters.
//!
//! A directory needs one descriptor while its content is removed, and two more for a moment if its mode denies us
//! access. If no descriptors are left, deep directories are moved up. With three levels open any tree can be removed.

use super::Cage;
use super::directory::{self, Me, Opened};
use super::failed::{At, Failed, lacks_descriptors};
use super::remove::Names;
use super::sys::{self, Origin, Status};
use crate::words::{Escaped, Fault, Violation};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// How deep handles are held while a tree is removed; what lies deeper is moved up first.
const DEEPEST: usize = 32;

/// Why a tree is not removed.
#[derive(Debug)]
pub(super) struct Unremoved {
    pub(super) fault: Fault,
    /// Whether anything of it is gone.
    pub(super) in_part: bool,
}

impl From<Unremoved> for Fault {
    fn from(unremoved: Unremoved) -> Self {
        unremoved.fault
    }
}

impl Cage {
    /// Removes `name`, whatever it is. Directories that stay because that fails have the modes that they had.
    pub(super) fn remove_tree(&mut self, at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Unremoved> {
        match sys::unlink(at, name) {
            Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => return Ok(()),
            Err(Failed { errno: Errno::ISDIR | Errno::PERM, .. }) => (),
            Err(failed) => {
                return Err(Unremoved { fault: failed.at(name), in_part: false });
            }
        }
        let (mut stack, mut in_part) = (Vec::new(), false);
        self.remove_directory(at, name, &mut stack, &mut in_part).map_err(|fault| {
            stack.iter().rev().for_each(Removal::restore);
            Unremoved { fault, in_part }
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
            Err(failed) => return Err(Unremoved { fault: failed.at(name), in_part: false }),
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
        result.map_err(|fault| {
            stack.iter().rev().for_each(Removal::restore);
            Unremoved { fault, in_part }
        })
    }

    fn remove_directory(
        &mut self,
        at: BorrowedFd<'_>,
        name: &[u8],
        stack: &mut Vec<Removal>,
        in_part: &mut bool,
    ) -> Result<(), Fault> {
        stack.extend(self.open_removal(at, name)?);
        self.remove_opened(at, stack, in_part)
    }

    /// Removes the open directory and its content.
    fn remove_opened(&mut self, at: BorrowedFd<'_>, stack: &mut Vec<Removal>, in_part: &mut bool) -> Result<(), Fault> {
        while let Some(removal) = stack.last_mut() {
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
                        // Reading a directory while it changes may skip names: once more, as long as it helps.
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

    /// Goes into a directory that is to be removed, or moves it up when this is deep enough.
    fn descend(&mut self, stack: &mut Vec<Removal>, name: &[u8], in_part: &mut bool) -> Result<(), Fault> {
        let (Some(parent), Some(top)) = (stack.last(), stack.first()) else { return Ok(()) };
        let removal = match self.open_removal(parent.fd()?, name) {
            // The name is read again together with its directory.
            Err(fault) if stack.len() > 2 && lacks_descriptors(&fault) => {
                return self.move_up_last(stack, in_part);
            }
            other => other?,
        };
        let Some(removal) = removal else { return Ok(()) };
        if stack.len() < DEEPEST {
            stack.push(removal);
            return Ok(());
        }
        // Moving a directory rewrites its `..`, for which it must be writable; opening it saw to that.
        let temporary = self.temporary_name();
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
    fn move_up_last(&mut self, stack: &mut Vec<Removal>, in_part: &mut bool) -> Result<(), Fault> {
        let temporary = self.temporary_name();
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

    fn open_removal(&self, at: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Removal>, Fault> {
        match directory::open(at, name, self.root.status.mount, self.me)? {
            Opened::Directory { fd, status, mode_now } => {
                let names = Names::own(fd, name)?;
                Ok(Some(Removal { name: name.into(), names, status, mode_now, progress: false }))
            }
            Opened::Missing => Ok(None),
            // A file that may not be removed, by an immutable flag say.
            Opened::Link(_) | Opened::Other => Err(Fault::system("unlinkat", name, Errno::PERM)),
        }
    }

    /// Finds out what would keep [`Cage::remove_tree`] from removing a directory, before anything of it is gone.
    ///
    /// What lies more than 32 levels down is not looked at, and what comes up later is not foreseen.
    pub(super) fn check_removable(&self, at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Fault> {
        let mut stack = Vec::new();
        let found = self.foresee(at, name, &mut stack);
        stack.iter().rev().for_each(Removal::restore);
        found
    }

    fn foresee(&self, at: BorrowedFd<'_>, name: &[u8], stack: &mut Vec<Removal>) -> Result<(), Fault> {
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
            if found.mount != self.root.status.mount {
                return Err(Violation::MountCrossed { at: Escaped::new(&child) }.into());
            }
            removal.may_lose(&found, self.me).at(&child)?;
            if found.kind == FileType::Directory && stack.len() < DEEPEST {
                let inner = stack.last().map(|removal| self.open_removal(removal.fd()?, &child)).transpose()?;
                stack.extend(inner.flatten());
            }
        }
        Ok(())
    }
}

/// A directory on its way out.
struct Removal {
    name: Box<[u8]>,
    /// What is in it, and its handle.
    names: Names,
    status: Status,
    mode_now: u32,
    /// Whether anything was removed since its names were last read from the start.
    progress: bool,
}

impl Removal {
    fn is(&self, condemned: Origin) -> bool {
        self.names.fd().and_then(sys::origin) == Ok(condemned)
    }

    fn fd(&self) -> Result<BorrowedFd<'_>, Fault> {
        self.names.fd().at(&self.name)
    }

    /// Takes back what let us work in it. That this fails changes nothing about what is reported.
    fn restore(&self) {
        if self.mode_now != self.status.mode
            && let Ok(fd) = self.names.fd()
        {
            let _ = sys::set_mode(fd, self.status.mode);
        }
    }

    /// Whether the kernel would let us remove this from it.
    fn may_lose(&self, child: &Status, me: Me) -> Result<(), Failed> {
        let unlink = |errno| Failed { call: "unlinkat", errno };
        let sticks = self.status.mode & 0o1000 != 0 && ![self.status.uid, child.uid].contains(&me.uid);
        if child.is_fixed || self.status.is_fixed || (sticks && !me.overrides) {
            return Err(unlink(Errno::PERM));
        }
        match me.overrides || self.status.uid == me.uid {
            true => Ok(()),
            false => self.names.fd().and_then(sys::may_change).map_err(|failed| unlink(failed.errno)),
        }
    }
}
