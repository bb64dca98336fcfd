//! A directory that is filled out of sight and then takes its name at one stroke.

use super::{Cage, directory::Me, directory::Opened, remove::Names, sys};
use crate::words::{Component, Escaped, Fault, Misuse};
use rustix::fs::{FlockOperation, RenameFlags, flock};
use rustix::io::Errno;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What staging directories are called, with sixteen hexadecimal digits after it.
const PREFIX: &[u8] = b".layercage-";

/// A staging directory beside its target; removed when dropped before [`Stage::commit`].
///
/// It is locked for as long as it is used: the next run removes one that is not, for its owner is dead.
#[derive(Debug)]
pub(crate) struct Stage {
    parent: OwnedFd,
    name: Vec<u8>,
    target: Vec<u8>,
    /// Holds the lock.
    directory: Option<OwnedFd>,
}

impl Stage {
    /// Makes one in `parent` for a target of the name `target`, and removes those that dead runs left.
    pub(crate) fn beside(parent: BorrowedFd<'_>, target: &[u8]) -> Result<Self, Fault> {
        let target = match Component::parse(target) {
            Ok(component) => component.as_bytes().to_vec(),
            Err(_) => return Err(Misuse::NotAComponent { name: Escaped::new(target) }.into()),
        };
        // A handle of cap-std only names: this one is to be read from, too.
        let parent = sys::open_directory(parent, b".").map_err(sys::fault("openat", b"."))?;
        match sys::status_at(parent.as_fd(), &target) {
            Err(Errno::NOENT) => (),
            Ok(_) => return Err(Misuse::TargetExists { name: Escaped::new(&target) }.into()),
            Err(errno) => return Err(Fault::system("statx", &target, errno)),
        }
        remove_dead(parent.as_fd())?;
        for _ in 0..16 {
            let name = [PREFIX, format!("{:016x}", RandomState::new().hash_one(0)).as_bytes()].concat();
            match sys::create_directory(parent.as_fd(), &name) {
                Err(Errno::EXIST) => continue,
                other => other.map_err(sys::fault("mkdirat", &name))?,
            }
            // A umask may keep even us out of what we just made.
            match claim_own(parent.as_fd(), &name)? {
                Some(directory) => return Ok(Self { parent, name, target, directory: Some(directory) }),
                // A run that cleans up was faster than our lock.
                None => continue,
            }
        }
        Err(Fault::system("mkdirat", PREFIX, Errno::EXIST))
    }

    /// A cage around it.
    pub(crate) fn cage(&self) -> Result<Cage, Fault> {
        let directory = self.directory.as_ref().ok_or(Fault::Bug("a stage was used after its commit"))?;
        let mut cage = Cage::over(directory.as_fd())?;
        let root = cage.root();
        // Nothing of what surrounds the target leaks in; and the root is implied until an entry names it.
        let attributes = cage.implied();
        cage.prepare_directory(&root, true, &attributes)?;
        Ok(cage)
    }

    /// Gives it its name, unless something of that name has come up meanwhile.
    pub(crate) fn commit(mut self) -> Result<(), Fault> {
        match sys::rename_with(self.parent.as_fd(), &self.name, &self.target, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.directory = None;
                Ok(())
            }
            Err(Errno::EXIST) => Err(Misuse::TargetExists { name: Escaped::new(&self.target) }.into()),
            Err(errno) => Err(Fault::system("renameat2", &self.target, errno)),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.directory.is_some() {
            // What cannot be removed now is removed by the next run.
            let _ = remove_staging(self.parent.as_fd(), &self.name);
        }
    }
}

/// Takes the lock of a staging directory; `None` when somebody else has it, or it is gone.
fn claim(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Option<OwnedFd>, Fault> {
    let directory = match sys::open_directory(parent, name) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(None),
        other => other.map_err(sys::fault("openat", name))?,
    };
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        other => other.map_err(sys::fault("flock", name))?,
    }
    // It may have been removed, or committed, between the two calls.
    let held = sys::status(directory.as_fd()).map_err(sys::fault("statx", name))?;
    Ok(sys::status_at(parent, name).is_ok_and(|named| named.identity == held.identity).then_some(directory))
}

fn remove_dead(parent: BorrowedFd<'_>) -> Result<(), Fault> {
    let mut names = Names::of(parent, b".")?;
    while let Some((name, _)) = names.next()? {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if rest.len() != 16 || !rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            continue;
        }
        if let Some(directory) = claim_own(parent, &name)? {
            remove_staging(parent, &name)?;
            drop(directory);
        }
    }
    Ok(())
}

/// Only what the same user left is ours to remove; a mode that keeps even us out is put right first.
fn claim_own(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Option<OwnedFd>, Fault> {
    let me = Me::find_out();
    match sys::status_at(parent, name) {
        Ok(status) if status.uid == me.uid => match super::directory::open(parent, name, status.mount, me)? {
            Opened::Directory { .. } => claim(parent, name),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn remove_staging(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Fault> {
    Cage::over(parent)?.remove_tree(parent, name)
}
