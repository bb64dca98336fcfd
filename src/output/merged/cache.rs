//! The cache for the content of files.

use super::node::Node;
use super::store::ContentStore;
use crate::cage::{Scratch, growing_file, has_room};
use crate::output::content_file::{ContentFile, ContentWriter, NotAdded};
use crate::output::data::Data;
use crate::output::sink_error::SinkError;
use crate::words::{EntryPath, Error};
use std::fmt;
use std::sync::Arc;

/// After so many bytes, the free space is checked again.
const CHECKED_EACH: u64 = 16 << 20;

/// Keeps the content of files in a temporary file while layers are merged, so that no layer has to be read again for it.
///
/// The [`MergedTree`](crate::MergedTree) owns what is kept. [`Session::export_tar`](crate::Session::export_tar),
/// [`Session::replay`](crate::Session::replay), [`Session::unpack_part`](crate::Session::unpack_part) and
/// [`MergedTree::read_files`](crate::MergedTree::read_files) take content from there, and give the same results as without
/// it. A tree exists only if all its layers were verified, and so content that is kept was verified.
///
/// The cache holds the content of hidden files, too, since it is written before the upper layers are read. Holes take no
/// space.
///
/// A cache never makes a merge fail. It is dropped as a whole, and its space is free again, if the file cannot be created
/// or written, if the process has a limit for the size of files, if the cache would grow beyond
/// [`ContentCache::with_most_bytes`], or if the free space of its file system would fall below the size of the cache plus 1
/// GiB. So an output on the same file system has room for the same content. Without the cache, content is read from the
/// layers again.
///
/// ```no_run
/// # use layercage::{Image, Policy, Scratch, Selector, Unpacker};
/// # use layercage::merged::ContentCache;
/// # fn main() -> Result<(), layercage::Error> {
/// # let image = Image::open_ambient("app.oci.tar", cap_std::ambient_authority())?;
/// # let selected = image.select(&Selector::host())?;
/// # let directory = cap_std::fs::Dir::open_ambient_dir("/tmp", cap_std::ambient_authority()).unwrap();
/// let mut session = Unpacker::new(Policy::default()).session();
/// let cache = ContentCache::new(Scratch::beneath(&directory)?).with_most_bytes(4 << 30);
/// let tree = session.merge_cached(&selected, cache)?;
/// session.export_tar(&tree.whole(), &selected, std::io::stdout())?; // no layer is read again
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ContentCache {
    scratch: Scratch,
    most_bytes: u64,
    /// Which files are kept; all without it.
    keeps: Option<Keeps>,
}

type Keeps = Arc<dyn Fn(&EntryPath) -> bool + Send + Sync>;

impl ContentCache {
    /// Keeps content in a file of `scratch`. It is created when it is needed.
    pub fn new(scratch: Scratch) -> Self {
        Self { scratch, most_bytes: u64::MAX, keeps: None }
    }

    /// Sets how many bytes are kept at most. By default, **only the free space** limits them.
    #[must_use]
    pub fn with_most_bytes(self, bytes: u64) -> Self {
        Self { most_bytes: bytes, ..self }
    }

    /// Keeps only files for whose paths `keeps` returns true. **All** by default.
    ///
    /// The path is that at which a layer adds the file, with all links on the way resolved. If another path of the tree
    /// is wanted later, a hard link for instance, its content is read from the layer again.
    #[must_use]
    pub fn with_paths(self, keeps: impl Fn(&EntryPath) -> bool + Send + Sync + 'static) -> Self {
        Self { keeps: Some(Arc::new(keeps)), ..self }
    }

    fn keeps(&self, file: Node<'_>) -> bool {
        self.keeps.as_ref().is_none_or(|keeps| keeps(&file.path()))
    }
}

impl fmt::Debug for ContentCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentCache").field("most_bytes", &self.most_bytes).finish_non_exhaustive()
    }
}

/// A cache that is filled.
#[derive(Debug, Default)]
pub(super) enum Filling {
    /// There is no cache, or it was dropped.
    #[default]
    Nothing,
    /// The file is not created yet.
    Planned(ContentCache),
    Open {
        cache: ContentCache,
        writer: ContentWriter,
        /// How many bytes it had when the free space was checked.
        checked: u64,
    },
}

impl Filling {
    /// Returns what was kept. Nothing, if that cannot be written.
    pub(super) fn finish(self) -> Option<ContentFile> {
        match self {
            Self::Open { writer, .. } => writer.finish().ok(),
            Self::Nothing | Self::Planned(_) => None,
        }
    }

    /// Creates the file, if it is needed for the first time.
    fn open(&mut self) -> Result<(), Error> {
        *self = match std::mem::take(self) {
            Self::Planned(cache) => {
                let writer = ContentWriter::new(growing_file(&cache.scratch)?);
                Self::Open { cache, writer, checked: 0 }
            }
            other => other,
        };
        Ok(())
    }
}

impl ContentStore for Filling {
    fn store(&mut self, file: Node<'_>, data: &mut Data<'_>) -> Result<Option<u64>, SinkError> {
        let (Self::Planned(cache) | Self::Open { cache, .. }) = self else { return Ok(None) };
        if !cache.keeps(file) || self.open().is_err() {
            return Ok(None);
        }
        let Self::Open { cache, writer, checked } = self else { return Ok(None) };
        let bytes = writer.bytes().saturating_add(data.stored_bytes());
        let is_checked = bytes.saturating_sub(*checked) < CHECKED_EACH && *checked > 0;
        // What is not written yet, and as much as all of it for an output.
        let needed = bytes.saturating_mul(2).saturating_sub(writer.bytes());
        if bytes > cache.most_bytes || !(is_checked || has_room(writer.file(), needed)) {
            *self = Self::Nothing;
            return Ok(None);
        }
        if !is_checked {
            *checked = bytes;
        }
        match writer.add(data) {
            Ok(place) => Ok(Some(place)),
            Err(NotAdded::Unread(error)) => Err(error.into()),
            Err(NotAdded::Unwritten(_)) => {
                *self = Self::Nothing;
                Ok(None)
            }
        }
    }
}
