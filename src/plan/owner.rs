//! Owners and mode bits: applies the policy to the metadata of a change.

use super::reporter::Reporter;
use super::xattr::{self, IdKind, OVERRIDE_STAT};
use crate::words::{
    Device, DeviceKind, Error, Escaped, Metadata, Mtime, Octal, OwnerMap, Owners, Ownership, Quirk, SetId, Terms, Xattr,
};

/// Replaces an id that is not in the map by 65534 (`nobody`), if policy lets that pass. The kernel does the same.
const NOBODY: u32 = 65_534;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// The type of inode to which metadata belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    File,
    Directory,
    Symlink,
    /// A hard link. Its header repeats the metadata of its target, and changes nothing.
    HardLink,
    Fifo,
    Device(Device),
}

/// Returns the terms for a whole layer.
pub(crate) fn terms(reporter: &mut Reporter<'_>) -> Result<Terms, Error> {
    let mut terms = Terms::new();
    terms.limits.clone_from(reporter.limits());
    terms.ownership = match reporter.policy().owners() {
        Owners::Auto => Ownership::Possible,
        Owners::Keep | Owners::Map(_) => Ownership::Required,
        Owners::Caller => Ownership::Caller,
        Owners::Record => Ownership::Recorded,
    };
    terms.durability = reporter.policy().durability();
    terms.selinux_label = reporter.policy().selinux_label().cloned();
    terms.xattrs = reporter.policy().xattrs();
    terms.implied.mtime = reporter.policy().epoch();
    adjust(&mut terms.implied, Of::Directory, reporter)?;
    Ok(terms)
}

/// Adjusts metadata according to the policy.
pub(super) fn adjust(metadata: &mut Metadata, of: Of, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    adjust_bits(metadata, of, reporter)?;
    if let Mtime::Clamp(latest) = reporter.policy().mtime() {
        metadata.mtime = metadata.mtime.min(latest);
    }
    match reporter.policy().owners() {
        Owners::Map(map) => map_owners(metadata, map, of, reporter),
        Owners::Record => record(metadata, of, reporter),
        Owners::Auto | Owners::Keep | Owners::Caller => map_ids(metadata, unmapped),
    }
}

fn adjust_bits(metadata: &mut Metadata, of: Of, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    // The mode of a symbolic link has no effect.
    if metadata.mode & (SETUID | SETGID | STICKY) == 0 || of == Of::Symlink {
        return Ok(());
    }
    if of != Of::HardLink {
        reporter.quirk(Quirk::SetId { mode: Octal(metadata.mode) })?;
    }
    if reporter.policy().set_id() == SetId::Strip {
        metadata.mode &= 0o777;
    }
    Ok(())
}

fn map_owners(metadata: &mut Metadata, map: &OwnerMap, of: Of, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    let mode = metadata.mode;
    if map.uids.outside(metadata.uid).is_none() {
        metadata.mode &= !SETUID;
    }
    if map.gids.outside(metadata.gid).is_none() && of != Of::Directory {
        metadata.mode &= !SETGID;
    }
    metadata.uid = mapped(map, IdKind::User, metadata.uid, reporter)?;
    metadata.gid = mapped(map, IdKind::Group, metadata.gid, reporter)?;
    if metadata.mode != mode && !matches!(of, Of::HardLink | Of::Symlink) {
        reporter.quirk(Quirk::SetIdDropped { mode: Octal(mode) })?;
    }
    map_ids(metadata, |id_kind, id| mapped(map, id_kind, id, reporter))
}

fn mapped(map: &OwnerMap, id_kind: IdKind, id: u32, reporter: &mut Reporter<'_>) -> Result<u32, Error> {
    let (ids, kind) = match id_kind {
        IdKind::User | IdKind::Root => (&map.uids, "uid"),
        IdKind::Group => (&map.gids, "gid"),
    };
    match ids.outside(id) {
        Some(outside) => Ok(outside),
        None => reporter.quirk(Quirk::OwnerUnmapped { kind, id }).map(|()| NOBODY),
    }
}

/// Records owner, mode and type in an extended attribute. The inode belongs to the caller, with a mode that is safe for
/// the caller.
fn record(metadata: &mut Metadata, of: Of, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    map_ids(metadata, unmapped)?;
    let Metadata { mode, uid, gid, .. } = *metadata;
    let kind = match of {
        Of::File | Of::HardLink => "file".to_owned(),
        Of::Directory => "dir".to_owned(),
        Of::Fifo => "pipe".to_owned(),
        Of::Device(Device { kind: DeviceKind::Character, major, minor }) => format!("char-{major}-{minor}"),
        Of::Device(Device { kind: DeviceKind::Block, major, minor }) => format!("block-{major}-{minor}"),
        // A symbolic link cannot have the attribute. Without it, engines show root as the owner.
        Of::Symlink if (uid, gid) == (0, 0) => return Ok(()),
        Of::Symlink => return reporter.quirk(Quirk::OwnerToCaller),
    };
    metadata.mode = match of {
        Of::Directory => mode & 0o755 | 0o700,
        _ => mode & 0o755 | 0o600,
    };
    metadata.xattrs.retain(|xattr| xattr.name != OVERRIDE_STAT);
    let value = format!("{uid}:{gid}:{mode:04o}:{kind}").into_bytes();
    metadata.xattrs.push(Xattr { name: OVERRIDE_STAT.to_vec(), value });
    Ok(())
}

/// The extended attribute that records the owner. It must be set, whatever the policy for other attributes is.
pub(crate) fn needed_xattr(reporter: &Reporter<'_>) -> Option<&'static [u8]> {
    (*reporter.policy().owners() == Owners::Record).then_some(OVERRIDE_STAT)
}

/// Reports an extended attribute that could not be set. Policy drops or refuses it.
pub(crate) fn lacks_xattr(reporter: &mut Reporter<'_>, name: &[u8], error: std::io::Error) -> Result<(), Error> {
    // Without this attribute, the owner of the file is lost.
    if needed_xattr(reporter) == Some(name) {
        return Err(Error::system("fsetxattr", name, error));
    }
    reporter.quirk(Quirk::XattrUnsupported { name: Escaped::new(name), error: error.to_string() })
}

fn map_ids(metadata: &mut Metadata, mut map: impl FnMut(IdKind, u32) -> Result<u32, Error>) -> Result<(), Error> {
    metadata.xattrs.iter_mut().try_for_each(|xattr| xattr::map_ids(xattr, &mut map))
}

/// Without a map, ids are kept. The root id of a capability becomes that of the image's root: the user namespace in which
/// the image was built has no meaning here.
fn unmapped(kind: IdKind, id: u32) -> Result<u32, Error> {
    match kind {
        IdKind::Root => Ok(0),
        IdKind::User | IdKind::Group => Ok(id),
    }
}
