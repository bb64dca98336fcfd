//! The directories beneath which snapshots may lie, and how a snapshot is opened.

use crate::refusal::Refusal;
use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, openat2, stat};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

/// No path leads outside of the directory, and no part of it is a symbolic link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A directory that was opened when the program started.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    handle: OwnedFd,
}

impl Root {
    /// Opens a directory.
    ///
    /// # Errors
    ///
    /// A path that is not absolute; a system error.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if !path.is_absolute() || relative(Path::new("/"), path).is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an absolute path without . and .. is needed"));
        }
        Ok(Self { handle: OwnedFd::from(File::open(path)?), path: path.to_owned() })
    }

    /// Opens a directory, and creates it first if it is missing: this program starts before containerd does. Only this user
    /// may then enter it. Other users may pass through its new parents, as through those that containerd makes.
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn open_or_create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o711).create(parent)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Self::open(path)
    }

    /// Opens a regular file beneath it.
    ///
    /// # Errors
    ///
    /// A system error, for another kind of file too.
    pub(crate) fn open_file(&self, relative: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(openat2(&self.handle, relative, flags, Mode::empty(), BENEATH)?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }
}

impl Root {
    /// Whether its path still leads to it. Otherwise containerd means another directory.
    fn is_there(&self) -> bool {
        let (Ok(there), Ok(opened)) = (stat(&self.path), fstat(&self.handle)) else { return false };
        (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// The directories beneath which snapshots may lie.
#[derive(Debug)]
pub(crate) struct Roots(Vec<Root>);

impl Roots {
    /// Allows these directories.
    pub(crate) fn new(roots: Vec<Root>) -> Self {
        Self(roots)
    }

    /// Opens a directory beneath one of the roots. No symbolic link is followed.
    ///
    /// # Errors
    ///
    /// A path that is not beneath a root, that leads through a link, or that is missing; a failure of this machine.
    pub(crate) fn open(&self, path: &Path) -> Result<OwnedFd, Refusal> {
        let beneath = self.0.iter().find_map(|root| Some((root, relative(&root.path, path)?)));
        let Some((root, relative)) = beneath else {
            return Err(Refusal::of_request(format_args!(
                "{path:?} is not beneath a snapshot root: `--snapshot-root` of layercage-differ allows its directory"
            )));
        };
        if !root.is_there() {
            let path = &root.path;
            let why = format!("the snapshot root {path:?} was replaced since the start: restart layercage-differ");
            return Err(Refusal::of_system(why));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(&root.handle, relative, flags, Mode::empty(), BENEATH).map_err(|errno| {
            let why = format!("cannot open {path:?} beneath {:?}: {}", root.path, io::Error::from(errno));
            match errno {
                Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => Refusal::of_request(why),
                _ => Refusal::of_system(why),
            }
        })
    }
}

/// The path from a directory to one beneath it, of plain names alone.
fn relative<'p>(root: &Path, path: &'p Path) -> Option<&'p Path> {
    // A path that is written in an odd way may not mean to us what it means to the kernel of another process.
    let is_plain =
        !path.as_os_str().as_encoded_bytes().split(|&byte| byte == b'/').any(|part| part == b"." || part == b"..");
    let relative = path.strip_prefix(root).ok()?;
    let only_names = relative.components().all(|component| matches!(component, Component::Normal(_)));
    (is_plain && only_names && relative.components().next().is_some()).then_some(relative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Outcome;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn world() -> (tempfile::TempDir, Roots) {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open_or_create(&place.path().join("a/snapshots")).unwrap();
        fs::create_dir_all(place.path().join("a/snapshots/1/fs")).unwrap();
        fs::create_dir_all(place.path().join("outside/fs")).unwrap();
        (place, Roots::new(vec![root]))
    }

    #[test]
    fn a_snapshot_is_opened_and_a_root_that_is_missing_is_made_for_its_owner_alone() {
        let (place, roots) = world();
        assert_eq!(fs::metadata(place.path().join("a/snapshots")).unwrap().permissions().mode() & 0o777, 0o700);
        let opened = File::from(roots.open(&place.path().join("a/snapshots/1/fs")).unwrap());
        let meant = fs::metadata(place.path().join("a/snapshots/1/fs")).unwrap();
        assert_eq!(opened.metadata().unwrap().ino(), meant.ino());
    }

    #[test]
    fn nothing_outside_of_the_roots_is_opened() {
        let (place, roots) = world();
        symlink("../../outside", place.path().join("a/snapshots/link")).unwrap();
        symlink(place.path().join("outside/fs"), place.path().join("a/snapshots/1/there")).unwrap();
        symlink("fs", place.path().join("a/snapshots/1/here")).unwrap();
        for path in [
            "outside/fs",
            "a/snapshots",
            "a/snapshots/",
            "a/snapshots/../../outside/fs",
            "a/snapshots/1/../1/fs",
            "a/snapshots/./1/fs",
            "a/snapshots/link/fs",
            "a/snapshots/1/there",
            "a/snapshots/1/here",
            "a/snapshots/2/fs",
            "a/snapshotsand/1/fs",
        ] {
            let refused = roots.open(&place.path().join(path)).unwrap_err();
            assert_eq!(refused.outcome(), Outcome::Refused, "{path}");
        }
        assert!(roots.open(Path::new("1/fs")).is_err());
        assert!(roots.open(Path::new("")).is_err());
    }

    #[test]
    fn what_the_machine_cannot_do_is_no_refusal() {
        let (place, roots) = world();
        let long = place.path().join("a/snapshots").join("n".repeat(300));
        assert_eq!(roots.open(&long).unwrap_err().outcome(), Outcome::Failed);
    }

    #[test]
    fn a_root_that_was_replaced_is_not_written_to() {
        let (place, roots) = world();
        let (root, path) = (place.path().join("a/snapshots"), place.path().join("a/snapshots/1/fs"));
        fs::rename(&root, place.path().join("old")).unwrap();
        assert!(roots.open(&path).unwrap_err().message().contains("was replaced"));
        fs::create_dir_all(&path).unwrap();
        assert!(roots.open(&path).unwrap_err().message().contains("was replaced"));
        fs::rename(&root, place.path().join("new")).unwrap();
        fs::rename(place.path().join("old"), &root).unwrap();
        assert!(roots.open(&path).is_ok());
    }

    #[test]
    fn a_blob_is_a_regular_file_that_no_link_leads_to() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("blob"), b"b").unwrap();
        fs::create_dir(place.path().join("directory")).unwrap();
        symlink("blob", place.path().join("link")).unwrap();
        let root = Root::open(place.path()).unwrap();
        assert!(root.open_file(Path::new("blob")).is_ok());
        for other in ["link", "directory", "missing", "/etc/passwd", "../blob"] {
            assert!(root.open_file(Path::new(other)).is_err(), "{other}");
        }
        assert!(Root::open(Path::new("relative")).is_err());
    }
}
