//! The directory of a store, before layers are made in it.

#![expect(clippy::disallowed_methods, reason = "the user who types a path has the authority over it")]

use crate::opened::open_directory;
use crate::tell::{Failure, Left, shown};
use cap_std::fs::Dir;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::OsString;
use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// What a store can be.
pub(crate) const STORES: &str = "STORE is a new directory, an empty one, or a store";

/// The directories of the layers in a store, the upper one first.
const LAYERS: [&str; 2] = ["layers", "layers/sha256"];

/// How often a run looks again if another one removes the store that it has made.
const ATTEMPTS: u32 = 100;

/// The directory of a store.
pub(crate) struct UsedStore {
    pub(crate) directory: Dir,
    /// A handle for the lock: `directory` is one that cannot have a lock.
    lock: Option<OwnedFd>,
    /// The parent directory, and the name there, if this run has made the directory.
    made: Option<(Dir, OsString)>,
}

impl UsedStore {
    /// Opens the directory of a store from which something is removed.
    pub(crate) fn open(store: &Path) -> Result<Self, Failure> {
        let directory = open_directory(store).map_err(|failure| no_directory(store).unwrap_or(failure))?;
        Ok(Self { directory, lock: None, made: None })
    }

    /// Opens the directory of a store, and locks it. It is made if nothing has its name.
    ///
    /// A run that fails removes the directory that it has made. Another run may have opened it meanwhile, and no lock would
    /// keep it. So the lock counts only if the directory still has its name.
    pub(crate) fn open_or_make(store: &Path) -> Result<Self, Failure> {
        let mut attempts = 1..ATTEMPTS;
        loop {
            let made = make(store)?;
            let is_last = attempts.next().is_none();
            match Self::open(store).and_then(|used| used.locked(store)) {
                Ok((used, is_there)) if is_there || is_last => return Ok(Self { made, ..used }),
                Err(failure) if is_last || std::fs::metadata(store).is_ok() => return Err(failure),
                Ok(_) | Err(_) => (),
            }
        }
    }

    /// Locks the directory as a run does that makes layers. Returns whether it still has its name then.
    fn locked(self, store: &Path) -> Result<(Self, bool), Failure> {
        let help = || "STORE must be readable and writable for you".to_owned();
        let failed = |error: Errno| Failure::open(store, error.into()).with_help(help());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = retry_on_intr(|| openat(&self.directory, ".", flags, Mode::empty())).map_err(failed)?;
        retry_on_intr(|| flock(&lock, FlockOperation::LockShared)).map_err(failed)?;
        let status = fstat(&lock).map_err(failed)?;
        let is_it = |there: Metadata| (there.dev(), there.ino()) == (status.st_dev, status.st_ino);
        Ok((Self { lock: Some(lock), ..self }, std::fs::metadata(store).is_ok_and(is_it)))
    }

    /// Unlocks the directory: something else holds the store.
    pub(crate) fn unlock(&self, store: &Path) -> Result<(), Failure> {
        let unlock = |lock: &OwnedFd| retry_on_intr(|| flock(lock, FlockOperation::Unlock));
        self.lock.as_ref().map_or(Ok(()), unlock).map_err(|error| Failure::open(store, error.into()))
    }

    /// The directory in which most layers are made. It is made in a store that this run has made.
    ///
    /// For each file that is created, the kernel asks the sandbox about each directory above it, up to one that has a rule. A
    /// rule for this directory makes the way shorter: an overlay of 125,000 files takes 4 % less time.
    pub(crate) fn layers(&self) -> Option<Dir> {
        if self.made.is_some() {
            // If that fails, so does the first layer, which says why.
            LAYERS.iter().try_for_each(|name| mkdirat(&self.directory, *name, Mode::RWXU)).ok()?;
        }
        LAYERS.last().and_then(|name| self.directory.open_dir(name).ok())
    }

    /// The directory in which this run has made the store.
    pub(crate) fn parent(&self) -> Option<&Dir> {
        self.made.as_ref().map(|(parent, _)| parent)
    }

    /// Removes the store after a failure if this run has made it, unless it has a layer or another run uses it. The failure
    /// then says that nothing is left.
    pub(crate) fn remove_after(self, failure: Failure, store: &Path) -> Failure {
        let Some((parent, name)) = &self.made else { return failure };
        let is_free = |lock: &OwnedFd| retry_on_intr(|| flock(lock, FlockOperation::NonBlockingLockExclusive)).is_ok();
        let is_free = self.lock.as_ref().is_some_and(is_free);
        if is_free {
            // Those that are not empty stay.
            LAYERS.iter().rev().for_each(|name| drop(self.directory.remove_dir(name)));
        }
        match is_free && parent.remove_dir(name).is_ok() {
            true => failure.leaving(Left::Nothing(store.to_owned())),
            false => failure,
        }
    }
}

/// Makes the directory of a store; `None` if something has its name.
fn make(store: &Path) -> Result<Option<(Dir, OsString)>, Failure> {
    match DirBuilder::new().mode(0o700).create(store) {
        Ok(()) => (),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => {
            let help = "STORE is created in its parent directory, which must exist and be writable for you";
            return Err(Failure::open(store, error).with_help(help.to_owned()));
        }
    }
    let (Some(parent), Some(name)) = (store.parent(), store.file_name()) else { return Ok(None) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    Ok(Some((open_directory(parent)?, name.to_owned())))
}

/// The usage error for something that is not a directory.
fn no_directory(store: &Path) -> Option<Failure> {
    let is_other = std::fs::metadata(store).is_ok_and(|metadata| !metadata.is_dir());
    let failure = || Failure::usage(format!("{} exists already, and is not a directory", shown(store)));
    is_other.then(|| failure().with_help(STORES.to_owned()))
}
