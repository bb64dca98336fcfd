//! Files that belong to a layer and not to its tree: the pseudo-links of AUFS.
//!
//! They lie in a directory of their own, beside the staged tree or in the locked directory of the run (`temporary.rs`),
//! which only we may enter. So their names, which a layer chose, are nowhere in the tree, not for a moment. A hard link
//! gives their inode a name in the tree by `linkat` between the two directories, which takes no privilege and no
//! `/proc`, as a file without a name would. The directory goes when the layer ends, or with what is left of a dead run.

use super::content::Content;
use super::directory::{self, Opened};
use super::failed::{At, swapped};
use super::metadata::strip_acls;
use super::temporary::Temporaries;
use super::{Cage, Directory, Exposure, Place, WalkDelegate, sys};
use crate::words::{Component, DirectoryId, Fault, Metadata, PlaceId};
use std::hash::BuildHasher;
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

impl Cage {
    /// Makes a regular file that is not in the tree, and is gone when the layer ends.
    pub(crate) fn file_apart(
        &mut self,
        name: Component<'_>,
        metadata: &Metadata,
        content: Content<'_>,
        delegate: &mut dyn WalkDelegate,
    ) -> Result<(), Fault> {
        let directory = self.apart()?;
        let place = self.place(&directory, name);
        if self.exists(&place)? {
            delegate.replaces(place.parent.id(), place.id())?;
            // Nobody sees it: names that it was given in the tree stay.
            sys::unlink(place.at(), place.name()).at(&place.path())?;
        }
        self.file(&place, metadata, content, delegate)
    }

    /// The place of such a file; `None` where the layer has brought none.
    pub(crate) fn place_apart<'n>(&self, name: Component<'n>) -> Option<Place<'n>> {
        self.apart.as_ref().map(|apart| self.place(&apart.directory, name))
    }

    fn apart(&mut self) -> Result<Arc<Directory>, Fault> {
        if let Some(apart) = &self.apart {
            return Ok(Arc::clone(&apart.directory));
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

    fn open_apart(&self, around: BorrowedFd<'_>, name: &[u8]) -> Result<Directory, Fault> {
        let Opened::Directory { fd, status, mode_now } =
            directory::open(around, name, self.root.status.mount, self.me)?
        else {
            return Err(swapped(name));
        };
        // Nothing of a default ACL above the tree, or of its root, leaks into what gets a name in it.
        strip_acls(fd.as_fd())?;
        // All in it is the layer's own.
        let id = DirectoryId::at(PlaceId(self.key.hash_one(APART)), true);
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
    use crate::cage::tests::Anything;
    use crate::cage::{Keep, Lower, New};
    use crate::words::{Terms, Timestamp};

    /// Nothing stays.
    struct Nothing;

    impl Lower for Nothing {
        fn keep(&mut self, _: DirectoryId, _: PlaceId) -> Keep {
            Keep::Nothing
        }

        fn is_clear(&self, _: DirectoryId) -> bool {
            false
        }

        fn cleared(&mut self, _: DirectoryId) {}
    }

    #[test]
    fn where_no_mark_can_be_made_the_files_lie_in_the_root_and_outlive_its_clearing() {
        let tree = tempfile::tempdir().unwrap();
        let root = std::fs::File::open(tree.path()).unwrap();
        let mut cage = Cage::over(root.as_fd(), Exposure::Visible).unwrap();
        cage.begin(&Terms::new()).unwrap();
        // As on a file system without sockets.
        cage.temporaries = Temporaries::Unmarked;
        let name = |name: &'static str| Component::parse(name.as_bytes()).unwrap();
        let metadata = Metadata { mode: 0o640, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new() };
        let mut bytes = &b"data"[..];
        cage.file_apart(name("1"), &metadata, Content::of(&mut bytes), &mut Anything).unwrap();
        let root = cage.root();
        let other = cage.place(&root, name("other"));
        cage.special(&other, New::Fifo, &metadata, &mut Anything).unwrap();
        assert_eq!(std::fs::read_dir(tree.path()).unwrap().count(), 2);
        cage.clear(&root, &mut Nothing).unwrap();
        assert!(cage.is_empty(&root).unwrap(), "it is none of the tree's");
        let path = crate::words::EntryPath::parse(b".wh..wh.plnk/1", &Default::default()).unwrap();
        let (data, link) = (cage.place_apart(name("1")).unwrap(), cage.place(&root, name("a")));
        cage.hard_link(&link, &data, &path, &mut Anything).unwrap();
        cage.settle().unwrap();
        let names: Vec<_> = std::fs::read_dir(tree.path()).unwrap().map(|name| name.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
        assert_eq!(std::fs::read(tree.path().join("a")).unwrap(), b"data");
        assert!(cage.place_apart(name("1")).is_none(), "the next layer knows nothing of it");
    }
}
