//! What is done while something fails.

use crate::large;
use crate::layers::layer;
use crate::tree::{self, Tree};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use tar::EntryType::{Directory as Dir, Fifo, Link, Regular as File, Symlink};
use tempfile::TempDir;

/// An image that is unpacked, or a layer that is applied to a tree that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Unpack,
    /// An image that is unpacked, and written to the disk, in the place of an empty directory.
    Replace,
    /// An image whose layers are read ahead, in part into temporary files.
    Ahead,
    Apply,
    /// An image that is unpacked to a store of overlay layers.
    Overlay,
    /// An image that is written as an EROFS image, in the place of a file.
    Erofs,
    /// An image whose layers are written as EROFS images.
    Layers,
}

impl Job {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unpack => "unpack",
            Self::Replace => "unpack over an empty directory",
            Self::Ahead => "unpack large layers",
            Self::Apply => "apply",
            Self::Overlay => "overlay",
            Self::Erofs => "erofs",
            Self::Layers => "erofs layers",
        }
    }

    /// A place with all that it takes.
    pub(crate) fn place(self) -> TempDir {
        let place = tempfile::tempdir().unwrap();
        match self {
            Self::Unpack | Self::Replace | Self::Overlay | Self::Erofs | Self::Layers => {
                let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
                std::os::unix::fs::symlink(fs::canonicalize(world).unwrap(), place.path().join("image")).unwrap();
                self.make_empty(place.path());
            }
            Self::Ahead => large::write(&place.path().join("image")),
            Self::Apply => {
                fs::create_dir(place.path().join("root")).unwrap();
                fs::write(place.path().join("layer"), lower()).unwrap();
                let made = Command::new(crate::COMMAND).args(["apply", "layer", "root"]).current_dir(&place).output();
                assert!(made.unwrap().status.success());
                fs::write(place.path().join("layer"), upper()).unwrap();
            }
        }
        place
    }

    pub(crate) fn arguments(self, jobs: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Unpack | Self::Ahead => &["unpack", "--jobs", jobs, "image", "rootfs"],
            Self::Replace => &["unpack", "--sync", "--jobs", jobs, "image", "rootfs"],
            Self::Overlay => &["overlay", "--jobs", jobs, "image", "store"],
            // With all that the file may have.
            Self::Erofs => {
                &["erofs", "--sync", "--block-size", "4096", "--verity", "--jobs", jobs, "image", "rootfs/a.img"]
            }
            Self::Layers => {
                &["erofs", "--layers", "--sync", "--block-size", "4096", "--verity", "--jobs", jobs, "image", "rootfs"]
            }
            // Known by its size: it is verified first, as a tree in use should have it.
            Self::Apply => &["apply", "--jobs", jobs, "--size", "SIZE", "layer", "root"],
        };
        let size = upper().len().to_string();
        words.iter().map(|word| word.replace("SIZE", &size)).collect()
    }

    /// What the command opens first.
    pub(crate) fn opened_first(self) -> &'static str {
        match self {
            Self::Unpack | Self::Replace | Self::Ahead | Self::Layers => ".",
            Self::Apply => "root",
            Self::Overlay => "store",
            Self::Erofs => "rootfs",
        }
    }

    pub(crate) fn root(self, place: &Path) -> PathBuf {
        place.join(match self {
            Self::Apply => "root",
            Self::Overlay => "store",
            Self::Unpack | Self::Replace | Self::Ahead | Self::Erofs | Self::Layers => "rootfs",
        })
    }

    /// What there is of what is made. Of a store, whole layers and the lists of images.
    pub(crate) fn tree(self, place: &Path) -> Tree {
        match self {
            Self::Overlay => layers(&self.root(place)).into_iter().chain(lists(&self.root(place))).collect(),
            Self::Erofs | Self::Layers => {
                // The time of a file is that at which it was written.
                let names = fs::read_dir(self.root(place)).unwrap().map(|entry| entry.unwrap().path());
                for path in names.chain([self.root(place)]) {
                    let times = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
                    fs::File::open(path).unwrap().set_times(times).unwrap();
                }
                tree::list(&self.root(place))
            }
            _ => tree::list(&self.root(place)),
        }
    }

    /// What a failure left that is half made and has a name.
    pub(crate) fn half_made(self, place: &Path, expected: &Tree) -> Vec<String> {
        if self != Self::Overlay {
            return Vec::new();
        }
        let found = layers(&self.root(place));
        let names: BTreeSet<_> = found.keys().filter_map(|path| path.split('/').next().map(str::to_owned)).collect();
        let is_there = |path: &str| path.split('/').next().is_some_and(|name| names.contains(name));
        let whole = expected.iter().filter(|(path, _)| is_there(path)).map(|(path, what)| (path.clone(), what.clone()));
        tree::differences(&whole.collect(), &found)
    }

    /// What comes of it when nothing fails.
    pub(crate) fn expected(self) -> Tree {
        let place = self.place();
        let done = Command::new(crate::COMMAND).args(self.arguments("1")).current_dir(&place).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        let tree = self.tree(place.path());
        self.unlock(place.path());
        tree
    }

    /// Lets whoever is not root remove what it made.
    pub(crate) fn unlock(self, place: &Path) {
        if self == Self::Apply {
            fs::set_permissions(place.join("root/locked"), fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    /// Whether there is something that is there when it has succeeded only.
    pub(crate) fn is_done(self, place: &Path) -> bool {
        match self {
            Self::Unpack | Self::Ahead | Self::Layers => self.root(place).exists(),
            Self::Replace => fs::read_dir(self.root(place)).is_ok_and(|mut names| names.next().is_some()),
            Self::Apply => false,
            Self::Overlay => !lists(&self.root(place)).is_empty(),
            Self::Erofs => fs::read(self.root(place).join("a.img")).is_ok_and(|image| image != b"old"),
        }
    }

    /// Makes the empty directory that is to be replaced.
    fn make_empty(self, place: &Path) {
        if self == Self::Erofs {
            fs::create_dir(self.root(place)).unwrap();
            fs::write(self.root(place).join("a.img"), "old").unwrap();
        }
        if self == Self::Replace {
            fs::create_dir(self.root(place)).unwrap();
            std::os::unix::fs::chown(self.root(place), Some(1000), Some(1001)).unwrap();
            fs::set_permissions(self.root(place), fs::Permissions::from_mode(0o2713)).unwrap();
        }
    }

    /// The number, mode and owner of the empty directory that is to be replaced.
    pub(crate) fn empty(self, place: &Path) -> Option<(u64, [u32; 3])> {
        let found = fs::metadata(self.root(place)).ok().filter(|_| self == Self::Replace)?;
        Some((found.ino(), [found.mode(), found.uid(), found.gid()]))
    }

    /// Removes that, so that it can be done again.
    pub(crate) fn clear_done(self, place: &Path) {
        if self.is_done(place) {
            fs::remove_dir_all(self.root(place)).unwrap();
            self.make_empty(place);
        }
    }

    /// What does not belong there.
    pub(crate) fn litter(self, place: &Path) -> Vec<String> {
        let of = |path: &Path| -> Vec<String> {
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let ours = ["image", "rootfs", "root", "layer", "store"];
        let here = of(place).into_iter().filter(|name| !ours.contains(&name.as_str()));
        let is_litter = |name: &String| name.contains("/.l") || name.ends_with(".lock");
        here.chain(tree::list(&self.root(place)).into_keys().filter(is_litter)).collect()
    }
}

/// The layers of a store, each by its name and what is in it.
fn layers(store: &Path) -> Tree {
    let mut all = Tree::new();
    for layer in fs::read_dir(store.join("layers/sha256")).into_iter().flatten() {
        let layer = layer.unwrap();
        let name = layer.file_name().into_string().unwrap();
        // The others are what a run leaves to the next: its stage, and a lock.
        if name.len() == 64 {
            all.insert(name.clone(), fs::read_to_string(layer.path().join("layer")).unwrap_or_default());
            let inside = tree::list(&layer.path().join("diff")).into_iter();
            all.extend(inside.map(|(path, what)| (format!("{name}/{path}"), what)));
        }
    }
    all
}

/// The lists of the images of a store.
fn lists(store: &Path) -> Tree {
    let images = fs::read_dir(store.join("images")).into_iter().flatten().map(|image| image.unwrap());
    let images = images.filter(|image| image.file_name().to_string_lossy().starts_with("sha256:"));
    images
        .map(|image| {
            let list = fs::read_to_string(image.path().join("lower")).unwrap_or_default();
            (format!("image {}", image.file_name().display()), list)
        })
        .collect()
}

fn lower() -> Vec<u8> {
    layer(&[
        (Dir, "./", "", 0o755),
        (Dir, "dir", "", 0o755),
        (File, "dir/file", "old", 0o644),
        (File, "file", "old", 0o644),
        (File, "gone", "old", 0o644),
        (Dir, "tree", "", 0o755),
        (File, "tree/deep", "old", 0o600),
        (Dir, "tree/more", "", 0o700),
        (File, "tree/more/file", "old", 0o600),
        (Dir, "to-file", "", 0o755),
        (File, "to-file/file", "old", 0o644),
        (Dir, "cleared", "", 0o755),
        (File, "cleared/file", "old", 0o644),
        (Symlink, "link", "dir", 0o777),
        (Dir, "locked", "", 0o500),
    ])
}

fn upper() -> Vec<u8> {
    layer(&[
        (Dir, "./", "", 0o755),
        (File, "file", "new", 0o755),
        (File, ".wh.gone", "", 0o644),
        (File, ".wh.tree", "", 0o644),
        (File, "to-file", "new", 0o644),
        (File, "cleared/.wh..wh..opq", "", 0o644),
        (File, "cleared/new", "new", 0o644),
        (Dir, "cleared", "", 0o711),
        (File, "link/through", "new", 0o4755),
        (Dir, "dir", "", 0o2755),
        (Link, "hard", "dir/file", 0o644),
        (Symlink, "symlink", "anywhere", 0o777),
        (Fifo, "fifo", "", 0o640),
        (File, "locked/file", "new", 0o600),
        (Dir, "locked", "", 0o500),
        (File, "implied/deep/file", "new", 0o644),
        // Named after all: an implied one whose mode could not be set is like any other to the next run.
        (Dir, "implied/deep", "", 0o755),
        (Dir, "implied", "", 0o755),
    ])
}
