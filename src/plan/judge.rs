//! The judge: an entry is allowed as it is, adjusted with a note, skipped with a note, or refused.

use super::meaning;
use super::owner::{self, Of};
use super::reporter::Reporter;
use super::skipped::is_skipped_by;
use super::whiteout::{self, Marker};
use super::xattr::{self, Allowed};
use crate::words::{
    Change, ChangeKind, Device, Devices, Entry, EntryKind, EntryPath, Error, Escaped, Fifos, Metadata, Owners, Quirk,
    SelinuxLabel, Skippable,
};

/// A value that policy lets pass. Only the judge creates one, and a [`Sink`](crate::Sink) takes nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<T>(T);

impl<T> Judged<T> {
    /// Returns a reference to the value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// A value that policy has let pass before: a path of a merged tree, which is made of judged changes alone.
    #[cfg(feature = "image")]
    pub(crate) fn again(value: T) -> Self {
        Self(value)
    }

    /// Transforms a value that policy lets pass.
    pub(crate) fn map(self, change: impl FnOnce(T) -> T) -> Self {
        Self(change(self.0))
    }
}

/// Returns what an entry changes; `None` if it changes nothing.
pub(crate) fn judge(entry: Entry, reporter: &mut Reporter<'_>) -> Result<Option<Judged<Change>>, Error> {
    reporter.count_entry();
    for quirk in entry.quirks {
        reporter.quirk(quirk)?;
    }
    let (path, mut metadata) = (entry.path, entry.metadata);
    match whiteout::parse(&path)? {
        Marker::None => (),
        Marker::PseudoLink if matches!(entry.kind, EntryKind::File { .. }) => {
            return pseudo_link(path, entry.kind, metadata, reporter).map(Some);
        }
        Marker::Bookkeeping | Marker::PseudoLink => return reporter.quirk(Quirk::AufsBookkeeping).map(|()| None),
        Marker::Whiteout(path) => {
            return Ok(Some(Judged(meaning::removal(&entry.kind, path, ChangeKind::Whiteout)?)));
        }
        Marker::Opaque(path) => {
            return Ok(Some(Judged(meaning::removal(&entry.kind, path, ChangeKind::OpaqueWhiteout)?)));
        }
    }
    meaning::check_root(&path, &entry.kind)?;
    keep_allowed_xattrs(&mut metadata, reporter)?;
    let of = match &entry.kind {
        EntryKind::Directory => Of::Directory,
        EntryKind::Fifo => Of::Fifo,
        EntryKind::Symlink { .. } => Of::Symlink,
        EntryKind::Device(device) => Of::Device(*device),
        EntryKind::HardLink { .. } => Of::HardLink,
        EntryKind::File { .. } => Of::File,
    };
    let kind = match entry.kind {
        EntryKind::Fifo if !makes_fifo(reporter)? => ChangeKind::Skipped(Skippable::Fifo),
        EntryKind::Device(device) if !makes_device(device, reporter)? => ChangeKind::Skipped(Skippable::of(device)),
        kind => {
            owner::adjust(&mut metadata, of, reporter)?;
            change(kind, metadata, reporter)?
        }
    };
    Ok(Some(Judged(Change { path, kind })))
}

/// Judges the data of hard links in AUFS bookkeeping, like a file.
fn pseudo_link(
    path: EntryPath,
    kind: EntryKind,
    mut metadata: Metadata,
    reporter: &mut Reporter<'_>,
) -> Result<Judged<Change>, Error> {
    reporter.quirk(Quirk::AufsPseudoLink)?;
    keep_allowed_xattrs(&mut metadata, reporter)?;
    owner::adjust(&mut metadata, Of::File, reporter)?;
    let kind = meaning::pseudo_link(change(kind, metadata, reporter)?);
    Ok(Judged(Change { path, kind }))
}

/// The change of an entry that is created, with its final metadata.
fn change(kind: EntryKind, metadata: Metadata, reporter: &mut Reporter<'_>) -> Result<ChangeKind, Error> {
    // An audit reports hard links to devices under other policies, so a device must stay a device.
    let is_recorded = *reporter.policy().owners() == Owners::Record && !reporter.is_observed();
    match &kind {
        // The type is recorded in an attribute, which only a file can have.
        EntryKind::Fifo | EntryKind::Device(_) if is_recorded => {
            return Ok(ChangeKind::File { metadata, size: 0, sparse: None });
        }
        EntryKind::File { size, .. } => reporter.count_content(*size)?,
        _ => (),
    }
    Ok(meaning::kind_of(kind, metadata, reporter.limits())?)
}

fn makes_fifo(reporter: &mut Reporter<'_>) -> Result<bool, Error> {
    reporter.quirk(Quirk::Fifo)?;
    Ok(makes(Skippable::Fifo, reporter))
}

fn makes_device(device: Device, reporter: &mut Reporter<'_>) -> Result<bool, Error> {
    let Device { kind, major, minor } = device;
    if device.is_zero() {
        reporter.quirk(Quirk::DeviceZero)?;
        return Ok(makes(Skippable::DeviceZero, reporter));
    }
    meaning::check_device(device)?;
    reporter.quirk(Quirk::DeviceNode { kind, major, minor })?;
    Ok(makes(Skippable::Device, reporter))
}

/// Whether something that policy lets pass is created. An audit continues after what its policy refuses, as if it were
/// created.
fn makes(skippable: Skippable, reporter: &Reporter<'_>) -> bool {
    let policy = reporter.policy();
    match skippable {
        _ if reporter.is_observed() => !is_skipped_by(skippable, policy),
        Skippable::Device => policy.devices() == Devices::Create,
        Skippable::DeviceZero => false,
        Skippable::Fifo => policy.fifos() == Fifos::Create,
    }
}

fn keep_allowed_xattrs(metadata: &mut Metadata, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    let mut kept = Vec::with_capacity(metadata.xattrs.len());
    for mut xattr in std::mem::take(&mut metadata.xattrs) {
        // The label that the policy gives to every file replaces it.
        let is_replaced = xattr.name == SelinuxLabel::NAME && reporter.policy().selinux_label().is_some();
        match xattr::judge(&xattr, reporter.policy().xattrs())? {
            Allowed::Set(_) if is_replaced => {
                reporter.quirk(Quirk::XattrDropped { name: Escaped::new(&xattr.name) })?
            }
            Allowed::Drop => reporter.quirk(Quirk::XattrDropped { name: Escaped::new(&xattr.name) })?,
            Allowed::Set(value) => {
                xattr.value = value;
                kept.push(xattr);
            }
        }
    }
    metadata.xattrs = kept;
    Ok(())
}
