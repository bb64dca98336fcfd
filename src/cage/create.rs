//! Creates files at a place: one function for each kind. A file is created completely or not at all.

use super::attributes::{Inherited, strip_acls};
use super::directory::{DefaultAcl, Directory, Opened};
use super::failed::{At, Failed, swapped};
use super::place::{Path, Place};
use super::replace::{Attempt, Installed, made};
use super::state::Cage;
use super::sys::Status;
use super::{directory, sys};
use crate::tree::{Content, Done, Exactness, InTheWay, Inexact, Made, Old, Over, Step};
use crate::words::{Device, Devices, Error, Fifos, Metadata, Remedy};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// A file without content, created by one system call that returns no handle.
#[derive(Debug, Clone, Copy)]
pub(super) enum New<'a> {
    Symlink(&'a [u8]),
    Fifo,
    Device(Device),
}

impl Cage {
    /// Makes a regular file.
    pub(super) fn make_file(
        &mut self,
        place: &Place<'_>,
        (metadata, exactness): (&Metadata, Exactness),
        content: &mut Content<'_>,
        over: Over,
    ) -> Result<Made, Error> {
        let attempt = self.install(place, over, |cage, name| {
            let file = match sys::create_file(place.at(), name) {
                Ok(file) => file,
                Err(Failed { errno: Errno::EXIST, .. }) => return Ok(Attempt::InTheWay),
                Err(failed) => return Err(failed.at(name)),
            };
            // Whether the attributes can be set must be known now, and they come after content and owner.
            let waits = cage.deferred.is_some() && metadata.xattrs.is_empty();
            let mut prepare = |cage: &mut Self| {
                let (mut last, time) = cage.begin_file(file.as_fd(), place.dir(), metadata)?;
                let mut inexact = Inexact { time, xattrs: Vec::new() };
                if !waits && !inexact.is_refused_by(exactness) {
                    content.fill(file.as_fd(), name)?;
                    inexact.xattrs = cage.prepare_file(file.as_fd(), &mut last, metadata)?;
                }
                Ok((last, inexact))
            };
            let (last, inexact) = match prepare(cage) {
                Ok((_, inexact)) if inexact.is_refused_by(exactness) => {
                    undo_own(place.at(), name, file.as_fd());
                    return Ok(Attempt::Undone(inexact));
                }
                Ok(prepared) => prepared,
                Err(error) => {
                    undo_own(place.at(), name, file.as_fd());
                    return Err(error);
                }
            };
            if let Some(deferred) = &cage.deferred {
                let path = Path { directory: place.dir().path(), name: place.bytes() };
                deferred.defer(file, waits.then_some(&mut *content), last, path)?;
                return Ok(Attempt::Done(inexact));
            }
            match last.apply(file.as_fd()) {
                Ok(()) => Ok(Attempt::Done(inexact)),
                Err(unset) => {
                    undo_own(place.at(), name, file.as_fd());
                    Err(unset.at(name))
                }
            }
        })?;
        installed(attempt)
    }

    /// Makes a symbolic link, a FIFO or a device node.
    pub(super) fn make_special(
        &mut self,
        place: &Place<'_>,
        (metadata, exactness): (&Metadata, Exactness),
        new: New<'_>,
        over: Over,
    ) -> Result<Made, Error> {
        let attempt = self.install(place, over, |cage, name| {
            let created = match new {
                New::Fifo | New::Device(_) if place.dir().has_default_acl() => cage.create_apart(place, name, new)?,
                _ => create(place.at(), name, new)?,
            };
            if let Attempt::InTheWay = created {
                return Ok(Attempt::InTheWay);
            }
            let finish = |cage: &mut Self| {
                let handle = sys::open_handle(place.at(), name).at(name)?;
                let status = sys::status(handle.as_fd()).at(name)?;
                // Another process may swap the name meanwhile, for that of a file that has names elsewhere.
                if status.links != 1 || !is_new(new, status.kind, status.device) {
                    return Err(differs(place.at(), name, new, &status));
                }
                cage.finish_special(handle.as_fd(), place.dir(), metadata)
            };
            let finished = finish(cage);
            if finished.as_ref().is_ok_and(|inexact| !inexact.is_refused_by(exactness)) {
                return finished.map(Attempt::Done);
            }
            // Another process may have taken the name meanwhile. Its file stays.
            let there = sys::status_at(place.at(), name);
            if there.is_ok_and(|there| there.links == 1 && is_new(new, there.kind, there.device)) {
                undo(place.at(), name);
            }
            finished.map(Attempt::Undone)
        })?;
        installed(attempt)
    }

    /// Creates a file in a new directory, and links it to its name from there.
    ///
    /// In a directory with a default ACL it would inherit an ACL. Removing that would need an open handle, and opening
    /// a device runs its driver.
    fn create_apart(&mut self, place: &Place<'_>, name: &[u8], new: New<'_>) -> Result<Attempt<()>, Error> {
        let apart = self.temporary(place.dir())?;
        sys::create_directory(place.at(), &apart).at(&apart)?;
        // After a kill, the next run removes the directory with its content.
        self.condemn(place.at(), &apart).inspect_err(|_| undo_directory(place.at(), &apart))?;
        let create = || {
            let opened = directory::open(place.at(), &apart, self.root.status.mount, self.caller)?;
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

    /// Makes one more name for what is at `to`, which is not followed. Its inode stays as it is.
    pub(super) fn make_link(&mut self, place: &Place<'_>, to: &Place<'_>, over: Over) -> Result<Made, Error> {
        let attempt = self.install(place, over, |_, name| {
            let linked = made(name, sys::link(to.at(), to.bytes(), place.at(), name))?;
            Ok(linked.map(|()| Inexact::default()))
        })?;
        installed(attempt)
    }

    /// Makes a directory, or gives the one that is there these attributes and keeps its content.
    pub(super) fn make_directory(
        &mut self,
        place: &Place<'_>,
        (metadata, exactness): (&Metadata, Exactness),
        over: Over,
    ) -> Result<Made, Error> {
        let new = |cage: &mut Self, name: &[u8]| cage.new_directory(place, name, (metadata, exactness));
        if !self.held.contains(place.id()) {
            place.dir().touch();
            match new(self, place.bytes())? {
                Attempt::Done((directory, inexact)) => {
                    self.count_effect(place.dir());
                    self.held.add(place.id(), directory)?;
                    return Ok(Made::Done(Done { old: Old::Nothing, inexact }));
                }
                Attempt::Undone(inexact) => return Ok(Made::Undone(inexact)),
                Attempt::InTheWay => (),
            }
        }
        match self.look(place)? {
            Step::Directory(directory) => {
                let inexact = self.renew(&directory, metadata)?;
                return Ok(Made::Done(Done { old: Old::Kept, inexact }));
            }
            Step::Symlink(target) if over == Over::Nothing => {
                return Ok(Made::InTheWay(InTheWay::Symlink { target }));
            }
            Step::Symlink(_) | Step::Missing | Step::Other | Step::Unknown(_) => (),
        }
        match self.install(place, over, new)? {
            Attempt::Done(Installed { made: (directory, inexact), old, leftover }) => {
                // It is there, whatever became of the old one: it must get its mode and time.
                self.held.add(place.id(), directory)?;
                leftover.map_or(Ok(Made::Done(Done { old, inexact })), Err)
            }
            Attempt::InTheWay => Ok(Made::InTheWay(InTheWay::Other)),
            Attempt::Undone(inexact) => Ok(Made::Undone(inexact)),
        }
    }

    fn new_directory(
        &mut self,
        place: &Place<'_>,
        name: &[u8],
        (metadata, exactness): (&Metadata, Exactness),
    ) -> Result<Attempt<(Directory, Inexact)>, Error> {
        let Attempt::Done(()) = made(name, sys::create_directory(place.at(), name))? else {
            return Ok(Attempt::InTheWay);
        };
        let mut finish = || {
            let directory = self.open_new(place, name)?;
            let inexact = self.finish_directory(&directory, Inherited::from_parent(place.dir()), metadata)?;
            Ok((directory, inexact))
        };
        let finished: Result<_, Error> = finish();
        match finished {
            Ok((_, inexact)) if inexact.is_refused_by(exactness) => {
                undo_directory(place.at(), name);
                Ok(Attempt::Undone(inexact))
            }
            Ok(finished) => Ok(Attempt::Done(finished)),
            Err(error) => {
                undo_directory(place.at(), name);
                Err(error)
            }
        }
    }

    /// Gives a directory that is there new metadata: attributes that the new ones lack go.
    pub(super) fn renew(&mut self, directory: &Directory, metadata: &Metadata) -> Result<Inexact, Error> {
        self.count_effect(directory);
        self.remove_other_xattrs(directory, &metadata.xattrs)?;
        self.finish_directory(directory, Inherited::Nothing, metadata)
    }

    /// Makes a parent that no entry lists.
    pub(super) fn make_implied(&mut self, place: &Place<'_>) -> Result<(Arc<Directory>, Inexact), Error> {
        place.dir().touch();
        sys::create_directory(place.at(), place.bytes()).at(place.bytes())?;
        let finish = |cage: &mut Self| {
            let directory = cage.open_new(place, place.bytes())?;
            let inexact = cage.finish_implied(&directory, Inherited::from_parent(place.dir()))?;
            Ok((directory, inexact))
        };
        let finished = finish(self).inspect_err(|_: &Error| undo_directory(place.at(), place.bytes()));
        let (directory, inexact) = finished?;
        self.count_effect(place.dir());
        Ok((self.held.add(place.id(), directory)?, inexact))
    }

    /// Opens a directory just made at a place, under its final or a temporary name.
    fn open_new(&self, place: &Place<'_>, name: &[u8]) -> Result<Directory, Error> {
        match directory::open(place.at(), name, self.root.status.mount, self.caller)? {
            Opened::Directory { fd, status, mode_now } => {
                Ok(Directory::new(fd, place.id(), place.path(), status, mode_now, DefaultAcl::Absent))
            }
            _ => Err(swapped(name)),
        }
    }
}

/// The result of a file that was installed. A leftover of the old file is an error.
fn installed(attempt: Attempt<Installed<Inexact>>) -> Result<Made, Error> {
    match attempt {
        Attempt::Done(Installed { made: inexact, old, leftover: None }) => Ok(Made::Done(Done { old, inexact })),
        Attempt::Done(Installed { leftover: Some(error), .. }) => Err(error),
        Attempt::InTheWay => Ok(Made::InTheWay(InTheWay::Other)),
        Attempt::Undone(inexact) => Ok(Made::Undone(inexact)),
    }
}

fn create(at: BorrowedFd<'_>, name: &[u8], new: New<'_>) -> Result<Attempt<()>, Error> {
    let created = match new {
        New::Symlink(target) => sys::create_symlink(at, name, target),
        New::Fifo => sys::create_fifo(at, name),
        New::Device(device) => sys::create_device(at, name, device),
    };
    let is_forbidden = matches!(created, Err(Failed { errno: Errno::PERM, .. }));
    made(name, created).map_err(|error| if is_forbidden { forbidden(error, new) } else { error })
}

/// Adds what to do about a file that the caller or the file system cannot have.
#[cold]
fn forbidden(error: Error, new: New<'_>) -> Error {
    match new {
        New::Symlink(_) => error.with_advice("the file system has no symbolic links: use another one"),
        New::Fifo => {
            error.with_advice("the file system has no named pipes").with_remedies(&[Remedy::Fifos(Fifos::Skip)])
        }
        // Root of a user namespace may not create devices either.
        New::Device(_) => error
            .with_advice("only root outside of a user namespace may create device nodes")
            .with_remedies(&[Remedy::Devices(Devices::Skip)]),
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
fn differs(at: BorrowedFd<'_>, name: &[u8], new: New<'_>, status: &Status) -> Error {
    let New::Device(wanted) = new else { return Error::system("statx", name, Errno::STALE) };
    if status.links != 1 || status.kind != sys::device_type(wanted) {
        return Error::system("statx", name, Errno::STALE);
    }
    if sys::names(at, name, status.identity) {
        undo(at, name);
    }
    let (major, minor) = status.device;
    let Device { major: wanted_major, minor: wanted_minor, .. } = wanted;
    Error::system("mknodat", name, Errno::INVAL)
        .about(&format!("which the system made {major}:{minor} and not {wanted_major}:{wanted_minor}; it was removed"))
}

/// Removes an incomplete file. A failure is ignored: the error that led here is reported.
fn undo(at: BorrowedFd<'_>, name: &[u8]) {
    let _ = sys::unlink(at, name);
}

/// Removes an incomplete file, unless another process has taken its name.
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
    use crate::cage::tests::{ANYHOW, component, metadata, own};
    use crate::tree::Tree;
    use crate::words::DeviceKind;

    /// Creates a device in a new tree, without the judge. Returns the result, and the names that are there then.
    fn make(device: Device, exposure: Exposure) -> (Result<(), Error>, Vec<String>) {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("old"), "").unwrap();
        let directory = std::fs::File::open(place.path()).unwrap();
        let mut cage = Cage::over(directory.as_fd(), exposure).unwrap();
        let root = own(cage.root_directory());
        let mut result = Ok(());
        for name in ["new", "old"] {
            let at = cage.place(&root, component(name));
            let made = cage.make_special(&at, (&metadata(0o600), ANYHOW), New::Device(device), Over::Anything);
            result = result.and(made.map(drop));
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
