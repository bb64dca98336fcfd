//! The other names of a file of a lower layer.
//!
//! Overlayfs copies a file up by one of its names, and the other names keep the old file. In the image they are names of
//! one file. So a file that gets another name is copied with all names that it has, which are found by reading the layer
//! through, once.

use super::directory::OverlayPlace;
use super::look::Above;
use super::lower::{Shown, status_in};
use super::names::{OVERHEAD, Paths};
use super::state::OverlayTree;
use crate::plan::Holds;
use crate::tree::{Branch, Made, Over, Step, Tree, path_of};
use crate::words::{Component, Error, Limit};
use rustix::fs::FileType;
use std::os::fd::AsFd;
use std::sync::Arc;

impl OverlayTree {
    /// Makes the other names of a file that was copied.
    pub(super) fn copy_other_names(
        &mut self,
        copy: &OverlayPlace<'_>,
        layer: usize,
        identity: (u64, u64),
    ) -> Result<(), Error> {
        self.read_names(layer)?;
        let names = self.names.layers.get_mut(&layer).and_then(|files| files.remove(&identity)).unwrap_or_default();
        let own = path_of(copy.dir().path(), copy.name());
        for name in names.into_iter().filter(|name| *name != own) {
            self.copy_name(copy, layer, identity, &name)?;
        }
        Ok(())
    }

    /// Makes a name of a file that was copied, if a mount would show it.
    fn copy_name(
        &mut self,
        copy: &OverlayPlace<'_>,
        layer: usize,
        identity: (u64, u64),
        path: &[u8],
    ) -> Result<(), Error> {
        let mut at = Branch { dir: Arc::clone(&self.root), holds: Holds::Lower };
        let mut parts = path.split(|&byte| byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let place = self.place(&at, Component::parse(part)?);
            if parts.peek().is_some() {
                let Step::Directory(next) = self.look(&place)? else { return Ok(()) };
                at = Branch { dir: next, holds: Holds::Lower };
                continue;
            }
            let Above::Nothing = self.above(&place)? else { return Ok(()) };
            let Some(Shown::File { layer: of, status }) = self.show(&place)? else { return Ok(()) };
            if of != layer || status.identity != identity {
                return Ok(());
            }
            let to = copy.dir().upper().ok_or(Error::bug("a copy is not there"))?;
            let within = Self::within(copy, to);
            let upper = self.copy_up(place.dir())?;
            let name = copy.name();
            let made = self.at_upper(&place, upper, |cage, place| {
                let to = cage.place(&within, name);
                cage.link(place, &to, Over::Nothing)
            })?;
            return match made {
                Made::Done(_) => Ok(()),
                Made::InTheWay(_) | Made::Undone(_) => Err(crate::cage::failed::swapped(path)),
            };
        }
        Ok(())
    }

    /// Reads a lower layer through, and keeps the names of files that have more than one.
    fn read_names(&mut self, layer: usize) -> Result<(), Error> {
        if self.names.layers.contains_key(&layer) {
            return Ok(());
        }
        let mut files = Paths::new();
        // The directory added last comes first: it is most often in the one just read, which is still open.
        let mut to_do: Vec<Box<[u8]>> = vec![Box::default()];
        while let Some(path) = to_do.pop() {
            let directory = self.open_below(layer, &path)?;
            let mut listing = self.list_below(layer, &path)?;
            while let Some((name, kind)) = listing.next()? {
                let child = path_of(&path, Component::parse(&name)?);
                let status = match kind {
                    FileType::Directory => None,
                    _ => match status_in(directory.as_fd(), &name, &path)? {
                        None => continue,
                        status => status,
                    },
                };
                let is_kept = status.is_none_or(|status| status.kind == FileType::Directory || status.links > 1);
                if is_kept {
                    self.names.bytes += child.len() as u64 + OVERHEAD;
                    self.limits.check(Limit::TreeBytes, self.names.bytes)?;
                }
                match status {
                    Some(status) if status.kind != FileType::Directory => {
                        if status.links > 1 {
                            files.entry(status.identity).or_default().push(child);
                        }
                    }
                    _ => to_do.push(child),
                }
            }
        }
        self.names.layers.insert(layer, files);
        Ok(())
    }
}
