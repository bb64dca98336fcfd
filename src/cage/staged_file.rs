//! A file that is written in a staging directory, and then gets its name in one step.

use super::apart::APART;
use super::attributes::strip_acls;
use super::claim::Claim;
use super::directory::Caller;
use super::failed::{At, Failed};
use super::stage::{STAGE, TREE, remove, remove_dead};
use super::sys;
use crate::words::{self, Component, Durability, Error, Escaped, Misuse};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A file in a staging directory beside its target. The directory is removed when this is dropped, with the file if that has
/// no name yet. The next run removes what a killed one left, as for a tree.
#[derive(Debug)]
pub(crate) struct FileStage {
    parent: OwnedFd,
    name: Box<[u8]>,
    claim: Claim,
    file: File,
}

impl FileStage {
    /// Creates a file that will be called `name` in `parent`.
    pub(crate) fn beside(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Error> {
        let Ok(name) = Component::parse(name) else {
            return Err(Misuse::NotAComponent { name: Escaped::new(name) }.into());
        };
        words::refuse_reserved(name.as_bytes())?;
        // The handle of a `cap_std::fs::Dir` is `O_PATH`. Reading the names needs another one.
        let parent = sys::open_directory(parent, b".").at(b".")?;
        check_replaceable(parent.as_fd(), name.as_bytes())?;
        remove_dead(parent.as_fd())?;
        let claim = Claim::make(parent.as_fd(), STAGE, Caller::current())?;
        match make_file(&claim) {
            Ok(file) => Ok(Self { parent, name: name.as_bytes().into(), claim, file }),
            Err(error) => {
                let _ = remove(parent.as_fd(), &claim);
                Err(error)
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name. A regular file of that name is replaced.
    pub(crate) fn commit(self, durability: Durability) -> Result<(), Error> {
        if durability == Durability::Synced {
            sys::sync(self.file.as_fd()).at(&self.name)?;
        }
        let (parent, stage) = (self.parent.as_fd(), self.claim.directory.as_fd());
        let old = check_replaceable(parent, &self.name)?;
        let is_kept =
            durability == Durability::Synced && old == Old::File && sys::link(parent, &self.name, stage, APART).is_ok();
        let renamed = sys::rename(stage, TREE, parent, &self.name);
        match renamed {
            // A directory took the name since the check.
            Err(Failed { errno: Errno::ISDIR, .. }) => Err(taken(&self.name)),
            other => other.at(&self.name),
        }?;
        if durability == Durability::Synced
            && let Err(failed) = sys::sync(parent)
        {
            // After a crash the new file may or may not be there, so it is taken back.
            match old {
                Old::File if is_kept => sys::rename(stage, APART, parent, &self.name).at(&self.name)?,
                // The system forbids links to the file of another user.
                Old::File => (),
                Old::Nothing => sys::rename_noreplace((parent, &self.name), (stage, TREE)).at(&self.name)?,
            }
            return Err(failed.at(b"."));
        }
        Ok(())
    }
}

/// What has the name before the file gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Old {
    Nothing,
    File,
}

impl Drop for FileStage {
    fn drop(&mut self) {
        // The next run removes what stays.
        let _ = remove(self.parent.as_fd(), &self.claim);
    }
}

/// Creates the file. It inherits no ACL from the directory around the target.
fn make_file(claim: &Claim) -> Result<File, Error> {
    let stage = claim.directory.as_fd();
    strip_acls(stage)?;
    sys::create_public_file(stage, TREE).map(File::from).at(TREE)
}

/// Checks that a name is free, or that of a regular file. A link is not followed, so the file that it leads to stays whole.
fn check_replaceable(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Old, Error> {
    match sys::status_at(parent, name) {
        Err(Failed { errno: Errno::NOENT, .. }) => Ok(Old::Nothing),
        Ok(found) if found.kind == FileType::RegularFile => Ok(Old::File),
        Ok(_) => Err(taken(name)),
        Err(failed) => Err(failed.at(name)),
    }
}

fn taken(name: &[u8]) -> Error {
    Misuse::NotRegularFile { name: Escaped::new(name) }.into()
}
