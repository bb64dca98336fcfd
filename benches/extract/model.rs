//! What the layers say, as plain as can be: the tree that every engine is measured against.

use super::images::{Item, Kind, content};
use super::tree::{Listing, escape, hex};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

type Fields = BTreeMap<String, String>;

/// A tree in the making: paths, and the inodes that they name.
#[derive(Default)]
struct Tree {
    names: BTreeMap<String, usize>,
    inodes: Vec<Fields>,
}

/// The tree of an image, as `tree::list` would list it. The root itself is left out: no layer names it.
pub(crate) fn tree(layers: &[Vec<Item>]) -> Listing {
    let mut tree = Tree::default();
    for layer in layers {
        // A whiteout speaks of lower layers only, so all of them come first.
        layer.iter().for_each(|item| tree.take_away(&item.path));
        layer.iter().filter(|item| !is_whiteout(&item.path)).for_each(|item| tree.bring(item));
    }
    let mut groups = BTreeMap::<usize, Vec<&String>>::new();
    tree.names.iter().for_each(|(name, &inode)| groups.entry(inode).or_default().push(name));
    let listed = tree.names.iter().map(|(name, &inode)| {
        let mut fields = tree.inodes[inode].clone();
        if groups[&inode].len() > 1 {
            fields.insert("hardlink".into(), escape(groups[&inode][0].as_bytes()));
        }
        (name.clone().into_bytes(), fields)
    });
    listed.collect()
}

fn is_whiteout(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|last| last.starts_with(".wh."))
}

impl Tree {
    fn take_away(&mut self, path: &str) {
        let (parent, last) = path.rsplit_once('/').map_or((String::new(), path), |(up, last)| (format!("{up}/"), last));
        match last.strip_prefix(".wh.") {
            None => (),
            Some(".wh..opq") => self.names.retain(|name, _| !name.starts_with(&parent)),
            Some(removed) => self.remove(&format!("{parent}{removed}")),
        }
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.names.retain(|name, _| name != path && !name.starts_with(&below));
    }

    fn bring(&mut self, item: &Item) {
        for (at, _) in item.path.match_indices('/') {
            if !self.names.contains_key(&item.path[..at]) {
                self.name(&item.path[..at], fields("dir", 0o755, (0, 0), 0));
            }
        }
        let is_directory = matches!(item.kind, Kind::Directory);
        match self.names.get(&item.path) {
            Some(&inode) if !(is_directory && self.inodes[inode]["type"] == "dir") => self.remove(&item.path),
            _ => (),
        }
        if let Kind::HardLink(target) = &item.kind {
            self.names.insert(item.path.clone(), self.names[target]);
            return;
        }
        let kind = match &item.kind {
            Kind::File(_) | Kind::HardLink(_) => "file",
            Kind::Directory => "dir",
            Kind::Symlink(_) => "symlink",
            Kind::Fifo => "fifo",
            Kind::Device(..) => "char",
        };
        let mut fields = fields(kind, item.mode, item.owner, item.mtime);
        match &item.kind {
            Kind::File(size) => {
                fields.insert("size".into(), size.to_string());
                fields.insert("sha256".into(), hex(&Sha256::digest(content(&item.path, *size))));
            }
            Kind::Symlink(target) => {
                fields.insert("target".into(), escape(target.as_bytes()));
                fields.remove("mode");
            }
            Kind::Device(major, minor) => {
                fields.insert("rdev".into(), format!("{major}:{minor}"));
            }
            Kind::Directory | Kind::HardLink(_) | Kind::Fifo => (),
        }
        item.xattrs.iter().for_each(|(name, value)| {
            fields.insert(format!("xattr.{name}"), hex(value));
        });
        self.name(&item.path, fields);
    }

    fn name(&mut self, path: &str, fields: Fields) {
        self.names.insert(path.to_owned(), self.inodes.len());
        self.inodes.push(fields);
    }
}

fn fields(kind: &str, mode: u32, owner: (u32, u32), mtime: u32) -> Fields {
    // Without privilege everything belongs to the caller.
    let (uid, gid) = match rustix::process::geteuid() {
        me if me.is_root() => owner,
        me => (me.as_raw(), rustix::process::getegid().as_raw()),
    };
    let fields = [
        ("type", kind.to_owned()),
        ("mode", format!("{mode:04o}")),
        ("uid", uid.to_string()),
        ("gid", gid.to_string()),
        ("mtime", format!("{mtime}.000000000")),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
