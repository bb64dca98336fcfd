//! The sink that merges layers, and writes the content of files to an EROFS image meanwhile.

use super::contents::Contents;
use crate::erofs::{Content, Writer, is_possible};
use crate::output::context::LayerContext;
use crate::output::data::Data;
use crate::output::sink::{Sink, Visibility};
use crate::output::sink_error::SinkError;
use crate::output::{MergedTree, Merger};
use crate::plan::{Judged, Reporter, lacks_xattr};
use crate::read::Checked;
use crate::words::{Change, ChangeKind, Effect, Error, Metadata, Xattr};
use std::io;

/// Merges layers. With a writer, it also writes their content, whether an upper layer hides it or not.
///
/// The content is written before its layer is verified. So the tree, without which the content means nothing, may only be
/// written after all layers.
pub(crate) struct ErofsSink<'w, 'f> {
    merger: Merger,
    writer: Option<&'w mut Writer<'f>>,
    contents: Contents,
    layer: usize,
}

impl<'w, 'f> ErofsSink<'w, 'f> {
    pub(crate) fn new(writer: Option<&'w mut Writer<'f>>) -> Self {
        Self { merger: Merger::new(), writer, contents: Contents::default(), layer: 0 }
    }

    /// The tree, and where the content is.
    pub(crate) fn into_parts(self) -> Result<(MergedTree, Contents), Error> {
        Ok((self.merger.into_tree()?, self.contents))
    }

    fn write_content(&mut self, change: &Change, data: &mut Data<'_>, entry: Option<u64>) -> Result<(), SinkError> {
        let (ChangeKind::File { size, sparse, .. } | ChangeKind::PseudoLink { size, sparse, .. }) = &change.kind else {
            return Ok(());
        };
        let Some(writer) = self.writer.as_mut().filter(|_| *size > 0) else { return Ok(()) };
        let content: Content = writer.write_file(*size, sparse.as_ref(), data.stored())?;
        self.contents.push((self.layer, entry.unwrap_or_default()), content);
        Ok(())
    }
}

impl Sink for ErofsSink<'_, '_> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.layer += 1;
        self.merger.begin_layer(layer)
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        data.check_whole(change.get())?;
        let mut impossible = Vec::new();
        let change = change.map(|change| without_impossible(change, &mut impossible));
        for Xattr { name, .. } in impossible {
            lacks_xattr(reporter, &name, io::ErrorKind::Unsupported.into())?;
        }
        let entry = reporter.position().entry;
        self.write_content(change.get(), &mut data, entry)?;
        self.merger.change(change, data, reporter)
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.merger.end_layer(checked)
    }

    fn abandon_layer(&mut self) -> Effect {
        self.merger.abandon_layer()
    }

    fn visibility(&self) -> Visibility {
        Visibility::AtCommit
    }
}

/// Takes the attributes away that an image cannot have, as a file system on disk refuses to set them.
fn without_impossible(mut change: Change, impossible: &mut Vec<Xattr>) -> Change {
    if let Some(metadata) = metadata_mut(&mut change.kind)
        && !metadata.xattrs.iter().all(is_possible)
    {
        let (possible, others) = std::mem::take(&mut metadata.xattrs).into_iter().partition(is_possible);
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
