//! How an image is written.

use crate::words::{Timestamp, UnknownWord, Xattr, words};
use std::fmt::{self, Display};
use std::str::FromStr;

/// How an EROFS image is written.
///
/// Nothing in an image comes from the machine or the clock: the same content and options give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    block_size: Option<BlockSize>,
    build_time: Timestamp,
    uuid: [u8; 16],
    verity: Option<Salt>,
    common_xattrs: Vec<Xattr>,
}

impl Options {
    /// Blocks of 512 bytes, the build time 1970-01-01, an empty UUID, no hash tree, no common attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the size of blocks. **512 bytes** by default; **4096** with [`Options::with_verity`].
    #[must_use]
    pub fn with_block_size(self, block_size: BlockSize) -> Self {
        Self { block_size: Some(block_size), ..self }
    }

    /// The size of blocks.
    pub fn block_size(&self) -> BlockSize {
        let default = if self.verity.is_some() { BlockSize::Large } else { BlockSize::Small };
        self.block_size.unwrap_or(default)
    }

    /// Sets the time of the file system. **1970-01-01** by default. A file with this time takes 32 bytes less.
    #[must_use]
    pub fn with_build_time(self, build_time: Timestamp) -> Self {
        Self { build_time, ..self }
    }

    /// The time of the file system.
    pub fn build_time(&self) -> Timestamp {
        self.build_time
    }

    /// Sets the UUID of the file system. All zeros by default: no UUID.
    #[must_use]
    pub fn with_uuid(self, uuid: [u8; 16]) -> Self {
        Self { uuid, ..self }
    }

    /// The UUID of the file system.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Appends the hash tree of dm-verity, computed with this salt. **No hash tree** by default.
    ///
    /// Its data blocks are the blocks of the file system, since Linux mounts nothing with smaller blocks than those of the
    /// device. With blocks of 512 bytes, the tree takes 6 % of the file, and with blocks of 4096 bytes less than 1 %.
    #[must_use]
    pub fn with_verity(self, salt: Salt) -> Self {
        Self { verity: Some(salt), ..self }
    }

    /// The salt of the hash tree; `None` without a hash tree.
    pub fn verity(&self) -> Option<&Salt> {
        self.verity.as_ref()
    }

    /// Sets extended attributes for every inode, in addition to those of the tree: an SELinux label, for example. **None**
    /// by default. Each is stored once, and takes 4 bytes of an inode, and 12 more if the inode has no other attributes.
    #[must_use]
    pub fn with_common_xattrs(self, common_xattrs: Vec<Xattr>) -> Self {
        Self { common_xattrs, ..self }
    }

    /// The extended attributes that every inode has.
    pub fn common_xattrs(&self) -> &[Xattr] {
        &self.common_xattrs
    }
}

words! {
    "a block size":
    /// The size of the blocks of an image, in bytes.
    enum BlockSize {
        /// 512 bytes: Linux 6.4. Small files waste little, and all content is written once, in order.
        Small "512",
        /// 4096 bytes: Linux 5.4. The ends of files up to half a block long are stored beside their inodes.
        Large "4096",
    }
}

impl BlockSize {
    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        1 << self.bits()
    }

    pub(super) fn bits(self) -> u8 {
        match self {
            Self::Small => 9,
            Self::Large => 12,
        }
    }
}

/// The salt of a hash tree: at most 256 bytes. The default is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Salt(Vec<u8>);

impl Salt {
    /// The largest salt, in bytes.
    pub const LONGEST: usize = 256;

    /// A salt of these bytes; `None` if there are too many.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        Some(bytes.into()).filter(|bytes| bytes.len() <= Self::LONGEST).map(Self)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Hexadecimal digits; `-` if it is empty, as `veritysetup` writes it.
impl Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Salt {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
        let bytes = match (text, digits) {
            ("-", _) => Some(Vec::new()),
            (_, Some(digits)) if !digits.is_empty() && digits.len() % 2 == 0 => {
                Some(digits.as_chunks::<2>().0.iter().map(|&[high, low]| (high << 4 | low) as u8).collect())
            }
            _ => None,
        };
        const UNKNOWN: UnknownWord =
            UnknownWord::of_form("a salt", "`-`, or hexadecimal digits, two for each of at most 256 bytes");
        bytes.and_then(Self::new).ok_or(UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_and_a_block_size_are_read_as_they_are_written() {
        for text in ["-", "00", "c0ffee", &"ab".repeat(256)] {
            assert_eq!(text.parse::<Salt>().unwrap().to_string(), text);
        }
        for wrong in ["", "0", "xy", "+1", &"ab".repeat(257)] {
            assert!(wrong.parse::<Salt>().is_err(), "{wrong}");
        }
        for size in [BlockSize::Small, BlockSize::Large] {
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        assert!("1024".parse::<BlockSize>().is_err());
    }

    #[test]
    fn a_hash_tree_asks_for_larger_blocks_unless_small_ones_are_asked_for() {
        let verity = Options::new().with_verity(Salt::default());
        assert_eq!((Options::new().block_size(), verity.block_size()), (BlockSize::Small, BlockSize::Large));
        assert_eq!(verity.with_block_size(BlockSize::Small).block_size(), BlockSize::Small);
    }
}
