//! Progress and cancellation.

use super::blob_bytes::BlobBytes;
use crate::read::{Checked, Format, Verifying};
use crate::words::{Cancellation, Error, LayerPosition, Misuse};
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

/// Observes the progress of a [`Session`](crate::Session), and may cancel it: see
/// [`Session::with_progress`](crate::Session::with_progress).
///
/// # A reader that blocks
///
/// The observer is called between reads. While the reader of a layer blocks, it is not called, so that it can neither
/// draw nor cancel. To cancel then, let the reader return an error. `Error::from(Misuse::Cancelled)` as an
/// [`io::Error`] ends the layer with [`Misuse::Cancelled`], as if the observer had cancelled. Any other error, one of
/// the kind [`TimedOut`](io::ErrorKind::TimedOut) for instance, becomes the source of the layer's error. An error of
/// the kind [`Interrupted`](io::ErrorKind::Interrupted) does not end the layer: the reader is called again.
///
/// ```
/// # use layercage::{Error, Layer, Policy, Rootfs, Unpacker};
/// # use layercage::error::Misuse;
/// # use std::io::{self, Read};
/// # use std::sync::atomic::{AtomicBool, Ordering};
/// /// Reads a download until the user presses Ctrl-C.
/// struct Download<'a>(&'a AtomicBool);
///
/// impl Read for Download<'_> {
///     fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
///         if self.0.load(Ordering::Relaxed) {
///             return Err(Error::from(Misuse::Cancelled).into());
///         }
///         # let _ = out;
///         // Wait for bytes, but not for long: then look again.
///         # Ok(0)
///     }
/// }
/// # let directory = tempfile::tempdir()?;
/// # let rootfs = cap_std::fs::Dir::open_ambient_dir(directory.path(), cap_std::ambient_authority())?;
/// # let mut sink = Rootfs::over(&rootfs)?;
///
/// let pressed = AtomicBool::new(true);
/// let error = Unpacker::new(Policy::default()).apply(Layer::new(Download(&pressed)), &mut sink).unwrap_err();
/// assert_eq!(error.misuse(), Some(&Misuse::Cancelled));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Progress {
    /// Called on the thread that applies, for each entry and each 256 KiB that are read: often, so it should be quick.
    ///
    /// [`ControlFlow::Break`] cancels: the layer fails with [`Misuse::Cancelled`]. An image that is unpacked leaves
    /// nothing behind. In a directory that is in use, the changes so far stay, as with any other failure. While one entry
    /// removes a large tree, only a [`Cancellation`] is asked.
    fn advanced(&mut self, advance: &Advance) -> ControlFlow<()>;
}

/// Observes nothing, and never cancels.
impl Progress for () {
    fn advanced(&mut self, _: &Advance) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The same observer.
impl Progress for &mut (dyn Progress + Send + '_) {
    fn advanced(&mut self, advance: &Advance) -> ControlFlow<()> {
        (**self).advanced(advance)
    }
}

impl<F: FnMut(&Advance) -> ControlFlow<()>> Progress for F {
    fn advanced(&mut self, advance: &Advance) -> ControlFlow<()> {
        self(advance)
    }
}

/// The progress of a session. `bytes_read`, `bytes_written` and `entries` are totals over all layers of the session, failed
/// layers included, and never decrease. The amounts of the blob are those of the current layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Advance {
    /// The number of the layer, and the number of layers; `None` for a layer without an image.
    pub layer: Option<LayerPosition>,
    /// What is done with the layer.
    pub step: Step,
    /// Bytes read in this step: of the blobs in [`Step::Verifying`], of the uncompressed layers in [`Step::Applying`], and of
    /// content that a [cache](crate::merged::ContentCache) kept. Each step has its own count.
    pub bytes_read: u64,
    /// Bytes of content of the files that were begun.
    pub bytes_written: u64,
    /// Entries that were begun.
    pub entries: u64,
    /// Bytes of the current layer's blob that were read in this step. With several threads, this is ahead of what is
    /// applied.
    pub blob_bytes_read: u64,
    /// The expected size of the current layer's blob, if it was given: the end of a progress bar.
    pub blob_size: Option<u64>,
}

/// What is done with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Step {
    /// It is read for its digest before the tree is changed.
    Verifying,
    /// It is applied.
    #[default]
    Applying,
}

/// The observer, and the progress that was reported last.
pub(super) struct Watch<'p> {
    progress: RefCell<Box<dyn Progress + Send + 'p>>,
    cancellation: Cancellation,
    now: Cell<Advance>,
    /// The number of bytes read in the other step.
    other_step_read: Cell<u64>,
    /// Counts the bytes of the current blob, on the thread that reads it.
    blob_bytes: RefCell<BlobBytes>,
    /// The observer has cancelled. It is not asked again.
    cancelled: Cell<bool>,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("now", &self.now).finish_non_exhaustive()
    }
}

impl<'p> Watch<'p> {
    pub(super) fn new(progress: Box<dyn Progress + Send + 'p>) -> Self {
        Self {
            progress: RefCell::new(progress),
            cancellation: Cancellation::default(),
            now: Cell::default(),
            other_step_read: Cell::default(),
            blob_bytes: RefCell::default(),
            cancelled: Cell::default(),
        }
    }

    /// Replaces the observer.
    pub(super) fn with_progress<'q>(self, progress: Box<dyn Progress + Send + 'q>) -> Watch<'q> {
        let Self { cancellation, now, other_step_read, blob_bytes, .. } = self;
        let (progress, cancelled) = (RefCell::new(progress), Cell::default());
        Watch { progress, cancellation, now, other_step_read, blob_bytes, cancelled }
    }

    /// Replaces the cancellation.
    pub(super) fn with_cancellation(self, cancellation: Cancellation) -> Self {
        Self { cancellation, ..self }
    }

    /// The cancellation. It is asked here with each report, and by sinks.
    pub(super) fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// Sets the blob of the current layer.
    pub(super) fn set_blob(&self, bytes: BlobBytes, size: Option<u64>) {
        self.blob_bytes.replace(bytes);
        self.now.set(Advance { blob_size: size, ..self.now.get() });
    }

    /// Begins a step with a layer.
    pub(super) fn begin(&self, layer: Option<LayerPosition>, step: Step) -> Result<(), Error> {
        self.report(|now| {
            // Bytes read to verify a layer do not count as applied, and the reverse.
            let bytes_read = match now.step == step {
                true => now.bytes_read,
                false => self.other_step_read.replace(now.bytes_read),
            };
            Advance { layer, step, bytes_read, ..now }
        })
    }

    /// Counts bytes that were read.
    pub(super) fn read(&self, bytes: u64) -> Result<(), Error> {
        self.report(|now| Advance { bytes_read: now.bytes_read + bytes, ..now })
    }

    /// Counts a new entry: a file with this many bytes of content, or anything else with zero.
    pub(super) fn entry(&self, bytes: u64) -> Result<(), Error> {
        self.report(|now| {
            let bytes_written = now.bytes_written.saturating_add(bytes);
            Advance { entries: now.entries + 1, bytes_written, ..now }
        })
    }

    fn report(&self, advance: impl FnOnce(Advance) -> Advance) -> Result<(), Error> {
        let blob_bytes_read = self.blob_bytes.borrow().get();
        let now = Advance { blob_bytes_read, ..advance(self.now.get()) };
        self.now.set(now);
        self.cancellation.check()?;
        let Ok(mut progress) = self.progress.try_borrow_mut() else {
            return Err(Error::bug("the progress observer was called by itself"));
        };
        // A sink may have ignored the first error.
        if !self.cancelled.get() {
            self.cancelled.set(progress.advanced(&now).is_break());
        }
        if self.cancelled.get() { Err(Misuse::Cancelled.into()) } else { Ok(()) }
    }
}

/// The stream of a layer. It reports the bytes that are used to the observer.
pub(super) struct ObservedStream<'w, 'p, S> {
    stream: S,
    watch: &'w Watch<'p>,
    unreported: u64,
}

impl<'w, 'p, S> ObservedStream<'w, 'p, S> {
    /// The observer is called once for this number of bytes, even if they are used in small pieces.
    const BYTES: u64 = 256 << 10;

    pub(super) fn new(stream: S, watch: &'w Watch<'p>) -> Self {
        Self { stream, watch, unreported: 0 }
    }
}

impl<S: BufRead> Read for ObservedStream<'_, '_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(out)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

impl<S: BufRead> BufRead for ObservedStream<'_, '_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unreported >= Self::BYTES {
            self.watch.read(std::mem::take(&mut self.unreported))?;
        }
        self.stream.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.unreported += bytes as u64;
        self.stream.consume(bytes);
    }
}

impl<S: Verifying> Verifying for ObservedStream<'_, '_, S> {
    fn format(&self) -> Format {
        self.stream.format()
    }

    fn finish(self) -> Result<Checked, Error> {
        self.watch.read(self.unreported)?;
        self.stream.finish()
    }

    fn damage(self) -> Option<Error> {
        self.stream.damage()
    }
}
