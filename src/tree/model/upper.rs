//! The layer of an overlay that shows the tree when it lies over the layers below it.
//!
//! It is the difference between the tree before a layer and after it. So it follows from what the applier did, and knows no
//! rule of layers itself. It has:
//!
//! - what the layer brought, directories whose metadata it changed, and the directories on the way to all of that;
//! - a whiteout for each name that lower layers show and the tree has no more. Where lower layers show nothing there is none:
//!   it would show up in listings;
//! - all names of a file of lower layers that got another name: otherwise they would not be one file any more.
//!
//! A directory in the place of one that lower layers show is opaque, and so is one that was cleared. The root of a layer
//! cannot be opaque: it has a whiteout for each name instead.

use super::Model;
use super::journal::Journal;
use super::names::ROOT;
use crate::words::Error;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The layer of an overlay. A number identifies each name in it; that of the root is 0.
#[derive(Debug)]
pub(crate) struct Upper<'t> {
    model: &'t Model,
    /// The root, and then all others by the inodes of their directories and by their bytes.
    members: Vec<Member>,
    /// The first of the names of each file that has several, and how many it has.
    linked: HashMap<u32, (u32, u32)>,
    /// The first whiteout, and how many there are, if there are any.
    whiteouts: Option<(u32, u32)>,
    /// The inodes of opaque directories.
    opaque: HashSet<u32>,
    /// The inodes of directories with whiteouts.
    hiding: HashSet<u32>,
}

/// A name in the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// The name in the tree.
    pub(crate) name: u32,
    pub(crate) is: Is,
}

/// What a name of the layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Is {
    /// What the tree has.
    There,
    /// A whiteout: the tree has nothing there any more.
    Whiteout,
}

/// What overlayfs has to know of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirectoryMark {
    Nothing,
    /// Lower layers are hidden in it.
    Opaque,
    /// It has whiteouts; the root has this mark if any directory has.
    Hiding,
}

impl Model {
    /// The layer of an overlay for the layer that has just ended.
    ///
    /// # Errors
    ///
    /// The tree was not told to keep a journal.
    pub(crate) fn upper(&self) -> Result<Upper<'_>, Error> {
        let journal = self.journal.as_ref().ok_or(Error::bug("a tree without a journal is asked for a layer"))?;
        let mut making = Making { model: self, journal, members: Vec::new(), lower: HashSet::new() };
        making.add_all();
        let mut upper = Upper {
            model: self,
            members: making.members,
            linked: HashMap::new(),
            whiteouts: None,
            opaque: self.opaque(journal),
            hiding: HashSet::new(),
        };
        upper.finish();
        Ok(upper)
    }

    /// The directories in which lower layers are hidden.
    fn opaque(&self, journal: &Journal) -> HashSet<u32> {
        let is_cleared = |&directory: &u32| directory != ROOT && self.is_in_tree(directory);
        let cleared = journal.cleared().iter().copied().filter(is_cleared);
        // A file of a lower layer is hidden by any directory, and hides what is below it.
        let replaced = journal.hidden().iter().filter(|&&hidden| self.is_directory(hidden));
        let replaced = replaced.filter_map(|&hidden| self.beside(hidden)).filter(|&now| self.is_directory(now));
        cleared.chain(replaced.filter_map(|now| Some(self.names.name(now)?.inode))).collect()
    }

    /// Whether a directory is in the tree.
    fn is_in_tree(&self, directory: u32) -> bool {
        directory == ROOT || self.names.inode(directory).is_some_and(|inode| self.is_present(inode.last_name))
    }

    /// The name that is in the tree in the place of a hidden one, in the same directory.
    fn beside(&self, hidden: u32) -> Option<u32> {
        let name = self.names.name(hidden)?;
        let is_it = |other: u32| {
            let other = self.names.name(other);
            other.is_some_and(|other| {
                other.parent == name.parent && self.names.text(other.text) == self.names.text(name.text)
            })
        };
        self.names.find_by_hash(name.hash, is_it)
    }
}

/// Collects the names of a layer.
struct Making<'t> {
    model: &'t Model,
    journal: &'t Journal,
    members: Vec<Member>,
    /// The names of lower layers among them.
    lower: HashSet<u32>,
}

impl Making<'_> {
    fn add_all(&mut self) {
        let (model, journal) = (self.model, self.journal);
        self.members.push(Member { name: ROOT, is: Is::There });
        for name in (journal.names.max(1)..model.names.len()).filter(|&name| model.is_present(name)) {
            self.members.push(Member { name, is: Is::There });
            self.add_parents(name);
        }
        for &directory in journal.renewed().iter().filter(|&&directory| model.is_in_tree(directory)) {
            let name = model.names.inode(directory).map_or(ROOT, |inode| inode.last_name);
            self.add_lower(name);
        }
        for name in journal.copied().flat_map(|inode| model.names.names_of(inode)) {
            self.add_lower(name);
        }
        for &name in journal.hidden() {
            let parent = model.names.name(name).map(|name| name.parent);
            if parent.is_some_and(|parent| model.is_in_tree(parent)) && model.beside(name).is_none() {
                self.members.push(Member { name, is: Is::Whiteout });
                self.add_parents(name);
            }
        }
    }

    /// Adds a name that may be one of lower layers. Names of the layer itself are there already.
    fn add_lower(&mut self, name: u32) {
        if self.is_new(name) {
            self.members.push(Member { name, is: Is::There });
            self.add_parents(name);
        }
    }

    /// Adds the directories on the way to a name.
    fn add_parents(&mut self, name: u32) {
        let mut at = name;
        while let Some(above) = self.model.names.name_above(at).filter(|&above| self.is_new(above)) {
            self.members.push(Member { name: above, is: Is::There });
            at = above;
        }
    }

    /// Whether a name is one of lower layers that is not among the names yet.
    fn is_new(&mut self, name: u32) -> bool {
        name != ROOT && name < self.journal.names && self.lower.insert(name)
    }
}

impl<'t> Upper<'t> {
    /// Brings the names into order, and drops marks that mean nothing.
    fn finish(&mut self) {
        let model = self.model;
        let key = |member: &Member| {
            let name = model.names.name(member.name);
            name.map(|name| (name.parent, model.names.text(name.text)))
        };
        if let Some((_, others)) = self.members.split_first_mut() {
            others.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        }
        self.drop_what_is_hidden();
        for (number, member) in (0..).zip(&self.members) {
            let Some(name) = model.names.name(member.name) else { continue };
            match member.is {
                Is::Whiteout => {
                    self.whiteouts.get_or_insert((number, 0)).1 += 1;
                    self.hiding.insert(name.parent);
                }
                Is::There if model.names.inode(name.inode).is_some_and(|inode| inode.links > 1) => {
                    self.linked.entry(name.inode).or_insert((number, 0)).1 += 1;
                }
                Is::There => (),
            }
        }
    }

    /// Drops the marks below opaque directories: lower layers do not show there. A whiteout would show up in listings.
    fn drop_what_is_hidden(&mut self) {
        if self.opaque.is_empty() {
            return;
        }
        let mut dropped = HashSet::new();
        let mut to_do = vec![(ROOT, false)];
        while let Some((directory, is_hidden)) = to_do.pop() {
            for member in self.in_directory(directory).filter_map(|number| self.members.get(number as usize)) {
                let inode = self.model.inode_number(member.name);
                match member.is {
                    Is::Whiteout if is_hidden => drop(dropped.insert(member.name)),
                    Is::There if self.model.is_directory(member.name) => {
                        let is_opaque =
                            if is_hidden { self.opaque.remove(&inode) } else { self.opaque.contains(&inode) };
                        to_do.push((inode, is_hidden || is_opaque));
                    }
                    Is::Whiteout | Is::There => (),
                }
            }
        }
        self.members.retain(|member| !dropped.contains(&member.name));
    }

    /// Bytes of memory, about. Tables have room to grow, and while the names are collected there are two more of them.
    pub(crate) fn bytes(&self) -> u64 {
        let names = self.members.capacity() * (size_of::<Member>() + 4 * size_of::<u32>());
        let linked = self.linked.capacity() * 2 * size_of::<(u32, (u32, u32))>();
        let marked = (self.opaque.capacity() + self.hiding.capacity()) * 2 * size_of::<u32>();
        (names + linked + marked) as u64
    }

    /// The tree.
    pub(crate) fn model(&self) -> &'t Model {
        self.model
    }

    /// What a number stands for; an impossible one stands for the root.
    pub(crate) fn member(&self, number: u32) -> Member {
        self.members.get(number as usize).copied().unwrap_or(Member { name: ROOT, is: Is::There })
    }

    /// The numbers of all names, the root first.
    pub(crate) fn numbers(&self) -> Range<u32> {
        0..u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    /// The names in a directory, in order.
    pub(crate) fn children(&self, directory: u32) -> Range<u32> {
        match self.member(directory) {
            Member { name, is: Is::There } => self.in_directory(self.model.inode_number(name)),
            Member { is: Is::Whiteout, .. } => 0..0,
        }
    }

    fn in_directory(&self, inode: u32) -> Range<u32> {
        let others = self.members.get(1..).unwrap_or_default();
        let parent = |member: &Member| self.model.names.name(member.name).map_or(ROOT, |name| name.parent);
        let start = others.partition_point(|member| parent(member) < inode);
        let end = others.partition_point(|member| parent(member) <= inode);
        start as u32 + 1..end as u32 + 1
    }

    /// The number of the first name of the same file. All whiteouts are one file.
    pub(crate) fn inode(&self, number: u32) -> u32 {
        self.names_of(number).map_or(number, |(first, _)| first)
    }

    /// How many names the same file has.
    pub(crate) fn link_count(&self, number: u32) -> u32 {
        self.names_of(number).map_or(1, |(_, count)| count)
    }

    /// The first of the names of a file, and how many they are; `None` if it is alone.
    fn names_of(&self, number: u32) -> Option<(u32, u32)> {
        match self.member(number) {
            Member { is: Is::Whiteout, .. } => self.whiteouts,
            Member { name, is: Is::There } => self.linked.get(&self.model.inode_number(name)).copied(),
        }
    }

    /// What overlayfs has to know of a name.
    pub(crate) fn mark(&self, number: u32) -> DirectoryMark {
        let Member { name, is: Is::There } = self.member(number) else { return DirectoryMark::Nothing };
        let inode = self.model.inode_number(name);
        if self.opaque.contains(&inode) {
            return DirectoryMark::Opaque;
        }
        let is_hiding = if inode == ROOT { !self.hiding.is_empty() } else { self.hiding.contains(&inode) };
        if is_hiding { DirectoryMark::Hiding } else { DirectoryMark::Nothing }
    }
}
