//! Where inodes and the data of directories go.

use super::content::{Content, Form as ContentForm, WriterId};
use super::directory::measure;
use super::format::{DataLayout, Form, SLOT};
use super::options::Options;
use super::tree::{Attributes, NodeKind, Tree};
use super::walk::Slots;
use super::xattrs::Shared;
use crate::words::{Error, Escaped, Misuse};

/// The shape of an inode: what decides where it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) form: Form,
    pub(super) layout: DataLayout,
    pub(super) xattrs: usize,
    pub(super) size: u64,
    pub(super) links: u32,
    /// Bytes behind the inode and its attributes: the rest of the data, or the map of chunks.
    pub(super) behind: u64,
    /// Blocks of data that the writer itself makes: of a directory, or of a symbolic link.
    pub(super) blocks: u64,
}

/// Finds the shapes of inodes.
#[derive(Debug)]
pub(super) struct Shapes<'s, 't> {
    pub(super) options: &'s Options,
    pub(super) shared: &'s Shared<'t>,
    pub(super) writer: WriterId,
}

impl<'t> Shapes<'_, 't> {
    pub(super) fn of<T: Tree>(&self, tree: &'t T, node: T::Node) -> Result<Shape, Error> {
        let attributes = tree.attributes(node);
        match tree.kind(node) {
            NodeKind::Directory => {
                let extent = measure(tree, node, self.block() as usize)?;
                let links = extent.subdirectories.saturating_add(2);
                Ok(self.of_data(&attributes, links, extent.size))
            }
            NodeKind::Symlink(target) => {
                if target.is_empty() || target.len() > 4095 || target.contains(&0) {
                    return Err(Misuse::ImpossibleTarget.into());
                }
                Ok(self.of_data(&attributes, tree.link_count(node), target.len() as u64))
            }
            NodeKind::File(content) if !content.is_of(self.writer) => {
                Err(Misuse::OtherWriter { name: Escaped::new(tree.name(node)) }.into())
            }
            NodeKind::File(content) => Ok(self.of_file(&attributes, tree.link_count(node), content)),
            NodeKind::Fifo | NodeKind::Device(_) => Ok(self.of_data(&attributes, tree.link_count(node), 0)),
        }
    }

    fn block(&self) -> u64 {
        self.options.block_size().bytes()
    }

    fn plain(&self, attributes: &Attributes<'t>, links: u32, size: u64) -> Shape {
        Shape {
            form: Form::of(attributes, (links, size), self.options.build_time()),
            layout: DataLayout::Plain,
            xattrs: self.shared.inline_size(attributes.xattrs),
            size,
            links,
            behind: 0,
            blocks: 0,
        }
    }

    /// The shape of an inode whose data the writer makes. If the rest behind the last whole block fits into the block of the
    /// inode, it goes there.
    fn of_data(&self, attributes: &Attributes<'t>, links: u32, size: u64) -> Shape {
        let shape = self.plain(attributes, links, size);
        let rest = size % self.block();
        let is_inline = rest > 0 && shape.head() + rest <= self.block();
        match is_inline {
            true => Shape { layout: DataLayout::Inline, behind: rest, blocks: size / self.block(), ..shape },
            false => Shape { blocks: size.div_ceil(self.block()), ..shape },
        }
    }

    fn of_file(&self, attributes: &Attributes<'t>, links: u32, content: Content) -> Shape {
        let shape = self.plain(attributes, links, content.size());
        match content.form() {
            ContentForm::Blocks => shape,
            ContentForm::Tail => Shape { layout: DataLayout::Inline, behind: shape.size % self.block(), ..shape },
            ContentForm::Chunks(bits) => {
                Shape { layout: DataLayout::Chunks, behind: 4 * shape.size.div_ceil(1 << bits), ..shape }
            }
        }
    }
}

impl Shape {
    /// Bytes of the inode and its attributes.
    pub(super) fn head(&self) -> u64 {
        (self.form.bytes() + self.xattrs) as u64
    }

    fn bytes(&self) -> u64 {
        self.head() + self.behind
    }
}

/// The next free position for an inode.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Counted from the beginning of the inodes.
    position: u64,
    block: u64,
}

impl Cursor {
    /// The first slot stays free: programs take a file with the number 0 for one that was removed.
    pub(super) fn new(block: u64) -> Self {
        Self { position: SLOT, block }
    }

    /// The slot of the next inode. Its data may not cross a block, and some readers look for it in the block of the inode.
    pub(super) fn place(&mut self, shape: &Shape) -> Result<u32, Error> {
        let used = self.position % self.block;
        if shape.layout == DataLayout::Inline && used + shape.bytes() > self.block {
            self.position += self.block - used;
        }
        let slot = u32::try_from(self.position / SLOT).ok().filter(|&slot| slot <= Slots::LAST);
        self.position = (self.position + shape.bytes()).next_multiple_of(SLOT);
        slot.ok_or(Misuse::TooManyBlocks { block_bytes: self.block }.into())
    }
}
