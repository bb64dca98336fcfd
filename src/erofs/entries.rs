//! A tree that is built path by path.

use super::content::Content;
use super::tree::{Attributes, NodeKind, Tree};
use crate::words::{Component, Device, Error, Escaped, LinkTarget, Metadata, Misuse};
use std::collections::BTreeMap;

/// A [`Tree`] that is built path by path, for programs that have no tree of their own.
#[derive(Debug, Clone)]
pub struct Entries {
    nodes: Vec<Node>,
    inodes: Vec<Inode>,
}

#[derive(Debug, Clone)]
struct Node {
    name: Box<[u8]>,
    inode: u32,
    children: BTreeMap<Box<[u8]>, u32>,
}

#[derive(Debug, Clone)]
struct Inode {
    metadata: Metadata,
    kind: EntryNode,
    links: u32,
}

/// What is added at a path. The enum is exhaustive on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryNode {
    /// A directory.
    Directory,
    /// A regular file, whose content was written.
    File(Content),
    /// A symbolic link.
    Symlink(LinkTarget),
    /// A named pipe.
    Fifo,
    /// A device node.
    Device(Device),
}

impl Default for Entries {
    fn default() -> Self {
        Self::new()
    }
}

impl Entries {
    /// A root directory of mode 0755, which belongs to root, and nothing else.
    pub fn new() -> Self {
        let mut entries = Self { nodes: Vec::new(), inodes: Vec::new() };
        let root = entries.push_inode(directory(), EntryNode::Directory);
        entries.nodes.push(Node { name: Box::default(), inode: root, children: BTreeMap::new() });
        entries
    }

    /// Adds a file of any kind at a path, whose components are separated by slashes. The empty path is the root. Missing
    /// parent directories are added, with mode 0755, owner 0:0 and the time 1970-01-01. A directory that exists already
    /// gets the metadata.
    ///
    /// # Errors
    ///
    /// [`Misuse::EntryExists`] if the path exists and is not a directory that is added again, or if a parent is not a
    /// directory. A [`Violation`](crate::rules::Violation) for a component that is not a file name.
    pub fn add(&mut self, path: &[u8], metadata: Metadata, node: EntryNode) -> Result<(), Error> {
        let Some((parent, name)) = self.parent(path)? else {
            return self.renew(0, path, metadata, &node);
        };
        if let Some(&there) = self.nodes.get(parent as usize).and_then(|parent| parent.children.get(name)) {
            return self.renew(there, path, metadata, &node);
        }
        let inode = self.push_inode(metadata, node);
        self.push_node(parent, name, inode);
        Ok(())
    }

    /// Adds a hard link at `path` to the file at `target`, which must not be a directory.
    ///
    /// # Errors
    ///
    /// [`Misuse::EntryExists`], and [`Misuse::NoEntry`] if the target does not exist or is a directory.
    pub fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Error> {
        let inode = self.find(target).and_then(|node| self.nodes.get(node as usize)).map(|node| node.inode);
        let linked = inode.and_then(|inode| self.inodes.get(inode as usize));
        let (Some(inode), true) = (inode, linked.is_some_and(|linked| linked.kind != EntryNode::Directory)) else {
            return Err(Misuse::NoEntry { name: Escaped::new(target) }.into());
        };
        let exists = || Misuse::EntryExists { name: Escaped::new(path) };
        let (parent, name) = self.parent(path)?.ok_or_else(exists)?;
        if self.nodes.get(parent as usize).is_some_and(|parent| parent.children.contains_key(name)) {
            return Err(exists().into());
        }
        if let Some(inode) = self.inodes.get_mut(inode as usize) {
            inode.links = inode.links.saturating_add(1);
        }
        self.push_node(parent, name, inode);
        Ok(())
    }

    fn push_inode(&mut self, metadata: Metadata, kind: EntryNode) -> u32 {
        self.inodes.push(Inode { metadata, kind, links: 1 });
        (self.inodes.len() - 1) as u32
    }

    fn push_node(&mut self, parent: u32, name: &[u8], inode: u32) -> u32 {
        let number = self.nodes.len() as u32;
        self.nodes.push(Node { name: name.into(), inode, children: BTreeMap::new() });
        if let Some(parent) = self.nodes.get_mut(parent as usize) {
            parent.children.insert(name.into(), number);
        }
        number
    }

    fn find(&self, path: &[u8]) -> Option<u32> {
        components(path).try_fold(0, |at, name| self.nodes.get(at as usize)?.children.get(name).copied())
    }

    fn is_directory(&self, node: u32) -> bool {
        let inode = self.nodes.get(node as usize).and_then(|node| self.inodes.get(node.inode as usize));
        inode.is_some_and(|inode| inode.kind == EntryNode::Directory)
    }

    fn renew(&mut self, at: u32, path: &[u8], metadata: Metadata, node: &EntryNode) -> Result<(), Error> {
        if *node != EntryNode::Directory || !self.is_directory(at) {
            return Err(Misuse::EntryExists { name: Escaped::new(path) }.into());
        }
        let inode = self.nodes.get(at as usize).map(|node| node.inode).unwrap_or_default();
        if let Some(inode) = self.inodes.get_mut(inode as usize) {
            inode.metadata = metadata;
        }
        Ok(())
    }

    /// The parent directory of a path, and the last component; `None` for the root.
    fn parent<'p>(&mut self, path: &'p [u8]) -> Result<Option<(u32, &'p [u8])>, Error> {
        let names: Vec<_> = components(path).collect();
        names.iter().try_for_each(|name| Component::parse(name).map(drop))?;
        let Some((&last, above)) = names.split_last() else { return Ok(None) };
        let mut at = 0;
        for name in above {
            let there = self.nodes.get(at as usize).and_then(|node| node.children.get(*name)).copied();
            at = match there {
                Some(there) if self.is_directory(there) => there,
                Some(_) => return Err(Misuse::EntryExists { name: Escaped::new(name) }.into()),
                None => {
                    let inode = self.push_inode(directory(), EntryNode::Directory);
                    self.push_node(at, name, inode)
                }
            };
        }
        Ok(Some((at, last)))
    }

    fn node(&self, node: u32) -> Option<&Inode> {
        self.inodes.get(self.nodes.get(node as usize)?.inode as usize)
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

fn directory() -> Metadata {
    Metadata { mode: 0o755, ..Metadata::default() }
}

impl Tree for Entries {
    type Node = u32;

    fn root(&self) -> u32 {
        0
    }

    fn children(&self, directory: u32) -> impl Iterator<Item = u32> {
        self.nodes.get(directory as usize).into_iter().flat_map(|node| node.children.values().copied())
    }

    fn name(&self, node: u32) -> &[u8] {
        self.nodes.get(node as usize).map_or(b"", |node| &node.name)
    }

    fn inode(&self, node: u32) -> u32 {
        self.nodes.get(node as usize).map_or(0, |node| node.inode)
    }

    fn inode_count(&self) -> u32 {
        self.inodes.len() as u32
    }

    fn link_count(&self, node: u32) -> u32 {
        self.node(node).map_or(1, |inode| inode.links)
    }

    fn kind(&self, node: u32) -> NodeKind<'_> {
        match self.node(node).map(|inode| &inode.kind) {
            None | Some(EntryNode::Directory) => NodeKind::Directory,
            Some(EntryNode::File(content)) => NodeKind::File(*content),
            Some(EntryNode::Symlink(target)) => NodeKind::Symlink(target.as_bytes()),
            Some(EntryNode::Fifo) => NodeKind::Fifo,
            Some(EntryNode::Device(device)) => NodeKind::Device(*device),
        }
    }

    fn attributes(&self, node: u32) -> Attributes<'_> {
        const NOTHING: &Metadata =
            &Metadata { mode: 0, uid: 0, gid: 0, mtime: crate::words::Timestamp::of_seconds(0), xattrs: Vec::new() };
        let metadata = self.node(node).map_or(NOTHING, |inode| &inode.metadata);
        let Metadata { mode, uid, gid, mtime, ref xattrs } = *metadata;
        Attributes { mode, uid, gid, mtime, xattrs }
    }
}
