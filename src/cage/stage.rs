//! A tree that is filled in a staging directory, and then gets its name in one step.

use super::apart::APART;
use super::attributes::{Inherited, strip_acls};
use super::claim::{self, Claim, Purpose};
use super::directory::Caller;
use super::failed::{At, is_one_of, lacks_descriptors};
use super::removal::Remover;
use super::state::{Cage, Exposure};
use super::sys;
use super::target::{self, Target};
use super::temporary_names::TemporaryNames;
use crate::tree::Content;
use crate::words::{self, Cancellation, Component, Durability, Error, Escaped, Misuse};
use rustix::io::Errno;
#[cfg(feature = "image")]
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

pub(super) const STAGE: Purpose = Purpose(words::STAGE);

/// The number of descriptors that a stage reserves for its removal. When no others are left, removal needs at most five
/// at a time: one for each of three levels of directories, and two for a directory whose mode denies us access
/// (`removal.rs`). One of the five is that of the tree, which is closed by then.
const RESERVE: usize = 4;

/// The pauses before a removal without enough descriptors is retried, in milliseconds.
const PAUSES: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// The tree's name in the staging directory.
pub(super) const TREE: &[u8] = b"rootfs";

/// The name of the root filesystem in a bundle.
const ROOTFS: &[u8] = b"rootfs";

/// The name of the configuration in a bundle (runtime-spec, bundle.md).
const CONFIG: &[u8] = b"config.json";

/// The name of the layer in its directory in a store.
pub(super) const DIFF: &[u8] = b"diff";

/// The name of the list of layers of an image in a store.
#[cfg(feature = "image")]
pub(super) const LOWER: &[u8] = b"lower";

/// What gets the name of the target.
#[cfg_attr(not(feature = "image"), expect(dead_code, reason = "only a store of images has these"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents<'a> {
    /// The root filesystem.
    Rootfs,
    /// A directory of mode 0700 that holds the root filesystem, as `rootfs`, and a configuration.
    Bundle { config: &'a [u8] },
    /// A directory of mode 0700 that holds the layer of an overlay, as `diff`.
    Layer,
    /// A directory of mode 0700 that holds lists of layers, each with its name.
    Image { lists: &'a [(&'a [u8], &'a [u8])] },
    /// A directory of mode 0700 for files that [`Stage::create`] creates.
    Files,
}

/// A staging directory beside its target; removed when dropped before [`Stage::commit`].
///
/// It is locked while it is used. If it is not locked, its run is dead, and the next run removes it. It belongs to us,
/// and no other user may enter it. So no other user can use or replace the tree inside before it is verified, whatever
/// owner and mode the tree has. Files that others put into it are not removed.
#[derive(Debug)]
pub(crate) struct Stage {
    parent: OwnedFd,
    target: Target,
    caller: Caller,
    /// The directory around the tree.
    claim: Claim,
    /// What gets the target's name. `None` as soon as it is dropped.
    tree: Option<OwnedFd>,
    /// The root filesystem in it, if the tree is not one itself.
    inner: Option<OwnedFd>,
    /// Reserved descriptors, closed before the removal.
    reserve: Vec<OwnedFd>,
}

impl Stage {
    /// Creates a staging directory in `parent` for a target of the name `target`. Removes those that dead runs left, but for
    /// a layer: a store may have thousands of names, and does that once for all layers of an image.
    pub(crate) fn beside(parent: BorrowedFd<'_>, target: &[u8], contents: Contents<'_>) -> Result<Self, Error> {
        let target = match Component::parse(target) {
            Ok(component) => component.as_bytes(),
            Err(_) => return Err(Misuse::NotAComponent { name: Escaped::new(target) }.into()),
        };
        words::refuse_reserved(target)?;
        Self::make(parent, target, contents).map_err(|error| {
            let error = error.about(&format!("to be filled and then called {}", Escaped::new(target)));
            match is_one_of(&error, &[Errno::ACCESS, Errno::PERM]) {
                true => error.with_advice("the parent directory of the target must be readable and writable for you"),
                false => error,
            }
        })
    }

    fn make(parent: BorrowedFd<'_>, target: &[u8], contents: Contents<'_>) -> Result<Self, Error> {
        // The handle of a `cap_std::fs::Dir` is `O_PATH`. Reading the names needs another one.
        let parent = sys::open_directory(parent, b".").at(b".")?;
        let target = Target::find(parent.as_fd(), target)?;
        let caller = Caller::current();
        // If there are not enough descriptors to remove a stage, none is created.
        let reserve = std::iter::repeat_with(|| sys::duplicate(parent.as_fd())).take(RESERVE);
        let mut reserve = reserve.collect::<Result<Vec<_>, _>>().at(b".")?;
        if contents != Contents::Layer {
            remove_dead(parent.as_fd())?;
        }
        let claim = Claim::make(parent.as_fd(), STAGE, caller)?;
        match make_tree(&claim, caller, contents) {
            Ok((tree, inner)) => Ok(Self { parent, target, caller, claim, tree: Some(tree), inner, reserve }),
            Err(error) => {
                reserve.clear();
                let _ = remove(parent.as_fd(), &claim);
                Err(error)
            }
        }
    }

    /// A cage around the root filesystem.
    pub(crate) fn cage(&self) -> Result<Cage, Error> {
        let mut cage = Cage::over(self.rootfs()?, Exposure::Staged)?;
        cage.stage = Some(sys::duplicate(self.claim.directory.as_fd()).at(&self.claim.name)?);
        let root = cage.root_directory();
        // The root is implied until an entry names it.
        cage.finish_implied(&root, Inherited::Nothing)?;
        Ok(cage)
    }

    /// Whether a cage is around the root filesystem and not around some other directory.
    pub(crate) fn is_root_of(&self, cage: &Cage) -> Result<bool, Error> {
        Ok(sys::status(self.rootfs()?).at(self.target.name())?.identity == cage.root.status.identity)
    }

    /// Creates a file of this content beside the layer of an overlay, or in a directory of files.
    #[cfg(feature = "image")]
    pub(crate) fn write_beside(&self, name: &[u8], content: &[u8]) -> Result<(), Error> {
        write(self.tree()?, name, content)
    }

    /// Creates a file in a directory of files. It is open for reading and writing.
    #[cfg(feature = "image")]
    pub(crate) fn create(&self, name: &[u8]) -> Result<File, Error> {
        sys::create_public_file(self.tree()?, name).map(File::from).at(name)
    }

    /// Gives the tree its name, unless another process has taken that name.
    pub(crate) fn commit(self, durability: Durability) -> Result<(), Error> {
        let stage = self.claim.directory.as_fd();
        if durability == Durability::Synced {
            sys::sync_file_system(self.tree()?).at(self.target.name())?;
        }
        self.put_in_place(stage)?;
        if durability == Durability::Synced
            && let Err(failed) = sys::sync(self.parent.as_fd())
        {
            // After a crash the name may or may not be there. So it is removed, and dropping the stage removes the
            // tree.
            self.take_back(stage)?;
            return Err(failed.at(b"."));
        }
        // Dropping removes the staging directory.
        Ok(())
    }

    fn put_in_place(&self, stage: BorrowedFd<'_>) -> Result<(), Error> {
        let status = sys::status(self.tree()?).at(self.target.name())?;
        // The kernel rewrites the `..` of a directory that it moves, so the directory must be writable.
        let mode_now = self.caller.open_up(self.tree()?, &status, self.target.name())?;
        self.target.give(self.parent.as_fd(), (stage, TREE))?;
        if mode_now != status.mode
            && let Err(failed) = sys::set_mode(self.tree()?, status.mode)
        {
            self.take_back(stage)?;
            return Err(failed.at(self.target.name()));
        }
        Ok(())
    }

    /// Removes the name again, if it still belongs to the tree. If the tree replaced an empty directory, an empty
    /// directory is created again.
    fn take_back(&self, stage: BorrowedFd<'_>) -> Result<(), Error> {
        let (parent, name) = (self.parent.as_fd(), self.target.name());
        let status = sys::status(self.tree()?).at(name)?;
        if sys::names(parent, name, status.identity) {
            self.caller.open_up(self.tree()?, &status, name)?;
            sys::rename_noreplace((parent, name), (stage, TREE)).at(name)?;
            self.target.restore(parent, stage, self.caller)?;
        }
        Ok(())
    }

    fn rootfs(&self) -> Result<BorrowedFd<'_>, Error> {
        self.inner.as_ref().map_or_else(|| self.tree(), |inner| Ok(inner.as_fd()))
    }

    fn tree(&self) -> Result<BorrowedFd<'_>, Error> {
        self.tree.as_ref().map(AsFd::as_fd).ok_or(Error::bug("a stage was used after it was dropped"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tree = None;
        self.inner = None;
        self.reserve.clear();
        let mut pauses = PAUSES.iter();
        // Leftovers are removed by the next run …
        while let Err(error) = remove(self.parent.as_fd(), &self.claim)
            // … but another thread may have taken the reserved descriptors. It will fail or end soon, too.
            && lacks_descriptors(&error)
            && let Some(&pause) = pauses.next()
        {
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
}

/// Creates the directory of the tree, and what a bundle holds. Returns the root filesystem in it, if it is another one.
/// The directory inherits no ACL from the directory around the target.
fn make_tree(claim: &Claim, caller: Caller, contents: Contents<'_>) -> Result<(OwnedFd, Option<OwnedFd>), Error> {
    let stage = claim.directory.as_fd();
    strip_acls(stage)?;
    let tree = target::make_directory(stage, TREE, caller)?;
    let inner = match contents {
        Contents::Rootfs => None,
        Contents::Bundle { config } => {
            write(tree.as_fd(), CONFIG, config)?;
            Some(target::make_directory(tree.as_fd(), ROOTFS, caller)?)
        }
        Contents::Layer => Some(target::make_directory(tree.as_fd(), DIFF, caller)?),
        Contents::Image { lists } => {
            lists.iter().try_for_each(|(name, list)| write(tree.as_fd(), name, list))?;
            None
        }
        Contents::Files => None,
    };
    Ok((tree, inner))
}

/// Creates a file with this content.
pub(super) fn write(directory: BorrowedFd<'_>, name: &[u8], mut content: &[u8]) -> Result<(), Error> {
    let file = sys::create_file(directory, name).at(name)?;
    Content::of(&mut content).fill(file.as_fd(), name)
}

/// Removes a directory of ours from `parent`. It loses its name before anything in it is removed. If we are killed, the next
/// stage in `parent` removes the rest.
#[cfg(feature = "image")]
pub(super) fn discard(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Error> {
    let claim = Claim::make(parent, STAGE, Caller::current())?;
    let moved = sys::rename_noreplace((parent, name), (claim.directory.as_fd(), TREE)).at(name);
    moved.and(remove(parent, &claim))
}

/// Removes what dead runs left in `parent`.
pub(super) fn remove_dead(parent: BorrowedFd<'_>) -> Result<(), Error> {
    // A failure is ignored: a later run, perhaps with more privileges, tries again.
    claim::each_dead(parent, STAGE, Caller::current(), |dead| drop(remove(parent, &dead))).map(drop)
}

/// Removes the tree through the handle of the staging directory, and then that directory by its name. Anything that
/// others moved to its name or put into it stays. It is certain that we created the tree. It is not certain that we
/// created the directory ([`Claim::make`]).
pub(super) fn remove(parent: BorrowedFd<'_>, claim: &Claim) -> Result<(), Error> {
    let stage = claim.directory.as_fd();
    let (mount, caller) = (sys::status(stage).at(&claim.name)?.mount, Caller::current());
    let (names, cancellation) = (&mut TemporaryNames::new(), Cancellation::default());
    let mut remover = Remover { mount, caller, names, cancellation };
    remover.remove_tree(stage, APART)?;
    remover.remove_tree(stage, TREE)?;
    // Left by a run that was killed in `take_back`. Only an empty directory is removed.
    let _ = sys::remove_directory(stage, target::SUBSTITUTE);
    claim.remove(parent)
}
