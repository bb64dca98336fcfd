//! The hash tree of dm-verity, with which Linux verifies each block that it reads.
//!
//! Behind the file system come a superblock, which `veritysetup` reads, and the levels of the tree, the smallest first. Each
//! level has the hashes of the blocks of the next one, and the last level those of the file system.
//! Follows Linux, Documentation/admin-guide/device-mapper/verity.rst, and the superblock of cryptsetup.

use super::options::{Options, Salt};
use super::output::Output;
use super::superblock;
use crate::words::{Digest, Error};
use sha2::{Digest as _, Sha256};
use std::os::unix::fs::FileExt;

/// Bytes of a block of hashes.
const HASH_BLOCK: u64 = 4096;
/// Bytes of a hash.
const HASH: u64 = 32;
/// Hashes in a block.
const IN_BLOCK: u64 = HASH_BLOCK / HASH;
/// Bytes of the superblock.
const SUPERBLOCK: usize = 512;
/// Bytes that are read at once: a multiple of all blocks.
const CHUNK: u64 = 256 << 10;

/// The hash tree of an image: what `veritysetup` needs to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verity {
    /// The hash over everything. With it, the whole image is verified. `veritysetup` takes it as [`Digest::hex`] writes it.
    pub root_hash: Digest,
    /// The salt.
    pub salt: Salt,
    /// Where the superblock of the tree is in the file, in bytes: `--hash-offset`.
    pub hash_offset: u64,
    /// The size of the data blocks in bytes.
    pub data_block_bytes: u64,
    /// The number of data blocks.
    pub data_blocks: u64,
}

/// A file system that is written, but for its superblock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data<'s> {
    /// A multiple of the blocks.
    pub(super) bytes: u64,
    pub(super) superblock: &'s [u8; superblock::SIZE],
}

/// Appends the tree to an image. The superblock is hashed as if it were there: it is written when nothing can fail any more.
pub(super) fn append(
    out: &mut Output<'_>,
    Data { bytes, superblock }: Data<'_>,
    options: &Options,
    salt: &Salt,
) -> Result<Verity, Error> {
    let block = options.block_size().bytes();
    let hash_offset = bytes.next_multiple_of(HASH_BLOCK);
    let data_blocks = bytes / block;
    let salted = Sha256::new_with_prefix(salt.as_bytes());
    let mut levels = Vec::new();
    let mut blocks = data_blocks;
    while blocks > 1 {
        blocks = blocks.div_ceil(IN_BLOCK);
        levels.push(blocks);
    }
    let start = hash_offset + HASH_BLOCK;
    let mut level_end = start + levels.iter().sum::<u64>() * HASH_BLOCK;
    let end = level_end;
    let mut below = Level { start: 0, blocks: data_blocks, block, superblock: Some(superblock) };
    for &blocks in &levels {
        let start = level_end - blocks * HASH_BLOCK;
        let level = Level { start, blocks, block: HASH_BLOCK, superblock: None };
        level_end = level.start;
        below.hash_into(out, &salted, level.start)?;
        below = level;
    }
    // The last level has one block, whose hash is the root.
    let mut root = [0; 32];
    below.for_each_hash(out, &salted, |hash| {
        root = hash;
        Ok(())
    })?;
    out.write_at(&header(options, salt, (block, data_blocks)), hash_offset)?;
    out.finish_at(end)?;
    let root_hash = Digest::Sha256(root);
    Ok(Verity { root_hash, salt: salt.clone(), hash_offset, data_block_bytes: block, data_blocks })
}

/// Consecutive blocks of the file.
#[derive(Debug, Clone, Copy)]
struct Level<'s> {
    start: u64,
    blocks: u64,
    /// Bytes of a block.
    block: u64,
    /// The superblock of the file system, which these blocks have and the file has not yet.
    superblock: Option<&'s [u8; superblock::SIZE]>,
}

impl Level<'_> {
    /// Writes the hashes of the blocks, from `at` on.
    fn hash_into(self, out: &Output<'_>, salted: &Sha256, mut at: u64) -> Result<(), Error> {
        let mut hashes = Vec::with_capacity(CHUNK as usize);
        self.for_each_hash(out, salted, |hash| {
            hashes.extend_from_slice(&hash);
            if hashes.len() as u64 == CHUNK {
                out.write_at(&hashes, at)?;
                at += CHUNK;
                hashes.clear();
            }
            Ok(())
        })?;
        hashes.resize(hashes.len().next_multiple_of(HASH_BLOCK as usize), 0);
        out.write_at(&hashes, at)
    }

    fn for_each_hash(
        self,
        out: &Output<'_>,
        salted: &Sha256,
        mut act: impl FnMut([u8; 32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut at, end) = (self.start, self.start + self.blocks * self.block);
        let mut buffer = vec![0; CHUNK as usize];
        while at < end {
            let length = CHUNK.min(end - at);
            let bytes = buffer.get_mut(..length as usize).unwrap_or_default();
            let read = out.file().read_exact_at(bytes, at);
            read.map_err(|error| Error::system("pread64", b"(the EROFS image)", error))?;
            let missing = self.superblock.filter(|_| at == 0).into_iter().flatten();
            bytes.iter_mut().skip(superblock::OFFSET as usize).zip(missing).for_each(|(place, byte)| *place = *byte);
            for block in bytes.chunks(self.block as usize) {
                act(salted.clone().chain_update(block).finalize().into())?;
            }
            at += length;
        }
        Ok(())
    }
}

/// The superblock of the tree, from which `veritysetup` knows everything but the root hash.
fn header(options: &Options, salt: &Salt, (block, data_blocks): (u64, u64)) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SUPERBLOCK);
    bytes.extend(b"verity\0\0");
    bytes.extend(1_u32.to_le_bytes());
    // The type of hash in which the salt comes first.
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(options.uuid());
    bytes.extend(b"sha256");
    bytes.resize(64, 0);
    bytes.extend((block as u32).to_le_bytes());
    bytes.extend((HASH_BLOCK as u32).to_le_bytes());
    bytes.extend(data_blocks.to_le_bytes());
    bytes.extend((salt.as_bytes().len() as u16).to_le_bytes());
    bytes.resize(88, 0);
    bytes.extend(salt.as_bytes());
    bytes.resize(SUPERBLOCK, 0);
    bytes
}
