//! Trees on disk, as a sink uses them: a cage, or the upper directory of an overlay, which is one.

use super::overlay::OverlayTree;
use super::state::Cage;
use crate::tree::{Inexact, Tree};
use crate::words::{Error, Terms};

/// A tree on disk.
pub(crate) trait OnDisk: Tree {
    /// The directory tree that changes.
    fn disk(&self) -> &Cage;

    fn disk_mut(&mut self) -> &mut Cage;

    /// Begins a layer. `bytes` of content were written before, by the layers below it.
    fn begin(&mut self, terms: &Terms, bytes: u64) -> Result<(), Error>;

    /// Gives the root of a new tree the attributes that it has until an entry names it.
    fn prepare_root(&mut self) -> Result<Inexact, Error>;

    /// Gives the root the attributes that it has in lower layers, if they were not at hand when the layer began.
    fn finish_root(&mut self) -> Result<(), Error>;

    /// Tells that the layer is about to write content of its own.
    fn count(&mut self, bytes: u64);

    /// Bytes of content of files of lower layers that the layer has copied.
    fn copied(&self) -> u64;
}

impl OnDisk for Cage {
    fn disk(&self) -> &Cage {
        self
    }

    fn disk_mut(&mut self) -> &mut Cage {
        self
    }

    fn begin(&mut self, terms: &Terms, _: u64) -> Result<(), Error> {
        Self::begin(self, terms)
    }

    fn prepare_root(&mut self) -> Result<Inexact, Error> {
        let root = self.root_directory();
        self.make_like_implied(&root)
    }

    fn finish_root(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn count(&mut self, _: u64) {}

    fn copied(&self) -> u64 {
        0
    }
}

impl OnDisk for OverlayTree {
    fn disk(&self) -> &Cage {
        &self.upper
    }

    fn disk_mut(&mut self) -> &mut Cage {
        &mut self.upper
    }

    fn begin(&mut self, terms: &Terms, bytes: u64) -> Result<(), Error> {
        self.begin_layer(terms, bytes);
        self.upper.begin(terms)
    }

    fn prepare_root(&mut self) -> Result<Inexact, Error> {
        Self::prepare_root(self)
    }

    fn finish_root(&mut self) -> Result<(), Error> {
        Self::finish_root(self)
    }

    fn count(&mut self, bytes: u64) {
        self.copies.others = self.copies.others.saturating_add(bytes);
    }

    fn copied(&self) -> u64 {
        self.copies.bytes
    }
}
