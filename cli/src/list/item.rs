//! A path of a final file system, in the tree or hidden.

use super::shown::{attributes, name, path, word};
use layercage::merged::{Hidden, Kind, Node};
use layercage::tar::{EntryPath, Metadata};
use serde_json::{Map, Value, json};

/// A path of a final file system, in the tree or hidden.
pub(super) struct Item<'t> {
    pub(super) path: EntryPath,
    pub(super) kind: Kind<'t>,
    pub(super) metadata: Metadata,
    pub(super) layer: usize,
    entry: Option<u64>,
    offset: Option<u64>,
    content: (usize, Option<u64>),
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
            entry: node.entry(),
            offset: node.offset(),
            content: (node.content_layer(), node.content_entry()),
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
            entry: hidden.entry(),
            offset: hidden.offset(),
            content: (hidden.content_layer(), hidden.content_entry()),
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

    /// The item as JSON, of this type and of so many layers.
    pub(super) fn object(&self, kind: &str, layers: usize) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
        put("type", json!(kind));
        put("path", json!(path(self.path.as_bytes())));
        put("layer", json!(self.layer));
        put("layers", json!(layers));
        put("kind", json!(word(self.kind)));
        put("links", json!(self.links));
        put("content_layer", json!(self.content.0));
        let numbers = [("entry", self.entry), ("offset", self.offset), ("content_entry", self.content.1)];
        numbers.into_iter().filter_map(|(key, number)| Some((key, number?))).for_each(|(key, it)| put(key, json!(it)));
        match self.kind {
            Kind::File { size } => put("size", json!(size)),
            Kind::Symlink { target } => put("target", json!(name(target))),
            Kind::Device(device) => {
                put("device", json!(device.kind.name()));
                put("major", json!(device.major));
                put("minor", json!(device.minor));
            }
            Kind::Directory | Kind::Fifo => (),
        }
        object.extend(attributes(&self.metadata));
        object
    }
}
