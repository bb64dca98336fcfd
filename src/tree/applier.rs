//! The applier: judged changes to effects on a tree.

use super::walk::{Purpose, Walked, Ways, walk};
use super::{Content, NodeKind, Place, Tree, path_of};
use crate::plan::{LayerContents, Reporter, Skipped};
use crate::words::{Change, ChangeKind, Error, Ownership, PlaceSet, Skippable, Source, Terms};
use std::collections::BTreeSet;

/// Applies the changes of layers to a tree, in their order.
#[derive(Debug)]
pub(crate) struct Applier<T: Tree> {
    pub(super) tree: T,
    pub(super) ways: Ways<T::Dir>,
    pub(super) contents: LayerContents,
    pub(super) skipped: Skipped,
    /// What hard links led to that some policies skip.
    pub(super) linked: BTreeSet<Skippable>,
    pub(super) ownership: Ownership,
    /// Whether the layer has brought or skipped something at a place that is not known. What seems to be missing in the
    /// tree may be there then.
    pub(super) unplaced: Unplaced,
    /// The names of what it brought there, and of the parent directories.
    pub(super) unplaced_names: PlaceSet,
}

/// The effect of a change, for an output that writes a layer down again. It says how the same effect is written, with the
/// layer's own entries where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The change, as it is.
    AsStated,
    /// The same for a hard link, if its target was not skipped: it is at a place that is not known.
    Unknown,
    /// No change: it has no effect.
    Nothing,
    /// A whiteout of this path (components joined by slashes, links resolved): what lower layers have there is removed.
    Removed(Box<[u8]>),
    /// No change has this effect: an entry of the layer is removed.
    RemovedOwn,
    /// For a whiteout: an opaque whiteout, because the layer has brought the directory.
    Opaque,
    /// The same, and the directory gets the attributes of one that no entry lists.
    OpaqueAndImplied,
}

/// Whether something was brought or skipped at a place that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unplaced {
    Nothing,
    Something,
}

impl<T: Tree> Applier<T> {
    pub(crate) fn new(tree: T) -> Self {
        let (contents, ownership) = (LayerContents::nothing(), Ownership::default());
        Self {
            tree,
            ways: Ways::default(),
            contents,
            skipped: Skipped::default(),
            linked: BTreeSet::new(),
            ownership,
            unplaced: Unplaced::Nothing,
            unplaced_names: PlaceSet::default(),
        }
    }

    pub(crate) fn tree(&self) -> &T {
        &self.tree
    }

    /// What was skipped, in the layers so far.
    #[cfg(feature = "image")]
    pub(crate) fn skipped_mut(&mut self) -> &mut Skipped {
        &mut self.skipped
    }

    /// Goes on with another tree, which has what this one has: between two layers.
    pub(crate) fn with_tree<U: Tree>(self, next: impl FnOnce(T) -> Result<U, Error>) -> Result<Applier<U>, Error> {
        let Self { tree, ways, contents, skipped, linked, ownership, unplaced, unplaced_names } = self;
        let (tree, ways) = (next(tree)?, ways.elsewhere());
        Ok(Applier { tree, ways, contents, skipped, linked, ownership, unplaced, unplaced_names })
    }

    pub(crate) fn into_tree(self) -> T {
        self.tree
    }

    pub(crate) fn tree_mut(&mut self) -> &mut T {
        &mut self.tree
    }

    /// What hard links led to that some policies skip, and the hard links with it.
    pub(crate) fn linked(&self) -> &BTreeSet<Skippable> {
        &self.linked
    }

    /// Bytes of memory for what the layer has brought.
    pub(crate) fn bytes(&self) -> u64 {
        self.contents.bytes() + self.unplaced_names.bytes()
    }

    /// Begins a layer. The tree must be ready for it.
    pub(crate) fn begin_layer(&mut self, terms: &Terms) -> Result<(), Error> {
        self.ways.begin_layer(&terms.limits);
        self.ownership = terms.ownership;
        self.skipped.begin_layer();
        self.unplaced = Unplaced::Nothing;
        self.unplaced_names = PlaceSet::default();
        let is_empty = self.tree.is_complete() && self.tree.is_empty(&self.tree.root())?;
        self.contents = if is_empty { LayerContents::over_nothing() } else { LayerContents::nothing() };
        Ok(())
    }

    /// Lets go of all directories: the layer has ended, or failed.
    pub(crate) fn end_layer(&mut self) {
        self.ways.forget();
    }

    /// Applies a change. `data` is the content of a file.
    pub(crate) fn apply(
        &mut self,
        change: Change,
        data: &mut dyn Source,
        reporter: &mut Reporter<'_>,
    ) -> Result<Outcome, Error> {
        let Change { path, kind } = change;
        let mut outcome = Outcome::AsStated;
        match kind {
            ChangeKind::Whiteout => outcome = self.white_out(&path, reporter)?,
            ChangeKind::OpaqueWhiteout => outcome = self.make_opaque(&path, reporter)?,
            ChangeKind::Skipped(skippable) => outcome = self.skip(&path, skippable, reporter)?,
            ChangeKind::HardLink { target, metadata } => {
                outcome = self.hard_link(&path, &target, &metadata, reporter)?
            }
            ChangeKind::PseudoLink { metadata, size, sparse } => {
                let content = Content { source: data, size, sparse: sparse.as_ref() };
                self.bring_apart(&path, metadata, content, reporter)?;
            }
            ChangeKind::File { metadata, size, sparse } => {
                let content = Content { source: data, size, sparse: sparse.as_ref() };
                self.bring(&path, metadata, NodeKind::File(content), reporter)?;
            }
            ChangeKind::Directory(metadata) => self.bring(&path, metadata, NodeKind::Directory, reporter)?,
            ChangeKind::Symlink { mut metadata, target } => {
                // A link's mode means nothing.
                metadata.mode = 0o777;
                self.bring(&path, metadata, NodeKind::Symlink(target.as_bytes()), reporter)?;
            }
            ChangeKind::Fifo(metadata) => self.bring(&path, metadata, NodeKind::Fifo, reporter)?,
            ChangeKind::Device { metadata, device } => {
                self.bring(&path, metadata, NodeKind::Device(device), reporter)?;
            }
        }
        // Over layers that are not known, it is not known which places are in their directories.
        if self.tree.is_complete() {
            self.contents.check(&self.ways.limits)?;
        }
        Ok(outcome)
    }

    /// Walks to the directory that `names` (components joined by slashes) leads to.
    pub(super) fn walk(
        &mut self,
        names: &[u8],
        purpose: Purpose,
        reporter: &mut Reporter<'_>,
    ) -> Result<Walked<T::Dir>, Error> {
        walk(&mut self.tree, &mut self.ways, &mut self.contents, names, purpose, reporter)
    }

    /// The components of a place from the root, with links resolved.
    pub(super) fn path(&self, place: &Place<'_, T::Dir>) -> Box<[u8]> {
        path_of(self.tree.path(place.dir()), place.name())
    }
}
