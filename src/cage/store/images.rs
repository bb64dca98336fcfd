//! The images of a store, and the removal of layers that no image needs.

use super::in_use::LAYERS;
use super::layers::{LOCK, is_layer, parse_path};
use super::lock::lock_directory;
use super::root::{Store, damaged, read};
use crate::cage::failed::{At, Failed};
use crate::cage::names::Names;
use crate::cage::stage::{self, Contents, LOWER, Stage};
use crate::cage::sys;
use crate::words::{Digest, Durability, Error};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

const IMAGES: &[u8] = b"images";

/// The name of a list that is not complete yet.
const NEW: &[u8] = b".lower";

/// The largest list: 500 layers, with SHA-512.
const MOST: usize = 1 << 20;

impl Store {
    /// Records the layers of an image, the top one first. Waits for other runs that record images.
    pub(crate) fn add_image(&self, image: &Digest, layers: &[String]) -> Result<(), Error> {
        let lower: Vec<u8> = layers.iter().flat_map(|layer| [layer.as_bytes(), b"\n"].concat()).collect();
        let images = self.open_or_make(self.root(), IMAGES)?;
        let _lock = lock_directory(images.as_fd(), FlockOperation::LockExclusive)?;
        let name = image.to_string().into_bytes();
        match self.open_existing(images.as_fd(), &name)? {
            None => Stage::beside(images.as_fd(), &name, Contents::Image { lower: &lower })?.commit(Durability::Kernel),
            Some(directory) => replace(directory.as_fd(), &lower),
        }
    }

    /// Removes an image, and the layers that no other image needs. Returns how many layers that are; `None` if the image
    /// is not in the store. No other run may use the store.
    pub(crate) fn remove_image(&self, image: &Digest) -> Result<Option<usize>, Error> {
        let Some(images) = self.open_existing(self.root(), IMAGES)? else { return Ok(None) };
        stage::remove_dead(images.as_fd())?;
        let name = image.to_string().into_bytes();
        // Before anything goes, it is known what stays.
        let needed = self.needed(images.as_fd(), &name)?;
        if self.open_existing(images.as_fd(), &name)?.is_none() {
            return Ok(None);
        }
        stage::discard(images.as_fd(), &name)?;
        self.remove_others(&needed).map(Some)
    }

    /// The layers that images need, except one.
    fn needed(&self, images: BorrowedFd<'_>, except: &[u8]) -> Result<BTreeSet<(String, String)>, Error> {
        let mut needed = BTreeSet::new();
        let mut names = Names::of(images, IMAGES)?;
        while let Some((name, _)) = names.next()? {
            if *name == *except {
                continue;
            }
            let Some(directory) = self.open_existing(images, &name)? else { continue };
            let lower = String::from_utf8(read(directory.as_fd(), LOWER, MOST)?).map_err(|_| damaged(&name))?;
            for line in lower.lines() {
                let (algorithm, layer) = parse_path(line).ok_or_else(|| damaged(&name))?;
                needed.insert((algorithm.to_owned(), layer.to_owned()));
            }
        }
        Ok(needed)
    }

    /// Removes all layers but these.
    fn remove_others(&self, needed: &BTreeSet<(String, String)>) -> Result<usize, Error> {
        let Some(layers) = self.open_existing(self.root(), LAYERS)? else { return Ok(0) };
        let mut removed = 0;
        let mut algorithms = Names::of(layers.as_fd(), LAYERS)?;
        while let Some((algorithm, _)) = algorithms.next()? {
            let Some(directory) = self.open_existing(layers.as_fd(), &algorithm)? else { continue };
            let Ok(algorithm) = std::str::from_utf8(&algorithm) else { continue };
            stage::remove_dead(directory.as_fd())?;
            // Reading a directory while it changes may skip names.
            let mut found = Vec::new();
            let mut names = Names::of(directory.as_fd(), LAYERS)?;
            while let Some((name, _)) = names.next()? {
                found.extend(std::str::from_utf8(&name).ok().map(str::to_owned));
            }
            for name in found {
                if is_layer(algorithm, &name) && !needed.contains(&(algorithm.to_owned(), name.clone())) {
                    stage::discard(directory.as_fd(), name.as_bytes())?;
                    removed += 1;
                } else if name.strip_suffix(LOCK).is_some_and(|layer| is_layer(algorithm, layer)) {
                    // Of a run that was killed: no run uses the store now.
                    sys::unlink(directory.as_fd(), name.as_bytes()).at(name.as_bytes())?;
                }
            }
        }
        Ok(removed)
    }
}

/// Replaces the list of an image, in one step.
fn replace(directory: BorrowedFd<'_>, lower: &[u8]) -> Result<(), Error> {
    match sys::unlink(directory, NEW) {
        Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => (),
        Err(failed) => return Err(failed.at(NEW)),
    }
    stage::write(directory, NEW, lower)?;
    sys::rename(directory, NEW, directory, LOWER).at(LOWER)
}
