//! Whiteouts and opaque whiteouts: what lower layers have goes, what this layer brought stays.

use super::walk::{Purpose, Walked};
use super::{Applier, Branch, Outcome, Place, Step, Tree, report};
use crate::plan::{Holds, Reporter, Standing};
use crate::words::{EntryPath, Error, QuirkRule, Violation};

/// What lower layers left at a path.
enum FoundLower<D> {
    Directory(Branch<D>),
    /// No directory, or it is not known: nothing is removed, with this outcome.
    Other(Outcome),
}

impl<T: Tree> Applier<T> {
    /// Removes what lower layers have at a path.
    pub(super) fn white_out(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>) -> Result<Outcome, Error> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::WhiteoutOfNothing.into()) };
        let parent = match self.find_lower(parent, reporter)? {
            FoundLower::Directory(parent) => parent,
            FoundLower::Other(outcome) => return Ok(outcome),
        };
        let place = self.tree.place(&parent, name);
        if !self.skipped.is_empty() {
            self.skipped.remove_lower(&self.path(&place));
        }
        match place.standing(&self.contents) {
            Standing::Lower => {
                self.tree.remove(&place)?;
                self.ways.forget();
                Ok(Outcome::AsStated)
            }
            Standing::Own => {
                if !self.tree.exists(&place)? {
                    return Ok(Outcome::Nothing);
                }
                report::whiteout_of_own(reporter)?;
                match place.holds() {
                    Holds::OwnAlone => Ok(Outcome::Nothing),
                    Holds::Lower => {
                        let cleared = self.clear_at(&place, reporter)?;
                        Ok(cleared.map_or(Outcome::Nothing, |_| Outcome::Opaque))
                    }
                }
            }
            Standing::Traversed => {
                report::whiteout_of_own(reporter)?;
                let Some(directory) = self.clear_at(&place, reporter)? else { return Ok(Outcome::Nothing) };
                let inexact = self.tree.make_like_implied(&directory.dir)?;
                self.contents.bring(place.holds(), place.id());
                report::inexact(reporter, inexact)?;
                Ok(Outcome::OpaqueAndImplied)
            }
        }
    }

    /// Removes what lower layers have in a directory.
    pub(super) fn make_opaque(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>) -> Result<Outcome, Error> {
        let directory = match self.find_lower(path.as_bytes(), reporter)? {
            FoundLower::Directory(directory) => directory,
            FoundLower::Other(outcome) => return Ok(outcome),
        };
        if !self.skipped.is_empty() {
            self.skipped.clear_lower(self.tree.path(&directory.dir));
        }
        let keeps_own = match directory.holds {
            Holds::Lower => self.clear(&directory, reporter)?,
            // Looking for content takes time, and most policies do not ask.
            Holds::OwnAlone if reporter.is_silent_on(QuirkRule::OpaqueBehindOwn) => false,
            Holds::OwnAlone => !self.tree.is_empty(&directory.dir)?,
        };
        if keeps_own {
            report::opaque_behind_own(reporter)?;
        }
        Ok(Outcome::AsStated)
    }

    /// Finds a directory among what lower layers left.
    fn find_lower(&mut self, names: &[u8], reporter: &mut Reporter<'_>) -> Result<FoundLower<T::Dir>, Error> {
        match self.walk(names, Purpose::FindLower, reporter)? {
            Walked::At(directory) => Ok(FoundLower::Directory(directory)),
            Walked::Nowhere => Ok(FoundLower::Other(Outcome::Nothing)),
            Walked::Unknown(_) => Ok(FoundLower::Other(Outcome::AsStated)),
            Walked::Stopped => report::whiteout_behind_own_link(reporter).map(|()| FoundLower::Other(Outcome::Nothing)),
        }
    }

    fn clear_at(
        &mut self,
        place: &Place<'_, T::Dir>,
        reporter: &mut Reporter<'_>,
    ) -> Result<Option<Branch<T::Dir>>, Error> {
        let Step::Directory(dir) = self.tree.step(place)? else { return Ok(None) };
        let directory = place.branch(dir, &self.contents);
        self.clear(&directory, reporter)?;
        Ok(Some(directory))
    }

    /// Clears a directory, and returns whether something of the layer's own stays in it.
    fn clear(&mut self, directory: &Branch<T::Dir>, reporter: &mut Reporter<'_>) -> Result<bool, Error> {
        if directory.holds == Holds::OwnAlone {
            return Ok(false);
        }
        let cleared = self.tree.clear(&directory.dir, &self.contents)?;
        self.contents.clear(directory.holds, self.tree.id(&directory.dir));
        self.ways.forget();
        report::inexact(reporter, cleared.inexact)?;
        Ok(cleared.keeps_own)
    }
}
