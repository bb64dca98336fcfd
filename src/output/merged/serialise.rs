//! Paths of a final file system as data, described in docs/json.md.

use super::hidden::Hidden;
use super::node::{Kind, Node};
use crate::words::{Device, put_attributes, put_bytes};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// An object of the type `path`. The path of the root is `.`.
impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "path")?;
        put_node(&mut map, self)?;
        map.end()
    }
}

/// An object of the type `hidden`.
impl Serialize for Hidden<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "hidden")?;
        put_node(&mut map, self.node())?;
        map.serialize_entry("how", &self.how())?;
        map.serialize_entry("hidden_by", &self.hidden_by())?;
        map.serialize_entry("hidden_by_entry", &self.hidden_by_entry())?;
        map.end()
    }
}

fn put_node<M: SerializeMap>(map: &mut M, node: &Node<'_>) -> Result<(), M::Error> {
    let path = node.path();
    put_bytes(map, "path", if path.is_root() { b"." } else { path.as_bytes() })?;
    map.serialize_entry("layer", &node.layer())?;
    for (key, number) in [("entry", node.entry()), ("offset", node.offset()), ("content_entry", node.content_entry())] {
        if let Some(number) = number {
            map.serialize_entry(key, &number)?;
        }
    }
    map.serialize_entry("content_layer", &node.content_layer())?;
    map.serialize_entry("links", &node.link_count())?;
    map.serialize_entry("kind", node.kind().name())?;
    match node.kind() {
        Kind::File { size } => map.serialize_entry("size", &size)?,
        Kind::Symlink { target } => put_bytes(map, "target", target)?,
        Kind::Device(Device { kind, major, minor }) => {
            map.serialize_entry("device", kind.name())?;
            map.serialize_entry("major", &major)?;
            map.serialize_entry("minor", &minor)?;
        }
        Kind::Directory | Kind::Fifo => (),
    }
    put_attributes(map, &node.metadata())
}
