//! The superblock.

use super::options::{BlockSize, Options};

/// Where the superblock begins.
pub(super) const OFFSET: u64 = 1024;
/// Its size.
pub(super) const SIZE: usize = 128;

const MAGIC: u32 = 0xe0f5_e1e2;
/// A checksum is set. With blocks of 512 bytes it is not: fsck.erofs 1.8.6 crashes on such a checksum, because its block
/// ends behind the superblock and not at the end of the first 4096 bytes. mkfs.erofs sets none there, either.
const COMPAT_CHECKSUM: u32 = 1;
/// The time of an inode is that of its content, not of its last change.
const COMPAT_MTIME: u32 = 2;
/// A file is in chunks: Linux 5.15.
const INCOMPAT_CHUNKS: u32 = 4;

/// Where the parts of an image are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Superblock {
    pub(super) inodes: u64,
    pub(super) blocks: u32,
    pub(super) metadata_block: u32,
    pub(super) xattr_block: u32,
    pub(super) root: u16,
    pub(super) has_chunks: bool,
}

impl Superblock {
    /// The bytes, with their checksum.
    pub(super) fn encode(&self, options: &Options) -> [u8; SIZE] {
        let size = options.block_size();
        let mut bytes = [0; SIZE];
        let mut put = |offset: usize, field: &[u8]| {
            if let Some(place) = bytes.get_mut(offset..offset + field.len()) {
                place.copy_from_slice(field);
            }
        };
        put(0, &MAGIC.to_le_bytes());
        let flag = if size == BlockSize::Large { COMPAT_CHECKSUM } else { 0 };
        put(8, &(flag | COMPAT_MTIME).to_le_bytes());
        put(12, &[size.bits()]);
        put(14, &self.root.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(24, &options.build_time().seconds().to_le_bytes());
        put(32, &options.build_time().nanoseconds().to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(40, &self.metadata_block.to_le_bytes());
        put(44, &self.xattr_block.to_le_bytes());
        put(48, &options.uuid());
        let incompatible = if self.has_chunks { INCOMPAT_CHUNKS } else { 0 };
        put(80, &incompatible.to_le_bytes());
        if size == BlockSize::Large {
            let checksum = checksum(&bytes, size);
            bytes.iter_mut().skip(4).zip(checksum.to_le_bytes()).for_each(|(place, byte)| *place = byte);
        }
        bytes
    }
}

/// The checksum covers the rest of the block, which is zero. It is CRC-32C without the last inversion.
fn checksum(superblock: &[u8; SIZE], size: BlockSize) -> u32 {
    let mut block = superblock.to_vec();
    block.resize((size.bytes() - OFFSET) as usize, 0);
    !crc32c::crc32c(&block)
}
