//! A sink over no cage: it keeps names alone, and tells what a tree would show.

mod names;
mod table;

use super::context::LayerContext;
use super::data::Data;
use super::sink::Sink;
use super::sink_error::SinkError;
use crate::plan::{Judged, Reporter, Skippable, Standing, links_to_skippable};
use crate::read::Checked;
use crate::words::{Change, ChangeKind, Effect, EntryPath, Escaped, Fault, Limits, Metadata, Quirk, Violation};
use names::{At, Key, Kind, Names, Purpose, Walked};
use std::collections::BTreeSet;

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
pub(crate) struct TreeModel {
    /// `None` once there were more names than the limit allows: the tree is lost.
    names: Option<Names>,
    /// What hard links led to that some policies skip.
    linked: BTreeSet<Skippable>,
}

impl TreeModel {
    pub(crate) fn over(lower: Lower, limits: &Limits) -> Self {
        Self { names: Some(Names::over(lower, limits)), linked: BTreeSet::new() }
    }

    /// What hard links led to that some policies skip, with the hard links.
    pub(crate) fn linked(&self) -> &BTreeSet<Skippable> {
        &self.linked
    }

    /// Whether there were more names than the limit allows: nothing is told from there on.
    pub(crate) fn is_lost(&self) -> bool {
        self.names.is_none()
    }
}

impl Sink for TreeModel {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        if let Some(names) = &mut self.names {
            names.begin_layer();
        }
        Ok(())
    }

    fn change(&mut self, change: Judged<Change>, _: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        let Some(names) = &mut self.names else { return Ok(()) };
        if let Err(violation) = names.check_room() {
            self.names = None;
            return Err(Fault::from(violation).into());
        }
        let Change { path, kind } = change.into_inner();
        let brought = match kind {
            ChangeKind::Whiteout => names.white_out(&path, reporter),
            ChangeKind::OpaqueWhiteout => names.make_opaque(&path, reporter),
            // Whoever audits is told of what could be skipped, as if it were made.
            ChangeKind::Skipped => Ok(()),
            ChangeKind::Directory(_) => names.bring_to(&path, What::Directory, reporter),
            ChangeKind::Symlink { metadata, target } => {
                names.bring_to(&path, What::Link(target.as_bytes(), &metadata), reporter)
            }
            ChangeKind::HardLink { target, metadata } => {
                names.bring_to(&path, What::HardLink(&target, &metadata, &mut self.linked), reporter)
            }
            ChangeKind::PseudoLink { metadata, .. } => names.bring_apart(&path, &metadata, reporter),
            ChangeKind::File { metadata, .. } => names.bring_to(&path, What::Other(&metadata, None), reporter),
            ChangeKind::Fifo(metadata) => {
                names.bring_to(&path, What::Other(&metadata, Some(Skippable::Fifo)), reporter)
            }
            ChangeKind::Device { metadata, device } => {
                names.bring_to(&path, What::Other(&metadata, Some(Skippable::of(device))), reporter)
            }
        };
        Ok(brought?)
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }

    fn abandon_layer(&mut self) -> Effect {
        Effect::None
    }
}

/// Whether a hard link leads to its own place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsItself {
    Yes,
    No,
}

/// What is brought.
enum What<'a> {
    Directory,
    Link(&'a [u8], &'a Metadata),
    HardLink(&'a EntryPath, &'a Metadata, &'a mut BTreeSet<Skippable>),
    /// A file, a FIFO or a device.
    Other(&'a Metadata, Option<Skippable>),
}

impl Names {
    fn bring_to(&mut self, path: &EntryPath, what: What<'_>, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let Some((parent, name)) = path.split_last() else { return Ok(()) };
        let mut resolved = Vec::new();
        let walked = self.walk(parent, Purpose::Bring, &mut resolved, reporter)?;
        let Walked::At(at) = walked else {
            return match what {
                // Whatever tree it comes to.
                What::HardLink(target, ..) => Ok(self.check_target(target)?),
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
                return self.bring_directory(at, key, &resolved, reporter);
            }
            What::Link(target, metadata) => self.new_link(target, metadata),
            What::Other(metadata, skippable) => Kind::Other { attributes: self.attributes(metadata), skippable },
            What::HardLink(target, metadata, linked) => {
                return self.hard_link(at, key, target, metadata, linked, reporter);
            }
        };
        self.replace(at, key, reporter)?;
        self.bring(at, key, kind);
        Ok(())
    }

    /// Refuses a target that no tree has.
    fn check_target(&self, target: &EntryPath) -> Result<(), Violation> {
        let refused = || Escaped::new(target.as_bytes());
        match (target.is_root(), target.pseudo_link()) {
            (true, _) => Err(Violation::HardLinkToDirectory { target: refused() }),
            (false, Some(name)) if self.node_apart(name).is_none() => {
                Err(Violation::HardLinkMissing { target: refused() })
            }
            (false, _) => Ok(()),
        }
    }

    /// The layer brings the data of hard links, which is in no directory of the tree.
    fn bring_apart(&mut self, path: &EntryPath, metadata: &Metadata, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let name = path.pseudo_link().ok_or(Fault::bug("a pseudo-link is not called like one"))?;
        let at = self.apart();
        let key = self.key(at, name);
        self.replace(at, key, reporter)?;
        self.bring(at, key, Kind::Other { attributes: self.attributes(metadata), skippable: None });
        Ok(())
    }

    /// What a hard link leads to.
    fn find_target(
        &mut self,
        key: Key,
        target: &EntryPath,
        reporter: &mut Reporter<'_>,
    ) -> Result<(Kind, IsItself), Fault> {
        let refused = || Escaped::new(target.as_bytes());
        let missing = || Fault::from(Violation::HardLinkMissing { target: refused() });
        if let Some(name) = target.pseudo_link() {
            return Ok((self.node_apart(name).ok_or_else(missing)?.kind, IsItself::No));
        }
        let Some((parent, name)) = target.split_last() else {
            return Err(Violation::HardLinkToDirectory { target: refused() }.into());
        };
        match self.walk(parent, Purpose::Find, &mut Vec::new(), reporter)? {
            Walked::Unknown => Ok((Kind::Unseen, IsItself::No)),
            Walked::Nowhere | Walked::Stopped => Err(missing()),
            Walked::At(parent) => {
                let target_key = self.key(parent, name);
                let is_itself = if target_key == key { IsItself::Yes } else { IsItself::No };
                match self.node(parent, target_key).map(|node| node.kind) {
                    Some(Kind::Directory { .. }) => Err(Violation::HardLinkToDirectory { target: refused() }.into()),
                    Some(kind) => Ok((kind, is_itself)),
                    // It is there, or the layer is refused: nobody knows.
                    None if self.may_have_more(parent) => Ok((Kind::Unseen, IsItself::No)),
                    None if is_itself == IsItself::Yes => Err(Violation::HardLinkToItself { target: refused() }.into()),
                    None => Err(missing()),
                }
            }
        }
    }

    /// Something takes the place of what is there.
    fn replace(&mut self, at: At, key: Key, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        match self.node(at, key) {
            Some(node) if self.standing(at, node) == Standing::Own => reporter.quirk(Quirk::DuplicatePath),
            _ => Ok(()),
        }
    }

    fn bring_directory(&mut self, at: At, key: Key, path: &[u8], reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let kind = match self.node(at, key).map(|node| node.kind) {
            Some(kind @ Kind::Directory { .. }) => kind,
            None => {
                self.limits.check_path(path)?;
                self.new_directory(self.may_have_more(at))
            }
            Some(kind) => {
                self.limits.check_path(path)?;
                if let Kind::Link { number } = kind {
                    let target = self.link_target(number);
                    reporter.quirk(Quirk::DirectoryOverLink { target: Escaped::new(&target) })?;
                }
                self.replace(at, key, reporter)?;
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
        linked: &mut BTreeSet<Skippable>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Fault> {
        let (kind, is_itself) = self.find_target(key, target, reporter)?;
        if let Kind::Other { skippable: Some(skippable), .. } = kind {
            linked.insert(skippable);
            links_to_skippable(skippable, target, reporter)?;
        }
        match is_itself {
            IsItself::Yes => reporter.quirk(Quirk::HardLinkRepeated { target: Escaped::new(target.as_bytes()) })?,
            IsItself::No => self.replace(at, key, reporter)?,
        }
        self.bring(at, key, kind);
        let alike = match kind {
            Kind::Link { number } => self.is_owner(number, metadata),
            Kind::Other { attributes, .. } => attributes == self.attributes(metadata),
            _ => true,
        };
        if alike { Ok(()) } else { reporter.quirk(Quirk::HardLinkMetadata) }
    }

    fn white_out(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::WhiteoutOfNothing.into()) };
        let Some(at) = self.find_lower(parent, reporter)? else { return Ok(()) };
        let key = self.key(at, name);
        let Some(node) = self.node(at, key) else { return Ok(()) };
        match (self.standing(at, node), node.kind) {
            (Standing::Lower, _) => {
                self.remove(key);
                Ok(())
            }
            (Standing::Own | Standing::Traversed, kind) => {
                reporter.quirk(Quirk::WhiteoutOfOwn)?;
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

    fn make_opaque(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let Some(at) = self.find_lower(path.as_bytes(), reporter)? else { return Ok(()) };
        self.clear_at(at);
        if self.is_filled(at) { reporter.quirk(Quirk::OpaqueBehindOwn) } else { Ok(()) }
    }

    /// Finds a directory among what lower layers left; `None` when nothing is known to be there.
    fn find_lower(&mut self, names: &[u8], reporter: &mut Reporter<'_>) -> Result<Option<At>, Fault> {
        match self.walk(names, Purpose::FindLower, &mut Vec::new(), reporter)? {
            Walked::At(at) => Ok(Some(at)),
            Walked::Nowhere | Walked::Unknown => Ok(None),
            Walked::Stopped => reporter.quirk(Quirk::WhiteoutBehindOwnLink).map(|()| None),
        }
    }
}
