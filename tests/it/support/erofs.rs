//! A reader of EROFS images, written from the documentation of the format alone, which accepts nothing doubtful: it checks
//! what Linux relies on, and that no two parts of an image overlap.

use super::tree::{self, Groups, Listing};
use layercage::tar::Metadata;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What an image has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// With the bits of the type.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, u32),
    pub(crate) links: u32,
    pub(crate) size: u64,
    pub(crate) device: u32,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of files and symbolic links: the pieces of at most 512 bytes that are not all zeros, by their offsets.
    pub(crate) data: BTreeMap<u64, Vec<u8>>,
    pub(crate) inode: u64,
}

impl Found {
    /// What has this metadata and one link, and no content. The type is still missing.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: (metadata.mtime.seconds(), metadata.mtime.nanoseconds()),
            links: 1,
            size: 0,
            device: 0,
            xattrs: metadata.xattrs.iter().map(|xattr| (xattr.name.clone(), xattr.value.clone())).collect(),
            data: BTreeMap::new(),
            inode: 0,
        }
    }
}

/// The pieces of content that are not all zeros, as [`Found::data`] has them.
pub(crate) fn pieces(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, Vec<u8>)> {
    assert_eq!(offset % 512, 0);
    let pieces = (offset..).step_by(512).zip(bytes.chunks(512));
    pieces.filter(|(_, piece)| piece.iter().any(|&byte| byte != 0)).map(|(at, piece)| (at, piece.to_vec()))
}

/// An image, and what is known of it.
pub(crate) struct Image<'f> {
    file: &'f File,
    block: u64,
    blocks: u64,
    metadata: u64,
    xattrs: u64,
    build: (i64, u32),
    pub(crate) root: u64,
    pub(crate) inodes: u64,
    pub(crate) features: (u32, u32),
    pub(crate) uuid: [u8; 16],
    /// Ranges of the file that inodes and contents occupy.
    used: BTreeSet<(u64, u64)>,
    counted: BTreeMap<u64, (u32, u32)>,
}

struct Inode {
    found: Found,
    layout: u16,
    data: u32,
    /// Behind the inode and its attributes.
    end: u64,
}

impl<'f> Image<'f> {
    pub(crate) fn open(file: &'f File) -> Self {
        let mut bytes = [0; 128];
        file.read_exact_at(&mut bytes, 1024).unwrap();
        assert_eq!(number(&bytes[..4]), 0xe0f5_e1e2);
        let block = 1 << bytes[12];
        let compat = number(&bytes[8..12]) as u32;
        if compat & 1 != 0 {
            let mut whole = vec![0; (block - 1024) as usize];
            file.read_exact_at(&mut whole, 1024).unwrap();
            let stated = number(&whole[4..8]) as u32;
            whole[4..8].fill(0);
            assert_eq!(checksum(&whole), stated);
        }
        assert_eq!(bytes[13], 0, "no more slots");
        assert!(bytes[84..].iter().all(|&byte| byte == 0), "no features of compression, devices or prefixes");
        Self {
            file,
            block,
            blocks: number(&bytes[36..40]),
            metadata: number(&bytes[40..44]) * block,
            xattrs: number(&bytes[44..48]) * block,
            build: (number(&bytes[24..32]) as i64, number(&bytes[32..36]) as u32),
            root: number(&bytes[14..16]),
            inodes: number(&bytes[16..24]),
            features: (compat, number(&bytes[80..84]) as u32),
            uuid: bytes[48..64].try_into().unwrap(),
            used: BTreeSet::new(),
            counted: BTreeMap::new(),
        }
    }

    /// Reads all paths, the root as the empty one.
    pub(crate) fn read(mut self) -> BTreeMap<Vec<u8>, Found> {
        assert!(self.file.metadata().unwrap().len() >= self.blocks * self.block);
        let mut paths = BTreeMap::new();
        let mut to_do = vec![(Vec::new(), self.root, self.root)];
        let mut known = BTreeMap::new();
        while let Some((path, nid, parent)) = to_do.pop() {
            let found = known.entry(nid).or_insert_with(|| self.inode(nid)).clone();
            self.counted.entry(nid).or_insert((found.links, 0)).1 += 1;
            if found.mode & 0o170_000 == 0o040_000 {
                let mut directories = 0;
                for (name, child, kind) in self.directory(nid, parent) {
                    let mut path = path.clone();
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend(name);
                    directories += u32::from(kind == 2);
                    assert_eq!(kind, type_in_directory(self.raw(child).found.mode));
                    to_do.push((path, child, nid));
                }
                assert_eq!(found.links, 2 + directories);
            }
            assert!(paths.insert(path, found).is_none());
        }
        assert_eq!(self.inodes, self.counted.len() as u64);
        for (nid, (stated, counted)) in &self.counted {
            let is_directory = known[nid].mode & 0o170_000 == 0o040_000;
            assert!(if is_directory { *counted == 1 } else { stated == counted }, "inode {nid}");
        }
        let ranges: Vec<_> = self.used.iter().collect();
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "parts overlap: {ranges:?}");
        paths
    }

    fn bytes(&self, at: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        assert!(at + length <= self.blocks * self.block, "{at} and {length} bytes more are behind the end");
        self.file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    fn take(&mut self, at: u64, length: u64) {
        if length > 0 {
            assert!(self.used.insert((at, at + length)), "something else is at {at}");
        }
    }

    /// The inode without its data.
    fn raw(&self, nid: u64) -> Inode {
        let at = self.metadata + nid * 32;
        let small = self.bytes(at, 32);
        let format = number(&small[..2]) as u16;
        assert!(format < 16, "a bit that old kernels do not know");
        let xattr_words = number(&small[2..4]);
        let mode = number(&small[4..6]) as u32;
        let is_small = format & 1 == 0;
        let large = if is_small { vec![0; 64] } else { self.bytes(at, 64) };
        let field = |small_at: (usize, usize), large_at: (usize, usize)| match is_small {
            true => number(&small[small_at.0..small_at.1]),
            false => number(&large[large_at.0..large_at.1]),
        };
        let mtime = match is_small {
            true => self.build,
            false => (number(&large[32..40]) as i64, number(&large[40..44]) as u32),
        };
        let data = number(&small[16..20]) as u32;
        let is_device = matches!(mode & 0o170_000, 0o020_000 | 0o060_000);
        let head = if is_small { 32 } else { 64 };
        let (xattrs, xattr_bytes) = self.xattrs(at + head, xattr_words);
        let found = Found {
            mode,
            uid: field((24, 26), (24, 28)) as u32,
            gid: field((26, 28), (28, 32)) as u32,
            mtime,
            links: field((6, 8), (44, 48)) as u32,
            size: field((8, 12), (8, 16)),
            device: if is_device { data } else { 0 },
            xattrs,
            data: BTreeMap::new(),
            inode: nid,
        };
        Inode { found, layout: format >> 1, data, end: at + head + xattr_bytes }
    }

    fn inode(&mut self, nid: u64) -> Found {
        let Inode { mut found, layout, data, end } = self.raw(nid);
        self.take(self.metadata + nid * 32, end - self.metadata - nid * 32);
        match found.mode & 0o170_000 {
            0o100_000 | 0o120_000 | 0o040_000 => (),
            _ => {
                assert_eq!((layout, found.size), (0, 0));
                return found;
            }
        }
        let whole = if layout == 2 { found.size / self.block * self.block } else { found.size };
        if layout == 4 {
            self.chunks(&mut found, data, end);
            return found;
        }
        if whole > 0 {
            let blocks = whole.div_ceil(self.block) * self.block;
            let at = u64::from(data) * self.block;
            self.take(at, blocks);
            let bytes = self.bytes(at, blocks);
            assert!(bytes[whole as usize..].iter().all(|&byte| byte == 0), "nothing leaks behind the end");
            found.data.extend(pieces(0, &bytes[..whole as usize]));
        }
        if layout == 2 {
            let rest = found.size - whole;
            assert!(rest > 0 && end % self.block + rest <= self.block, "inline data crosses a block");
            self.take(end, rest);
            found.data.extend(pieces(whole, &self.bytes(end, rest)));
        }
        found
    }

    fn chunks(&mut self, found: &mut Found, format: u32, map: u64) {
        assert!(format < 32, "only block addresses");
        let chunk = self.block << format;
        let chunks = found.size.div_ceil(chunk);
        self.take(map, chunks * 4);
        let map = self.bytes(map, chunks * 4);
        for (offset, address) in (0..).step_by(chunk as usize).zip(map.chunks(4)) {
            let address = number(address);
            if address == u64::from(u32::MAX) {
                continue;
            }
            let length = chunk.min((found.size - offset).next_multiple_of(self.block));
            self.take(address * self.block, length);
            let bytes = self.bytes(address * self.block, length);
            let (content, behind) = bytes.split_at(length.min(found.size - offset) as usize);
            assert!(behind.iter().all(|&byte| byte == 0), "nothing leaks behind the end");
            found.data.extend(pieces(offset, content));
        }
    }

    /// The entries of a directory but for the dots, and their types.
    pub(crate) fn directory(&self, nid: u64, parent: u64) -> Vec<(Vec<u8>, u64, u8)> {
        let Inode { found, layout, data, end } = self.raw(nid);
        let whole = if layout == 2 { found.size / self.block * self.block } else { found.size };
        let mut content = self.bytes(u64::from(data) * self.block, whole);
        if layout == 2 {
            content.extend(self.bytes(end, found.size - whole));
        }
        let mut entries = Vec::new();
        for block in content.chunks(self.block as usize) {
            let count = number(&block[8..10]) / 12;
            let offset = |index: u64| number(&block[index as usize * 12 + 8..][..2]) as usize;
            for index in 0..count {
                let entry = &block[index as usize * 12..][..12];
                let end = if index + 1 < count { offset(index + 1) } else { block.len() };
                let name = &block[offset(index)..end];
                let name = name.split(|&byte| byte == 0).next().unwrap();
                assert!(!name.is_empty() && name.len() <= 255 && entry[11] == 0);
                entries.push((name.to_vec(), number(&entry[..8]), entry[10]));
            }
        }
        assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0), "names are out of order");
        let mut take = |name: &[u8], nid, kind| {
            let at = entries.iter().position(|entry| entry.0 == name).expect("a directory has both dots");
            assert_eq!(entries.remove(at), (name.to_vec(), nid, kind));
        };
        take(b".", nid, 2);
        take(b"..", parent, 2);
        entries
    }

    fn xattrs(&self, at: u64, words: u64) -> (BTreeMap<Vec<u8>, Vec<u8>>, u64) {
        let mut found = BTreeMap::new();
        if words == 0 {
            return (found, 0);
        }
        let length = 12 + 4 * (words - 1);
        let bytes = self.bytes(at, length);
        let shared = usize::from(bytes[4]);
        let mut read = |bytes: &[u8]| {
            let (name, value, length) = xattr(bytes);
            assert!(found.insert(name, value).is_none());
            length
        };
        for place in bytes[12..12 + 4 * shared].chunks(4) {
            let at = self.xattrs + number(place) * 4;
            let most = (self.blocks * self.block - at).min(70_000);
            read(&self.bytes(at, most));
        }
        let mut rest = &bytes[12 + 4 * shared..];
        while !rest.is_empty() {
            rest = &rest[read(rest)..];
        }
        (found, length)
    }
}

fn xattr(bytes: &[u8]) -> (Vec<u8>, Vec<u8>, usize) {
    let prefix: &[u8] = match bytes[1] {
        1 => b"user.",
        2 => b"system.posix_acl_access",
        3 => b"system.posix_acl_default",
        4 => b"trusted.",
        6 => b"security.",
        other => panic!("prefix {other}"),
    };
    let (name, value) = (usize::from(bytes[0]), number(&bytes[2..4]) as usize);
    let full = [prefix, &bytes[4..4 + name]].concat();
    (full, bytes[4 + name..4 + name + value].to_vec(), (4 + name + value).next_multiple_of(4))
}

fn type_in_directory(mode: u32) -> u8 {
    match mode & 0o170_000 {
        0o100_000 => 1,
        0o040_000 => 2,
        0o020_000 => 3,
        0o060_000 => 4,
        0o010_000 => 5,
        0o120_000 => 7,
        other => panic!("type {other:o}"),
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// CRC-32C bit by bit, without the last inversion.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

/// Lists an image like a tree on disk.
pub(crate) fn list(file: &File) -> Listing {
    let (mut listing, mut groups) = (Listing::new(), Groups::new());
    for (path, found) in Image::open(file).read() {
        let path = if path.is_empty() { b".".to_vec() } else { path };
        if found.links > 1 && found.mode & 0o170_000 != 0o040_000 {
            groups.entry((0, found.inode)).or_default().push(path.clone());
        }
        listing.insert(path, describe(&found));
    }
    tree::name_groups(&mut listing, groups);
    listing
}

fn describe(found: &Found) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut set = |name: &str, value: String| assert!(fields.insert(name.to_owned(), value).is_none());
    set("uid", found.uid.to_string());
    set("gid", found.gid.to_string());
    set("mtime", format!("{}.{:09}", found.mtime.0, found.mtime.1));
    for (name, value) in &found.xattrs {
        set(&format!("xattr.{}", tree::escape(name)), tree::hex(value));
    }
    let (kind, device) = (found.mode & 0o170_000, found.device);
    let content = || {
        let mut content = vec![0; found.size as usize];
        found.data.iter().for_each(|(&at, piece)| content[at as usize..][..piece.len()].copy_from_slice(piece));
        content
    };
    match kind {
        0o100_000 => {
            set("size", found.size.to_string());
            set("sha256", tree::hex(&Sha256::digest(content())));
        }
        0o120_000 => set("target", tree::escape(&content())),
        0o020_000 | 0o060_000 => {
            set("rdev", format!("{}:{}", device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00));
        }
        _ => (),
    }
    if kind != 0o120_000 {
        set("mode", format!("{:04o}", found.mode & 0o7777));
    }
    let types = ["", "fifo", "char", "", "dir", "", "block", "", "file", "", "symlink"];
    set("type", types[(kind >> 12) as usize].into());
    fields
}
