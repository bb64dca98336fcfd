//! Where the content of each file of the layers is in an image that is being written.

use crate::erofs::Content;
use crate::output::{MergedTree, Node};
use crate::tree::Chunks;
use crate::words::Error;
use std::cmp::Ordering;

/// The content of files, by the entries that brought it.
#[derive(Debug, Default)]
pub(crate) struct Contents(Chunks<Written>);

/// The content of one entry.
#[derive(Debug, Clone, Copy)]
struct Written {
    layer: u32,
    entry: u32,
    content: Content,
}

impl Contents {
    /// Adds the content of an entry, which comes behind all entries so far.
    pub(crate) fn push(&mut self, (layer, entry): (usize, u64), content: Content) {
        // The limit on memory comes long before these numbers are too small.
        let (layer, entry) = (u32::try_from(layer).unwrap_or(u32::MAX), u32::try_from(entry).unwrap_or(u32::MAX));
        self.0.push(Written { layer, entry, content });
    }

    /// The blocks with content that no path of the tree has. `end` is the first block behind all content.
    pub(crate) fn dead_blocks(&self, tree: &MergedTree, end: u32) -> u64 {
        let mut is_live = vec![false; self.0.len()];
        for node in tree.iter() {
            if let Some(is_live) = self.find(node).and_then(|(index, _)| is_live.get_mut(index as usize)) {
                *is_live = true;
            }
        }
        let start = |index| self.0.get(index).map_or(end, |written| written.content.first_block());
        let dead = (0..).zip(is_live).filter(|(_, is_live)| !is_live);
        // The content was written in this order.
        dead.map(|(index, _)| u64::from(start(index + 1).saturating_sub(start(index)))).sum()
    }

    /// The content of a file.
    ///
    /// # Errors
    ///
    /// It was not written.
    pub(crate) fn get(&self, node: Node<'_>) -> Result<Content, Error> {
        if node.size() == 0 {
            return Ok(Content::default());
        }
        self.find(node).map(|(_, content)| content).ok_or(Error::bug("the content of a file was not written"))
    }

    fn find(&self, node: Node<'_>) -> Option<(u32, Content)> {
        let wanted = (node.content_layer() as u64, node.content_entry()?);
        let (mut low, mut high) = (0, self.0.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            let &Written { layer, entry, content } = self.0.get(middle)?;
            match (u64::from(layer), u64::from(entry)).cmp(&wanted) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some((middle, content)),
            }
        }
        None
    }
}
