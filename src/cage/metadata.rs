//! One routine for what an inode carries, in one order: owner, extended attributes, mode, time.
//!
//! No setuid bit is ever on a file whose content or owner is not final.

use super::attributes::{
    FinalAttributes, Inherited, is_of_layers, set_pending_owner, set_xattr, set_xattrs, strip_acls, unset_xattr,
};
use super::directory::{DEFAULT_ACL, Directory};
use super::failed::At;
use super::proc;
use super::state::Cage;
use super::sys::{self, HandleKind};
use crate::tree::{ClampedTime, Inexact, UnsetXattr};
use crate::words::{Fault, Metadata, Xattr};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

impl Cage {
    /// Takes off a new file what it has of its directory, and says what it is still to get when it has its content.
    pub(super) fn begin_file(
        &mut self,
        file: BorrowedFd<'_>,
        parent: &Directory,
        metadata: &Metadata,
    ) -> Result<(FinalAttributes, Option<ClampedTime>), Fault> {
        if parent.has_default_acl() {
            strip_acls(file)?;
        }
        // Its time is set after its content, which may be long after its entry.
        let clamped = self.times.test(file, metadata.mtime, HandleKind::Open)?;
        let now = self.owners.of_new(file, parent)?;
        Ok((
            FinalAttributes { owner: self.owners.pending(now, metadata), mode: metadata.mode, mtime: metadata.mtime },
            clamped,
        ))
    }

    /// Gives a regular file that has its content all but its mode and time.
    pub(super) fn prepare_file(
        &self,
        file: BorrowedFd<'_>,
        last: &mut FinalAttributes,
        metadata: &Metadata,
    ) -> Result<Vec<UnsetXattr>, Fault> {
        set_pending_owner(last.owner.take(), file)?;
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
            directory.open_up(self.caller)?;
        }
        directory.set_default_acl(metadata.xattrs.iter().any(|xattr| xattr.name == DEFAULT_ACL));
        Ok(Inexact { time, xattrs })
    }

    /// Makes a directory one that no entry lists, but for what is in it and attributes that it may have.
    pub(super) fn finish_implied(&mut self, directory: &Directory, inherited: Inherited) -> Result<Inexact, Fault> {
        let mut implied = self.implied.clone();
        (implied.uid, implied.gid) = self.owners.possible(self.root.as_fd(), implied.uid, implied.gid);
        let time = self.prepare_directory(directory, inherited, &implied)?;
        implied.xattrs.iter().try_for_each(|Xattr { name, value }| {
            set_xattr(directory.as_fd(), 0o700, name, value).map_err(|failed| unset_xattr(name, failed))
        })?;
        if !implied.xattrs.is_empty() {
            directory.open_up(self.caller)?;
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
        set_pending_owner(self.owners.pending(Some(directory.owner()), metadata), directory.as_fd())?;
        directory.set_owner(self.owners.of(metadata));
        directory.set_default_acl(false);
        directory.owe(metadata.mode, metadata.mtime);
        self.times.test(directory.as_fd(), metadata.mtime, HandleKind::Open)
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
        set_pending_owner(self.owners.pending(Some((status.uid, status.gid)), metadata), handle)?;
        let unset = |xattr: &Xattr| UnsetXattr { name: xattr.name.clone(), error: Errno::NOTSUP.into() };
        let xattrs = metadata.xattrs.iter().map(unset).collect();
        if status.kind != FileType::Symlink && (status.mode != metadata.mode || parent.has_default_acl()) {
            proc::set_mode(handle, metadata.mode, b"")?;
        }
        let time = self.times.test(handle, metadata.mtime, HandleKind::NameOnly)?;
        sys::set_mtime(handle, metadata.mtime, HandleKind::NameOnly).at(b"")?;
        Ok(Inexact { time, xattrs })
    }
}
