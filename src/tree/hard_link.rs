//! Hard links, and what is skipped: a hard link to something that was skipped is skipped, too.

use super::walk::{Purpose, Walked};
use super::{Applier, Branch, Inode, Over, Place, Repeats, Tree, report};
use crate::plan::{Holds, Reporter};
use crate::words::{EntryPath, Escaped, Fault, Metadata, Violation};

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
    ) -> Result<(), Fault> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::RootNotDirectory.into()) };
        let Walked::At(parent) = self.walk(parent, Purpose::Bring, reporter)? else { return Ok(()) };
        let place = self.tree.place(&parent, name);
        let Some((target_parent, target_name)) = target.split_last() else { return Err(to_directory(target)) };
        if let Some(pseudo) = target.pseudo_link() {
            // It is the layer's own: what the tree has under such a name is not meant.
            let Some(dir) = self.tree.apart() else { return Err(missing(target)) };
            let apart = Branch { dir, holds: Holds::OwnAlone };
            return self.link(&place, &self.tree.place(&apart, pseudo), target, header, reporter);
        }
        match self.walk(target_parent, Purpose::Find, reporter)? {
            Walked::At(parent) => self.link(&place, &self.tree.place(&parent, target_name), target, header, reporter),
            // A skipped entry whose directory was not there is known by its name alone.
            Walked::Nowhere | Walked::Stopped if self.skipped.contains(target.as_bytes()) => {
                self.skip_link(&place, target, reporter)
            }
            Walked::Nowhere | Walked::Stopped => Err(missing(target)),
        }
    }

    fn link(
        &mut self,
        place: &Place<'_, T::Dir>,
        to: &Place<'_, T::Dir>,
        target: &EntryPath,
        header: &Metadata,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Fault> {
        let is_itself = place.id() == to.id();
        let repeats = match self.tree.inode(to, header)? {
            Inode::File(repeats) => repeats,
            Inode::Directory => return Err(to_directory(target)),
            Inode::Missing if self.is_skipped(to, target) => return self.skip_link(place, target, reporter),
            Inode::Missing if is_itself => {
                return Err(Violation::HardLinkToItself { target: Escaped::new(target.as_bytes()) }.into());
            }
            Inode::Missing => return Err(missing(target)),
        };
        match is_itself {
            // GNU tar writes this when a file is named twice. What is there stays.
            true => report::repeated_link(reporter, target)?,
            false => drop(self.install(place, Over::Anything, reporter, |tree, over| tree.link(place, to, over))?),
        }
        self.contents.bring(place.holds(), place.id());
        if !self.skipped.is_empty() {
            self.skipped.replace(&self.path(place));
        }
        match repeats {
            Repeats::Alike => Ok(()),
            Repeats::Otherwise => report::link_metadata(reporter),
        }
    }

    fn is_skipped(&self, place: &Place<'_, T::Dir>, written: &EntryPath) -> bool {
        !self.skipped.is_empty()
            && (self.skipped.contains(&self.path(place)) || self.skipped.contains(written.as_bytes()))
    }

    fn skip_link(
        &mut self,
        place: &Place<'_, T::Dir>,
        target: &EntryPath,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Fault> {
        report::link_to_skipped(reporter, target)?;
        self.skip_at(place)
    }

    /// Skips an entry, which still takes the place of what is there.
    pub(super) fn skip(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::RootNotDirectory.into()) };
        match self.walk(parent, Purpose::Find, reporter)? {
            Walked::At(parent) => self.skip_at(&self.tree.place(&parent, name)),
            // Its directory is not there, and is not made for it. Hard links find it by its name.
            Walked::Nowhere | Walked::Stopped => Ok(self.skipped.skip(path.as_bytes(), &self.ways.limits)?),
        }
    }

    fn skip_at(&mut self, place: &Place<'_, T::Dir>) -> Result<(), Fault> {
        self.tree.remove(place)?;
        self.ways.forget();
        Ok(self.skipped.skip(&self.path(place), &self.ways.limits)?)
    }
}

fn missing(target: &EntryPath) -> Fault {
    Violation::HardLinkMissing { target: Escaped::new(target.as_bytes()) }.into()
}

fn to_directory(target: &EntryPath) -> Fault {
    Violation::HardLinkToDirectory { target: Escaped::new(target.as_bytes()) }.into()
}
