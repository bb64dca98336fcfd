//! The state of a cage, and what starts and ends a layer.

use super::apart::Apart;
use super::deferred::DeferredFiles;
use super::directory::{self, Caller, DefaultAcl, Directory, Opened};
use super::failed::At;
use super::held::HeldDirectories;
use super::label::Label;
use super::marker::Marking;
use super::overlay::marks::Marks;
use super::owner::Owners;
use super::place::Place;
use super::removal::Remover;
use super::sys;
use super::temporary_names::TemporaryNames;
use super::times::Times;
use crate::tree::Step;
use crate::words::{Cancellation, Error, Metadata, PlaceId, PlaceKey, Terms, Xattrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Whether other processes can see the tree while it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// A tree in use: a failure must not lose any file of it.
    Visible,
    /// A tree that is removed as a whole when anything fails.
    Staged,
}

/// A tree on disk. Only a cage can change it.
#[derive(Debug)]
pub(crate) struct Cage {
    pub(super) root: Arc<Directory>,
    pub(super) caller: Caller,
    pub(super) exposure: Exposure,
    pub(super) held: HeldDirectories,
    pub(super) key: PlaceKey,
    pub(super) temporary_names: TemporaryNames,
    pub(super) marking: Marking,
    /// The staging directory, for files that are not in the tree.
    pub(super) stage: Option<OwnedFd>,
    /// The directory of the layer's files that are not in the tree, if there are any.
    pub(super) apart: Option<Apart>,
    /// The files that are finished later. If it is `None`, each file is finished at once.
    pub(super) deferred: Option<Arc<DeferredFiles>>,
    pub(super) owners: Owners,
    /// The attributes of parent directories that no entry lists.
    pub(super) implied: Metadata,
    pub(super) times: Times,
    /// The SELinux label of what is created.
    pub(super) label: Option<Label>,
    /// Which attributes layers may have.
    pub(super) layer_xattrs: Xattrs,
    /// The marks of overlayfs, in the upper directory of an overlay.
    pub(super) marks: Option<Marks>,
    /// Stops the layer inside an entry, too. In a tree in use it never does: no directory there is removed in part.
    pub(super) cancellation: Cancellation,
    /// The number of effects so far.
    pub(super) effects: u64,
}

impl Cage {
    /// A handle of the staging directory around the tree, for temporary files.
    pub(crate) fn scratch(&self) -> Option<OwnedFd> {
        sys::duplicate(self.stage.as_ref()?.as_fd()).ok()
    }

    /// A cage around the tree below `root`.
    ///
    /// The handle is the authority over the tree. The cage cannot reach anything outside.
    pub(crate) fn over(root: BorrowedFd<'_>, exposure: Exposure) -> Result<Self, Error> {
        let caller = Caller::current();
        let fd = directory::unlock(root, b".", None, caller).map_err(|error| error.about("the root of the tree"))?;
        let status = sys::status(fd.as_fd()).at(b".")?;
        let acl = DefaultAcl::read(fd.as_fd());
        let root = Arc::new(Directory::new(fd, PlaceId::ROOT, Box::default(), status, status.mode, acl));
        let Terms { ownership, implied, .. } = Terms::new();
        Ok(Self {
            temporary_names: TemporaryNames::new(),
            marking: Marking::default(),
            stage: None,
            apart: None,
            root,
            caller,
            exposure,
            held: HeldDirectories::default(),
            key: PlaceKey::default(),
            deferred: None,
            owners: Owners::new(caller, ownership),
            implied,
            times: Times::of_any(),
            label: None,
            layer_xattrs: Xattrs::Safe,
            marks: None,
            cancellation: Cancellation::default(),
            effects: 0,
        })
    }

    /// The root.
    pub(crate) fn root_directory(&self) -> Arc<Directory> {
        Arc::clone(&self.root)
    }

    /// How many times something in the tree was made, changed or removed.
    pub(crate) fn effects(&self) -> u64 {
        self.effects
    }

    /// Counts an effect on a directory or in it. Files that are not in the tree do not count.
    pub(super) fn count_effect(&mut self, directory: &Directory) {
        if self.apart.as_ref().is_none_or(|apart| !apart.is(directory)) {
            self.effects += 1;
        }
    }

    /// Starts a layer.
    pub(crate) fn begin(&mut self, terms: &Terms) -> Result<(), Error> {
        self.settle()?;
        self.implied.clone_from(&terms.implied);
        self.owners.set_ownership(terms.ownership);
        self.layer_xattrs = terms.xattrs;
        self.label = terms.selinux_label.as_ref().map(|label| Label::test(label, self.root.as_fd())).transpose()?;
        self.root.open_up(self.caller)?;
        self.cancellation = match self.exposure {
            Exposure::Staged => terms.cancellation.clone(),
            Exposure::Visible => Cancellation::default(),
        };
        match self.exposure {
            Exposure::Staged => Ok(()),
            Exposure::Visible => self.remove_dead_temporaries(),
        }
    }

    /// Finishes deferred files, removes temporary names, and closes all directories with their final mode and time.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        // All steps run even if one fails. The first failure is returned.
        let mut result = self.finish_files().and(self.settle_apart());
        result = result.and(self.settle_temporaries());
        result = result.and(self.held.release_all());
        result.and(self.root.settle())
    }

    /// Waits until the whole file system is on the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        sys::sync_file_system(self.root.as_fd()).at(b".")
    }

    /// Defers the content and attributes of small files from now on. They are written by the threads that get the
    /// returned value, or by [`Cage::settle`]. `None` for a tree in use: its users would see unfinished files.
    pub(crate) fn defer_files(&mut self) -> Option<Arc<DeferredFiles>> {
        match self.exposure {
            Exposure::Visible => None,
            Exposure::Staged => Some(Arc::clone(self.deferred.get_or_insert_with(|| Arc::new(DeferredFiles::new())))),
        }
    }

    /// Finishes the deferred files. The error is that of [`Cage::deferred_error`].
    pub(crate) fn finish_files(&self) -> Result<(), Error> {
        self.deferred.as_ref().map_or(Ok(()), |deferred| deferred.finish_all())
    }

    /// Returns the first failure of a deferred file. It names the path of that file.
    pub(crate) fn deferred_error(&self) -> Result<(), Error> {
        self.deferred.as_ref().map_or(Ok(()), |deferred| deferred.error())
    }

    /// Removes trees on the mount of this one, until the layer is cancelled.
    pub(super) fn remover(&mut self) -> Remover<'_> {
        let cancellation = self.cancellation.clone();
        Remover { cancellation, ..self.cleaner() }
    }

    /// Removes temporary trees on the mount of this one, also after the layer was cancelled.
    pub(super) fn cleaner(&mut self) -> Remover<'_> {
        Remover {
            mount: self.root.status.mount,
            caller: self.caller,
            names: &mut self.temporary_names,
            cancellation: Cancellation::default(),
        }
    }

    /// Finds out what is at a place. A directory is opened, unless it is held.
    pub(super) fn look(&mut self, place: &Place<'_>) -> Result<Step<Arc<Directory>>, Error> {
        if let Some(held) = self.held.get(place.id()) {
            return Ok(Step::Directory(held));
        }
        Ok(match directory::open(place.at(), place.bytes(), self.root.status.mount, self.caller)? {
            Opened::Missing => Step::Missing,
            Opened::Other => Step::Other,
            Opened::Link(target) => Step::Symlink(target),
            Opened::Directory { fd, status, mode_now } => {
                let acl = DefaultAcl::read(fd.as_fd());
                let directory = Directory::new(fd, place.id(), place.path(), status, mode_now, acl);
                Step::Directory(self.held.add(place.id(), directory)?)
            }
        })
    }
}
