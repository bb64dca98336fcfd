//! What one path was, one layer after another.

use super::Model;
use super::data::{Kind, NameData, State};

impl Model {
    /// Lists the names that another layer hid, those of one path together, the lowest first. Directories are not listed:
    /// an entry that lists a directory again hides nothing.
    pub(super) fn list_replaced(&mut self) {
        let mut replaced: Vec<_> = self.all().filter(|&name| self.hiding_layer(name).is_some()).collect();
        replaced.sort_unstable_by_key(|&name| (self.hash(name), name));
        replaced.shrink_to_fit();
        self.replaced = replaced;
    }

    /// The layer that hid a name which lower layers left in the tree. `None` for a directory, for a name that its own layer
    /// hid again, and for a name that is in the tree.
    pub(crate) fn hiding_layer(&self, name: u32) -> Option<u32> {
        let NameData { state: State::Hidden { layer, .. }, origin, .. } = self.names.name(name)? else { return None };
        (*layer > origin.layer && !self.is_directory(name)).then_some(*layer)
    }

    /// Names that [another layer hid](Model::hiding_layer).
    pub(crate) fn replaced(&self) -> &[u32] {
        &self.replaced
    }

    /// What the lower layers had at the path of a name, if the layer of the name hid it. Never a directory.
    pub(crate) fn replaced_by(&self, name: u32) -> Option<u32> {
        let layer = self.origin(name).layer;
        self.alike(name).iter().copied().find(|&old| self.hiding_layer(old) == Some(layer) && self.has_path(old, name))
    }

    /// What followed a hidden name at its path, in the layer that hid it and at the end of that layer. Never a directory.
    pub(crate) fn successor(&self, hidden: u32) -> Option<u32> {
        let layer = self.hiding_layer(hidden)?;
        let follows = |&name: &u32| self.origin(name).layer == layer && self.has_path(name, hidden);
        let later = self.alike(hidden).iter().copied().find(follows);
        later.or_else(|| self.now_at(hidden).filter(|now| follows(now) && !self.is_directory(*now)))
    }

    /// The name in the tree that has the path of another name.
    pub(crate) fn now_at(&self, name: u32) -> Option<u32> {
        let hash = self.hash(name);
        self.names.find_by_hash(hash, |other| self.hash(other) == hash && self.has_path(other, name))
    }

    /// The layer and the size of each file whose content is in no name of the tree any more, because an upper layer hid it.
    pub(crate) fn hidden_contents(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..self.names.inodes()).filter_map(|inode| {
            let data = self.names.inode(inode).filter(|data| data.links == 0)?;
            let Kind::File { size, .. } = data.kind else { return None };
            let is_above = |name: &NameData| matches!(name.state, State::Hidden { layer, .. } if layer > data.layer);
            let is_hidden = |name| self.names.name(name).is_some_and(is_above);
            self.names.all_names_of(inode).any(is_hidden).then_some((data.layer, size))
        })
    }

    pub(crate) fn is_directory(&self, name: u32) -> bool {
        matches!(self.names.inode_of(name).map(|inode| inode.kind), Some(Kind::Directory { .. }))
    }

    /// The hidden names that may have the path of a name: one for each layer that hid it, and very few others.
    fn alike(&self, name: u32) -> &[u32] {
        let hash = self.hash(name);
        let first = self.replaced.partition_point(|&other| self.hash(other) < hash);
        let rest = self.replaced.get(first..).unwrap_or_default();
        rest.get(..rest.partition_point(|&other| self.hash(other) == hash)).unwrap_or_default()
    }

    fn hash(&self, name: u32) -> u32 {
        self.names.name(name).map_or(0, |name| name.hash)
    }

    /// Whether two names have one path. Their directories differ if one took the place of the other.
    fn has_path(&self, mut one: u32, mut other: u32) -> bool {
        loop {
            let (Some(a), Some(b)) = (self.names.name(one), self.names.name(other)) else { return false };
            if one == other || (a.parent == b.parent && self.names.text(a.text) == self.names.text(b.text)) {
                return true;
            }
            // Only the root has no text, so both come to it at once.
            if self.names.text(a.text) != self.names.text(b.text) {
                return false;
            }
            let above = self.names.name_above(one).zip(self.names.name_above(other));
            let Some(above) = above else { return false };
            (one, other) = above;
        }
    }
}
