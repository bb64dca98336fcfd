//! What layers mean, as simply as it can be said: a map from paths to nodes, and no file system.
//!
//! Follows image-spec, layer.md: whiteouts and opaque markers speak of lower layers, so all of them count
//! before any entry of their layer, wherever they stand in it. Symbolic links on the way are none of its
//! business: it is for layers that have none.

use crate::support::layer::{Attributes, LayerBuilder};
use std::collections::BTreeMap;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// Mode, time in seconds, and the value of `user.a`.
    Directory(u32, u64, Option<u8>),
    /// Mode, time in seconds, and content.
    File(u32, u64, Vec<u8>),
    /// The same, by hard links to data that AUFS keeps beside them; the number tells inodes apart.
    Linked(usize, u32, u64, Vec<u8>),
    Symlink(String),
}

impl Node {
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(..))
    }

    /// A parent that no entry lists.
    const IMPLIED: Self = Self::Directory(0o755, 0, None);
}

/// What a layer says.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Bring(String, Node),
    /// The data of hard links, as AUFS keeps it, by its number; a file.
    PseudoLink(u8, Node),
    /// A hard link to that data, which must have come before.
    LinkTo(String, u8),
    Whiteout(String),
    Opaque(String),
}

/// A tree, by paths from the root; the root itself is not in it.
pub(crate) type Tree = BTreeMap<String, Node>;

/// The tree after one more layer.
pub(crate) fn apply(lower: &Tree, layer: &[Said]) -> Tree {
    let mut tree = lower.clone();
    for said in layer {
        match said {
            Said::Whiteout(path) => tree.retain(|other, _| other != path && !is_below(other, path)),
            Said::Opaque(path) => tree.retain(|other, _| !is_below(other, path)),
            Said::Bring(..) | Said::PseudoLink(..) | Said::LinkTo(..) => (),
        }
    }
    let mut pseudo_links: BTreeMap<u8, Node> = BTreeMap::new();
    let inodes =
        tree.values().filter_map(|node| if let Node::Linked(inode, ..) = node { Some(*inode + 1) } else { None });
    let mut inode = inodes.max().unwrap_or_default();
    for said in layer {
        let (path, node) = match said {
            Said::Bring(path, node) => (path, node),
            Said::LinkTo(path, number) => (path, &pseudo_links[number]),
            Said::PseudoLink(number, Node::File(mode, mtime, content)) => {
                pseudo_links.insert(*number, Node::Linked(inode, *mode, *mtime, content.clone()));
                inode += 1;
                continue;
            }
            Said::PseudoLink(..) | Said::Whiteout(_) | Said::Opaque(_) => continue,
        };
        for parent in parents(path) {
            tree.entry(parent.to_owned()).or_insert(Node::IMPLIED);
        }
        let both_directories = node.is_directory() && tree.get(path).is_some_and(Node::is_directory);
        if !both_directories {
            tree.retain(|other, _| !is_below(other, path));
        }
        tree.insert(path.clone(), node.clone());
    }
    tree
}

/// The paths of the directories that a path lies in, the root's child first.
pub(crate) fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn pseudo_link(number: u8) -> String {
    format!(".wh..wh.plnk/{number}")
}

fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The layer as an archive.
pub(crate) fn archive(layer: &[Said]) -> LayerBuilder {
    layer.iter().fold(LayerBuilder::new(), |archive, said| match said {
        Said::Whiteout(path) => archive.whiteout(path),
        Said::Opaque(path) => archive.opaque(path),
        Said::LinkTo(path, number) => archive.hard_link(path, &pseudo_link(*number)),
        Said::PseudoLink(number, Node::File(mode, mtime, content)) => archive.file_with(
            &pseudo_link(*number),
            content,
            &Attributes { mode: *mode, mtime: *mtime, ..Attributes::default() },
        ),
        Said::PseudoLink(_, other) => panic!("{other:?} is no data of hard links"),
        Said::Bring(path, Node::Symlink(target)) => archive.symlink(path, target),
        Said::Bring(_, node @ Node::Linked(..)) => panic!("{node:?} comes by a hard link"),
        Said::Bring(path, Node::File(mode, mtime, content)) => {
            archive.file_with(path, content, &Attributes { mode: *mode, mtime: *mtime, ..Attributes::default() })
        }
        Said::Bring(path, Node::Directory(mode, mtime, xattr)) => {
            let value = xattr.map(|value| [value]);
            let xattrs = value.iter().map(|value| ("user.a", &value[..])).collect();
            archive.dir_with(path, &Attributes { mode: *mode, mtime: *mtime, xattrs, ..Attributes::default() })
        }
    })
}
