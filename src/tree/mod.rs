//! Level 2, what a layer means: changes to effects on any tree. No I/O.
//!
//! Path resolution, replacement, whiteouts, opaque directories, hard links, skipped entries, implied parents and
//! pseudo-links are written once, here, over a [`Tree`]. The disk is one tree. The names that an audit keeps in memory
//! are another, and the names and metadata of a merged tree a third. A tree knows no layers and no policy: it does one effect at one [`Place`], and returns what it could not
//! do exactly. The [`Applier`] decides and reports.

mod applier;
mod bring;
mod hard_link;
mod memory;
mod model;
mod open_model;
mod place;
mod recent;
mod report;
mod to_do;
mod walk;
mod whiteout;

pub(crate) use applier::{Applier, Outcome};
pub use memory::Lower;
pub(crate) use memory::Memory;
#[cfg(feature = "image")]
pub(crate) use model::{Chunks, DirectoryMark, Is, Member, Upper};
pub(crate) use model::{Follow, Model, ModelKind, Origin};
pub(crate) use place::{Branch, Place, path_of};

use crate::plan::LayerContents;
use crate::words::{Component, Device, Error, Metadata, PlaceId, PlaceKey, Skippable, Source, SparseMap, Timestamp};

/// A tree that layers are applied to.
///
/// Every effect takes a [`Place`]: a directory that the walk reached and one component in it. No effect takes a path,
/// and none follows a symbolic link.
pub(crate) trait Tree {
    /// A directory. Clones are the same directory.
    type Dir: Clone + std::fmt::Debug;

    /// The root.
    fn root(&self) -> Self::Dir;

    /// The place of a directory.
    fn id(&self, dir: &Self::Dir) -> PlaceId;

    /// The components of a directory from the root, joined by slashes, with links resolved.
    fn path<'d>(&self, dir: &'d Self::Dir) -> &'d [u8];

    /// The key of the places.
    fn key(&self) -> &PlaceKey;

    /// The place of a name in a directory.
    fn place<'a>(&self, within: &'a Branch<Self::Dir>, name: Component<'a>) -> Place<'a, Self::Dir> {
        Place::new(self.key().place(self.id(&within.dir), name), within, name)
    }

    /// Whether all lower layers are known.
    fn is_complete(&self) -> bool {
        true
    }

    /// What is at a place.
    fn step(&mut self, at: &Place<'_, Self::Dir>) -> Result<Step<Self::Dir>, Error>;

    /// Whether anything is known to be at a place.
    fn exists(&self, at: &Place<'_, Self::Dir>) -> Result<bool, Error>;

    /// Whether a directory is known to be empty.
    fn is_empty(&self, dir: &Self::Dir) -> Result<bool, Error>;

    /// The owner and mode that new files get for this metadata. They differ from the metadata if the caller may not set
    /// these owners.
    fn granted(&mut self, metadata: &Metadata, bits: SetIdBits) -> Granted {
        let _ = bits;
        Granted { uid: metadata.uid, gid: metadata.gid, mode: metadata.mode }
    }

    /// What a hard link to a place would name. `header` is the metadata that the hard link's entry repeats, as the
    /// archive states it.
    fn inode(&mut self, at: &Place<'_, Self::Dir>, header: &Metadata) -> Result<Inode, Error>;

    /// Records that the layer brings something to a directory of the tree: the directories on the way to it stay, even
    /// when the content of lower layers is cleared.
    fn pass(&mut self, dir: &Self::Dir) -> Result<(), Error> {
        let _ = dir;
        Ok(())
    }

    /// Records that the layer brings what is at a place, which is not a directory: it stays when the content of lower layers
    /// is cleared.
    fn keep(&mut self, at: &Place<'_, Self::Dir>) -> Result<(), Error> {
        let _ = at;
        Ok(())
    }

    /// Makes something at a place. A directory over a directory gives it the new metadata and keeps its content.
    /// Anything else takes the place of what is there in one step, if `over` allows it.
    fn make(&mut self, at: &Place<'_, Self::Dir>, node: &mut Node<'_, '_>, over: Over) -> Result<Made, Error>;

    /// Makes a parent directory that no entry lists, where nothing is.
    fn imply(&mut self, at: &Place<'_, Self::Dir>) -> Result<(Self::Dir, Inexact), Error>;

    /// Makes a directory one that no entry lists: what the lower layers gave it goes, but not its content.
    fn make_like_implied(&mut self, dir: &Self::Dir) -> Result<Inexact, Error>;

    /// Gives the root new metadata.
    fn renew_root(&mut self, metadata: &Metadata) -> Result<Inexact, Error>;

    /// Gives what is at `to` one more name, which takes the place of what is there if `over` allows it.
    fn link(&mut self, at: &Place<'_, Self::Dir>, to: &Place<'_, Self::Dir>, over: Over) -> Result<Made, Error>;

    /// Removes what is at a place, with its content. It may be missing.
    fn remove(&mut self, at: &Place<'_, Self::Dir>) -> Result<(), Error>;

    /// Removes what lower layers have in a directory. What this layer brought stays, and so do the directories on the
    /// way to that, as directories that no entry lists.
    fn clear(&mut self, dir: &Self::Dir, contents: &LayerContents) -> Result<Cleared, Error>;

    /// The directory for the layer's files that are not in the tree. It is created if it does not exist yet.
    fn make_apart(&mut self) -> Result<Self::Dir, Error>;

    /// The same directory, if there is one.
    fn apart(&self) -> Option<Self::Dir>;
}

/// What is at a place.
#[derive(Debug)]
pub(crate) enum Step<D> {
    Directory(D),
    /// A symbolic link, with its target.
    Symlink(Vec<u8>),
    /// Something else that is not a directory.
    Other,
    Missing,
    /// Only lower layers that are not known can say. This is a directory in which everything is unknown.
    Unknown(D),
}

/// What is made at a place.
#[derive(Debug)]
pub(crate) struct Node<'a, 'k> {
    pub(crate) kind: NodeKind<'k>,
    pub(crate) metadata: &'a Metadata,
    pub(crate) exactness: Exactness,
}

/// The kind of what is made at a place.
#[derive(Debug)]
pub(crate) enum NodeKind<'a> {
    Directory,
    File(Content<'a>),
    Symlink(&'a [u8]),
    Fifo,
    Device(Device),
}

/// The content of a file.
pub(crate) struct Content<'a> {
    /// Its data, in order.
    pub(crate) source: &'a mut dyn Source,
    /// The size of the file, with its holes.
    pub(crate) size: u64,
    /// Where the data is, if the file has holes.
    pub(crate) sparse: Option<&'a SparseMap>,
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Which attributes policy wants exactly as they are asked for. If a tree cannot set one of these, it leaves the place as
/// it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exactness {
    pub(crate) xattrs: ExactXattrs,
    pub(crate) time: ExactTime,
}

/// Which extended attributes must be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExactXattrs {
    Any,
    /// The one of this name.
    Named(&'static [u8]),
    All,
}

impl ExactXattrs {
    /// Whether the attribute of this name must be set.
    pub(crate) fn need(self, name: &[u8]) -> bool {
        match self {
            Self::Any => false,
            Self::Named(needed) => name == needed,
            Self::All => true,
        }
    }
}

/// Whether the time must be stored as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExactTime {
    Nearest,
    Exact,
}

/// Whether something may take the place of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Only where nothing is, or a directory over a directory.
    Nothing,
    Anything,
}

/// The outcome of creating something.
#[derive(Debug)]
pub(crate) enum Made {
    Done(Done),
    /// Something is there, which [`Over::Nothing`] protects. Nothing has changed.
    InTheWay(InTheWay),
    /// An attribute that must be exact cannot be. Nothing has changed.
    Undone(Inexact),
}

/// Something was made.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) old: Old,
    pub(crate) inexact: Inexact,
}

/// What happened to the previous file at the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    /// There was nothing.
    Nothing,
    /// It is gone.
    Replaced,
    /// It was a directory. It stays, with its content.
    Kept,
    /// Only lower layers that are not known can say. If it was a directory, it stays, with its content.
    Unknown,
}

/// What is in the way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InTheWay {
    /// A symbolic link, in the way of a directory.
    Symlink {
        target: Vec<u8>,
    },
    Other,
}

/// The attributes that are not as they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Inexact {
    pub(crate) time: Option<ClampedTime>,
    pub(crate) xattrs: Vec<UnsetXattr>,
}

impl Inexact {
    /// Whether one of them must be exact.
    pub(crate) fn is_refused_by(&self, exactness: Exactness) -> bool {
        let time = self.time.is_some() && exactness.time == ExactTime::Exact;
        time || self.xattrs.iter().any(|xattr| exactness.xattrs.need(&xattr.name))
    }
}

/// A time that the file system cannot store, and the time that it stored instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClampedTime {
    pub(crate) asked: Timestamp,
    pub(crate) kept: Timestamp,
}

/// An extended attribute that cannot be set.
#[derive(Debug)]
pub(crate) struct UnsetXattr {
    pub(crate) name: Vec<u8>,
    pub(crate) error: std::io::Error,
}

/// What setuid and setgid bits mean on what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetIdBits {
    /// On a directory, a setgid bit hands down the group.
    Directory,
    /// On a program, they give the privileges of the owner. If the program gets another owner, they must be dropped.
    Program,
}

/// The owner and mode that a file gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

/// What a hard link would name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inode {
    Missing,
    Directory,
    /// Something that may have many names. Some policies skip it, and its hard links with it.
    File(Repeats, Linking, Option<Skippable>),
    /// Only lower layers that are not known can say.
    Unknown,
}

/// How a hard link is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linking {
    /// The file gets one more name.
    Direct,
    /// The file is in a lower layer that is not changed: a copy gets the names.
    Copies,
}

/// Whether the header of a hard link repeats the owner and mode of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    Alike,
    Otherwise,
}

/// The outcome of clearing a directory.
#[derive(Debug, Default)]
pub(crate) struct Cleared {
    /// Whether something of the layer's own stays in it.
    pub(crate) keeps_own: bool,
    pub(crate) inexact: Inexact,
}
