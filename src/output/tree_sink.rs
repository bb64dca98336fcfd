//! A tree on disk as a sink: what a root filesystem and a layer of an overlay share.

use super::context::LayerContext;
use super::data::Data;
use super::sink::Visibility;
use super::sink_error::SinkError;
use super::state::State;
use crate::cage::{Exposure, OnDisk, Stage};
use crate::plan::Reporter;
#[cfg(feature = "image")]
use crate::plan::Skipped;
use crate::read::{Blob, Checked, Expected, Verified};
use crate::tree::{Applier, ClampedTime};
use crate::words::{Change, ChangeKind, Durability, Effect, Error, Limit, Limits, Misuse, Quirk};

/// A tree on disk to which layers are applied.
///
/// [`Limit::ImageBytes`] applies to the total of all layers.
#[derive(Debug)]
pub(super) struct TreeSink<T: OnDisk> {
    applier: Applier<T>,
    home: Home,
    /// What is enforced in this layer.
    limits: Limits,
    /// The durability that the layer's policy requests. For a staged tree: the strongest that any layer has requested.
    durability: Durability,
    state: State,
    /// What is expected of the layer.
    expected: Expected,
    /// The proofs of the layers applied so far, in order.
    layers: Vec<Option<Verified<Blob>>>,
    /// Bytes of content of the files of all layers that ended.
    bytes_before: u64,
    /// Bytes of content of the layer's files.
    bytes: u64,
    /// How many effects the tree had seen when the layer began.
    effects_before: u64,
    /// A time of the root that the file system cannot store, until it is reported.
    root_time: Option<ClampedTime>,
}

/// Where a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// In a directory that is in use: changes are visible at once.
    Used,
    /// In a directory of the caller, which is not used before the layers have ended. Layers may be there already.
    Private,
    /// In an empty directory of the caller, which is not used before the layer has ended.
    Empty,
    /// In an empty directory that is staged. It is synchronized when it takes its name.
    Staged,
}

impl Home {
    pub(super) fn exposure(self) -> Exposure {
        match self {
            Self::Used => Exposure::Visible,
            Self::Private | Self::Empty | Self::Staged => Exposure::Staged,
        }
    }

    /// Whether the root gets attributes of its own before the first layer.
    fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Staged)
    }
}

impl<T: OnDisk> TreeSink<T> {
    pub(super) fn new(tree: T, home: Home) -> Self {
        Self {
            effects_before: tree.disk().effects(),
            applier: Applier::new(tree),
            home,
            limits: Limits::default(),
            durability: Durability::default(),
            state: State::Idle,
            expected: Expected::unchecked(),
            layers: Vec::new(),
            bytes_before: 0,
            bytes: 0,
            root_time: None,
        }
    }

    #[cfg(feature = "image")]
    pub(super) fn skipped_mut(&mut self) -> &mut Skipped {
        self.applier.skipped_mut()
    }

    /// The sink for the next layer, in another tree, which has what this one has.
    pub(super) fn with_tree(self, next: impl FnOnce(T) -> Result<T, Error>) -> Result<Self, Error> {
        if self.state != State::Idle {
            return Err(Misuse::Poisoned.into());
        }
        let applier = self.applier.with_tree(next)?;
        Ok(Self {
            effects_before: applier.tree().disk().effects(),
            applier,
            layers: Vec::new(),
            root_time: None,
            ..self
        })
    }

    /// The proofs of the applied layers, `None` for a layer without a proof. An error if a layer failed or has not
    /// ended.
    pub(super) fn layers(&self) -> Option<&[Option<Verified<Blob>>]> {
        (self.state == State::Idle).then_some(&self.layers)
    }

    /// Whether this tree is the original tree of the stage.
    pub(super) fn is_of(&self, stage: &Stage) -> Result<bool, Error> {
        // One that was opened over the staged directory knows nothing of the layers that failed there.
        Ok(self.home == Home::Staged && stage.is_root_of(self.applier.tree().disk())?)
    }

    /// The durability with which a staged tree takes its name.
    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// Gives what is still open its mode and time: the root of a tree to which no layer was applied, say.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        self.applier.tree_mut().disk_mut().settle()
    }
}

/// The calls of a [`Sink`](super::Sink).
impl<T: OnDisk> TreeSink<T> {
    pub(super) fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        let terms = layer.terms();
        // A sink around this one may not have passed on that changes are visible at once.
        if self.home == Home::Used && layer.expected().checks_anything() && !layer.is_verified() {
            return Err(Misuse::NotVerified.into());
        }
        self.state.take_to_begin(self.home.exposure())?;
        self.bytes = 0;
        self.expected = *layer.expected();
        self.limits.clone_from(&terms.limits);
        self.durability = match self.home {
            Home::Staged => self.durability.stronger(terms.durability),
            Home::Used | Home::Private | Home::Empty => terms.durability,
        };
        let tree = self.applier.tree_mut();
        if let Some(shared) = layer.shared_work() {
            if let Some(deferred) = tree.disk_mut().defer_files() {
                shared.add(deferred);
            }
            shared.offer_directory(tree.disk().scratch());
        }
        tree.begin(terms, self.bytes_before)?;
        if self.home.is_empty() && self.layers.is_empty() {
            let inexact = tree.prepare_root().map_err(|error| error.about("the root of the tree"))?;
            self.root_time = inexact.time;
        }
        self.applier.begin_layer(terms)?;
        self.effects_before = self.applier.tree().disk().effects();
        self.state = State::InLayer;
        Ok(())
    }

    pub(super) fn change(
        &mut self,
        change: Change,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        self.state.take_in_layer("change")?;
        data.check_whole(&change)?;
        // An earlier file failed, not this entry.
        let earlier = match change.kind {
            // The owner and mode of its target must be final, since they are compared with those of its header.
            ChangeKind::HardLink { .. } => self.applier.tree().disk().finish_files(),
            _ => self.applier.tree().disk().deferred_error(),
        };
        earlier.map_err(SinkError::Earlier)?;
        self.report_root_time(&change, reporter)?;
        self.count(&change)?;
        self.applier.apply(change, data.stored(), reporter)?;
        self.state = State::InLayer;
        Ok(())
    }

    pub(super) fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.state.take_in_layer("end_layer")?;
        // A sink around this one may have passed on another layer. Its proof would be taken for the proof of this one.
        if !checked.is_of(&self.expected) {
            return Err(Misuse::OtherLayer.into());
        }
        self.applier.end_layer();
        self.applier.tree_mut().finish_root().map_err(|error| error.about("the root of the tree"))?;
        self.applier.tree_mut().disk_mut().settle()?;
        // What is staged is synchronized when it takes its name.
        if self.home != Home::Staged && self.durability == Durability::Synced {
            self.applier.tree().disk().sync()?;
        }
        self.layers.push(checked.proof().cloned());
        self.bytes_before = self.bytes_before.saturating_add(self.content());
        self.bytes = 0;
        self.state = State::Idle;
        Ok(())
    }

    pub(super) fn abandon_layer(&mut self) -> Effect {
        self.state = State::Failed;
        self.applier.end_layer();
        let effects = self.applier.tree().disk().effects();
        let changed = std::mem::replace(&mut self.effects_before, effects) != effects;
        // The failure that broke the layer off is the one to report.
        let _ = self.applier.tree_mut().disk_mut().settle();
        if changed { Effect::Partial } else { Effect::None }
    }

    pub(super) fn visibility(&self) -> Visibility {
        match self.home.exposure() {
            Exposure::Staged => Visibility::AtCommit,
            Exposure::Visible => Visibility::AtOnce,
        }
    }
}

impl<T: OnDisk> TreeSink<T> {
    /// Counts the content of a file that is about to be made.
    fn count(&mut self, change: &Change) -> Result<(), Error> {
        let (ChangeKind::File { size, .. } | ChangeKind::PseudoLink { size, .. }) = change.kind else { return Ok(()) };
        self.limits.check(Limit::ImageBytes, self.bytes_before.saturating_add(self.content()).saturating_add(size))?;
        self.bytes = self.bytes.saturating_add(size);
        self.applier.tree_mut().count(size);
        Ok(())
    }

    /// Bytes of content that the layer has written so far.
    fn content(&self) -> u64 {
        self.bytes.saturating_add(self.applier.tree().copied())
    }

    /// The root got its time before a note could be recorded. An entry for the root may still give it another time.
    fn report_root_time(&mut self, change: &Change, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        let Some(ClampedTime { asked, kept }) = self.root_time.take() else { return Ok(()) };
        if change.path.is_root() {
            return Ok(());
        }
        reporter.quirk_of_layer(Quirk::TimeClamped { asked, kept }).map_err(SinkError::Earlier)
    }
}

/// Makes a sink of a value around a [`TreeSink`].
macro_rules! sink_around_tree {
    ($name:ident) => {
        impl Sink for $name {
            fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
                self.0.begin_layer(layer)
            }

            fn change(
                &mut self,
                change: Judged<Change>,
                data: Data<'_>,
                reporter: &mut Reporter<'_>,
            ) -> Result<(), SinkError> {
                self.0.change(change.into_inner(), data, reporter)
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
    };
}

pub(super) use sink_around_tree;
