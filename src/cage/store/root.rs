//! The root of a store, and its directories.

use crate::cage::directory::Caller;
use crate::cage::failed::{At, Failed};
use crate::cage::stage;
use crate::cage::sys;
use crate::words::{Durability, Error, Escaped, Lock, Misuse};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// A store of overlay layers.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) root: OwnedFd,
    caller: Caller,
    /// The boot of the machine. A layer that was not written to the disk is whole only until the next one.
    pub(super) boot: String,
    privileges: String,
    /// How errors of the system say that a name is one in the store.
    place: String,
    /// Whether a directory of the store was made, which may still be empty.
    pub(super) has_made: AtomicBool,
    /// A shared lock on the store that waits for its first use.
    pub(super) held: Lock<Option<OwnedFd>>,
}

/// The directory of the layers.
pub(super) const LAYERS: &[u8] = b"layers";

/// The directory of the images.
pub(super) const IMAGES: &[u8] = b"images";

/// The name of a file that is not complete yet.
const NEW: &[u8] = b".new";

/// The bits with which other users may write to a directory.
const OTHERS_WRITE: u32 = 0o022;

impl Store {
    /// The store in a directory, which may be empty.
    pub(crate) fn open(directory: BorrowedFd<'_>) -> Result<Self, Error> {
        let place = "in the store".to_owned();
        let root = sys::open_directory(directory, b".").at(b".").map_err(|error| error.about(&place))?;
        let (caller, has_made) = (Caller::current(), AtomicBool::new(false));
        let (boot, privileges, held) = (boot(), privileges(), Lock::default());
        let store = Self { root, caller, boot, privileges, place, has_made, held };
        // A layer is taken for what its record says. So no other user may be able to write a record.
        store.check_private(store.root.as_fd(), b".").map_err(|error| store.located(error))?;
        Ok(store)
    }

    /// Sets the path by which errors name the store.
    pub(crate) fn set_name(&mut self, path: &[u8]) {
        self.place = format!("in the store {}", Escaped::whole(path));
    }

    /// Adds to a failed system call that its name is one in this store.
    pub(super) fn located(&self, error: Error) -> Error {
        error.about(&self.place)
    }

    /// The ids and privileges of this process, and the ids that its user namespace has: they decide which owners and
    /// attributes a layer gets.
    pub(crate) fn privileges(&self) -> &str {
        &self.privileges
    }

    fn check_private(&self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), Error> {
        let status = sys::status(directory).at(name)?;
        if status.uid != self.caller.uid || status.mode & OTHERS_WRITE != 0 {
            return Err(Misuse::SharedStore { name: Escaped::new(name) }.into());
        }
        Ok(())
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a directory of the store. It is made if it is not there.
    pub(super) fn open_or_make(&self, at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Error> {
        match sys::create_directory(at, name) {
            Ok(()) => self.has_made.store(true, Ordering::Relaxed),
            Err(Failed { errno: Errno::EXIST, .. }) => (),
            Err(failed) => return Err(failed.at(name)),
        }
        let directory = sys::open_directory(at, name).at(name)?;
        self.check_private(directory.as_fd(), name)?;
        Ok(directory)
    }

    /// Opens a directory of the store, if it is there.
    pub(super) fn open_existing(&self, at: BorrowedFd<'_>, name: &[u8]) -> Result<Option<OwnedFd>, Error> {
        let directory = match sys::open_directory(at, name) {
            Err(Failed { errno: Errno::NOENT, .. }) => return Ok(None),
            other => other.at(name)?,
        };
        self.check_private(directory.as_fd(), name)?;
        Ok(Some(directory))
    }
}

/// Reads a small file of the store.
pub(super) fn read(at: BorrowedFd<'_>, name: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let file = sys::open_file(at, name).at(name)?;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match sys::read(file.as_fd(), &mut buffer).at(name)? {
            0 => return Ok(bytes),
            length => bytes.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
        if bytes.len() > most {
            return Err(damaged(name));
        }
    }
}

/// Replaces a small file of the store, in one step.
pub(super) fn replace(
    at: BorrowedFd<'_>,
    (name, content): (&[u8], &[u8]),
    durability: Durability,
) -> Result<(), Error> {
    match sys::unlink(at, NEW) {
        Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => (),
        Err(failed) => return Err(failed.at(NEW)),
    }
    stage::write(at, NEW, content)?;
    if durability == Durability::Synced {
        sys::sync_file_system(at).at(NEW)?;
    }
    sys::rename(at, NEW, at, name).at(name)?;
    match durability {
        Durability::Kernel => Ok(()),
        Durability::Synced => sys::sync(at).at(name),
    }
}

/// The error for something in a store that this library has not written.
#[cold]
pub(super) fn damaged(name: &[u8]) -> Error {
    Misuse::DamagedStore { name: Escaped::new(name) }.into()
}

/// What decides about owners and attributes: the file capabilities that need `CAP_SETFCAP`, and the attributes that need
/// `CAP_SYS_ADMIN`, too. Without `/proc`, the ids of the user namespace are missing from it.
fn privileges() -> String {
    use rustix::thread::{CapabilitySet, capabilities};
    let caller = Caller::current();
    let decides = CapabilitySet::SETFCAP | CapabilitySet::SYS_ADMIN;
    let attributes = capabilities(None).map(|sets| sets.effective & decides);
    let maps = [&b"/proc/self/uid_map"[..], b"/proc/self/gid_map"];
    let maps = maps.map(|map| read(rustix::fs::CWD, map, 64 << 10).unwrap_or_default());
    let maps = maps.map(|map| String::from_utf8_lossy(&map).into_owned()).join("/");
    format!("{caller:?} {attributes:?} {maps}")
}

/// Identifies the boot of the machine; empty without `/proc`.
fn boot() -> String {
    let id = read(rustix::fs::CWD, b"/proc/sys/kernel/random/boot_id", 128).unwrap_or_default();
    String::from_utf8_lossy(&id).trim().to_owned()
}
