//! Where the content of each file of the layers is in an image that is being written.

use crate::erofs::{Content, Writer};
use crate::output::data::Data;
use crate::output::{MergedTree, Node};
use crate::tree::Chunks;
use crate::words::Error;

/// The content of files, by inode. That of an inode without content is empty.
#[derive(Debug, Default)]
pub(crate) struct Contents(Chunks<Content>);

impl Contents {
    /// Writes the content of a file.
    pub(crate) fn write(&mut self, writer: &mut Writer<'_>, file: Node<'_>, data: &mut Data<'_>) -> Result<(), Error> {
        self.0.set(file.inode(), write(writer, data)?, Content::default());
        Ok(())
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> u64 {
        (self.0.len() * size_of::<Content>()) as u64
    }

    /// The blocks with content that no path of the tree has. `end` is the first block behind all content.
    pub(crate) fn dead_blocks(&self, tree: &MergedTree, end: u32) -> u64 {
        let mut is_live = vec![false; self.0.len()];
        for node in tree.iter() {
            if let Some(is_live) = is_live.get_mut(node.inode() as usize) {
                *is_live = true;
            }
        }
        let (mut dead, mut behind) = (0, end);
        // While layers were merged, content was written in the order of inodes.
        for (inode, is_live) in (0..self.0.len() as u32).zip(is_live).rev() {
            if let Some(content) = self.0.get(inode).filter(|content| content.size() > 0) {
                let start = content.first_block();
                dead += if is_live { 0 } else { u64::from(behind.saturating_sub(start)) };
                behind = start;
            }
        }
        dead
    }

    /// The content of a file.
    ///
    /// # Errors
    ///
    /// It was not written.
    pub(crate) fn get(&self, node: Node<'_>) -> Result<Content, Error> {
        let content = self.0.get(node.inode()).copied().unwrap_or_default();
        match content.size() == node.size() {
            true => Ok(content),
            false => Err(Error::bug("the content of a file was not written")),
        }
    }
}

/// Writes the content of a file to an image.
pub(super) fn write(writer: &mut Writer<'_>, data: &mut Data<'_>) -> Result<Content, Error> {
    let map = data.map().cloned();
    writer.write_file(data.size(), map.as_ref(), data.stored())
}
