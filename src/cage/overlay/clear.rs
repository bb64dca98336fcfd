//! Clears a directory of what lower layers have in it.

use super::directory::{OverlayDir, OverlayPlace};
use super::look::Above;
use super::lower::Shown;
use super::state::OverlayTree;
use crate::cage::names::Names;
use crate::plan::{Holds, LayerContents};
use crate::tree::{Branch, Cleared, Step, Tree};
use crate::words::{Component, Error};
use std::os::fd::AsFd;
use std::sync::Arc;

impl OverlayTree {
    /// Hides what lower layers have in a directory. In the upper directory, what the layer did not bring goes: whiteouts,
    /// and copies that were made for names that stay.
    pub(super) fn clear_lower(&mut self, dir: &Arc<OverlayDir>, contents: &LayerContents) -> Result<Cleared, Error> {
        let upper = self.copy_up(dir)?;
        let cleared = self.upper.clear(&upper, contents)?;
        self.held.forget(dir.path());
        if dir.id() == self.root.id() {
            self.clear_root()?;
        } else if !dir.is_alone() {
            self.marks.make_opaque(upper.as_fd(), upper.path())?;
        }
        Ok(cleared)
    }

    /// Hides every name that lower layers have in the root. The root of a layer cannot be opaque.
    fn clear_root(&mut self) -> Result<(), Error> {
        let within = Branch { dir: Arc::clone(&self.root), holds: Holds::Lower };
        if !within.dir.is_known() {
            self.bring_lowers(&self.place(&within, Component::parse(b"*")?))?;
        }
        for &layer in self.root.clone().layers() {
            let mut names = self.list_below(layer, b"")?;
            while let Some((name, _)) = names.next()? {
                self.upper.cancellation.check()?;
                let at = self.place(&within, Component::parse(&name)?);
                let shown = self.show(&at)?;
                match (self.above(&at)?, shown) {
                    (Above::Nothing, Some(Shown::Directory(_) | Shown::File { .. })) => self.white_out(&at)?,
                    (Above::Thing(_), Some(Shown::Directory(_))) => self.hide_below(&at)?,
                    _ => (),
                }
            }
        }
        Ok(())
    }

    /// Hides what lower layers have in a directory that the upper directory has; nothing if that is a file.
    fn hide_below(&mut self, at: &OverlayPlace<'_>) -> Result<(), Error> {
        let upper = self.upper.root_directory();
        if let Step::Directory(directory) = self.at_upper(at, upper, |cage, place| cage.look(place))? {
            self.marks.make_opaque(directory.as_fd(), directory.path())?;
        }
        Ok(())
    }

    /// Whether a mount would show nothing in a directory.
    pub(super) fn shows_nothing(&self, dir: &Arc<OverlayDir>) -> Result<bool, Error> {
        if !dir.is_known() {
            return Ok(false);
        }
        let within = Branch { dir: Arc::clone(dir), holds: Holds::Lower };
        let lower = dir.layers().iter().map(|&layer| self.list_below(layer, dir.path()));
        let upper = dir.upper().map(|upper| Names::of(upper.as_fd(), upper.path()));
        for names in upper.into_iter().chain(lower) {
            let mut names = names?;
            while let Some((name, _)) = names.next()? {
                let is_marker = dir.upper().is_some_and(|upper| self.upper.is_marker(&upper, &name));
                if !is_marker && self.exists(&self.place(&within, Component::parse(&name)?))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
