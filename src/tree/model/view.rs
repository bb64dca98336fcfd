//! Looking at a finished tree.

use super::Model;
use super::data::{InodeData, Kind, Listed, NameData, Origin, State};
use super::names::ROOT;
use crate::words::{Component, Device, Hiding, Limit, PlaceId, Timestamp, Xattr};

/// What a name leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ModelKind<'t> {
    Directory,
    File { size: u64 },
    Symlink(&'t [u8]),
    Fifo,
    Device(Device),
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    Last,
    Parents,
}

/// A directory on the way to a path.
#[derive(Debug, Clone, Copy)]
struct OnTheWay {
    name: u32,
    inode: u32,
    id: PlaceId,
}

/// The tree as it is at last. A number identifies a name.
impl Model {
    /// Brings the names in each directory into order, and lists what was replaced.
    pub(crate) fn finish(&mut self) {
        self.names.sort();
        self.list_replaced();
    }

    /// The name of the root.
    pub(crate) fn root_name(&self) -> u32 {
        ROOT
    }

    /// The names that were ever in the tree, in the order in which they came.
    pub(crate) fn all(&self) -> std::ops::Range<u32> {
        0..self.names.len()
    }

    /// The name behind another one, a directory before what lies in it.
    pub(crate) fn next(&self, name: u32) -> Option<u32> {
        self.names.next_in_tree(name)
    }

    /// The first name in a directory, and the next one behind a name in the same directory.
    pub(crate) fn first_in(&self, name: u32) -> Option<u32> {
        self.names.first(self.names.name(name)?.inode)
    }

    pub(crate) fn next_in(&self, name: u32) -> Option<u32> {
        self.names.next(name)
    }

    pub(crate) fn path_of_name(&self, name: u32) -> Vec<u8> {
        self.names.path(name)
    }

    /// The last component; empty for the root.
    pub(crate) fn file_name(&self, name: u32) -> &[u8] {
        self.names.name(name).map_or(b"", |name| self.names.text(name.text))
    }

    /// The entry that brought a name.
    pub(crate) fn origin(&self, name: u32) -> Origin {
        self.names.name(name).map_or_else(Origin::default, |name| name.origin)
    }

    /// The layer and the entry that content and metadata come from.
    pub(crate) fn content(&self, name: u32) -> (u32, u32) {
        self.names.inode_of(name).map_or((0, 0), |inode| (inode.layer, inode.entry))
    }

    /// The layer and the entry that hide a name, and how.
    pub(crate) fn hidden(&self, name: u32) -> Option<(u32, u32, Hiding)> {
        match self.names.name(name)?.state {
            State::Hidden { layer, entry, how } => Some((layer, entry, how)),
            State::Present { .. } | State::Apart => None,
        }
    }

    /// Whether a name is in the tree.
    pub(crate) fn is_present(&self, name: u32) -> bool {
        matches!(self.names.name(name), Some(NameData { state: State::Present { .. }, .. }))
    }

    /// More than the number of any inode.
    #[cfg(feature = "image")]
    pub(crate) fn inode_count(&self) -> u32 {
        self.names.inodes()
    }

    /// The number of what a name leads to: hard links have the same.
    pub(crate) fn inode_number(&self, name: u32) -> u32 {
        self.names.name(name).map_or(ROOT, |name| name.inode)
    }

    pub(crate) fn kind(&self, name: u32) -> ModelKind<'_> {
        match self.names.inode_of(name).map(|inode| inode.kind) {
            Some(Kind::Directory { .. }) | None => ModelKind::Directory,
            Some(Kind::File { size, .. }) => ModelKind::File { size },
            Some(Kind::Symlink(target)) => ModelKind::Symlink(self.names.text(target)),
            Some(Kind::Fifo) => ModelKind::Fifo,
            Some(Kind::Device(device)) => ModelKind::Device(device),
        }
    }

    /// Whether it is a directory that no entry lists.
    pub(crate) fn is_implied(&self, name: u32) -> bool {
        matches!(self.names.inode_of(name), Some(InodeData { kind: Kind::Directory { listed: Listed::No, .. }, .. }))
    }

    /// Whether it is a file with holes.
    pub(crate) fn has_holes(&self, name: u32) -> bool {
        matches!(self.names.inode_of(name), Some(InodeData { kind: Kind::File { has_holes: true, .. }, .. }))
    }

    /// Where the content of a file is, if that was set.
    pub(crate) fn place(&self, name: u32) -> Option<u64> {
        self.places.get(self.names.name(name)?.inode)
    }

    /// Mode, user and group.
    pub(crate) fn mode_and_owner(&self, name: u32) -> (u32, u32, u32) {
        self.names.inode_of(name).map_or((0, 0, 0), |inode| (inode.mode, inode.uid, inode.gid))
    }

    pub(crate) fn mtime(&self, name: u32) -> Timestamp {
        self.names.inode_of(name).map_or_else(Timestamp::default, InodeData::mtime)
    }

    pub(crate) fn xattrs(&self, name: u32) -> &[Xattr] {
        self.names.inode_of(name).map_or(&[], |inode| self.xattrs.get(inode.xattrs))
    }

    /// What identifies the extended attributes: the same ones have the same number.
    #[cfg(feature = "image")]
    pub(crate) fn xattr_set(&self, name: u32) -> u32 {
        self.names.inode_of(name).map_or(0, |inode| inode.xattrs.number())
    }

    /// How many names lead to the same as this one.
    pub(crate) fn link_count(&self, name: u32) -> u32 {
        self.names.inode_of(name).map_or(0, |inode| inode.links)
    }

    /// The other names of the same.
    pub(crate) fn links(&self, name: u32) -> impl Iterator<Item = u32> {
        self.names.links(name)
    }

    /// Finds a path as a container would: links lead inside of the root, and `..` of the root is the root.
    pub(crate) fn resolve(&self, path: &[u8], follow: Follow) -> Option<u32> {
        let mut way = vec![OnTheWay { name: ROOT, inode: ROOT, id: PlaceId::ROOT }];
        let mut to_do: Vec<_> = path.split(|&byte| byte == b'/').rev().collect();
        let mut hops = 0;
        while let Some(part) = to_do.pop() {
            match part {
                b"" | b"." => continue,
                b".." => {
                    way.truncate((way.len() - 1).max(1));
                    continue;
                }
                _ => (),
            }
            let directory = way.last()?;
            let id = self.key.place(directory.id, Component::parse(part).ok()?);
            let name = self.names.find(directory.inode, id, part)?;
            let &NameData { inode, .. } = self.names.name(name)?;
            match self.names.inode(inode)?.kind {
                Kind::Directory { .. } => way.push(OnTheWay { name, inode, id }),
                Kind::Symlink(target) if follow == Follow::Last || !to_do.is_empty() => {
                    hops += 1;
                    if hops > Limit::LinkHops.default() {
                        return None;
                    }
                    let target = self.names.text(target);
                    if target.first() == Some(&b'/') {
                        way.truncate(1);
                    }
                    to_do.extend(target.split(|&byte| byte == b'/').rev());
                }
                _ if to_do.is_empty() => return Some(name),
                _ => return None,
            }
        }
        way.last().map(|directory| directory.name)
    }

    /// Those of all names that are kept, by the position of their entries, but a directory before what lies in it. The first
    /// kept name of a file is where the entry of its content is.
    pub(crate) fn in_order_of_layers(&self, keeps: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut positions = Vec::new();
        for inode in 0..self.names.inodes() {
            let Some(data) = self.names.inode(inode) else { continue };
            let mut position = Some((data.layer, data.entry));
            for name in self.names.names_of(inode).filter(|&name| keeps(name)) {
                let Origin { layer, entry, .. } = self.origin(name);
                let (layer, entry) = position.take().unwrap_or((layer, entry));
                positions.push((layer, entry, name));
            }
        }
        positions.sort_unstable();
        let mut is_listed = vec![false; self.names.len() as usize];
        let (mut order, mut way) = (Vec::with_capacity(positions.len()), Vec::new());
        for (_, _, name) in positions {
            let mut at = Some(name);
            while let Some(name) = at
                && let Some(is_listed) = is_listed.get_mut(name as usize)
                && !std::mem::replace(is_listed, true)
            {
                way.push(name);
                at = self.names.name_above(name);
            }
            order.extend(way.drain(..).rev());
        }
        order
    }

    /// The name of the directory that a name is in; that of the root is the root.
    pub(crate) fn name_above(&self, name: u32) -> u32 {
        self.names.name_above(name).unwrap_or(ROOT)
    }
}
