//! Names and inodes: what is added, hidden, found and enumerated.

use super::chunks::Chunks;
use super::data::{InodeData, Kind, Listed, NONE, NameData, Origin, State};
use super::index::Index;
use super::texts::{Text, Texts};
use crate::words::{Hiding, PlaceId};

/// The root, as a name and as an inode.
pub(super) const ROOT: u32 = 0;

/// All names and inodes of a tree, by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Chunks<NameData>,
    inodes: Chunks<InodeData>,
    texts: Texts,
    index: Index,
    /// There were too many for a number.
    overflown: bool,
}

/// Why a name leaves the tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaving {
    /// This entry hides it in this way.
    Hidden(Origin, Hiding),
    /// It was apart from the tree.
    Apart,
}

impl Leaving {
    fn state(self) -> State {
        match self {
            Self::Hidden(Origin { layer, entry, .. }, how) => State::Hidden { layer, entry, how },
            Self::Apart => State::Apart,
        }
    }

    /// The same for what lies below it.
    fn below(self) -> Self {
        match self {
            Self::Hidden(by, Hiding::Replaced) => Self::Hidden(by, Hiding::ParentReplaced),
            other => other,
        }
    }
}

impl Names {
    /// Names with a root.
    pub(super) fn new() -> Self {
        let mut names = Self::default();
        let root = names.add_inode(InodeData::new(Kind::directory(Listed::No), Origin::default()));
        names.push(NameData {
            parent: root,
            inode: root,
            text: Text::default(),
            hash: 0,
            next_link: ROOT,
            state: State::Present { previous: NONE, next: NONE },
            origin: Origin::default(),
        });
        names.add_link(root, ROOT);
        names
    }

    pub(super) fn name(&self, name: u32) -> Option<&NameData> {
        self.names.get(name)
    }

    pub(super) fn name_mut(&mut self, name: u32) -> Option<&mut NameData> {
        self.names.get_mut(name)
    }

    pub(super) fn inode(&self, inode: u32) -> Option<&InodeData> {
        self.inodes.get(inode)
    }

    pub(super) fn inode_mut(&mut self, inode: u32) -> Option<&mut InodeData> {
        self.inodes.get_mut(inode)
    }

    /// The inode that a name leads to.
    pub(super) fn inode_of(&self, name: u32) -> Option<&InodeData> {
        self.inode(self.name(name)?.inode)
    }

    pub(super) fn text(&self, text: Text) -> &[u8] {
        self.texts.get(text)
    }

    pub(super) fn add_text(&mut self, bytes: &[u8]) -> Text {
        self.texts.push(bytes)
    }

    /// How many names there are, hidden ones included.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.names.len()).unwrap_or(u32::MAX)
    }

    /// How many inodes there are, also those of hidden names.
    pub(super) fn inodes(&self) -> u32 {
        u32::try_from(self.inodes.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of memory; `None` if there were too many.
    pub(super) fn bytes(&self) -> Option<u64> {
        let texts = self.texts.bytes().filter(|_| !self.overflown)?;
        Some(texts + self.names.bytes() + self.inodes.bytes() + self.index.bytes())
    }

    /// Finds the name with these bytes in a directory. `place` is where it is.
    pub(super) fn find(&self, directory: u32, place: PlaceId, bytes: &[u8]) -> Option<u32> {
        let is_it = |name: &NameData| name.parent == directory && self.texts.get(name.text) == bytes;
        self.index.find(hash(place), |number| self.name(number).is_some_and(is_it))
    }

    /// The name in the tree for which `is_it` says so, among those of this hash and others.
    pub(super) fn find_by_hash(&self, hash: u32, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.index.find(hash, is_it)
    }

    pub(super) fn add_inode(&mut self, inode: InodeData) -> u32 {
        let number = number(self.inodes.len(), &mut self.overflown);
        self.inodes.push(inode);
        number
    }

    fn push(&mut self, name: NameData) -> u32 {
        let number = number(self.names.len(), &mut self.overflown);
        self.names.push(name);
        number
    }

    /// Adds a name at the end of a directory.
    pub(super) fn add(&mut self, directory: u32, (place, bytes): (PlaceId, &[u8]), inode: u32, origin: Origin) {
        let Some(&InodeData { kind: Kind::Directory { last, .. }, .. }) = self.inode(directory) else { return };
        let (text, hash) = (self.texts.push(bytes), hash(place));
        let state = State::Present { previous: last, next: NONE };
        let name = self.push(NameData { parent: directory, inode, text, hash, next_link: NONE, state, origin });
        self.set_next(directory, last, name);
        self.set_previous(directory, NONE, name);
        self.add_link(inode, name);
        let Self { index, names, .. } = self;
        index.insert(name, hash, |other| names.get(other).map_or(0, |name| name.hash));
    }

    /// Adds a name to the ring of those of an inode.
    fn add_link(&mut self, inode: u32, name: u32) {
        let Some(data) = self.inodes.get_mut(inode) else { return };
        let last = std::mem::replace(&mut data.last_name, name);
        data.links += 1;
        let first = self.names.get_mut(last).map_or(name, |last| std::mem::replace(&mut last.next_link, name));
        if let Some(data) = self.names.get_mut(name) {
            data.next_link = first;
        }
    }

    /// Sets what follows on `name` in a directory; on nothing, the first name follows.
    fn set_next(&mut self, directory: u32, name: u32, to: u32) {
        match self.names.get_mut(name) {
            Some(NameData { state: State::Present { next, .. }, .. }) => *next = to,
            Some(_) => (),
            None => {
                if let Some(InodeData { kind: Kind::Directory { first, .. }, .. }) = self.inodes.get_mut(directory) {
                    *first = to;
                }
            }
        }
    }

    /// Sets what comes before `name` in a directory; before nothing, the last name comes.
    fn set_previous(&mut self, directory: u32, name: u32, to: u32) {
        match self.names.get_mut(name) {
            Some(NameData { state: State::Present { previous, .. }, .. }) => *previous = to,
            Some(_) => (),
            None => {
                if let Some(InodeData { kind: Kind::Directory { last, .. }, .. }) = self.inodes.get_mut(directory) {
                    *last = to;
                }
            }
        }
    }

    /// Takes a name out of the tree, with all below it. It takes no stack, however deep that is.
    pub(super) fn remove(&mut self, top: u32, leaving: Leaving) {
        self.remove_one(top, leaving);
        let Some(top) = self.name(top).map(|name| name.inode) else { return };
        if self.inode(top).is_some_and(InodeData::is_directory) {
            self.remove_below(top, leaving.below());
        }
    }

    /// Takes out of the tree what lies below a directory.
    pub(super) fn remove_below(&mut self, top: u32, leaving: Leaving) {
        let mut directory = top;
        loop {
            if let Some(child) = self.first(directory) {
                self.remove_one(child, leaving);
                let inode = self.name(child).map(|name| name.inode);
                directory = inode.filter(|&inode| self.first(inode).is_some()).unwrap_or(directory);
            } else if directory == top {
                return;
            } else {
                let Some(above) = self.parent(directory) else { return };
                directory = above;
            }
        }
    }

    fn remove_one(&mut self, name: u32, leaving: Leaving) {
        let Some(data) = self.names.get_mut(name) else { return };
        let State::Present { previous, next } = std::mem::replace(&mut data.state, leaving.state()) else { return };
        let (directory, inode, hash) = (data.parent, data.inode, data.hash);
        self.set_next(directory, previous, next);
        self.set_previous(directory, next, previous);
        if let Some(inode) = self.inodes.get_mut(inode) {
            inode.links = inode.links.saturating_sub(1);
        }
        let Self { index, names, .. } = self;
        index.remove(name, hash, |other| names.get(other).map_or(0, |name| name.hash));
    }

    /// The directory in which a directory is, or was.
    fn parent(&self, directory: u32) -> Option<u32> {
        Some(self.name(self.inode(directory)?.last_name)?.parent)
    }

    /// The first name in a directory.
    pub(super) fn first(&self, directory: u32) -> Option<u32> {
        match self.inode(directory)?.kind {
            Kind::Directory { first, .. } if first != NONE => Some(first),
            _ => None,
        }
    }

    /// The name behind another one in the same directory.
    pub(super) fn next(&self, name: u32) -> Option<u32> {
        match self.name(name)?.state {
            State::Present { next, .. } if next != NONE => Some(next),
            _ => None,
        }
    }

    /// The name behind another one, where a directory comes before what lies in it.
    pub(super) fn next_in_tree(&self, name: u32) -> Option<u32> {
        if let Some(first) = self.first(self.name(name)?.inode) {
            return Some(first);
        }
        let mut at = name;
        while at != ROOT {
            if let Some(next) = self.next(at) {
                return Some(next);
            }
            at = self.name_above(at)?;
        }
        None
    }

    /// The name of the directory that a name is in, or was in.
    pub(super) fn name_above(&self, name: u32) -> Option<u32> {
        Some(self.inode(self.name(name)?.parent)?.last_name)
    }

    /// The path of a name, which may be hidden: components joined by slashes.
    pub(super) fn path(&self, name: u32) -> Vec<u8> {
        let (mut parts, mut at) = (Vec::new(), name);
        while let Some(data) = self.name(at).filter(|_| at != ROOT) {
            parts.push(self.texts.get(data.text));
            at = self.name_above(at).unwrap_or(ROOT);
        }
        parts.reverse();
        parts.join(&b'/')
    }

    /// All names that an inode ever had, in the order in which they came.
    pub(super) fn all_names_of(&self, inode: u32) -> impl Iterator<Item = u32> {
        let last = self.inode(inode).map_or(NONE, |inode| inode.last_name);
        let first = self.name(last).map(|last| last.next_link);
        std::iter::successors(first, move |&at| self.name(at).map(|name| name.next_link).filter(|_| at != last))
    }

    /// The names of an inode in the tree, in the order in which they came.
    pub(super) fn names_of(&self, inode: u32) -> impl Iterator<Item = u32> {
        let is_present = |name: &NameData| matches!(name.state, State::Present { .. });
        self.all_names_of(inode).filter(move |&name| self.name(name).is_some_and(is_present))
    }

    /// The other names of what a name leads to.
    pub(super) fn links(&self, name: u32) -> impl Iterator<Item = u32> {
        let inode = self.name(name).map_or(NONE, |name| name.inode);
        self.names_of(inode).filter(move |&other| other != name)
    }

    /// Brings the names in each directory into order.
    pub(super) fn sort(&mut self) {
        for directory in 0..self.inodes() {
            let mut children: Vec<_> = std::iter::successors(self.first(directory), |&name| self.next(name)).collect();
            let text = |&name: &u32| self.name(name).map(|name| self.texts.get(name.text));
            if children.is_sorted_by_key(text) {
                continue;
            }
            children.sort_unstable_by(|a, b| text(a).cmp(&text(b)));
            let mut before = NONE;
            for child in children {
                self.set_next(directory, before, child);
                self.set_previous(directory, child, before);
                before = child;
            }
            self.set_next(directory, before, NONE);
            self.set_previous(directory, NONE, before);
        }
    }
}

/// The number of the next item of a list.
fn number(length: usize, overflown: &mut bool) -> u32 {
    match u32::try_from(length) {
        Ok(number) if number < NONE => number,
        _ => {
            *overflown = true;
            NONE
        }
    }
}

/// Places are hashes already.
fn hash(place: PlaceId) -> u32 {
    place.0 as u32
}
