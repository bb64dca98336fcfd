//! A layer to be applied: its reader, and what is known about it.

use super::blob_bytes::{BlobBytes, Counted};
#[cfg(feature = "image")]
use crate::image::LayerDescriptor;
use crate::output::LayerContext;
use crate::read::{Abandoned, Expected, Format, LayerStream};
use crate::words::{Error, LayerPosition, Limits, Position, Quirk, SharedWork, Terms};
use std::fmt;
use std::io::{Read, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A layer to be applied: its reader, and what is known about it.
///
/// The bytes are a tar archive: plain, or compressed with gzip or zstd. The format is detected from the bytes.
///
/// An error of the reader ends the layer, and is the [source](crate::Error) of the returned error. If a digest, size or
/// diff ID is given, the reader is read to its end even after a refusal. A reader may verify its download and fail at
/// the end. Then the reader is to blame, not the archive.
#[derive(Debug)]
pub struct Layer<R> {
    pub(super) reader: R,
    pub(super) about: About,
    /// Seeks in the reader; `None` if it is not seekable.
    pub(super) seek: Option<Seek<R>>,
    pub(super) on_abandoned: OnAbandoned,
    /// The number of bytes read so far.
    pub(super) blob_bytes: BlobBytes,
}

/// The callback for when no more input of a layer is needed.
#[derive(Clone, Default)]
pub(super) struct OnAbandoned(pub(super) Abandoned);

impl fmt::Debug for OnAbandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

/// Calls a callback from a destructor. A panic that leaves a destructor while another panic unwinds aborts the process.
fn call_while_unwinding(callback: &impl Fn()) {
    match thread::panicking() {
        true => drop(catch_unwind(AssertUnwindSafe(callback))),
        false => callback(),
    }
}

/// [`std::io::Seek::seek`] of a seekable reader.
pub(super) type Seek<R> = fn(&mut R, SeekFrom) -> std::io::Result<u64>;

/// What is known about a layer before it is read.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) expected: Expected,
    /// Whether the layer was read once, and is the expected one.
    pub(super) is_verified: bool,
    pub(super) position: Option<LayerPosition>,
    pub(super) stated_compression: Option<Format>,
    /// The description of the layer in its image.
    #[cfg(feature = "image")]
    pub(super) described: Option<Arc<LayerDescriptor>>,
    /// Whether the layer is refused if it is the archive of an image.
    #[cfg(feature = "image")]
    pub(super) refuses_images: bool,
}

impl About {
    pub(super) fn position(&self) -> Position {
        Position { layer: self.position, ..Position::default() }
    }

    /// Returns the quirk if the compression is not the stated one.
    pub(super) fn compression_quirk(&self, found: Format) -> Option<Quirk> {
        let stated = self.stated_compression.filter(|&stated| stated != found)?;
        Some(Quirk::CompressionDiffers { stated: stated.name(), found: found.name() })
    }

    /// The context of the layer for a sink.
    pub(super) fn context<'a>(&'a self, terms: &'a Terms, work: Option<&'a SharedWork>) -> LayerContext<'a> {
        let context = LayerContext::new(terms).with_expected(self.expected);
        let context = if self.is_verified { context.with_verified() } else { context };
        let context = work.into_iter().fold(context, LayerContext::with_shared_work);
        let context = self.position.into_iter().fold(context, LayerContext::with_position);
        #[cfg(feature = "image")]
        let context = self.described.iter().fold(context, |context, layer| context.with_layer(layer));
        context
    }
}

/// A layer whose stream is open.
pub(super) struct Opened<S> {
    pub(super) about: About,
    pub(super) blob_bytes: BlobBytes,
    pub(super) stream: S,
}

impl<R: Read> Layer<R> {
    /// Creates a layer about which nothing is known. Without a digest, nothing proves that it is complete.
    pub fn new(reader: R) -> Self {
        let about = About {
            expected: Expected::unchecked(),
            is_verified: false,
            position: None,
            stated_compression: None,
            #[cfg(feature = "image")]
            described: None,
            #[cfg(feature = "image")]
            refuses_images: false,
        };
        Self { reader, about, seek: None, on_abandoned: OnAbandoned::default(), blob_bytes: BlobBytes::default() }
    }

    /// Sets a callback that is called when no more input is needed: at the end of the layer, or after a refusal.
    /// With [several jobs](crate::Unpacker::with_jobs) the layer is read on a separate thread, which may be blocked in the
    /// reader. The callback can wake the reader. Any error that the reader then returns is ignored.
    ///
    /// It is called at most once, on any thread. With a single thread it is not called, and neither is it while a
    /// [seekable](Layer::seekable) layer is verified before it is applied. If it panics while another panic
    /// unwinds, its own panic is dropped.
    #[must_use]
    pub fn on_abandoned(mut self, callback: impl Fn() + Send + Sync + 'static) -> Self {
        // A reader may return bytes after it was woken. Then the stream is delivered, and abandoned once more.
        let is_called = AtomicBool::new(false);
        let once = move || {
            if !is_called.swap(true, Ordering::Relaxed) {
                call_while_unwinding(&callback);
            }
        };
        self.on_abandoned = OnAbandoned(Some(Arc::new(once)));
        self
    }

    /// Sets the expected digest, size and diff ID. Every value that is set is compared.
    ///
    /// The layer is proven if [digest and size](Expected::blob) and the [diff ID](Expected::with_diff_id) are set. If not
    /// all of them are known, use [`Expected::blob_alone`] or [`Expected::with_diff_id_alone`] for a proof.
    #[must_use]
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.about.expected = expected;
        self
    }

    /// Refuses the archive of an image that is given by mistake, at the first member that shows what it is.
    ///
    /// [`What`](crate::image::What) defines the archive of an image. Here the name of a single blob is enough, because `docker
    /// save` writes gigabytes of blobs before anything else. The members before it may already be applied. A real layer
    /// may contain such names, too. Do not use this for a layer that is identified by an image or a digest.
    ///
    /// [`Session::apply`](crate::Session::apply) then fails with
    /// [`Misuse::ImageAsLayer`](crate::error::Misuse::ImageAsLayer).
    #[cfg(feature = "image")]
    #[must_use]
    pub fn refuse_images(mut self) -> Self {
        self.about.refuses_images = true;
        self
    }

    /// Sets the position in an image, and the description there.
    #[cfg(feature = "image")]
    pub(super) fn of_image(mut self, position: LayerPosition, layer: &LayerDescriptor) -> Self {
        self.about.position = Some(position);
        self.about.stated_compression = layer.compression();
        self.about.described = Some(Arc::new(layer.clone()));
        self
    }

    /// Opens the stream, and detects its format.
    pub(super) fn open(self, limits: &Limits) -> Result<Opened<LayerStream<Counted<R>>>, Error> {
        let Self { reader, about, blob_bytes, .. } = self;
        let reader = Counted::new(reader, blob_bytes.clone());
        let stream = LayerStream::open(reader, about.expected, limits).map_err(|error| error.at(about.position()))?;
        Ok(Opened { about, blob_bytes, stream })
    }
}

impl<R: Read + std::io::Seek> Layer<R> {
    /// Allows seeking back to the current position of the reader. A layer that must be verified before it is applied is
    /// then read twice, and not copied.
    ///
    /// Size and digests are compared both times. If the file is changed between the two, the change is detected only
    /// after it was applied: the error says so, and what was applied stays. Do not use this for a file that other
    /// processes may write to. Such a file should be copied.
    #[must_use]
    pub fn seekable(mut self) -> Self {
        self.seek = Some(R::seek);
        self
    }
}
