//! One routine for what an inode carries, in one order: owner, extended attributes, mode, time.
//!
//! No setuid bit is ever on a file whose content or owner is not final.

use super::directory::{ACCESS_ACL, DEFAULT_ACL};
use super::failed::{At, Failed};
use super::finish::Last;
use super::{Cage, Directory, proc, sys};
use crate::tree::{ClampedTime, Inexact, UnsetXattr};
use crate::words::{Fault, Metadata, OwnersKind, Remedy, Xattr, Xattrs};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fmt::{self, Display};
use std::os::fd::{AsFd, BorrowedFd};

/// Whether a new directory has a default ACL of the directory around it, which is none of the layer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inherited {
    Nothing,
    DefaultAcl,
}

impl Inherited {
    pub(super) fn from(parent: &Directory) -> Self {
        if parent.has_default_acl() { Self::DefaultAcl } else { Self::Nothing }
    }
}

impl Cage {
    /// Takes off a new file what it has of its directory, and says what it is still to get when it has its content.
    pub(super) fn begin_file(
        &mut self,
        file: BorrowedFd<'_>,
        parent: &Directory,
        metadata: &Metadata,
    ) -> Result<(Last, Option<ClampedTime>), Fault> {
        if parent.has_default_acl() {
            strip_acls(file)?;
        }
        // Its time is set after its content, which may be long after its entry.
        let clamped = self.try_time(file, metadata.mtime, false)?;
        let now = if parent.leaks() || !self.is_ours(file, parent)? { None } else { Some((self.me.uid, self.me.gid)) };
        Ok((Last { owner: self.pending(now, metadata), mode: metadata.mode, mtime: metadata.mtime }, clamped))
    }

    /// Gives a regular file that has its content all but its mode and time.
    pub(super) fn prepare_file(
        &self,
        file: BorrowedFd<'_>,
        last: &mut Last,
        metadata: &Metadata,
    ) -> Result<Vec<UnsetXattr>, Fault> {
        give(last.owner.take(), file)?;
        set_xattrs(file, 0o600, &metadata.xattrs)
    }

    /// Completes a directory, but for its mode and time: it gets these when it is left.
    pub(super) fn finish_directory(
        &mut self,
        directory: &Directory,
        inherited: Inherited,
        metadata: &Metadata,
    ) -> Result<Inexact, Fault> {
        let time = self.prepare_directory(directory, inherited, metadata)?;
        let xattrs = set_xattrs(directory.as_fd(), 0o700, &metadata.xattrs)?;
        if !metadata.xattrs.is_empty() {
            // An ACL makes the mode its own, and others may have asked for another; the entry's is still to come.
            directory.open_up(self.me)?;
        }
        directory.set_default_acl(metadata.xattrs.iter().any(|xattr| xattr.name == DEFAULT_ACL));
        Ok(Inexact { time, xattrs })
    }

    /// Makes a directory one that no entry lists, but for what is in it and attributes that it may have.
    pub(super) fn finish_implied(&mut self, directory: &Directory, inherited: Inherited) -> Result<Inexact, Fault> {
        let mut implied = self.implied.clone();
        (implied.uid, implied.gid) = self.owner_for(implied.uid, implied.gid);
        let time = self.prepare_directory(directory, inherited, &implied)?;
        implied.xattrs.iter().try_for_each(|Xattr { name, value }| {
            set_xattr(directory.as_fd(), 0o700, name, value).map_err(|failed| unset_xattr(name, failed))
        })?;
        if !implied.xattrs.is_empty() {
            directory.open_up(self.me)?;
        }
        Ok(Inexact { time, xattrs: Vec::new() })
    }

    /// Completes a directory but for its extended attributes, its mode and time.
    fn prepare_directory(
        &mut self,
        directory: &Directory,
        inherited: Inherited,
        metadata: &Metadata,
    ) -> Result<Option<ClampedTime>, Fault> {
        if inherited == Inherited::DefaultAcl {
            strip_acls(directory.as_fd())?;
        }
        self.give(directory.as_fd(), Some(directory.owner()), metadata)?;
        directory.set_owner(self.owner_of(metadata));
        directory.set_default_acl(false);
        directory.owe(metadata.mode, metadata.mtime);
        self.try_time(directory.as_fd(), metadata.mtime, false)
    }

    /// Removes what an entry over a directory that is there does not repeat.
    pub(super) fn remove_other_xattrs(&self, directory: &Directory, kept: &[Xattr]) -> Result<(), Fault> {
        let fd = directory.as_fd();
        for name in sys::list_xattrs(fd).at(directory.path())? {
            if is_of_layers(&name) && !kept.iter().any(|xattr| xattr.name == name) {
                sys::remove_xattr(fd, &name).at(&name)?;
            }
        }
        Ok(())
    }

    /// Completes a symbolic link, FIFO or device node through a handle that never opened it.
    ///
    /// Extended attributes of these are none that a layer may set.
    pub(super) fn finish_special(
        &mut self,
        handle: BorrowedFd<'_>,
        parent: &Directory,
        metadata: &Metadata,
    ) -> Result<Inexact, Fault> {
        let status = sys::status(handle).at(b"")?;
        self.give(handle, Some((status.uid, status.gid)), metadata)?;
        let unset = |xattr: &Xattr| UnsetXattr { name: xattr.name.clone(), error: Errno::NOTSUP.into() };
        let xattrs = metadata.xattrs.iter().map(unset).collect();
        if status.kind != FileType::Symlink && (status.mode != metadata.mode || parent.has_default_acl()) {
            proc::set_mode(handle, metadata.mode, b"")?;
        }
        let time = self.try_time(handle, metadata.mtime, true)?;
        sys::set_mtime(handle, metadata.mtime, true).at(b"")?;
        Ok(Inexact { time, xattrs })
    }

    /// Sets the owner where it is not what it is to be.
    fn give(&self, fd: BorrowedFd<'_>, now: Option<(u32, u32)>, metadata: &Metadata) -> Result<(), Fault> {
        give(self.pending(now, metadata), fd)
    }

    fn pending(&self, now: Option<(u32, u32)>, metadata: &Metadata) -> Option<PendingOwner> {
        let to = self.owner_of(metadata);
        let is_asked_for = self.me.chowns || self.keeps_owners();
        (now != Some(to)).then_some(PendingOwner { to, is_asked_for })
    }

    /// Whether a new file in a directory is our own, and of our own group.
    fn is_ours(&mut self, file: BorrowedFd<'_>, parent: &Directory) -> Result<bool, Fault> {
        let (uid, gid) = self.caller();
        let [ours, foreign] = &mut self.new_is_ours;
        let known = if parent.owner().1 == gid { ours } else { foreign };
        if let Some(known) = known {
            return Ok(*known);
        }
        let status = sys::status(file).at(b"")?;
        Ok(*known.insert((status.uid, status.gid) == (uid, gid)))
    }
}

/// An owner that an inode is still to get.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingOwner {
    to: (u32, u32),
    is_asked_for: bool,
}

impl PendingOwner {
    pub(super) fn give(self, fd: BorrowedFd<'_>) -> Result<(), Failed> {
        match sys::set_owner(fd, self.is_asked_for.then_some(self.to.0), Some(self.to.1)) {
            // Whoever may not give files away may not be able to take them from a group of BSD manners either.
            Err(Failed { errno: Errno::PERM, .. }) if !self.is_asked_for => Ok(()),
            other => other,
        }
    }

    /// The error for a failed `chown`.
    pub(super) fn fault(self, failed: Failed, name: &[u8]) -> Fault {
        let fault = failed.at(name);
        match failed.errno {
            // The kernel's errors for ids that the caller's user namespace does not map.
            Errno::INVAL => fault
                .with_advice("the user namespace has no such owner")
                .with_remedies(&[Remedy::Owners(OwnersKind::Caller), Remedy::Owners(OwnersKind::Map)]),
            // Root may do it, and so may the root of a user namespace with the ids that this one maps.
            Errno::PERM => fault
                .with_advice(
                    "changing owners needs privileges: run as root, or in `unshare -r --map-auto` or `podman unshare`",
                )
                .with_remedies(&[Remedy::Owners(OwnersKind::Caller), Remedy::Owners(OwnersKind::Record)]),
            _ => fault,
        }
    }
}

fn give(pending: Option<PendingOwner>, fd: BorrowedFd<'_>) -> Result<(), Fault> {
    let Some(pending) = pending else { return Ok(()) };
    pending.give(fd).map_err(|failed| pending.fault(failed, pending.to_string().as_bytes()))
}

impl Display for PendingOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.to.0, self.to.1)
    }
}

const CAPABILITY: &[u8] = b"security.capability";

/// The attributes that layers bring; others (labels of the host's security modules, say) are not theirs to remove.
fn is_of_layers(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name == CAPABILITY || is_acl(name)
}

/// Sets an extended attribute. Where the umask, or an ACL just set, keeps even us out, the mode is `private` for it.
fn set_xattr(fd: BorrowedFd<'_>, private: u32, name: &[u8], value: &[u8]) -> Result<(), Failed> {
    match sys::set_xattr(fd, name, value) {
        Err(Failed { errno: Errno::ACCESS, .. }) => {
            sys::set_mode(fd, private).and_then(|()| sys::set_xattr(fd, name, value))
        }
        other => other,
    }
}

/// Sets extended attributes, and returns those that the file system or the privileges do not allow.
fn set_xattrs(fd: BorrowedFd<'_>, private: u32, xattrs: &[Xattr]) -> Result<Vec<UnsetXattr>, Fault> {
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

/// The error for an extended attribute that could not be set, where the policy has no choice.
fn unset_xattr(name: &[u8], failed: Failed) -> Fault {
    let fault = failed.at(name);
    match failed.errno {
        // ext4 stores all attributes of a file in its inode and one block. If they do not fit, the error is the same as
        // for a full disk.
        Errno::NOSPC | Errno::TOOBIG | Errno::RANGE => fault.with_advice(
            "the file system has no room for this extended attribute: it is full, or keeps less for one file (ext4: 4 KiB \
             for all of a file's); XFS and Btrfs take larger ones",
        ).with_remedies(&[Remedy::Xattrs(Xattrs::None)]),
        _ => fault,
    }
}

fn is_acl(name: &[u8]) -> bool {
    [ACCESS_ACL, DEFAULT_ACL].contains(&name)
}

pub(super) fn strip_acls(fd: BorrowedFd<'_>) -> Result<(), Fault> {
    for name in [ACCESS_ACL, DEFAULT_ACL] {
        match sys::remove_xattr(fd, name) {
            Ok(()) | Err(Failed { errno: Errno::NODATA | Errno::NOTSUP | Errno::ACCESS, .. }) => (),
            Err(failed) => return Err(failed.at(name)),
        }
    }
    Ok(())
}
