//! A layer to be applied: where its bytes come from, and what is known about them beforehand.

use super::blob_bytes::{BlobBytes, Counted};
#[cfg(feature = "image")]
use crate::image::LayerDescriptor;
use crate::output::LayerContext;
use crate::read::{Abandoned, Expected, Format, LayerStream};
use crate::words::{Error, LayerPosition, Limits, Position, Quirk, Terms};
use std::fmt;
use std::io::{Read, SeekFrom};
use std::sync::Arc;

/// A layer to be applied: where its bytes come from, and what is known about them beforehand.
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
    /// How to go back to its first byte, where the reader can.
    pub(super) seek: Option<Seek<R>>,
    pub(super) told: OnAbandoned,
    /// Bytes read so far.
    pub(super) blob_bytes: BlobBytes,
}

/// The callback for when no more input of a layer is needed.
#[derive(Clone, Default)]
pub(super) struct OnAbandoned(pub(super) Abandoned);

impl fmt::Debug for OnAbandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "OnAbandoned" } else { "Nobody" })
    }
}

/// [`std::io::Seek::seek`] of a reader that has it.
pub(super) type Seek<R> = fn(&mut R, SeekFrom) -> std::io::Result<u64>;

/// What is known about a layer before it is read.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) expected: Expected,
    pub(super) position: Option<LayerPosition>,
    pub(super) stated_compression: Option<Format>,
    /// What the image says of the layer.
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

    /// The quirk of a layer whose compression is not the stated one.
    pub(super) fn compression_quirk(&self, found: Format) -> Option<Quirk> {
        let stated = self.stated_compression.filter(|&stated| stated != found)?;
        Some(Quirk::CompressionDiffers { stated: stated.name(), found: found.name() })
    }

    /// What a sink is told when the layer begins.
    pub(super) fn context<'a>(&'a self, terms: &'a Terms) -> LayerContext<'a> {
        let context = LayerContext::new(terms).with_expected(self.expected);
        let context = self.position.into_iter().fold(context, LayerContext::with_position);
        #[cfg(feature = "image")]
        let context = self.described.iter().fold(context, |context, layer| context.with_layer(layer));
        context
    }
}

/// A layer whose bytes can be had.
pub(super) struct Opened<S> {
    #[cfg_attr(
        not(feature = "image"),
        expect(dead_code, reason = "only layers of an image come without their caller")
    )]
    pub(super) about: About,
    #[cfg_attr(not(feature = "image"), expect(dead_code, reason = "as above"))]
    pub(super) blob_bytes: BlobBytes,
    pub(super) stream: S,
}

impl<R: Read> Layer<R> {
    /// A layer about which nothing is known: it is applied as it comes, and nothing proves that it is whole.
    pub fn new(reader: R) -> Self {
        let about = About {
            expected: Expected::unchecked(),
            position: None,
            stated_compression: None,
            #[cfg(feature = "image")]
            described: None,
            #[cfg(feature = "image")]
            refuses_images: false,
        };
        Self { reader, about, seek: None, told: OnAbandoned::default(), blob_bytes: BlobBytes::default() }
    }

    /// Sets a callback that is called when no more input is needed: at the end of the layer, or after a refusal.
    /// With [several jobs](crate::Unpacker::with_jobs) the layer is read on a separate thread, which may be blocked in the
    /// reader. The callback can wake the reader. Any error that the reader then returns is
    /// ignored.
    ///
    /// It is called on any thread, at most once. With a single thread it is not called.
    #[must_use]
    pub fn on_abandoned(mut self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        self.told = OnAbandoned(Some(Arc::new(tell)));
        self
    }

    /// Sets what is known of the layer: digest, size, diff ID. Everything that is set is compared.
    ///
    /// The layer is proven if [digest and size](Expected::blob) and the [diff ID](Expected::with_diff_id) are set. For a
    /// layer that has not all of them, [`Expected::blob_alone`] or [`Expected::with_diff_id_alone`] makes a proof.
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

    /// Sets the place in an image, and what the image says of the layer.
    #[cfg(feature = "image")]
    pub(super) fn of_image(mut self, position: LayerPosition, layer: &LayerDescriptor) -> Self {
        self.about.position = Some(position);
        self.about.stated_compression = layer.compression();
        self.about.described = Some(Arc::new(layer.clone()));
        self
    }

    /// Looks at its first bytes.
    pub(super) fn open(self, limits: &Limits) -> Result<Opened<LayerStream<Counted<R>>>, Error> {
        let Self { reader, about, blob_bytes, .. } = self;
        let reader = Counted::new(reader, blob_bytes.clone());
        let stream = LayerStream::open(reader, about.expected, limits).map_err(|error| error.at(about.position()))?;
        Ok(Opened { about, blob_bytes, stream })
    }
}

impl<R: Read + std::io::Seek> Layer<R> {
    /// Says that the reader can go back, to where it is now: where the layer is to be verified before the tree is
    /// touched, it is read twice then, and not kept meanwhile.
    ///
    /// Both times its size and digests are compared. Bytes that somebody changes between the two are found out after they
    /// were applied: the error says so, and what was applied stays. A file that others may write to is better copied, so
    /// leave it unsaid for one.
    #[must_use]
    pub fn seekable(mut self) -> Self {
        self.seek = Some(R::seek);
        self
    }
}
