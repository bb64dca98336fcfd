//! The applier: judged changes to effects on a tree.

use super::walk::{Purpose, Walked, Ways, walk};
use super::{Content, NodeKind, Place, Tree, path_of};
use crate::plan::{LayerContents, Reporter, Skipped};
use crate::words::{Change, ChangeKind, Fault, Ownership, Source, Terms};

/// Applies the changes of layers to a tree, in their order.
#[derive(Debug)]
pub(crate) struct Applier<T: Tree> {
    pub(super) tree: T,
    pub(super) ways: Ways<T::Dir>,
    pub(super) contents: LayerContents,
    pub(super) skipped: Skipped,
    pub(super) ownership: Ownership,
}

impl<T: Tree> Applier<T> {
    pub(crate) fn new(tree: T) -> Self {
        let (contents, ownership) = (LayerContents::nothing(), Ownership::default());
        Self { tree, ways: Ways::default(), contents, skipped: Skipped::default(), ownership }
    }

    pub(crate) fn tree(&self) -> &T {
        &self.tree
    }

    pub(crate) fn tree_mut(&mut self) -> &mut T {
        &mut self.tree
    }

    /// Begins a layer. The tree must be ready for it.
    pub(crate) fn begin_layer(&mut self, terms: &Terms) -> Result<(), Fault> {
        self.ways.begin_layer(&terms.limits);
        self.ownership = terms.ownership;
        self.skipped.begin_layer();
        let is_empty = self.tree.is_empty(&self.tree.root())?;
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
    ) -> Result<(), Fault> {
        let Change { path, kind } = change;
        match kind {
            ChangeKind::Whiteout => self.white_out(&path, reporter)?,
            ChangeKind::OpaqueWhiteout => self.make_opaque(&path, reporter)?,
            ChangeKind::Skipped => self.skip(&path, reporter)?,
            ChangeKind::HardLink { target, metadata } => self.hard_link(&path, &target, &metadata, reporter)?,
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
        Ok(self.contents.check(&self.ways.limits)?)
    }

    /// Walks to the directory that `names` (components joined by slashes) leads to.
    pub(super) fn walk(
        &mut self,
        names: &[u8],
        purpose: Purpose,
        reporter: &mut Reporter<'_>,
    ) -> Result<Walked<T::Dir>, Fault> {
        walk(&mut self.tree, &mut self.ways, &mut self.contents, names, purpose, reporter)
    }

    /// The components of a place from the root, with links resolved.
    pub(super) fn path(&self, place: &Place<'_, T::Dir>) -> Box<[u8]> {
        path_of(self.tree.path(place.dir()), place.name())
    }
}
