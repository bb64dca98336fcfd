//! A tree of names in memory, and the walk through it: what the cage does on disk, for who may not touch one.

use super::Lower;
use super::table::{Table, Targets};
use crate::plan::{Reporter, Skippable, Standing, may_be_made};
use crate::words::{Component, Escaped, Fault, Followed, Limit, Limits, Metadata, Quirk, Violation, Work};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A directory, by its number.
    Directory { number: u32 },
    /// A symbolic link: the index of its target.
    Link { number: u32 },
    /// Anything else, and a hash of its owner and mode.
    Other { attributes: u32, skippable: Option<Skippable> },
    /// What a hard link leads to in a lower layer that is not seen.
    Unseen,
}

/// Sixteen bytes: an audit keeps one for each name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// How it stands to the layer that last had to do with it.
    standing: Standing,
    layer: u32,
}

#[cfg(test)]
impl Node {
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, standing: Standing::Own, layer: 1 }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Directory {
    /// What layers below this one brought is there no more.
    floor: u32,
    /// The last layer that brought something into it.
    filled: u32,
}

/// A directory as a walk came to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    number: u32,
    /// The highest floor on the way: all below is what was cleared away, here or further up.
    floor: u32,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) u64);

/// What a walk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Something is brought: parents that are missing are made.
    Bring,
    /// Something is looked for, whoever brought it.
    Find,
    /// Something of lower layers is looked for: what this layer brought ends the walk.
    FindLower,
}

/// Where a walk ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Walked {
    At(At),
    /// There is no such directory.
    Nowhere,
    /// At something of its own layer that is no directory.
    Stopped,
    /// Where that is only a lower layer can say.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Names {
    lower: Lower,
    pub(super) limits: Limits,
    places: Table,
    directories: Vec<Directory>,
    targets: Targets,
    /// The indexes are too small for so many directories or such long targets.
    overflown: bool,
    hasher: RandomState,
    layer: u32,
    /// What the names of this and the earlier layers have asked for; nothing is opened here.
    work: Work,
    /// A directory for what the layer keeps out of the tree, once there is any.
    apart: Option<At>,
    /// The last directory that something was brought to, by its name.
    last: Option<(Vec<u8>, At)>,
}

impl Names {
    pub(super) fn over(lower: Lower, limits: &Limits) -> Self {
        Self {
            lower,
            limits: limits.clone(),
            places: Table::default(),
            directories: vec![Directory::default()],
            targets: Targets::default(),
            overflown: false,
            hasher: RandomState::new(),
            layer: 0,
            work: Work::default(),
            apart: None,
            last: None,
        }
    }

    pub(super) fn begin_layer(&mut self) {
        self.layer += 1;
        self.work.begin_layer();
        (self.last, self.apart) = (None, None);
    }

    /// The directory for what the layer keeps out of the tree: no name leads to it.
    pub(super) fn apart(&mut self) -> At {
        if let Some(at) = self.apart {
            return at;
        }
        let number = match self.new_directory(false) {
            Kind::Directory { number } => number,
            _ => u32::MAX,
        };
        *self.apart.insert(At { number, floor: self.layer })
    }

    /// What the layer has kept out of the tree by a name.
    pub(super) fn node_apart(&self, name: Component<'_>) -> Option<Node> {
        let at = self.apart?;
        self.node(at, self.key(at, name))
    }

    /// Where a symbolic link leads, by its number.
    pub(super) fn link_target(&self, number: u32) -> Arc<[u8]> {
        self.targets.target(number).unwrap_or_else(|| Arc::from(&b""[..]))
    }

    /// Checks that the names so far are within the limit. One entry may exceed it: the next one finds out.
    ///
    /// # Errors
    ///
    /// [`Violation::LimitExceeded`]. An audit without a tree finds less, and the author of the image decides how many
    /// names there are: it must not pass.
    pub(super) fn check_room(&self) -> Result<(), Violation> {
        let directories = size_of_val(self.directories.as_slice()) as u64;
        let amount = self.places.bytes() + self.targets.bytes() + directories;
        let (limit, most) = (Limit::AuditBytes, self.limits.most(Limit::AuditBytes));
        if self.overflown || amount > most { Err(Violation::LimitExceeded { limit, most, amount }) } else { Ok(()) }
    }

    pub(super) fn key(&self, at: At, name: Component<'_>) -> Key {
        Key(self.hasher.hash_one((at.number, name.as_bytes())))
    }

    /// What is at a name, unless it was cleared away.
    pub(super) fn node(&self, at: At, key: Key) -> Option<Node> {
        self.places.get(key).filter(|node| node.layer >= at.floor)
    }

    /// Whether a lower layer that is not seen may have something where we have nothing.
    pub(super) fn may_have_more(&self, at: At) -> bool {
        self.lower == Lower::Unknown && !self.is_clear(at)
    }

    /// Whether a directory has nothing in it of lower layers.
    pub(super) fn is_clear(&self, at: At) -> bool {
        at.floor == self.layer
    }

    /// Whether this layer brought something into a directory.
    pub(super) fn is_filled(&self, at: At) -> bool {
        self.directories.get(at.number as usize).is_some_and(|directory| directory.filled == self.layer)
    }

    pub(super) fn standing(&self, at: At, node: Node) -> Standing {
        match node.layer == self.layer {
            _ if self.is_clear(at) => Standing::Own,
            true => node.standing,
            false => Standing::Lower,
        }
    }

    /// The layer brings something to a name.
    pub(super) fn bring(&mut self, at: At, key: Key, kind: Kind) {
        let standing = Standing::Own;
        if self.places.insert(key, Node { kind, standing, layer: self.layer }).is_some() {
            // It may have been a link that led to the last parent.
            self.last = None;
        }
        if let Some(directory) = self.directories.get_mut(at.number as usize) {
            directory.filled = self.layer;
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        // Its descendants stay in the table and stay counted. They are no longer reachable.
        self.last = None;
        self.places.remove(key);
    }

    /// What lower layers have in a directory goes.
    pub(super) fn clear(&mut self, number: u32) {
        self.last = None;
        if let Some(directory) = self.directories.get_mut(number as usize) {
            directory.floor = self.layer;
        }
    }

    pub(super) fn clear_at(&mut self, at: At) {
        self.clear(at.number);
    }

    /// A directory that is new to us; empty, unless a lower layer that is not seen may have it.
    pub(super) fn new_directory(&mut self, may_have_more: bool) -> Kind {
        let number = u32::try_from(self.directories.len());
        self.overflown |= number.is_err();
        let floor = if may_have_more { 0 } else { self.layer };
        self.directories.push(Directory { floor, filled: 0 });
        Kind::Directory { number: number.unwrap_or(u32::MAX) }
    }

    pub(super) fn new_link(&mut self, target: &[u8], metadata: &Metadata) -> Kind {
        let owner = self.owner(metadata);
        let number = self.targets.push(target, owner);
        self.overflown |= number.is_none();
        Kind::Link { number: number.unwrap_or(u32::MAX) }
    }

    /// Whether a header repeats the owner of a symbolic link.
    pub(super) fn is_owner(&self, number: u32, metadata: &Metadata) -> bool {
        self.targets.owner(number) == Some(self.owner(metadata))
    }

    /// A hash of what hard links must repeat of a symbolic link: by chance one in four thousand million differs
    /// unseen, and none on purpose, since the key is random.
    fn owner(&self, metadata: &Metadata) -> u32 {
        self.hasher.hash_one((metadata.uid, metadata.gid)) as u32
    }

    /// The same for everything else.
    pub(super) fn attributes(&self, metadata: &Metadata) -> u32 {
        self.hasher.hash_one((metadata.uid, metadata.gid, metadata.mode)) as u32
    }

    /// Walks to the directory that `names` (components joined by slashes) leads to, as the cage would; the path
    /// that it has, links resolved, is left in `path`.
    pub(super) fn walk(
        &mut self,
        names: &[u8],
        purpose: Purpose,
        path: &mut Vec<u8>,
        reporter: &mut Reporter<'_>,
    ) -> Result<Walked, Fault> {
        if purpose == Purpose::Bring
            && let Some((last, at)) = &self.last
            && last == names
            && path.is_empty()
        {
            path.extend_from_slice(names);
            return Ok(Walked::At(*at));
        }
        let root = At { number: 0, floor: self.directories.first().map_or(0, |root| root.floor) };
        let mut at = root;
        let mut followed = Followed::default();
        // Each link is reported once in a walk: a target of 4 KiB may say `..` 1,365 times.
        let mut reported_links = Vec::<Arc<[u8]>>::new();
        let mut reported_climbs = Vec::<Arc<[u8]>>::new();
        let mut trail: Vec<(At, Key, usize)> = Vec::new();
        let mut to_do: Vec<(Arc<[u8]>, usize)> = vec![(names.into(), 0)];
        while let Some((names, start)) = to_do.pop() {
            let rest = names.get(start..).unwrap_or_default();
            let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            if length < rest.len() {
                to_do.push((Arc::clone(&names), start + length + 1));
            }
            let name = match rest.get(..length).unwrap_or_default() {
                b"" | b"." => continue,
                b".." => {
                    match trail.pop() {
                        Some((above, _, length)) => {
                            at = above;
                            path.truncate(length);
                        }
                        None if reported_climbs.contains(&names) => {}
                        None => {
                            reported_climbs.push(Arc::clone(&names));
                            reporter.quirk(Quirk::LinkClimbs { target: Escaped::new(&names) })?;
                        }
                    }
                    continue;
                }
                name => Component::parse(name)?,
            };
            let key = self.key(at, name);
            let length = path.len();
            let node = self.node(at, key);
            let own = node.is_some_and(|node| self.standing(at, node) == Standing::Own);
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
            let number = match node.map(|node| node.kind) {
                Some(Kind::Directory { number }) => number,
                Some(Kind::Link { .. } | Kind::Other { .. } | Kind::Unseen) if own && purpose == Purpose::FindLower => {
                    return Ok(Walked::Stopped);
                }
                Some(Kind::Link { number }) => {
                    path.truncate(length);
                    let target = self.link_target(number);
                    if !reported_links.contains(&target) {
                        reported_links.push(Arc::clone(&target));
                        reporter.quirk(Quirk::LinkParent { target: Escaped::new(&target) })?;
                    }
                    followed.follow(&target);
                    followed.check_walk(&self.limits)?;
                    self.work.follow(&target, &self.limits)?;
                    if target.first() == Some(&b'/') {
                        at = root;
                        trail.clear();
                        path.clear();
                    }
                    to_do.push((target, 0));
                    continue;
                }
                // A hard link to what a lower layer has, which may be a symbolic link.
                Some(Kind::Unseen) => return Ok(Walked::Unknown),
                Some(Kind::Other { .. }) if purpose == Purpose::Bring => {
                    return Err(Violation::ParentNotDirectory { parent: Escaped::new(path) }.into());
                }
                Some(Kind::Other { .. }) => return Ok(Walked::Nowhere),
                // What no entry lists may be a link in a lower layer: all below may lie anywhere.
                None if self.may_have_more(at) => return Ok(Walked::Unknown),
                None if purpose != Purpose::Bring => return Ok(Walked::Nowhere),
                None => self.imply(at, key, name, path)?,
            };
            trail.push((at, key, length));
            let floor = self.directories.get(number as usize).map_or(0, |directory| directory.floor);
            at = At { number, floor: at.floor.max(floor) };
        }
        if purpose == Purpose::Bring {
            for (within, key, _) in trail {
                self.pass(within, key);
            }
            self.last = (followed.links == 0).then(|| (names.to_vec(), at));
        }
        Ok(Walked::At(at))
    }

    /// Makes a parent that no entry lists.
    fn imply(&mut self, at: At, key: Key, name: Component<'_>, path: &[u8]) -> Result<u32, Fault> {
        may_be_made(name)?;
        self.work.imply(&self.limits)?;
        self.limits.check_path(path)?;
        let kind = self.new_directory(false);
        self.bring(at, key, kind);
        match kind {
            Kind::Directory { number } => Ok(number),
            _ => Err(Fault::bug("a new directory is none")),
        }
    }

    /// The layer brings something to somewhere below a directory.
    fn pass(&mut self, within: At, key: Key) {
        let layer = self.layer;
        if let Some(node) = self.places.get_mut(key)
            && node.layer != layer
        {
            (node.layer, node.standing) = (layer, Standing::Traversed);
        }
        if let Some(directory) = self.directories.get_mut(within.number as usize) {
            directory.filled = layer;
        }
    }
}
