//! The content of chosen files of a merged tree, in one more pass over the layers that have any.

use super::cached::read_cached;
use super::layer::Layer;
use super::run::with_effect;
use super::session::Session;
use crate::output::{
    ContentPlace, ContentReader, Data, Hidden, LayerContext, MergedTree, Node, Sink, SinkError, Visibility,
};
use crate::plan::{Judged, Reporter};
use crate::read::Checked;
use crate::words::{Change, ChangeKind, DeferredWork, Effect, Error, LayerPosition, Misuse, Position, SharedWork};
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

impl Session<'_> {
    /// Reads the content of chosen files of a merged tree, like [`Session::read_files`], from layers that are in no image
    /// on disk. `open` is called once for each layer that has any of the files and must be read again, with its number.
    ///
    /// Each layer is compared with its [expected](Layer::expecting) digests and size. Without them, another layer than the
    /// merged one is not detected.
    ///
    /// ```
    /// # use layercage::{Error, Expected, Layer, Policy, Unpacker};
    /// # use layercage::blob::Algorithm;
    /// # use layercage::merged::Merger;
    /// # let archive = [0; 1024];
    /// let expected = Expected::unchecked().compute_diff_id(Algorithm::Sha256);
    /// let (mut merger, mut session) = (Merger::new(), Unpacker::new(Policy::default()).session());
    /// session.apply(Layer::new(&archive[..]).expecting(expected), &mut merger)?;
    /// let tree = merger.into_tree()?;
    ///
    /// let expected = tree.diff_ids().flatten().fold(Expected::unchecked(), Expected::with_diff_id);
    /// let open = |_| Ok(Layer::new(&archive[..]).expecting(expected));
    /// session.read_files_from(&tree, open, |node| node.is_setuid(), |node, content| Ok(()))?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::read_files`], and the errors of `open`.
    pub fn read_files_from<'t, R: Read + Send>(
        &mut self,
        tree: &'t MergedTree,
        open: impl FnMut(usize) -> Result<Layer<R>, Error>,
        choose: impl FnMut(Node<'t>) -> bool,
        read: impl FnMut(Node<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        self.read_entries(tree, files(tree, choose), open, None, plain(read))
    }

    /// Reads the content of chosen files that are hidden, as [`Session::read_files_from`] does for the files of the tree.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn read_hidden_from<'t, R: Read + Send>(
        &mut self,
        tree: &'t MergedTree,
        open: impl FnMut(usize) -> Result<Layer<R>, Error>,
        choose: impl FnMut(Hidden<'t>) -> bool,
        read: impl FnMut(Hidden<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        self.read_entries(tree, hidden_files(tree, choose), open, None, plain(read))
    }

    /// Gives the content of entries to `read`, in the order of layers and entries. A layer is read only if the tree does not
    /// keep all that is wanted of it. Threads that wait may do the shared work.
    pub(super) fn read_entries<T, R: Read + Send>(
        &mut self,
        tree: &MergedTree,
        wanted: Wanted<T>,
        mut open: impl FnMut(usize) -> Result<Layer<R>, Error>,
        work: Option<&Arc<SharedWork>>,
        mut read: impl FnMut(T, Data<'_>) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        let mut kept = None;
        self.with_own_report(|session| {
            for (number, mut wanted) in wanted {
                wanted.sort_unstable_by_key(|wanted| wanted.entry);
                if let Some(content) = tree.content().filter(|_| wanted.iter().all(|wanted| wanted.place.is_some())) {
                    let layer = Some(LayerPosition { number, of: tree.layer_count() });
                    let reader = kept.get_or_insert_with(|| content.reader());
                    session.read_kept(reader, layer, wanted, &mut read)?;
                    continue;
                }
                let wanted = wanted.into_iter().peekable();
                let mut contents = Contents { wanted, work, read: &mut read, has_read: false };
                session.apply(open(number)?, &mut contents)?;
            }
            Ok(())
        })
    }

    /// Gives the content of entries to `read`, on the calling thread alone: for the time between two layers.
    #[cfg(feature = "image")]
    pub(super) fn read_between<T, R: Read>(
        &mut self,
        wanted: Wanted<T>,
        mut open: impl FnMut(usize) -> Result<Layer<R>, Error>,
        mut read: impl FnMut(T, Data<'_>) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        self.with_own_report(|session| {
            for (number, mut wanted) in wanted {
                wanted.sort_unstable_by_key(|wanted| wanted.entry);
                let wanted = wanted.into_iter().peekable();
                let mut contents = Contents { wanted, work: None, read: &mut read, has_read: false };
                session.apply_local(open(number)?, &mut contents)?;
            }
            Ok(())
        })
    }

    /// The same for the entries of a layer whose content is kept.
    fn read_kept<T>(
        &self,
        reader: &mut ContentReader<'_>,
        layer: Option<LayerPosition>,
        wanted: Vec<WantedEntry<T>>,
        mut read: impl FnMut(T, Data<'_>) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        let mut effect = Effect::None;
        for WantedEntry { entry, place, of, .. } in wanted {
            let place = place.ok_or(Error::bug("the content of a file is not kept"))?;
            let read = read_cached(reader, place, self.watch(), |data| {
                effect = Effect::Partial;
                read(of, data)
            });
            let position = Position { layer, entry: Some(entry), ..Position::default() };
            read.map_err(|error| with_effect(error.at(&position), effect))?;
        }
        Ok(())
    }
}

/// The files of the tree that are chosen, each by the first of its paths that is chosen.
pub(super) fn files<'t>(tree: &'t MergedTree, mut choose: impl FnMut(Node<'t>) -> bool) -> Wanted<Node<'t>> {
    let (mut wanted, mut inodes) = (Wanted::new(), HashSet::new());
    for node in tree.iter().filter(Node::is_file) {
        if !inodes.contains(&node.inode()) && choose(node) {
            inodes.insert(node.inode());
            let place = node.content_place();
            add(&mut wanted, (node.content_layer(), node.content_entry()), (node.size(), place), node);
        }
    }
    wanted
}

/// The hidden files that are chosen, in the same way.
pub(super) fn hidden_files<'t>(tree: &'t MergedTree, mut choose: impl FnMut(Hidden<'t>) -> bool) -> Wanted<Hidden<'t>> {
    let (mut wanted, mut inodes) = (Wanted::new(), HashSet::new());
    for hidden in tree.hidden().filter(Hidden::is_file) {
        if !inodes.contains(&hidden.inode()) && choose(hidden) {
            inodes.insert(hidden.inode());
            let place = hidden.content_place();
            add(&mut wanted, (hidden.content_layer(), hidden.content_entry()), (hidden.size(), place), hidden);
        }
    }
    wanted
}

/// The wanted entries of each layer, by its number.
pub(super) type Wanted<T> = BTreeMap<usize, Vec<WantedEntry<T>>>;

/// An entry whose content is wanted.
pub(super) struct WantedEntry<T> {
    entry: u64,
    size: u64,
    /// Where the tree keeps the content.
    place: Option<ContentPlace>,
    of: T,
}

pub(super) fn add<T>(
    wanted: &mut Wanted<T>,
    (layer, entry): (usize, Option<u64>),
    (size, place): (u64, Option<ContentPlace>),
    of: T,
) {
    if let Some(entry) = entry {
        wanted.entry(layer).or_default().push(WantedEntry { entry, size, place, of });
    }
}

/// Reads content as bytes, with zeros for holes.
pub(super) fn plain<T>(
    mut read: impl FnMut(T, &mut dyn Read) -> Result<(), SinkError>,
) -> impl FnMut(T, Data<'_>) -> Result<(), SinkError> {
    move |of, mut data| read(of, &mut data)
}

/// Gives the content of the wanted entries of a layer to `read`.
struct Contents<'r, T, F> {
    wanted: Peekable<IntoIter<WantedEntry<T>>>,
    work: Option<&'r Arc<SharedWork>>,
    read: &'r mut F,
    /// Whether `read` was called.
    has_read: bool,
}

impl<T, F: FnMut(T, Data<'_>) -> Result<(), SinkError>> Sink for Contents<'_, T, F> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        if let (Some(shared), Some(work)) = (layer.shared_work(), self.work) {
            shared.add(Arc::clone(work) as Arc<dyn DeferredWork>);
        }
        Ok(())
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
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
        (self.read)(wanted.of, data)
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
