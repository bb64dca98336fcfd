//! Hard links, and what is skipped: a hard link to something that was skipped is skipped, too.

use super::applier::Unplaced;
use super::walk::{Purpose, Walked};
use super::{Applier, Branch, Inode, Linking, Outcome, Over, Place, Repeats, Tree, report};
use crate::plan::{Holds, Reporter, Standing};
use crate::words::{EntryPath, Error, Escaped, Metadata, Skippable, Violation};

impl<T: Tree> Applier<T> {
    /// Gives what is at another path one more name.
    ///
    /// The target is resolved like the path of an entry: links on the way are followed, the last component is not.
    pub(super) fn hard_link(
        &mut self,
        path: &EntryPath,
        target: &EntryPath,
        header: &Metadata,
        reporter: &mut Reporter<'_>,
    ) -> Result<Outcome, Error> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::RootNotDirectory.into()) };
        let parent = self.walk(parent, Purpose::Bring, reporter)?;
        let Some((target_parent, target_name)) = target.split_last() else { return Err(to_directory(target)) };
        let pseudo = target.pseudo_link();
        let apart = match (pseudo, self.tree.apart()) {
            (None, _) => None,
            (Some(name), Some(dir)) => Some((Branch { dir, holds: Holds::OwnAlone }, name)),
            // It is the layer's own: what the tree has under such a name is not meant.
            (Some(_), None) => return Err(missing(target)),
        };
        if let (Some((apart, name)), Walked::Unknown(_)) = (&apart, &parent)
            && !self.tree.exists(&self.tree.place(apart, *name))?
        {
            return Err(missing(target));
        }
        let Walked::At(parent) = parent else {
            // Wherever the parent leads, the same name leads to the same place.
            if path == target {
                self.report_repeated(target, reporter)?;
            }
            return self.leave_unplaced().map(|()| Outcome::Unknown);
        };
        let place = self.tree.place(&parent, name);
        if let Some((apart, name)) = apart {
            return self.link(&place, &self.tree.place(&apart, name), target, header, reporter);
        }
        match self.walk(target_parent, Purpose::Find, reporter)? {
            Walked::At(parent) | Walked::Unknown(parent) => {
                self.link(&place, &self.tree.place(&parent, target_name), target, header, reporter)
            }
            Walked::Nowhere | Walked::Stopped => match self.skipped.get(target.as_bytes()) {
                // A skipped entry whose directory was not there is known by its name alone.
                Some(skippable) => self.skip_link(&place, skippable, target, reporter),
                None => self.refuse_missing(missing(target)).map(|()| Outcome::Unknown),
            },
        }
    }

    fn link(
        &mut self,
        place: &Place<'_, T::Dir>,
        to: &Place<'_, T::Dir>,
        target: &EntryPath,
        header: &Metadata,
        reporter: &mut Reporter<'_>,
    ) -> Result<Outcome, Error> {
        let is_itself = place.id() == to.id();
        let repeats = match self.tree.inode(to, header)? {
            Inode::Directory => return Err(to_directory(target)),
            Inode::Missing => {
                return match self.skipped_at(to, target) {
                    Some(skippable) => self.skip_link(place, skippable, target, reporter),
                    None if is_itself => self.refuse_missing(to_itself(target)).map(|()| Outcome::Unknown),
                    None => self.refuse_missing(missing(target)).map(|()| Outcome::Unknown),
                };
            }
            // Over lower layers that lack the file, or have a directory there, the entry is refused.
            Inode::Unknown if is_itself => {
                return match self.skipped_at(to, target) {
                    Some(skippable) => self.skip_link(place, skippable, target, reporter),
                    None => self.report_repeated(target, reporter).map(|()| Outcome::Unknown),
                };
            }
            // The target may have been skipped, and this hard link with it. So it is not known what is here now.
            Inode::Unknown => return self.tree.link(place, to, Over::Anything).map(|_| Outcome::Unknown),
            Inode::File(repeats, linking, skippable) => {
                if linking == Linking::Copies {
                    report::copied_link(reporter, target)?;
                }
                self.linked.extend(skippable);
                repeats
            }
        };
        match is_itself {
            // GNU tar writes this when a file is named twice. What is there stays.
            true => {
                report::repeated_link(reporter, target)?;
                self.tree.keep(to)?;
            }
            false => drop(self.install(place, Over::Anything, reporter, |tree, over| tree.link(place, to, over))?),
        }
        self.contents.bring(place.holds(), place.id());
        if !self.skipped.is_empty() {
            self.skipped.replace(&self.path(place));
        }
        if let Repeats::Otherwise = repeats {
            report::link_metadata(reporter)?;
        }
        Ok(if is_itself { Outcome::Nothing } else { Outcome::AsStated })
    }

    /// Reports a hard link to itself, over layers that are not known. Nothing is reported if the layer may have skipped what
    /// it leads to.
    fn report_repeated(&self, target: &EntryPath, reporter: &mut Reporter<'_>) -> Result<(), Error> {
        match self.unplaced {
            Unplaced::Nothing => report::repeated_link(reporter, target),
            Unplaced::Something => Ok(()),
        }
    }

    /// Refuses a hard link whose target is missing, if that is certain.
    fn refuse_missing(&self, refusal: Error) -> Result<(), Error> {
        match self.unplaced {
            Unplaced::Nothing => Err(refusal),
            Unplaced::Something => Ok(()),
        }
    }

    /// What was skipped at a place, or by an entry of the name that is written.
    fn skipped_at(&self, place: &Place<'_, T::Dir>, written: &EntryPath) -> Option<Skippable> {
        if self.skipped.is_empty() {
            return None;
        }
        self.skipped.get(&self.path(place)).or_else(|| self.skipped.get(written.as_bytes()))
    }

    fn skip_link(
        &mut self,
        place: &Place<'_, T::Dir>,
        skippable: Skippable,
        target: &EntryPath,
        reporter: &mut Reporter<'_>,
    ) -> Result<Outcome, Error> {
        self.linked.insert(skippable);
        report::link_to_skipped(reporter, target)?;
        self.skip_at(place, skippable)
    }

    /// Skips an entry, which still takes the place of what is there.
    pub(super) fn skip(
        &mut self,
        path: &EntryPath,
        skippable: Skippable,
        reporter: &mut Reporter<'_>,
    ) -> Result<Outcome, Error> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::RootNotDirectory.into()) };
        match self.walk(parent, Purpose::Find, reporter)? {
            Walked::At(parent) => self.skip_at(&self.tree.place(&parent, name), skippable),
            // Its directory is not there, and is not made for it. Hard links find it by its name.
            Walked::Nowhere | Walked::Stopped => {
                self.skipped.skip(path.as_bytes(), skippable, &self.ways.limits)?;
                Ok(Outcome::Nothing)
            }
            Walked::Unknown(_) => self.leave_unplaced().map(|()| Outcome::Removed(path.as_bytes().into())),
        }
    }

    fn skip_at(&mut self, place: &Place<'_, T::Dir>, skippable: Skippable) -> Result<Outcome, Error> {
        let path = self.path(place);
        let is_lower = place.standing(&self.contents) == Standing::Lower;
        let is_own = !is_lower && self.tree.exists(place)?;
        self.tree.remove(place)?;
        self.ways.forget();
        self.skipped.skip(&path, skippable, &self.ways.limits)?;
        Ok(match (is_lower, is_own) {
            (true, _) => Outcome::Removed(path),
            (false, true) => Outcome::RemovedOwn,
            (false, false) => Outcome::Nothing,
        })
    }

    /// Something is at a place that is not known.
    pub(super) fn leave_unplaced(&mut self) -> Result<(), Error> {
        self.unplaced = Unplaced::Something;
        Ok(())
    }
}

fn missing(target: &EntryPath) -> Error {
    Violation::HardLinkMissing { target: Escaped::new(target.as_bytes()) }.into()
}

fn to_itself(target: &EntryPath) -> Error {
    Violation::HardLinkToItself { target: Escaped::new(target.as_bytes()) }.into()
}

fn to_directory(target: &EntryPath) -> Error {
    Violation::HardLinkToDirectory { target: Escaped::new(target.as_bytes()) }.into()
}
