//! A tree in memory: the final file system of an image, without content.
//!
//! It keeps what a file system on disk would have after the same layers: names, metadata and hard links. Beside each name
//! and inode it keeps the entry of origin, and of each name that is hidden the entry that hides it. The content of a file
//! is where its entry is.
//!
//! Nothing that a layer brought is ever forgotten, so each path costs its memory once for each time that it is brought.

mod acl;
mod chunks;
mod data;
mod index;
mod journal;
mod journaled;
mod names;
mod places;
mod texts;
#[cfg(feature = "image")]
mod upper;
mod versions;
mod view;
mod xattrs;

use super::{
    Cleared, Done, Exactness, Granted, InTheWay, Inexact, Inode, Linking, Made, Node, NodeKind, Old, Over, Repeats,
    SetIdBits, Step, Tree, UnsetXattr, path_of,
};
use crate::plan::{Holds, LayerContents, Standing};
use crate::words::acl::DEFAULT_ACL;
use crate::words::{Component, Error, Hiding, Metadata, Ownership, PlaceId, PlaceKey, Terms, Xattr};
#[cfg(feature = "image")]
pub(crate) use chunks::Chunks;
pub(crate) use data::Origin;
use data::{InodeData, Kind, Listed};
use journal::Journal;
use names::{Leaving, Names, ROOT};
use places::Places;
use std::io;
use std::sync::Arc;
#[cfg(feature = "image")]
pub(crate) use upper::{DirectoryMark, Is, Member, Upper};
pub(crate) use view::{Follow, ModelKind};
use xattrs::XattrSets;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

type Place<'a> = super::Place<'a, Arc<ModelDir>>;

/// A directory as a walk came to it.
#[derive(Debug)]
pub(crate) struct ModelDir {
    inode: u32,
    id: PlaceId,
    /// The components from the root, joined by slashes.
    path: Box<[u8]>,
}

/// The final file system, in memory.
#[derive(Debug)]
pub(crate) struct Model {
    key: PlaceKey,
    names: Names,
    xattrs: XattrSets,
    places: Places,
    root: Arc<ModelDir>,
    ownership: Ownership,
    /// The metadata of directories that no entry lists.
    implied: Metadata,
    /// The entry that is applied.
    origin: Origin,
    /// How the entry hides what it removes.
    how: Hiding,
    /// The directory for what the layer keeps out of the tree. No name leads to it.
    apart: Option<Arc<ModelDir>>,
    /// The file that the entry has made.
    new_file: Option<u32>,
    /// Of a finished tree: the names that upper layers hid, by the hashes of their places.
    replaced: Vec<u32>,
    /// What the layer changes, if that is wanted.
    journal: Option<Journal>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            key: PlaceKey::default(),
            names: Names::new(),
            xattrs: XattrSets::default(),
            places: Places::default(),
            root: Arc::new(ModelDir { inode: ROOT, id: PlaceId::ROOT, path: Box::default() }),
            ownership: Ownership::default(),
            implied: Terms::new().implied,
            origin: Origin::default(),
            how: Hiding::Replaced,
            apart: None,
            new_file: None,
            replaced: Vec::new(),
            journal: None,
        }
    }

    /// Begins a layer. The root of a new tree is like any other directory that no entry lists yet.
    pub(crate) fn begin_layer(&mut self, terms: &Terms) {
        self.ownership = terms.ownership;
        self.implied.clone_from(&terms.implied);
        if !self.keeps_owners() {
            (self.implied.uid, self.implied.gid) = (0, 0);
        }
        if self.origin == Origin::default() {
            self.set_implied(ROOT);
        }
        if let Some(journal) = &mut self.journal {
            journal.begin(self.names.len(), self.names.inodes());
        }
    }

    /// The entry of the next change, and how that hides what it removes.
    pub(crate) fn set_origin(&mut self, origin: Origin, how: Hiding) {
        (self.origin, self.how, self.new_file) = (origin, how, None);
    }

    /// The name of the file that the current entry has made.
    pub(crate) fn new_file(&self) -> Option<u32> {
        self.names.inode(self.new_file?).map(|inode| inode.last_name)
    }

    /// Sets where the content of the file of this name is: a number of the caller's own.
    pub(crate) fn set_place(&mut self, name: u32, place: u64) {
        if let Some(name) = self.names.name(name).filter(|name| name.inode < self.names.inodes()) {
            self.places.set(name.inode, place);
        }
    }

    /// Forgets where content is.
    pub(crate) fn clear_places(&mut self) {
        self.places = Places::default();
    }

    /// Ends a layer: what it kept out of the tree is gone.
    pub(crate) fn end_layer(&mut self) {
        if let Some(apart) = self.apart.take() {
            self.names.remove_below(apart.inode, Leaving::Apart);
        }
    }

    /// At least the number of different extended attributes.
    #[cfg(feature = "image")]
    pub(crate) fn xattr_count(&self) -> u64 {
        self.xattrs.count()
    }

    /// Bytes of memory; `None` if there are too many names.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let replaced = self.replaced.capacity() * size_of::<u32>();
        let journal = self.journal.as_ref().map_or(0, Journal::bytes);
        Some(self.names.bytes()? + self.xattrs.bytes() + self.places.bytes() + replaced as u64 + journal)
    }

    fn keeps_owners(&self) -> bool {
        match self.ownership {
            Ownership::Possible | Ownership::Required => true,
            Ownership::Caller | Ownership::Recorded => false,
        }
    }

    fn find(&self, at: &Place<'_>) -> Option<u32> {
        self.names.find(at.dir().inode, at.id(), at.name().as_bytes())
    }

    fn found(&self, at: &Place<'_>) -> Option<(u32, &InodeData)> {
        let name = self.find(at)?;
        Some((name, self.names.inode_of(name)?))
    }

    /// Why a name in a directory leaves it.
    fn leaving(&self, directory: u32) -> Leaving {
        match &self.apart {
            Some(apart) if apart.inode == directory => Leaving::Apart,
            _ => Leaving::Hidden(self.origin, self.how),
        }
    }

    /// Gives a new name at a place to an inode. What is there is hidden.
    fn put(&mut self, at: &Place<'_>, inode: u32) -> Old {
        let old = self.find(at);
        if let Some(old) = old {
            self.hide(old, at.dir().inode);
        }
        self.names.add(at.dir().inode, (at.id(), at.name().as_bytes()), inode, self.origin);
        if old.is_some() { Old::Replaced } else { Old::Nothing }
    }

    fn add_inode(&mut self, kind: Kind, metadata: &Metadata) -> u32 {
        let inode = self.names.add_inode(InodeData::new(kind, self.origin));
        self.set_metadata(inode, metadata);
        inode
    }

    fn set_metadata(&mut self, inode: u32, metadata: &Metadata) {
        let has_xattrs = !metadata.xattrs.is_empty();
        let xattrs = if has_xattrs { acl::stored(metadata) } else { Vec::new() };
        let xattrs = self.xattrs.intern(&self.key, &xattrs);
        if let Some(inode) = self.names.inode_mut(inode) {
            inode.set(metadata);
            inode.xattrs = xattrs;
        }
    }

    /// Gives a directory new metadata, from the current entry.
    fn renew(&mut self, directory: u32, metadata: &Metadata, now: Listed) {
        self.journal_renewed(directory);
        self.set_metadata(directory, metadata);
        let origin = self.origin;
        let Some(inode) = self.names.inode_mut(directory) else { return };
        (inode.layer, inode.entry) = (origin.layer, origin.entry);
        if let Kind::Directory { listed, .. } = &mut inode.kind {
            *listed = now;
        }
        let name = inode.last_name;
        if let Some(name) = self.names.name_mut(name) {
            name.origin = origin;
        }
    }

    fn set_implied(&mut self, directory: u32) {
        let implied = self.implied.clone();
        self.renew(directory, &implied, Listed::No);
    }

    fn make_directory(&mut self, at: &Place<'_>, metadata: &Metadata, over: Over) -> Made {
        match self.found(at) {
            Some((name, inode)) if inode.is_directory() => {
                let Some(directory) = self.names.name(name).map(|name| name.inode) else { return done(Old::Kept) };
                self.renew(directory, metadata, Listed::Yes);
                return done(Old::Kept);
            }
            Some((_, InodeData { kind: Kind::Symlink(target), .. })) if over == Over::Nothing => {
                return Made::InTheWay(InTheWay::Symlink { target: self.names.text(*target).to_vec() });
            }
            Some(_) if over == Over::Nothing => return Made::InTheWay(InTheWay::Other),
            Some(_) | None => (),
        }
        let inode = self.add_inode(Kind::directory(Listed::Yes), metadata);
        done(self.put(at, inode))
    }

    /// Makes something that is not a directory.
    fn make_other(&mut self, at: &Place<'_>, kind: Kind, metadata: &Metadata, exactness: Exactness) -> Made {
        let (metadata, inexact) = settable(kind, metadata);
        if inexact.is_refused_by(exactness) {
            return Made::Undone(inexact);
        }
        let inode = self.add_inode(kind, &metadata);
        self.new_file = matches!(kind, Kind::File { .. }).then_some(inode);
        Made::Done(Done { old: self.put(at, inode), inexact })
    }

    /// What lower layers have in a directory goes. What the layer brought to it stays, and so do the directories on the way
    /// to that.
    fn clear_lower(&mut self, directory: &ModelDir, contents: &LayerContents) -> Result<bool, Error> {
        let mut keeps_own = false;
        let mut to_do = vec![(directory.inode, directory.id)];
        self.journal_cleared(directory.inode);
        while let Some((directory, id)) = to_do.pop() {
            let mut next = self.names.first(directory);
            while let Some(child) = next {
                next = self.names.next(child);
                let Some(name) = self.names.name(child) else { break };
                let inode = name.inode;
                let place = self.key.place(id, Component::parse(self.names.text(name.text))?);
                let standing = contents.standing(Holds::Lower, place);
                if standing == Standing::Lower {
                    self.hide(child, directory);
                    continue;
                }
                keeps_own = true;
                if !self.names.inode(inode).is_some_and(InodeData::is_directory) {
                    continue;
                }
                if standing == Standing::Traversed {
                    self.set_implied(inode);
                }
                if contents.below(Holds::Lower, place) == Holds::Lower {
                    to_do.push((inode, place));
                    // The root of a layer cannot be opaque, but the directories in it can.
                    if directory == ROOT {
                        self.journal_cleared(inode);
                    }
                }
            }
        }
        Ok(keeps_own)
    }
}

/// The metadata that Linux lets something have that is not a directory. Links, FIFOs and devices have none of the extended
/// attributes that layers bring, and files have no ACL for new files.
fn settable(kind: Kind, metadata: &Metadata) -> (Metadata, Inexact) {
    let is_settable = |xattr: &Xattr| matches!(kind, Kind::File { .. }) && xattr.name != DEFAULT_ACL;
    let (set, unset): (Vec<_>, Vec<_>) = metadata.xattrs.iter().cloned().partition(is_settable);
    let unset =
        unset.into_iter().map(|Xattr { name, .. }| UnsetXattr { name, error: io::ErrorKind::Unsupported.into() });
    let inexact = Inexact { time: None, xattrs: unset.collect() };
    (Metadata { xattrs: set, ..*metadata }, inexact)
}

fn done(old: Old) -> Made {
    Made::Done(Done { old, inexact: Inexact::default() })
}

impl Tree for Model {
    type Dir = Arc<ModelDir>;

    fn root(&self) -> Arc<ModelDir> {
        Arc::clone(&self.root)
    }

    fn id(&self, dir: &Arc<ModelDir>) -> PlaceId {
        dir.id
    }

    fn path<'d>(&self, dir: &'d Arc<ModelDir>) -> &'d [u8] {
        &dir.path
    }

    fn key(&self) -> &PlaceKey {
        &self.key
    }

    fn step(&mut self, at: &Place<'_>) -> Result<Step<Arc<ModelDir>>, Error> {
        Ok(match self.found(at) {
            Some((name, inode)) => match inode.kind {
                Kind::Directory { .. } => {
                    let inode = self.names.name(name).map_or(ROOT, |name| name.inode);
                    let path = path_of(&at.dir().path, at.name());
                    Step::Directory(Arc::new(ModelDir { inode, id: at.id(), path }))
                }
                Kind::Symlink(target) => Step::Symlink(self.names.text(target).to_vec()),
                Kind::File { .. } | Kind::Fifo | Kind::Device(_) => Step::Other,
            },
            None => Step::Missing,
        })
    }

    fn exists(&self, at: &Place<'_>) -> Result<bool, Error> {
        Ok(self.find(at).is_some())
    }

    fn is_empty(&self, dir: &Arc<ModelDir>) -> Result<bool, Error> {
        Ok(self.names.first(dir.inode).is_none())
    }

    /// The owner and mode that root would give: those of the metadata, or root's own.
    fn granted(&mut self, metadata: &Metadata, bits: SetIdBits) -> Granted {
        if self.keeps_owners() {
            return Granted { uid: metadata.uid, gid: metadata.gid, mode: metadata.mode };
        }
        let mut mode = metadata.mode;
        if bits == SetIdBits::Program {
            mode &= if metadata.uid == 0 { !0 } else { !SETUID };
            mode &= if metadata.gid == 0 { !0 } else { !SETGID };
        }
        Granted { uid: 0, gid: 0, mode }
    }

    fn inode(&mut self, at: &Place<'_>, header: &Metadata) -> Result<Inode, Error> {
        let granted = self.granted(header, SetIdBits::Program);
        let Some((name, inode)) = self.found(at) else { return Ok(Inode::Missing) };
        if inode.is_directory() {
            return Ok(Inode::Directory);
        }
        let number = self.names.name(name).map_or(ROOT, |name| name.inode);
        let is_below = self.journal.as_ref().is_some_and(|journal| journal.is_below(number));
        let linking = if is_below { Linking::Copies } else { Linking::Direct };
        let owner_differs = self.keeps_owners() && (inode.uid, inode.gid) != (granted.uid, granted.gid);
        // The mode of a symbolic link means nothing.
        let mode_differs = !matches!(inode.kind, Kind::Symlink(_)) && inode.mode != granted.mode;
        let repeats = if owner_differs || mode_differs { Repeats::Otherwise } else { Repeats::Alike };
        Ok(Inode::File(repeats, linking, None))
    }

    fn keep(&mut self, at: &Place<'_>) -> Result<(), Error> {
        if let Some(name) = self.find(at).and_then(|name| self.names.name(name)) {
            self.journal_brought(name.inode);
        }
        Ok(())
    }

    fn make(&mut self, at: &Place<'_>, node: &mut Node<'_, '_>, over: Over) -> Result<Made, Error> {
        let kind = match &node.kind {
            NodeKind::Directory => return Ok(self.make_directory(at, node.metadata, over)),
            _ if over == Over::Nothing && self.find(at).is_some() => return Ok(Made::InTheWay(InTheWay::Other)),
            NodeKind::File(content) => Kind::File { size: content.size, has_holes: content.sparse.is_some() },
            NodeKind::Symlink(target) => Kind::Symlink(self.names.add_text(target)),
            NodeKind::Fifo => Kind::Fifo,
            NodeKind::Device(device) => Kind::Device(*device),
        };
        Ok(self.make_other(at, kind, node.metadata, node.exactness))
    }

    fn imply(&mut self, at: &Place<'_>) -> Result<(Arc<ModelDir>, Inexact), Error> {
        let implied = self.implied.clone();
        let inode = self.add_inode(Kind::directory(Listed::No), &implied);
        self.put(at, inode);
        let path = path_of(&at.dir().path, at.name());
        Ok((Arc::new(ModelDir { inode, id: at.id(), path }), Inexact::default()))
    }

    fn make_like_implied(&mut self, dir: &Arc<ModelDir>) -> Result<Inexact, Error> {
        self.set_implied(dir.inode);
        Ok(Inexact::default())
    }

    fn renew_root(&mut self, metadata: &Metadata) -> Result<Inexact, Error> {
        self.renew(ROOT, metadata, Listed::Yes);
        Ok(Inexact::default())
    }

    fn link(&mut self, at: &Place<'_>, to: &Place<'_>, over: Over) -> Result<Made, Error> {
        let Some(target) = self.find(to).and_then(|name| self.names.name(name)) else {
            return Err(Error::bug("the target of a hard link is gone"));
        };
        let inode = target.inode;
        if over == Over::Nothing && self.find(at).is_some() {
            return Ok(Made::InTheWay(InTheWay::Other));
        }
        self.journal_brought(inode);
        Ok(done(self.put(at, inode)))
    }

    fn remove(&mut self, at: &Place<'_>) -> Result<(), Error> {
        if let Some(name) = self.find(at) {
            self.hide(name, at.dir().inode);
        }
        Ok(())
    }

    fn clear(&mut self, dir: &Arc<ModelDir>, contents: &LayerContents) -> Result<Cleared, Error> {
        Ok(Cleared { keeps_own: self.clear_lower(dir, contents)?, inexact: Inexact::default() })
    }

    fn make_apart(&mut self) -> Result<Arc<ModelDir>, Error> {
        if let Some(apart) = &self.apart {
            return Ok(Arc::clone(apart));
        }
        let inode = self.names.add_inode(InodeData::new(Kind::directory(Listed::No), self.origin));
        let id = PlaceId(self.key.hash(b"apart"));
        let apart = Arc::new(ModelDir { inode, id, path: Box::default() });
        Ok(Arc::clone(self.apart.insert(apart)))
    }

    fn apart(&self) -> Option<Arc<ModelDir>> {
        self.apart.clone()
    }
}
