//! Where the content of the files of one layer is in the image of that layer.

use super::contents::write;
use crate::erofs::{Content, Writer};
use crate::output::data::Data;
use crate::output::sink_error::SinkError;
use crate::output::{ContentStore, Node};
use crate::tree::Chunks;
use crate::words::Error;
use std::collections::HashMap;

/// The content of the files of a layer. It is written while the layer is applied, if there is a writer.
#[derive(Debug)]
pub(crate) struct LayerFiles<'w, 'f> {
    writer: Option<&'w mut Writer<'f>>,
    contents: LayerContents,
}

/// The content of files, by their inodes in the tree of all layers.
#[derive(Debug)]
pub(crate) struct LayerContents {
    /// The first inode of the layer. That of a file of a lower layer is smaller.
    first: u32,
    own: Chunks<Content>,
    copied: HashMap<u32, Content>,
}

impl<'w, 'f> LayerFiles<'w, 'f> {
    /// No content yet. `first` is the first inode of the layer.
    pub(crate) fn new(writer: Option<&'w mut Writer<'f>>, first: u32) -> Self {
        Self { writer, contents: LayerContents { first, own: Chunks::default(), copied: HashMap::new() } }
    }

    pub(crate) fn into_contents(self) -> LayerContents {
        self.contents
    }
}

impl ContentStore for LayerFiles<'_, '_> {
    fn store(&mut self, file: Node<'_>, data: &mut Data<'_>) -> Result<Option<u64>, SinkError> {
        if let Some(writer) = &mut self.writer {
            self.contents.write(writer, file.inode(), data)?;
        }
        // The contents know the place.
        Ok(None)
    }
}

impl LayerContents {
    /// Writes the content of a file.
    pub(crate) fn write(&mut self, writer: &mut Writer<'_>, inode: u32, data: &mut Data<'_>) -> Result<(), Error> {
        let content = write(writer, data)?;
        match inode.checked_sub(self.first) {
            Some(own) => self.own.set(own, content, Content::default()),
            None => drop(self.copied.insert(inode, content)),
        }
        Ok(())
    }

    /// Bytes of memory when so many files more are written.
    pub(crate) fn bytes_with(&self, more: u64) -> u64 {
        let files = (self.own.len() + self.copied.capacity()) as u64 + more;
        files.saturating_mul(2 * size_of::<u32>() as u64 + size_of::<Content>() as u64)
    }

    /// The content of a file of this size; `None` if it was not written.
    pub(super) fn get(&self, inode: u32, size: u64) -> Option<Content> {
        let content = match inode.checked_sub(self.first) {
            Some(own) => self.own.get(own),
            None => self.copied.get(&inode),
        };
        Some(content.copied().unwrap_or_default()).filter(|content| content.size() == size)
    }
}
