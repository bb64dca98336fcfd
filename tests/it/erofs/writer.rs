//! The writer, read back by a reader that was written apart.

use crate::support::erofs::{Found, Image, pieces};
use layercage::erofs::{Attributes, BlockSize, Content, Entries, EntryNode, NodeKind, Options, Tree, Writer};
use layercage::error::{ErrorKind, Misuse};
use layercage::tar::{Device, DeviceKind, LinkTarget, Metadata, Segment, SparseMap, Timestamp, Xattr};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};

const SIZES: [BlockSize; 2] = [BlockSize::Small, BlockSize::Large];

fn metadata(mode: u32, owner: u32) -> Metadata {
    let mut metadata = Metadata::default();
    (metadata.mode, metadata.uid, metadata.gid) = (mode, owner, owner / 2);
    metadata.mtime = Timestamp::new(i64::from(owner) - 50, owner % 1_000_000).unwrap();
    metadata
}

fn with_xattrs(mut metadata: Metadata, xattrs: &[(&str, usize)]) -> Metadata {
    let xattr = |&(name, length): &(&str, usize)| Xattr { name: name.into(), value: vec![b'v'; length] };
    metadata.xattrs = xattrs.iter().map(xattr).collect();
    metadata
}

/// An image that is being written, and what a reader should find in it.
struct Draft<'f> {
    writer: Writer<'f>,
    entries: Entries,
    expected: BTreeMap<Vec<u8>, (Metadata, Found)>,
}

impl<'f> Draft<'f> {
    fn new(file: &'f File, options: Options) -> Self {
        let writer = Writer::new(file, options, tempfile::tempfile).unwrap();
        Self { writer, entries: Entries::new(), expected: BTreeMap::new() }
    }

    fn add(&mut self, path: &str, metadata: Metadata, kind: u32, node: EntryNode) -> &mut Found {
        self.entries.add(path.as_bytes(), metadata.clone(), node).unwrap();
        let found = Found { mode: kind | metadata.mode, ..Found::of(&metadata) };
        self.expected.insert(path.into(), (metadata, found));
        &mut self.expected.get_mut(path.as_bytes()).unwrap().1
    }

    fn file(&mut self, path: &str, metadata: Metadata, content: &[u8]) {
        let written = self.writer.write_file(content.len() as u64, None, &mut &*content).unwrap();
        let found = self.add(path, metadata, 0o100_000, EntryNode::File(written));
        (found.size, found.data) = (content.len() as u64, pieces(0, content).collect());
    }

    /// A file with data at some places, each within a piece of 512 bytes.
    fn sparse(&mut self, path: &str, data: &[(u64, &str)], size: u64) {
        let segment = |&(offset, text): &(u64, &str)| Segment { offset, length: text.len() as u64 };
        let mut segments: Vec<_> = data.iter().map(segment).collect();
        let end = segments.last().map_or(0, |last| last.offset + last.length);
        if end < size {
            segments.push(Segment { offset: size, length: 0 });
        }
        let stored: String = data.iter().map(|(_, text)| *text).collect();
        let map = SparseMap::new(segments, size, stored.len() as u64).unwrap();
        let written = self.writer.write_file(size, Some(&map), &mut stored.as_bytes()).unwrap();
        let found = self.add(path, metadata(0o600, 1), 0o100_000, EntryNode::File(written));
        found.size = size;
        for &(offset, text) in data {
            let start = offset / 512 * 512;
            let piece = found.data.entry(start).or_insert_with(|| vec![0; (size - start).min(512) as usize]);
            piece[(offset - start) as usize..][..text.len()].copy_from_slice(text.as_bytes());
        }
    }

    fn symlink(&mut self, path: &str, length: usize) {
        let target = vec![b'x'; length];
        let node = EntryNode::Symlink(LinkTarget::parse(&target).unwrap());
        let found = self.add(path, metadata(0o777, 2), 0o120_000, node);
        (found.size, found.data) = (length as u64, pieces(0, &target).collect());
    }

    fn directory(&mut self, path: &str, metadata: Metadata) {
        self.add(path, metadata, 0o040_000, EntryNode::Directory);
    }

    /// Writes the image and compares what is in it.
    fn check(self, file: &File) {
        let written = self.writer.finish(&self.entries).unwrap();
        assert_eq!(written.bytes, file.metadata().unwrap().len());
        let mut read = Image::open(file).read();
        assert_eq!(read.values().map(|found| found.inode).collect::<std::collections::BTreeSet<_>>().len() as u64, {
            written.inodes
        });
        assert!(read.values().all(|found| found.inode > 0), "0 would be taken for a removed file");
        for (path, (_, mut expected)) in self.expected {
            let mut found = read.remove(&path).unwrap();
            if found.mode & 0o170_000 == 0o040_000 {
                // The reader checks these against each other.
                (found.size, found.links) = (0, 1);
                found.data.clear();
            }
            expected.inode = found.inode;
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(&path));
        }
        // What is left are directories that were implied.
        assert!(read.values().all(|found| found.mode == 0o040_755 && found.uid == 0), "{read:?}");
    }
}

#[test]
fn every_kind_of_file_with_every_attribute_is_read_back_as_it_was_written() {
    for size in SIZES {
        let file = tempfile::tempfile().unwrap();
        let mut draft = Draft::new(&file, Options::new().with_block_size(size));
        draft.directory("", metadata(0o1777, 9));
        for number in 0..600_u32 {
            let content: Vec<_> = (0..number * 37 % 9_000).map(|at| (at % 251) as u8).collect();
            draft.file(&format!("many/file{number}"), metadata(0o4755, number * 500), &content);
        }
        for length in [1, 383, 384, 385, 447, 448, 449, 511, 512, 513, 1000, 4031, 4032, 4033, 4095] {
            draft.symlink(&format!("links/{length}"), length);
        }
        draft.add("fifo", metadata(0o600, 3), 0o010_000, EntryNode::Fifo);
        for (name, kind, bits) in [("c", DeviceKind::Character, 0o020_000), ("b", DeviceKind::Block, 0o060_000)] {
            let device = Device { kind, major: 4095, minor: 0xf_fff0 };
            draft.add(name, metadata(0o660, 0), bits, EntryNode::Device(device)).device = 0xffff_fff0;
        }
        for value in [0, 1, 100, 460, 520, 4_000, 65_535] {
            let xattrs: &[(&str, usize)] = &[
                ("security.capability", 20),
                ("system.posix_acl_access", 28),
                ("system.posix_acl_default", 4),
                ("trusted.a", value),
                ("user.mime_type", 9),
            ];
            draft.file(&format!("xattrs/{value}"), with_xattrs(metadata(0o644, value as u32), xattrs), &[7; 2_000]);
            let once = format!("user.{value}{}", "n".repeat(240));
            draft.directory(&format!("own/{value}"), with_xattrs(metadata(0o700, 70_000), &[(&once, value)]));
        }
        for number in 0..300 {
            draft.directory(&format!("names/{}", "n".repeat(1 + number % 255)), metadata(0o555, 4));
        }
        draft.directory(&vec!["d"; 400].join("/"), metadata(0o000, 5));
        draft.check(&file);
    }
}

#[test]
fn holes_stay_holes_even_in_a_file_of_a_tebibyte() {
    for size in SIZES {
        let file = tempfile::tempfile().unwrap();
        let mut draft = Draft::new(&file, Options::new().with_block_size(size));
        draft.sparse("large", &[(0, "begin"), (1 << 35, "middle"), ((1 << 40) - 3, "end")], 1 << 40);
        draft.sparse("empty", &[], 1 << 40);
        draft.sparse("small", &[(5_000, "hello"), (99_999, "x")], 100_000);
        draft.sparse("dense", &[(0, "whole")], 5);
        draft.file("beside", metadata(0o644, 1), b"content");
        draft.check(&file);
        // Of three chunks with data and a map of a tebibyte, both take a few mebibytes.
        assert!(file.metadata().unwrap().len() < 9 << 20, "{}", file.metadata().unwrap().len());
    }
}

#[test]
fn the_dots_are_in_order_with_the_names_before_and_behind_them() {
    for size in SIZES {
        let file = tempfile::tempfile().unwrap();
        let mut draft = Draft::new(&file, Options::new().with_block_size(size));
        for name in ["!", "-", ".-", "...", "..a", ".a", "+", "~", "\u{fc}"] {
            draft.add(&format!("dots/{name}"), metadata(0o600, 0), 0o010_000, EntryNode::Fifo);
        }
        draft.check(&file);
    }
}

#[test]
fn hard_links_are_one_inode_wherever_they_are() {
    let file = tempfile::tempfile().unwrap();
    let mut draft = Draft::new(&file, Options::new());
    draft.file("z/first", metadata(0o644, 1), b"shared");
    let count = 70_000;
    for number in 1..count {
        draft.entries.link(format!("a/{number}").as_bytes(), b"z/first").unwrap();
    }
    draft.writer.finish(&draft.entries).unwrap();
    let read = Image::open(&file).read();
    let links: Vec<_> = read.values().filter(|found| found.mode == 0o100_644).collect();
    assert_eq!(links.len(), count);
    assert!(links.iter().all(|found| found.links as usize == count && found.inode == links[0].inode));
}

/// A tree that takes no memory: files with names of six digits.
struct Numbered(u32);

impl Tree for Numbered {
    type Node = u32;
    fn root(&self) -> u32 {
        0
    }
    fn children(&self, directory: u32) -> impl Iterator<Item = u32> {
        1..=if directory == 0 { self.0 } else { 0 }
    }
    fn name(&self, node: u32) -> &[u8] {
        NAMES.get_or_init(|| (0..=1_000_000_u32).map(|number| format!("{number:07}").into_bytes()).collect())
            [node as usize]
            .as_slice()
    }
    fn inode(&self, node: u32) -> u32 {
        node
    }
    fn inode_count(&self) -> u32 {
        self.0 + 1
    }
    fn link_count(&self, _: u32) -> u32 {
        1
    }
    fn kind(&self, node: u32) -> NodeKind<'_> {
        if node == 0 { NodeKind::Directory } else { NodeKind::File(Content::default()) }
    }
    fn attributes(&self, _: u32) -> Attributes<'_> {
        Attributes { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::of_seconds(0), xattrs: &[] }
    }
}

static NAMES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();

#[test]
fn a_directory_has_a_million_entries() {
    let file = tempfile::tempfile().unwrap();
    let written = Writer::new(&file, Options::new(), tempfile::tempfile).unwrap().finish(&Numbered(1_000_000)).unwrap();
    assert_eq!(written.inodes, 1_000_001);
    // 32 bytes an inode, and 20 an entry.
    assert!(written.bytes < 53_500_000, "{}", written.bytes);
    let image = Image::open(&file);
    let names = image.directory(image.root, image.root);
    assert_eq!(names.len(), 1_000_000);
    assert!(
        names.iter().zip(1..).all(|((name, _, kind), number)| *name == format!("{number:07}").as_bytes() && *kind == 1)
    );
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let image = || {
        let file = tempfile::tempfile().unwrap();
        let mut draft = Draft::new(&file, Options::new().with_verity("c0ffee".parse().unwrap()).with_uuid([7; 16]));
        for number in 0..50 {
            let xattrs = [("user.same", 5), ("trusted.other", number)];
            draft.file(&format!("f{number}"), with_xattrs(metadata(0o644, 8), &xattrs), &vec![1; number * 100]);
        }
        let written = draft.writer.finish(&draft.entries).unwrap();
        let mut bytes = Vec::new();
        (&file).rewind().unwrap();
        (&file).read_to_end(&mut bytes).unwrap();
        (bytes, written)
    };
    assert!(image() == image());
}

#[test]
fn features_that_old_kernels_lack_are_stated_only_where_they_are_used() {
    for (size, sparse, features) in
        [(BlockSize::Small, false, (2, 0)), (BlockSize::Large, false, (3, 0)), (BlockSize::Large, true, (3, 4))]
    {
        let file = tempfile::tempfile().unwrap();
        let mut draft = Draft::new(&file, Options::new().with_block_size(size).with_uuid([3; 16]));
        if sparse {
            draft.sparse("holes", &[], 1 << 20);
        }
        draft.writer.finish(&draft.entries).unwrap();
        let image = Image::open(&file);
        assert_eq!((image.features, image.uuid), (features, [3; 16]));
    }
}

#[test]
fn small_inodes_are_those_whose_time_is_that_of_the_image() {
    let size = |time: i64| {
        let file = tempfile::tempfile().unwrap();
        let mut draft = Draft::new(&file, Options::new().with_build_time(Timestamp::of_seconds(time)));
        for number in 0..1_000 {
            let mut same = metadata(0o644, 0);
            same.mtime = Timestamp::of_seconds(7);
            draft.file(&number.to_string(), same, b"");
        }
        draft.check(&file);
        file.metadata().unwrap().len()
    };
    // In whole blocks.
    assert_eq!(size(8) - size(7), 31_744);
}

#[test]
fn what_an_image_cannot_hold_is_an_error_and_no_image() {
    type Case = (fn(&mut Draft<'_>), fn(&Misuse) -> bool);
    let cases: &[Case] = &[
        (
            |draft| draft.file("a", with_xattrs(metadata(0o644, 0), &[("system.nfs4_acl", 3)]), b""),
            |misuse| matches!(misuse, Misuse::ImpossibleXattr { .. }),
        ),
        (
            |draft| draft.file("a", with_xattrs(metadata(0o644, 0), &[("user.a", 65_536)]), b""),
            |misuse| matches!(misuse, Misuse::ImpossibleXattr { .. }),
        ),
        (
            |draft| {
                let names: Vec<_> = (0..256).map(|number| format!("user.{number}")).collect();
                let xattrs: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
                draft.file("a", with_xattrs(metadata(0o644, 0), &xattrs), b"");
            },
            |misuse| matches!(misuse, Misuse::TooManyXattrs { .. }),
        ),
    ];
    for (prepare, is_right) in cases {
        let file = tempfile::tempfile().unwrap();
        let mut draft = Draft::new(&file, Options::new());
        prepare(&mut draft);
        let error = draft.writer.finish(&draft.entries).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse(misuse) if is_right(misuse)), "{error}");
        let mut magic = [0; 4];
        let read = std::os::unix::fs::FileExt::read_at(&file, &mut magic, 1024).unwrap();
        assert!(read == 0 || magic == [0; 4], "the file is no file system");
    }
}

#[test]
fn paths_and_links_that_make_no_tree_are_refused() {
    let mut entries = Entries::new();
    entries.add(b"a/b", metadata(0o600, 0), EntryNode::Fifo).unwrap();
    let refused = [
        entries.add(b"a/b", metadata(0o600, 0), EntryNode::Fifo),
        entries.add(b"a/b/c", metadata(0o600, 0), EntryNode::Fifo),
        entries.add(b"a/b", metadata(0o600, 0), EntryNode::Directory),
        entries.add(b"", metadata(0o600, 0), EntryNode::Fifo),
        entries.add(b"a/../c", metadata(0o600, 0), EntryNode::Fifo),
        entries.link(b"l", b"a"),
        entries.link(b"l", b"missing"),
        entries.link(b"a/b", b"a/b"),
    ];
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    entries.link(b"l", b"a/b").unwrap();
}

/// A tree with names in the wrong order.
struct Disorder(Vec<&'static [u8]>);

impl Tree for Disorder {
    type Node = usize;
    fn root(&self) -> usize {
        self.0.len()
    }
    fn children(&self, directory: usize) -> impl Iterator<Item = usize> {
        if directory == self.0.len() { 0..self.0.len() } else { 0..0 }
    }
    fn name(&self, node: usize) -> &[u8] {
        self.0[node]
    }
    fn inode(&self, node: usize) -> u32 {
        node as u32
    }
    fn inode_count(&self) -> u32 {
        self.0.len() as u32 + 1
    }
    fn link_count(&self, _: usize) -> u32 {
        1
    }
    fn kind(&self, node: usize) -> NodeKind<'_> {
        if node == self.0.len() { NodeKind::Directory } else { NodeKind::Fifo }
    }
    fn attributes(&self, _: usize) -> Attributes<'_> {
        Attributes { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::of_seconds(0), xattrs: &[] }
    }
}

#[test]
fn a_tree_whose_names_linux_would_not_find_is_refused() {
    let finish = |names: &[&'static [u8]]| {
        let file = tempfile::tempfile().unwrap();
        Writer::new(&file, Options::new(), tempfile::tempfile).unwrap().finish(&Disorder(names.to_vec())).map(drop)
    };
    finish(&[b"a", b"b"]).unwrap();
    let long: &'static [u8] = &[b'n'; 256];
    for wrong in [&[b"b", &b"a"[..]][..], &[b"a", b"a"], &[b"."], &[b".."], &[b""], &[b"a/b"], &[b"a\0"], &[long]] {
        let error = finish(wrong).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse(Misuse::NamesOutOfOrder { .. })), "{wrong:?}: {error}");
    }
}
