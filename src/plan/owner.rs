//! Whose an inode is to be, with which bits: what policy asks for is put into the metadata that a sink is given.

use super::Judge;
use super::xattr::{self, Whose};
use crate::words::{
    Device, DeviceKind, Escaped, Fault, Metadata, Mtime, Octal, OwnerMap, Owners, Ownership, Quirk, SetId, Terms, Xattr,
};

/// Where containers/storage keeps whose a file is meant to be: `UID:GID:MODE:TYPE`, the mode in octal.
pub(super) const OVERRIDE_STAT: &[u8] = b"user.containers.override_stat";

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

impl Judge<'_> {
    /// What holds for the whole layer.
    pub(crate) fn terms(&mut self) -> Result<Terms, Fault> {
        let mut terms = Terms::new();
        terms.limits.clone_from(self.limits);
        terms.ownership = match self.policy.owners() {
            Owners::Auto => Ownership::Possible,
            Owners::Keep | Owners::Map(_) => Ownership::Required,
            Owners::Caller => Ownership::Caller,
            Owners::Record => Ownership::Recorded,
        };
        terms.durability = self.policy.durability();
        terms.implied.mtime = self.policy.epoch();
        self.adjust(&mut terms.implied, Of::Directory)?;
        Ok(terms)
    }

    /// Adjusts metadata to what policy asks for.
    pub(super) fn adjust(&mut self, metadata: &mut Metadata, of: Of) -> Result<(), Fault> {
        self.adjust_bits(metadata, of)?;
        if let Mtime::Clamp(latest) = self.policy.mtime() {
            metadata.mtime = metadata.mtime.min(latest);
        }
        let policy = self.policy;
        match policy.owners() {
            Owners::Map(map) => self.map(metadata, map, of),
            Owners::Record => self.record(metadata, of),
            Owners::Auto | Owners::Keep | Owners::Caller => map_ids(metadata, unmapped),
        }
    }

    fn adjust_bits(&mut self, metadata: &mut Metadata, of: Of) -> Result<(), Fault> {
        // A symbolic link's mode means nothing.
        if metadata.mode & (SETUID | SETGID | STICKY) == 0 || of == Of::Symlink {
            return Ok(());
        }
        if of != Of::HardLink {
            self.quirk(Quirk::SetId { mode: Octal(metadata.mode) })?;
        }
        if self.policy.set_id() == SetId::Strip {
            metadata.mode &= 0o777;
        }
        Ok(())
    }

    fn map(&mut self, metadata: &mut Metadata, map: &OwnerMap, of: Of) -> Result<(), Fault> {
        let mode = metadata.mode;
        if map.uids.outside(metadata.uid).is_none() {
            metadata.mode &= !SETUID;
        }
        if map.gids.outside(metadata.gid).is_none() && of != Of::Directory {
            metadata.mode &= !SETGID;
        }
        metadata.uid = self.mapped(map, Whose::User, metadata.uid)?;
        metadata.gid = self.mapped(map, Whose::Group, metadata.gid)?;
        if metadata.mode != mode && !matches!(of, Of::HardLink | Of::Symlink) {
            self.quirk(Quirk::SetIdDropped { mode: Octal(mode) })?;
        }
        map_ids(metadata, |whose, id| self.mapped(map, whose, id))
    }

    fn mapped(&mut self, map: &OwnerMap, whose: Whose, id: u32) -> Result<u32, Fault> {
        let (ids, kind) = match whose {
            Whose::User | Whose::Root => (&map.uids, "uid"),
            Whose::Group => (&map.gids, "gid"),
        };
        match ids.outside(id) {
            Some(outside) => Ok(outside),
            None => self.quirk(Quirk::OwnerUnmapped { kind, id }).map(|()| NOBODY),
        }
    }

    /// Writes down whose it is meant to be, and leaves what is safe for the caller, whose it is.
    fn record(&mut self, metadata: &mut Metadata, of: Of) -> Result<(), Fault> {
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
            Of::Symlink => return self.quirk(Quirk::OwnerToCaller),
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

    /// An extended attribute could not be set: it is left out, or that is too much.
    pub(crate) fn lacks_xattr(&mut self, name: &[u8], error: std::io::Error) -> Result<(), Fault> {
        // Without the record, nothing says whose the file is.
        if name == OVERRIDE_STAT && *self.policy.owners() == Owners::Record {
            return Err(Fault::system("fsetxattr", name, error));
        }
        self.quirk(Quirk::XattrUnsupported { name: Escaped::new(name), error: error.to_string() })
    }
}

fn map_ids(metadata: &mut Metadata, mut map: impl FnMut(Whose, u32) -> Result<u32, Fault>) -> Result<(), Fault> {
    metadata.xattrs.iter_mut().try_for_each(|xattr| xattr::map_ids(xattr, &mut map))
}

/// Without a map, ids are what they are; but a capability counts where the image's root does, and not in the user
/// namespace of whoever made the image.
fn unmapped(whose: Whose, id: u32) -> Result<u32, Fault> {
    match whose {
        Whose::Root => Ok(0),
        Whose::User | Whose::Group => Ok(id),
    }
}
