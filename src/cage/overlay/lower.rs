//! The lower layers of an overlay, read as overlayfs merges them.
//!
//! They are read through handles, one component at a time. No link is followed and nothing is written, whatever another
//! process does with the layers meanwhile.

use super::directory::OverlayPlace;
use super::marks::Marks;
use crate::cage::failed::{At, Failed, is_one_of, swapped};
use crate::cage::names::Names;
use crate::cage::sys::{self, Status};
use crate::words::{Component, Error, Escaped, Lock, Misuse, PlaceId, PlaceKey, Violation};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// How many directories of lower layers are open, beside their roots. A directory may be in hundreds of layers, so they
/// are not held with the directories that the applier uses.
const OPEN: usize = 128;

/// How errors name the root of a layer.
const ROOT: &[u8] = b"the root of a lower layer";

/// The lower layers, the bottom one first.
#[derive(Debug, Default)]
pub(in crate::cage) struct LowerLayers {
    layers: Vec<Layer>,
    open: Lock<OpenDirs>,
}

#[derive(Debug)]
struct Layer {
    root: Arc<OwnedFd>,
    mount: u64,
}

/// What lower layers show at a place.
pub(super) enum Shown {
    Missing,
    /// A directory, of the layers with these numbers, the top one first.
    Directory(Box<[usize]>),
    /// Anything else. It is in this layer.
    File {
        layer: usize,
        status: Status,
    },
}

impl LowerLayers {
    /// Adds a layer on top of the others. The attributes of its root do not matter for what is below it.
    pub(super) fn push(&mut self, root: BorrowedFd<'_>) -> Result<(), Error> {
        // The handle may be `O_PATH`, which shows no attributes.
        match sys::open_directory(root, b".") {
            Err(failed @ Failed { errno: Errno::ACCESS, .. }) => Err(locked(failed.at(ROOT))),
            opened => self.push_opened(opened.at(ROOT)?),
        }
    }

    /// The same for the root of a tree that was just made.
    pub(super) fn push_opened(&mut self, root: OwnedFd) -> Result<(), Error> {
        let mount = sys::status(root.as_fd()).at(ROOT)?.mount;
        self.layers.push(Layer { root: Arc::new(root), mount });
        Ok(())
    }

    /// The numbers of all layers, the top one first.
    pub(super) fn all(&self) -> Box<[usize]> {
        (0..self.layers.len()).rev().collect()
    }

    /// Closes the directories: the key of the places changes.
    pub(super) fn forget(&self) {
        self.open.lock().handles.clear();
    }

    /// Finds out what the layers that have a directory show at a place in it.
    pub(super) fn show(&self, marks: Marks, key: &PlaceKey, at: &OverlayPlace<'_>) -> Result<Shown, Error> {
        let name = at.name().as_bytes();
        let mut found = Vec::new();
        for &layer in at.dir().layers() {
            let directory = self.open(marks, key, layer, at.dir().path())?;
            let Some(status) = status_in(directory.as_fd(), name, at.dir().path())? else { continue };
            if status.kind == FileType::Directory {
                found.push(layer);
                let opened = self.open_in(marks, layer, directory.as_fd(), at.name())?;
                let is_opaque = marks.is_opaque(opened.as_fd(), name)?;
                self.open.lock().add((layer, at.id()), opened);
                if is_opaque {
                    break;
                }
            } else if !found.is_empty() || marks.is_whiteout(directory.as_fd(), name, &status)? {
                break;
            } else {
                return Ok(Shown::File { layer, status });
            }
        }
        Ok(if found.is_empty() { Shown::Missing } else { Shown::Directory(found.into()) })
    }

    /// Opens a directory of a layer, by its path without links.
    pub(super) fn open(&self, marks: Marks, key: &PlaceKey, layer: usize, path: &[u8]) -> Result<Arc<OwnedFd>, Error> {
        let root = &self.layers.get(layer).ok_or(Error::bug("a lower layer is not there"))?.root;
        let ids = ids(key, path)?;
        // The deepest directory on the way that is open.
        let start = ids.iter().rposition(|&(id, _)| self.open.lock().get((layer, id)).is_some());
        let mut at = match start.and_then(|start| ids.get(start)) {
            Some(&(id, _)) => self.open.lock().get((layer, id)).unwrap_or_else(|| Arc::clone(root)),
            None => Arc::clone(root),
        };
        for &(id, name) in ids.iter().skip(start.map_or(0, |start| start + 1)) {
            let opened = self.open_in(marks, layer, at.as_fd(), name)?;
            at = self.open.lock().add((layer, id), opened);
        }
        Ok(at)
    }

    /// The names in a directory of a layer.
    pub(super) fn list(&self, marks: Marks, key: &PlaceKey, layer: usize, path: &[u8]) -> Result<Names, Error> {
        let directory = self.open(marks, key, layer, path)?;
        // The root of a layer that was just made is open, but its mode may deny its owner to read it again.
        Names::of(directory.as_fd(), shown(path)).map_err(|error| match is_one_of(&error, &[Errno::ACCESS]) {
            true => locked(error),
            false => error,
        })
    }

    /// Opens a directory in a directory of a layer.
    fn open_in(&self, marks: Marks, layer: usize, at: BorrowedFd<'_>, name: Component<'_>) -> Result<OwnedFd, Error> {
        let mount = self.layers.get(layer).map(|layer| layer.mount);
        let name = name.as_bytes();
        let opened = match sys::open_directory(at, name) {
            Ok(opened) => opened,
            // It was a directory a moment ago: another process is changing the layer.
            Err(Failed { errno: Errno::NOTDIR | Errno::LOOP | Errno::NOENT, .. }) => return Err(swapped(name)),
            Err(failed @ Failed { errno: Errno::ACCESS, .. }) => return Err(locked(failed.at(name))),
            Err(failed) => return Err(failed.at(name)),
        };
        if Some(sys::status(opened.as_fd()).at(name)?.mount) != mount {
            return Err(Violation::MountCrossed { at: Escaped::new(name) }.into());
        }
        // The kernel would merge it with another directory than that of its name, if the mount says so.
        if sys::has_xattr(opened.as_fd(), &marks.name("redirect")) {
            return Err(unsupported(name, "a directory that was renamed (`redirect_dir`)"));
        }
        Ok(opened)
    }

    /// Opens a regular file of a layer.
    pub(super) fn open_file(
        &self,
        marks: Marks,
        directory: BorrowedFd<'_>,
        name: &[u8],
        status: &Status,
    ) -> Result<OwnedFd, Error> {
        let file = match sys::open_file(directory, name) {
            Err(failed @ Failed { errno: Errno::ACCESS, .. }) => return Err(locked(failed.at(name))),
            file => file.at(name)?,
        };
        if sys::status(file.as_fd()).at(name)?.identity != status.identity {
            return Err(swapped(name));
        }
        // Its data is in a file of another layer.
        if sys::has_xattr(file.as_fd(), &marks.name("metacopy")) {
            return Err(unsupported(name, "a file without its data (`metacopy`)"));
        }
        Ok(file)
    }
}

/// The error for a lower layer that this library does not read.
pub(super) fn unsupported(name: &[u8], what: &'static str) -> Error {
    Misuse::UnsupportedLower { name: Escaped::new(name), what }.into()
}

/// The status of what has a name in a directory of a lower layer, which has this path; `None` if nothing has the name.
pub(super) fn status_in(directory: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<Option<Status>, Error> {
    match sys::status_at(directory, name) {
        Err(Failed { errno: Errno::NOENT, .. }) => Ok(None),
        // The directory could be opened, but its mode does not let its owner look at what is in it.
        Err(failed @ Failed { errno: Errno::ACCESS, .. }) => Err(locked(failed.at(shown(path)))),
        status => status.at(name).map(Some),
    }
}

/// How errors name a directory of a lower layer.
pub(super) fn shown(path: &[u8]) -> &[u8] {
    if path.is_empty() { ROOT } else { path }
}

/// The error for a file of a lower layer whose mode denies us access. Lower layers are not changed, not even for a moment.
fn locked(error: Error) -> Error {
    error.with_advice(
        "its mode denies its owner access, and lower layers are not changed: run as root, or in `unshare -r --map-auto` or \
         `podman unshare`",
    )
}

/// The places on the way to a path, each with its name.
fn ids<'p>(key: &PlaceKey, path: &'p [u8]) -> Result<Vec<(PlaceId, Component<'p>)>, Error> {
    let mut within = PlaceId::ROOT;
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
    let ids = parts.map(|part| {
        let name = Component::parse(part)?;
        within = key.place(within, name);
        Ok((within, name))
    });
    ids.collect()
}

/// Directories of lower layers that are open.
#[derive(Debug, Default)]
struct OpenDirs {
    handles: HashMap<(usize, PlaceId), (Arc<OwnedFd>, u64)>,
    clock: u64,
}

impl OpenDirs {
    fn get(&mut self, at: (usize, PlaceId)) -> Option<Arc<OwnedFd>> {
        let (handle, used) = self.handles.get_mut(&at)?;
        self.clock += 1;
        *used = self.clock;
        Some(Arc::clone(handle))
    }

    fn add(&mut self, at: (usize, PlaceId), opened: OwnedFd) -> Arc<OwnedFd> {
        if self.handles.len() >= OPEN
            && let Some(oldest) = self.handles.iter().min_by_key(|(_, (_, used))| *used).map(|(&at, _)| at)
        {
            self.handles.remove(&oldest);
        }
        self.clock += 1;
        let opened = Arc::new(opened);
        self.handles.insert(at, (Arc::clone(&opened), self.clock));
        opened
    }
}
