//! Removes the file or tree at a place, or what lower layers have in a directory.

use super::attributes::Inherited;
use super::directory::Directory;
use super::failed::{Failed, swapped};
use super::names::Names;
use super::place::Place;
use super::state::{Cage, Exposure};
use super::sys;
use crate::plan::{Holds, LayerContents, Standing};
use crate::tree::{Branch, Cleared, Inexact, Step, Tree};
use crate::words::{Component, Error};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::sync::Arc;

impl Cage {
    /// Removes the file or tree at a place; it may be missing. No symbolic link is followed.
    pub(super) fn remove_at(&mut self, place: &Place<'_>) -> Result<(), Error> {
        place.dir().touch();
        self.count_effect(place.dir());
        if self.exposure == Exposure::Visible {
            match sys::unlink(place.at(), place.bytes()) {
                Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => {
                    self.held.forget(&place.path());
                    return Ok(());
                }
                Err(Failed { errno: Errno::ISDIR | Errno::PERM, .. }) => return self.take_away(place),
                Err(failed) => return Err(failed.at(place.bytes())),
            }
        }
        self.held.forget(&place.path());
        Ok(self.remover().remove_tree(place.at(), place.bytes())?)
    }

    /// Gives a directory the attributes of those that no entry lists. Its content stays.
    pub(crate) fn make_like_implied(&mut self, directory: &Directory) -> Result<Inexact, Error> {
        self.count_effect(directory);
        self.remove_other_xattrs(directory, &self.implied.xattrs)?;
        self.finish_implied(directory, Inherited::Nothing)
    }

    /// Removes from a directory what the layer has not brought. What stays is cleared in turn.
    pub(super) fn clear_lower(
        &mut self,
        directory: &Arc<Directory>,
        contents: &LayerContents,
    ) -> Result<Cleared, Error> {
        let mut cleared = Cleared::default();
        let mut levels = Vec::new();
        levels.extend(self.clear_level(directory, contents, &mut cleared)?);
        while let Some(level) = levels.last_mut() {
            if let Some(inner) = self.next_unclear(level, contents)? {
                let level = self.clear_level(&inner, contents, &mut cleared)?;
                // A hostile tree may be deeper than the number of files we may open, and wider than memory. So upper
                // levels are closed, and only the position in them is kept.
                if level.is_some()
                    && let Some(far) = levels.len().checked_sub(OPEN).and_then(|far| levels.get_mut(far))
                {
                    far.close();
                }
                levels.extend(level);
                continue;
            }
            let done = levels.pop();
            if let (Some(Level::Open { directory, .. }), Some(level)) = (done, levels.last_mut())
                && let Level::Closed { position } = *level
            {
                *level = self.reopen_level(directory.path(), position)?;
            }
        }
        Ok(cleared)
    }

    /// Clears one directory. Returns it as a level if it has directories that must be cleared in turn.
    fn clear_level(
        &mut self,
        directory: &Arc<Directory>,
        contents: &LayerContents,
        cleared: &mut Cleared,
    ) -> Result<Option<Level>, Error> {
        let mut keeps_directories = false;
        // Reading a directory while it changes may skip names: read again as long as that helps.
        while self.clear_once(directory, contents, cleared, &mut keeps_directories)? {}
        let names = keeps_directories.then(|| Names::of(directory.as_fd(), directory.path())).transpose()?;
        Ok(names.map(|names| Level::Open { directory: Arc::clone(directory), names }))
    }

    /// Returns whether anything was removed.
    fn clear_once(
        &mut self,
        directory: &Arc<Directory>,
        contents: &LayerContents,
        cleared: &mut Cleared,
        keeps_directories: &mut bool,
    ) -> Result<bool, Error> {
        let mut removed = false;
        let mut names = Names::of(directory.as_fd(), directory.path())?;
        // Only directories with content of lower layers are cleared.
        let within = Branch { dir: Arc::clone(directory), holds: Holds::Lower };
        while let Some((name, kind)) = names.next()? {
            self.cancellation.check()?;
            if self.is_marker(directory, &name) {
                continue;
            }
            let place = self.place(&within, Component::parse(&name)?);
            let standing = place.standing(contents);
            if standing == Standing::Lower || self.is_whiteout(directory, &name, kind)? {
                self.remove_at(&place)?;
                removed = true;
                continue;
            }
            cleared.keeps_own = true;
            if may_be_directory(kind) {
                *keeps_directories = true;
                if standing == Standing::Traversed
                    && let Step::Directory(inner) = self.look(&place)?
                {
                    let inexact = self.make_like_implied(&inner)?;
                    cleared.inexact.time = cleared.inexact.time.or(inexact.time);
                }
            }
        }
        Ok(removed)
    }

    /// Whether it is a whiteout, in the upper directory of an overlay. It hides what lower layers have, and stays only where
    /// they have something.
    fn is_whiteout(&self, directory: &Directory, name: &[u8], kind: FileType) -> Result<bool, Error> {
        let Some(marks) = self.marks.filter(|_| kind != FileType::Directory) else { return Ok(false) };
        match sys::status_at(directory.as_fd(), name) {
            Ok(status) => marks.is_whiteout(directory.as_fd(), name, &status),
            Err(Failed { errno: Errno::NOENT, .. }) => Ok(false),
            Err(failed) => Err(failed.at(name)),
        }
    }

    /// The next directory of a level that must be cleared.
    fn next_unclear(&mut self, level: &mut Level, contents: &LayerContents) -> Result<Option<Arc<Directory>>, Error> {
        let Level::Open { directory, names } = level else {
            return Err(Error::bug("a closed level of a directory to be cleared is read"));
        };
        let within = Branch { dir: Arc::clone(directory), holds: Holds::Lower };
        while let Some((name, kind)) = names.next()? {
            if may_be_directory(kind) && !self.is_marker(directory, &name) {
                let place = self.place(&within, Component::parse(&name)?);
                if contents.below(Holds::Lower, place.id()) == Holds::Lower
                    && let Step::Directory(inner) = self.look(&place)?
                {
                    return Ok(Some(inner));
                }
            }
        }
        Ok(None)
    }

    /// Opens the parent of the directory at a path again, at the position where it was closed.
    fn reopen_level(&mut self, path: &[u8], position: u64) -> Result<Level, Error> {
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let Some(directory) = self.reopen(path.get(..end).unwrap_or_default())? else {
            // It was there a moment ago: another process is changing the tree.
            return Err(swapped(path));
        };
        let names = Names::from_position(directory.as_fd(), directory.path(), position)?;
        Ok(Level::Open { directory, names })
    }

    /// Opens the directory at a path without symbolic links, one component at a time.
    pub(super) fn reopen(&mut self, path: &[u8]) -> Result<Option<Arc<Directory>>, Error> {
        let mut at = Branch { dir: self.root_directory(), holds: Holds::Lower };
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let place = self.place(&at, Component::parse(part)?);
            match self.look(&place)? {
                Step::Directory(dir) => at = Branch { dir, holds: Holds::Lower },
                _ => return Ok(None),
            }
        }
        Ok(Some(at.dir))
    }
}

/// The number of levels that are held open while a directory is cleared.
const OPEN: usize = 32;

/// A directory above the one that is cleared.
enum Level {
    Open {
        directory: Arc<Directory>,
        names: Names,
    },
    /// The position up to which its names were read.
    Closed {
        position: u64,
    },
}

impl Level {
    fn close(&mut self) {
        if let Self::Open { names, .. } = self {
            *self = Self::Closed { position: names.position };
        }
    }
}

fn may_be_directory(kind: FileType) -> bool {
    matches!(kind, FileType::Directory | FileType::Unknown)
}
