//! What a layer brings: files, directories, links, FIFOs and devices.

use super::walk::{Purpose, Walked};
use super::{
    Applier, Branch, Content, Done, InTheWay, Made, Node, NodeKind, Old, Over, Place, SetIdBits, Tree, report,
};
use crate::plan::{Holds, Reporter, Standing};
use crate::words::{EntryPath, Error, Metadata, Violation};

impl<T: Tree> Applier<T> {
    /// Brings something to a path.
    pub(super) fn bring(
        &mut self,
        path: &EntryPath,
        mut metadata: Metadata,
        kind: NodeKind<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Error> {
        self.grant(&mut metadata, &kind, reporter)?;
        let mut node = Node { exactness: report::exactness(reporter), metadata: &metadata, kind };
        let Some((parent, name)) = path.split_last() else { return self.renew_root(&node, reporter) };
        let Walked::At(parent) = self.walk(parent, Purpose::Bring, reporter)? else {
            self.leave_unplaced(path);
            return Ok(());
        };
        let place = self.tree.place(&parent, name);
        let is_directory = matches!(node.kind, NodeKind::Directory);
        if is_directory {
            // Names through links must not make a tree deeper than names may be.
            self.ways.limits.check_path(&self.path(&place))?;
        }
        // A directory over a link is reported, and may be refused.
        let over_lower = if is_directory { Over::Nothing } else { Over::Anything };
        let done = self.install(&place, over_lower, reporter, |tree, over| tree.make(&place, &mut node, over))?;
        match (is_directory, done.old) {
            (false, _) => self.contents.bring(place.holds(), place.id()),
            (true, Old::Kept) => {
                self.contents.bring(place.holds(), place.id());
                self.ways.open(self.tree.path(place.dir()), place.id())?;
            }
            (true, Old::Unknown) => {
                self.contents.bring(place.holds(), place.id());
                self.ways.open_new(place.id());
            }
            (true, Old::Nothing | Old::Replaced) => {
                self.contents.bring_directory(place.holds(), place.id());
                self.ways.open_new(place.id());
            }
        }
        if !self.skipped.is_empty() {
            let path = self.path(&place);
            if is_directory { self.skipped.replace_by_directory(&path) } else { self.skipped.replace(&path) }
        }
        report::inexact(reporter, done.inexact)
    }

    fn renew_root(&mut self, node: &Node<'_, '_>, reporter: &mut Reporter<'_>) -> Result<(), Error> {
        let NodeKind::Directory = node.kind else { return Err(Violation::RootNotDirectory.into()) };
        let inexact = self.tree.renew_root(node.metadata)?;
        report::inexact(reporter, inexact)
    }

    /// Keeps the data of hard links out of the tree. It is there until the layer ends.
    pub(super) fn bring_apart(
        &mut self,
        path: &EntryPath,
        mut metadata: Metadata,
        content: Content<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Error> {
        let name = path.pseudo_link().ok_or(Error::bug("a pseudo-link is not called like one"))?;
        let kind = NodeKind::File(content);
        self.grant(&mut metadata, &kind, reporter)?;
        let mut node = Node { exactness: report::exactness(reporter), metadata: &metadata, kind };
        let apart = Branch { dir: self.tree.make_apart()?, holds: Holds::OwnAlone };
        let place = self.tree.place(&apart, name);
        if self.tree.exists(&place)? {
            report::duplicate(reporter)?;
            // Names that it was given in the tree stay.
            self.tree.remove(&place)?;
        }
        let done = self.install(&place, Over::Nothing, reporter, |tree, over| tree.make(&place, &mut node, over))?;
        report::inexact(reporter, done.inexact)
    }

    /// Has something take a place by `make`.
    ///
    /// What this layer brought to the place is replaced only if policy lets a path come twice. So the tree is first asked
    /// to make it where nothing is. `over_lower` says whether what lower layers have there is replaced without a
    /// question.
    pub(super) fn install(
        &mut self,
        place: &Place<'_, T::Dir>,
        over_lower: Over,
        reporter: &mut Reporter<'_>,
        mut make: impl FnMut(&mut T, Over) -> Result<Made, Error>,
    ) -> Result<Done, Error> {
        let standing = place.standing(&self.contents);
        let first = if standing == Standing::Own { Over::Nothing } else { over_lower };
        let made = match make(&mut self.tree, first)? {
            Made::InTheWay(what) => {
                if let InTheWay::Symlink { target } = &what {
                    report::directory_over_link(reporter, target)?;
                }
                if standing == Standing::Own {
                    report::duplicate(reporter)?;
                }
                make(&mut self.tree, Over::Anything)?
            }
            made => made,
        };
        match made {
            Made::Done(done) => {
                if done.old == Old::Replaced {
                    self.ways.forget();
                }
                Ok(done)
            }
            Made::Undone(inexact) => {
                report::inexact(reporter, inexact)?;
                Err(Error::bug("what policy wants exactly may be otherwise"))
            }
            Made::InTheWay(_) => Err(Error::bug("what may replace anything is kept from it")),
        }
    }

    /// Adjusts metadata to the owner and mode that the tree grants.
    fn grant(
        &mut self,
        metadata: &mut Metadata,
        kind: &NodeKind<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Error> {
        let bits = if let NodeKind::Directory = kind { SetIdBits::Directory } else { SetIdBits::Program };
        let granted = self.tree.granted(metadata, bits);
        report::granted(reporter, metadata, granted, self.ownership)?;
        (metadata.uid, metadata.gid, metadata.mode) = (granted.uid, granted.gid, granted.mode);
        Ok(())
    }
}
