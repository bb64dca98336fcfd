//! The content of chosen files of a merged tree, in one more pass over the layers that have any.

use super::layer::Layer;
use super::session::Session;
use super::unpacker::Unpacker;
use crate::image::Selected;
use crate::output::{Data, Hidden, LayerContext, MergedTree, Node, Sink, SinkError, Visibility};
use crate::plan::{Judged, Reporter};
use crate::read::Checked;
use crate::words::{Change, ChangeKind, Devices, Effect, Error, Fifos, Misuse, Policy, QuirkRule};
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::iter::Peekable;
use std::vec::IntoIter;

impl Session<'_> {
    /// Reads the content of chosen files of a merged tree: see [`MergedTree::read_files`]. The session's policy decides
    /// about the layers again, on as many threads as it may use; the report of the session stays as it is.
    ///
    /// # Errors
    ///
    /// As for [`MergedTree::read_files`], and refusals by the policy of the session.
    pub fn read_files<'t>(
        &mut self,
        tree: &'t MergedTree,
        image: &Selected,
        mut choose: impl FnMut(Node<'t>) -> bool,
        read: impl FnMut(Node<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        let (mut wanted, mut inodes) = (Wanted::new(), HashSet::new());
        for node in tree.iter().filter(Node::is_file) {
            if !inodes.contains(&node.inode()) && choose(node) {
                inodes.insert(node.inode());
                add(&mut wanted, (node.content_layer(), node.content_entry()), node.size(), node);
            }
        }
        self.read_entries(tree, image, wanted, read)
    }

    /// Reads the content of chosen files that are hidden: see [`MergedTree::read_hidden`]. The session's policy decides
    /// about the layers again, on as many threads as it may use; the report of the session stays as it is.
    ///
    /// # Errors
    ///
    /// As for [`Session::read_files`].
    pub fn read_hidden<'t>(
        &mut self,
        tree: &'t MergedTree,
        image: &Selected,
        mut choose: impl FnMut(Hidden<'t>) -> bool,
        read: impl FnMut(Hidden<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        let (mut wanted, mut inodes) = (Wanted::new(), HashSet::new());
        for hidden in tree.hidden().filter(Hidden::is_file) {
            if !inodes.contains(&hidden.inode()) && choose(hidden) {
                inodes.insert(hidden.inode());
                add(&mut wanted, (hidden.content_layer(), hidden.content_entry()), hidden.size(), hidden);
            }
        }
        self.read_entries(tree, image, wanted, read)
    }

    fn read_entries<T>(
        &mut self,
        tree: &MergedTree,
        image: &Selected,
        wanted: Wanted<T>,
        mut read: impl FnMut(T, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        check_image(tree, image)?;
        self.with_own_report(|session| {
            for (number, mut wanted) in wanted {
                let layer = number.checked_sub(1).and_then(|index| image.layers().get(index));
                let layer = layer.ok_or(Misuse::OtherImage)?;
                wanted.sort_unstable_by_key(|wanted| wanted.entry);
                let layer = Layer::described(image.open_layer(layer)?, layer);
                let mut contents = Contents { wanted: wanted.into_iter().peekable(), read: &mut read, has_read: false };
                session.apply(layer, &mut contents)?;
            }
            Ok(())
        })
    }
}

impl MergedTree {
    /// Reads the content of chosen files, in one more pass over only those layers of the image that have any.
    ///
    /// `choose` is called for the paths of regular files, in the order of [`MergedTree::iter`]. `read` is called for each
    /// chosen file once, with the first of its paths that was chosen, in the order of layers and entries. Holes are read as
    /// zeros, and content that is not read is skipped.
    ///
    /// Each layer is compared with its digest, size and diff ID again. **`read` sees content before that:** a layer is
    /// verified when it has been read to its end. If the layer has changed since the layers were merged, this fails.
    /// Then discard all results from content that `read` has seen.
    ///
    /// The policy judged the layers when they were merged. This pass accepts every quirk that some policy lets pass,
    /// and has the same limits.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), layercage::Error> {
    /// # let selected: layercage::Selected = unimplemented!();
    /// let tree = selected.merge(&layercage::Policy::default())?;
    /// let mut sizes = Vec::new();
    /// tree.read_files(&selected, |node| node.is_setuid(), |node, content| {
    ///     sizes.push((node.path(), std::io::copy(content, &mut std::io::sink())?));
    ///     Ok(())
    /// })?;
    /// // Only now are the sizes those of the image.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of `read`; a layer that cannot be opened or is not the expected one, with its position;
    /// [`Misuse::OtherImage`](crate::error::Misuse::OtherImage) if the image has other layers than the tree.
    pub fn read_files<'t>(
        &'t self,
        image: &Selected,
        choose: impl FnMut(Node<'t>) -> bool,
        read: impl FnMut(Node<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        self.session().read_files(self, image, choose, read)
    }

    /// Reads the content of chosen hidden files, as [`MergedTree::read_files`] does for the files of the tree.
    ///
    /// `choose` is called in the order of [`MergedTree::hidden`]. A file that still has other paths in the tree is hidden
    /// under this one, and is read, too.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn read_hidden<'t>(
        &'t self,
        image: &Selected,
        choose: impl FnMut(Hidden<'t>) -> bool,
        read: impl FnMut(Hidden<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        self.session().read_hidden(self, image, choose, read)
    }

    fn session(&self) -> Session<'static> {
        Unpacker::new(anything()).with_limits(self.limits().clone()).session()
    }
}

/// The policy under which everything passes that some policy lets pass.
fn anything() -> Policy {
    let policy = QuirkRule::ALL.iter().fold(Policy::default(), |policy, &rule| policy.allow(rule));
    policy.with_devices(Devices::Create).with_fifos(Fifos::Create)
}

/// Checks that the image has the layers that the tree was made of.
fn check_image(tree: &MergedTree, image: &Selected) -> Result<(), Misuse> {
    let (merged, layers) = (tree.diff_ids(), image.layers());
    let is_same = |(merged, layer): (&Option<_>, &crate::image::LayerDescriptor)| {
        merged.is_none_or(|merged| merged == *layer.diff_id())
    };
    let are_same = merged.len() == layers.len() && merged.iter().zip(layers).all(is_same);
    if are_same { Ok(()) } else { Err(Misuse::OtherImage) }
}

/// The wanted entries of each layer, by its number.
type Wanted<T> = BTreeMap<usize, Vec<WantedEntry<T>>>;

/// An entry whose content is wanted.
struct WantedEntry<T> {
    entry: u64,
    size: u64,
    of: T,
}

fn add<T>(wanted: &mut Wanted<T>, (layer, entry): (usize, Option<u64>), size: u64, of: T) {
    if let Some(entry) = entry {
        wanted.entry(layer).or_default().push(WantedEntry { entry, size, of });
    }
}

/// Gives the content of the wanted entries of a layer to `read`.
struct Contents<'r, T, F> {
    wanted: Peekable<IntoIter<WantedEntry<T>>>,
    read: &'r mut F,
    /// Whether `read` was called.
    has_read: bool,
}

impl<T, F: FnMut(T, &mut dyn Read) -> Result<(), SinkError>> Sink for Contents<'_, T, F> {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        let entry = reporter.position().entry;
        let Some(wanted) = self.wanted.next_if(|wanted| Some(wanted.entry) == entry) else { return Ok(()) };
        let size = match change.get().kind {
            ChangeKind::File { size, .. } | ChangeKind::PseudoLink { size, .. } => size,
            // A policy that records owners makes empty files of FIFOs and devices.
            _ => 0,
        };
        if size != wanted.size {
            return Err(Misuse::OtherImage.into());
        }
        self.has_read = true;
        (self.read)(wanted.of, &mut data)
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        if self.wanted.peek().is_some() { Err(Misuse::OtherImage.into()) } else { Ok(()) }
    }

    fn abandon_layer(&mut self) -> Effect {
        if self.has_read { Effect::Partial } else { Effect::None }
    }

    fn visibility(&self) -> Visibility {
        Visibility::AtCommit
    }
}
