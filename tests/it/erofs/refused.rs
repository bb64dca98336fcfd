//! What the writer refuses, because it would make an image that is not the one that is meant.

use layercage::Error;
use layercage::erofs::{Attributes, BlockSize, Entries, EntryNode, NodeKind, Options, Tree, Writer};
use layercage::error::Misuse;
use layercage::tar::{Metadata, Segment, Source, SparseMap, Timestamp, Xattr};

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
        let file = tempfile::tempfile().unwrap();
        let write = |size, sparse, length| {
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
