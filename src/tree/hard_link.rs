//! Hard links, and what is skipped: a hard link to something that was skipped is skipped, too.

use super::applier::Unplaced;
use super::walk::{Purpose, Walked};
use super::{Applier, Branch, Inode, Linking, Outcome, Over, Place, Repeats, Tree, report};
use crate::plan::{Holds, Reporter, Standing};
use crate::words::{Component, EntryPath, Error, Escaped, Metadata, PlaceId, Skippable, Violation};

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
        let Some((target_parent, target_name)) = target.split_last() else { return Err(to_directory(target)) };
        let pseudo = target.pseudo_link();
        // A hard link to what was skipped is skipped, and no parent directory is made for it. So the target comes first.
        let found = match pseudo.is_some() || self.skipped.is_empty() {
            true => None,
            false => Some(self.walk(target_parent, Purpose::Find, reporter)?),
        };
        if let Some(found) = &found
            && let Some(skippable) = self.skipped_in(found, target_name, target)?
        {
            self.linked.insert(skippable);
            report::link_to_skipped(reporter, target)?;
            return self.skip(path, skippable, reporter);
        }
        let parent = self.walk(parent, Purpose::Bring, reporter)?;
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
            self.leave_unplaced(path);
            return Ok(Outcome::Unknown);
        };
        let place = self.tree.place(&parent, name);
        if let Some((apart, name)) = apart {
            return self.link(&place, &self.tree.place(&apart, name), target, header, reporter);
        }
        let found = match found {
            Some(found) => found,
            None => self.walk(target_parent, Purpose::Find, reporter)?,
        };
        match found {
            Walked::At(parent) | Walked::Unknown(parent) => {
                self.link(&place, &self.tree.place(&parent, target_name), target, header, reporter)
            }
            Walked::Nowhere | Walked::Stopped => {
                self.refuse_missing(missing(target))?;
                Ok(Outcome::Unknown)
            }
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
                self.refuse_missing(if is_itself { to_itself(target) } else { missing(target) })?;
                return Ok(Outcome::Unknown);
            }
            // Over lower layers that lack the file, or have a directory there, the entry is refused.
            Inode::Unknown if is_itself => {
                return self.report_repeated(target, reporter).map(|()| Outcome::Unknown);
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

    /// What was skipped at the target of a hard link, or by an entry of the name that is written.
    fn skipped_in(
        &self,
        found: &Walked<T::Dir>,
        name: Component<'_>,
        written: &EntryPath,
    ) -> Result<Option<Skippable>, Error> {
        Ok(match found {
            Walked::At(parent) => {
                let place = self.tree.place(parent, name);
                match self.tree.exists(&place)? {
                    true => None,
                    false => self.skipped.get(&self.path(&place)).or_else(|| self.skipped.get(written.as_bytes())),
                }
            }
            // A skipped entry whose directory was not there is known by its name alone.
            Walked::Nowhere | Walked::Stopped => self.skipped.get(written.as_bytes()),
            Walked::Unknown(_) => None,
        })
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
            Walked::Unknown(_) => {
                self.unplaced = Unplaced::Something;
                Ok(match self.has_unplaced(path.as_bytes())? {
                    true => Outcome::RemovedOwn,
                    false => Outcome::Removed(path.as_bytes().into()),
                })
            }
        }
    }

    fn skip_at(&mut self, place: &Place<'_, T::Dir>, skippable: Skippable) -> Result<Outcome, Error> {
        let path = self.path(place);
        let is_lower = place.standing(&self.contents) == Standing::Lower;
        let is_own = if is_lower { self.has_unplaced(&path)? } else { self.tree.exists(place)? };
        self.tree.remove(place)?;
        self.ways.forget();
        self.skipped.skip(&path, skippable, &self.ways.limits)?;
        Ok(match (is_lower, is_own) {
            (_, true) => Outcome::RemovedOwn,
            (true, false) => Outcome::Removed(path),
            (false, false) => Outcome::Nothing,
        })
    }

    /// The layer brings something to a place that is not known. Its name is, and the names of its parent directories.
    pub(super) fn leave_unplaced(&mut self, path: &EntryPath) {
        self.unplaced = Unplaced::Something;
        let mut id = PlaceId::ROOT;
        for component in path.components() {
            id = self.tree.key().place(id, component);
            self.unplaced_names.insert(id);
        }
    }

    /// Whether the layer has brought something by this name, or below it, to a place that is not known.
    fn has_unplaced(&self, path: &[u8]) -> Result<bool, Error> {
        if self.unplaced_names.len() == 0 {
            return Ok(false);
        }
        let mut id = PlaceId::ROOT;
        for component in path.split(|&byte| byte == b'/') {
            id = self.tree.key().place(id, Component::parse(component)?);
        }
        Ok(self.unplaced_names.contains(id))
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
