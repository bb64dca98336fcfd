//! A sink over no cage: it keeps names alone, and tells what a tree would show.

mod names;
mod table;

use super::Sink;
use crate::plan::{Judge, Judged, Standing};
use crate::read::Checked;
use crate::words::{Change, ChangeKind, EntryPath, Escaped, Fault, Limits, Metadata, Quirk, Source, Terms, Violation};
use names::{At, Key, Kind, Names, Purpose, Walked};

/// What lies below the first layer that is audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lower {
    /// Nothing: the layers are all that there is, as those of an image are.
    Nothing,
    /// Nobody knows: only what is so whatever lies below is told, of paths whose parents the layer lists.
    Unknown,
}

/// The tree that layers would make, as far as names tell.
#[derive(Debug)]
pub(crate) struct Imagined {
    /// `None` once there were more names than the limit allows.
    names: Option<Names>,
}

impl Imagined {
    pub(crate) fn over(lower: Lower, limits: &Limits) -> Self {
        Self { names: Some(Names::over(lower, limits)) }
    }

    /// Whether there were more names than the limit allows: nothing is told from there on.
    pub(crate) fn is_lost(&self) -> bool {
        self.names.is_none()
    }
}

impl Sink for Imagined {
    fn begin_layer(&mut self, _: &Terms) -> Result<(), Fault> {
        if let Some(names) = &mut self.names {
            names.begin_layer();
        }
        Ok(())
    }

    fn accept(&mut self, change: Judged<Change>, _: &mut dyn Source, judge: &mut Judge<'_>) -> Result<(), Fault> {
        let Some(names) = &mut self.names else { return Ok(()) };
        let Change { path, kind } = change.into_inner();
        let result = match kind {
            ChangeKind::Whiteout => names.white_out(&path, judge),
            ChangeKind::OpaqueWhiteout => names.make_opaque(&path, judge),
            // Whoever audits is told of what could be skipped, as if it were made.
            ChangeKind::Skipped => Ok(()),
            ChangeKind::Directory(_) => names.bring_to(&path, What::Directory, judge),
            ChangeKind::Symlink { metadata, target } => {
                names.bring_to(&path, What::Link(target.as_bytes(), &metadata), judge)
            }
            ChangeKind::HardLink { target, metadata } => {
                names.bring_to(&path, What::HardLink(&target, &metadata), judge)
            }
            ChangeKind::File { metadata, .. } | ChangeKind::Fifo(metadata) => {
                names.bring_to(&path, What::Other(&metadata, false), judge)
            }
            ChangeKind::Device { metadata, .. } => names.bring_to(&path, What::Other(&metadata, true), judge),
        };
        if names.are_too_many() {
            self.names = None;
        }
        result
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), Fault> {
        Ok(())
    }

    fn has_changed(&self) -> bool {
        false
    }

    fn spool(&mut self) -> Result<Option<std::fs::File>, Fault> {
        Ok(None)
    }
}

/// Refuses a target that no tree has for that link.
fn check_target(path: &EntryPath, target: &EntryPath) -> Result<(), Violation> {
    let refused = || Escaped::new(target.as_bytes());
    if target.split_last().is_none() {
        return Err(Violation::HardLinkToDirectory { target: refused() });
    }
    if target.as_bytes() == path.as_bytes() {
        return Err(Violation::HardLinkToItself { target: refused() });
    }
    Ok(())
}

/// What is brought.
enum What<'a> {
    Directory,
    Link(&'a [u8], &'a Metadata),
    HardLink(&'a EntryPath, &'a Metadata),
    /// A file, a FIFO or a device; whether it is a device.
    Other(&'a Metadata, bool),
}

impl Names {
    fn bring_to(&mut self, path: &EntryPath, what: What<'_>, judge: &mut Judge<'_>) -> Result<(), Fault> {
        let Some((parent, name)) = path.split_last() else { return Ok(()) };
        let mut resolved = Vec::new();
        let walked = self.walk(parent, Purpose::Bring, &mut resolved, judge)?;
        let Walked::At(at) = walked else {
            return match what {
                // Whatever tree it comes to.
                What::HardLink(target, _) => Ok(check_target(path, target)?),
                _ => Ok(()),
            };
        };
        let key = self.key(at, name);
        let kind = match what {
            What::Directory => {
                if !resolved.is_empty() {
                    resolved.push(b'/');
                }
                resolved.extend_from_slice(name.as_bytes());
                return self.bring_directory(at, key, &resolved, judge);
            }
            What::Link(target, metadata) => self.new_link(target, metadata),
            What::Other(metadata, is_device) => Kind::Other { attributes: self.attributes(metadata), is_device },
            What::HardLink(target, metadata) => return self.hard_link(at, key, target, metadata, judge),
        };
        self.replace(at, key, judge)?;
        self.bring(at, key, kind);
        Ok(())
    }

    /// Something takes the place of what is there.
    fn replace(&mut self, at: At, key: Key, judge: &mut Judge<'_>) -> Result<(), Fault> {
        match self.node(at, key) {
            Some(node) if self.standing(at, node) == Standing::Own => judge.quirk(Quirk::DuplicatePath),
            _ => Ok(()),
        }
    }

    fn bring_directory(&mut self, at: At, key: Key, path: &[u8], judge: &mut Judge<'_>) -> Result<(), Fault> {
        let kind = match self.node(at, key).map(|node| node.kind) {
            Some(kind @ Kind::Directory { .. }) => kind,
            None => {
                self.limits.check_path(path)?;
                self.new_directory(self.may_have_more(at))
            }
            Some(_) => {
                self.limits.check_path(path)?;
                self.replace(at, key, judge)?;
                self.new_directory(false)
            }
        };
        self.bring(at, key, kind);
        Ok(())
    }

    fn hard_link(
        &mut self,
        at: At,
        key: Key,
        target: &EntryPath,
        metadata: &Metadata,
        judge: &mut Judge<'_>,
    ) -> Result<(), Fault> {
        let refused = || Escaped::new(target.as_bytes());
        let Some((parent, name)) = target.split_last() else {
            return Err(Violation::HardLinkToDirectory { target: refused() }.into());
        };
        let kind = match self.walk(parent, Purpose::Find, &mut Vec::new(), judge)? {
            Walked::Unknown => Kind::Unseen,
            Walked::Nowhere | Walked::Stopped => return Err(Violation::HardLinkMissing { target: refused() }.into()),
            Walked::At(parent) => {
                let target_key = self.key(parent, name);
                if target_key == key {
                    return Err(Violation::HardLinkToItself { target: refused() }.into());
                }
                match self.node(parent, target_key).map(|node| node.kind) {
                    Some(Kind::Directory { .. }) => {
                        return Err(Violation::HardLinkToDirectory { target: refused() }.into());
                    }
                    None if self.may_have_more(parent) => Kind::Unseen,
                    None => return Err(Violation::HardLinkMissing { target: refused() }.into()),
                    Some(kind) => kind,
                }
            }
        };
        if let Kind::Other { is_device: true, .. } = kind {
            judge.quirk(Quirk::HardLinkToSkipped { target: refused() })?;
        }
        self.replace(at, key, judge)?;
        self.bring(at, key, kind);
        let alike = match kind {
            Kind::Link { number } => self.is_owner(number, metadata),
            Kind::Other { attributes, .. } => attributes == self.attributes(metadata),
            _ => true,
        };
        if alike { Ok(()) } else { judge.quirk(Quirk::HardLinkMetadata) }
    }

    fn white_out(&mut self, path: &EntryPath, judge: &mut Judge<'_>) -> Result<(), Fault> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::WhiteoutOfNothing.into()) };
        let Some(at) = self.find_lower(parent, judge)? else { return Ok(()) };
        let key = self.key(at, name);
        let Some(node) = self.node(at, key) else { return Ok(()) };
        match (self.standing(at, node), node.kind) {
            (Standing::Lower, _) => {
                self.remove(key);
                Ok(())
            }
            (Standing::Own | Standing::Passage, kind) => {
                judge.quirk(Quirk::WhiteoutOfOwn)?;
                if let Kind::Directory { number } = kind
                    && !self.is_clear(at)
                {
                    self.clear(number);
                    self.bring(at, key, kind);
                }
                Ok(())
            }
        }
    }

    fn make_opaque(&mut self, path: &EntryPath, judge: &mut Judge<'_>) -> Result<(), Fault> {
        let Some(at) = self.find_lower(path.as_bytes(), judge)? else { return Ok(()) };
        self.clear_at(at);
        if self.is_filled(at) { judge.quirk(Quirk::WhiteoutOfOwn) } else { Ok(()) }
    }

    /// Finds a directory among what lower layers left; `None` when nothing is known to be there.
    fn find_lower(&mut self, names: &[u8], judge: &mut Judge<'_>) -> Result<Option<At>, Fault> {
        match self.walk(names, Purpose::FindLower, &mut Vec::new(), judge)? {
            Walked::At(at) => Ok(Some(at)),
            Walked::Nowhere | Walked::Unknown => Ok(None),
            Walked::Stopped => judge.quirk(Quirk::WhiteoutBehindOwnLink).map(|()| None),
        }
    }
}
