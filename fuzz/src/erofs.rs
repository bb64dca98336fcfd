//! EROFS images: trees of any shape, written and read back.

use super::bytes::Bytes;
use super::support::erofs::{Found, Image, pieces};
use layercage::erofs::{BlockSize, Entries, EntryNode, Options, Salt, Writer};
use layercage::tar::{Device, DeviceKind, LinkTarget, Metadata, Segment, SparseMap, Timestamp, Xattr};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What an image should have at its paths.
type Expected = BTreeMap<Vec<u8>, Found>;

const NAMES: &[&str] = &["a", "b", "c", "-", ".a", "...", "~", "d", "e", "f"];
const MODES: &[u32] = &[0o644, 0o755, 0o4755, 0o000, 0o1777, 0o7777];
const SIZES: &[usize] = &[0, 1, 12, 448, 511, 512, 513, 2047, 2048, 2049, 4095, 4096, 4097, 9000];
const ATTRIBUTES: &[&str] =
    &["user.a", "user.b", "trusted.c", "security.d", "system.posix_acl_access", "system.posix_acl_default"];

/// Writes a tree with both sizes of blocks. What a reader finds in it is the tree that was written, and the same tree gives the
/// same bytes.
pub fn erofs(data: &[u8]) {
    for size in [BlockSize::Small, BlockSize::Large] {
        let (file, mut expected) = write(data, size);
        expected.values_mut().for_each(|expected| expected.inode = 0);
        let mut found = Image::open(&file).read();
        // Directories that no one asked for are implied.
        found.retain(|path, found| expected.contains_key(path) || found.mode != 0o040_755);
        for (path, found) in &mut found {
            found.inode = 0;
            if found.mode & 0o170_000 == 0o040_000 {
                (found.size, found.links) = (0, 1);
                found.data.clear();
            }
            assert_eq!(Some(&*found), expected.get(path), "{}", String::from_utf8_lossy(path));
        }
        assert_eq!(found.len(), expected.len());
        assert!(bytes(&file) == bytes(&write(data, size).0), "the same tree gives the same bytes");
    }
}

fn bytes(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// A path of an image, for a reader of another crate.
pub struct Plain {
    pub path: String,
    /// Of a regular file that is not mostly holes.
    pub content: Option<Vec<u8>>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The images of a tree, and what they should have.
pub fn images(data: &[u8]) -> Vec<(Vec<u8>, Vec<Plain>)> {
    let image = |size| {
        let (file, expected) = write(data, size);
        (bytes(&file), expected.into_iter().map(plain).collect())
    };
    [BlockSize::Small, BlockSize::Large].map(image).into()
}

fn plain((path, found): (Vec<u8>, Found)) -> Plain {
    let is_small = found.mode & 0o170_000 == 0o100_000 && found.size < 1 << 20;
    let content = is_small.then(|| {
        let mut content = vec![0; found.size as usize];
        found.data.iter().for_each(|(&at, piece)| content[at as usize..][..piece.len()].copy_from_slice(piece));
        content
    });
    Plain { path: format!("/{}", String::from_utf8(path).unwrap()), content, xattrs: found.xattrs }
}

/// Writes the tree that some bytes describe. Of directories, the number of links and the size are not given.
fn write(data: &[u8], size: BlockSize) -> (File, Expected) {
    let mut bytes = Bytes::new(data);
    let file = tempfile::tempfile().unwrap();
    let options = Options::new().with_block_size(size).with_build_time(Timestamp::of_seconds(7));
    let options = if bytes.below(8) == 7 { options.with_verity(Salt::default()) } else { options };
    let mut writer = Writer::new(&file, options, tempfile::tempfile).unwrap();
    let (mut entries, mut expected) = (Entries::new(), Expected::new());
    let mut inode = 0;
    while !bytes.is_empty() {
        let path = path(&mut bytes);
        let kind = bytes.below(12);
        if kind == 11 {
            link(&mut bytes, &path, &mut entries, &mut expected);
            continue;
        }
        let metadata = metadata(&mut bytes);
        let mut found = Found::of(&metadata);
        // A directory may be added twice, so that the number of paths is no number of its own.
        inode += 1;
        found.inode = inode;
        let node = node(kind, &mut bytes, &mut writer, &mut found);
        // What is there already, or has a parent that is no directory, stays as it was.
        if entries.add(&path, metadata, node).is_ok() {
            expected.insert(path, found);
        }
    }
    writer.finish(&entries).unwrap();
    (file, expected)
}

fn path(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let names = (0..1 + bytes.below(4)).map(|_| {
        let name = bytes.pick(NAMES);
        if bytes.below(4) == 3 { name.repeat(1 + bytes.below(80)) } else { name.to_owned() }
    });
    names.collect::<Vec<_>>().join("/").into_bytes()
}

fn link(bytes: &mut Bytes<'_>, path: &[u8], entries: &mut Entries, expected: &mut Expected) {
    let targets: Vec<_> = expected.keys().cloned().collect();
    let Some(target) = targets.get(bytes.below(256) % targets.len().max(1)) else { return };
    if entries.link(path, target).is_err() {
        return;
    }
    let found = expected[target].clone();
    let inode = found.inode;
    expected.insert(path.to_vec(), found);
    expected.values_mut().filter(|found| found.inode == inode).for_each(|found| found.links += 1);
}

fn metadata(bytes: &mut Bytes<'_>) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.mode = bytes.pick(MODES);
    (metadata.uid, metadata.gid) = (bytes.number() as u32 % (u32::MAX - 1), bytes.pick(&[0, 1, 65_535, 65_536]));
    metadata.mtime = bytes.pick(&[Timestamp::of_seconds(7), Timestamp::of_seconds(-9), Timestamp::default()]);
    for name in ATTRIBUTES.iter().take(bytes.below(ATTRIBUTES.len() + 1)) {
        let value = vec![bytes.byte(); bytes.pick(&[0, 1, 9, 300, 5_000])];
        metadata.xattrs.push(Xattr { name: name.as_bytes().to_vec(), value });
    }
    metadata
}

fn node(kind: usize, bytes: &mut Bytes<'_>, writer: &mut Writer<'_>, found: &mut Found) -> EntryNode {
    match kind {
        0..=3 => {
            found.mode |= 0o100_000;
            let content = vec![1 + bytes.byte() % 255; bytes.pick(SIZES)];
            (found.size, found.data) = (content.len() as u64, pieces(0, &content).collect());
            EntryNode::File(writer.write_file(content.len() as u64, None, &mut &content[..]).unwrap())
        }
        4 | 5 => {
            found.mode |= 0o100_000;
            sparse(bytes, writer, found)
        }
        6 | 7 => {
            found.mode |= 0o040_000;
            EntryNode::Directory
        }
        8 => {
            let target = vec![b'x'; bytes.pick(SIZES).clamp(1, 4095)];
            found.mode = 0o120_777;
            (found.size, found.data) = (target.len() as u64, pieces(0, &target).collect());
            EntryNode::Symlink(LinkTarget::parse(&target).unwrap())
        }
        9 => {
            found.mode |= 0o010_000;
            EntryNode::Fifo
        }
        _ => {
            let (kind, bits) = bytes.pick(&[(DeviceKind::Character, 0o020_000), (DeviceKind::Block, 0o060_000)]);
            let (major, minor) = (u32::from(bytes.byte()), bytes.number() as u32 & 0xf_ffff);
            found.mode |= bits;
            found.device = minor & 0xff | major << 8 | (minor & 0xf_ff00) << 12;
            EntryNode::Device(Device { kind, major, minor })
        }
    }
}

/// A file with holes. Each segment is within a piece of 512 bytes.
fn sparse(bytes: &mut Bytes<'_>, writer: &mut Writer<'_>, found: &mut Found) -> EntryNode {
    let (mut segments, mut end) = (Vec::new(), 0_u64);
    for _ in 0..bytes.below(6) {
        let piece = end.div_ceil(512) + bytes.number() % (1 << 16);
        let (offset, length) = (piece * 512 + bytes.below(256) as u64, 1 + bytes.below(256) as u64);
        let start = offset / 512 * 512;
        let mut content = vec![0; 512];
        content[(offset - start) as usize..][..length as usize].fill(b'd');
        found.data.insert(start, content);
        end = offset + length;
        segments.push(Segment { offset, length });
    }
    let size = end.div_ceil(512) * 512 + bytes.number() % (1 << 30);
    segments.push(Segment { offset: size, length: 0 });
    let stored = segments.iter().map(|segment| segment.length).sum();
    let map = SparseMap::new(segments, size, stored).unwrap();
    found.size = size;
    EntryNode::File(writer.write_file(size, Some(&map), &mut &vec![b'd'; stored as usize][..]).unwrap())
}
