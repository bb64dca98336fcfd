//! A layer to be applied: where its bytes come from, and what is known about them beforehand.

use crate::read::{Expected, Format, LayerStream, Unwanted};
use crate::words::{Digest, Error, LayerPosition, Limits, Position};
use std::fmt;
use std::io::{Read, SeekFrom};
use std::sync::Arc;

/// A layer to be applied: where its bytes come from, and what is known about them beforehand.
///
/// The bytes may be a plain tar, or one compressed with gzip or zstd: what they are is seen from them.
///
/// An error of the reader ends the layer and is the [source](crate::Error) of what is returned. Where a digest, size or
/// diff ID is given, the reader is read to its end behind a refusal too: one that verifies what it downloads, and fails at
/// the end, is to blame then, and not the archive.
#[derive(Debug)]
pub struct Layer<R> {
    pub(super) reader: R,
    pub(super) about: About,
    /// How to go back to its first byte, where the reader can.
    pub(super) seek: Option<Seek<R>>,
    pub(super) told: Told,
}

/// Who is told when nobody wants more of a layer.
#[derive(Clone, Default)]
pub(super) struct Told(pub(super) Unwanted);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Told" } else { "Nobody" })
    }
}

/// [`std::io::Seek::seek`] of a reader that has it.
pub(super) type Seek<R> = fn(&mut R, SeekFrom) -> std::io::Result<u64>;

/// What is known about a layer before it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) expected: Expected,
    pub(super) position: Option<LayerPosition>,
    pub(super) stated_compression: Option<Format>,
    /// Whether it is refused when it turns out to be the archive of an image.
    #[cfg(feature = "image")]
    pub(super) refuses_images: bool,
}

impl About {
    pub(super) fn position(&self) -> Position {
        Position { layer: self.position, ..Position::default() }
    }
}

/// A layer whose bytes can be had.
pub(super) struct Opened<S> {
    #[cfg_attr(
        not(feature = "image"),
        expect(dead_code, reason = "only layers of an image come without their caller")
    )]
    pub(super) about: About,
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
            refuses_images: false,
        };
        Self { reader, about, seek: None, told: Told::default() }
    }

    /// Has `tell` called when nobody wants more of the layer's bytes, at its end or when something has refused them:
    /// where [`Unpacker::apply_side_by_side`](crate::Unpacker::apply_side_by_side) reads it on a thread of its own, that may wait for bytes which are long in
    /// coming, and is waited for. What it is told can have the reader answer, with an error say, that nobody sees.
    ///
    /// It is called on any thread, once at most. Where one thread does it all nobody has to be told.
    #[must_use]
    pub fn tell_when_unwanted(mut self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        self.told = Told(Some(Arc::new(tell)));
        self
    }

    /// The digest and the size in bytes of the blob, as its descriptor has them.
    #[must_use]
    pub fn blob(self, digest: Digest, size: u64) -> Self {
        self.digest(digest).size(size)
    }

    /// The digest of the blob.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.about.expected = self.about.expected.with_digest(digest);
        self
    }

    /// The size of the blob in bytes.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.about.expected = self.about.expected.with_size(size);
        self
    }

    /// The digest of the uncompressed layer, as the image's configuration has it.
    #[must_use]
    pub fn diff_id(mut self, diff_id: Digest) -> Self {
        self.about.expected = self.about.expected.with_diff_id(diff_id);
        self
    }

    /// The digest of the uncompressed layer, of an image that names its layers by nothing else: a proof comes of
    /// it alone. See [`Expected::with_diff_id_alone`].
    #[must_use]
    pub fn diff_id_alone(mut self, diff_id: Digest) -> Self {
        self.about.expected = self.about.expected.with_diff_id_alone(diff_id);
        self
    }

    /// Refuses the archive of an image that is given by mistake, when its first member shows what it is.
    ///
    /// [`What`](crate::What) says what makes an archive one. Here the name of a single blob is enough, since `docker
    /// save` writes gigabytes of blobs before anything else. What came before that member is applied. A real layer may
    /// have such names, too, so leave this unsaid for one that an image or a digest names.
    ///
    /// [`Unpacker::apply`](crate::Unpacker::apply) then fails with
    /// [`Misuse::ImageAsLayer`](crate::Misuse::ImageAsLayer).
    #[cfg(feature = "image")]
    #[must_use]
    pub fn refuse_images(mut self) -> Self {
        self.about.refuses_images = true;
        self
    }

    /// Its place in an image, and how its media type says it is compressed.
    #[cfg(feature = "image")]
    pub(super) fn numbered(mut self, position: Option<LayerPosition>, stated: Option<Format>) -> Self {
        (self.about.position, self.about.stated_compression) = (position, stated);
        self
    }

    /// Looks at its first bytes.
    pub(super) fn open(self, limits: &Limits) -> Result<Opened<LayerStream<R>>, Error> {
        let Self { reader, about, .. } = self;
        let stream = LayerStream::open(reader, about.expected, limits).map_err(|fault| fault.at(about.position()))?;
        Ok(Opened { about, stream })
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
