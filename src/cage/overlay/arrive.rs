//! The arrival of lower layers that come later.

use super::directory::OverlayPlace;
use super::later::{LaterLowers, needs_lower};
use super::lower::LowerLayers;
use super::state::OverlayTree;
use crate::plan::Holds;
use crate::tree::{Branch, Step, Tree, path_of};
use crate::words::{Component, Error};
use std::os::fd::AsFd;
use std::sync::Arc;

impl OverlayTree {
    /// Waits for the lower layers, since only they can say what is at a place.
    pub(super) fn bring_lowers(&mut self, at: &OverlayPlace<'_>) -> Result<(), Error> {
        self.bring_lowers_for(&path_of(at.dir().path(), at.name()))
    }

    /// The same for a path.
    pub(super) fn bring_lowers_for(&mut self, path: &[u8]) -> Result<(), Error> {
        if self.lower.is_some() {
            return Ok(());
        }
        let opened = self.later.take().and_then(LaterLowers::open);
        let opened = opened.ok_or_else(|| needs_lower(path))??;
        let mut lower = LowerLayers::default();
        opened.iter().rev().try_for_each(|layer| lower.push(layer.as_fd()))?;
        self.root.learn(&lower.all());
        self.lower = Some(lower);
        self.came_late = true;
        self.learn_of_held()
    }

    /// Finds out which lower layers have the directories that are held: each is held once, so all that use it see it.
    fn learn_of_held(&mut self) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        for dir in held.all().filter(|dir| !dir.is_known()) {
            let mut at = Branch { dir: Arc::clone(&self.root), holds: Holds::Lower };
            for part in dir.path().split(|&byte| byte == b'/') {
                let place = self.place(&at, Component::parse(part)?);
                let Step::Directory(next) = self.look(&place)? else {
                    return Err(Error::bug("a directory that is held is not there"));
                };
                at = Branch { dir: next, holds: Holds::Lower };
            }
            dir.learn(at.dir.layers());
        }
        self.held = held;
        Ok(())
    }
}
