//! What the writer refuses, because it would make an image that is not the one that is meant.

use layercage::Error;
use layercage::erofs::{Attributes, BlockSize, Content, Entries, EntryNode, NodeKind, Options, Salt, Tree, Writer};
use layercage::error::{ErrorKind, Misuse};
use layercage::tar::{Metadata, Segment, Source, SparseMap, Timestamp, Xattr};
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

/// Data, and then an error.
struct Breaks(&'static [u8]);

impl Source for Breaks {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        if self.0.is_empty() { Err(Misuse::Cancelled.into()) } else { Ok(self.0) }
    }

    fn consume(&mut self, bytes: usize) {
        self.0 = &self.0[bytes..];
    }
}

#[test]
fn after_a_file_that_failed_the_writer_can_only_be_dropped() {
    let file = tempfile::tempfile().unwrap();
    let writer = || Writer::new(&file, Options::new(), tempfile::tempfile).unwrap();
    // The rest of the file is in memory, so the next writer finds the file empty.
    let failed = || {
        let mut writer = writer();
        let error = writer.write_file(1_000, None, &mut Breaks(b"a part")).unwrap_err();
        assert_eq!(error.misuse(), Some(&Misuse::Cancelled));
        writer
    };
    let later = failed().write_file(5, None, &mut &b"later"[..]).unwrap_err();
    assert_eq!(later.misuse(), Some(&Misuse::Poisoned));
    let finished = failed().finish(&Entries::new()).unwrap_err();
    assert_eq!(finished.misuse(), Some(&Misuse::Poisoned));
    assert_eq!(file.metadata().unwrap().len(), 0, "nothing was written");
    writer().finish(&Entries::new()).unwrap();
}

#[test]
fn data_and_holes_of_another_size_than_the_file_are_misuse() {
    let map = |size| SparseMap::new(vec![Segment { offset: size - 10, length: 10 }], size, 10).unwrap();
    let (right, short, long) = (map(9_000), map(8_000), map(10_000));
    for block_size in [BlockSize::Small, BlockSize::Large] {
        let write = |size, sparse, length| {
            let file = tempfile::tempfile().unwrap();
            let options = Options::new().with_block_size(block_size);
            let mut writer = Writer::new(&file, options, tempfile::tempfile).unwrap();
            writer.write_file(size, sparse, &mut &vec![b'x'; length][..]).map(drop)
        };
        write(9_000, None, 9_000).unwrap();
        write(9_000, Some(&right), 10).unwrap();
        for (size, sparse, length, expected) in [
            (9_000, None, 8_999, "less data than it stores"),
            (9_000, None, 0, "less data than it stores"),
            (9_000, None, 9_001, "more data than it stores"),
            (0, None, 1, "more data than it stores"),
            (9_000, Some(&right), 9, "less data than it stores"),
            (9_000, Some(&right), 11, "more data than it stores"),
            (9_000, Some(&short), 10, "a sparse map of another size"),
            (9_000, Some(&long), 10, "a sparse map of another size"),
        ] {
            let error = write(size, sparse, length).unwrap_err();
            assert_eq!(error.misuse(), Some(&Misuse::OtherSize { size, what: expected }), "{size} {length}");
        }
    }
}

/// Directories, each with the numbers and names of the directories in it.
struct Directories<'d>(&'d [&'d [(u32, &'static str)]]);

impl Tree for Directories<'_> {
    type Node = (u32, &'static str);
    fn root(&self) -> Self::Node {
        (0, "")
    }
    fn children(&self, (directory, _): Self::Node) -> impl Iterator<Item = Self::Node> {
        self.0[directory as usize].iter().copied()
    }
    fn name(&self, (_, name): Self::Node) -> &[u8] {
        name.as_bytes()
    }
    fn inode(&self, (directory, _): Self::Node) -> u32 {
        directory
    }
    fn inode_count(&self) -> u32 {
        self.0.len() as u32
    }
    fn link_count(&self, _: Self::Node) -> u32 {
        1
    }
    fn kind(&self, _: Self::Node) -> NodeKind<'_> {
        NodeKind::Directory
    }
    fn attributes(&self, _: Self::Node) -> Attributes<'_> {
        Attributes { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::of_seconds(0), xattrs: &[] }
    }
}

#[test]
fn a_directory_that_is_in_the_tree_twice_or_in_itself_is_misuse() {
    let finish = |directories: &[&[(u32, &'static str)]]| {
        let file = tempfile::tempfile().unwrap();
        let writer = Writer::new(&file, Options::new(), tempfile::tempfile).unwrap();
        writer.finish(&Directories(directories)).map(drop)
    };
    finish(&[&[(1, "a")], &[(2, "b")], &[]]).unwrap();
    for wrong in [
        &[&[(0, "a")][..]][..],
        &[&[(1, "a")], &[(1, "a")]],
        &[&[(1, "a")], &[(2, "b")], &[(1, "a")]],
        &[&[(1, "a"), (1, "b")], &[]],
        &[&[(1, "a"), (2, "b")], &[(2, "b")], &[]],
    ] {
        let error = finish(wrong).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::RepeatedDirectory { .. })), "{error}");
    }
}

#[test]
fn attributes_with_names_that_linux_has_not_and_attributes_twice_are_misuse() {
    let finish = |names: &[&str]| {
        let file = tempfile::tempfile().unwrap();
        let mut metadata = Metadata::default();
        metadata.xattrs = names.iter().map(|&name| Xattr { name: name.into(), value: b"v".to_vec() }).collect();
        let mut entries = Entries::new();
        entries.add(b"a", metadata, EntryNode::Fifo).unwrap();
        Writer::new(&file, Options::new(), tempfile::tempfile).unwrap().finish(&entries).map(drop)
    };
    let longest = format!("user.{}", "n".repeat(250));
    finish(&["user.a", "user.b", &longest]).unwrap();
    for wrong in [&["user.a", "user.b", "user.a"][..], &["user.a\0"], &[&format!("{longest}n")]] {
        let error = finish(wrong).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::ImpossibleXattr { .. })), "{wrong:?}: {error}");
    }
}

#[test]
fn a_file_that_would_not_have_the_image_is_misuse_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    File::create(&path).unwrap();
    let open = |options: &mut std::fs::OpenOptions| options.open(&path).unwrap();
    let (_reader, pipe) = std::io::pipe().unwrap();
    let mut full = tempfile::tempfile().unwrap();
    full.write_all(b"old").unwrap();
    for (file, expected) in [
        (open(File::options().read(true).append(true)), "is open for appending, and the image is not written in order"),
        (open(File::options().write(true)), "is not open for reading and writing"),
        (open(File::options().read(true)), "is not open for reading and writing"),
        (File::from(std::os::fd::OwnedFd::from(pipe)), "is a pipe, a device or a directory, and not a regular file"),
        (
            File::options().read(true).write(true).open("/dev/null").unwrap(),
            "is a pipe, a device or a directory, and not a regular file",
        ),
        (File::open(place.path()).unwrap(), "is a pipe, a device or a directory, and not a regular file"),
        (full.try_clone().unwrap(), "is not empty"),
    ] {
        let error = Writer::new(&file, Options::new(), tempfile::tempfile).unwrap_err();
        assert_eq!(error.misuse(), Some(&Misuse::UnsuitableFile { why: expected }));
    }
    assert_eq!((full.metadata().unwrap().len(), std::fs::metadata(&path).unwrap().len()), (3, 0));
}

#[test]
fn content_of_another_writer_is_misuse_and_an_empty_file_is_that_of_any_writer() {
    let (one, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let options = || Options::new().with_block_size(BlockSize::Large);
    let finish = |of_another: Content| {
        let other = tempfile::tempfile().unwrap();
        let mut writer = Writer::new(&other, options(), tempfile::tempfile).unwrap();
        let own = writer.write_file(7, None, &mut &b"its own"[..]).unwrap();
        let mut entries = Entries::new();
        entries.add(b"a", Metadata::default(), EntryNode::File(own)).unwrap();
        entries.add(b"b", Metadata::default(), EntryNode::File(of_another)).unwrap();
        let finished = writer.finish(&entries);
        let has_superblock = magic(&other) != [0; 4];
        (finished, has_superblock)
    };
    let mut writer = Writer::new(&one, options(), tempfile::tempfile).unwrap();
    for content in [&b"others"[..], b"", &[b'x'; 4096]] {
        let of_another = writer.write_file(content.len() as u64, None, &mut &*content).unwrap();
        let (finished, has_superblock) = finish(of_another);
        let error = finished.unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::OtherWriter { name }) if name.to_string() == "\"b\""), "{error}");
        assert!(!has_superblock);
    }
    drop((writer, other));
    assert!(finish(Content::default()).0.is_ok());
}

/// The first bytes of the superblock, which say that there is a file system.
fn magic(file: &File) -> [u8; 4] {
    let mut magic = [0; 4];
    let read = file.read_at(&mut magic, 1024).unwrap();
    assert!(read == 4 || magic == [0; 4]);
    magic
}

/// Entries whose walk forbids that the file grows over so many bytes.
struct Seals<'t> {
    entries: &'t Entries,
    file: &'t File,
    most: u64,
}

impl Tree for Seals<'_> {
    type Node = u32;
    fn root(&self) -> u32 {
        // Only the first call changes something.
        if self.file.set_len(self.most).is_ok() {
            rustix::fs::fcntl_add_seals(self.file, SealFlags::GROW).unwrap();
        }
        self.entries.root()
    }
    fn children(&self, directory: u32) -> impl Iterator<Item = u32> {
        self.entries.children(directory)
    }
    fn name(&self, node: u32) -> &[u8] {
        self.entries.name(node)
    }
    fn inode(&self, node: u32) -> u32 {
        self.entries.inode(node)
    }
    fn inode_count(&self) -> u32 {
        self.entries.inode_count()
    }
    fn link_count(&self, node: u32) -> u32 {
        self.entries.link_count(node)
    }
    fn kind(&self, node: u32) -> NodeKind<'_> {
        self.entries.kind(node)
    }
    fn attributes(&self, node: u32) -> Attributes<'_> {
        self.entries.attributes(node)
    }
}

#[test]
fn an_image_whose_hash_tree_cannot_be_written_has_no_superblock() {
    let create = || File::from(rustix::fs::memfd_create("image", MemfdFlags::ALLOW_SEALING).unwrap());
    let finish = |file: &File, most: Option<u64>| {
        let options = Options::new().with_verity(Salt::default());
        let mut writer = Writer::new(file, options, tempfile::tempfile).unwrap();
        let content = vec![b'x'; 1 << 20];
        let content = writer.write_file(content.len() as u64, None, &mut &*content).unwrap();
        let mut entries = Entries::new();
        entries.add(b"a", Metadata::default(), EntryNode::File(content)).unwrap();
        match most {
            Some(most) => writer.finish(&Seals { entries: &entries, file, most }),
            None => writer.finish(&entries),
        }
    };
    let file = create();
    let written = finish(&file, None).unwrap();
    assert_ne!(magic(&file), [0; 4], "with room, the image is complete");
    let hash_offset = written.verity.unwrap().hash_offset;
    // The file system has room, and the hash tree has not.
    let file = create();
    let error = finish(&file, Some(hash_offset)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::System(system) if system.call == "pwrite64"), "{error}");
    assert_eq!(file.metadata().unwrap().len(), hash_offset, "the file system is there");
    assert_eq!(magic(&file), [0; 4]);
}
