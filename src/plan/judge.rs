//! The judge: an entry is allowed as it is, adjusted with a note, skipped with a note, or refused.

use super::owner::Of;
use super::skipped::Skippable;
use super::whiteout::{self, Marker};
use super::xattr::{self, Allowed};
use crate::words::{
    Change, ChangeKind, Device, Devices, Entry, EntryKind, EntryPath, Escaped, Fault, Fifos, Finding, Limit, Limits,
    Metadata, Note, Owners, Policy, Position, Quirk, QuirkRule, Report, Rule, Verdict, Violation,
};

/// Something that the judge let pass. Only the judge makes one, and a [`Sink`](crate::Sink) takes nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<T>(T);

impl<T> Judged<T> {
    /// What was let pass.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// What was let pass, for keeps.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Applies a policy to the entries of one layer, and keeps the notes.
pub struct Judge<'p> {
    pub(super) policy: &'p Policy,
    pub(super) limits: &'p Limits,
    /// Where all that is odd is told: then it passes, whatever policy says.
    told: Option<&'p mut dyn FnMut(Finding)>,
    report: Report,
    /// The report of the lower layers of the image.
    before: &'p Report,
    position: Position,
}

impl<'p> Judge<'p> {
    /// `before` is the report of the lower layers of the image, if they share one report with this layer.
    pub(crate) fn new(policy: &'p Policy, limits: &'p Limits, before: &'p Report) -> Self {
        let (report, position) = (Report::default(), Position::default());
        Self { policy, limits, told: None, report, before, position }
    }

    /// Tells all that is odd, instead of judging it.
    pub(crate) fn telling(self, tell: &'p mut dyn FnMut(Finding)) -> Self {
        Self { told: Some(tell), ..self }
    }

    /// Says where what is judged next is found.
    pub(crate) fn at(&mut self, position: Position) {
        self.position = position;
    }

    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// What comes next is about the layer, and not about the entry.
    pub(crate) fn leave_entry(&mut self) {
        self.position = Position { layer: self.position.layer, ..Position::default() };
    }

    /// For a position that is put down in the memory of the last one.
    pub(crate) fn position_mut(&mut self) -> &mut Position {
        &mut self.position
    }

    /// Bytes of content of the files judged so far.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.report.bytes_written
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    /// Notes something odd, where policy lets it pass.
    ///
    /// # Errors
    ///
    /// The refusal, where it does not.
    pub fn quirk(&mut self, quirk: Quirk) -> Result<(), Fault> {
        if let Some(tell) = &mut self.told {
            tell(Finding { rule: Rule::Quirk(quirk), position: self.position.clone() });
            return Ok(());
        }
        match self.policy.verdict(quirk.rule()) {
            Verdict::Pass => (),
            Verdict::Note => self.report.note(Note { quirk, position: self.position.clone() }),
            Verdict::Refuse => return Err(quirk.into()),
        }
        Ok(())
    }

    /// Like [`Judge::quirk`], but records only one note in a report. Use it for a quirk that is the same for many
    /// entries.
    ///
    /// Only the repeated note is dropped. If the policy refuses the quirk, each call refuses it: the state of a sink
    /// from an earlier layer with another policy must not allow it.
    ///
    /// # Errors
    ///
    /// The refusal, if the policy refuses the quirk.
    pub fn quirk_once(&mut self, quirk: Quirk) -> Result<(), Fault> {
        let is_noted = self.report.count(quirk.id()) > 0 || self.before.count(quirk.id()) > 0;
        if self.told.is_none() && is_noted && self.policy.verdict(quirk.rule()) == Verdict::Note {
            return Ok(());
        }
        self.quirk(quirk)
    }

    /// Whether nobody wants to hear of a quirk.
    pub(crate) fn is_silent_on(&self, rule: QuirkRule) -> bool {
        self.told.is_none() && self.policy.verdict(rule) == Verdict::Pass
    }

    /// Says what an entry means; `None` when it means nothing.
    pub(crate) fn judge(&mut self, entry: Entry) -> Result<Option<Judged<Change>>, Fault> {
        self.report.entries += 1;
        for quirk in entry.quirks {
            self.quirk(quirk)?;
        }
        let (path, mut metadata) = (entry.path, entry.metadata);
        match whiteout::parse(&path)? {
            Marker::None => (),
            Marker::PseudoLink if matches!(entry.kind, EntryKind::File { .. }) => {
                return self.pseudo_link(path, entry.kind, metadata).map(Some);
            }
            Marker::Bookkeeping | Marker::PseudoLink => return self.quirk(Quirk::AufsBookkeeping).map(|()| None),
            Marker::Whiteout(path) => return marker(entry.kind, path, ChangeKind::Whiteout).map(Some),
            Marker::Opaque(path) => return marker(entry.kind, path, ChangeKind::OpaqueWhiteout).map(Some),
        }
        if path.is_root() && entry.kind != EntryKind::Directory {
            return Err(Violation::RootNotDirectory.into());
        }
        self.keep_allowed_xattrs(&mut metadata)?;
        let of = match &entry.kind {
            EntryKind::Directory => Of::Directory,
            EntryKind::Fifo => Of::Fifo,
            EntryKind::Symlink { .. } => Of::Symlink,
            EntryKind::Device(device) => Of::Device(*device),
            EntryKind::HardLink { .. } => Of::HardLink,
            EntryKind::File { .. } => Of::File,
        };
        let kind = match entry.kind {
            EntryKind::Fifo if !self.makes_fifo()? => ChangeKind::Skipped,
            EntryKind::Device(device) if !self.makes(device)? => ChangeKind::Skipped,
            kind => {
                self.adjust(&mut metadata, of)?;
                self.change(kind, metadata)?
            }
        };
        Ok(Some(Judged(Change { path, kind })))
    }

    /// The data of hard links is judged as the file that they make it.
    fn pseudo_link(
        &mut self,
        path: EntryPath,
        kind: EntryKind,
        mut metadata: Metadata,
    ) -> Result<Judged<Change>, Fault> {
        self.quirk(Quirk::AufsPseudoLink)?;
        self.keep_allowed_xattrs(&mut metadata)?;
        self.adjust(&mut metadata, Of::File)?;
        let kind = match self.change(kind, metadata)? {
            ChangeKind::File { metadata, size, sparse } => ChangeKind::PseudoLink { metadata, size, sparse },
            other => other,
        };
        Ok(Judged(Change { path, kind }))
    }

    /// What an entry does that is made, with its final metadata.
    fn change(&mut self, kind: EntryKind, metadata: Metadata) -> Result<ChangeKind, Fault> {
        // An audit tells of what hard links lead to under other policies: there a device stays one.
        let is_recorded = *self.policy.owners() == Owners::Record && self.told.is_none();
        Ok(match kind {
            EntryKind::Directory => ChangeKind::Directory(metadata),
            // What they are is in the attribute that can only be on a file.
            EntryKind::Fifo | EntryKind::Device(_) if is_recorded => {
                ChangeKind::File { metadata, size: 0, sparse: None }
            }
            EntryKind::Fifo => ChangeKind::Fifo(metadata),
            EntryKind::Device(device) => ChangeKind::Device { metadata, device },
            EntryKind::Symlink { target } => ChangeKind::Symlink { metadata, target },
            EntryKind::HardLink { target } => {
                ChangeKind::HardLink { target: EntryPath::parse(&target, self.limits)?, metadata }
            }
            EntryKind::File { size, sparse } => {
                let written = self.report.bytes_written.saturating_add(size);
                self.limits.check(Limit::ImageBytes, self.before.bytes_written.saturating_add(written))?;
                self.report.bytes_written = written;
                ChangeKind::File { metadata, size, sparse }
            }
        })
    }

    fn makes_fifo(&mut self) -> Result<bool, Fault> {
        self.quirk(Quirk::Fifo)?;
        Ok(self.told.is_some() || self.policy.fifos() == Fifos::Create)
    }

    fn makes(&mut self, device: Device) -> Result<bool, Fault> {
        let Device { kind, major, minor } = device;
        if device.is_zero() {
            return self.quirk(Quirk::DeviceZero).map(|()| self.told.is_some());
        }
        // mknod(2) truncates a large number without an error: block 4104:0 would become 8:0, the host's first disk, and
        // character 4096:0 a whiteout. It is refused even if devices are skipped or recorded: Linux never writes such a
        // number, and readers interpret it differently.
        if !device.is_possible() {
            return Err(Violation::DeviceNumber { kind, major, minor }.into());
        }
        self.quirk(Quirk::DeviceNode { kind, major, minor })?;
        Ok(self.told.is_some() || self.policy.devices() == Devices::Create)
    }

    /// A hard link leads to something that some policies skip, and the hard link with it. An audit, which goes on as if
    /// that were made, tells of it where its own policy skips it.
    pub(crate) fn links_to(&mut self, skippable: Skippable, target: &EntryPath) -> Result<(), Fault> {
        match skippable.is_skipped_by(self.policy) {
            true => self.quirk(Quirk::HardLinkToSkipped { target: Escaped::new(target.as_bytes()) }),
            false => Ok(()),
        }
    }

    fn keep_allowed_xattrs(&mut self, metadata: &mut Metadata) -> Result<(), Fault> {
        let mut kept = Vec::with_capacity(metadata.xattrs.len());
        for mut xattr in std::mem::take(&mut metadata.xattrs) {
            match xattr::judge(&xattr, self.policy.xattrs())? {
                Allowed::Drop => self.quirk(Quirk::XattrDropped { name: Escaped::new(&xattr.name) })?,
                Allowed::Set(value) => {
                    xattr.value = value;
                    kept.push(xattr);
                }
            }
        }
        metadata.xattrs = kept;
        Ok(())
    }
}

/// A whiteout entry is a regular file without content or a hard link, whose target is ignored: real images
/// have both.
fn marker(entry: EntryKind, path: EntryPath, kind: ChangeKind) -> Result<Judged<Change>, Fault> {
    match entry {
        EntryKind::File { size: 0, .. } | EntryKind::HardLink { .. } => Ok(Judged(Change { path, kind })),
        EntryKind::File { size, .. } => Err(Violation::WhiteoutWithContent { size }.into()),
        _ => Err(Violation::WhiteoutType.into()),
    }
}
