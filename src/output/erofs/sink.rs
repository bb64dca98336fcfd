//! The sink that merges layers, and writes the content of files to an EROFS image meanwhile.

use super::contents::Contents;
use crate::erofs::{Writer, is_possible};
use crate::output::context::LayerContext;
use crate::output::data::Data;
use crate::output::sink::{Sink, Visibility};
use crate::output::sink_error::SinkError;
use crate::output::{ContentStore, MergedTree, Node, StoringMerger};
use crate::plan::{Judged, Reporter, lacks_xattr};
use crate::read::Checked;
use crate::words::{Change, ChangeKind, Effect, Error, Metadata, Xattr, is_overlay_attribute};
use std::io;

/// Merges layers, and takes the attributes away that an image cannot have. It also writes their content, whether an upper
/// layer hides it or not, or measures it.
///
/// The content is written before its layer is verified. So the tree, without which the content means nothing, may only be
/// written after all layers.
pub(crate) struct ErofsSink<S> {
    merger: StoringMerger<S>,
    /// Which attributes an image can have.
    can_have: fn(&Xattr) -> bool,
}

/// The content of an image.
pub(crate) enum ImageContent<'w, 'f> {
    /// It is written to an image, and here is where it is.
    Written(&'w mut Writer<'f>, Contents),
    /// It is not written. So many bytes would be.
    Measured(&'w Writer<'f>, u64),
}

impl<'w, 'f> ImageContent<'w, 'f> {
    pub(crate) fn written(writer: &'w mut Writer<'f>) -> Self {
        Self::Written(writer, Contents::default())
    }

    pub(crate) fn measured(writer: &'w Writer<'f>) -> Self {
        Self::Measured(writer, 0)
    }

    /// Where the content is.
    pub(crate) fn into_contents(self) -> Contents {
        match self {
            Self::Written(_, contents) => contents,
            Self::Measured(..) => Contents::default(),
        }
    }

    /// How many bytes of an image it would be, if it is not written.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Written(..) => 0,
            Self::Measured(_, bytes) => *bytes,
        }
    }
}

impl ContentStore for ImageContent<'_, '_> {
    fn store(&mut self, file: Node<'_>, data: &mut Data<'_>) -> Result<Option<u64>, SinkError> {
        match self {
            Self::Written(writer, contents) => contents.write(writer, file, data)?,
            Self::Measured(writer, bytes) => {
                *bytes = bytes.saturating_add(writer.block_bytes_of(data.size(), data.map()));
            }
        }
        // The contents know the place.
        Ok(None)
    }
}

impl<'w, 'f> ErofsSink<ImageContent<'w, 'f>> {
    pub(crate) fn new(content: ImageContent<'w, 'f>) -> Self {
        Self { merger: StoringMerger::new(content), can_have: is_possible }
    }

    /// The tree, and its content.
    pub(crate) fn into_parts(self) -> Result<(MergedTree, ImageContent<'w, 'f>), Error> {
        self.merger.into_parts()
    }
}

impl<S> ErofsSink<S> {
    /// A sink for the next layer of an overlay. Such a layer never brings attributes of overlayfs.
    pub(crate) fn of_layer(merger: StoringMerger<S>) -> Self {
        Self { merger, can_have: |xattr| is_possible(xattr) && !is_overlay_attribute(&xattr.name) }
    }

    pub(crate) fn into_merger(self) -> StoringMerger<S> {
        self.merger
    }
}

impl<S: ContentStore> Sink for ErofsSink<S> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.merger.begin_layer(layer)
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        data.check_whole(change.get())?;
        let mut impossible = Vec::new();
        let change = change.map(|change| without_impossible(change, self.can_have, &mut impossible));
        for Xattr { name, .. } in impossible {
            let is_reserved = is_overlay_attribute(&name);
            let why = if is_reserved { io::ErrorKind::PermissionDenied } else { io::ErrorKind::Unsupported };
            lacks_xattr(reporter, &name, why.into())?;
        }
        self.merger.change(change, data, reporter)
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.merger.end_layer(checked)
    }

    fn abandon_layer(&mut self) -> Effect {
        self.merger.abandon_layer()
    }

    fn visibility(&self) -> Visibility {
        self.merger.visibility()
    }
}

/// Takes the attributes away that an image cannot have, as a file system on disk refuses to set them.
fn without_impossible(mut change: Change, can_have: fn(&Xattr) -> bool, impossible: &mut Vec<Xattr>) -> Change {
    if let Some(metadata) = metadata_mut(&mut change.kind)
        && !metadata.xattrs.iter().all(can_have)
    {
        let (possible, others) = std::mem::take(&mut metadata.xattrs).into_iter().partition(can_have);
        (metadata.xattrs, *impossible) = (possible, others);
    }
    change
}

fn metadata_mut(change: &mut ChangeKind) -> Option<&mut Metadata> {
    match change {
        ChangeKind::Directory(metadata)
        | ChangeKind::Fifo(metadata)
        | ChangeKind::File { metadata, .. }
        | ChangeKind::PseudoLink { metadata, .. }
        | ChangeKind::Symlink { metadata, .. }
        | ChangeKind::Device { metadata, .. } => Some(metadata),
        // The attributes of a hard link are not applied.
        ChangeKind::HardLink { .. } | ChangeKind::Skipped(_) | ChangeKind::Whiteout | ChangeKind::OpaqueWhiteout => {
            None
        }
    }
}
