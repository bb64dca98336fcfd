//! The content of files, written as it comes.

use super::chunks::{Plan, Run};
use super::options::BlockSize;
use super::output::Output;
use super::spool::Spool;
use crate::words::{Cursor, Error, Misuse, Next, Source, SparseMap, stored};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the content of a file is in an image that is being written. It comes from
/// [`Writer::write_file`](super::Writer::write_file), and only this writer takes it. The default is an empty file, which every
/// writer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Content {
    writer: WriterId,
    size: u64,
    /// Where the end or the runs are in the spool.
    kept: u64,
    block: u32,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    Blocks,
    /// Behind the last whole block, the rest is in the spool.
    Tail,
    /// In chunks of two to this power. The runs are in the spool.
    Chunks(u8),
}

/// The identity of a writer in this process. Content of another one would point to blocks that another file has. The default
/// is no writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WriterId(u64);

impl WriterId {
    pub(super) fn unique() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Content {
    /// Whether a writer can write an inode with this content.
    pub(super) fn is_of(&self, writer: WriterId) -> bool {
        *self == Self::default() || self.writer == writer
    }

    /// The size of the file, holes included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The number of its first block. Content that is written later has no lower number.
    pub(crate) fn first_block(&self) -> u32 {
        self.block
    }

    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }
}

/// The parts of a writer that take content.
pub(super) struct Target<'w, 'f> {
    pub(super) out: &'w mut Output<'f>,
    pub(super) spool: &'w mut Spool<'f>,
    pub(super) block_size: BlockSize,
    pub(super) writer: WriterId,
}

impl Target<'_, '_> {
    /// Writes the content of a file. `data` has its stored bytes.
    pub(super) fn write(
        &mut self,
        size: u64,
        sparse: Option<&SparseMap>,
        data: &mut dyn Source,
    ) -> Result<Content, Error> {
        let content = match sparse {
            Some(map) => self.write_chunks(size, map, data),
            None => self.write_blocks(size, data),
        }?;
        match data.chunk()? {
            [] => Ok(content),
            _ => Err(Misuse::OtherSize { size, what: "more data than it stores" }.into()),
        }
    }

    fn write_blocks(&mut self, size: u64, data: &mut dyn Source) -> Result<Content, Error> {
        let content = self.content(size, Form::Blocks)?;
        let tail = tail(size, self.block_size);
        copy(data, size, size - tail, |bytes| self.out.write(bytes))?;
        self.out.align(self.block_size.bytes())?;
        self.next_block()?;
        if tail == 0 {
            return Ok(content);
        }
        copy(data, size, tail, |bytes| self.spool.write(bytes))?;
        Ok(Content { form: Form::Tail, ..content })
    }

    fn write_chunks(&mut self, size: u64, map: &SparseMap, data: &mut dyn Source) -> Result<Content, Error> {
        let ends = map.segments().last().map(|last| last.offset + last.length);
        if ends != Some(size) {
            return Err(Misuse::OtherSize { size, what: "a sparse map of another size" }.into());
        }
        let plan = Plan::new(map, size, self.block_size.bits());
        let content = self.content(size, Form::Chunks(plan.bits))?;
        self.spool.write_runs(&plan.runs)?;
        let mut cursor = Cursor::new(size, Some(map.clone()));
        let mut chunk = 0;
        for &Run { hole, chunks } in &plan.runs {
            let begin = (chunk + hole) << plan.bits;
            chunk += hole + chunks;
            // The last chunk ends with the file.
            let end = size.min(chunk << plan.bits);
            self.write_run(&mut cursor, data, begin, end)?;
            self.next_block()?;
        }
        Ok(content)
    }

    /// Writes a range of a file, with its holes as zeros. The cursor is in or before the range.
    fn write_run(&mut self, cursor: &mut Cursor, data: &mut dyn Source, begin: u64, end: u64) -> Result<(), Error> {
        while cursor.offset() < end {
            match cursor.next() {
                Next::End => break,
                Next::Hole(length) => {
                    let behind = end.min(cursor.offset() + length);
                    self.out.zeros(behind.saturating_sub(cursor.offset().max(begin)))?;
                    cursor.advance(behind - cursor.offset());
                }
                Next::Data(length) => {
                    copy(data, cursor.size(), length, |bytes| self.out.write(bytes))?;
                    cursor.advance(length);
                }
            }
        }
        self.out.align(self.block_size.bytes())
    }

    /// Content that begins here.
    fn content(&self, size: u64, form: Form) -> Result<Content, Error> {
        Ok(Content { writer: self.writer, size, kept: self.spool.position(), block: self.next_block()?, form })
    }

    /// The number of the next block.
    fn next_block(&self) -> Result<u32, Error> {
        block_at(self.out.position(), self.block_size)
    }
}

/// The bytes of a file that are stored beside its inode.
fn tail(size: u64, block_size: BlockSize) -> u64 {
    let rest = size % block_size.bytes();
    match block_size {
        // Nothing is kept, so that all content is written once.
        BlockSize::Small => 0,
        // A longer rest would often not fit into the block of its inode, and wastes less than half a block.
        BlockSize::Large if rest > block_size.bytes() / 2 => 0,
        BlockSize::Large => rest,
    }
}

/// How many bytes of blocks the content of a file takes.
#[cfg(feature = "image")]
pub(super) fn block_bytes(size: u64, sparse: Option<&SparseMap>, block_size: BlockSize) -> u64 {
    let Some(map) = sparse else {
        return (size - tail(size, block_size)).next_multiple_of(block_size.bytes());
    };
    let plan = Plan::new(map, size, block_size.bits());
    let (mut chunk, mut bytes) = (0, 0);
    for &Run { hole, chunks } in &plan.runs {
        let begin = (chunk + hole) << plan.bits;
        chunk += hole + chunks;
        bytes += (size.min(chunk << plan.bits) - begin).next_multiple_of(block_size.bytes());
    }
    bytes
}

/// The number of the block that begins at a position.
pub(super) fn block_at(position: u64, size: BlockSize) -> Result<u32, Error> {
    let number = u32::try_from(position >> size.bits()).ok().filter(|&number| number != u32::MAX);
    number.ok_or(Misuse::TooManyBlocks { block_bytes: size.bytes() }.into())
}

/// Gives so many stored bytes of a file of `size` bytes to `act`.
fn copy(
    data: &mut dyn Source,
    size: u64,
    count: u64,
    mut act: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut left = count;
    while left > 0 {
        if data.chunk()?.is_empty() {
            return Err(Misuse::OtherSize { size, what: "less data than it stores" }.into());
        }
        let bytes = stored(data, left)?;
        let length = bytes.len();
        act(bytes)?;
        data.consume(length);
        left -= length as u64;
    }
    Ok(())
}
