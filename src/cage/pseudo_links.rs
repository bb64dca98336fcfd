//! Files that belong to a layer and not to its tree: the pseudo-links of AUFS.
//!
//! They are in a directory of their own, beside the staged tree or in the locked directory of the run (`temporary.rs`).
//! Only we can enter that directory. So their names, which a layer chose, are never in the tree. A hard link gives
//! their inode a name in the tree by `linkat` between the two directories. That needs no privileges and no `/proc`,
//! which a file without a name would need. The directory is removed when the layer ends, or with the leftovers of a
//! dead run.

use super::apart::{APART, Apart};
use super::directory::Directory;
use super::failed::At;
use super::marker::Marking;
use super::state::{Cage, Exposure};
use super::sys;
use crate::words::{Error, PlaceId};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

impl Cage {
    /// The directory for files that are not in the tree. It is created if it does not exist.
    pub(super) fn open_or_make_apart(&mut self) -> Result<Arc<Directory>, Error> {
        if let Some(apart) = &self.apart {
            return Ok(apart.directory());
        }
        let (parent, name) = self.parent_of_apart()?;
        let id = PlaceId(self.key.hash(APART));
        let apart = Apart::make(parent, name, id, self.root.status.mount, self.caller)?;
        Ok(self.apart.insert(apart).directory())
    }

    /// The same directory, if there is one.
    pub(super) fn apart_directory(&self) -> Option<Arc<Directory>> {
        self.apart.as_ref().map(Apart::directory)
    }

    /// Where the directory is made, and its name there.
    fn parent_of_apart(&mut self) -> Result<(OwnedFd, Vec<u8>), Error> {
        if let Some(stage) = &self.stage {
            return Ok((duplicate(stage.as_fd())?, APART.to_vec()));
        }
        if self.exposure == Exposure::Visible {
            self.mark()?;
        }
        if let Marking::Marked(marker) = &self.marking {
            return Ok((duplicate(marker.directory())?, APART.to_vec()));
        }
        // A file system without sockets: after a kill the directory stays, like any other temporary name.
        self.root.touch();
        let name = self.temporary_names.next();
        Ok((duplicate(self.root.as_fd())?, name))
    }

    /// Removes the directory with its content.
    pub(super) fn settle_apart(&mut self) -> Result<(), Error> {
        let Some(apart) = self.apart.take() else { return Ok(()) };
        apart.remove(self.cleaner()).map_err(|unremoved| {
            self.leave_for_next_run();
            unremoved.error
        })
    }
}

fn duplicate(handle: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    sys::duplicate(handle).at(APART)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cage::create::New;
    use crate::cage::tests::{ANYHOW, component, metadata, own};
    use crate::plan::LayerContents;
    use crate::tree::{Content, Over, Tree};
    use crate::words::Terms;

    #[test]
    fn where_no_mark_can_be_made_the_files_lie_in_the_root_and_outlive_its_clearing() {
        let tree = tempfile::tempdir().unwrap();
        let root = std::fs::File::open(tree.path()).unwrap();
        let mut cage = Cage::over(root.as_fd(), Exposure::Visible).unwrap();
        cage.begin(&Terms::new()).unwrap();
        // As on a file system without sockets.
        cage.marking = Marking::Unmarked;
        let metadata = metadata(0o640);
        let mut bytes = &b"data"[..];
        let apart = own(cage.open_or_make_apart().unwrap());
        let data = cage.place(&apart, component("1"));
        let mut content = Content::of(&mut bytes);
        cage.make_file(&data, (&metadata, ANYHOW), &mut content, Over::Nothing).unwrap();
        let root = own(cage.root_directory());
        let other = cage.place(&root, component("other"));
        cage.make_special(&other, (&metadata, ANYHOW), New::Fifo, Over::Nothing).unwrap();
        assert_eq!(std::fs::read_dir(tree.path()).unwrap().count(), 2);
        cage.clear_lower(&root.dir, &LayerContents::nothing()).unwrap();
        assert!(cage.is_empty(&root.dir).unwrap(), "it is none of the tree's");
        let link = cage.place(&root, component("a"));
        cage.make_link(&link, &data, Over::Nothing).unwrap();
        cage.settle().unwrap();
        let names: Vec<_> = std::fs::read_dir(tree.path()).unwrap().map(|name| name.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
        assert_eq!(std::fs::read(tree.path().join("a")).unwrap(), b"data");
        assert!(cage.apart_directory().is_none(), "the next layer knows nothing of it");
    }
}
