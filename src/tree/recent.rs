//! The way to the parent that was walked to last: the next entry most often lies on it, or near it.

use super::report::LinkReports;
use super::{Branch, Tree};
use crate::words::Followed;
use std::collections::VecDeque;

/// How many directories of the way are held: a way may be longer than handles may be open.
const HELD: usize = 32;

/// The names of a way that was walked, and where its deepest components led.
///
/// It is forgotten when something is replaced, removed or cleared: that may have been a link on the way.
#[derive(Debug)]
pub(super) struct Recent<D> {
    names: Vec<u8>,
    steps: VecDeque<Waypoint<D>>,
}

/// Where the first `end` bytes of the names lead.
#[derive(Debug, Clone)]
pub(super) struct Waypoint<D> {
    pub(super) end: usize,
    pub(super) at: Branch<D>,
    /// The links followed so far. A walk that begins here counts them, so that a limit does not depend on what is
    /// remembered.
    pub(super) followed: Followed,
    /// What was reported about them. It is reported for each entry, so that a report does not depend on what is
    /// remembered.
    pub(super) reported: LinkReports,
}

impl<D> Default for Recent<D> {
    fn default() -> Self {
        Self { names: Vec::new(), steps: VecDeque::new() }
    }
}

impl<D> Recent<D> {
    pub(super) fn forget(&mut self) {
        self.names.clear();
        self.steps.clear();
    }

    /// The deepest directory of the last way that `names` lead through, too. What lies beyond it is forgotten: the way to
    /// `names` is recorded from there on.
    pub(super) fn turn_to(&mut self, names: &[u8]) -> Option<&Waypoint<D>> {
        let same = self.names.iter().zip(names).take_while(|(one, other)| one == other).count();
        let leads_on = |step: &Waypoint<D>| step.end <= same && matches!(names.get(step.end), None | Some(b'/'));
        while self.steps.back().is_some_and(|step| !leads_on(step)) {
            self.steps.pop_back();
        }
        self.names.truncate(same);
        self.names.extend_from_slice(names.get(same..).unwrap_or_default());
        self.steps.back()
    }

    /// Forgets the directories that links led away from: the walk did not record that it passed through them.
    pub(super) fn keep_above<T: Tree<Dir = D>>(&mut self, tree: &T, end: &D) {
        let end = tree.path(end);
        self.steps.retain(|step| {
            let path = tree.path(&step.at.dir);
            path.is_empty() || matches!(end.strip_prefix(path), Some([] | [b'/', ..]))
        });
    }

    /// Records where the walk has come to.
    pub(super) fn come_to(&mut self, waypoint: Waypoint<D>) {
        if self.steps.len() == HELD {
            self.steps.pop_front();
        }
        self.steps.push_back(waypoint);
    }
}
