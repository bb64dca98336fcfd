//! The walk: from a name to the directory that it leads to, as a container would see it.
//!
//! Confinement rests on this file. A tree is asked for one component at a time, and follows nothing. So nothing outside
//! of the root can be reached, whatever the names and the links say:
//!
//! - A link is text. Its target is put onto the names to do, and walked like them. An absolute target begins at the root
//!   of the tree, not of the machine.
//! - `..` comes from targets alone, since names with `..` are refused when they are parsed. It leads to the directory
//!   that the walk came from. `..` is never opened: another process may have moved the directory, and its `..` would
//!   then lead out of the tree.
//! - At the root, `..` is a link that climbs: policy refuses it, or the walk stays at the root as in a chroot.
//!
//! What a walk costs is counted here, from names alone: links and their components, opened directories, implied
//! directories. So every tree refuses the same name at the same limit.

use super::open_model::OpenModel;
use super::recent::{Recent, Waypoint};
use super::report::LinkReports;
use super::to_do::{Part, ToDo};
use super::{Branch, Step, Tree, path_of, report};
use crate::plan::{Holds, LayerContents, Reporter, Standing, may_be_made};
use crate::words::{Component, Error, Escaped, Followed, Limits, PlaceId, Violation, Work};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// What a walk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Something is brought to the directory: missing parents are made.
    Bring,
    /// Something is looked for, of whichever layer.
    Find,
    /// Something of lower layers is looked for. A link or non-directory that this layer brought ends the walk: whatever
    /// lies behind it is not what lower layers had under this name.
    FindLower,
}

/// Where a walk ended.
#[derive(Debug)]
pub(super) enum Walked<D> {
    /// At a directory.
    At(Branch<D>),
    /// There is no such directory.
    Nowhere,
    /// At a link or non-directory that this layer brought ([`Purpose::FindLower`]).
    Stopped,
    /// Where only lower layers can say that are not known. This is a directory in which everything is unknown.
    Unknown(Branch<D>),
}

/// What the walks of a layer share.
#[derive(Debug)]
pub(super) struct Ways<D> {
    pub(super) limits: Limits,
    work: Work,
    recent: Recent<D>,
    open: OpenModel,
}

impl<D> Default for Ways<D> {
    fn default() -> Self {
        let (limits, work) = (Limits::default(), Work::default());
        Self { limits, work, recent: Recent::default(), open: OpenModel::default() }
    }
}

impl<D> Ways<D> {
    /// A layer begins.
    pub(super) fn begin_layer(&mut self, limits: &Limits) {
        self.limits.clone_from(limits);
        self.work.begin_layer();
        self.recent.forget();
        self.open.clear();
    }

    /// The same work, in another tree.
    pub(super) fn elsewhere<E>(self) -> Ways<E> {
        Ways { limits: self.limits, work: self.work, recent: Recent::default(), open: self.open }
    }

    /// Something was replaced, removed or cleared, which may have been on the way that is remembered.
    pub(super) fn forget(&mut self) {
        self.recent.forget();
    }

    /// Counts a directory that is opened in the one at `parent`, unless it counts as open.
    pub(super) fn open(&mut self, parent: &[u8], place: PlaceId) -> Result<(), Violation> {
        if self.open.use_at(place) { Ok(()) } else { self.work.open(parent, &self.limits) }
    }

    /// A directory was made: it is open, and costs no more.
    pub(super) fn open_new(&mut self, place: PlaceId) {
        self.open.use_at(place);
    }
}

/// Walks to the directory that `names` (components joined by slashes) leads to.
pub(super) fn walk<T: Tree>(
    tree: &mut T,
    ways: &mut Ways<T::Dir>,
    contents: &mut LayerContents,
    names: &[u8],
    purpose: Purpose,
    reporter: &mut Reporter<'_>,
) -> Result<Walked<T::Dir>, Error> {
    let start = match purpose {
        Purpose::Bring => ways.recent.turn_to(names).cloned(),
        // Only what is walked through to bring something is recorded as traversed, so only that is remembered.
        Purpose::Find | Purpose::FindLower => None,
    };
    let Waypoint { end, at, followed, reported } = match start {
        Some(start) => start,
        None => {
            let (followed, reported) = (Followed::default(), LinkReports::default());
            Waypoint { end: 0, at: root(tree, contents), followed, reported }
        }
    };
    reported.repeat(reporter)?;
    // What a layer may ask for does not depend on what is remembered.
    ways.work.add(followed, &ways.limits)?;
    // Most entries lie in the directory of the one before.
    if end == names.len() && end > 0 {
        return Ok(Walked::At(at));
    }
    let trail = Trail::default();
    let to_do = ToDo::new(names, end);
    let walk = Walk { tree, ways, contents, reporter, purpose, at, followed, reported, trail, to_do };
    walk.run(end, followed, names.len())
}

/// The root, and what it holds.
pub(super) fn root<T: Tree>(tree: &T, contents: &LayerContents) -> Branch<T::Dir> {
    Branch { dir: tree.root(), holds: contents.root() }
}

/// One walk.
struct Walk<'w, 'p, T: Tree> {
    tree: &'w mut T,
    ways: &'w mut Ways<T::Dir>,
    contents: &'w mut LayerContents,
    reporter: &'w mut Reporter<'p>,
    purpose: Purpose,
    /// The directory that it has reached.
    at: Branch<T::Dir>,
    followed: Followed,
    reported: LinkReports,
    trail: Trail<T::Dir>,
    to_do: ToDo<'w>,
}

/// What a step means to the walk.
enum Turn<D> {
    On,
    /// The walk ends here.
    End(Walked<D>),
}

impl<T: Tree> Walk<'_, '_, T> {
    /// Walks on from the first `start` bytes of the names, on the way to which `followed` was followed.
    fn run(mut self, start: usize, followed: Followed, end: usize) -> Result<Walked<T::Dir>, Error> {
        loop {
            if let Some(done) = self.to_do.done()
                && self.purpose == Purpose::Bring
                && done > start
                && done < end
            {
                self.ways.recent.come_to(self.waypoint(done));
            }
            let Some(part) = self.to_do.next() else { break };
            match self.take(&part)? {
                Turn::On => (),
                Turn::End(walked) => return Ok(walked),
            }
        }
        if self.purpose == Purpose::Bring {
            self.arrive(followed, end)?;
        }
        Ok(Walked::At(self.at))
    }

    /// Takes one part of a name or of a link's target.
    fn take(&mut self, part: &Part<'_>) -> Result<Turn<T::Dir>, Error> {
        match part.as_bytes() {
            b"" | b"." => Ok(Turn::On),
            b".." => self.up(part),
            name => self.down(Component::parse(name)?),
        }
    }

    fn down(&mut self, name: Component<'_>) -> Result<Turn<T::Dir>, Error> {
        let place = self.tree.place(&self.at, name);
        let id = place.id();
        // What this layer brought is not what lower layers had under this name.
        let ends_here = self.purpose == Purpose::FindLower && place.standing(self.contents) == Standing::Own;
        match self.tree.step(&place)? {
            Step::Directory(dir) => {
                self.ways.open(self.tree.path(place.dir()), id)?;
                let below = place.branch(dir, self.contents);
                self.enter(below, id);
                Ok(Turn::On)
            }
            Step::Symlink(_) | Step::Other if ends_here => Ok(Turn::End(Walked::Stopped)),
            Step::Symlink(target) => self.follow(target),
            Step::Missing if self.purpose == Purpose::Bring => self.imply(name),
            Step::Other if self.purpose == Purpose::Bring => {
                let parent = path_of(self.tree.path(place.dir()), name);
                Err(Violation::ParentNotDirectory { parent: Escaped::new(&parent) }.into())
            }
            Step::Missing | Step::Other => Ok(Turn::End(Walked::Nowhere)),
            Step::Unknown(dir) => Ok(Turn::End(Walked::Unknown(Branch { dir, holds: Holds::Lower }))),
        }
    }

    fn enter(&mut self, below: Branch<T::Dir>, place: PlaceId) {
        let from = std::mem::replace(&mut self.at, below);
        self.trail.down(from, place);
    }

    /// Puts the target of a link onto the names to do.
    fn follow(&mut self, target: Vec<u8>) -> Result<Turn<T::Dir>, Error> {
        let target: Arc<[u8]> = target.into();
        self.reported.follows(self.reporter, &target)?;
        // A chain of links may be endless, and the components of few links may be many.
        self.followed.follow(&target);
        self.followed.check_walk(&self.ways.limits)?;
        self.ways.work.follow(&target, &self.ways.limits)?;
        if target.first() == Some(&b'/') {
            self.at = root(self.tree, self.contents);
            self.trail = Trail::default();
        }
        self.to_do.push(target);
        Ok(Turn::On)
    }

    /// Makes a parent that no entry lists. It may be the end of a link's target, when the link dangles.
    fn imply(&mut self, name: Component<'_>) -> Result<Turn<T::Dir>, Error> {
        let place = self.tree.place(&self.at, name);
        let id = place.id();
        may_be_made(name)?;
        // One name makes as many as it has components, and a few bytes of zstd are millions of names.
        self.ways.work.imply(&self.ways.limits)?;
        self.ways.limits.check_path(&path_of(self.tree.path(place.dir()), name))?;
        let (dir, inexact) = self.tree.imply(&place)?;
        self.contents.bring_directory(place.holds(), id);
        self.ways.open_new(id);
        report::inexact(self.reporter, inexact)?;
        self.enter(Branch { dir, holds: Holds::OwnAlone }, id);
        Ok(Turn::On)
    }

    /// Goes to the directory above.
    fn up(&mut self, part: &Part<'_>) -> Result<Turn<T::Dir>, Error> {
        self.trail.places.pop();
        match self.trail.above.pop_back() {
            Some(above) => self.at = above,
            None if self.tree.path(&self.at.dir).is_empty() => {
                let target = part.target().ok_or(Error::bug("a name has a `..` component"))?;
                self.reported.climbs(self.reporter, target)?;
            }
            None => self.at = self.walk_above()?,
        }
        Ok(Turn::On)
    }

    /// The directory above one whose way is not held any more, or that the walk began at. It is walked to from the root,
    /// by the components that led there.
    fn walk_above(&mut self) -> Result<Branch<T::Dir>, Error> {
        let path: Box<[u8]> = self.tree.path(&self.at.dir).into();
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let mut at = root(self.tree, self.contents);
        for part in path.get(..end).unwrap_or_default().split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let place = self.tree.place(&at, Component::parse(part)?);
            // It was walked through a moment ago. If it is no directory now, another process is changing the tree.
            let Step::Directory(dir) = self.tree.step(&place)? else {
                return Err(Error::system("openat", &path, io::ErrorKind::StaleNetworkFileHandle));
            };
            self.ways.open(self.tree.path(&at.dir), place.id())?;
            let branch = place.branch(dir, self.contents);
            self.trail.keep(std::mem::replace(&mut at, branch));
        }
        Ok(at)
    }

    /// Records the way to a directory that something is brought to.
    fn arrive(&mut self, followed_before: Followed, end: usize) -> Result<(), Error> {
        for &(within, place) in &self.trail.places {
            self.contents.pass(within, place);
        }
        self.tree.pass(&self.at.dir)?;
        if self.followed != followed_before {
            self.ways.recent.keep_above(self.tree, &self.at.dir);
        }
        self.ways.recent.come_to(self.waypoint(end));
        Ok(())
    }

    /// Where the first `end` bytes of the names lead.
    fn waypoint(&self, end: usize) -> Waypoint<T::Dir> {
        Waypoint { end, at: self.at.clone(), followed: self.followed, reported: self.reported.clone() }
    }
}

/// The way to where a walk is, from the root or from where the walk began. What links only led through is no part of it.
#[derive(Debug)]
struct Trail<D> {
    /// The directories walked through, by place, each with what the directory around it holds.
    places: Vec<(Holds, PlaceId)>,
    /// The last of the directories above, so that a link of many `..` does not walk from the root for each.
    above: VecDeque<Branch<D>>,
}

/// How many of the directories above are held: a way may be longer than handles may be open.
const ABOVE: usize = 32;

impl<D> Default for Trail<D> {
    fn default() -> Self {
        Self { places: Vec::new(), above: VecDeque::new() }
    }
}

impl<D> Trail<D> {
    fn down(&mut self, from: Branch<D>, place: PlaceId) {
        self.places.push((from.holds, place));
        self.keep(from);
    }

    fn keep(&mut self, directory: Branch<D>) {
        if self.above.len() == ABOVE {
            self.above.pop_front();
        }
        self.above.push_back(directory);
    }
}
