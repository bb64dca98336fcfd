//! A tree in memory: the names of an audit.
//!
//! It keeps what names resolve to, and no more: directories, the targets of links, and a hash of what hard links must
//! repeat. A name costs 25 bytes, whatever its length, because places are hashes.
//!
//! Nothing is enumerated. A directory is cleared by raising its *floor*: what layers below the floor brought to it, or
//! to any directory below it, is there no more.

mod directories;
mod table;
mod targets;

use super::{
    Cleared, Done, InTheWay, Inexact, Inode, Linking, Made, Node, NodeKind, Old, Over, Repeats, Step, Tree, path_of,
};
use crate::plan::LayerContents;
use crate::words::{Error, Metadata, PlaceId, PlaceKey, Skippable};
use directories::Directories;
pub(crate) use directories::MemoryDir;
use std::sync::Arc;
use table::{Entry, Key, Kind, Table};
use targets::Targets;

type Place<'a> = super::Place<'a, Arc<MemoryDir>>;

/// What lies below the first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lower {
    /// Nothing: the layers are the whole image.
    Nothing,
    /// Layers that are not at hand: only findings that hold for any lower layers are reported. Paths through directories
    /// that the layer does not list may lead anywhere.
    Unknown,
}

/// The names that layers bring, in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    lower: Lower,
    key: PlaceKey,
    entries: Table,
    directories: Directories,
    targets: Targets,
    /// The number of the current layer, from 1.
    layer: u32,
    /// The directory for what the layer keeps out of the tree. No name leads to it.
    apart: Option<Arc<MemoryDir>>,
}

impl Memory {
    pub(crate) fn over(lower: Lower) -> Self {
        Self {
            lower,
            key: PlaceKey::default(),
            entries: Table::default(),
            directories: Directories::default(),
            targets: Targets::default(),
            layer: 0,
            apart: None,
        }
    }

    pub(crate) fn begin_layer(&mut self) {
        self.layer += 1;
        self.apart = None;
    }

    /// Bytes of memory; `None` if an index is too small for so much.
    pub(crate) fn bytes(&self) -> Option<u64> {
        Some(self.entries.bytes() + self.targets.bytes()? + self.directories.bytes()?)
    }

    fn key_of(at: &Place<'_>) -> Key {
        Key::new(at.dir().number, at.id())
    }

    /// What is known of a place: nothing, that nothing is there, or what is there.
    fn known(&self, at: &Place<'_>) -> Option<Kind> {
        let entry = self.entries.get(Self::key_of(at)).filter(|entry| entry.layer >= at.dir().floor);
        match entry {
            Some(entry) => Some(entry.kind),
            None if self.may_have_more(at.dir()) => None,
            None => Some(Kind::Nothing),
        }
    }

    /// Whether lower layers that are not known may have something in a directory.
    fn may_have_more(&self, dir: &MemoryDir) -> bool {
        self.lower == Lower::Unknown && dir.floor == 0
    }

    /// Puts something to a place.
    fn put(&mut self, at: &Place<'_>, kind: Kind) {
        let key = Self::key_of(at);
        self.put_in(at.dir(), key, kind);
    }

    fn put_in(&mut self, dir: &MemoryDir, key: Key, kind: Kind) {
        let old = self.entries.insert(key, Entry { kind, layer: self.layer });
        let old = old.filter(|old| old.layer >= dir.floor && old.kind.is_something()).map(|old| old.layer);
        match (kind.is_something(), old) {
            (true, old) => self.directories.fill(dir, self.layer, old),
            (false, Some(old)) => self.directories.lose(dir, old),
            (false, None) => (),
        }
    }

    /// What a hard link must repeat. By chance one in four thousand million differs and is not noticed. Nothing can be
    /// made to, since the key is random.
    fn attributes(&self, metadata: &Metadata) -> u32 {
        self.key.hash((metadata.uid, metadata.gid, metadata.mode)) as u32
    }

    /// The same for a symbolic link, whose mode means nothing.
    fn owner(&self, metadata: &Metadata) -> u32 {
        self.key.hash((metadata.uid, metadata.gid)) as u32
    }

    fn target(&self, index: u32) -> Vec<u8> {
        self.targets.target(index).unwrap_or_default().to_vec()
    }

    /// The entry of something that is not a directory.
    fn kind_of(&mut self, node: &Node<'_, '_>) -> Kind {
        let skippable = match node.kind {
            NodeKind::Symlink(target) => {
                let owner = self.owner(node.metadata);
                return Kind::Link { index: self.targets.push(target, owner) };
            }
            NodeKind::Fifo => Some(Skippable::Fifo),
            NodeKind::Device(device) => Some(Skippable::of(device)),
            NodeKind::File(_) | NodeKind::Directory => None,
        };
        Kind::Other { attributes: self.attributes(node.metadata), skippable }
    }

    fn make_directory(&mut self, at: &Place<'_>, over: Over) -> Made {
        let (floor, old) = match self.known(at) {
            Some(kind @ Kind::Directory { .. }) => {
                self.put(at, kind);
                return done(Old::Kept);
            }
            Some(Kind::Nothing) => (self.layer, Old::Nothing),
            // Lower layers may have a directory here, with anything in it.
            None => (0, Old::Unknown),
            Some(Kind::Link { index }) if over == Over::Nothing => {
                return Made::InTheWay(InTheWay::Symlink { target: self.target(index) });
            }
            Some(Kind::Other { .. }) if over == Over::Nothing => return Made::InTheWay(InTheWay::Other),
            Some(Kind::Link { .. } | Kind::Other { .. } | Kind::Unseen) => (self.layer, Old::Replaced),
        };
        let number = self.directories.push(floor);
        self.put(at, Kind::Directory { number });
        done(old)
    }

    /// Puts something that is not a directory to a place.
    fn make_other(&mut self, at: &Place<'_>, over: Over, kind: impl FnOnce(&mut Self) -> Kind) -> Made {
        let old = match self.known(at) {
            Some(Kind::Nothing) => Old::Nothing,
            None | Some(Kind::Unseen) => Old::Unknown,
            Some(_) if over == Over::Nothing => return Made::InTheWay(InTheWay::Other),
            Some(_) => Old::Replaced,
        };
        let kind = kind(self);
        self.put(at, kind);
        done(old)
    }
}

fn done(old: Old) -> Made {
    Made::Done(Done { old, inexact: Inexact::default() })
}

impl Tree for Memory {
    type Dir = Arc<MemoryDir>;

    fn root(&self) -> Arc<MemoryDir> {
        self.directories.root()
    }

    fn id(&self, dir: &Arc<MemoryDir>) -> PlaceId {
        dir.id
    }

    fn path<'d>(&self, dir: &'d Arc<MemoryDir>) -> &'d [u8] {
        &dir.path
    }

    fn key(&self) -> &PlaceKey {
        &self.key
    }

    fn is_complete(&self) -> bool {
        self.lower == Lower::Nothing
    }

    fn step(&mut self, at: &Place<'_>) -> Result<Step<Arc<MemoryDir>>, Error> {
        Ok(match self.known(at) {
            Some(Kind::Directory { number }) => {
                Step::Directory(self.directories.open(at.dir(), number, at.id(), path_of(&at.dir().path, at.name())))
            }
            Some(Kind::Link { index }) => Step::Symlink(self.target(index)),
            Some(Kind::Other { .. }) => Step::Other,
            Some(Kind::Nothing) => Step::Missing,
            // What no entry lists may be a link in a lower layer, and so may what a hard link leads to.
            Some(Kind::Unseen) | None => Step::Unknown(MemoryDir::unknown()),
        })
    }

    fn exists(&self, at: &Place<'_>) -> Result<bool, Error> {
        Ok(self.known(at).is_some_and(Kind::is_something))
    }

    fn is_empty(&self, dir: &Arc<MemoryDir>) -> Result<bool, Error> {
        Ok(!self.may_have_more(dir) && self.directories.entries(dir) == 0)
    }

    fn inode(&mut self, at: &Place<'_>, header: &Metadata) -> Result<Inode, Error> {
        let repeats = |is_alike| if is_alike { Repeats::Alike } else { Repeats::Otherwise };
        Ok(match self.known(at) {
            Some(Kind::Directory { .. }) => Inode::Directory,
            Some(Kind::Link { index }) => {
                Inode::File(repeats(self.targets.owner(index) == Some(self.owner(header))), Linking::Direct, None)
            }
            Some(Kind::Other { attributes, skippable }) => {
                Inode::File(repeats(attributes == self.attributes(header)), Linking::Direct, skippable)
            }
            Some(Kind::Nothing) => Inode::Missing,
            Some(Kind::Unseen) | None => Inode::Unknown,
        })
    }

    fn pass(&mut self, dir: &Arc<MemoryDir>) -> Result<(), Error> {
        let mut below = dir;
        while let Some(above) = &below.above {
            let key = Key::new(above.number, below.id);
            match self.entries.get(key) {
                // The layer has been here, and so in all directories above.
                Some(entry) if entry.layer == self.layer => return Ok(()),
                Some(entry) => self.put_in(above, key, entry.kind),
                None => return Ok(()),
            }
            below = above;
        }
        Ok(())
    }

    fn make(&mut self, at: &Place<'_>, node: &mut Node<'_, '_>, over: Over) -> Result<Made, Error> {
        Ok(match node.kind {
            NodeKind::Directory => self.make_directory(at, over),
            _ => self.make_other(at, over, |memory| memory.kind_of(node)),
        })
    }

    fn imply(&mut self, at: &Place<'_>) -> Result<(Arc<MemoryDir>, Inexact), Error> {
        let number = self.directories.push(self.layer);
        self.put(at, Kind::Directory { number });
        let path = path_of(&at.dir().path, at.name());
        Ok((self.directories.open(at.dir(), number, at.id(), path), Inexact::default()))
    }

    fn make_like_implied(&mut self, _: &Arc<MemoryDir>) -> Result<Inexact, Error> {
        Ok(Inexact::default())
    }

    fn renew_root(&mut self, _: &Metadata) -> Result<Inexact, Error> {
        Ok(Inexact::default())
    }

    fn link(&mut self, at: &Place<'_>, to: &Place<'_>, over: Over) -> Result<Made, Error> {
        let kind = match self.known(to) {
            Some(kind @ (Kind::Link { .. } | Kind::Other { .. })) => kind,
            _ => Kind::Unseen,
        };
        Ok(self.make_other(at, over, |_| kind))
    }

    fn remove(&mut self, at: &Place<'_>) -> Result<(), Error> {
        let key = Self::key_of(at);
        if self.entries.get(key).is_some_and(|entry| entry.kind == Kind::Unseen && entry.layer == self.layer) {
            // It stays, if the layer brought it.
            return Ok(());
        }
        self.put(at, Kind::Nothing);
        if !self.may_have_more(at.dir()) {
            // What lies below it stays in the table, and stays counted. No name leads to it any more.
            self.entries.remove(key);
        }
        Ok(())
    }

    fn clear(&mut self, dir: &Arc<MemoryDir>, _: &LayerContents) -> Result<Cleared, Error> {
        let keeps_own = self.directories.clear(dir, self.layer);
        Ok(Cleared { keeps_own, inexact: Inexact::default() })
    }

    fn make_apart(&mut self) -> Result<Arc<MemoryDir>, Error> {
        if let Some(apart) = &self.apart {
            return Ok(Arc::clone(apart));
        }
        let number = self.directories.push(self.layer);
        let id = PlaceId(self.key.hash(b"apart"));
        let apart = self.directories.open(&self.directories.root(), number, id, Box::default());
        Ok(Arc::clone(self.apart.insert(apart)))
    }

    fn apart(&self) -> Option<Arc<MemoryDir>> {
        self.apart.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Holds;
    use crate::tree::{Branch, ExactTime, ExactXattrs, Exactness};
    use crate::words::{Component, Timestamp};

    fn component(name: &str) -> Component<'_> {
        Component::parse(name.as_bytes()).unwrap()
    }

    fn make(memory: &mut Memory, dir: &Arc<MemoryDir>, name: &str, kind: NodeKind<'_>) {
        let metadata = Metadata { mode: 0o644, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new() };
        let exactness = Exactness { xattrs: ExactXattrs::Any, time: ExactTime::Nearest };
        let within = Branch { dir: Arc::clone(dir), holds: Holds::Lower };
        let place = memory.place(&within, component(name));
        let made = memory.make(&place, &mut Node { kind, metadata: &metadata, exactness }, Over::Anything).unwrap();
        assert!(matches!(made, Made::Done(_)), "{name}");
    }

    fn step(memory: &mut Memory, dir: &Arc<MemoryDir>, name: &str) -> Step<Arc<MemoryDir>> {
        let within = Branch { dir: Arc::clone(dir), holds: Holds::Lower };
        let place = memory.place(&within, component(name));
        memory.step(&place).unwrap()
    }

    fn enter(memory: &mut Memory, dir: &Arc<MemoryDir>, name: &str) -> Arc<MemoryDir> {
        match step(memory, dir, name) {
            Step::Directory(dir) => dir,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn what_lies_below_a_cleared_directory_is_gone_and_what_the_layer_brought_stays() {
        let mut memory = Memory::over(Lower::Nothing);
        memory.begin_layer();
        let root = memory.root();
        make(&mut memory, &root, "a", NodeKind::Directory);
        let a = enter(&mut memory, &root, "a");
        for name in ["b", "c"] {
            make(&mut memory, &a, name, NodeKind::Directory);
            let inner = enter(&mut memory, &a, name);
            make(&mut memory, &inner, "lower", NodeKind::Fifo);
        }
        memory.begin_layer();
        let b = enter(&mut memory, &a, "b");
        memory.pass(&b).unwrap();
        make(&mut memory, &b, "own", NodeKind::Fifo);
        let cleared = memory.clear(&root, &LayerContents::nothing()).unwrap();
        assert!(cleared.keeps_own);
        // Handles from before show what was there then.
        let root = memory.root();
        let a = enter(&mut memory, &root, "a");
        let b = enter(&mut memory, &a, "b");
        assert!(matches!(step(&mut memory, &a, "c"), Step::Missing));
        assert!(matches!(step(&mut memory, &b, "lower"), Step::Missing));
        assert!(matches!(step(&mut memory, &b, "own"), Step::Other));
        for (dir, entries) in [(&root, 1), (&a, 1), (&b, 1)] {
            assert_eq!(memory.directories.entries(dir), entries);
        }
    }

    #[test]
    fn a_directory_that_replaces_another_has_nothing_of_its_content() {
        let mut memory = Memory::over(Lower::Nothing);
        memory.begin_layer();
        let root = memory.root();
        make(&mut memory, &root, "d", NodeKind::Directory);
        let first = enter(&mut memory, &root, "d");
        make(&mut memory, &first, "x", NodeKind::Fifo);
        make(&mut memory, &root, "d", NodeKind::Fifo);
        make(&mut memory, &root, "d", NodeKind::Directory);
        let second = enter(&mut memory, &root, "d");
        assert_eq!(second.id, first.id);
        assert!(matches!(step(&mut memory, &second, "x"), Step::Missing) && memory.is_empty(&second).unwrap());
    }

    #[test]
    fn over_unknown_layers_only_what_is_certain_is_known() {
        let mut memory = Memory::over(Lower::Unknown);
        memory.begin_layer();
        let root = memory.root();
        assert!(matches!(step(&mut memory, &root, "d"), Step::Unknown(_)) && !memory.is_empty(&root).unwrap());
        make(&mut memory, &root, "d", NodeKind::Directory);
        let d = enter(&mut memory, &root, "d");
        assert!(matches!(step(&mut memory, &d, "x"), Step::Unknown(_)), "lower layers may have it");
        let within = Branch { dir: Arc::clone(&d), holds: Holds::Lower };
        let x = memory.place(&within, component("x"));
        memory.remove(&x).unwrap();
        assert!(matches!(step(&mut memory, &d, "x"), Step::Missing), "a whiteout has removed it");
        memory.clear(&d, &LayerContents::nothing()).unwrap();
        let d = enter(&mut memory, &root, "d");
        assert!(matches!(step(&mut memory, &d, "y"), Step::Missing) && memory.is_empty(&d).unwrap());
    }

    #[test]
    fn a_way_of_any_depth_is_dropped_without_a_deep_stack() {
        let mut memory = Memory::over(Lower::Nothing);
        memory.begin_layer();
        let mut dir = memory.root();
        for _ in 0..200_000 {
            let number = memory.directories.push(1);
            dir = memory.directories.open(&dir, number, PlaceId(7), Box::default());
        }
        drop(dir);
    }
}
