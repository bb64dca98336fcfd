//! Temporary names, and their cleanup if we are killed.
//!
//! A staged tree is removed as a whole. In a tree in use, the first temporary name comes with a locked directory in the
//! root, the **marker**. A file in it records the directory that has a temporary name now: there is one at a time.
//! After a kill, the next run finds the marker without a lock, removes that name, and then the marker. Files that are
//! not in the tree (`pseudo_links.rs`) are in the marker, too.
//!
//! The owner of the recorded directory can rename any file in it to such a name. So a directory tree is removed only if
//! the file identifies it. The owner could also have removed a file or an empty directory.

use super::apart::APART;
use super::claim::{self, Claim};
use super::directory::Directory;
use super::failed::{At, Failed, is_one_of};
use super::marker::{self, Marker, Marking, RUN, prefix, read_place};
use super::names::Names;
use super::state::{Cage, Exposure};
use super::sys;
use super::temporary_names::TEMPORARY;
use crate::words::Error;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

impl Cage {
    /// A temporary name in a directory, for a file that is being created or removed.
    pub(super) fn temporary(&mut self, directory: &Directory) -> Result<Vec<u8>, Error> {
        if self.exposure == Exposure::Visible {
            self.mark()?;
        }
        let name = self.temporary_names.next();
        let Marking::Marked(marker) = &mut self.marking else { return Ok(name) };
        marker.point_at(directory)?;
        Ok([&prefix(&marker.claim), name.strip_prefix(TEMPORARY).unwrap_or(&name)].concat())
    }

    /// Creates the marker, unless there is one.
    pub(super) fn mark(&mut self) -> Result<(), Error> {
        if let Marking::None = &self.marking {
            self.root.touch();
            self.marking = match Marker::make(self.root.as_fd(), self.caller) {
                Ok(Some(marker)) => Marking::Marked(marker),
                // A file system without sockets.
                Ok(None) => Marking::Unmarked,
                // A caller who may not write to the root may still write to directories below it.
                Err(error) if is_one_of(&error, &[Errno::ACCESS, Errno::PERM, Errno::ROFS]) => Marking::Unmarked,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Records a directory that will be removed under a temporary name, or that is created under it and is not empty.
    pub(super) fn condemn(&mut self, at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Error> {
        let Marking::Marked(marker) = &mut self.marking else { return Ok(()) };
        match sys::origin_at(at, name) {
            Err(Failed { errno: Errno::NOENT, .. }) => Ok(()),
            origin => marker.condemn(origin.at(name)?),
        }
    }

    /// Keeps the marker, because a temporary name could not be removed. The next run tries again.
    pub(super) fn leave_for_next_run(&mut self) {
        if let Marking::Marked(marker) = &mut self.marking {
            marker.is_needed = true;
        }
    }

    /// Whether a name in a directory is that of our own marker, or of the marker of another run that is alive.
    ///
    /// A layer may bring any name, and a local user may lock any directory that is readable for that user. So ours is
    /// identified by its inode, and that of another run also by its mark.
    pub(super) fn is_marker(&self, directory: &Directory, name: &[u8]) -> bool {
        if directory.id() != self.root.id() {
            return false;
        }
        match &self.marking {
            Marking::Marked(marker) if marker.claim.name == name => marker.claim.is_at(directory.as_fd()),
            _ if self.apart.as_ref().is_some_and(|apart| apart.is_at(directory.as_fd(), name)) => true,
            _ => claim::is_alive(directory.as_fd(), RUN, name, self.caller),
        }
    }

    /// Removes the marker, when no temporary name is left.
    pub(super) fn settle_temporaries(&mut self) -> Result<(), Error> {
        match std::mem::take(&mut self.marking) {
            Marking::Marked(marker) if !marker.is_needed => {
                self.root.touch();
                marker::remove(self.root.as_fd(), &marker.claim)
            }
            _ => Ok(()),
        }
    }

    /// Removes what dead runs left in a tree.
    pub(super) fn remove_dead_temporaries(&mut self) -> Result<(), Error> {
        let root = self.root_directory();
        let any_guards = claim::each_dead(root.as_fd(), RUN, self.caller, |claim| {
            // A failure is ignored: a later run, perhaps with more privileges, tries again. This layer can be applied.
            let apart = self.cleaner().remove_tree(claim.directory.as_fd(), APART);
            if self.remove_named(&claim).is_ok() && apart.is_ok() {
                root.touch();
                let _ = marker::remove(root.as_fd(), &claim);
            }
        })?;
        if any_guards {
            root.touch();
        }
        Ok(())
    }

    /// Removes the temporary names that a dead run left.
    fn remove_named(&mut self, claim: &Claim) -> Result<(), Error> {
        let Some((condemned, path)) = read_place(claim)? else { return Ok(()) };
        let Some(directory) = self.reopen(&path)? else { return Ok(()) };
        let prefix = prefix(claim);
        let mut names = Names::of(directory.as_fd(), directory.path())?;
        while let Some((name, _)) = names.next()? {
            if name.starts_with(&prefix) {
                directory.touch();
                self.cleaner().remove_condemned(directory.as_fd(), &name, condemned)?;
            }
        }
        Ok(())
    }
}
