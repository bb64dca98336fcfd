//! A layer of an overlay: the sink that makes an upper directory over lower ones.

use super::context::LayerContext;
use super::data::Data;
use super::sink::{Sink, Visibility};
use super::sink_error::SinkError;
use super::tree_sink::{Home, TreeSink};
use crate::cage::{Cage, Exposure, LaterLowers, LowerStack, Lowers, OverlayTree, may_set_trusted};
use crate::plan::{Judged, Reporter};
use crate::read::Checked;
#[cfg(feature = "image")]
use crate::words::Skippable;
use crate::words::{Change, Effect, Error, OverlayFormat, OverlayNamespace, Whiteouts};
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

/// The upper directory of an overlay, to which one layer is applied: overlayfs merges it with the lower directories into
/// the same file system that a [`Rootfs`](crate::Rootfs) would have.
///
/// Nothing outside of the upper directory is written, and nothing outside of the lower directories is read. The lower ones
/// may come from another engine: whiteouts of either kind and opaque directories are understood. A renamed directory
/// (`redirect_dir`) or a file without its data (`metacopy`) is refused when a name leads to it
/// ([`Misuse::UnsupportedLower`](crate::error::Misuse::UnsupportedLower)): only the options of a mount say what it shows.
///
/// The caller must not use the upper directory before the layer has ended. If the layer fails, remove it: it may have
/// content that was never verified.
///
/// One layer over the directories of those below it:
///
/// ```
/// # use layercage::{Digest, Error, Policy, blob::Algorithm};
/// # use std::io::Read;
/// use cap_std::fs::Dir;
/// use layercage::overlay::{Overlay, OverlayFormat};
/// use layercage::{Expected, Layer, Unpacker};
///
/// /// Returns the diff ID of the layer.
/// # fn apply(blob: impl Read + Send, digest: Digest, size: u64, upper: &Dir, lowers: &[Dir]) -> Result<Digest, Error> {
/// let mut overlay = Overlay::over(upper, lowers, OverlayFormat::possible(upper)?)?;
/// let layer = Layer::new(blob).expecting(Expected::blob(digest, size).compute_diff_id(Algorithm::Sha256));
/// let mut session = Unpacker::new(Policy::default()).with_jobs(2.try_into().unwrap()).session();
/// let applied = session.apply(layer, &mut overlay)?; // an error means: remove `upper`
/// println!("{} entries", applied.report().entries);
/// # Ok(applied.checked().diff_id().unwrap())
/// # }
/// # let directory = tempfile::tempdir()?;
/// # let place = Dir::open_ambient_dir(directory.path(), cap_std::ambient_authority())?;
/// # for name in ["upper", "lower"] { place.create_dir(name)?; }
/// # place.create_dir("lower/d")?;
/// # place.write("lower/d/file", "of a lower layer")?;
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_size(0);
/// # header.set_mode(0o644);
/// # archive.append_data(&mut header, "d/.wh.file", &b""[..])?;
/// # let archive = archive.into_inner()?;
/// # let expected = Expected::unchecked().compute_diff_id(Algorithm::Sha256);
/// # let stream = layercage::blob::LayerStream::open(&archive[..], expected, &layercage::Limits::default())?;
/// # let digest = stream.finish()?.diff_id().unwrap();
/// # let (upper, lowers) = (place.open_dir("upper")?, [place.open_dir("lower")?]);
/// # assert_eq!(apply(&archive[..], digest, archive.len() as u64, &upper, &lowers)?, digest);
/// # assert!(upper.symlink_metadata("d/file").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An observer set with [`Session::with_progress`](crate::Session::with_progress) can cancel the work, and
/// [`Unpacker::with_limits`](crate::Unpacker::with_limits) sets its limits. With
/// [`Durability::Synced`](crate::policy::Durability::Synced), the layer is on the disk when it has ended.
#[derive(Debug)]
pub struct Overlay(TreeSink<OverlayTree>);

impl Overlay {
    /// The upper directory `upper`, which is empty, over lower directories, the top one first, as the mount option
    /// `lowerdir` lists them. Each is a `cap_std::fs::Dir`, or any other handle of an open directory.
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn over<L: AsFd>(
        upper: impl AsFd,
        lowers: impl IntoIterator<Item = L, IntoIter: DoubleEndedIterator>,
        format: OverlayFormat,
    ) -> Result<Self, Error> {
        let mut stack = LowerStack::default();
        lowers.into_iter().rev().try_for_each(|lower| stack.push(lower.as_fd()))?;
        Self::new(upper, Lowers::Known(stack), format)
    }

    /// The upper directory `upper`, which is empty, over lower directories that are not at hand.
    ///
    /// A whiteout is written whether or not lower layers have anything at its path. If no lower layer has its directory, a
    /// mount lists the whiteout as an entry that cannot be read. A layer that needs a lower one is refused
    /// ([`Misuse::LowerNeeded`](crate::error::Misuse::LowerNeeded)): one with a path whose parents it does not list, with a
    /// hard link to a lower file, or with an opaque root.
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn over_unknown(upper: impl AsFd, format: OverlayFormat) -> Result<Self, Error> {
        Self::new(upper, Lowers::Unknown, format)
    }

    /// The upper directory `upper`, which is empty, over lower directories that may not be complete yet: layers of one
    /// image can be applied side by side.
    ///
    /// `lowers` is called at most once, on the thread that applies the layer, when a lower directory is needed: for the
    /// cases that [`Overlay::over_unknown`] refuses, and at the end of a layer that does not list its root, for the
    /// attributes of the root. For whiteouts it is not called: they are written as by [`Overlay::over_unknown`]. The
    /// closure must wait until all layers below are applied, and return their directories, the top one first. Its error, an
    /// `io::Error` for instance, is the error of the layer. Do not let two layers wait for each other.
    ///
    /// ```
    /// # use layercage::{Error, Layer, Policy, Unpacker};
    /// # use layercage::overlay::{Overlay, OverlayFormat};
    /// # use std::{fs::File, io::Read, os::fd::OwnedFd};
    /// # fn side_by_side(lower: impl Read + Send + 'static, upper: impl Read + Send, dirs: [File; 2]) -> Result<(), Error> {
    /// let [lower_dir, upper_dir] = dirs;
    /// let format = OverlayFormat::possible(&lower_dir)?;
    /// let below = std::thread::spawn(move || {
    ///     let mut overlay = Overlay::over(&lower_dir, <[File; 0]>::default(), format)?;
    ///     Unpacker::new(Policy::default()).apply(Layer::new(lower), &mut overlay)?;
    ///     Ok::<_, Error>(vec![OwnedFd::from(lower_dir)])
    /// });
    /// let lowers = move || Ok(below.join().unwrap()?);
    /// let mut overlay = Overlay::over_later(&upper_dir, lowers, format)?;
    /// Unpacker::new(Policy::default()).apply(Layer::new(upper), &mut overlay)?;
    /// # Ok(())
    /// # }
    /// # let place = tempfile::tempdir()?;
    /// # let dirs = ["lower", "upper"].map(|name| {
    /// #     std::fs::create_dir(place.path().join(name)).unwrap();
    /// #     File::open(place.path().join(name)).unwrap()
    /// # });
    /// # let mut archive = tar::Builder::new(Vec::new());
    /// # let mut header = tar::Header::new_gnu();
    /// # header.set_size(0);
    /// # header.set_mode(0o644);
    /// # archive.append_data(&mut header, "d/file", &b""[..])?;
    /// # let archive = archive.into_inner()?;
    /// # side_by_side(std::io::Cursor::new(archive.clone()), &archive[..], dirs)?;
    /// # assert!(place.path().join("upper/d/file").exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn over_later(
        upper: impl AsFd,
        lowers: impl FnOnce() -> Result<Vec<OwnedFd>, SinkError> + Send + 'static,
        format: OverlayFormat,
    ) -> Result<Self, Error> {
        Self::new(upper, Lowers::Later(LaterLowers::new(|| lowers().map_err(SinkError::into_error))), format)
    }

    /// The upper directory `upper`, which is empty, for the next layer of the same image. The layer that was applied is
    /// its top lower one.
    ///
    /// It goes on counting what limits an image, and knows which devices and pipes were skipped in lower layers: hard links
    /// to them are skipped, too. A new value over the same directories does not.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`](crate::error::Misuse::Poisoned) after a layer that failed or has not ended; a system error.
    pub fn next(self, upper: impl AsFd) -> Result<Self, Error> {
        let cage = Cage::over(upper.as_fd(), Exposure::Staged)?;
        self.0.with_tree(|tree| tree.next(Vec::new(), cage)).map(Self)
    }

    fn new(upper: impl AsFd, lowers: Lowers, format: OverlayFormat) -> Result<Self, Error> {
        let cage = Cage::over(upper.as_fd(), Exposure::Staged)?;
        Ok(Self(TreeSink::new(OverlayTree::over(cage, lowers, format), Home::Empty)))
    }
}

/// The layers of one image, which are made or found one after another.
#[cfg(feature = "image")]
#[derive(Debug)]
pub(crate) struct OverlayLayers {
    format: OverlayFormat,
    /// The layer that was made last.
    last: Option<Overlay>,
    /// The layers that were found since, the lowest first.
    found: Vec<OwnedFd>,
    /// What was skipped in these layers and all below them, if any was found.
    skipped: Option<Vec<(Box<[u8]>, Skippable)>>,
}

#[cfg(feature = "image")]
impl OverlayLayers {
    pub(crate) fn new(format: OverlayFormat) -> Self {
        Self { format, last: None, found: Vec::new(), skipped: None }
    }

    /// Adds a layer that was found, on top of the others.
    pub(crate) fn add(&mut self, layer: OwnedFd, skipped: Vec<(Box<[u8]>, Skippable)>) {
        self.found.push(layer);
        self.skipped = Some(skipped);
    }

    /// The sink for the next layer, on top of the others.
    pub(crate) fn next(&mut self, cage: Cage) -> Result<&mut Overlay, Error> {
        let found = std::mem::take(&mut self.found);
        let mut next = match self.last.take() {
            Some(Overlay(last)) => Overlay(last.with_tree(|tree| tree.next(found, cage))?),
            None => {
                let mut stack = LowerStack::default();
                found.iter().try_for_each(|layer| stack.push(layer.as_fd()))?;
                let tree = OverlayTree::over(cage, Lowers::Known(stack), self.format);
                Overlay(TreeSink::new(tree, Home::Staged))
            }
        };
        if let Some(skipped) = self.skipped.take() {
            next.0.skipped_mut().replace_all(skipped);
        }
        Ok(self.last.insert(next))
    }
}

#[cfg(feature = "image")]
impl Overlay {
    /// What was skipped in this layer and those below it.
    pub(crate) fn skipped(&mut self) -> Vec<(Box<[u8]>, Skippable)> {
        self.0.skipped_mut().entries().map(|(path, skippable)| (path.into(), skippable)).collect()
    }

    /// Gives what is still open its mode and time.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        self.0.settle()
    }
}

impl OverlayFormat {
    /// The format that the privileges of the caller allow for layers in this directory: `trusted` attributes and device
    /// whiteouts for root outside of a user namespace, otherwise `user` attributes and whiteouts as attributes.
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn possible(directory: impl AsFd) -> Result<Self, Error> {
        Ok(match may_set_trusted(directory.as_fd())? {
            true => Self::ORDINARY,
            false => Self { whiteouts: Whiteouts::Xattr, namespace: OverlayNamespace::User },
        })
    }
}

super::tree_sink::sink_around_tree!(Overlay);
