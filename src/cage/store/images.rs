//! The images of a store, and the removal of layers that no image needs.

use super::layers::{LOCK, is_layer, parse_path, policy_digits};
use super::lock::lock_directory;
use super::root::{IMAGES, LAYERS, Store, damaged, read, replace};
use crate::cage::failed::{At, Failed};
use crate::cage::names::Names;
use crate::cage::stage::{self, Contents, LOWER, Stage};
use crate::cage::sys;
use crate::words::{Algorithm, Digest, Durability, Error};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The prefix of the lists of an image that was unpacked under several policies. A part of the policy's digest follows.
const LOWER_OF: &str = "lower.";

/// The last line of such a list.
const LAST: &str = "end";

/// The largest list: 500 layers, with SHA-512.
const MOST: usize = 1 << 20;

/// The layers of an image under a policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListedImage<'a> {
    pub(crate) digest: &'a Digest,
    pub(crate) policy: &'a Digest,
    /// Paths from the root of the store, the top layer first.
    pub(crate) layers: &'a [String],
}

impl Store {
    /// Lists the layers of an image. Lists for other policies stay: their layers may be in use, too. Waits for other runs
    /// that list images.
    pub(crate) fn add_image(&self, image: ListedImage<'_>, durability: Durability) -> Result<(), Error> {
        self.put_image(image, durability).map_err(|error| self.located(error))
    }

    fn put_image(&self, image: ListedImage<'_>, durability: Durability) -> Result<(), Error> {
        let lower: String = image.layers.iter().flat_map(|layer| [layer, "\n"]).collect();
        let policy = format!("{LOWER_OF}{}", policy_digits(image.policy)).into_bytes();
        let whole = format!("{lower}{LAST}\n");
        // The list of the last run comes last: each layer in it is in a list with an end by then.
        let lists = [(&*policy, whole.as_bytes()), (LOWER, lower.as_bytes())];
        let images = self.open_or_make(self.root(), IMAGES)?;
        let _lock = lock_directory(images.as_fd(), FlockOperation::LockExclusive)?;
        let name = image.digest.to_string().into_bytes();
        match self.open_existing(images.as_fd(), &name)? {
            None => Stage::beside(images.as_fd(), &name, Contents::Image { lists: &lists })?.commit(durability),
            Some(directory) => lists.iter().try_for_each(|list| put(directory.as_fd(), *list, durability)),
        }
    }

    /// Removes an image, and the layers that no other image needs: those of failed runs, too. Returns how many layers that
    /// are; `None` if there was nothing to remove. No other run may use the store.
    pub(crate) fn remove_image(&self, image: &Digest) -> Result<Option<usize>, Error> {
        self.take_image(image).map_err(|error| self.located(error))
    }

    fn take_image(&self, image: &Digest) -> Result<Option<usize>, Error> {
        let images = self.open_existing(self.root(), IMAGES)?;
        let name = image.to_string().into_bytes();
        // Before anything goes, it is known what stays and what goes.
        let mut needed = BTreeSet::new();
        let mut is_there = false;
        if let Some(images) = &images {
            self.add_needed(images.as_fd(), &name, &mut needed)?;
            is_there = self.open_existing(images.as_fd(), &name)?.is_some();
        }
        let shelves = self.unneeded(&needed)?;
        if let Some(images) = &images {
            stage::remove_dead(images.as_fd())?;
            if is_there {
                stage::discard(images.as_fd(), &name)?;
            }
        }
        shelves.iter().try_for_each(Unneeded::remove)?;
        let removed = shelves.iter().map(|shelf| shelf.layers.len()).sum();
        Ok((is_there || removed > 0).then_some(removed))
    }

    /// Adds the layers that images need, except one.
    fn add_needed(
        &self,
        images: BorrowedFd<'_>,
        except: &[u8],
        needed: &mut BTreeSet<(String, String)>,
    ) -> Result<(), Error> {
        let mut names = Names::of(images, IMAGES)?;
        while let Some((name, _)) = names.next()? {
            if *name == *except || !is_digest(&name) {
                continue;
            }
            let Some(directory) = self.open_existing(images, &name)? else { continue };
            listed(directory.as_fd(), needed)?.ok_or_else(|| damaged(&[IMAGES, b"/", &name].concat()))?;
        }
        Ok(())
    }

    /// Finds all layers but these. What this library has not written is not looked at.
    fn unneeded(&self, needed: &BTreeSet<(String, String)>) -> Result<Vec<Unneeded>, Error> {
        let Some(layers) = self.open_existing(self.root(), LAYERS)? else { return Ok(Vec::new()) };
        let mut shelves = Vec::new();
        for algorithm in Algorithm::ALL.iter().map(|algorithm| algorithm.name()) {
            let Some(directory) = self.open_existing(layers.as_fd(), algorithm.as_bytes())? else { continue };
            let mut shelf = Unneeded { directory, layers: Vec::new(), locks: Vec::new() };
            let mut names = Names::of(shelf.directory.as_fd(), LAYERS)?;
            while let Some((name, _)) = names.next()? {
                let Ok(name) = std::str::from_utf8(&name) else { continue };
                if is_layer(algorithm, name) {
                    if !needed.contains(&(algorithm.to_owned(), name.to_owned()))
                        && self.open_existing(shelf.directory.as_fd(), name.as_bytes())?.is_some()
                    {
                        shelf.layers.push(name.to_owned());
                    }
                } else if name.strip_suffix(LOCK).is_some_and(|layer| is_layer(algorithm, layer)) {
                    shelf.locks.push(name.to_owned());
                }
            }
            shelves.push(shelf);
        }
        Ok(shelves)
    }
}

/// What no image needs of the layers whose chain IDs have the same algorithm.
struct Unneeded {
    directory: OwnedFd,
    layers: Vec<String>,
    /// The locks of runs that were killed: no run uses the store now.
    locks: Vec<String>,
}

impl Unneeded {
    fn remove(&self) -> Result<(), Error> {
        let directory = self.directory.as_fd();
        stage::remove_dead(directory)?;
        self.layers.iter().try_for_each(|layer| stage::discard(directory, layer.as_bytes()))?;
        self.locks.iter().try_for_each(|lock| sys::unlink(directory, lock.as_bytes()).at(lock.as_bytes()))
    }
}

fn is_digest(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| name.parse::<Digest>().is_ok())
}

/// Adds the layers of an image, under all its policies. `None` if a list is not complete, or if there is none: a power
/// failure may leave files without content.
fn listed(image: BorrowedFd<'_>, needed: &mut BTreeSet<(String, String)>) -> Result<Option<()>, Error> {
    let mut lists = 0;
    let mut names = Names::of(image, IMAGES)?;
    while let Some((name, _)) = names.next()? {
        if name.starts_with(LOWER_OF.as_bytes()) {
            lists += 1;
            let Some(layers) = parse(&read(image, &name, MOST)?) else { return Ok(None) };
            needed.extend(layers);
        }
    }
    Ok((lists > 0).then_some(()))
}

/// Gives an image a list. One that is the same stays: the store may be read-only.
fn put(image: BorrowedFd<'_>, list: (&[u8], &[u8]), durability: Durability) -> Result<(), Error> {
    let (name, lower) = list;
    match sys::open_file(image, name) {
        Err(Failed { errno: Errno::NOENT, .. }) => replace(image, list, durability),
        Err(failed) => Err(failed.at(name)),
        Ok(_) if read(image, name, MOST)? != lower => replace(image, list, durability),
        Ok(_) if durability == Durability::Synced => sys::sync_file_system(image).at(name),
        Ok(_) => Ok(()),
    }
}

/// The layers of a complete list.
fn parse(list: &[u8]) -> Option<Vec<(String, String)>> {
    let mut lines: Vec<_> = std::str::from_utf8(list).ok()?.strip_suffix('\n')?.split('\n').collect();
    if lines.pop()? != LAST {
        return None;
    }
    let layer = |line| parse_path(line).map(|(algorithm, layer)| (algorithm.to_owned(), layer.to_owned()));
    lines.into_iter().map(layer).collect()
}
