//! Opens what may be read: regular files, and nothing that a name could be swapped for.

use crate::words::{Component, EntryPath, Fault};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Why there is no file.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The name, or a directory on the way, is not there.
    Missing,
    /// The name leads to, or through, something else: a link, a FIFO, a device, a directory.
    NotRegular,
    /// A system call failed.
    System(Fault),
}

/// Opens a regular file below `directory` for reading: one component at a time, no link followed.
///
/// # Errors
///
/// [`NotOpened`]; nothing but a regular file is ever opened, so that no FIFO blocks and no driver runs.
pub(crate) fn open_regular(directory: BorrowedFd<'_>, path: &EntryPath) -> Result<File, NotOpened> {
    let Some((_, name)) = path.split_last() else { return Err(NotOpened::NotRegular) };
    let steps = path.components().count().saturating_sub(1);
    let mut parent: Option<OwnedFd> = None;
    for step in path.components().take(steps) {
        let here = parent.as_ref().map_or(directory, AsFd::as_fd);
        parent = Some(open_at(here, step, OFlags::PATH | OFlags::DIRECTORY)?);
    }
    let here = parent.as_ref().map_or(directory, AsFd::as_fd);

    // A handle that only names shows what is there before anything is opened for good …
    require_regular(&open_at(here, name, OFlags::PATH)?, name)?;
    // … and the second look is for who swapped it in between: O_NONBLOCK, since it may be a FIFO by now.
    let file = open_at(here, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    require_regular(&file, name)?;
    Ok(File::from(file))
}

/// Opens a directory below `directory`, in the same way.
///
/// # Errors
///
/// What the system answers; that it is no directory when a link leads to one.
pub(crate) fn open_directory(directory: BorrowedFd<'_>, path: &EntryPath) -> Result<File, Fault> {
    let mut here: Option<OwnedFd> = None;
    for step in path.components() {
        let parent = here.as_ref().map_or(directory, AsFd::as_fd);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| openat(parent, step.as_bytes(), flags, Mode::empty()));
        here = Some(opened.map_err(|errno| Fault::system("openat", step.as_bytes(), errno))?);
    }
    here.map(File::from).ok_or(Fault::Bug("a path without components was to be opened"))
}

fn open_at(directory: BorrowedFd<'_>, name: Component<'_>, flags: OFlags) -> Result<OwnedFd, NotOpened> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| openat(directory, name.as_bytes(), flags, Mode::empty())).map_err(|errno| match errno {
        Errno::NOENT => NotOpened::Missing,
        Errno::NOTDIR | Errno::LOOP => NotOpened::NotRegular,
        errno => NotOpened::System(Fault::system("openat", name.as_bytes(), errno)),
    })
}

fn require_regular(file: &OwnedFd, name: Component<'_>) -> Result<(), NotOpened> {
    let found = fstat(file).map_err(|errno| NotOpened::System(Fault::system("fstat", name.as_bytes(), errno)))?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(NotOpened::NotRegular),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Limits;
    use rustix::fs::{CWD, mkfifoat};
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn open(world: &std::path::Path, name: &str) -> Result<File, NotOpened> {
        let directory = File::open(world).unwrap();
        open_regular(directory.as_fd(), &EntryPath::parse(name.as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn only_regular_files_behind_real_directories_are_opened() {
        let world = tempfile::tempdir().unwrap();
        let at = |name: &str| world.path().join(name);
        std::fs::create_dir_all(at("blobs/sha256")).unwrap();
        std::fs::write(at("blobs/sha256/file"), "content").unwrap();
        symlink("file", at("blobs/sha256/link")).unwrap();
        symlink("missing", at("blobs/sha256/dangling")).unwrap();
        symlink("blobs", at("linked")).unwrap();
        symlink("sha256", at("blobs/linked")).unwrap();
        mkfifoat(CWD, at("blobs/sha256/fifo"), Mode::RUSR).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(at("blobs/sha256/socket")).unwrap();

        let mut content = String::new();
        open(world.path(), "blobs/sha256/file").unwrap().read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
        for missing in ["blobs/sha256/none", "none/file", "none"] {
            assert!(matches!(open(world.path(), missing), Err(NotOpened::Missing)), "{missing}");
        }
        for other in [
            "",
            "blobs",
            "blobs/sha256/link",
            "blobs/sha256/dangling",
            "blobs/sha256/fifo",
            "blobs/sha256/socket",
            "blobs/sha256/file/below",
            "linked/sha256/file",
            "blobs/linked/file",
        ] {
            assert!(matches!(open(world.path(), other), Err(NotOpened::NotRegular)), "{other}");
        }
        drop(socket);
        let device = open(std::path::Path::new("/dev"), "null");
        assert!(matches!(device, Err(NotOpened::NotRegular)));
    }

    #[test]
    fn a_failing_system_is_not_the_images_fault() {
        let world = tempfile::tempdir().unwrap();
        let file = world.path().join("file");
        std::fs::write(&file, "").unwrap();
        let not_a_directory = File::open(&file).unwrap();
        let path = EntryPath::parse(b"x", &Limits::default()).unwrap();
        assert!(matches!(open_regular(not_a_directory.as_fd(), &path), Err(NotOpened::NotRegular)));
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: root may read every file");
            return;
        }
        rustix::fs::chmod(&file, Mode::empty()).unwrap();
        assert!(matches!(open(world.path(), "file"), Err(NotOpened::System(_))));
    }
}
