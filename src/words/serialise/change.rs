//! Changes as data: the schema that `list --json` prints.

use super::{put_bytes, put_list};
use crate::words::{Change, ChangeKind, Device, Metadata};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// An object of the type `change`. The path of the root is `.`.
impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { path, kind } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "change")?;
        put_bytes(&mut map, "path", if path.is_root() { b"." } else { path.as_bytes() })?;
        map.serialize_entry("change", word(kind))?;
        match kind {
            ChangeKind::File { size, .. } | ChangeKind::PseudoLink { size, .. } => map.serialize_entry("size", size)?,
            ChangeKind::HardLink { target, .. } => put_bytes(&mut map, "target", target.as_bytes())?,
            ChangeKind::Symlink { target, .. } => put_bytes(&mut map, "target", target.as_bytes())?,
            ChangeKind::Device { device: Device { kind, major, minor }, .. } => {
                map.serialize_entry("device", kind.name())?;
                map.serialize_entry("major", major)?;
                map.serialize_entry("minor", minor)?;
            }
            _ => (),
        }
        if let Some(metadata) = self.metadata() {
            put_attributes(&mut map, metadata)?;
        }
        map.end()
    }
}

/// Writes the members that metadata has.
pub(crate) fn put_attributes<M: SerializeMap>(map: &mut M, metadata: &Metadata) -> Result<(), M::Error> {
    let Metadata { mode, uid, gid, mtime, xattrs } = metadata;
    map.serialize_entry("mode", &format!("{mode:04o}"))?;
    map.serialize_entry("uid", uid)?;
    map.serialize_entry("gid", gid)?;
    map.serialize_entry("mtime", mtime)?;
    put_list(map, "xattrs", xattrs.iter().map(|xattr| &*xattr.name))
}

fn word(kind: &ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Directory(_) => "dir",
        ChangeKind::File { .. } => "file",
        ChangeKind::PseudoLink { .. } => "pseudo",
        ChangeKind::HardLink { .. } => "hardlink",
        ChangeKind::Symlink { .. } => "symlink",
        ChangeKind::Fifo(_) => "fifo",
        ChangeKind::Device { .. } => "device",
        ChangeKind::Skipped(_) => "skipped",
        ChangeKind::Whiteout => "whiteout",
        ChangeKind::OpaqueWhiteout => "opaque",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{EntryPath, Limits, LinkTarget, Timestamp, Xattr};
    use serde_json::{json, to_value};

    fn path(path: &[u8]) -> EntryPath {
        EntryPath::parse(path, &Limits::default()).unwrap()
    }

    #[test]
    fn a_change_has_its_path_its_kind_and_its_attributes() {
        let xattrs = vec![Xattr { name: b"user.a\xff".to_vec(), value: b"1".to_vec() }];
        let metadata = Metadata { mode: 0o4750, uid: 7, gid: 8, mtime: Timestamp::known(-2, 500_000_000), xattrs };
        let file = ChangeKind::File { metadata: metadata.clone(), size: 3, sparse: None };
        let attributes = json!({"mode": "4750", "uid": 7, "gid": 8, "mtime": "-1.500000000",
            "xattrs": ["user.a\u{fffd}"], "xattrs_hex": ["757365722e61ff"]});
        let with = |more: serde_json::Value| {
            let mut object = attributes.clone();
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            object
        };
        let link = LinkTarget::parse(b"../\xff").unwrap();
        let rows = [
            (Change::new(path(b"a\""), file), with(json!({"path": "a\"", "change": "file", "size": 3}))),
            (
                Change::new(path(b"./"), ChangeKind::Directory(metadata.clone())),
                with(json!({"path": ".", "change": "dir"})),
            ),
            (
                Change::new(path(b"l"), ChangeKind::Symlink { metadata: metadata.clone(), target: link }),
                with(json!({"path": "l", "change": "symlink", "target": "../\u{fffd}", "target_hex": "2e2e2fff"})),
            ),
            (
                Change::new(path(b"h"), ChangeKind::HardLink { metadata, target: path(b"/x") }),
                with(json!({"path": "h", "change": "hardlink", "target": "x"})),
            ),
            (Change::new(path(b"w"), ChangeKind::Whiteout), json!({"path": "w", "change": "whiteout"})),
        ];
        for (change, mut expected) in rows {
            expected["type"] = json!("change");
            assert_eq!(to_value(&change).unwrap(), expected);
        }
    }
}
