//! The attributes of new files, always in the same order: owner, extended attributes, mode, time.
//!
//! `chown` clears setuid bits and file capabilities, so the owner is first. The mode is set when content and owner are
//! final: before, a setuid program of another owner or with other content could be started.

use super::attributes::{
    FinalAttributes, Inherited, is_of_layers, set_pending_owner, set_xattr, set_xattrs, strip_acls, unset_xattr,
};
use super::directory::{DefaultAcl, Directory};
use super::failed::At;
use super::proc;
use super::state::Cage;
use super::sys::{self, HandleKind};
use crate::tree::{ClampedTime, Inexact, UnsetXattr};
use crate::words::{Error, Metadata, Xattr};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

impl Cage {
    /// Removes the ACL that a new file has inherited. Returns the attributes to be set after its content, and the time
    /// that the file system stores if it cannot store that of the entry.
    pub(super) fn begin_file(
        &mut self,
        file: BorrowedFd<'_>,
        parent: &Directory,
        metadata: &Metadata,
    ) -> Result<(FinalAttributes, Option<ClampedTime>), Error> {
        if parent.has_default_acl() {
            strip_acls(file)?;
        }
        if let Some(label) = &self.label {
            label.set(file)?;
        }
        // The time itself is set after the content, perhaps by another thread. Policy must decide on it now.
        let clamped = self.times.test(file, metadata.mtime, HandleKind::Open)?;
        let now = self.owners.of_new(file, parent)?;
        Ok((
            FinalAttributes { owner: self.owners.pending(now, metadata), mode: metadata.mode, mtime: metadata.mtime },
            clamped,
        ))
    }

    /// Sets the owner and the extended attributes of a regular file that has its content.
    pub(super) fn prepare_file(
        &self,
        file: BorrowedFd<'_>,
        last: &mut FinalAttributes,
        metadata: &Metadata,
    ) -> Result<Vec<UnsetXattr>, Error> {
        set_pending_owner(last.owner.take(), file)?;
        set_xattrs(file, 0o600, &metadata.xattrs)
    }

    /// Sets the attributes of a directory, except mode and time: these are set when it is settled.
    pub(super) fn finish_directory(
        &mut self,
        directory: &Directory,
        inherited: Inherited,
        metadata: &Metadata,
    ) -> Result<Inexact, Error> {
        let time = self.prepare_directory(directory, inherited, metadata)?;
        let xattrs = set_xattrs(directory.as_fd(), 0o700, &metadata.xattrs)?;
        if !metadata.xattrs.is_empty() {
            // An ACL changes the mode, perhaps so that we cannot work in the directory.
            directory.open_up(self.caller)?;
        }
        directory.set_default_acl(DefaultAcl::among(&metadata.xattrs));
        Ok(Inexact { time, xattrs })
    }

    /// Gives a directory the attributes of those that no entry lists. Extended attributes that it has stay.
    pub(super) fn finish_implied(&mut self, directory: &Directory, inherited: Inherited) -> Result<Inexact, Error> {
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

    /// Sets the owner of a directory, and records its mode and time.
    fn prepare_directory(
        &mut self,
        directory: &Directory,
        inherited: Inherited,
        metadata: &Metadata,
    ) -> Result<Option<ClampedTime>, Error> {
        if inherited == Inherited::DefaultAcl {
            strip_acls(directory.as_fd())?;
        }
        if let Some(label) = &self.label {
            label.set(directory.as_fd())?;
        }
        set_pending_owner(self.owners.pending(Some(directory.owner()), metadata), directory.as_fd())?;
        directory.set_owner(self.owners.of(metadata));
        directory.set_default_acl(DefaultAcl::Absent);
        directory.settle_with(metadata.mode, metadata.mtime);
        self.times.test(directory.as_fd(), metadata.mtime, HandleKind::Open)
    }

    /// Labels something that is not opened.
    pub(super) fn label_special(&self, at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Error> {
        let Some(label) = &self.label else { return Ok(()) };
        label.set_special(sys::open_handle(at, name).at(name)?.as_fd())
    }

    /// Removes the extended attributes of an existing directory that its new entry does not have.
    pub(super) fn remove_other_xattrs(&self, directory: &Directory, kept: &[Xattr]) -> Result<(), Error> {
        let fd = directory.as_fd();
        for name in sys::list_xattrs(fd).at(directory.path())? {
            let is_mark = self.marks.is_some_and(|marks| marks.has(&name));
            if is_of_layers(&name, self.layer_xattrs) && !is_mark && !kept.iter().any(|xattr| xattr.name == name) {
                sys::remove_xattr(fd, &name).at(&name)?;
            }
        }
        Ok(())
    }

    /// Sets the attributes of a symbolic link, FIFO or device node through an `O_PATH` handle: opening a device runs
    /// its driver.
    ///
    /// Their extended attributes cannot be set: Linux does not allow the ones that layers have on such files.
    pub(super) fn finish_special(
        &mut self,
        handle: BorrowedFd<'_>,
        parent: &Directory,
        metadata: &Metadata,
    ) -> Result<Inexact, Error> {
        let status = sys::status(handle).at(b"")?;
        if let Some(label) = &self.label {
            label.set_special(handle)?;
        }
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
