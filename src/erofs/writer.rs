//! Writes an image.

use super::content::{Content, Form, Target, WriterId, block_at};
use super::metadata::Metadata;
use super::options::Options;
use super::output::Output;
use super::placement::{Cursor, Shapes};
use super::spool::Spool;
use super::superblock::{self, Superblock};
use super::tree::Tree;
use super::verity::{self, Data, Verity};
use super::walk::{Slots, walk};
use super::xattrs::Shared;
use crate::words::{Error, Misuse, Source, SparseMap};
use std::fs::File;
use std::io;

/// What messages call the file.
const IMAGE: &[u8] = b"(the EROFS image)";

/// Writes an EROFS image: a file system that Linux mounts read-only.
///
/// First the content of files is written, one after another, in any order. The tree follows with [`Writer::finish`], and
/// the superblock comes last: until then, nothing takes the file for a file system.
///
/// docs/erofs.md of the repository describes the layout. Content is never kept in memory. Beside the tree, the writer keeps 4
/// bytes for each inode, and at most 60 for each different extended attribute.
///
/// ```
/// use layercage::erofs::{Entries, EntryNode, Options, Writer};
/// use layercage::tar::Metadata;
///
/// # let (file, limits) = (tempfile::tempfile()?, layercage::Limits::default());
/// let mut writer = Writer::new(&file, Options::new(), tempfile::tempfile)?;
/// let content = writer.write_file(6, None, &mut &b"hello\n"[..])?;
/// let mut entries = Entries::new();
/// let mut metadata = Metadata::default();
/// metadata.mode = 0o644;
/// entries.add(b"etc/motd", metadata, EntryNode::File(content))?;
/// let written = writer.finish(&entries)?;
/// assert_eq!(file.metadata()?.len(), written.bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer<'f> {
    out: Output<'f>,
    spool: Spool<'f>,
    options: Options,
    id: WriterId,
    has_chunks: bool,
    /// A call failed or panicked, and left a part of a file.
    is_poisoned: bool,
}

/// An image that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The size of the file, with the hash tree.
    pub bytes: u64,
    /// The inodes of the file system.
    pub inodes: u64,
    /// The hash tree, if there is one.
    pub verity: Option<Verity>,
}

impl<'f> Writer<'f> {
    /// Writes to an empty regular file that is open for reading and writing, and not for appending.
    ///
    /// `create_temporary` is called at most once, for an empty file that is open for reading and writing. It is needed with
    /// blocks of 4096 bytes, and for files with holes.
    ///
    /// # Errors
    ///
    /// [`Misuse::UnsuitableFile`](crate::error::Misuse::UnsuitableFile) for any other file. Nothing is written to it then.
    /// System errors.
    pub fn new(
        file: &'f File,
        options: Options,
        create_temporary: impl FnMut() -> io::Result<File> + Send + 'f,
    ) -> Result<Self, Error> {
        let mut out = Output::create(file, IMAGE)?;
        out.zeros(superblock::OFFSET + superblock::SIZE as u64)?;
        out.align(options.block_size().bytes())?;
        let spool = Spool::new(Box::new(create_temporary));
        Ok(Self { out, spool, options, id: WriterId::unique(), has_chunks: false, is_poisoned: false })
    }

    /// Writes the content of a file of `size` bytes. `data` has the stored bytes: those of the segments, if there are holes.
    ///
    /// # Errors
    ///
    /// Errors of `data`; system errors; [`Misuse::TooManyBlocks`](crate::error::Misuse::TooManyBlocks);
    /// [`Misuse::OtherSize`](crate::error::Misuse::OtherSize) if `data` or `sparse` has another size than the file. After an
    /// error, the writer can only be dropped: later calls fail with [`Misuse::Poisoned`](crate::error::Misuse::Poisoned).
    pub fn write_file(
        &mut self,
        size: u64,
        sparse: Option<&SparseMap>,
        data: &mut dyn Source,
    ) -> Result<Content, Error> {
        self.require_whole()?;
        let Self { out, spool, options, id, has_chunks, is_poisoned } = self;
        *is_poisoned = true;
        let content = Target { out, spool, block_size: options.block_size(), writer: *id }.write(size, sparse, data)?;
        *has_chunks |= matches!(content.form(), Form::Chunks(_));
        *is_poisoned = false;
        Ok(content)
    }

    /// Part of a file may be in the way of later content, which begins at a block.
    fn require_whole(&self) -> Result<(), Error> {
        if self.is_poisoned { Err(Misuse::Poisoned.into()) } else { Ok(()) }
    }

    /// Where the next content goes.
    #[cfg(feature = "image")]
    pub(crate) fn position(&self) -> u64 {
        self.out.position()
    }

    /// How many bytes of blocks the content of a file takes.
    #[cfg(feature = "image")]
    pub(crate) fn block_bytes_of(&self, size: u64, sparse: Option<&SparseMap>) -> u64 {
        super::content::block_bytes(size, sparse, self.options.block_size())
    }

    /// The number of the block that is written next.
    #[cfg(feature = "image")]
    pub(crate) fn next_block(&self) -> Result<u32, Error> {
        block_at(self.out.position(), self.options.block_size())
    }

    /// The memory that [`Writer::finish`] needs at most for a tree with so many inodes and attributes.
    #[cfg(feature = "image")]
    pub(crate) fn memory(inodes: u32, xattrs: u64) -> u64 {
        Slots::MEMORY * u64::from(inodes) + super::xattrs::MEMORY * xattrs
    }

    /// The size of a block in bytes.
    #[cfg(feature = "image")]
    pub(crate) fn block_bytes(&self) -> u64 {
        self.options.block_size().bytes()
    }

    /// Writes the tree and the superblock.
    ///
    /// # Errors
    ///
    /// System errors; [`Misuse`](crate::error::Misuse) if EROFS cannot hold the tree, or if it is not as [`Tree`] demands.
    pub fn finish<T: Tree>(mut self, tree: &T) -> Result<Written, Error> {
        self.require_whole()?;
        self.spool.flush()?;
        let superblock = self.write_tree(tree)?;
        let inodes = superblock.inodes;
        let superblock = superblock.encode(&self.options);
        let bytes = self.out.position();
        self.out.finish()?;
        let verity = self.options.verity().map(|salt| {
            let data = Data { bytes, superblock: &superblock };
            verity::append(&mut self.out, data, &self.options, salt)
        });
        let verity = verity.transpose()?;
        // The file system is valid from here on, and nothing can fail behind it.
        self.out.write_at(&superblock, superblock::OFFSET)?;
        Ok(Written { bytes: self.out.position(), inodes, verity })
    }

    /// Writes the shared attributes, the data of directories, and the inodes.
    fn write_tree<T: Tree>(&mut self, tree: &T) -> Result<Superblock, Error> {
        let Self { out, spool, options, id, has_chunks, .. } = self;
        let size = options.block_size();
        let mut slots = Slots::new(tree.inode_count());
        let xattr_block = block_at(out.position(), size)?;
        let shared = Shared::write(tree, options.common_xattrs(), &mut slots, out)?;
        out.align(size.bytes())?;
        let shapes = Shapes { options, shared: &shared, writer: *id };
        let mut inodes = 0;
        let mut cursor = Cursor::new(size.bytes());
        walk(tree, |at| {
            let inode = tree.inode(at.node);
            if slots.get(inode).is_none() {
                slots.set(inode, cursor.place(&shapes.of(tree, at.node)?)?);
                inodes += 1;
            }
            Ok(())
        })?;
        let first_block = block_at(out.position(), size)?;
        let mut metadata = Metadata { tree, shapes, slots: &slots, spool, out, block_size: size };
        for_each_inode(tree, &slots, |at| metadata.write_blocks(at))?;
        let metadata_block = block_at(metadata.out.position(), size)?;
        let start = metadata.out.position();
        let (mut block, mut number) = (first_block, 0_u32);
        for_each_inode(tree, &slots, |at| {
            number = number.wrapping_add(1);
            let shape = metadata.write_inode(at, (start, block, number))?;
            block += shape.blocks as u32;
            Ok(())
        })?;
        out.align(size.bytes())?;
        let root = slots.get(tree.inode(tree.root())).and_then(|slot| u16::try_from(slot).ok());
        Ok(Superblock {
            inodes,
            blocks: block_at(out.position(), size)?,
            metadata_block,
            xattr_block,
            root: root.ok_or(Error::bug("the root is not the first inode"))?,
            has_chunks: *has_chunks,
        })
    }
}

/// Calls `act` for each inode once, in the order of their slots.
fn for_each_inode<T: Tree>(
    tree: &T,
    slots: &Slots,
    mut act: impl FnMut(super::walk::Visited<T::Node>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut next = 0;
    walk(tree, |at| match slots.get(tree.inode(at.node)) {
        Some(slot) if slot >= next => {
            next = slot + 1;
            act(at)
        }
        _ => Ok(()),
    })
}
