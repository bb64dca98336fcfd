//! Level 3, names to effects: the only module that changes a file system.
//!
//! Everything goes through directory handles, one component at a time, and no symbolic link is followed. The cage is a
//! [`Tree`](crate::tree::Tree): it knows no tar and no policy. It does one effect at one place, and returns what it could
//! not do exactly.

mod apart;
mod claim;
mod content;
mod create;
mod directory;
mod failed;
mod finish;
mod grants;
mod metadata;
#[cfg(feature = "image")]
mod open;
mod owner;
mod place;
mod proc;
mod removal;
mod remove;
mod replace;
mod spool;
mod stage;
mod sys;
mod target;
mod temporary;
#[cfg(test)]
mod tests;
mod times;
mod tree;

pub(crate) use directory::Directory;
#[cfg(feature = "image")]
pub(crate) use open::{NotOpened, open_directory, open_inside, open_regular};
pub(crate) use spool::create_spool;
pub(crate) use stage::Stage;

use crate::tree::Step;
use crate::words::{Fault, Metadata, Ownership, PlaceId, PlaceKey, Terms};
use apart::Apart;
use directory::{Me, Opened};
use failed::At;
pub(crate) use finish::Finishing;
use grants::Grants;
use place::Place;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use temporary::Temporaries;
use times::Times;

/// Whether somebody can see the tree while it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// A tree in use: nothing of what is there may be lost by a failure.
    Visible,
    /// A tree that is removed as a whole when anything fails.
    Staged,
}

/// How many directories are held open; the least recently used is settled and closed first.
const HELD: usize = 64;

/// A tree, and the only way to change it.
#[derive(Debug)]
pub(crate) struct Cage {
    root: Arc<Directory>,
    me: Me,
    exposure: Exposure,
    /// Directories held open, by the place that they are at.
    held: HashMap<PlaceId, Held>,
    clock: u64,
    key: PlaceKey,
    next_temporary: u64,
    temporaries: Temporaries,
    /// The directory around a staged tree: for files that are not in the tree.
    stage: Option<OwnedFd>,
    /// Where the layer's files are that are not in the tree, once there are any.
    apart: Option<Apart>,
    /// Files that are finished when somebody has the time; without it, each is finished at once.
    finishing: Option<Arc<Finishing>>,
    ownership: Ownership,
    /// What parents carry that no entry lists.
    implied: Metadata,
    /// Whether new files are our own and of our own group: in directories of that group, and in those of another, where
    /// it is so on all but BSD-style mounts. Found out once each.
    new_is_ours: [Option<bool>; 2],
    /// The cache of owners that files can be given to.
    grants: Grants,
    /// The cache of times that the file system can store.
    times: Times,
    /// How many effects the tree has seen.
    effects: u64,
}

#[derive(Debug)]
struct Held {
    directory: Arc<Directory>,
    used: u64,
}

impl Cage {
    /// A cage around the tree below `root`.
    ///
    /// The authority over the tree is the handle; nothing outside of it can be reached from here.
    pub(crate) fn over(root: BorrowedFd<'_>, exposure: Exposure) -> Result<Self, Fault> {
        let me = Me::find_out();
        let fd = directory::unlock(root, b".", None, me).map_err(|fault| fault.about("the root of the tree"))?;
        let status = sys::status(fd.as_fd()).at(b".")?;
        let acl = sys::has_xattr(fd.as_fd(), directory::DEFAULT_ACL);
        let root = Arc::new(Directory::new(fd, PlaceId::ROOT, Box::default(), status, status.mode, acl));
        let Terms { ownership, implied, .. } = Terms::new();
        Ok(Self {
            next_temporary: RandomState::new().hash_one(0),
            temporaries: Temporaries::default(),
            stage: None,
            apart: None,
            root,
            me,
            exposure,
            held: HashMap::new(),
            clock: 0,
            key: PlaceKey::default(),
            finishing: None,
            ownership,
            implied,
            new_is_ours: [None; 2],
            grants: Grants::default(),
            times: Times::of_any(),
            effects: 0,
        })
    }

    /// The root.
    pub(crate) fn root_directory(&self) -> Arc<Directory> {
        Arc::clone(&self.root)
    }

    /// How many times something in the tree was made, changed or removed.
    pub(crate) fn effects(&self) -> u64 {
        self.effects
    }

    /// Counts an effect on a directory or in it. Files that are not in the tree do not count.
    fn count_effect(&mut self, directory: &Directory) {
        if self.apart.as_ref().is_none_or(|apart| !apart.is(directory)) {
            self.effects += 1;
        }
    }

    /// Starts a layer.
    pub(crate) fn begin(&mut self, terms: &Terms) -> Result<(), Fault> {
        self.settle()?;
        self.implied.clone_from(&terms.implied);
        self.ownership = terms.ownership;
        self.root.open_up(self.me)?;
        match self.exposure {
            Exposure::Staged => Ok(()),
            Exposure::Visible => self.remove_dead_temporaries(),
        }
    }

    /// Gives every directory that is still open the mode and time that it is owed, and closes it.
    pub(crate) fn settle(&mut self) -> Result<(), Fault> {
        let mut result = self.finish_files().and(self.settle_apart());
        result = result.and(self.settle_temporaries());
        for (_, held) in self.held.drain() {
            result = result.and(held.directory.settle());
        }
        result.and(self.root.settle())
    }

    /// Waits until everything is on the disk.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        sys::sync_file_system(self.root.as_fd()).at(b".")
    }

    /// From now on files are filled and finished when somebody has the time: whoever asked, or [`Cage::settle`]. `None` where
    /// somebody could see them before.
    pub(crate) fn puts_off(&mut self) -> Option<Arc<Finishing>> {
        match self.exposure {
            Exposure::Visible => None,
            Exposure::Staged => Some(Arc::clone(self.finishing.get_or_insert_with(|| Arc::new(Finishing::new())))),
        }
    }

    /// Finishes the files that were put off; what went wrong is what [`Cage::late_fault`] says.
    pub(crate) fn finish_files(&self) -> Result<(), Fault> {
        self.finishing.as_ref().map_or(Ok(()), |finishing| finishing.finish_all())
    }

    /// What went wrong with a file that was put off, whose path it names.
    pub(crate) fn late_fault(&self) -> Result<(), Fault> {
        self.finishing.as_ref().map_or(Ok(()), |finishing| finishing.fault())
    }

    /// Opens what is at a place, or finds it among the directories that are held.
    fn look(&mut self, place: &Place<'_>) -> Result<Step<Arc<Directory>>, Fault> {
        self.clock += 1;
        if let Some(held) = self.held.get_mut(&place.id()) {
            held.used = self.clock;
            return Ok(Step::Directory(Arc::clone(&held.directory)));
        }
        Ok(match directory::open(place.at(), place.bytes(), self.root.status.mount, self.me)? {
            Opened::Missing => Step::Missing,
            Opened::Other => Step::Other,
            Opened::Link(target) => Step::Symlink(target),
            Opened::Directory { fd, status, mode_now } => {
                let acl = sys::has_xattr(fd.as_fd(), directory::DEFAULT_ACL);
                let directory = Directory::new(fd, place.id(), place.path(), status, mode_now, acl);
                Step::Directory(self.hold(place.id(), directory)?)
            }
        })
    }

    fn is_held(&self, place: &Place<'_>) -> bool {
        self.held.contains_key(&place.id())
    }

    fn hold(&mut self, place: PlaceId, directory: Directory) -> Result<Arc<Directory>, Fault> {
        if self.held.len() >= HELD {
            let idle = self.held.iter().filter(|(_, held)| Arc::strong_count(&held.directory) == 1);
            if let Some(oldest) = idle.min_by_key(|(_, held)| held.used).map(|(&place, _)| place)
                && let Some(held) = self.held.remove(&oldest)
            {
                held.directory.settle()?;
            }
        }
        self.clock += 1;
        let directory = Arc::new(directory);
        self.held.insert(place, Held { directory: Arc::clone(&directory), used: self.clock });
        Ok(directory)
    }

    /// Lets go of the directories at a path and below it, which are there no more.
    fn forget(&mut self, path: &[u8]) {
        self.held.retain(|_, held| {
            let rest = held.directory.path().strip_prefix(path);
            !matches!(rest, Some([] | [b'/', ..]))
        });
    }

    /// Settles and closes the directories at a path and below it.
    fn release(&mut self, path: &[u8]) -> Result<(), Fault> {
        let below = |held: &Held| matches!(held.directory.path().strip_prefix(path), Some([] | [b'/', ..]));
        let released = self.held.extract_if(|_, held| below(held));
        released.map(|(_, held)| held.directory.settle()).fold(Ok(()), Result::and)
    }

    fn temporary_name(&mut self) -> Vec<u8> {
        self.next_temporary =
            self.next_temporary.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        format!(".lc-{:016x}", self.next_temporary).into_bytes()
    }
}
