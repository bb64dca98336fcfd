//! A directory that is filled out of sight and then takes its name at one stroke.

use super::claim::{self, Claim, Purpose};
use super::{Cage, Exposure, directory::Me, sys};
use crate::words::{Component, Durability, Escaped, Fault, Misuse};
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const STAGE: Purpose = Purpose(b".layercage-");

/// A staging directory beside its target; removed when dropped before [`Stage::commit`].
///
/// It is locked for as long as it is used: the next run removes one that is not, for its owner is dead.
#[derive(Debug)]
pub(crate) struct Stage {
    parent: OwnedFd,
    target: Vec<u8>,
    /// The directory, until it has its name.
    claim: Option<Claim>,
}

impl Stage {
    /// Makes one in `parent` for a target of the name `target`, and removes those that dead runs left.
    pub(crate) fn beside(parent: BorrowedFd<'_>, target: &[u8]) -> Result<Self, Fault> {
        let target = match Component::parse(target) {
            Ok(component) => component.as_bytes().to_vec(),
            Err(_) => return Err(Misuse::NotAComponent { name: Escaped::new(target) }.into()),
        };
        Self::make(parent, &target)
            .map_err(|fault| fault.about(&format!("to be filled and then called {}", Escaped::new(&target))))
    }

    fn make(parent: BorrowedFd<'_>, target: &[u8]) -> Result<Self, Fault> {
        // A handle of cap-std only names: this one is to be read from, too.
        let parent = sys::open_directory(parent, b".").map_err(sys::fault("openat", b"."))?;
        match sys::status_at(parent.as_fd(), target) {
            Err(Errno::NOENT) => (),
            Ok(_) => return Err(Misuse::TargetExists { name: Escaped::new(target) }.into()),
            Err(errno) => return Err(Fault::system("statx", target, errno)),
        }
        let me = Me::find_out();
        // One that cannot be removed, with a mount in it say, is left for whoever can.
        claim::each_dead(parent.as_fd(), STAGE, me, |dead| drop(remove(parent.as_fd(), &dead)))?;
        let claim = Claim::make(parent.as_fd(), STAGE, me)?;
        Ok(Self { parent, target: target.to_vec(), claim: Some(claim) })
    }

    /// A cage around it.
    pub(crate) fn cage(&self) -> Result<Cage, Fault> {
        let cage = Cage::over(self.claim()?.directory.as_fd(), Exposure::Staged)?;
        let root = cage.root();
        // Nothing of what surrounds the target leaks in; and the root is implied until an entry names it.
        cage.imply(&root, true)?;
        Ok(cage)
    }

    /// Whether a cage is around it and not around some other directory.
    pub(crate) fn is_root_of(&self, cage: &Cage) -> Result<bool, Fault> {
        let staged = sys::status(self.claim()?.directory.as_fd()).map_err(sys::fault("statx", &self.target))?;
        Ok(staged.identity == cage.root.status.identity)
    }

    /// Gives it its name, unless something of that name has come up meanwhile.
    pub(crate) fn commit(mut self, durability: Durability) -> Result<(), Fault> {
        let claim = self.claim()?;
        if durability == Durability::Synced {
            sys::sync_file_system(claim.directory.as_fd()).map_err(sys::fault("syncfs", &self.target))?;
        }
        self.rename(&claim.name, &self.target)?;
        if durability == Durability::Synced
            && let Err(errno) = sys::sync(self.parent.as_fd())
        {
            // Nobody can say whether the name is there after a crash: it is taken back, and dropping removes the tree.
            self.rename(&self.target, &claim.name)?;
            return Err(Fault::system("fsync", b".", errno));
        }
        self.claim = None;
        Ok(())
    }

    fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Fault> {
        match sys::rename_with(self.parent.as_fd(), from, to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => Err(Misuse::TargetExists { name: Escaped::new(to) }.into()),
            other => other.map_err(sys::fault("renameat2", to)),
        }
    }

    fn claim(&self) -> Result<&Claim, Fault> {
        self.claim.as_ref().ok_or(Fault::Bug("a stage was used after its commit"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(claim) = &self.claim {
            // What cannot be removed now is removed by the next run.
            let _ = remove(self.parent.as_fd(), claim);
        }
    }
}

fn remove(parent: BorrowedFd<'_>, claim: &Claim) -> Result<(), Fault> {
    Ok(Cage::over(parent, Exposure::Staged)?.remove_tree(parent, &claim.name)?)
}
