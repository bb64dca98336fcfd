//! What can be made at a place: one function a kind, complete or not at all.

use super::content::Content;
use super::directory::Opened;
use super::failed::{At, Failed, swapped};
use super::finish::Path;
use super::metadata::strip_acls;
use super::replace::{Installed, Made, made};
use super::sys::Status;
use super::{Cage, Directory, Place, Step, WalkDelegate, directory, sys};
use crate::words::{Component, Device, EntryPath, Escaped, Fault, Metadata, Violation};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// What is made without data, and through no handle of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum New<'a> {
    Symlink(&'a [u8]),
    Fifo,
    Device(Device),
}

/// What a hard link was made to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linked {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) is_symlink: bool,
}

impl Cage {
    /// Makes a regular file.
    pub(crate) fn file(
        &mut self,
        place: &Place<'_>,
        metadata: &Metadata,
        mut content: Content<'_>,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<(), Fault> {
        self.install(place, delegate, |cage, name, delegate| {
            let file = match sys::create_file(place.at(), name) {
                Ok(file) => file,
                Err(Failed { errno: Errno::EXIST, .. }) => return Ok(Made::InTheWay),
                Err(failed) => return Err(failed.at(name)),
            };
            // What attributes cannot be set is for the delegate to say, now; and they come behind content and owner.
            let waits = cage.finishing.is_some() && metadata.xattrs.is_empty();
            let mut prepare = |cage: &mut Self| {
                let mut last = cage.begin_file(file.as_fd(), &place.parent, metadata, delegate)?;
                if !waits {
                    content.fill(file.as_fd(), name)?;
                    cage.prepare_file(file.as_fd(), &mut last, metadata, delegate)?;
                }
                Ok(last)
            };
            let prepared = prepare(cage);
            if let (Ok(last), Some(finishing)) = (&prepared, &cage.finishing) {
                let path = Path { directory: place.parent.path(), name: place.name() };
                return finishing.put_off(file, waits.then_some(&mut content), *last, path).map(Made::Done);
            }
            prepared
                .and_then(|last| last.give(file.as_fd()).map_err(|unset| unset.of(name)))
                .map(Made::Done)
                .inspect_err(|_| undo_own(place.at(), name, file.as_fd()))
        })?
        .done()
    }

    /// Makes a symbolic link, a FIFO or a device node.
    pub(crate) fn special(
        &mut self,
        place: &Place<'_>,
        new: New<'_>,
        metadata: &Metadata,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<(), Fault> {
        self.install(place, delegate, |cage, name, delegate| {
            let created = match new {
                New::Fifo | New::Device(_) if place.parent.has_default_acl() => cage.create_apart(place, name, new)?,
                _ => create(place.at(), name, new)?,
            };
            if let Made::InTheWay = created {
                return Ok(Made::InTheWay);
            }
            let mut finish = |cage: &mut Self| {
                let handle = sys::open_handle(place.at(), name).at(name)?;
                let status = sys::status(handle.as_fd()).at(name)?;
                // Whoever swaps the name meanwhile must not have us change a file that has names elsewhere.
                if status.links != 1 || !is_new(new, status.kind, status.device) {
                    return Err(differs(place.at(), name, new, &status));
                }
                cage.finish_special(handle.as_fd(), &place.parent, metadata, delegate)
            };
            finish(cage).map(Made::Done).inspect_err(|_| {
                // Unless the name is somebody else's by now.
                let there = sys::status_at(place.at(), name);
                if there.is_ok_and(|there| there.links == 1 && is_new(new, there.kind, there.device)) {
                    undo(place.at(), name);
                }
            })
        })?
        .done()
    }

    /// Makes something in a directory of its own, and gives it its name from there.
    ///
    /// What it inherits of a default ACL could not be taken off again without opening it.
    fn create_apart(&mut self, place: &Place<'_>, name: &[u8], new: New<'_>) -> Result<Made<()>, Fault> {
        let apart = self.temporary(&place.parent)?;
        sys::create_directory(place.at(), &apart).at(&apart)?;
        // The next run removes it with what is in it.
        self.condemn(place.at(), &apart).inspect_err(|_| undo_directory(place.at(), &apart))?;
        let create = || {
            let opened = directory::open(place.at(), &apart, self.root.status.mount, self.me)?;
            let Opened::Directory { fd, .. } = opened else {
                return Err(swapped(&apart));
            };
            strip_acls(fd.as_fd())?;
            create(fd.as_fd(), name, new)?;
            let linked = made(name, sys::link(fd.as_fd(), name, place.at(), name));
            undo(fd.as_fd(), name);
            linked
        };
        let created = create();
        undo_directory(place.at(), &apart);
        created
    }

    /// Makes one more name for what is at `target`, which is not followed; its inode stays as it is. Where the two are
    /// one place, what is there stays.
    pub(crate) fn hard_link(
        &mut self,
        place: &Place<'_>,
        target: &Place<'_>,
        written: &EntryPath,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<Linked, Fault> {
        let refused = || Escaped::new(written.as_bytes());
        let is_itself = place.id() == target.id();
        let status = match sys::status_at(target.at(), target.name()) {
            Err(Failed { errno: Errno::NOENT, .. }) if is_itself => {
                return Err(Violation::HardLinkToItself { target: refused() }.into());
            }
            Err(Failed { errno: Errno::NOENT, .. }) => {
                return Err(Violation::HardLinkMissing { target: refused() }.into());
            }
            other => other.at(target.name())?,
        };
        if status.kind == FileType::Directory {
            return Err(Violation::HardLinkToDirectory { target: refused() }.into());
        }
        if !is_itself {
            self.install(place, delegate, |_, name, _| {
                made(name, sys::link(target.at(), target.name(), place.at(), name))
            })?
            .done()?;
        }
        Ok(Linked { mode: status.mode, owner: (status.uid, status.gid), is_symlink: status.kind == FileType::Symlink })
    }

    /// Makes a directory, or gives the one that is there these attributes and keeps what is in it.
    pub(crate) fn directory(
        &mut self,
        place: &Place<'_>,
        metadata: &Metadata,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<Arc<Directory>, Fault> {
        if !self.is_held(place) {
            place.parent.touch();
            if let Made::Done(directory) = self.new_directory(place, place.name(), metadata, delegate)? {
                return self.enrol(place, directory, delegate);
            }
        }
        match self.step(&place.parent, place.component())? {
            Step::Directory(directory, _) => {
                self.renew(&directory, metadata, delegate)?;
                return Ok(directory);
            }
            Step::Link(target, _) => delegate.turns_link(&target)?,
            Step::Missing(_) | Step::Other(_) => (),
        }
        let Installed { made, old } =
            self.install(place, delegate, |cage, name, delegate| cage.new_directory(place, name, metadata, delegate))?;
        let directory = self.enrol(place, made, delegate)?;
        old.map(|()| directory)
    }

    fn new_directory(
        &mut self,
        place: &Place<'_>,
        name: &[u8],
        metadata: &Metadata,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<Made<Directory>, Fault> {
        self.limits.check_path(&place.path())?;
        let Made::Done(()) = made(name, sys::create_directory(place.at(), name))? else {
            return Ok(Made::InTheWay);
        };
        let mut finish = || {
            let directory = self.open_new(place, name)?;
            self.finish_directory(&directory, place.parent.has_default_acl(), metadata, delegate)?;
            Ok(Made::Done(directory))
        };
        finish().inspect_err(|_| undo_directory(place.at(), name))
    }

    /// Holds a directory that was made, and says so.
    fn enrol(
        &mut self,
        place: &Place<'_>,
        directory: Directory,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<Arc<Directory>, Fault> {
        delegate.made(place.parent.id(), place.id());
        self.hold(place.id(), directory)
    }

    /// Gives a directory that is there new metadata: attributes that the new ones lack go.
    pub(crate) fn renew(
        &mut self,
        directory: &Directory,
        metadata: &Metadata,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<(), Fault> {
        self.remove_other_xattrs(directory, &metadata.xattrs)?;
        self.finish_directory(directory, false, metadata, delegate)
    }

    /// Makes a parent that no entry lists.
    pub(super) fn make_implied(
        &mut self,
        parent: &Arc<Directory>,
        name: Component<'_>,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<Arc<Directory>, Fault> {
        let place = self.place(parent, name);
        self.limits.check_path(&place.path())?;
        parent.touch();
        sys::create_directory(place.at(), place.name()).at(place.name())?;
        let mut finish = |cage: &mut Self| {
            let directory = cage.open_new(&place, place.name())?;
            cage.imply(&directory, parent.has_default_acl(), Some(delegate))?;
            Ok(directory)
        };
        let directory = finish(self).inspect_err(|_: &Fault| undo_directory(place.at(), place.name()))?;
        self.hold(place.id(), directory)
    }

    /// Opens a directory just made at a place, under its final or a temporary name.
    fn open_new(&mut self, place: &Place<'_>, name: &[u8]) -> Result<Directory, Fault> {
        match directory::open(place.at(), name, self.root.status.mount, self.me)? {
            Opened::Directory { fd, status, mode_now } => {
                let id = self.new_directory_id(&place.parent, place.id());
                Ok(Directory::new(fd, id, place.path(), status, mode_now, false))
            }
            _ => Err(swapped(name)),
        }
    }
}

fn create(at: BorrowedFd<'_>, name: &[u8], new: New<'_>) -> Result<Made<()>, Fault> {
    match new {
        New::Symlink(target) => made(name, sys::create_symlink(at, name, target)),
        New::Fifo => made(name, sys::create_fifo(at, name)),
        New::Device(device) => made(name, sys::create_device(at, name, device)),
    }
}

fn is_new(new: New<'_>, kind: FileType, device: (u32, u32)) -> bool {
    match new {
        New::Symlink(_) => kind == FileType::Symlink,
        New::Fifo => kind == FileType::Fifo,
        New::Device(wanted) => kind == sys::device_type(wanted) && device == (wanted.major, wanted.minor),
    }
}

/// Returns the error for a file that is not the requested one. Removes a device node with other numbers than requested.
///
/// The kernel truncates numbers that it cannot store. The node that it creates instead (the host's first disk, a
/// whiteout) must not stay. Any file that is not a device was not created here: another process has replaced it, and it
/// stays.
fn differs(at: BorrowedFd<'_>, name: &[u8], new: New<'_>, status: &Status) -> Fault {
    let New::Device(wanted) = new else { return Fault::system("statx", name, Errno::STALE) };
    if status.links != 1 || status.kind != sys::device_type(wanted) {
        return Fault::system("statx", name, Errno::STALE);
    }
    if sys::names(at, name, status.identity) {
        undo(at, name);
    }
    let (major, minor) = status.device;
    let Device { major: wanted_major, minor: wanted_minor, .. } = wanted;
    Fault::system("mknodat", name, Errno::INVAL)
        .about(&format!("which the system made {major}:{minor} and not {wanted_major}:{wanted_minor}; it was removed"))
}

/// Removes what was made in part. That it fails too changes nothing about the failure that is reported.
fn undo(at: BorrowedFd<'_>, name: &[u8]) {
    let _ = sys::unlink(at, name);
}

/// Removes a file that was made in part, unless its name is somebody else's by now.
fn undo_own(at: BorrowedFd<'_>, name: &[u8], file: BorrowedFd<'_>) {
    if sys::status(file).is_ok_and(|made| sys::names(at, name, made.identity)) {
        undo(at, name);
    }
}

fn undo_directory(at: BorrowedFd<'_>, name: &[u8]) {
    let _ = sys::remove_directory(at, name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cage::Exposure;
    use crate::cage::tests::Anything;
    use crate::words::{DeviceKind, Timestamp};

    /// Makes a device in a new tree, past the judge; says what went wrong, and which names there are then.
    fn make(device: Device, exposure: Exposure) -> (Result<(), Fault>, Vec<String>) {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("old"), "").unwrap();
        let directory = std::fs::File::open(place.path()).unwrap();
        let mut cage = Cage::over(directory.as_fd(), exposure).unwrap();
        let root = cage.root();
        let metadata = Metadata { mode: 0o600, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new() };
        let mut result = Ok(());
        for name in [&b"new"[..], b"old"] {
            let at = cage.place(&root, Component::parse(name).unwrap());
            result = result.and(cage.special(&at, New::Device(device), &metadata, &mut Anything));
        }
        cage.settle().unwrap();
        let names = std::fs::read_dir(place.path()).unwrap();
        let mut names: Vec<_> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        (result, names)
    }

    #[test]
    fn a_device_that_the_kernel_cut_to_another_does_not_stay() {
        let character = |major, minor| Device { kind: DeviceKind::Character, major, minor };
        let block = |major, minor| Device { kind: DeviceKind::Block, major, minor };
        // The first of them takes no privilege: it becomes a whiteout, which everybody may make.
        let mut devices = vec![character(4096, 0)];
        if rustix::process::geteuid().is_root() && make(character(1, 3), Exposure::Staged).0.is_ok() {
            devices.extend([block(4104, 0), block(8, 1 << 20), character(u32::MAX, u32::MAX)]);
        } else {
            eprintln!("skipped in part, since other devices than whiteouts take privilege");
        }
        for device in devices {
            for exposure in [Exposure::Staged, Exposure::Visible] {
                let (result, names) = make(device, exposure);
                let message = result.unwrap_err().to_string();
                assert!(message.starts_with("mknodat(") && message.contains("it was removed"), "{message}");
                assert_eq!(names, ["old"], "{device:?} {exposure:?}");
            }
        }
    }
}
