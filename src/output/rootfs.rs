//! A directory tree: the sink that makes root filesystems.

use super::context::LayerContext;
use super::data::Data;
use super::delegate::{Bringing, Clearing, Looking, changes_time};
use super::sink::{Sink, Visibility};
use super::sink_error::SinkError;
use super::state::State;
use crate::cage::{Cage, Content, Directory, Exposure, Missing, New, Place, Stage, Unheld, Walked};
use crate::plan::{Judged, LayerContents, Reporter, Skipped, Standing};
use crate::read::{Blob, Checked, Verified};
use crate::words::{
    Change, ChangeKind, DeferredWork, Durability, Effect, EntryPath, Escaped, Fault, Limit, Metadata, Octal, Ownership,
    Quirk, QuirkRule, Rule, Source, Violation,
};
use std::os::fd::AsFd;
use std::sync::Arc;

/// A directory tree to which layers are applied, below a handle that the caller has.
///
/// Nothing outside of that handle is read, written, linked or removed, for any layer.
///
/// [`Limit::ImageBytes`] applies to the total of all layers on one `Rootfs`.
#[derive(Debug)]
pub struct Rootfs {
    cage: Cage,
    brought: LayerContents,
    exposure: Exposure,
    skipped: Skipped,
    ownership: Ownership,
    /// The durability that the layer's policy requests. For a staged tree: the strongest that any layer has requested.
    durability: Durability,
    state: State,
    /// The proofs of the layers applied so far, in order.
    layers: Vec<Option<Verified<Blob>>>,
    /// Bytes of content of the files of all layers that ended.
    bytes_before: u64,
    /// Bytes of content of the layer's files.
    bytes: u64,
    /// The layer has changed something.
    changed: bool,
}

impl Rootfs {
    /// The tree at `directory`, as it is.
    ///
    /// A layer whose digest, size or diff ID is given is read through and verified before the tree is touched.
    ///
    /// After a layer failed, the same or another layer may be applied to this `Rootfs`. Each path has its old or its
    /// new state. The bytes of the failed layer do not count towards [`Limit::ImageBytes`].
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn over(directory: &cap_std::fs::Dir) -> Result<Self, crate::Error> {
        let cage = Cage::over(directory.as_fd(), Exposure::Visible).map_err(|fault| fault.at(Default::default()))?;
        Ok(Self::new(cage, Exposure::Visible))
    }

    /// A tree that nobody can see yet.
    pub(crate) fn staged(cage: Cage) -> Self {
        Self::new(cage, Exposure::Staged)
    }

    fn new(cage: Cage, exposure: Exposure) -> Self {
        Self {
            cage,
            brought: LayerContents::nothing(),
            exposure,
            skipped: Skipped::default(),
            ownership: Ownership::default(),
            durability: Durability::default(),
            state: State::Idle,
            layers: Vec::new(),
            bytes_before: 0,
            bytes: 0,
            changed: false,
        }
    }

    /// The proofs of the applied layers, `None` for a layer without a proof. An error if a layer failed or has not
    /// ended.
    pub(crate) fn layers(&self) -> Option<&[Option<Verified<Blob>>]> {
        (self.state == State::Idle).then_some(&self.layers)
    }

    /// Whether this tree is the original tree of the stage.
    pub(crate) fn is_of(&self, stage: &Stage) -> Result<bool, Fault> {
        // One that was opened over the staged directory knows nothing of the layers that failed there.
        Ok(self.exposure == Exposure::Staged && stage.is_root_of(&self.cage)?)
    }

    /// The durability with which a staged tree takes its name.
    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Gives what is still open its mode and time: the root of a tree to which no layer was applied, say.
    pub(crate) fn settle(&mut self) -> Result<(), Fault> {
        self.cage.settle()
    }

    fn bring(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>, bring: Bring<'_>) -> Result<(), SinkError> {
        let mut delegate = Bringing { brought: &mut self.brought, reporter };
        let Some((parent, name)) = path.split_last() else { return Ok(self.renew_root(bring, reporter)?) };
        let parent = self.cage.walk_making(parent, &mut delegate)?;
        let place = self.cage.place(&parent, name);
        let is_directory = matches!(bring, Bring::Directory(_));
        match bring {
            Bring::Directory(metadata) => {
                self.cage.directory(&place, &metadata, &mut delegate)?;
            }
            Bring::File(metadata, content) => self.cage.file(&place, &metadata, content, &mut delegate)?,
            Bring::Special(new, metadata) => self.cage.special(&place, new, &metadata, &mut delegate)?,
            Bring::HardLink(target, metadata) => return self.hard_link(&place, target, metadata, reporter),
        }
        self.brought.bring(parent.id(), place.id());
        match is_directory {
            _ if self.skipped.is_empty() => (),
            true => self.skipped.replace_by_directory(&place.path()),
            false => self.skipped.replace(&place.path()),
        }
        Ok(())
    }

    fn renew_root(&mut self, bring: Bring<'_>, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let Bring::Directory(metadata) = bring else { return Err(Violation::RootNotDirectory.into()) };
        let root = self.cage.root();
        self.cage.renew(&root, &metadata, &mut Bringing { brought: &mut self.brought, reporter })
    }

    fn hard_link(
        &mut self,
        place: &Place<'_>,
        target: &EntryPath,
        metadata: Metadata,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        let refused = || Escaped::new(target.as_bytes());
        let Some((parent, name)) = target.split_last() else {
            return Err(Violation::HardLinkToDirectory { target: refused() }.into());
        };
        if let Some(pseudo) = target.pseudo_link() {
            // It is the layer's own: what a tree has of such a name is none.
            return match self.cage.place_apart(pseudo) {
                Some(apart) => self.link(place, &apart, target, metadata, reporter),
                None => Err(Violation::HardLinkMissing { target: refused() }.into()),
            };
        }
        let mut looking = Looking { stopped_by: None, reporter };
        let Walked::At(parent) = self.cage.walk(parent, Missing::Stop, &mut looking)? else {
            return match self.skipped.contains(target.as_bytes()) {
                true => Ok(self.skip_link(place, target, reporter)?),
                false => Err(Violation::HardLinkMissing { target: refused() }.into()),
            };
        };
        let target_place = self.cage.place(&parent, name);
        let skipped = self.skipped.contains(&target_place.path()) || self.skipped.contains(target.as_bytes());
        if skipped && !self.cage.exists(&target_place)? {
            return Ok(self.skip_link(place, target, reporter)?);
        }
        self.link(place, &target_place, target, metadata, reporter)
    }

    /// Gives what is at a place one more name.
    fn link(
        &mut self,
        place: &Place<'_>,
        target_place: &Place<'_>,
        target: &EntryPath,
        metadata: Metadata,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        // What the header is compared with must be final.
        self.cage.finish_files().map_err(SinkError::Earlier)?;
        let mut delegate = Bringing { brought: &mut self.brought, reporter };
        let linked = self.cage.hard_link(place, target_place, target, &mut delegate)?;
        if place.id() == target_place.id() {
            reporter.quirk(Quirk::HardLinkRepeated { target: Escaped::new(target.as_bytes()) })?;
        }
        self.brought.bring(place.parent().id(), place.id());
        let owner = self.cage.owner_for(metadata.uid, metadata.gid);
        let owner_differs = self.cage.keeps_owners() && linked.owner != owner;
        let mode_differs = !linked.is_symlink && linked.mode != self.adjusted_mode(&metadata, owner);
        if owner_differs || mode_differs {
            reporter.quirk(Quirk::HardLinkMetadata)?;
        }
        Ok(())
    }

    fn skip_link(&mut self, place: &Place<'_>, target: &EntryPath, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        reporter.quirk(Quirk::HardLinkToSkipped { target: Escaped::new(target.as_bytes()) })?;
        self.remove_for_skipped(place)
    }

    /// What is left out still takes the place of what is there.
    fn skip(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::RootNotDirectory.into()) };
        let walked = self.cage.walk(parent, Missing::Stop, &mut Looking { stopped_by: None, reporter })?;
        match walked {
            Walked::At(parent) => {
                let place = self.cage.place(&parent, name);
                self.remove_for_skipped(&place)
            }
            // Its directory is not there, and is not made for it: all that names it is what is written.
            _ => Ok(self.skipped.skip(path.as_bytes(), self.cage.limits())?),
        }
    }

    fn remove_for_skipped(&mut self, place: &Place<'_>) -> Result<(), Fault> {
        self.cage.remove(place)?;
        Ok(self.skipped.skip(&place.path(), self.cage.limits())?)
    }

    /// Removes what lower layers have at a path. What this layer brought stays.
    fn white_out(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        let Some((parent, name)) = path.split_last() else { return Err(Violation::WhiteoutOfNothing.into()) };
        match self.find_lower(parent, reporter)? {
            Some(parent) => {
                let place = self.cage.place(&parent, name);
                self.remove_lower(&place, reporter)
            }
            None => Ok(()),
        }
    }

    fn make_opaque(&mut self, path: &EntryPath, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        match self.find_lower(path.as_bytes(), reporter)? {
            Some(directory) => {
                self.skipped.clear_lower(directory.path());
                let mut clearing = Clearing { brought: &mut self.brought, kept: false };
                let was_own = clearing.brought.is_own(directory.id());
                self.cage.clear(&directory, &mut clearing)?;
                let kept = clearing.kept;
                let is_told = !reporter.is_silent_on(QuirkRule::OpaqueBehindOwn);
                match is_told && (kept || (was_own && !self.cage.is_empty(&directory)?)) {
                    true => reporter.quirk(Quirk::OpaqueBehindOwn),
                    false => Ok(()),
                }
            }
            None => Ok(()),
        }
    }

    /// Finds a directory among what lower layers left; `None` when there is nothing to remove.
    fn find_lower(&mut self, names: &[u8], reporter: &mut Reporter<'_>) -> Result<Option<Arc<Directory>>, Fault> {
        match self.cage.walk(names, Missing::Stop, &mut Looking { stopped_by: Some(&self.brought), reporter })? {
            Walked::At(directory) => Ok(Some(directory)),
            Walked::Nowhere => Ok(None),
            Walked::Stopped => reporter.quirk(Quirk::WhiteoutBehindOwnLink).map(|()| None),
        }
    }

    fn remove_lower(&mut self, place: &Place<'_>, reporter: &mut Reporter<'_>) -> Result<(), Fault> {
        self.skipped.remove_lower(&place.path());
        let within = place.parent().id();
        match self.brought.standing(within, place.id()) {
            Standing::Lower => self.cage.remove(place),
            Standing::Own => {
                if !self.cage.exists(place)? {
                    return Ok(());
                }
                reporter.quirk(Quirk::WhiteoutOfOwn)?;
                match self.brought.is_own(within) {
                    true => Ok(()),
                    false => self.clear_at(place).map(drop),
                }
            }
            Standing::Traversed => {
                reporter.quirk(Quirk::WhiteoutOfOwn)?;
                if let Some(directory) = self.clear_at(place)? {
                    self.cage.make_like_implied(&directory)?;
                    self.brought.make_implied(within, place.id());
                }
                Ok(())
            }
        }
    }

    fn clear_at(&mut self, place: &Place<'_>) -> Result<Option<Arc<Directory>>, Fault> {
        let directory = self.cage.enter(place)?;
        if let Some(directory) = &directory {
            self.cage.clear(directory, &mut Clearing { brought: &mut self.brought, kept: false })?;
        }
        Ok(directory)
    }

    /// If the caller becomes the owner, a setuid bit must not stay: the program would run as the caller.
    fn adjust(
        &mut self,
        metadata: &mut Metadata,
        is_directory: bool,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Fault> {
        let owner = self.cage.owner_for(metadata.uid, metadata.gid);
        let falls = owner != (metadata.uid, metadata.gid);
        if falls && self.ownership != Ownership::Recorded {
            reporter.quirk_once(Quirk::OwnerToCaller)?;
        }
        let mode =
            if is_directory { self.with_setgid(metadata.mode, owner) } else { self.adjusted_mode(metadata, owner) };
        if mode != metadata.mode {
            reporter.quirk(Quirk::SetIdDropped { mode: Octal(metadata.mode) })?;
        }
        metadata.mode = mode;
        (metadata.uid, metadata.gid) = owner;
        Ok(())
    }

    /// The kernel would take a setgid bit off in silence.
    fn with_setgid(&self, mode: u32, owner: (u32, u32)) -> u32 {
        let is_lost = self.cage.keeps_owners() && !self.cage.keeps_setgid(owner.1);
        if is_lost { mode & !0o2000 } else { mode }
    }

    fn adjusted_mode(&self, metadata: &Metadata, owner: (u32, u32)) -> u32 {
        let mut mode = self.with_setgid(metadata.mode, owner);
        mode &= if metadata.uid == owner.0 { !0 } else { !0o4000 };
        mode & if metadata.gid == owner.1 { !0 } else { !0o2000 }
    }
}

impl Sink for Rootfs {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        let terms = layer.terms();
        self.state.take_to_begin(self.exposure)?;
        (self.changed, self.bytes) = (false, 0);
        self.skipped.begin_layer();
        self.cage.begin(terms)?;
        self.ownership = terms.ownership;
        self.durability = match self.exposure {
            Exposure::Visible => terms.durability,
            Exposure::Staged => self.durability.stronger(terms.durability),
        };
        let root = self.cage.root();
        if self.exposure == Exposure::Staged && self.layers.is_empty() {
            self.cage.make_like_implied(&root).map_err(|fault| fault.about("the root of the tree"))?;
        }
        let is_empty = self.cage.is_empty(&root)?;
        self.brought = if is_empty { LayerContents::over_nothing() } else { LayerContents::nothing() };
        if is_empty {
            self.cage.begin_over_nothing();
        }
        self.state = State::InLayer;
        Ok(())
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        self.state.take_in_layer("change")?;
        let change = change.into_inner();
        // An earlier file failed, not this entry.
        self.cage.late_fault().map_err(SinkError::Earlier)?;
        let is_apart = matches!(change.kind, ChangeKind::PseudoLink { .. });
        let removes = matches!(change.kind, ChangeKind::Whiteout | ChangeKind::OpaqueWhiteout | ChangeKind::Skipped);
        let result = self.tell_root_time(&change, reporter).and_then(|()| self.take(change, data.stored(), reporter));
        let result = result.and_then(|()| match self.cage.take_unheld() {
            Some(unheld) => Ok(changes_time(reporter, unheld)?),
            None => Ok(()),
        });
        // What is refused was refused before it took effect, but for its parents and where things go one by one.
        self.changed |= match result.as_ref().map_err(SinkError::error) {
            // It is not in the tree.
            _ if is_apart => false,
            Err(error) => match error.rule() {
                Some(Rule::Quirk(Quirk::XattrUnsupported { .. } | Quirk::TimeClamped { .. })) | None => true,
                Some(_) => removes || self.brought.is_something(),
            },
            _ => true,
        };
        result?;
        self.brought.check(self.cage.limits())?;
        self.state = State::InLayer;
        Ok(())
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.state.take_in_layer("end_layer")?;
        self.cage.settle()?;
        // What is staged is synchronized when it takes its name.
        if (self.exposure, self.durability) == (Exposure::Visible, Durability::Synced) {
            self.cage.sync()?;
        }
        self.layers.push(checked.proof().cloned());
        self.bytes_before = self.bytes_before.saturating_add(std::mem::take(&mut self.bytes));
        self.state = State::Idle;
        Ok(())
    }

    fn abandon_layer(&mut self) -> Effect {
        self.state = State::Failed;
        // The failure that broke the layer off is the one to report.
        let _ = self.cage.settle();
        if std::mem::take(&mut self.changed) { Effect::Partial } else { Effect::None }
    }

    fn visibility(&self) -> Visibility {
        match self.exposure {
            Exposure::Staged => Visibility::AtCommit,
            Exposure::Visible => Visibility::AtOnce,
        }
    }

    fn deferred_work(&mut self) -> Option<Arc<dyn DeferredWork>> {
        self.cage.puts_off().map(|finishing| finishing as Arc<dyn DeferredWork>)
    }
}

impl Rootfs {
    /// Counts the content of a file that is about to be made.
    fn count(&mut self, size: u64) -> Result<(), Fault> {
        let bytes = self.bytes.saturating_add(size);
        self.cage.limits().check(Limit::ImageBytes, self.bytes_before.saturating_add(bytes))?;
        self.bytes = bytes;
        Ok(())
    }

    /// The root got its time before a note could be recorded. An entry for the root may still give it another time.
    fn tell_root_time(&mut self, change: &Change, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        let Some(Unheld { asked, kept }) = self.cage.take_unheld() else { return Ok(()) };
        if change.path.is_root() {
            return Ok(());
        }
        reporter.quirk_of_layer(Quirk::TimeClamped { asked, kept }).map_err(SinkError::Earlier)
    }

    fn take(&mut self, change: Change, data: &mut dyn Source, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        let Change { path, kind } = change;
        match kind {
            ChangeKind::Whiteout => Ok(self.white_out(&path, reporter)?),
            ChangeKind::OpaqueWhiteout => Ok(self.make_opaque(&path, reporter)?),
            ChangeKind::Skipped => Ok(self.skip(&path, reporter)?),
            ChangeKind::Directory(mut metadata) => {
                self.adjust(&mut metadata, true, reporter)?;
                self.bring(&path, reporter, Bring::Directory(metadata))
            }
            ChangeKind::File { mut metadata, size, sparse } => {
                self.count(size)?;
                self.adjust(&mut metadata, false, reporter)?;
                let content = Content { source: data, size, sparse: sparse.as_ref() };
                self.bring(&path, reporter, Bring::File(metadata, content))
            }
            ChangeKind::PseudoLink { mut metadata, size, sparse } => {
                let name = path.pseudo_link().ok_or(Fault::bug("a pseudo-link is not called like one"))?;
                self.count(size)?;
                self.adjust(&mut metadata, false, reporter)?;
                let content = Content { source: data, size, sparse: sparse.as_ref() };
                let mut delegate = Bringing { brought: &mut self.brought, reporter };
                Ok(self.cage.file_apart(name, &metadata, content, &mut delegate)?)
            }
            ChangeKind::Symlink { mut metadata, target } => {
                // A link's mode means nothing, so no bit of it is left off.
                metadata.mode = 0o777;
                self.adjust(&mut metadata, true, reporter)?;
                self.bring(&path, reporter, Bring::Special(New::Symlink(target.as_bytes()), metadata))
            }
            ChangeKind::Fifo(mut metadata) => {
                self.adjust(&mut metadata, false, reporter)?;
                self.bring(&path, reporter, Bring::Special(New::Fifo, metadata))
            }
            ChangeKind::Device { mut metadata, device } => {
                self.adjust(&mut metadata, false, reporter)?;
                self.bring(&path, reporter, Bring::Special(New::Device(device), metadata))
            }
            ChangeKind::HardLink { target, metadata } => {
                self.bring(&path, reporter, Bring::HardLink(&target, metadata))
            }
        }
    }
}

/// What is brought, by what it needs.
enum Bring<'a> {
    Directory(Metadata),
    File(Metadata, Content<'a>),
    Special(New<'a>, Metadata),
    HardLink(&'a EntryPath, Metadata),
}
