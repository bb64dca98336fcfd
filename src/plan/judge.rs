//! The judge: an entry is allowed as it is, adjusted with a note, skipped with a note, or refused.

use super::whiteout::{self, Marker};
use super::xattr::{self, Allowed};
use crate::words::{
    Change, ChangeKind, Device, DeviceKind, Devices, Entry, EntryKind, EntryPath, Escaped, Fault, Finding, Limit,
    Limits, Metadata, Note, Policy, Position, Quirk, Report, Rule, Verdict, Violation,
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

/// Whose verdicts count.
pub(crate) enum Verdicts<'p> {
    /// Those of a policy.
    Policy(&'p Policy),
    /// Nobody's: whatever is odd is told, and passes.
    Told(&'p mut dyn FnMut(Finding)),
}

/// Applies a policy to the entries of one layer, and keeps the notes.
pub struct Judge<'p> {
    verdicts: Verdicts<'p>,
    limits: &'p Limits,
    report: Report,
    /// Bytes that the lower layers of the image have written.
    bytes_before: u64,
    position: Position,
}

impl<'p> Judge<'p> {
    pub(crate) fn new(verdicts: Verdicts<'p>, limits: &'p Limits, bytes_before: u64) -> Self {
        Self { verdicts, limits, report: Report::default(), bytes_before, position: Position::default() }
    }

    /// Says where what is judged next is found.
    pub(crate) fn at(&mut self, position: Position) {
        self.position = position;
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
        let position = self.position.clone();
        match &mut self.verdicts {
            Verdicts::Told(tell) => tell(Finding { rule: Rule::Quirk(quirk), position }),
            Verdicts::Policy(policy) if policy.verdict(quirk.rule()) == Verdict::Refuse => return Err(quirk.into()),
            Verdicts::Policy(_) => self.report.note(Note { quirk, position }),
        }
        Ok(())
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
            Marker::Bookkeeping => return self.quirk(Quirk::AufsBookkeeping).map(|()| None),
            Marker::Whiteout(path) => return marker(entry.kind, path, ChangeKind::Whiteout).map(Some),
            Marker::Opaque(path) => return marker(entry.kind, path, ChangeKind::OpaqueWhiteout).map(Some),
        }
        if path.is_root() && entry.kind != EntryKind::Directory {
            return Err(Violation::RootNotDirectory.into());
        }
        self.keep_allowed_xattrs(&mut metadata)?;
        let kind = match entry.kind {
            EntryKind::Directory => ChangeKind::Directory(metadata),
            EntryKind::Fifo => ChangeKind::Fifo(metadata),
            EntryKind::Symlink { target } => ChangeKind::Symlink { metadata, target },
            EntryKind::Device(device) => self.device(metadata, device)?,
            EntryKind::HardLink { target } => {
                ChangeKind::HardLink { target: EntryPath::parse(&target, self.limits)?, metadata }
            }
            EntryKind::File { size, sparse } => {
                let written = self.report.bytes_written.saturating_add(size);
                self.limits.check(Limit::ImageBytes, self.bytes_before.saturating_add(written))?;
                self.report.bytes_written = written;
                ChangeKind::File { metadata, size, sparse }
            }
        };
        Ok(Some(Judged(Change { path, kind })))
    }

    fn device(&mut self, metadata: Metadata, device: Device) -> Result<ChangeKind, Fault> {
        let Device { kind, major, minor } = device;
        if (kind, major, minor) == (DeviceKind::Character, 0, 0) {
            return Err(Violation::DeviceZero.into());
        }
        let quirk = Quirk::DeviceNode { kind, major, minor };
        let choice = match &self.verdicts {
            Verdicts::Policy(policy) => policy.devices_choice(),
            Verdicts::Told(_) => {
                self.quirk(quirk)?;
                return Ok(ChangeKind::Device { metadata, device });
            }
        };
        match choice {
            Devices::Create => Ok(ChangeKind::Device { metadata, device }),
            Devices::Refuse => Err(quirk.into()),
            Devices::Skip => {
                self.report.note(Note { quirk, position: self.position.clone() });
                Ok(ChangeKind::SkippedDevice(device))
            }
        }
    }

    fn keep_allowed_xattrs(&mut self, metadata: &mut Metadata) -> Result<(), Fault> {
        let mut kept = Vec::with_capacity(metadata.xattrs.len());
        for mut xattr in std::mem::take(&mut metadata.xattrs) {
            match xattr::judge(&xattr)? {
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
