//! A path of a final file system, in the tree or hidden.

use super::shown::{name, path};
use layercage::merged::{Hidden, Kind, Node};
use layercage::tar::{EntryPath, Metadata};

/// A path of a final file system, in the tree or hidden.
pub(super) struct Item<'t> {
    pub(super) path: EntryPath,
    pub(super) kind: Kind<'t>,
    pub(super) metadata: Metadata,
    pub(super) layer: usize,
    pub(super) links: u64,
    pub(super) inode: u32,
}

impl<'t> From<Node<'t>> for Item<'t> {
    fn from(node: Node<'t>) -> Self {
        Self {
            path: node.path(),
            kind: node.kind(),
            metadata: node.metadata(),
            layer: node.layer(),
            links: node.link_count(),
            inode: node.inode(),
        }
    }
}

impl<'t> From<Hidden<'t>> for Item<'t> {
    fn from(hidden: Hidden<'t>) -> Self {
        Self {
            path: hidden.path(),
            kind: hidden.kind(),
            metadata: hidden.metadata(),
            layer: hidden.layer(),
            links: hidden.link_count(),
            inode: hidden.inode(),
        }
    }
}

impl Item<'_> {
    /// The path, escaped, with `/` behind a directory and the target behind a symbolic link.
    pub(super) fn shown(&self) -> String {
        let shown = path(self.path.as_bytes());
        match self.kind {
            Kind::Directory => format!("{shown}/"),
            Kind::Symlink { target } => format!("{shown} -> {}", name(target)),
            Kind::File { .. } | Kind::Fifo | Kind::Device(_) => shown,
        }
    }

    /// The size of a file or link, or the numbers of a device.
    pub(super) fn size(&self) -> String {
        match self.kind {
            Kind::File { size } => size.to_string(),
            Kind::Symlink { target } => target.len().to_string(),
            Kind::Device(device) => format!("{}, {}", device.major, device.minor),
            Kind::Directory | Kind::Fifo => "-".to_owned(),
        }
    }
}
