//! The inodes that a filter dropped, kept for hard links to them.

use super::paths::Paths;
use super::replay::FileSource;
use crate::cage::Scratch;
use crate::words::{Change, ChangeKind, EntryPath, Error, Source, SparseMap};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The cost of a name, in addition to its bytes and its content.
const OVERHEAD: u64 = 256;

/// Inodes that were dropped, by all their names. A bounded file has their content.
#[derive(Debug)]
pub(super) struct LeftOut {
    scratch: Scratch,
    /// Created when it is needed.
    file: Option<File>,
    /// The first free byte of the file.
    end: u64,
    /// The number of bytes that may be kept, and that were kept.
    most: u64,
    used: u64,
    layer: u64,
    inodes: Vec<Inode>,
    /// Names that were dropped, with their inodes.
    names: Paths<usize>,
    /// Names under which the sink has such an inode.
    linked: Paths<usize>,
}

/// An inode that was dropped.
#[derive(Debug)]
struct Inode {
    /// What it is; `None` if the sink has it under a name of its own.
    kind: Option<ChangeKind>,
    /// Where its stored bytes begin in the file, and their number.
    content: (u64, u64),
    /// The name under which the sink has it.
    at: Option<EntryPath>,
}

/// How a hard link to an inode is made.
pub(super) enum Link<'l> {
    /// As a link to the name under which the sink has it.
    To(EntryPath),
    /// As the first name, with the kind, metadata and content of the inode.
    First(ChangeKind, Option<FileSource<'l>>),
}

impl LeftOut {
    pub(super) fn new(scratch: Scratch, most: u64) -> Self {
        let (names, linked) = (Paths::new(), Paths::new());
        Self { scratch, file: None, end: 0, most, used: 0, layer: 0, inodes: Vec::new(), names, linked }
    }

    pub(super) fn begin_layer(&mut self) {
        self.layer += 1;
    }

    /// Removes the names that the current layer brought.
    pub(super) fn abandon_layer(&mut self) {
        self.names.forget(self.layer);
        for inode in self.linked.forget(self.layer) {
            self.unlink(inode);
        }
    }

    /// Follows a change: paths that it replaces or removes are no longer targets.
    pub(super) fn follow(&mut self, change: &Change) {
        let path = change.path.as_bytes();
        // Other names of the inodes may be left.
        self.names.follow(path, &change.kind, self.layer);
        for inode in self.linked.follow(path, &change.kind, self.layer) {
            self.unlink(inode);
        }
    }

    /// Whether the sink has the inode that was dropped at `target` under the name `path`.
    pub(super) fn is_linked(&self, target: &EntryPath, path: &EntryPath) -> bool {
        let inode = self.names.get(target.as_bytes()).and_then(|inode| self.inodes.get(inode));
        inode.is_some_and(|inode| inode.at.as_ref() == Some(path))
    }

    /// Records that the sink no longer has an inode.
    fn unlink(&mut self, inode: usize) {
        if let Some(inode) = self.inodes.get_mut(inode) {
            inode.at = None;
        }
    }

    /// Keeps an inode that is dropped, if there is space.
    pub(super) fn keep(&mut self, change: &Change, source: &mut dyn Source) -> Result<(), Error> {
        let (metadata, stored) = match &change.kind {
            ChangeKind::File { metadata, size, sparse } => (metadata, stored(*size, sparse.as_ref())),
            ChangeKind::Symlink { metadata, .. } | ChangeKind::Device { metadata, .. } | ChangeKind::Fifo(metadata) => {
                (metadata, 0)
            }
            _ => return Ok(()),
        };
        let xattrs = metadata.xattrs.iter().map(|xattr| (xattr.name.len() + xattr.value.len()) as u64).sum::<u64>();
        if !self.has_room(&change.path, xattrs.saturating_add(stored)) {
            return Ok(());
        }
        let begin = self.end;
        self.copy(source)?;
        let kind = Some(change.kind.clone());
        let inode = self.add(Inode { kind, content: (begin, self.end - begin), at: None });
        self.names.insert(&change.path, self.layer, inode);
        Ok(())
    }

    /// Keeps a further name of an inode whose name `target` was dropped, too.
    pub(super) fn keep_link(&mut self, path: &EntryPath, target: &EntryPath) {
        if let Some(inode) = self.names.get(target.as_bytes())
            && self.has_room(path, 0)
        {
            self.names.insert(path, self.layer, inode);
        }
    }

    /// Keeps a further name of an inode that the sink has under the name `target`.
    pub(super) fn keep_link_to_kept(&mut self, path: &EntryPath, target: &EntryPath) {
        if !self.has_room(path, 0) {
            return;
        }
        let inode = self.linked.get(target.as_bytes()).unwrap_or_else(|| {
            let inode = self.add(Inode { kind: None, content: (0, 0), at: Some(target.clone()) });
            self.linked.insert(target, self.layer, inode);
            inode
        });
        self.names.insert(path, self.layer, inode);
    }

    /// How a hard link at `path` reaches the inode that was dropped at `target`; `None` if the inode was not kept.
    pub(super) fn link(&mut self, path: &EntryPath, target: &EntryPath) -> Option<Link<'_>> {
        let number = self.names.get(target.as_bytes())?;
        let inode = self.inodes.get_mut(number)?;
        if let Some(at) = &inode.at {
            return Some(Link::To(at.clone()));
        }
        let kind = inode.kind.clone()?;
        inode.at = Some(path.clone());
        let (begin, length) = inode.content;
        self.linked.insert(path, self.layer, number);
        let content = self.file.as_ref().map(|file| FileSource::new(file, begin, length));
        Some(Link::First(kind, content))
    }

    fn has_room(&mut self, path: &EntryPath, more: u64) -> bool {
        let cost = (path.as_bytes().len() as u64).saturating_add(OVERHEAD).saturating_add(more);
        let used = self.used.saturating_add(cost);
        let has_room = used <= self.most;
        if has_room {
            self.used = used;
        }
        has_room
    }

    fn add(&mut self, inode: Inode) -> usize {
        self.inodes.push(inode);
        self.inodes.len() - 1
    }

    fn copy(&mut self, source: &mut dyn Source) -> Result<(), Error> {
        loop {
            let chunk = source.chunk()?;
            if chunk.is_empty() {
                return Ok(());
            }
            let file = match &self.file {
                Some(file) => file,
                None => self.file.insert(self.scratch.create()?),
            };
            let written = file.write_all_at(chunk, self.end);
            written.map_err(|error| Error::system("pwrite64", b"(kept content)", error))?;
            let bytes = chunk.len();
            self.end += bytes as u64;
            source.consume(bytes);
        }
    }
}

/// The bytes of a file that an archive stores.
fn stored(size: u64, sparse: Option<&SparseMap>) -> u64 {
    sparse.map_or(size, |map| map.segments().iter().map(|segment| segment.length).sum())
}
