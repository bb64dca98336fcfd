//! One routine for what an inode carries, in one order: owner, extended attributes, mode, time.
//!
//! No setuid bit is ever on a file whose content or owner is not final.

use super::directory::{ACCESS_ACL, DEFAULT_ACL};
use super::{Cage, Counsel, Directory, sys};
use crate::words::{Fault, Metadata, Timestamp, Xattr};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// What an inode is to carry: a layer's metadata after policy has had its say.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    /// `None` where all is the caller's.
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) mtime: Timestamp,
    pub(crate) xattrs: Vec<Xattr>,
}

impl Attributes {
    /// Everything as the layer has it, but owners only where `keeps_owners`.
    pub(crate) fn of(metadata: Metadata, keeps_owners: bool) -> Self {
        let Metadata { mode, uid, gid, mtime, xattrs } = metadata;
        Self { mode, owner: keeps_owners.then_some((uid, gid)), mtime, xattrs }
    }
}

impl Cage {
    /// Completes a regular file that has its content.
    pub(super) fn finish_file(
        &mut self,
        file: BorrowedFd<'_>,
        parent: &Directory,
        attributes: &Attributes,
        counsel: &mut dyn Counsel,
    ) -> Result<(), Fault> {
        let inherited = parent.has_default_acl();
        if inherited {
            strip_acls(file)?;
        }
        let now = if parent.leaks() || !self.group_is_ours(file)? { None } else { Some((self.me.uid, self.me.gid)) };
        self.give(file, now, attributes)?;
        set_xattrs(file, 0o600, &attributes.xattrs, counsel)?;
        sys::set_mode(file, attributes.mode).map_err(sys::fault("fchmod", b""))?;
        sys::set_mtime(file, attributes.mtime, false).map_err(sys::fault("futimens", b""))
    }

    /// Completes a directory, but for its mode and time: it gets these when it is left.
    pub(super) fn finish_directory(
        &mut self,
        directory: &Directory,
        inherited: bool,
        attributes: &Attributes,
        counsel: &mut dyn Counsel,
    ) -> Result<(), Fault> {
        self.prepare_directory(directory, inherited, attributes)?;
        set_xattrs(directory.as_fd(), 0o700, &attributes.xattrs, counsel)?;
        if !attributes.xattrs.is_empty() {
            // An ACL makes the mode its own, and others may have asked for another; the entry's is still to come.
            directory.open_up(self.me)?;
        }
        directory.set_default_acl(attributes.xattrs.iter().any(|xattr| xattr.name == DEFAULT_ACL));
        Ok(())
    }

    /// Completes a directory without extended attributes, but for its mode and time.
    pub(super) fn prepare_directory(
        &mut self,
        directory: &Directory,
        inherited: bool,
        attributes: &Attributes,
    ) -> Result<(), Fault> {
        if inherited {
            strip_acls(directory.as_fd())?;
        }
        self.give(directory.as_fd(), Some(directory.owner()), attributes)?;
        directory.set_owner(self.owner_of(attributes));
        directory.set_default_acl(false);
        directory.owe(attributes.mode, attributes.mtime);
        Ok(())
    }

    /// Removes what an entry over a directory that is there does not repeat.
    pub(super) fn remove_other_xattrs(&self, directory: &Directory, kept: &[Xattr]) -> Result<(), Fault> {
        let fd = directory.as_fd();
        for name in sys::list_xattrs(fd).map_err(sys::fault("flistxattr", directory.path()))? {
            if is_of_layers(&name) && !kept.iter().any(|xattr| xattr.name == name) {
                sys::remove_xattr(fd, &name).map_err(sys::fault("fremovexattr", &name))?;
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
        attributes: &Attributes,
        counsel: &mut dyn Counsel,
    ) -> Result<(), Fault> {
        let status = sys::status(handle).map_err(sys::fault("statx", b""))?;
        self.give(handle, Some((status.uid, status.gid)), attributes)?;
        for xattr in &attributes.xattrs {
            counsel.lacks_xattr(&xattr.name)?;
        }
        if status.kind != FileType::Symlink && (status.mode != attributes.mode || parent.has_default_acl()) {
            sys::set_mode_by_proc(handle, attributes.mode).map_err(sys::fault("chmod", b""))?;
        }
        sys::set_mtime(handle, attributes.mtime, true).map_err(sys::fault("utimensat", b""))
    }

    fn owner_of(&self, attributes: &Attributes) -> (u32, u32) {
        attributes.owner.unwrap_or((self.me.uid, self.me.gid))
    }

    /// Sets the owner where it is not what it is to be.
    fn give(&self, fd: BorrowedFd<'_>, now: Option<(u32, u32)>, attributes: &Attributes) -> Result<(), Fault> {
        let owner = self.owner_of(attributes);
        if now == Some(owner) {
            return Ok(());
        }
        let uid = self.me.chowns.then_some(owner.0);
        match sys::set_owner(fd, uid, Some(owner.1)) {
            // Whoever may not give files away may not be able to take them from a group of BSD manners either.
            Err(Errno::PERM) if !self.me.chowns => Ok(()),
            other => other.map_err(sys::fault("fchownat", format!("{}:{}", owner.0, owner.1).as_bytes())),
        }
    }

    /// Whether the file system gives new files our own group, as all but BSD-style mounts do.
    fn group_is_ours(&mut self, file: BorrowedFd<'_>) -> Result<bool, Fault> {
        if let Some(known) = self.group_is_ours {
            return Ok(known);
        }
        let status = sys::status(file).map_err(sys::fault("statx", b""))?;
        let ours = (status.uid, status.gid) == (self.me.uid, self.me.gid);
        self.group_is_ours = Some(ours);
        Ok(ours)
    }
}

/// The attributes that layers bring; others (labels of the host's security modules, say) are not theirs to remove.
fn is_of_layers(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name == b"security.capability" || name == ACCESS_ACL || name == DEFAULT_ACL
}

/// Sets extended attributes. Where the umask, or an ACL just set, keeps even us out, the mode is `private` for it.
fn set_xattrs(fd: BorrowedFd<'_>, private: u32, xattrs: &[Xattr], counsel: &mut dyn Counsel) -> Result<(), Fault> {
    for Xattr { name, value } in xattrs {
        let set = || sys::set_xattr(fd, name, value);
        let result = match set() {
            Err(Errno::ACCESS) => sys::set_mode(fd, private).and_then(|()| set()),
            other => other,
        };
        match result {
            Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => counsel.lacks_xattr(name)?,
            other => other.map_err(sys::fault("fsetxattr", name))?,
        }
    }
    Ok(())
}

pub(super) fn strip_acls(fd: BorrowedFd<'_>) -> Result<(), Fault> {
    for name in [ACCESS_ACL, DEFAULT_ACL] {
        match sys::remove_xattr(fd, name) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP | Errno::ACCESS) => (),
            Err(errno) => return Err(Fault::system("fremovexattr", name, errno)),
        }
    }
    Ok(())
}
