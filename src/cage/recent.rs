//! The way to the parent that was walked to last: the next entry most often lies on it, or near it.

use super::Directory;
use crate::words::Followed;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many directories of the way are held: a way may be longer than handles may be open.
const HELD: usize = 32;

/// The names of a way that was walked, and where its deepest components led.
///
/// Forgotten as soon as something is replaced or removed, which may have been a link on the way.
#[derive(Debug, Default)]
pub(super) struct Recent {
    names: Vec<u8>,
    steps: VecDeque<Waypoint>,
}

/// Where the first `end` bytes of the names lead.
#[derive(Debug, Clone)]
pub(super) struct Waypoint {
    pub(super) end: usize,
    pub(super) directory: Arc<Directory>,
    /// Links followed so far: how deep a walk begins makes no difference to what is too many.
    pub(super) followed: Followed,
}

impl Recent {
    pub(super) fn forget(&mut self) {
        self.names.clear();
        self.steps.clear();
    }

    /// The deepest directory of the last way that `names` lead through, too. What lies beyond it is forgotten: that
    /// is where the way to `names` is put down from now on.
    pub(super) fn turn_to(&mut self, names: &[u8]) -> Option<&Waypoint> {
        let same = self.names.iter().zip(names).take_while(|(one, other)| one == other).count();
        let leads_on = |step: &Waypoint| step.end <= same && matches!(names.get(step.end), None | Some(b'/'));
        while self.steps.back().is_some_and(|step| !leads_on(step)) {
            self.steps.pop_back();
        }
        self.names.truncate(same);
        self.names.extend_from_slice(names.get(same..).unwrap_or_default());
        self.steps.back()
    }

    /// Forgets the directories that links led away from: what was walked to is not in them, so that nobody was told
    /// that something passes through them.
    pub(super) fn keep_above(&mut self, end: &Directory) {
        self.steps.retain(|step| {
            let path = step.directory.path();
            path.is_empty() || matches!(end.path().strip_prefix(path), Some([] | [b'/', ..]))
        });
    }

    /// Puts down where the walk has come to.
    pub(super) fn come_to(&mut self, end: usize, directory: &Arc<Directory>, followed: Followed) {
        if self.steps.len() == HELD {
            self.steps.pop_front();
        }
        self.steps.push_back(Waypoint { end, directory: Arc::clone(directory), followed });
    }
}
