//! A layer of an overlay, as the writer of EROFS images takes it.

use super::layer::LayerContents;
use crate::erofs::{Attributes, Content, NodeKind, Tree};
use crate::tree::{DirectoryMark, Is, Member, Model, ModelKind, Upper};
use crate::words::{Device, DeviceKind, Error, OverlayFormat, Timestamp, Whiteouts, Xattr};
use std::collections::HashMap;

/// The device number of a whiteout.
const WHITEOUT: Device = Device { kind: DeviceKind::Character, major: 0, minor: 0 };

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
    marked: HashMap<u32, Vec<Xattr>>,
    /// The attributes of a whiteout.
    whiteout: Vec<Xattr>,
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
        format: OverlayFormat,
        epoch: Timestamp,
    ) -> Result<Self, Error> {
        if missing_files(upper, contents).next().is_some() {
            return Err(Error::bug("the content of a file was not written"));
        }
        let whiteout = match format.whiteouts {
            Whiteouts::Device => Vec::new(),
            Whiteouts::Xattr => vec![attribute(format, "whiteout", b"y")],
        };
        let mut tree = Self { upper, contents, format, epoch, marked: HashMap::new(), whiteout };
        tree.marked = upper.numbers().filter_map(|number| Some((number, tree.marks(number)?))).collect();
        Ok(tree)
    }

    /// The attributes of a directory that overlayfs has to know something of, with the mark.
    fn marks(&self, number: u32) -> Option<Vec<Xattr>> {
        let value = match (self.upper.mark(number), self.format.whiteouts) {
            (DirectoryMark::Opaque, _) => b"y",
            (DirectoryMark::Hiding, Whiteouts::Xattr) => b"x",
            (DirectoryMark::Hiding, Whiteouts::Device) | (DirectoryMark::Nothing, _) => return None,
        };
        let mut xattrs = self.model().xattrs(self.upper.member(number).name).to_vec();
        xattrs.push(attribute(self.format, "opaque", value));
        xattrs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Some(xattrs)
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
            (Is::Whiteout, Whiteouts::Device) => return NodeKind::Device(WHITEOUT),
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
        let xattrs = self.marked.get(&node).map_or_else(|| self.model().xattrs(name), Vec::as_slice);
        Attributes { mode, uid, gid, mtime: self.model().mtime(name), xattrs }
    }
}
