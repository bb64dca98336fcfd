//! Attributes of one inode, set through its handle: owner, extended attributes, mode, time.

use super::directory::Directory;
use super::failed::Failed;
use super::sys::{self, HandleKind};
use crate::tree::UnsetXattr;
use crate::words::acl::{ACCESS_ACL, DEFAULT_ACL};
use crate::words::{Error, OwnersKind, Remedy, Timestamp, Xattr, Xattrs};
use rustix::io::Errno;
use std::fmt::{self, Display};
use std::os::fd::BorrowedFd;

/// Whether a new directory has inherited a default ACL from the directory around it. The layer did not ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inherited {
    Nothing,
    DefaultAcl,
}

impl Inherited {
    pub(super) fn from_parent(parent: &Directory) -> Self {
        if parent.has_default_acl() { Self::DefaultAcl } else { Self::Nothing }
    }
}

/// The attributes that a file gets after its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct FinalAttributes {
    /// `None` if the file has the right owner already.
    pub(super) owner: Option<PendingOwner>,
    pub(super) mode: u32,
    pub(super) mtime: Timestamp,
}

impl FinalAttributes {
    /// Sets the owner, then the mode, then the time. The mode comes after the owner: a setuid bit must not be on a file
    /// whose owner is not final, because the program would run as the caller.
    pub(super) fn apply(self, file: BorrowedFd<'_>) -> Result<(), Unset> {
        let unset = |owner| move |failed| Unset { failed, owner };
        self.owner.map_or(Ok(()), |owner| owner.set(file)).map_err(unset(self.owner))?;
        sys::set_mode(file, self.mode).map_err(unset(None))?;
        sys::set_mtime(file, self.mtime, HandleKind::Open).map_err(unset(None))
    }
}

/// An attribute that could not be set. The name of the file is added only on this path.
#[derive(Debug)]
pub(super) struct Unset {
    failed: Failed,
    /// The owner, if it is the owner that could not be set.
    owner: Option<PendingOwner>,
}

impl Unset {
    pub(super) fn at(self, name: &[u8]) -> Error {
        match self.owner {
            Some(owner) => owner.error(self.failed, name).about(&owner.to_string()),
            None => self.failed.at(name),
        }
    }
}

/// An owner that is still to be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingOwner {
    pub(super) to: (u32, u32),
    /// Whether policy wants this owner. Otherwise it is only the caller, whose group the directory may have changed.
    pub(super) is_asked_for: bool,
}

impl PendingOwner {
    pub(super) fn set(self, fd: BorrowedFd<'_>) -> Result<(), Failed> {
        match sys::set_owner(fd, self.is_asked_for.then_some(self.to.0), Some(self.to.1)) {
            // On a mount with `grpid`, or in a setgid directory, new files get the group of the directory. An
            // unprivileged caller may not be able to change it.
            Err(Failed { errno: Errno::PERM, .. }) if !self.is_asked_for => Ok(()),
            other => other,
        }
    }

    /// The error for a failed `chown`.
    pub(super) fn error(self, failed: Failed, name: &[u8]) -> Error {
        let error = failed.at(name);
        match failed.errno {
            // The kernel's errors for ids that the caller's user namespace does not map.
            Errno::INVAL => error
                .with_advice("the user namespace has no such owner")
                .with_remedies(&[Remedy::Owners(OwnersKind::Caller), Remedy::Owners(OwnersKind::Map)]),
            // Root may do it, and so may the root of a user namespace with the ids that this one maps.
            Errno::PERM => error
                .with_advice(
                    "changing owners needs privileges: run as root, or in `unshare -r --map-auto` or `podman unshare`",
                )
                .with_remedies(&[Remedy::Owners(OwnersKind::Caller), Remedy::Owners(OwnersKind::Record)]),
            _ => error,
        }
    }
}

/// Sets an owner that is still to be set.
pub(super) fn set_pending_owner(pending: Option<PendingOwner>, fd: BorrowedFd<'_>) -> Result<(), Error> {
    let Some(pending) = pending else { return Ok(()) };
    pending.set(fd).map_err(|failed| pending.error(failed, pending.to_string().as_bytes()))
}

impl Display for PendingOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.to.0, self.to.1)
    }
}

const CAPABILITY: &[u8] = b"security.capability";

/// Whether layers bring attributes of this name. Others are not removed: storage drivers or the security modules of the host
/// have set them.
pub(super) fn is_of_layers(name: &[u8], allowed: Xattrs) -> bool {
    match allowed {
        Xattrs::All if name.starts_with(b"security.") => !OF_MODULES.iter().any(|module| name.starts_with(module)),
        Xattrs::All => is_acl(name) || !name.starts_with(b"system."),
        _ => name.starts_with(b"user.") || name == CAPABILITY || is_acl(name),
    }
}

/// The attributes that security modules of Linux set by themselves, and guard.
const OF_MODULES: [&[u8]; 5] =
    [b"security.selinux", b"security.SMACK64", b"security.apparmor", b"security.ima", b"security.evm"];

/// Sets an extended attribute. The umask, or an ACL just set, may deny us access: then the mode becomes `private`
/// first.
pub(super) fn set_xattr(fd: BorrowedFd<'_>, private: u32, name: &[u8], value: &[u8]) -> Result<(), Failed> {
    match sys::set_xattr(fd, name, value) {
        Err(Failed { errno: Errno::ACCESS, .. }) => {
            sys::set_mode(fd, private).and_then(|()| sys::set_xattr(fd, name, value))
        }
        other => other,
    }
}

/// Sets extended attributes, and returns those that the file system or the privileges do not allow.
pub(super) fn set_xattrs(fd: BorrowedFd<'_>, private: u32, xattrs: &[Xattr]) -> Result<Vec<UnsetXattr>, Error> {
    let mut unset = Vec::new();
    for Xattr { name, value } in xattrs {
        match set_xattr(fd, private, name, value) {
            Ok(()) => (),
            Err(Failed { errno, .. }) if is_unsettable(name, errno) => {
                unset.push(UnsetXattr { name: name.clone(), error: errno.into() });
            }
            Err(failed) => return Err(unset_xattr(name, failed)),
        }
    }
    Ok(unset)
}

fn is_unsettable(name: &[u8], errno: Errno) -> bool {
    match errno {
        Errno::NOTSUP | Errno::PERM | Errno::ACCESS => true,
        // The user namespace may not map an id in an ACL, or the root id of a file capability. The value itself is
        // well-formed: that was checked before.
        Errno::INVAL => is_acl(name) || name == CAPABILITY,
        _ => false,
    }
}

/// The error for an extended attribute that could not be set, for a reason that policy cannot allow.
pub(super) fn unset_xattr(name: &[u8], failed: Failed) -> Error {
    let error = failed.at(name);
    match failed.errno {
        // ext4 stores all attributes of a file in its inode and one block. If they do not fit, the error is the same as
        // for a full disk.
        Errno::NOSPC | Errno::TOOBIG | Errno::RANGE => error.with_advice(
            "the file system has no room for this extended attribute: it is full, or keeps less for one file (ext4: 4 KiB \
             for all of a file's); XFS and Btrfs take larger ones",
        ).with_remedies(&[Remedy::Xattrs(Xattrs::None)]),
        _ => error,
    }
}

fn is_acl(name: &[u8]) -> bool {
    [ACCESS_ACL, DEFAULT_ACL].contains(&name)
}

/// Removes the ACLs that a new file has inherited from the directory around it.
pub(super) fn strip_acls(fd: BorrowedFd<'_>) -> Result<(), Error> {
    for name in [ACCESS_ACL, DEFAULT_ACL] {
        match sys::remove_xattr(fd, name) {
            Ok(()) | Err(Failed { errno: Errno::NODATA | Errno::NOTSUP | Errno::ACCESS, .. }) => (),
            Err(failed) => return Err(failed.at(name)),
        }
    }
    Ok(())
}
