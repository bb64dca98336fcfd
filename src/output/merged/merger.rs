//! The sink that makes merged trees.

use super::cache::{ContentCache, Filling};
use super::node::Node;
use super::store::ContentStore;
use super::summary::LayerSummary;
use super::tree::MergedTree;
use crate::cage::Exposure;
use crate::output::context::LayerContext;
use crate::output::data::Data;
use crate::output::sink::{Sink, Visibility};
use crate::output::sink_error::SinkError;
use crate::output::state::State;
use crate::plan::{Judged, Reporter};
use crate::read::Checked;
use crate::tree::{Applier, Model, Origin};
use crate::words::{Change, ChangeKind, Effect, Error, Hiding, Limit, Limits, Misuse, Violation};

/// Merges layers into the file system that they make together, in memory: a [`Sink`].
///
/// Apply all layers of an image to it, the lowest first, and take the tree. For an image on disk,
/// [`Session::merge`](crate::Session::merge) does both.
///
/// ```
/// use layercage::{Layer, Policy, Unpacker};
/// use layercage::merged::Merger;
///
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_size(2);
/// # archive.append_data(&mut header, "etc/hostname", &b"a\n"[..])?;
/// # let archive = archive.into_inner()?;
/// let mut merger = Merger::new();
/// Unpacker::new(Policy::default()).apply(Layer::new(&archive[..]), &mut merger)?;
/// let tree = merger.into_tree()?;
/// assert_eq!(tree.get("/etc/hostname").map(|node| node.size()), Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Merger(StoringMerger<Filling>);

impl Merger {
    /// A merger of no layer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the content of files that are applied from now on.
    #[must_use]
    pub fn with_cache(self, cache: ContentCache) -> Self {
        Self(StoringMerger { store: Filling::Planned(cache), ..self.0 })
    }

    /// Returns the tree of the layers that were applied.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`] if a layer failed or has not ended.
    pub fn into_tree(self) -> Result<MergedTree, Error> {
        let (tree, filling) = self.0.into_parts()?;
        Ok(tree.with_content(filling.finish()))
    }
}

impl Sink for Merger {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.0.begin_layer(layer)
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        self.0.change(change, data, reporter)
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.0.end_layer(checked)
    }

    fn abandon_layer(&mut self) -> Effect {
        self.0.abandon_layer()
    }

    fn visibility(&self) -> Visibility {
        self.0.visibility()
    }
}

/// A merger that gives the content of files to a store.
#[derive(Debug)]
pub(crate) struct StoringMerger<S> {
    store: S,
    applier: Applier<Model>,
    state: State,
    /// The number of the layer, from 1.
    layer: u32,
    limits: Limits,
    /// Entries of the layer so far.
    entries: u64,
    /// The layers that ended.
    layers: Vec<LayerSummary>,
}

impl<S: Default> Default for StoringMerger<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S> StoringMerger<S> {
    /// A merger of no layer yet.
    pub(crate) fn new(store: S) -> Self {
        Self {
            store,
            applier: Applier::new(Model::new()),
            state: State::Idle,
            layer: 0,
            limits: Limits::default(),
            entries: 0,
            layers: Vec::new(),
        }
    }

    /// The same, with a tree that gives each layer as one of an overlay.
    #[cfg(feature = "image")]
    pub(crate) fn with_journal(self) -> Result<Self, Error> {
        Ok(Self { applier: self.applier.with_tree(|tree| Ok(tree.with_journal()))?, ..self })
    }

    /// Goes on with another store, between two layers. Returns the one that it had.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`] if a layer failed or has not ended.
    #[cfg(feature = "image")]
    pub(crate) fn with_store<T>(self, new: T) -> Result<(StoringMerger<T>, S), Error> {
        let Self { store, applier, state, layer, limits, entries, layers } = self;
        match state {
            State::Idle => Ok((StoringMerger { store: new, applier, state, layer, limits, entries, layers }, store)),
            State::InLayer | State::Failed => Err(Misuse::Poisoned.into()),
        }
    }

    /// The tree of the layers so far.
    #[cfg(feature = "image")]
    pub(crate) fn model(&self) -> &Model {
        self.applier.tree()
    }

    /// Returns the tree of the layers that were applied, and the store with their content.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`] if a layer failed or has not ended.
    pub(crate) fn into_parts(self) -> Result<(MergedTree, S), Error> {
        match self.state {
            State::Idle => Ok((MergedTree::new(self.applier.into_tree(), self.limits, self.layers), self.store)),
            State::InLayer | State::Failed => Err(Misuse::Poisoned.into()),
        }
    }

    /// Checks that the tree is within its limit. An index that is too small counts as too much.
    fn check_room(&self) -> Result<(), Violation> {
        let (limit, most) = (Limit::TreeBytes, self.limits.most(Limit::TreeBytes));
        match self.applier.tree().bytes() {
            Some(bytes) => self.limits.check(limit, bytes.saturating_add(self.applier.bytes())),
            None => Err(Violation::LimitExceeded { limit, most, amount: most.saturating_add(1) }),
        }
    }
}

impl<S: ContentStore> StoringMerger<S> {
    /// Stores the content of the file that the last change has made, if it has made one.
    fn store(&mut self, data: &mut Data<'_>) -> Result<(), SinkError> {
        let model = self.applier.tree();
        let Some(name) = model.new_file().filter(|_| data.size() > 0) else { return Ok(()) };
        if let Some(place) = self.store.store(Node { model, name }, data)? {
            self.applier.tree_mut().set_place(name, place);
        }
        Ok(())
    }
}

impl<S: ContentStore> Sink for StoringMerger<S> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.state.take_to_begin(Exposure::Staged)?;
        let terms = layer.terms();
        self.limits.clone_from(&terms.limits);
        (self.layer, self.entries) = (self.layer.saturating_add(1), 0);
        self.applier.tree_mut().begin_layer(terms);
        self.applier.begin_layer(terms)?;
        self.state = State::InLayer;
        Ok(())
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        self.state.take_in_layer("change")?;
        self.entries += 1;
        let (change, position) = (change.into_inner(), reporter.position());
        // The limit on bytes comes long before this number is too small.
        let entry = position.entry.and_then(|entry| u32::try_from(entry).ok()).unwrap_or(u32::MAX);
        let origin = Origin { layer: self.layer, entry, offset: position.offset.unwrap_or_default() };
        self.applier.tree_mut().set_origin(origin, hiding(&change.kind));
        // The tree keeps no content. What it refuses is not stored.
        self.applier.apply(change, &mut &b""[..], reporter)?;
        self.store(&mut data)?;
        self.check_room()?;
        self.state = State::InLayer;
        Ok(())
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.state.take_in_layer("end_layer")?;
        self.applier.end_layer();
        self.applier.tree_mut().end_layer();
        self.layers.push(LayerSummary::of(self.layer as usize, checked, self.entries));
        self.state = State::Idle;
        Ok(())
    }

    fn abandon_layer(&mut self) -> Effect {
        self.state = State::Failed;
        Effect::None
    }

    fn visibility(&self) -> Visibility {
        Visibility::AtCommit
    }
}

/// How a change hides what it removes.
fn hiding(change: &ChangeKind) -> Hiding {
    match change {
        ChangeKind::Whiteout => Hiding::WhitedOut,
        ChangeKind::OpaqueWhiteout => Hiding::Opaque,
        // What is skipped still takes the place of what is there.
        ChangeKind::Skipped(_)
        | ChangeKind::Directory(_)
        | ChangeKind::File { .. }
        | ChangeKind::PseudoLink { .. }
        | ChangeKind::HardLink { .. }
        | ChangeKind::Symlink { .. }
        | ChangeKind::Fifo(_)
        | ChangeKind::Device { .. } => Hiding::Replaced,
    }
}
