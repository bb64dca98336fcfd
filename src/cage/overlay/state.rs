//! The state of an overlay, and what starts a layer.

use super::directory::{Below, HeldDirs, OverlayDir};
use super::later::LaterLowers;
use super::lower::LowerLayers;
use super::marks::Marks;
use super::names::LinkedNames;
use crate::cage::failed::At;
use crate::cage::state::Cage;
use crate::cage::sys;
use crate::tree::Inexact;
use crate::words::{Error, Limits, OverlayFormat, PlaceId, Terms};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// An upper directory over lower ones.
#[derive(Debug)]
pub(crate) struct OverlayTree {
    pub(in crate::cage) upper: Cage,
    /// `None` if the lower layers are not at hand.
    pub(super) lower: Option<LowerLayers>,
    /// Where they come from when they are needed.
    pub(super) later: Option<LaterLowers>,
    /// Whether they were not at hand when the layer began, and are now.
    pub(super) came_late: bool,
    /// Whether an entry of this layer is the root.
    pub(super) root_is_listed: bool,
    pub(super) marks: Marks,
    pub(super) root: Arc<OverlayDir>,
    pub(super) held: HeldDirs,
    /// The names of the files of lower layers that have more than one.
    pub(super) names: LinkedNames,
    pub(super) limits: Limits,
    pub(in crate::cage) copies: Copies,
}

/// The content of files of lower layers that is copied.
#[derive(Debug, Default)]
pub(in crate::cage) struct Copies {
    /// Bytes that the image has written beside it.
    pub(in crate::cage) others: u64,
    pub(in crate::cage) bytes: u64,
}

/// The lower layers of an overlay.
#[derive(Debug)]
pub(crate) enum Lowers {
    /// Their directories, from [`Stack::push`].
    Known(Stack),
    /// They are not at hand.
    Unknown,
    /// They are not at hand yet.
    Later(LaterLowers),
}

/// Lower layers, the bottom one first.
#[derive(Debug, Default)]
pub(crate) struct Stack(LowerLayers);

impl Stack {
    /// Adds a layer on top.
    pub(crate) fn push(&mut self, root: BorrowedFd<'_>) -> Result<(), Error> {
        self.0.push(root)
    }
}

impl OverlayTree {
    /// An overlay of an empty upper directory over lower layers.
    pub(crate) fn over(mut upper: Cage, lowers: Lowers, format: OverlayFormat) -> Self {
        let marks = Marks { format };
        upper.marks = Some(marks);
        let (lower, later, below) = match lowers {
            Lowers::Known(Stack(lower)) => {
                lower.forget();
                let below = Below::Layers(lower.all());
                (Some(lower), None, below)
            }
            Lowers::Unknown => (None, None, Below::Unknown),
            Lowers::Later(later) => (None, Some(later), Below::Unknown),
        };
        let root = OverlayDir::new(PlaceId::ROOT, Box::default(), below, Some(upper.root_directory()));
        Self {
            upper,
            lower,
            later,
            came_late: false,
            root_is_listed: false,
            marks,
            root: Arc::new(root),
            held: HeldDirs::default(),
            names: LinkedNames::default(),
            limits: Limits::default(),
            copies: Copies::default(),
        }
    }

    /// The overlay for the next layer: an empty upper directory over this one and its lower layers. Layers in `between` come
    /// between the two, the lowest first.
    pub(crate) fn next(mut self, between: Vec<OwnedFd>, upper: Cage) -> Result<Self, Error> {
        if self.later.is_some() {
            self.bring_lowers_for(b"")?;
        }
        let lowers = match self.lower {
            None => Lowers::Unknown,
            Some(mut lower) => {
                lower.push_opened(sys::duplicate(self.upper.root.as_fd()).at(b"the root of the layer")?)?;
                between.iter().try_for_each(|layer| lower.push(layer.as_fd()))?;
                Lowers::Known(Stack(lower))
            }
        };
        Ok(Self::over(upper, lowers, self.marks.format))
    }
}

impl OverlayTree {
    pub(in crate::cage) fn begin_layer(&mut self, terms: &Terms, bytes: u64) {
        self.limits.clone_from(&terms.limits);
        self.copies = Copies { others: bytes, bytes: 0 };
        self.held.clear();
        self.root_is_listed = false;
    }

    /// Gives the root the attributes that it has in the lower layers; in the first layer, those of a directory that no
    /// entry lists.
    pub(in crate::cage) fn prepare_root(&mut self) -> Result<Inexact, Error> {
        let root = self.upper.root_directory();
        match (&self.lower, self.root.layers().first()) {
            (Some(_), Some(&top)) => {
                let metadata = self.metadata_of(top, b"")?;
                self.upper.renew(&root, &metadata)
            }
            (Some(_), None) => self.upper.make_like_implied(&root),
            // It may be like that of a lower layer already, if the caller has made it so. Or that comes later.
            (None, _) => Ok(Inexact::default()),
        }
    }

    /// Gives the root the attributes that it has in lower layers which were not at hand when the layer began. Waits for them.
    pub(in crate::cage) fn finish_root(&mut self) -> Result<(), Error> {
        if self.root_is_listed || (self.later.is_none() && !self.came_late) {
            return Ok(());
        }
        self.bring_lowers_for(b"")?;
        // They are on this file system, which can store whatever time it has shown.
        self.prepare_root().map(drop)
    }
}
