//! What can be taken away: a tree at a place, or from a directory all but what is to be kept.

use super::directory::{self, Opened};
use super::{Cage, Directory, Place, Step, sys};
use crate::words::{Component, DirectoryId, Fault, PlaceId};
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// How deep handles are held while a tree is removed; what lies deeper is moved up first.
const DEEPEST: usize = 32;

/// What is to become of something in a directory that is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It goes, with all that is in it.
    Nothing,
    /// It stays, and a directory is cleared in turn.
    Cleared,
    /// A directory stays as one that no entry lists, and is cleared in turn.
    Implied,
}

impl Cage {
    /// Removes what is at a place, with all that is in it and without following anything. Nothing there is fine.
    pub(crate) fn remove(&mut self, place: &Place) -> Result<(), Fault> {
        place.parent().touch();
        self.forget(&place.path());
        self.remove_tree(place.at(), place.name())
    }

    /// Makes a directory one that no entry lists: what the lower layers gave it goes, but not what is in it.
    pub(crate) fn make_like_implied(&mut self, directory: &Directory) -> Result<(), Fault> {
        let attributes = self.implied();
        self.remove_other_xattrs(directory, &attributes.xattrs)?;
        self.prepare_directory(directory, false, &attributes)
    }

    /// Removes from a directory what `lower` does not keep. What stays is looked at once in a layer.
    pub(crate) fn clear(&mut self, directory: &Arc<Directory>, lower: &mut dyn Lower) -> Result<(), Fault> {
        let mut to_do = vec![directory.path().to_vec()];
        while let Some(path) = to_do.pop() {
            let Some(directory) = self.reopen(&path)? else { continue };
            if lower.is_clear(directory.id()) {
                continue;
            }
            // Reading a directory while it changes may skip names: once more, as long as it helps.
            while self.clear_once(&directory, lower, &mut to_do)? {}
            lower.cleared(directory.id());
        }
        Ok(())
    }

    /// Says whether anything was removed; directories to be cleared in turn go to `to_do`.
    fn clear_once(
        &mut self,
        directory: &Arc<Directory>,
        lower: &mut dyn Lower,
        to_do: &mut Vec<Vec<u8>>,
    ) -> Result<bool, Fault> {
        let mut removed = false;
        let mut names = Names::of(directory.as_fd(), directory.path())?;
        while let Some((name, kind)) = names.next()? {
            let place = self.place(directory, Component::parse(&name)?);
            let keep = lower.keep(directory.id(), place.id());
            if keep == Keep::Nothing {
                self.remove(&place)?;
                removed = true;
            } else if matches!(kind, FileType::Directory | FileType::Unknown)
                && let Some(inner) = self.enter(&place)?
                && !lower.is_clear(inner.id())
            {
                if keep == Keep::Implied {
                    self.make_like_implied(&inner)?;
                }
                to_do.push(inner.path().to_vec());
            }
        }
        Ok(removed)
    }

    /// The directory at a path whose components were walked before.
    fn reopen(&mut self, path: &[u8]) -> Result<Option<Arc<Directory>>, Fault> {
        let mut at = self.root();
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            match self.step_again(&at, Component::parse(part)?)? {
                Step::Directory(directory, _) => at = directory,
                _ => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Removes `name`, whatever it is.
    pub(super) fn remove_tree(&mut self, at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Fault> {
        match sys::unlink(at, name) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => (),
            Err(errno) => return Err(Fault::system("unlinkat", name, errno)),
        }
        let Some(top) = self.open_doomed(at, name)? else { return Ok(()) };
        let mut stack = vec![top];
        while let Some(doomed) = stack.last_mut() {
            match doomed.names.next()? {
                Some((child, FileType::Directory)) => self.doom(&mut stack, &child)?,
                Some((child, _)) => match sys::unlink(doomed.fd.as_fd(), &child) {
                    Ok(()) | Err(Errno::NOENT) => doomed.progress = true,
                    Err(Errno::ISDIR | Errno::PERM) => self.doom(&mut stack, &child)?,
                    Err(errno) => return Err(Fault::system("unlinkat", &child, errno)),
                },
                None => {
                    let Some(doomed) = stack.pop() else { break };
                    let parent = stack.last().map_or(at, |parent| parent.fd.as_fd());
                    match sys::remove_directory(parent, &doomed.name) {
                        Ok(()) | Err(Errno::NOENT) => {
                            self.ids.remove(&doomed.identity);
                            if let Some(parent) = stack.last_mut() {
                                parent.progress = true;
                            }
                        }
                        // Reading a directory while it changes may skip names: once more, as long as it helps.
                        Err(Errno::NOTEMPTY | Errno::EXIST) if doomed.progress => {
                            let names = Names::of(doomed.fd.as_fd(), &doomed.name)?;
                            stack.push(Doomed { names, progress: false, ..doomed });
                        }
                        Err(errno) => return Err(Fault::system("rmdir", &doomed.name, errno)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Goes into a directory that is to be removed, or moves it up when this is deep enough.
    fn doom(&mut self, stack: &mut Vec<Doomed>, name: &[u8]) -> Result<(), Fault> {
        let (Some(parent), Some(top)) = (stack.last(), stack.first()) else { return Ok(()) };
        if stack.len() < DEEPEST {
            if let Some(doomed) = self.open_doomed(parent.fd.as_fd(), name)? {
                stack.push(doomed);
            }
            return Ok(());
        }
        // Moving a directory rewrites its `..`, for which it must be writable; opening it sees to that.
        let opened = self.open_doomed(parent.fd.as_fd(), name)?;
        let temporary = self.temporary_name();
        if opened.is_some() {
            sys::rename(parent.fd.as_fd(), name, top.fd.as_fd(), &temporary).map_err(sys::fault("renameat", name))?;
        }
        for doomed in stack {
            doomed.progress = true;
        }
        Ok(())
    }

    fn open_doomed(&self, at: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Doomed>, Fault> {
        match directory::open(at, name, self.root.status.mount, self.me)? {
            Opened::Directory { fd, status, .. } => {
                let names = Names::of(fd.as_fd(), name)?;
                Ok(Some(Doomed { fd, name: name.into(), names, identity: status.identity, progress: false }))
            }
            Opened::Missing => Ok(None),
            // A file that may not be removed, by an immutable flag say.
            Opened::Link(_) | Opened::Other => Err(Fault::system("unlinkat", name, Errno::PERM)),
        }
    }
}

/// What a layer's changes know of lower layers, as far as clearing a directory needs it.
pub(crate) trait Lower {
    /// What is to become of what is at a place.
    fn keep(&mut self, within: DirectoryId, place: PlaceId) -> Keep;
    /// Whether a directory has nothing in it that could go.
    fn is_clear(&self, directory: DirectoryId) -> bool;
    /// From now on it has not.
    fn cleared(&mut self, directory: DirectoryId);
}

/// A directory on its way out.
struct Doomed {
    fd: OwnedFd,
    name: Box<[u8]>,
    names: Names,
    identity: (u64, u64),
    /// Whether anything was removed since its names were last read from the start.
    progress: bool,
}

/// A name, and what the directory says is there; it need not know.
type Name = (Box<[u8]>, FileType);

/// The names in a directory, without `.` and `..`, read bit by bit.
pub(super) struct Names {
    stream: Dir,
    path: Box<[u8]>,
}

impl Names {
    pub(super) fn of(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Self, Fault> {
        let stream = Dir::read_from(directory).map_err(sys::fault("openat", path))?;
        Ok(Self { stream, path: path.into() })
    }

    pub(super) fn next(&mut self) -> Result<Option<Name>, Fault> {
        loop {
            let Some(entry) = self.stream.read() else { return Ok(None) };
            let entry = entry.map_err(sys::fault("getdents64", &self.path))?;
            match entry.file_name().to_bytes() {
                b"." | b".." => (),
                name => return Ok(Some((name.into(), entry.file_type()))),
            }
        }
    }
}
