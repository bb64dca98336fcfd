//! Makes and removes things, so that a mount shows it.

use super::directory::{Below, OverlayDir, OverlayPlace};
use super::look::Above;
use super::lower::Shown;
use super::state::OverlayTree;
use crate::cage::Cage;
use crate::cage::directory::Directory;
use crate::cage::place::Place;
use crate::tree::{Content, Done, InTheWay, Inexact, Made, Node, NodeKind, Old, Over, Step, Tree, UnsetXattr, path_of};
use crate::words::{Error, Metadata, is_overlay_attribute};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::sync::Arc;

/// What a new thing hides in the lower layers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hides {
    Nothing,
    Directory,
    File,
    /// They are not at hand.
    Unknown,
}

impl OverlayTree {
    pub(super) fn make_node(
        &mut self,
        at: &OverlayPlace<'_>,
        node: &mut Node<'_, '_>,
        over: Over,
    ) -> Result<Made, Error> {
        let (metadata, reserved) = without_overlay_attributes(node.metadata);
        if let Some(xattr) = reserved.first()
            && node.exactness.xattrs.need(&xattr.name)
        {
            return Ok(Made::Undone(Inexact { time: None, xattrs: reserved }));
        }
        let metadata = metadata.as_ref().unwrap_or(node.metadata);
        let exactness = node.exactness;
        let made = match &mut node.kind {
            NodeKind::Directory => {
                let mut node = Node { kind: NodeKind::Directory, metadata, exactness };
                self.make_directory(at, &mut node, over)
            }
            kind => self.make_over(at, over, |cage, place, over| {
                let kind = match kind {
                    NodeKind::Directory => NodeKind::Directory,
                    NodeKind::File(content) => NodeKind::File(Content { source: &mut *content.source, ..*content }),
                    NodeKind::Symlink(target) => NodeKind::Symlink(target),
                    NodeKind::Fifo => NodeKind::Fifo,
                    NodeKind::Device(device) => NodeKind::Device(*device),
                };
                cage.make(place, &mut Node { kind, metadata, exactness }, over)
            }),
        }?;
        Ok(match made {
            Made::Done(mut done) => {
                done.inexact.xattrs.extend(reserved);
                Made::Done(done)
            }
            other => other,
        })
    }

    /// Makes one more name, in the upper directory, for what is at a place there.
    pub(super) fn make_name(
        &mut self,
        at: &OverlayPlace<'_>,
        to: &OverlayPlace<'_>,
        over: Over,
    ) -> Result<Made, Error> {
        let upper = self.copy_file_up(to)?;
        let within = Self::within(to, upper);
        let name = to.name();
        self.make_over(at, over, |cage, place, over| {
            let to = cage.place(&within, name);
            cage.link(place, &to, over)
        })
    }

    /// Makes something that is no directory. A whiteout in the upper directory counts as nothing, and what lower layers
    /// show counts as something that is there.
    fn make_over(
        &mut self,
        at: &OverlayPlace<'_>,
        over: Over,
        mut make: impl FnMut(&mut Cage, &Place<'_>, Over) -> Result<Made, Error>,
    ) -> Result<Made, Error> {
        let hides = self.hides(at)?;
        if over == Over::Nothing && hides != Hides::Nothing && matches!(self.above(at)?, Above::Nothing) {
            return Ok(Made::InTheWay(InTheWay::Other));
        }
        let upper = self.copy_up(at.dir())?;
        let made = self.at_upper(at, Arc::clone(&upper), |cage, place| make(cage, place, Over::Nothing))?;
        let old = match made {
            Made::Done(done) => return Ok(self.done(at, done, hides)),
            Made::Undone(inexact) => return Ok(Made::Undone(inexact)),
            Made::InTheWay(what) => match self.above(at)? {
                Above::Whiteout => Old::Nothing,
                Above::Thing(_) | Above::Nothing if over == Over::Nothing => return Ok(Made::InTheWay(what)),
                Above::Thing(_) | Above::Nothing => Old::Replaced,
            },
        };
        let made = self.at_upper(at, upper, |cage, place| make(cage, place, Over::Anything))?;
        Ok(match made {
            Made::Done(done) => {
                self.held.forget(&path_of(at.dir().path(), at.name()));
                Made::Done(Done { old, ..done })
            }
            other => other,
        })
    }

    /// What was there before something was made where the upper directory had nothing.
    fn done(&mut self, at: &OverlayPlace<'_>, done: Done, hides: Hides) -> Made {
        let old = match hides {
            Hides::Nothing => Old::Nothing,
            Hides::Unknown => Old::Unknown,
            Hides::Directory | Hides::File => {
                self.held.forget(&path_of(at.dir().path(), at.name()));
                Old::Replaced
            }
        };
        Made::Done(Done { old, ..done })
    }

    fn hides(&self, at: &OverlayPlace<'_>) -> Result<Hides, Error> {
        Ok(match self.show(at)? {
            None => Hides::Unknown,
            Some(Shown::Missing) => Hides::Nothing,
            Some(Shown::Directory(_)) => Hides::Directory,
            Some(Shown::File { .. }) => Hides::File,
        })
    }

    /// Makes a directory, or gives the one that is there new metadata. A new one shows nothing of a directory that lower
    /// layers have there.
    fn make_directory(&mut self, at: &OverlayPlace<'_>, node: &mut Node<'_, '_>, over: Over) -> Result<Made, Error> {
        let is_unknown = self.lower.is_none() && !at.dir().is_alone();
        if is_unknown && matches!(self.above(at)?, Above::Nothing) {
            // If lower layers have a directory, it is merged with this one.
            return self.make_unknown_directory(at, node);
        }
        let hides = self.hides(at)?;
        if hides == Hides::Nothing && !self.held.contains(at.id()) {
            // Most directories are new: then a look is not needed.
            match self.make_new_directory(at, node, Over::Nothing, hides)? {
                Made::InTheWay(_) => (),
                made => return Ok(made),
            }
        }
        let old = match self.look(at)? {
            Step::Directory(directory) => {
                let upper = self.copy_up(&directory)?;
                let inexact = self.upper.renew(&upper, node.metadata)?;
                return Ok(Made::Done(Done { old: Old::Kept, inexact }));
            }
            Step::Symlink(target) if over == Over::Nothing => {
                return Ok(Made::InTheWay(InTheWay::Symlink { target }));
            }
            Step::Other if over == Over::Nothing => return Ok(Made::InTheWay(InTheWay::Other)),
            Step::Missing => Old::Nothing,
            Step::Symlink(_) | Step::Other | Step::Unknown(_) => Old::Replaced,
        };
        let made = self.make_new_directory(at, node, Over::Anything, hides)?;
        Ok(match made {
            Made::Done(done) => Made::Done(Done { old, ..done }),
            other => other,
        })
    }

    /// Makes a directory in the upper directory. A directory that is there gets new metadata.
    fn make_new_directory(
        &mut self,
        at: &OverlayPlace<'_>,
        node: &mut Node<'_, '_>,
        over: Over,
        hides: Hides,
    ) -> Result<Made, Error> {
        let upper = self.copy_up(at.dir())?;
        let made = self.at_upper(at, upper, |cage, place| cage.make(place, node, over))?;
        if let Made::Done(done) = &made
            && done.old != Old::Kept
        {
            self.held.forget(&path_of(at.dir().path(), at.name()));
            self.adopt(at, hides)?;
        }
        Ok(made)
    }

    fn make_unknown_directory(&mut self, at: &OverlayPlace<'_>, node: &mut Node<'_, '_>) -> Result<Made, Error> {
        let upper = self.copy_up(at.dir())?;
        let made = self.at_upper(at, upper, |cage, place| cage.make(place, node, Over::Nothing))?;
        Ok(match made {
            Made::Done(done) => Made::Done(Done { old: Old::Unknown, ..done }),
            other => other,
        })
    }

    /// Hides what lower layers have in the directory just made, and holds it.
    fn adopt(&mut self, at: &OverlayPlace<'_>, hides: Hides) -> Result<Arc<OverlayDir>, Error> {
        let upper = at.dir().upper().ok_or(Error::bug("a directory was made, and its parent is not there"))?;
        let Step::Directory(directory) = self.at_upper(at, upper, |cage, place| cage.look(place))? else {
            return Err(Error::bug("a directory was made, and is not there"));
        };
        // A file of a lower layer is hidden by itself, and hides what is below it.
        if matches!(hides, Hides::Directory | Hides::Unknown) {
            self.marks.make_opaque(directory.as_fd(), directory.path())?;
        }
        Ok(self.hold(at, Below::nothing(), Some(directory)))
    }

    pub(super) fn make_parent(&mut self, at: &OverlayPlace<'_>) -> Result<(Arc<OverlayDir>, Inexact), Error> {
        let hides = self.hides(at)?;
        let upper = self.copy_up(at.dir())?;
        if let Above::Whiteout = self.above(at)? {
            self.at_upper(at, Arc::clone(&upper), Cage::remove)?;
        }
        let (_, inexact): (Arc<Directory>, _) = self.at_upper(at, upper, Cage::imply)?;
        Ok((self.adopt(at, hides)?, inexact))
    }

    /// Removes what is at a place. A whiteout hides what lower layers have there.
    pub(super) fn remove_at(&mut self, at: &OverlayPlace<'_>) -> Result<(), Error> {
        self.held.forget(&path_of(at.dir().path(), at.name()));
        let hides = self.hides(at)? != Hides::Nothing;
        match self.above(at)? {
            Above::Whiteout if hides => return Ok(()),
            Above::Nothing => (),
            Above::Whiteout | Above::Thing(_) => {
                let upper = self.copy_up(at.dir())?;
                self.at_upper(at, upper, Cage::remove)?;
            }
        }
        if hides { self.white_out(at) } else { Ok(()) }
    }

    /// Makes a whiteout where the upper directory has nothing.
    pub(super) fn white_out(&mut self, at: &OverlayPlace<'_>) -> Result<(), Error> {
        let upper = self.copy_up(at.dir())?;
        let (marks, root) = (self.marks, self.upper.root_directory());
        self.at_upper(at, upper, |cage, place| {
            place.dir().touch();
            cage.count_effect(place.dir());
            marks.white_out(place.at(), place.bytes(), root.as_fd(), cage.implied.mtime)?;
            cage.label_special(place.at(), place.bytes())
        })
    }
}

/// Leaves out the attributes of overlayfs, which a layer must not set in a layer of overlayfs. Returns the others if there
/// are such.
fn without_overlay_attributes(metadata: &Metadata) -> (Option<Metadata>, Vec<UnsetXattr>) {
    if !metadata.xattrs.iter().any(|xattr| is_overlay_attribute(&xattr.name)) {
        return (None, Vec::new());
    }
    let mut others = metadata.clone();
    let reserved = others.xattrs.extract_if(.., |xattr| is_overlay_attribute(&xattr.name));
    let unset = reserved.map(|xattr| UnsetXattr { name: xattr.name, error: Errno::PERM.into() }).collect();
    (Some(others), unset)
}
