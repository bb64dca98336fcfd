//! What an entry means, before any policy.

use super::whiteout::{self, Marker};
use crate::words::{Change, ChangeKind, Device, Entry, EntryKind, EntryPath, Limits, Metadata, Violation};

impl Change {
    /// Reads the change that an entry means, without a policy: whiteouts are recognised, and names are as in the image.
    /// `None` for the bookkeeping of AUFS, which means nothing.
    ///
    /// Use it with a [`TarReader`](crate::tar::TarReader). Nothing is adjusted or skipped: metadata is as the archive has it,
    /// and devices and named pipes are always changes, also the device 0:0 that some tools write as a whiteout
    /// ([`Device::is_zero`](crate::tar::Device::is_zero)). The quirks of the entry are not judged.
    ///
    /// Follows image-spec, layer.md, "Whiteouts" and "Opaque Whiteout".
    ///
    /// # Errors
    ///
    /// - [`Violation::WhiteoutOfNothing`], [`Violation::WhiteoutInParent`], [`Violation::WhiteoutType`] and
    ///   [`Violation::WhiteoutWithContent`] for a malformed whiteout
    /// - [`Violation::RootNotDirectory`] and [`Violation::DeviceNumber`]
    /// - [`Violation::HardLinkTarget`], and [`Violation::LimitExceeded`] for the length and depth of such a target
    ///
    /// A violation has no position. [`TarReader::position`](crate::tar::TarReader::position) adds it:
    ///
    /// ```
    /// # use layercage::{Error, Limits};
    /// # use layercage::tar::{Change, ChangeKind, TarReader};
    /// # let mut archive = tar::Builder::new(Vec::new());
    /// # let mut header = tar::Header::new_gnu();
    /// # header.set_size(0);
    /// # archive.append_data(&mut header, "var/.wh.log", &b""[..]).unwrap();
    /// # let archive = archive.into_inner().unwrap();
    /// let limits = Limits::default();
    /// let mut reader = TarReader::new(&archive[..], &limits);
    /// while let Some(entry) = reader.next_entry()? {
    ///     let change = Change::of(&entry, &limits).map_err(|violation| Error::from(violation).at(reader.position()))?;
    ///     let Some(change) = change else { continue };
    ///     assert_eq!((change.path.as_bytes(), change.kind), (&b"var/log"[..], ChangeKind::Whiteout));
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of(entry: &Entry, limits: &Limits) -> Result<Option<Self>, Violation> {
        check_root(&entry.path, &entry.kind)?;
        let made = || kind_of(entry.kind.clone(), entry.metadata.clone(), limits);
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        let (path, kind) = match whiteout::parse(&entry.path)? {
            Marker::None => (entry.path.clone(), made()?),
            Marker::PseudoLink if is_file => (entry.path.clone(), pseudo_link(made()?)),
            Marker::PseudoLink | Marker::Bookkeeping => return Ok(None),
            Marker::Whiteout(path) => return removal(&entry.kind, path, ChangeKind::Whiteout).map(Some),
            Marker::Opaque(path) => return removal(&entry.kind, path, ChangeKind::OpaqueWhiteout).map(Some),
        };
        Ok(Some(Self { path, kind }))
    }
}

/// Refuses a root that is not a directory.
pub(super) fn check_root(path: &EntryPath, kind: &EntryKind) -> Result<(), Violation> {
    if path.is_root() && *kind != EntryKind::Directory { Err(Violation::RootNotDirectory) } else { Ok(()) }
}

/// Refuses a device number that Linux does not have.
///
/// mknod(2) truncates it without an error: block 4104:0 would become 8:0, the first disk of the host, and character
/// 4096:0 a whiteout. It is refused even if devices are skipped or recorded: Linux never writes such a number, and readers
/// interpret it differently.
pub(super) fn check_device(device: Device) -> Result<(), Violation> {
    let Device { kind, major, minor } = device;
    if device.is_possible() { Ok(()) } else { Err(Violation::DeviceNumber { kind, major, minor }) }
}

/// The change of a whiteout. Its entry is a regular file without content, or a hard link whose target is ignored: real
/// images have both.
pub(super) fn removal(entry: &EntryKind, path: EntryPath, kind: ChangeKind) -> Result<Change, Violation> {
    match *entry {
        EntryKind::File { size: 0, .. } | EntryKind::HardLink { .. } => Ok(Change { path, kind }),
        EntryKind::File { size, .. } => Err(Violation::WhiteoutWithContent { size }),
        _ => Err(Violation::WhiteoutType),
    }
}

/// The change of an entry that is not a whiteout.
pub(super) fn kind_of(kind: EntryKind, metadata: Metadata, limits: &Limits) -> Result<ChangeKind, Violation> {
    Ok(match kind {
        EntryKind::Directory => ChangeKind::Directory(metadata),
        EntryKind::Fifo => ChangeKind::Fifo(metadata),
        EntryKind::Device(device) => {
            check_device(device)?;
            ChangeKind::Device { metadata, device }
        }
        EntryKind::Symlink { target } => ChangeKind::Symlink { metadata, target },
        EntryKind::HardLink { target } => {
            ChangeKind::HardLink { target: EntryPath::of_target(&target, limits)?, metadata }
        }
        EntryKind::File { size, sparse } => ChangeKind::File { metadata, size, sparse },
    })
}

/// A file that AUFS keeps for its hard links.
pub(super) fn pseudo_link(kind: ChangeKind) -> ChangeKind {
    match kind {
        ChangeKind::File { metadata, size, sparse } => ChangeKind::PseudoLink { metadata, size, sparse },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Device, DeviceKind, LinkTarget, Timestamp};

    const FILE: EntryKind = EntryKind::File { size: 0, sparse: None };

    fn entry(name: &str, kind: EntryKind) -> Entry {
        let path = EntryPath::of_entry(name.as_bytes(), &Limits::default()).unwrap();
        let metadata = Metadata { mode: 0o644, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new() };
        Entry { number: 1, offset: 0, path, kind, metadata, quirks: Vec::new() }
    }

    fn device(major: u32, minor: u32) -> EntryKind {
        EntryKind::Device(Device { kind: DeviceKind::Character, major, minor })
    }

    fn link(target: &str) -> EntryKind {
        EntryKind::HardLink { target: target.into() }
    }

    /// What an entry means: the path and the kind of the change, or the rule that refuses it.
    fn meaning(change: Result<Option<Change>, Violation>) -> String {
        match change {
            Ok(Some(Change { path, kind })) => {
                let kind = format!("{kind:?}");
                let kind: String = kind.chars().take_while(|letter| letter.is_alphabetic()).collect();
                format!("{kind} {path}")
            }
            Ok(None) => "nothing".to_owned(),
            Err(violation) => violation.id().to_owned(),
        }
    }

    #[test]
    fn an_entry_means_the_same_with_a_policy_and_without() {
        let rows = [
            ("etc/passwd", FILE, "File \"etc/passwd\""),
            ("etc", EntryKind::Directory, "Directory \"etc\""),
            ("etc/fifo", EntryKind::Fifo, "Fifo \"etc/fifo\""),
            ("a", EntryKind::Symlink { target: LinkTarget::parse(b"b").unwrap() }, "Symlink \"a\""),
            ("a", link("/b"), "HardLink \"a\""),
            ("a", link("../b"), "hard-link-target"),
            ("a", link("b\0c"), "hard-link-target"),
            ("a", link(&"b".repeat(256)), "hard-link-target"),
            ("a", link(&"b/".repeat(3000)), "limit"),
            ("dev/null", device(1, 3), "Device \"dev/null\""),
            ("dev/big", device(4096, 0), "device-number"),
            ("a/.wh.log", FILE, "Whiteout \"a/log\""),
            ("a/.wh.log", link("../nothing"), "Whiteout \"a/log\""),
            ("a/.wh.log", EntryKind::File { size: 1, sparse: None }, "whiteout-with-content"),
            ("a/.wh.log", EntryKind::Directory, "whiteout-type"),
            ("a/.wh..wh..opq", FILE, "OpaqueWhiteout \"a\""),
            (".wh.", FILE, "whiteout-of-nothing"),
            (".wh.a/b", FILE, "whiteout-in-parent"),
            (".wh..wh.aufs", FILE, "nothing"),
            (".wh..wh.plnk/1.2", FILE, "PseudoLink \".wh..wh.plnk/1.2\""),
            (".wh..wh.plnk/1.2", EntryKind::Directory, "nothing"),
            ("./", EntryKind::Directory, "Directory \".\""),
            ("./", FILE, "root-not-directory"),
        ];
        for (name, kind, expected) in rows {
            let entry = entry(name, kind);
            let limits = Limits::default();
            assert_eq!(meaning(Change::of(&entry, &limits)), expected, "{name}");
            #[cfg(feature = "unpack")]
            assert_eq!(judged(entry, &limits), expected, "{name}, judged");
        }
    }

    /// The same of a judge that lets pass all that may pass.
    #[cfg(feature = "unpack")]
    fn judged(entry: Entry, limits: &Limits) -> String {
        use crate::words::{Devices, Fifos, Policy, QuirkRule};
        let mut policy = Policy::default();
        for &rule in QuirkRule::ALL {
            policy = policy.allow(rule);
        }
        let policy = policy.with_devices(Devices::Create).with_fifos(Fifos::Create);
        let change = crate::plan::judge(entry, &mut crate::plan::Reporter::new(&policy, limits));
        let change = change.map(|change| change.map(crate::plan::Judged::into_inner));
        meaning(change.map_err(|error| error.violation().unwrap().clone()))
    }
}
