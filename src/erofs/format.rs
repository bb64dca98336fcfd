//! Inodes and directory entries, as bytes.

use super::tree::Attributes;
use crate::words::{Device, DeviceKind, Timestamp};

/// Bytes between two positions at which an inode may begin. Inodes are numbered by these positions.
pub(super) const SLOT: u64 = 32;
/// Bytes of an inode in the small form.
pub(super) const COMPACT: usize = 32;
/// Bytes of an inode in the large form.
pub(super) const EXTENDED: usize = 64;
/// Bytes of a directory entry without its name.
pub(super) const DIRENT: usize = 12;
/// The address of a hole in the map of a file.
pub(super) const HOLE: u32 = u32::MAX;

/// Where the data of an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataLayout {
    /// In consecutive blocks.
    Plain = 0,
    /// In consecutive blocks, but for the rest behind the last whole block, which follows the inode.
    Inline = 2,
    /// In chunks. A map of them follows the inode.
    Chunks = 4,
}

/// The type of a file: its bits in the mode, and its number in directory entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileType {
    File,
    Directory,
    Character,
    Block,
    Fifo,
    Symlink,
}

impl FileType {
    pub(super) fn of_device(device: Device) -> Self {
        match device.kind {
            DeviceKind::Character => Self::Character,
            DeviceKind::Block => Self::Block,
        }
    }

    fn mode(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Character => 0o020_000,
            Self::Block => 0o060_000,
            Self::Fifo => 0o010_000,
            Self::Symlink => 0o120_000,
        }
    }

    pub(super) fn in_directory(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Directory => 2,
            Self::Character => 3,
            Self::Block => 4,
            Self::Fifo => 5,
            Self::Symlink => 7,
        }
    }
}

/// What an inode says, but for its extended attributes and its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inode {
    pub(super) kind: FileType,
    pub(super) layout: DataLayout,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) links: u32,
    pub(super) size: u64,
    /// The first block, the device, or the size of chunks: by kind and layout.
    pub(super) data: u32,
    /// The number that `stat` shows to programs that know only numbers of 32 bits.
    pub(super) number: u32,
    /// Words of extended attributes: 0 without any.
    pub(super) xattr_words: u16,
}

/// The forms of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Without a time: that of the file system is meant. Small numbers only.
    Compact,
    Extended,
}

impl Form {
    /// The form of an inode. `built` is the time of the file system.
    pub(super) fn of(attributes: &Attributes<'_>, (links, size): (u32, u64), built: Timestamp) -> Self {
        let is_small = |number: u32| number <= u32::from(u16::MAX);
        let are_small = is_small(attributes.uid) && is_small(attributes.gid) && is_small(links);
        let is_compact = are_small && size <= u64::from(u32::MAX) && attributes.mtime == built;
        if is_compact { Self::Compact } else { Self::Extended }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Compact => COMPACT,
            Self::Extended => EXTENDED,
        }
    }
}

impl Inode {
    /// The bytes of the inode in a form that has room for it.
    pub(super) fn encode(&self, form: Form, out: &mut Vec<u8>) {
        let version = u16::from(form == Form::Extended);
        out.extend((version | (self.layout as u16) << 1).to_le_bytes());
        out.extend(self.xattr_words.to_le_bytes());
        out.extend(low(self.kind.mode() | self.mode & 0o7777));
        match form {
            Form::Compact => {
                out.extend(low(self.links));
                out.extend((self.size as u32).to_le_bytes());
                out.extend([0; 4]);
                out.extend(self.data.to_le_bytes());
                out.extend(self.number.to_le_bytes());
                out.extend(low(self.uid));
                out.extend(low(self.gid));
                out.extend([0; 4]);
            }
            Form::Extended => {
                out.extend([0; 2]);
                out.extend(self.size.to_le_bytes());
                out.extend(self.data.to_le_bytes());
                out.extend(self.number.to_le_bytes());
                out.extend(self.uid.to_le_bytes());
                out.extend(self.gid.to_le_bytes());
                out.extend(self.mtime.seconds().to_le_bytes());
                out.extend(self.mtime.nanoseconds().to_le_bytes());
                out.extend(self.links.to_le_bytes());
                out.extend([0; 16]);
            }
        }
    }
}

/// The low half of a number whose high half is zero.
fn low(number: u32) -> [u8; 2] {
    (number as u16).to_le_bytes()
}

/// A device number, as Linux writes it: 12 bits of major number between the low 8 and the high 12 bits of the minor number.
pub(super) fn device_number(device: Device) -> u32 {
    device.minor & 0xff | (device.major & 0xfff) << 8 | (device.minor & 0xf_ff00) << 12
}

/// A directory entry without its name, which begins at `name_offset` of the block.
pub(super) fn directory_entry(nid: u32, name_offset: usize, kind: FileType) -> [u8; DIRENT] {
    let [a, b, c, d] = nid.to_le_bytes();
    let [low, high] = (name_offset as u16).to_le_bytes();
    [a, b, c, d, 0, 0, 0, 0, low, high, kind.in_directory(), 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_device_lie_where_linux_has_them() {
        let device = |major, minor| Device { kind: DeviceKind::Character, major, minor };
        assert_eq!(device_number(device(5, 1)), 0x501);
        assert_eq!(device_number(device(0xfff, 0xf_ffff)), u32::MAX);
        assert_eq!(device_number(device(1, 0x100)), 0x10_0100);
    }

    #[test]
    fn an_inode_has_the_size_of_its_form() {
        let inode = Inode {
            kind: FileType::Fifo,
            layout: DataLayout::Plain,
            mode: 0o644,
            uid: 1,
            gid: 2,
            mtime: Timestamp::of_seconds(-1),
            links: 1,
            size: 0,
            data: 0,
            number: 7,
            xattr_words: 0,
        };
        for form in [Form::Compact, Form::Extended] {
            let mut bytes = Vec::new();
            inode.encode(form, &mut bytes);
            assert_eq!(bytes.len(), form.bytes());
            assert_eq!(bytes[4..6], 0o010_644_u16.to_le_bytes());
        }
    }
}
