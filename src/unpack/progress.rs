//! How far an unpacking is, and ending it early.

use crate::read::{Checked, Format, Verifying};
use crate::words::{Fault, LayerPosition, Misuse};
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

/// Is told how far an unpacking is, and may end it: see [`Unpacker::with_progress`](crate::Unpacker::with_progress).
pub trait Progress {
    /// Called on the thread that applies, for each entry and each quarter of a megabyte that is read: often, so that it
    /// should be quick.
    ///
    /// With [`ControlFlow::Break`] the unpacking ends with [`Misuse::Cancelled`]. An image leaves nothing
    /// behind then; of a layer that is applied to a tree in use, what was applied so far stays, as with any other
    /// failure.
    fn advanced(&mut self, advance: &Advance) -> ControlFlow<()>;
}

/// Watches nothing, and ends nothing.
impl Progress for () {
    fn advanced(&mut self, _: &Advance) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Advance) -> ControlFlow<()>> Progress for F {
    fn advanced(&mut self, advance: &Advance) -> ControlFlow<()> {
        self(advance)
    }
}

/// The progress of an unpacking. The amounts are totals over all layers that one [`Watched`](crate::Watched) has
/// applied, including failed layers. They never decrease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Advance {
    /// Which layer of how many; `None` for one that is applied by itself.
    pub layer: Option<LayerPosition>,
    /// What is done with it.
    pub step: Step,
    /// Bytes read in this step: of the blobs in [`Step::Verifying`], of the uncompressed layers in [`Step::Applying`].
    /// Each step has its own count.
    pub bytes_read: u64,
    /// Bytes of content of the files that were begun.
    pub bytes_written: u64,
    /// Entries that were begun.
    pub entries: u64,
}

/// What is done with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Step {
    /// It is read through for its digest before anything is touched.
    Verifying,
    /// It is applied.
    #[default]
    Applying,
}

/// Whoever is told, and what was told last.
pub(super) struct Watch<'p> {
    progress: RefCell<&'p mut dyn Progress>,
    now: Cell<Advance>,
    /// Bytes read in the other step.
    read_otherwise: Cell<u64>,
}

impl<'p> Watch<'p> {
    pub(super) fn new(progress: &'p mut dyn Progress) -> Self {
        Self { progress: RefCell::new(progress), now: Cell::default(), read_otherwise: Cell::default() }
    }

    /// What comes next is done with this layer.
    pub(super) fn begin(&self, layer: Option<LayerPosition>, step: Step) -> Result<(), Fault> {
        self.tell(|now| {
            // Bytes read to verify a layer do not count as applied, and the reverse.
            let bytes_read = match now.step == step {
                true => now.bytes_read,
                false => self.read_otherwise.replace(now.bytes_read),
            };
            Advance { layer, step, bytes_read, ..now }
        })
    }

    /// So many bytes more were read.
    pub(super) fn read(&self, bytes: u64) -> Result<(), Fault> {
        self.tell(|now| Advance { bytes_read: now.bytes_read + bytes, ..now })
    }

    /// Counts a new entry: a file with this many bytes of content, or anything else with zero.
    pub(super) fn entry(&self, bytes: u64) -> Result<(), Fault> {
        self.tell(|now| {
            let bytes_written = now.bytes_written.saturating_add(bytes);
            Advance { entries: now.entries + 1, bytes_written, ..now }
        })
    }

    fn tell(&self, advance: impl FnOnce(Advance) -> Advance) -> Result<(), Fault> {
        let now = advance(self.now.get());
        self.now.set(now);
        let Ok(mut progress) = self.progress.try_borrow_mut() else {
            return Err(Fault::bug("progress was told while it was told"));
        };
        match progress.advanced(&now) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Misuse::Cancelled.into()),
        }
    }
}

/// A layer's bytes, watched as they are used.
pub(super) struct WatchedStream<'w, 'p, S> {
    stream: S,
    watch: &'w Watch<'p>,
    untold: u64,
}

impl<'w, 'p, S> WatchedStream<'w, 'p, S> {
    /// So often somebody is told, however small the pieces are in which bytes are used.
    const BYTES: u64 = 256 << 10;

    pub(super) fn new(stream: S, watch: &'w Watch<'p>) -> Self {
        Self { stream, watch, untold: 0 }
    }
}

impl<S: BufRead> Read for WatchedStream<'_, '_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(out)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

impl<S: BufRead> BufRead for WatchedStream<'_, '_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.untold >= Self::BYTES {
            self.watch.read(std::mem::take(&mut self.untold))?;
        }
        self.stream.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.untold += bytes as u64;
        self.stream.consume(bytes);
    }
}

impl<S: Verifying> Verifying for WatchedStream<'_, '_, S> {
    fn format(&self) -> Format {
        self.stream.format()
    }

    fn finish(self) -> Result<Checked, Fault> {
        self.watch.read(self.untold)?;
        self.stream.finish()
    }

    fn damage(self) -> Option<Fault> {
        self.stream.damage()
    }
}
