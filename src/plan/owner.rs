//! Whose an inode is to be, with which bits: what policy asks for is put into the metadata that a sink is given.

use super::reporter::Reporter;
use super::xattr::{self, OVERRIDE_STAT, Whose};
use crate::words::{
    Device, DeviceKind, Error, Escaped, Metadata, Mtime, Octal, OwnerMap, Owners, Ownership, Quirk, SetId, Terms, Xattr,
};

/// What an id becomes that a map lacks, where policy lets that pass: nobody, as the kernel shows such ids.
const NOBODY: u32 = 65_534;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// What the metadata is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    File,
    Directory,
    Symlink,
    /// What a hard link's header repeats of its target: it changes nothing, so nothing is lost with it.
    HardLink,
    Fifo,
    Device(Device),
}

/// What holds for the whole layer.
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
    terms.implied.mtime = reporter.policy().epoch();
    adjust(&mut terms.implied, Of::Directory, reporter)?;
    Ok(terms)
}

/// Adjusts metadata to what policy asks for.
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
    // A symbolic link's mode means nothing.
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
    metadata.uid = mapped(map, Whose::User, metadata.uid, reporter)?;
    metadata.gid = mapped(map, Whose::Group, metadata.gid, reporter)?;
    if metadata.mode != mode && !matches!(of, Of::HardLink | Of::Symlink) {
        reporter.quirk(Quirk::SetIdDropped { mode: Octal(mode) })?;
    }
    map_ids(metadata, |whose, id| mapped(map, whose, id, reporter))
}

fn mapped(map: &OwnerMap, whose: Whose, id: u32, reporter: &mut Reporter<'_>) -> Result<u32, Error> {
    let (ids, kind) = match whose {
        Whose::User | Whose::Root => (&map.uids, "uid"),
        Whose::Group => (&map.gids, "gid"),
    };
    match ids.outside(id) {
        Some(outside) => Ok(outside),
        None => reporter.quirk(Quirk::OwnerUnmapped { kind, id }).map(|()| NOBODY),
    }
}

/// Writes down whose it is meant to be, and leaves what is safe for the caller, whose it is.
fn record(metadata: &mut Metadata, of: Of, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    map_ids(metadata, unmapped)?;
    let Metadata { mode, uid, gid, .. } = *metadata;
    let kind = match of {
        Of::File | Of::HardLink => "file".to_owned(),
        Of::Directory => "dir".to_owned(),
        Of::Fifo => "pipe".to_owned(),
        Of::Device(Device { kind: DeviceKind::Character, major, minor }) => format!("char-{major}-{minor}"),
        Of::Device(Device { kind: DeviceKind::Block, major, minor }) => format!("block-{major}-{minor}"),
        // The kernel lets no link have the attribute; without one, what is the caller's shows as root's.
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

/// The extended attribute that must be set whatever policy says of others: the one that records the owner.
pub(crate) fn needed_xattr(reporter: &Reporter<'_>) -> Option<&'static [u8]> {
    (*reporter.policy().owners() == Owners::Record).then_some(OVERRIDE_STAT)
}

/// An extended attribute could not be set: it is dropped, or policy refuses that.
pub(crate) fn lacks_xattr(reporter: &mut Reporter<'_>, name: &[u8], error: std::io::Error) -> Result<(), Error> {
    // Without the record, nothing says whose the file is.
    if needed_xattr(reporter) == Some(name) {
        return Err(Error::system("fsetxattr", name, error));
    }
    reporter.quirk(Quirk::XattrUnsupported { name: Escaped::new(name), error: error.to_string() })
}

fn map_ids(metadata: &mut Metadata, mut map: impl FnMut(Whose, u32) -> Result<u32, Error>) -> Result<(), Error> {
    metadata.xattrs.iter_mut().try_for_each(|xattr| xattr::map_ids(xattr, &mut map))
}

/// Without a map, ids are what they are; but a capability counts where the image's root does, and not in the user
/// namespace of whoever made the image.
fn unmapped(whose: Whose, id: u32) -> Result<u32, Error> {
    match whose {
        Whose::Root => Ok(0),
        Whose::User | Whose::Group => Ok(id),
    }
}
