//! What a tar archive says.

use super::{EntryPath, LinkTarget, Quirk, SparseMap, UnknownWord};
use std::fmt::{self, Display};
use std::str::FromStr;

/// One entry of a layer, typed: what the archive says, before anybody asked what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place among the entries of the layer, from 1.
    pub number: u64,
    /// Where its first header block (extended headers included) starts in the uncompressed layer.
    pub offset: u64,
    /// Its final name.
    pub path: EntryPath,
    /// Its type, with what only that type has.
    pub kind: EntryKind,
    /// Owner, mode, time and extended attributes.
    pub metadata: Metadata,
    /// What is odd about the way it is written; policy decides.
    pub quirks: Vec<Quirk>,
}

/// The type of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its size in bytes, holes included.
        size: u64,
        /// Where its data lies when it has holes.
        sparse: Option<SparseMap>,
    },
    /// Another name of a file.
    HardLink {
        /// The name as it is written: not parsed, since a whiteout ignores it.
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: LinkTarget,
    },
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A device node.
    Device(Device),
}

/// A device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// The two kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
}

impl Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "character",
            Self::Block => "block",
        })
    }
}

/// What an inode carries beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u32,
    /// The numeric owner, 0 to 2³²-2.
    pub uid: u32,
    /// The numeric group, 0 to 2³²-2.
    pub gid: u32,
    /// The time of last modification.
    pub mtime: Timestamp,
    /// Extended attributes, each name once.
    pub xattrs: Vec<Xattr>,
}

/// A time since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds, rounded down; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after that, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// Its full name, `user.mime_type` say: not empty, no NUL, at most 255 bytes.
    pub name: Vec<u8>,
    /// Its value, which may be empty.
    pub value: Vec<u8>,
}

const NANOSECONDS: u32 = 1_000_000_000;

/// Seconds since the epoch with nine digits after the point: `-1.500000000` is half a second after `-2`.
impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { seconds, nanoseconds: 1.. } if seconds < 0 => {
                let (whole, rest) = ((seconds + 1).unsigned_abs(), NANOSECONDS.saturating_sub(self.nanoseconds));
                write!(f, "-{whole}.{rest:09}")
            }
            Self { seconds, nanoseconds } => write!(f, "{seconds}.{nanoseconds:09}"),
        }
    }
}

/// Seconds since the epoch, with at most nine digits after a point.
impl FromStr for Timestamp {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let (is_negative, digits) = whole.strip_prefix('-').map_or((false, whole), |digits| (true, digits));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(digits) || !are_digits(fraction) || fraction.len() > 9 {
            return Err(UnknownWord);
        }
        let seconds: i64 = whole.parse().map_err(|_| UnknownWord)?;
        match format!("{fraction:0<9}").parse().map_err(|_| UnknownWord)? {
            nanoseconds @ 1.. if is_negative => {
                let seconds = seconds.checked_sub(1).ok_or(UnknownWord)?;
                Ok(Self { seconds, nanoseconds: NANOSECONDS.saturating_sub(nanoseconds) })
            }
            nanoseconds => Ok(Self { seconds, nanoseconds }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let times = [(0, 0), (7, 1), (-1, 500_000_000), (-2, 999_999_999), (i64::MIN, 1), (i64::MAX, 999_999_999)];
        for (seconds, nanoseconds) in times {
            let time = Timestamp { seconds, nanoseconds };
            assert_eq!(time.to_string().parse(), Ok(time), "{time}");
        }
        for (text, seconds, nanoseconds) in [("12", 12, 0), ("-1.5", -2, 500_000_000), ("0.25", 0, 250_000_000)] {
            assert_eq!(text.parse(), Ok(Timestamp { seconds, nanoseconds }), "{text}");
        }
        for text in ["", "-", "x", "1.", ".5", "+1", "1e3", "1.0000000000", "1.-5", "9223372036854775808"] {
            assert_eq!(text.parse::<Timestamp>(), Err(UnknownWord), "{text}");
        }
    }
}
