//! The walk: from a name to the directory that it leads to, as a container would see it.
//!
//! One component at a time and never following in the kernel: a link's target is pushed onto the names to
//! do, an absolute one from the root handle, and `..` (which only links have) pops a component of the path
//! walked so far. What the kernel would call is never asked to resolve anything but a single component.

use super::failed::swapped;
use super::recent::Waypoint;
use super::{Cage, Directory, Step, WalkDelegate};
use crate::words::{Component, DirectoryId, Escaped, Fault, Followed, PlaceId, Violation};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// What to do about a component that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make it, as layers that list no parents want it.
    Make,
    /// Give up: there is nothing.
    Stop,
}

/// Where a walk ended.
#[derive(Debug)]
pub(crate) enum Walked {
    /// At a directory.
    At(Arc<Directory>),
    /// There is no such directory.
    Nowhere,
    /// [`WalkDelegate::stops_at`] ended it.
    Stopped,
}

impl Cage {
    /// Walks to the directory that `names` (components joined by slashes) leads to, making what is missing.
    pub(crate) fn walk_making(
        &mut self,
        names: &[u8],
        delegate: &mut dyn WalkDelegate,
    ) -> Result<Arc<Directory>, Fault> {
        let start = self.recent.turn_to(names).cloned();
        // What a layer may ask for does not depend on what is remembered.
        self.work.add(start.as_ref().map_or(Followed::default(), |start| start.followed), &self.limits)?;
        match start {
            Some(Waypoint { end, directory, .. }) if end == names.len() => Ok(directory),
            start => match self.walk_from(start, names, Missing::Make, delegate)? {
                Walked::At(directory) => Ok(directory),
                _ => Err(Fault::bug("a walk that makes what is missing found nothing")),
            },
        }
    }

    /// Walks to the directory that `names` (components joined by slashes) leads to.
    pub(crate) fn walk(
        &mut self,
        names: &[u8],
        missing: Missing,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<Walked, Fault> {
        self.walk_from(None, names, missing, delegate)
    }

    /// Walks on from where the last walk that made something came by.
    ///
    /// The trail is not that long then, but `..` finds its way up without one, and what lies on the way was told
    /// when it was walked: no other way is remembered.
    fn walk_from(
        &mut self,
        start: Option<Waypoint>,
        names: &[u8],
        missing: Missing,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<Walked, Fault> {
        let start = start.unwrap_or_else(|| Waypoint { end: 0, directory: self.root(), followed: Followed::default() });
        let Waypoint { end, directory: mut at, mut followed } = start;
        let followed_before = followed;
        let mut last_target = Vec::new();
        let mut trail = Trail::default();
        let whole: Rc<[u8]> = names.into();
        // Names to walk, and how much of each is behind us; a link's target comes on top.
        let mut to_do: Vec<(Rc<[u8]>, usize)> = vec![(Rc::clone(&whole), end)];
        while let Some((names, start)) = to_do.pop() {
            if missing == Missing::Make && Rc::ptr_eq(&names, &whole) && start > end {
                self.recent.come_to(start - 1, &at, followed);
            }
            let rest = names.get(start..).unwrap_or_default();
            let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            if length < rest.len() {
                to_do.push((Rc::clone(&names), start + length + 1));
            }
            let name = rest.get(..length).unwrap_or_default();
            match name {
                b"" | b"." => continue,
                b".." => {
                    match trail.up() {
                        Some(parent) => at = parent,
                        None => match self.parent_of(&at, &mut trail)? {
                            Some(parent) => at = parent,
                            None => delegate.climbs(&last_target)?,
                        },
                    }
                    continue;
                }
                _ => (),
            }
            let name = Component::parse(name)?;
            match self.step(&at, name)? {
                Step::Directory(directory, place) => {
                    trail.down(&at, place);
                    at = directory;
                }
                Step::Link(target, place) => {
                    if missing == Missing::Stop && delegate.stops_at(at.id(), place) {
                        return Ok(Walked::Stopped);
                    }
                    delegate.follows(&target)?;
                    followed.follow(&target);
                    followed.check_walk(&self.limits)?;
                    self.work.follow(&target, &self.limits)?;
                    if target.first() == Some(&b'/') {
                        at = self.root();
                        trail = Trail::default();
                    }
                    last_target.clone_from(&target);
                    to_do.push((target.into(), 0));
                }
                Step::Missing(place) => match missing {
                    Missing::Stop => return Ok(Walked::Nowhere),
                    Missing::Make => {
                        delegate.makes(name)?;
                        // One name makes as many as it has components, and a few bytes of zstd are millions of names.
                        self.work.imply(&self.limits)?;
                        let parent = Arc::clone(&at);
                        at = self.make_implied(&parent, name, delegate)?;
                        delegate.made(parent.id(), place);
                        trail.down(&parent, place);
                    }
                },
                Step::Other(place) => match missing {
                    Missing::Stop if delegate.stops_at(at.id(), place) => return Ok(Walked::Stopped),
                    Missing::Stop => return Ok(Walked::Nowhere),
                    Missing::Make => {
                        return Err(
                            Violation::ParentNotDirectory { parent: Escaped::new(&super::path_of(&at, name)) }.into()
                        );
                    }
                },
            }
        }
        for (within, place) in trail.places {
            delegate.passes(within, place);
        }
        if missing == Missing::Make {
            if followed != followed_before {
                self.recent.keep_above(&at);
            }
            self.recent.come_to(names.len(), &at, followed);
        }
        Ok(Walked::At(at))
    }

    /// The parent of a directory, by the components walked and never by `..`; the root has none.
    fn parent_of(&mut self, directory: &Directory, trail: &mut Trail) -> Result<Option<Arc<Directory>>, Fault> {
        let path = directory.path();
        if path.is_empty() {
            return Ok(None);
        }
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let mut at = self.root();
        for part in path.get(..end).unwrap_or_default().split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            match self.step(&at, Component::parse(part)?)? {
                Step::Directory(directory, _) => trail.keep(std::mem::replace(&mut at, directory)),
                // It was walked through a moment ago: somebody else is changing the tree.
                _ => return Err(swapped(path)),
            }
        }
        Ok(Some(at))
    }
}

/// The way from the root to where a walk is; what links only led through is no part of it.
#[derive(Default)]
struct Trail {
    places: Vec<(DirectoryId, PlaceId)>,
    /// The last of the directories above, so that a link of many `..` does not walk from the root for each.
    above: VecDeque<Arc<Directory>>,
}

/// How many of the directories above are held: a way may be longer than handles may be open.
const ABOVE: usize = 32;

impl Trail {
    fn down(&mut self, from: &Arc<Directory>, place: PlaceId) {
        self.places.push((from.id(), place));
        self.keep(Arc::clone(from));
    }

    fn keep(&mut self, directory: Arc<Directory>) {
        if self.above.len() == ABOVE {
            self.above.pop_front();
        }
        self.above.push_back(directory);
    }

    /// The directory above; `None` where it is not held, or there is none.
    fn up(&mut self) -> Option<Arc<Directory>> {
        self.places.pop();
        self.above.pop_back()
    }
}
