//! A layer of an overlay, as the writer of EROFS images takes it.

use super::layer::LayerContents;
use crate::erofs::{Attributes, Content, NodeKind, Tree};
use crate::tree::{DirectoryMark, Is, Member, Model, ModelKind, Upper};
use crate::words::{Error, OverlayFormat, Timestamp, WHITEOUT_DEVICE, Whiteouts, Xattr};
use std::collections::HashMap;

/// The mode of a whiteout. A mount shows none.
const PRIVATE: u32 = 0o600;

/// A layer of an overlay whose content was written to an image.
#[derive(Debug)]
pub(crate) struct LayerTree<'t> {
    upper: &'t Upper<'t>,
    contents: &'t LayerContents,
    format: OverlayFormat,
    /// The time of whiteouts: that of directories that no entry lists.
    epoch: Timestamp,
    /// The attributes of directories that overlayfs has to know something of.
    marked: HashMap<Marked, Vec<Xattr>>,
    /// The attributes of a whiteout.
    whiteout: Vec<Xattr>,
}

/// A set of attributes, and the value of the mark that is added to it. A million directories may have the same.
type Marked = (u32, &'static [u8]);

/// The sets of attributes to which marks are added, with one name that has each.
#[derive(Debug)]
pub(crate) struct Marks(HashMap<Marked, u32>);

impl Marks {
    pub(crate) fn new(upper: &Upper<'_>, format: OverlayFormat) -> Self {
        let name = |number| upper.member(number).name;
        let key = |number| Some((marked(upper, number, format)?, name(number)));
        Self(upper.numbers().filter_map(key).collect())
    }

    /// Bytes of memory for the attributes, and their number.
    pub(crate) fn memory(&self, model: &Model) -> (u64, u64) {
        let sets = || self.0.values().map(|&name| model.xattrs(name));
        let of = |Xattr { name, value }: &Xattr| size_of::<Xattr>() + name.len() + value.len() + OVERHEAD;
        let bytes = sets().map(|set| OVERHEAD + set.iter().map(of).sum::<usize>()).sum::<usize>();
        (bytes as u64, sets().map(|set| set.len() as u64 + 1).sum())
    }
}

/// Bytes that an attribute or a set takes beside its bytes, about.
const OVERHEAD: usize = 128;

/// What a directory has beside other names, if overlayfs has to know something of it.
fn marked(upper: &Upper<'_>, number: u32, format: OverlayFormat) -> Option<Marked> {
    let value: &[u8] = match (upper.mark(number), format.whiteouts) {
        (DirectoryMark::Opaque, _) => b"y",
        (DirectoryMark::Hiding, Whiteouts::Xattr) => b"x",
        (DirectoryMark::Hiding, Whiteouts::Device) | (DirectoryMark::Nothing, _) => return None,
    };
    Some((upper.model().xattr_set(upper.member(number).name), value))
}

/// A file of a layer whose content is not written yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MissingFile {
    pub(crate) inode: u32,
    pub(crate) size: u64,
    /// The layer and the entry that have the content.
    pub(crate) layer: u32,
    pub(crate) entry: u32,
}

/// Returns the files of a layer whose content is not written yet.
pub(crate) fn missing_files<'t>(
    upper: &'t Upper<'t>,
    contents: &'t LayerContents,
) -> impl Iterator<Item = MissingFile> + 't {
    upper.numbers().filter_map(|number| {
        let Member { name, is: Is::There } = upper.member(number) else { return None };
        let (model, inode) = (upper.model(), upper.model().inode_number(name));
        let ModelKind::File { size } = model.kind(name) else { return None };
        let is_wanted = upper.inode(number) == number && contents.get(inode, size).is_none();
        let (layer, entry) = model.content(name);
        is_wanted.then_some(MissingFile { inode, size, layer, entry })
    })
}

impl<'t> LayerTree<'t> {
    /// # Errors
    ///
    /// The content of a file is missing.
    pub(crate) fn new(
        upper: &'t Upper<'t>,
        contents: &'t LayerContents,
        (format, marks): (OverlayFormat, &Marks),
        epoch: Timestamp,
    ) -> Result<Self, Error> {
        if missing_files(upper, contents).next().is_some() {
            return Err(Error::bug("the content of a file was not written"));
        }
        let whiteout = match format.whiteouts {
            Whiteouts::Device => Vec::new(),
            Whiteouts::Xattr => vec![attribute(format, "whiteout", b"y")],
        };
        let with_mark = |(&key, &name): (&Marked, &u32)| {
            let mut xattrs = upper.model().xattrs(name).to_vec();
            xattrs.push(attribute(format, "opaque", key.1));
            xattrs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            (key, xattrs)
        };
        let marked = marks.0.iter().map(with_mark).collect();
        Ok(Self { upper, contents, format, epoch, marked, whiteout })
    }

    fn model(&self) -> &'t Model {
        self.upper.model()
    }
}

fn attribute(format: OverlayFormat, suffix: &str, value: &[u8]) -> Xattr {
    Xattr { name: [format.namespace.prefix(), suffix.as_bytes()].concat(), value: value.to_vec() }
}

impl Tree for LayerTree<'_> {
    type Node = u32;

    fn root(&self) -> u32 {
        0
    }

    fn children(&self, directory: u32) -> impl Iterator<Item = u32> {
        self.upper.children(directory)
    }

    fn name(&self, node: u32) -> &[u8] {
        self.model().file_name(self.upper.member(node).name)
    }

    fn inode(&self, node: u32) -> u32 {
        self.upper.inode(node)
    }

    fn inode_count(&self) -> u32 {
        self.upper.numbers().end
    }

    fn link_count(&self, node: u32) -> u32 {
        self.upper.link_count(node)
    }

    fn kind(&self, node: u32) -> NodeKind<'_> {
        let Member { name, is } = self.upper.member(node);
        match (is, self.format.whiteouts) {
            (Is::Whiteout, Whiteouts::Device) => return NodeKind::Device(WHITEOUT_DEVICE),
            (Is::Whiteout, Whiteouts::Xattr) => return NodeKind::File(Content::default()),
            (Is::There, _) => (),
        }
        match self.model().kind(name) {
            ModelKind::Directory => NodeKind::Directory,
            ModelKind::File { size } => {
                // All content was written before the tree.
                NodeKind::File(self.contents.get(self.model().inode_number(name), size).unwrap_or_default())
            }
            ModelKind::Symlink(target) => NodeKind::Symlink(target),
            ModelKind::Fifo => NodeKind::Fifo,
            ModelKind::Device(device) => NodeKind::Device(device),
        }
    }

    fn attributes(&self, node: u32) -> Attributes<'_> {
        let Member { name, is } = self.upper.member(node);
        if is == Is::Whiteout {
            return Attributes { mode: PRIVATE, uid: 0, gid: 0, mtime: self.epoch, xattrs: &self.whiteout };
        }
        let (mode, uid, gid) = self.model().mode_and_owner(name);
        let xattrs = marked(self.upper, node, self.format).and_then(|key| self.marked.get(&key));
        let xattrs = xattrs.map_or_else(|| self.model().xattrs(name), Vec::as_slice);
        Attributes { mode, uid, gid, mtime: self.model().mtime(name), xattrs }
    }
}
