//! Level 3, names to effects: the only module that changes a file system.
//!
//! Everything goes through directory handles, one component at a time, and nothing is followed but by the
//! walk in `walk.rs`. The cage knows no tar, no layers and no policy: what may be decided either way it asks
//! of a [`WalkDelegate`].

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
mod place;
mod proc;
mod recent;
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
mod walk;

pub(crate) use content::Content;
pub(crate) use create::New;
pub(crate) use directory::Directory;
#[cfg(feature = "image")]
pub(crate) use open::{NotOpened, open_directory, open_inside, open_regular};
pub(crate) use place::Place;
pub(crate) use remove::{Keep, Lower};
pub(crate) use spool::create_spool;
pub(crate) use stage::Stage;
pub(crate) use times::Unheld;
pub(crate) use walk::{Missing, Walked};

use crate::words::{Component, DirectoryId, Fault, Limits, Metadata, Ownership, PlaceId, PlaceSet, Terms, Work};
use apart::Apart;
use directory::{Me, Opened};
use failed::At;
pub(crate) use finish::Finishing;
use grants::Grants;
use recent::Recent;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use temporary::Temporaries;
use times::Times;

/// What the cage asks of whoever sends it, and what it tells on the way.
pub(crate) trait WalkDelegate {
    /// A link's target leads above the root: an answer of `Ok` stays at the root.
    fn climbs(&mut self, target: &[u8]) -> Result<(), Fault>;

    /// The walk is about to follow a link.
    fn follows(&mut self, target: &[u8]) -> Result<(), Fault>;

    /// Whether a link or non-directory at this place ends the walk.
    fn stops_at(&mut self, within: DirectoryId, place: PlaceId) -> bool;

    /// The directory that the walk led to lies in (or is) the one at this place.
    fn passes(&mut self, within: DirectoryId, place: PlaceId);

    /// The walk is about to make a directory of this name, which a link's target may have brought up.
    fn makes(&mut self, name: Component<'_>) -> Result<(), Fault>;

    /// A directory was made: the walk found none.
    fn made(&mut self, within: DirectoryId, place: PlaceId);

    /// Something is about to take the place of what is there.
    fn replaces(&mut self, within: DirectoryId, place: PlaceId) -> Result<(), Fault>;

    /// A directory is about to take the place of a symbolic link.
    fn turns_link(&mut self, target: &[u8]) -> Result<(), Fault>;

    /// An extended attribute cannot be set: an answer of `Ok` leaves it out.
    fn lacks_xattr(&mut self, name: &[u8], error: std::io::Error) -> Result<(), Fault>;

    /// The file system cannot store a time. `Ok` accepts the time that it stored instead.
    fn changes_time(&mut self, unheld: Unheld) -> Result<(), Fault>;
}

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
    limits: Limits,
    /// Directories held open, by the place that they are at.
    held: HashMap<PlaceId, Held>,
    clock: u64,
    /// The places where this layer created directories in existing directories. Everything in a new directory is new,
    /// too.
    new: PlaceSet,
    /// The tree was empty before this layer, so all directories are new.
    all_is_new: bool,
    key: RandomState,
    next_temporary: u64,
    temporaries: Temporaries,
    /// The directory around a staged tree: for files that are not in the tree.
    stage: Option<OwnedFd>,
    /// Where the layer's files are that are not in the tree, once there are any.
    apart: Option<Apart>,
    /// The way to the last parent that was walked to while bringing something.
    recent: Recent,
    /// Files that are finished when somebody has the time; without it, each is finished at once.
    finishing: Option<Arc<Finishing>>,
    /// What the names of this and the earlier layers have asked for.
    work: Work,
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
    /// A time of an implied directory that the file system cannot store, and that is not reported yet.
    unheld: Option<Unheld>,
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
        let root = Arc::new(Directory::new(fd, DirectoryId::ROOT, Box::default(), status, status.mode, acl));
        let Terms { limits, ownership, implied, .. } = Terms::new();
        Ok(Self {
            next_temporary: RandomState::new().hash_one(0),
            temporaries: Temporaries::default(),
            stage: None,
            apart: None,
            root,
            me,
            exposure,
            limits,
            held: HashMap::new(),
            clock: 0,
            new: PlaceSet::default(),
            all_is_new: false,
            key: RandomState::new(),
            recent: Recent::default(),
            finishing: None,
            work: Work::default(),
            ownership,
            implied,
            new_is_ours: [None; 2],
            grants: Grants::default(),
            times: Times::of_any(),
            unheld: None,
        })
    }

    /// The root.
    pub(crate) fn root(&self) -> Arc<Directory> {
        Arc::clone(&self.root)
    }

    /// Whether owners are set as asked for; otherwise all is the caller's.
    pub(crate) fn keeps_owners(&self) -> bool {
        match self.ownership {
            Ownership::Possible => self.me.chowns,
            Ownership::Required => true,
            Ownership::Caller | Ownership::Recorded => false,
        }
    }

    /// Whether a setgid bit stays on what is given to this group.
    pub(crate) fn keeps_setgid(&self, gid: u32) -> bool {
        self.me.sets_any_gid || gid == self.me.gid
    }

    /// What is enforced in this layer.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Who the caller is, uid and gid.
    pub(crate) fn caller(&self) -> (u32, u32) {
        (self.me.uid, self.me.gid)
    }

    /// Starts a layer afresh: ids given out before mean nothing any more, and the count of links starts again.
    pub(crate) fn begin(&mut self, terms: &Terms) -> Result<(), Fault> {
        self.settle()?;
        self.limits.clone_from(&terms.limits);
        self.implied.clone_from(&terms.implied);
        self.ownership = terms.ownership;
        self.unheld = None;
        (self.new, self.all_is_new) = (PlaceSet::default(), false);
        self.work.begin_layer();
        self.root.open_up(self.me)?;
        match self.exposure {
            Exposure::Staged => Ok(()),
            Exposure::Visible => self.remove_dead_temporaries(),
        }
    }

    /// Records that the tree is empty, so the layer creates every directory in it.
    pub(crate) fn begin_over_nothing(&mut self) {
        self.all_is_new = true;
    }

    /// Gives every directory that is still open the mode and time that it is owed, and closes it.
    pub(crate) fn settle(&mut self) -> Result<(), Fault> {
        self.recent.forget();
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

    /// The names in a directory with nothing in it are none.
    pub(crate) fn is_empty(&self, directory: &Directory) -> Result<bool, Fault> {
        let mut names = remove::Names::of(directory.as_fd(), directory.path())?;
        while let Some((name, _)) = names.next()? {
            if !self.is_marker(directory, &name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn place_id(&self, within: DirectoryId, name: Component<'_>) -> PlaceId {
        PlaceId(self.key.hash_one((within.0, name.as_bytes())))
    }

    /// Returns the id of a directory that was found at a place.
    fn directory_id(&self, parent: &Directory, place: PlaceId) -> DirectoryId {
        DirectoryId::at(place, self.all_is_new || parent.id().is_new() || self.new.contains(place))
    }

    /// Returns the id of a directory that was created at a place. From now on everything at that place is new.
    fn new_directory_id(&mut self, parent: &Directory, place: PlaceId) -> DirectoryId {
        if !self.all_is_new && !parent.id().is_new() {
            self.new.insert(place);
        }
        DirectoryId::at(place, true)
    }

    /// Opens what stands at a name in a directory, or finds it among those held.
    fn step(&mut self, parent: &Arc<Directory>, name: Component<'_>) -> Result<Step, Fault> {
        let place = self.place_id(parent.id(), name);
        self.clock += 1;
        if let Some(held) = self.held.get_mut(&place) {
            held.used = self.clock;
            return Ok(Step::Directory(Arc::clone(&held.directory), place));
        }
        Ok(match directory::open(parent.as_fd(), name.as_bytes(), self.root.status.mount, self.me)? {
            Opened::Missing => Step::Missing(place),
            Opened::Other => Step::Other(place),
            Opened::Link(target) => Step::Link(target, place),
            Opened::Directory { fd, status, mode_now } => {
                self.work.open(parent.path(), &self.limits)?;
                let id = self.directory_id(parent, place);
                let acl = sys::has_xattr(fd.as_fd(), directory::DEFAULT_ACL);
                let directory = Directory::new(fd, id, path_of(parent, name), status, mode_now, acl);
                Step::Directory(self.hold(place, directory)?, place)
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
        self.recent.forget();
        self.held.retain(|_, held| {
            let rest = held.directory.path().strip_prefix(path);
            !matches!(rest, Some([] | [b'/', ..]))
        });
    }

    /// Settles and closes the directories at a path and below it.
    fn release(&mut self, path: &[u8]) -> Result<(), Fault> {
        self.recent.forget();
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

/// What stands at a name.
enum Step {
    Directory(Arc<Directory>, PlaceId),
    Link(Vec<u8>, PlaceId),
    Missing(PlaceId),
    Other(PlaceId),
}

fn path_of(parent: &Directory, name: Component<'_>) -> Box<[u8]> {
    match parent.path() {
        [] => name.as_bytes().into(),
        path => [path, name.as_bytes()].join(&b'/').into(),
    }
}
