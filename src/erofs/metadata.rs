//! Writes inodes, and the data of directories and symbolic links.

use super::chunks::Run;
use super::content::{Content, Form as ContentForm};
use super::directory::{Entry, for_each_block};
use super::format::{DataLayout, FileType, HOLE, Inode, SLOT, device_number};
use super::options::BlockSize;
use super::output::Output;
use super::placement::{Shape, Shapes};
use super::spool::Spool;
use super::tree::{NodeKind, Tree};
use super::walk::{Slots, Visited};
use crate::words::Error;

/// What writing the tree needs, when all inodes have their places.
pub(super) struct Metadata<'w, 'f, 't, T> {
    pub(super) tree: &'t T,
    pub(super) shapes: Shapes<'w, 't>,
    pub(super) slots: &'w Slots,
    pub(super) spool: &'w Spool<'f>,
    pub(super) out: &'w mut Output<'f>,
    pub(super) block_size: BlockSize,
}

impl<'t, T: Tree> Metadata<'_, '_, 't, T> {
    /// Writes the whole blocks of a directory, or of a symbolic link whose target does not fit beside its inode.
    pub(super) fn write_blocks(&mut self, at: Visited<T::Node>) -> Result<(), Error> {
        let shape = self.shapes.of(self.tree, at.node)?;
        if shape.blocks == 0 {
            return Ok(());
        }
        let block = self.block_size.bytes();
        match self.tree.kind(at.node) {
            NodeKind::Directory => {
                let (mut left, is_inline) = (shape.blocks, shape.layout == DataLayout::Inline);
                self.for_each_block(at, |out, bytes| {
                    // What is beside the inode comes last.
                    if left == 0 && is_inline {
                        return Ok(());
                    }
                    left = left.saturating_sub(1);
                    out.write(bytes)?;
                    out.align(block)
                })
            }
            NodeKind::Symlink(target) => {
                let whole = target.get(..(shape.blocks * block) as usize).unwrap_or(target);
                self.out.write(whole)?;
                self.out.align(block)
            }
            NodeKind::File(_) | NodeKind::Fifo | NodeKind::Device(_) => Ok(()),
        }
    }

    fn for_each_block(
        &mut self,
        at: Visited<T::Node>,
        mut act: impl FnMut(&mut Output<'_>, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Self { tree, slots, out, .. } = self;
        let number = |entry| {
            let (node, kind) = match entry {
                Entry::Dot => (at.node, FileType::Directory),
                Entry::DotDot => (at.parent, FileType::Directory),
                Entry::Child(child) => (child, file_type(tree.kind(child))),
            };
            let slot = slots.get(tree.inode(node)).ok_or(Error::bug("an inode has no place"))?;
            Ok((slot, kind))
        };
        for_each_block(*tree, at.node, self.block_size.bytes() as usize, number, |bytes| act(out, bytes))
    }

    /// Writes an inode and what follows it. `start` is where the inodes begin, and `first_block` the first of the blocks that
    /// [`Metadata::write_blocks`] wrote for it.
    pub(super) fn write_inode(
        &mut self,
        at: Visited<T::Node>,
        (start, first_block, number): (u64, u32, u32),
    ) -> Result<Shape, Error> {
        let shape = self.shapes.of(self.tree, at.node)?;
        let (kind, attributes) = (self.tree.kind(at.node), self.tree.attributes(at.node));
        let slot = self.slots.get(self.tree.inode(at.node)).ok_or(Error::bug("an inode has no place"))?;
        let gap = (start + u64::from(slot) * SLOT).checked_sub(self.out.position());
        self.out.zeros(gap.ok_or(Error::bug("inodes overlap"))?)?;
        let inode = Inode {
            kind: file_type(kind),
            layout: shape.layout,
            mode: if let NodeKind::Symlink(_) = kind { 0o777 } else { attributes.mode },
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: attributes.mtime,
            links: shape.links,
            size: shape.size,
            data: data(kind, &shape, (first_block, self.block_size)),
            number,
            xattr_words: super::xattrs::words(shape.xattrs),
        };
        let mut bytes = Vec::with_capacity(shape.head() as usize);
        inode.encode(shape.form, &mut bytes);
        self.shapes.shared.encode(attributes.xattrs, &mut bytes);
        self.out.write(&bytes)?;
        self.write_behind(at, kind, &shape)?;
        Ok(shape)
    }

    fn write_behind(&mut self, at: Visited<T::Node>, kind: NodeKind<'_>, shape: &Shape) -> Result<(), Error> {
        if shape.behind == 0 {
            return Ok(());
        }
        match kind {
            NodeKind::Directory => {
                let mut left = shape.blocks;
                self.for_each_block(at, |out, bytes| match left.checked_sub(1) {
                    Some(fewer) => {
                        left = fewer;
                        Ok(())
                    }
                    None => out.write(bytes),
                })
            }
            NodeKind::Symlink(target) => {
                let rest = target.get((shape.blocks * self.block_size.bytes()) as usize..);
                self.out.write(rest.unwrap_or_default())
            }
            NodeKind::File(content) => match content.form() {
                ContentForm::Blocks => Ok(()),
                ContentForm::Tail => self.spool.copy(content.kept(), shape.behind as usize, self.out),
                ContentForm::Chunks(bits) => self.write_map(content, bits),
            },
            NodeKind::Fifo | NodeKind::Device(_) => Ok(()),
        }
    }

    /// Writes the addresses of the chunks of a file.
    fn write_map(&mut self, content: Content, bits: u8) -> Result<(), Error> {
        let (mut block, mut left) = (content.first_block(), content.size().div_ceil(1 << bits));
        let blocks_of_chunk = 1_u32 << (bits - self.block_size.bits());
        let out = &mut *self.out;
        self.spool.for_each_run(content.kept(), |Run { hole, chunks }| {
            left = left.saturating_sub(hole + chunks);
            (0..hole).try_for_each(|_| out.write(&HOLE.to_le_bytes()))?;
            (0..chunks).try_for_each(|_| {
                out.write(&block.to_le_bytes())?;
                block = block.saturating_add(blocks_of_chunk);
                Ok(())
            })
        })?;
        (0..left).try_for_each(|_| out.write(&HOLE.to_le_bytes()))
    }
}

/// The field of an inode that depends on its kind.
fn data(kind: NodeKind<'_>, shape: &Shape, (first_block, block_size): (u32, BlockSize)) -> u32 {
    match kind {
        NodeKind::Directory | NodeKind::Symlink(_) if shape.blocks == 0 => 0,
        NodeKind::Directory | NodeKind::Symlink(_) => first_block,
        NodeKind::File(content) => match content.form() {
            ContentForm::Blocks | ContentForm::Tail => content.first_block(),
            ContentForm::Chunks(bits) => u32::from(bits - block_size.bits()),
        },
        NodeKind::Fifo => 0,
        NodeKind::Device(device) => device_number(device),
    }
}

fn file_type(kind: NodeKind<'_>) -> FileType {
    match kind {
        NodeKind::Directory => FileType::Directory,
        NodeKind::File(_) => FileType::File,
        NodeKind::Symlink(_) => FileType::Symlink,
        NodeKind::Fifo => FileType::Fifo,
        NodeKind::Device(device) => FileType::of_device(device),
    }
}
