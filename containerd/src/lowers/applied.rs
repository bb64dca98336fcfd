//! The directories to which layers are being applied, or were.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many directories are remembered whose layers have ended. Those that are forgotten were committed long ago.
const MOST: usize = 4096;

/// What has become of the layer of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being applied, or waits for its turn.
    Running,
    /// It was applied.
    Applied,
    /// It was not applied.
    Failed,
}

/// The directories to which this program applies layers, or has applied them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Applied(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    states: HashMap<PathBuf, (State, u64)>,
    clock: u64,
}

/// A layer that is being applied. It counts as failed when this is dropped, unless it was applied.
#[derive(Debug)]
pub(crate) struct Applying {
    all: Applied,
    path: PathBuf,
    state: State,
}

impl Applied {
    /// Begins to apply a layer to a directory.
    pub(crate) fn begin(&self, path: &Path) -> Applying {
        self.lock().set(path.to_owned(), State::Running);
        Applying { all: self.clone(), path: path.to_owned(), state: State::Failed }
    }

    /// What has become of the layer of a directory; `None` if this program was not asked to apply it.
    pub(crate) fn state(&self, path: &Path) -> Option<State> {
        self.lock().states.get(path).map(|&(state, _)| state)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn set(&mut self, path: PathBuf, state: State) {
        self.clock += 1;
        self.states.insert(path, (state, self.clock));
        if self.states.len() > MOST {
            let ended = self.states.iter().filter(|(_, (state, _))| *state != State::Running);
            if let Some(oldest) = ended.min_by_key(|(_, (_, since))| *since).map(|(path, _)| path.clone()) {
                self.states.remove(&oldest);
            }
        }
    }
}

impl Applying {
    /// The layer was applied.
    pub(crate) fn succeed(&mut self) {
        self.state = State::Applied;
    }
}

impl Drop for Applying {
    fn drop(&mut self) {
        self.all.lock().set(std::mem::take(&mut self.path), self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_applied_only_if_that_was_said() {
        let all = Applied::default();
        let (one, other) = (Path::new("/s/1/fs"), Path::new("/s/2/fs"));
        assert_eq!(all.state(one), None);
        let mut applying = all.begin(one);
        assert_eq!(all.state(one), Some(State::Running));
        applying.succeed();
        drop(applying);
        drop(all.begin(other));
        assert_eq!((all.state(one), all.state(other)), (Some(State::Applied), Some(State::Failed)));
    }

    #[test]
    fn layers_that_ended_are_forgotten_in_their_order_and_those_that_run_never() {
        let all = Applied::default();
        let running = all.begin(Path::new("/running"));
        let path = |number: usize| PathBuf::from(format!("/{number}"));
        for number in 0..=MOST {
            drop(all.begin(&path(number)));
        }
        assert_eq!(all.state(Path::new("/running")), Some(State::Running));
        assert_eq!((all.state(&path(0)), all.state(&path(MOST))), (None, Some(State::Failed)));
        drop(running);
        assert!(all.lock().states.len() <= MOST);
    }
}
