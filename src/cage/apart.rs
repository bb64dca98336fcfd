//! Files that belong to a layer and not to its tree: the pseudo-links of AUFS.
//!
//! They lie in a directory of their own, beside the staged tree or in the locked directory of the run (`temporary.rs`),
//! which only we may enter. So their names, which a layer chose, are nowhere in the tree, not for a moment. A hard link
//! gives their inode a name in the tree by `linkat` between the two directories, which takes no privilege and no
//! `/proc`, as a file without a name would. The directory goes when the layer ends, or with what is left of a dead run.

use super::directory::{self, Opened};
use super::failed::{At, swapped};
use super::metadata::strip_acls;
use super::temporary::Temporaries;
use super::{Cage, Directory, Exposure, sys};
use crate::words::{Fault, PlaceId};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The name of the directory, beside the staged tree or in the directory of the run.
pub(super) const APART: &[u8] = b"apart";

/// What messages say of where such a file is: that is how its entry is called.
const SHOWN: &[u8] = b".wh..wh.plnk";

/// The directory that such files are in.
#[derive(Debug)]
pub(super) struct Apart {
    directory: Arc<Directory>,
    /// What it is in, and its name there.
    around: OwnedFd,
    name: Vec<u8>,
}

impl Apart {
    pub(super) fn is(&self, directory: &Directory) -> bool {
        self.directory.id() == directory.id()
    }
}

impl Cage {
    /// The directory for files that are not in the tree. It is made when there is none.
    pub(super) fn open_or_make_apart(&mut self) -> Result<Arc<Directory>, Fault> {
        if let Some(apart) = self.apart_directory() {
            return Ok(apart);
        }
        let (around, name) = self.around_apart()?;
        sys::create_directory(around.as_fd(), &name).at(&name)?;
        let opened = self.open_apart(around.as_fd(), &name);
        let directory = opened.inspect_err(|_| {
            let _ = sys::remove_directory(around.as_fd(), &name);
        })?;
        let directory = Arc::new(directory);
        self.apart = Some(Apart { directory: Arc::clone(&directory), around, name });
        Ok(directory)
    }

    /// The same directory, if there is one.
    pub(super) fn apart_directory(&self) -> Option<Arc<Directory>> {
        self.apart.as_ref().map(|apart| Arc::clone(&apart.directory))
    }

    fn open_apart(&self, around: BorrowedFd<'_>, name: &[u8]) -> Result<Directory, Fault> {
        let Opened::Directory { fd, status, mode_now } =
            directory::open(around, name, self.root.status.mount, self.me)?
        else {
            return Err(swapped(name));
        };
        // Nothing of a default ACL above the tree, or of its root, leaks into what gets a name in it.
        strip_acls(fd.as_fd())?;
        let id = PlaceId(self.key.hash(APART));
        Ok(Directory::new(fd, id, SHOWN.into(), status, mode_now, false))
    }

    /// Where the directory is made, and its name there.
    fn around_apart(&mut self) -> Result<(OwnedFd, Vec<u8>), Fault> {
        if let Some(stage) = &self.stage {
            return Ok((duplicate(stage.as_fd())?, APART.to_vec()));
        }
        if self.exposure == Exposure::Visible {
            self.mark()?;
        }
        if let Temporaries::Marked(marker) = &self.temporaries {
            return Ok((duplicate(marker.directory())?, APART.to_vec()));
        }
        // A file system without sockets: a kill leaves it, like any other temporary name.
        self.root.touch();
        let name = self.temporary_name();
        Ok((duplicate(self.root.as_fd())?, name))
    }

    /// Whether a name in the root is that of the directory.
    pub(super) fn is_apart(&self, root: BorrowedFd<'_>, name: &[u8]) -> bool {
        let is_it = |apart: &Apart| apart.name == name && sys::names(root, name, apart.directory.status.identity);
        self.apart.as_ref().is_some_and(is_it)
    }

    /// Removes the directory with all that is in it.
    pub(super) fn settle_apart(&mut self) -> Result<(), Fault> {
        let Some(Apart { directory, around, name }) = self.apart.take() else { return Ok(()) };
        drop(directory);
        self.remove_tree(around.as_fd(), &name).map_err(|unremoved| {
            self.leave_for_next_run();
            unremoved.fault
        })
    }
}

fn duplicate(handle: BorrowedFd<'_>) -> Result<OwnedFd, Fault> {
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
        cage.temporaries = Temporaries::Unmarked;
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
