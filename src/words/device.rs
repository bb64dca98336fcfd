//! Device nodes.

use super::words;

/// A device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Character or block.
    pub kind: DeviceKind,
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl Device {
    /// The largest major number that Linux has: 12 bits.
    pub const MAX_MAJOR: u32 = (1 << 12) - 1;
    /// The largest minor number that Linux has: 20 bits.
    pub const MAX_MINOR: u32 = (1 << 20) - 1;

    /// Whether Linux supports these numbers. It truncates larger ones without an error: 4104:0 becomes 8:0, the first
    /// disk.
    pub fn is_possible(self) -> bool {
        self.major <= Self::MAX_MAJOR && self.minor <= Self::MAX_MINOR
    }

    /// Whether it is the character device 0:0, which is a whiteout to overlay file systems.
    pub fn is_zero(self) -> bool {
        self == Self { kind: DeviceKind::Character, major: 0, minor: 0 }
    }
}

words! {
    "a kind of device":
    /// The two kinds of device nodes. The enum is exhaustive on purpose: Linux has no other kind.
    enum DeviceKind {
        /// A character device.
        Character "character",
        /// A block device.
        Block "block",
    }
}
