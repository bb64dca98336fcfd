//! Layers in the making: typed calls for what writers write, raw blocks for what they should not.
//!
//! Every test, benchmark and fuzz target that needs an archive builds it with this file.

#![allow(dead_code, reason = "the corpus needs most of it, others need less")]

use std::ops::Range;

/// A header block in the making.
#[derive(Clone)]
pub(crate) struct Header([u8; BLOCK]);

const BLOCK: usize = 512;
const MODE: usize = 100;
const UID: usize = 108;
const GID: usize = 116;
const SIZE: usize = 124;
const MTIME: usize = 136;
const CHECKSUM: Range<usize> = 148..156;
const FLAG: usize = 156;
const TARGET: usize = 157;
const MAGIC: usize = 257;
const MAJOR: usize = 329;
const MINOR: usize = 337;
const PREFIX: usize = 345;

impl Header {
    /// POSIX.1-1988, which is also what PAX archives have.
    pub(crate) fn posix(flag: u8, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        assert!(name.len() <= 100, "a long name takes an extended header");
        let mut block = [0; BLOCK];
        block[FLAG] = flag;
        let header = Self(block).bytes(0, name).mode(if flag == b'5' { 0o755 } else { 0o644 });
        header.owner(0, 0).size(0).bytes(MTIME, b"00000000000\0").bytes(MAGIC, b"ustar\x0000")
    }

    /// GNU tar's own dialect.
    pub(crate) fn gnu(flag: u8, name: impl AsRef<[u8]>) -> Self {
        Self::posix(flag, name).bytes(MAGIC, b"ustar  \0")
    }

    /// Version 7, which has no magic.
    pub(crate) fn v7(flag: u8, name: impl AsRef<[u8]>) -> Self {
        Self::posix(flag, name).bytes(MAGIC, &[0; 8])
    }

    /// These bytes at that place of the block.
    pub(crate) fn bytes(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        self.raw_mode(format!("{mode:07o}\0").as_bytes())
    }

    pub(crate) fn raw_mode(self, field: &[u8]) -> Self {
        self.bytes(MODE, field)
    }

    pub(crate) fn owner(self, uid: u32, gid: u32) -> Self {
        self.raw_uid(&id(uid)).raw_gid(&id(gid))
    }

    pub(crate) fn raw_uid(self, field: &[u8]) -> Self {
        self.bytes(UID, field)
    }

    pub(crate) fn raw_gid(self, field: &[u8]) -> Self {
        self.bytes(GID, field)
    }

    /// Eleven octal digits hold less than 8 GiB. A larger size is in base-256, as GNU tar writes it.
    pub(crate) fn size(self, size: u64) -> Self {
        match size >> 33 {
            0 => self.raw_size(format!("{size:011o}\0").as_bytes()),
            _ => self.raw_size(&[&[0x80, 0, 0, 0], &size.to_be_bytes()[..]].concat()),
        }
    }

    pub(crate) fn raw_size(self, field: &[u8]) -> Self {
        self.bytes(SIZE, field)
    }

    pub(crate) fn mtime(self, seconds: u64) -> Self {
        self.raw_mtime(format!("{seconds:011o}\0").as_bytes())
    }

    pub(crate) fn raw_mtime(self, field: &[u8]) -> Self {
        self.bytes(MTIME, field)
    }

    pub(crate) fn target(self, target: impl AsRef<[u8]>) -> Self {
        let target = target.as_ref();
        assert!(target.len() <= 100, "a long target takes an extended header");
        self.bytes(TARGET, target)
    }

    pub(crate) fn device(self, major: u32, minor: u32) -> Self {
        self.raw_major(format!("{major:07o}\0").as_bytes()).bytes(MINOR, format!("{minor:07o}\0").as_bytes())
    }

    pub(crate) fn raw_major(self, field: &[u8]) -> Self {
        self.bytes(MAJOR, field)
    }

    pub(crate) fn prefix(self, prefix: impl AsRef<[u8]>) -> Self {
        self.bytes(PREFIX, prefix.as_ref())
    }

    /// The slots of an old GNU sparse map, whether more follow in a block, and the size with all holes.
    pub(crate) fn sparse_map(self, slots: &[(u64, u64)], more: u8, size: u64) -> Self {
        self.bytes(386, &sparse_slots(slots)).bytes(482, &[more]).bytes(483, format!("{size:011o}\0").as_bytes())
    }

    /// The block with its checksum.
    pub(crate) fn block(&self) -> [u8; BLOCK] {
        self.summed(|byte| byte.into())
    }

    /// The block with its checksum, the bytes taken for signed ones, as some old writers did.
    pub(crate) fn block_summed_signed(&self) -> [u8; BLOCK] {
        self.summed(|byte| byte.cast_signed().into())
    }

    /// The block with this in the place of its checksum.
    pub(crate) fn block_with_checksum(&self, checksum: &[u8; 8]) -> [u8; BLOCK] {
        let mut block = self.0;
        block[CHECKSUM].copy_from_slice(checksum);
        block
    }

    fn summed(&self, worth: fn(u8) -> i64) -> [u8; BLOCK] {
        let blank = self.block_with_checksum(b"        ");
        let sum: i64 = blank.iter().map(|&byte| worth(byte)).sum();
        self.block_with_checksum(format!("{sum:06o}\0 ").as_bytes().first_chunk().unwrap())
    }
}

/// An archive in the making.
#[derive(Clone, Default)]
pub(crate) struct Archive(Vec<u8>);

/// Begins an archive.
pub(crate) fn tar() -> Archive {
    Archive::default()
}

impl Archive {
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn zeros(self, bytes: usize) -> Self {
        self.bytes(&vec![0; bytes])
    }

    /// One header block and no content.
    pub(crate) fn header(self, header: Header) -> Self {
        self.bytes(&header.block())
    }

    /// A header with the size of its content, the content and the padding.
    pub(crate) fn with(self, header: Header, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.header(header.size(content.len() as u64)).padded(content)
    }

    /// Content and the zeros that fill its last block.
    pub(crate) fn padded(self, content: &[u8]) -> Self {
        self.bytes(content).zeros(content.len().wrapping_neg() % BLOCK)
    }

    pub(crate) fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.with(Header::posix(b'0', name), content)
    }

    pub(crate) fn directory(self, name: impl AsRef<[u8]>) -> Self {
        self.header(Header::posix(b'5', name))
    }

    pub(crate) fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.header(Header::posix(b'2', name).mode(0o777).target(target))
    }

    pub(crate) fn hard_link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.header(Header::posix(b'1', name).target(target))
    }

    pub(crate) fn fifo(self, name: impl AsRef<[u8]>) -> Self {
        self.header(Header::posix(b'6', name))
    }

    pub(crate) fn character_device(self, name: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        self.header(Header::posix(b'3', name).device(major, minor))
    }

    pub(crate) fn block_device(self, name: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        self.header(Header::posix(b'4', name).device(major, minor))
    }

    /// An empty regular file, as most writers mark a whiteout.
    pub(crate) fn whiteout(self, name: impl AsRef<[u8]>) -> Self {
        self.file(name, "")
    }

    /// A PAX header for the entry that follows.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.raw_pax(&pax_records(records))
    }

    /// A PAX header with this content, whatever it is.
    pub(crate) fn raw_pax(self, content: &[u8]) -> Self {
        self.with(Header::posix(b'x', "PaxHeaders/0"), content)
    }

    /// A PAX header for all entries that follow.
    pub(crate) fn global(self, records: &[(&str, &[u8])]) -> Self {
        self.with(Header::posix(b'g', "pax_global_header"), pax_records(records))
    }

    /// GNU's header for a long name; its content ends with a NUL by custom.
    pub(crate) fn long_name(self, content: impl AsRef<[u8]>) -> Self {
        self.with(Header::gnu(b'L', "././@LongLink"), content)
    }

    /// GNU's header for a long link target.
    pub(crate) fn long_link(self, content: impl AsRef<[u8]>) -> Self {
        self.with(Header::gnu(b'K', "././@LongLink"), content)
    }

    /// What was built so far, without an end.
    pub(crate) fn cut(self) -> Vec<u8> {
        self.0
    }

    /// What was built so far and two zero blocks.
    pub(crate) fn end(self) -> Vec<u8> {
        self.zeros(2 * BLOCK).0
    }
}

/// Records as PAX has them: `LENGTH KEY=VALUE` and a newline, the length that of all this.
pub(crate) fn pax_records(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut content = Vec::new();
    for (key, value) in records {
        let body = 3 + key.len() + value.len();
        let length = (body + 1..).find(|length| body + length.to_string().len() == *length).unwrap();
        content.extend_from_slice(format!("{length} {key}=").as_bytes());
        content.extend_from_slice(value);
        content.push(b'\n');
    }
    content
}

/// Offsets and lengths as old GNU headers have them.
pub(crate) fn sparse_slots(slots: &[(u64, u64)]) -> Vec<u8> {
    slots.iter().flat_map(|(offset, length)| format!("{offset:011o}\0{length:011o}\0").into_bytes()).collect()
}

/// A user or group: octal digits, or what GNU tar writes where these do not hold it.
fn id(id: u32) -> [u8; 8] {
    if id < 1 << 21 { *format!("{id:07o}\0").as_bytes().first_chunk().unwrap() } else { base_256(id.into()) }
}

/// A number as GNU tar writes what octal digits do not hold.
pub(crate) fn base_256<const BYTES: usize>(value: i64) -> [u8; BYTES] {
    let mut field = [if value < 0 { 0xff } else { 0 }; BYTES];
    let bytes = value.to_be_bytes();
    let shared = BYTES.min(bytes.len());
    field[BYTES - shared..].copy_from_slice(&bytes[bytes.len() - shared..]);
    if value >= 0 {
        assert_eq!(field[0], 0, "the first byte is the mark");
        field[0] = 0x80;
    }
    field
}
