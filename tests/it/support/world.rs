//! A world: a root directory among canaries, of which nothing may change.

use super::layer::LayerBuilder;
use super::open;
use super::tree::{escape, hex};
use layercage::{Applied, Error, Layer, Policy, Rootfs, Unpacker};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A root directory, and around it all that an escape would reach.
///
/// Beside `root` lie `out`, which names relative to the root reach as `../out` and absolute ones as
/// [`World::out`], and files of names that hostile layers like.
pub(crate) struct World {
    place: TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl World {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("out");
        fs::create_dir_all(out.join("dir/inner")).unwrap();
        fs::create_dir_all(place.path().join("root")).unwrap();
        for file in ["out/file", "out/dir/file", "out/dir/inner/file", "passwd"] {
            fs::write(place.path().join(file), file).unwrap();
        }
        fs::set_permissions(out.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(out.join("file"), out.join("second-name")).unwrap();
        symlink("file", out.join("link")).unwrap();
        symlink("../root", out.join("back")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            out.join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        // Not every file system has them: then there is one thing less that could change.
        let _ = rustix::fs::setxattr(out.join("file"), "user.canary", b"1", rustix::fs::XattrFlags::empty());
        let before = snapshot(place.path());
        Self { place, before }
    }

    /// The tree that layers are applied to.
    pub(crate) fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    /// The directory beside it, as an absolute path of the machine.
    pub(crate) fn out(&self) -> PathBuf {
        self.place.path().join("out")
    }

    /// Takes what is outside now for what must stay.
    pub(crate) fn look_again(&mut self) {
        self.before = snapshot(self.place.path());
    }

    /// Applies layers one after another to one tree; the result is that of the last.
    pub(crate) fn apply(&self, layers: &[LayerBuilder], policy: &Policy) -> Result<Applied, Error> {
        let unpacker = Unpacker::new(policy.clone());
        let mut rootfs = Rootfs::over(open(&self.root()))?;
        let (last, lower) = layers.split_last().unwrap();
        for layer in lower {
            unpacker.apply(Layer::new(&layer.clone().build()[..]), &mut rootfs).unwrap();
        }
        unpacker.apply(Layer::new(&last.clone().build()[..]), &mut rootfs)
    }

    /// Everything outside of the root is what it was: content, attributes, names, link counts and times.
    pub(crate) fn assert_untouched(&self, what: &str) {
        let after = snapshot(self.place.path());
        for (path, was) in &self.before {
            let is = after.get(path).map_or("gone", String::as_str);
            assert_eq!(is, was, "{what}: {} has changed", path.display());
        }
        let new: Vec<_> = after.keys().filter(|path| !self.before.contains_key(*path)).collect();
        assert!(new.is_empty(), "{what}: {new:?} came up");
    }

    /// What a path of the tree is: `file`, `dir`, `symlink`, `fifo`, `char`, `block`, or nothing.
    pub(crate) fn kind(&self, path: &str) -> &'static str {
        let Ok(metadata) = fs::symlink_metadata(self.inside(path)) else { return "" };
        let kind = metadata.file_type();
        let kinds = [
            (kind.is_file(), "file"),
            (kind.is_dir(), "dir"),
            (kind.is_symlink(), "symlink"),
            (kind.is_fifo(), "fifo"),
            (kind.is_char_device(), "char"),
        ];
        kinds.iter().find(|(is, _)| *is).map_or("block", |(_, name)| name)
    }

    /// The content of a file, or the target of a link.
    pub(crate) fn text(&self, path: &str) -> String {
        let path = self.inside(path);
        let bytes = match fs::read_link(&path) {
            Ok(target) => target.into_os_string().into_encoded_bytes(),
            Err(_) => fs::read(&path).unwrap(),
        };
        String::from_utf8(bytes).unwrap()
    }

    pub(crate) fn metadata(&self, path: &str) -> fs::Metadata {
        fs::symlink_metadata(self.inside(path)).unwrap()
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        self.metadata(path).mode() & 0o7777
    }

    /// Seconds and nanoseconds.
    pub(crate) fn mtime(&self, path: &str) -> (i64, i64) {
        let metadata = self.metadata(path);
        (metadata.mtime(), metadata.mtime_nsec())
    }

    /// The path, without a link on the way that would lead outside.
    fn inside(&self, path: &str) -> PathBuf {
        let mut at = self.root();
        for (index, part) in path.split('/').filter(|part| !part.is_empty()).enumerate() {
            assert!(index == 0 || !at.is_symlink(), "{path}: a test looks through a link");
            at.push(part);
        }
        at
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Not even its owner gets into a directory of mode 0000 to remove it.
        let mut to_do = vec![self.place.path().to_path_buf()];
        while let Some(path) = to_do.pop() {
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
            let Ok(names) = fs::read_dir(&path) else { continue };
            to_do.extend(
                names.flatten().filter(|name| name.file_type().is_ok_and(|kind| kind.is_dir())).map(|name| name.path()),
            );
        }
    }
}

/// Everything outside of the root, in a line each.
fn snapshot(place: &Path) -> BTreeMap<PathBuf, String> {
    let mut lines = BTreeMap::new();
    let mut to_do = vec![place.to_path_buf()];
    while let Some(path) = to_do.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let (m, kind) = (&metadata, metadata.file_type());
        let mut line =
            format!("inode {} mode {:o} links {} owner {}:{}", m.ino(), m.mode(), m.nlink(), m.uid(), m.gid());
        line += &format!(" size {} changed {}.{:09}", m.size(), m.ctime(), m.ctime_nsec());
        line += &format!(" modified {}.{:09}", m.mtime(), m.mtime_nsec());
        if kind.is_file() {
            line += &format!(" content {}", escape(&fs::read(&path).unwrap()));
        }
        if kind.is_symlink() {
            line += &format!(" target {}", escape(fs::read_link(&path).unwrap().as_os_str().as_bytes()));
        } else {
            let mut value = [0; 256];
            let length = rustix::fs::lgetxattr(&path, "user.canary", &mut value[..]).unwrap_or(0);
            let mut names = [0; 4096];
            let names_length = rustix::fs::llistxattr(&path, &mut names[..]).unwrap_or(0);
            line += &format!(" xattrs {} {}", escape(&names[..names_length]), hex(&value[..length]));
        }
        if kind.is_dir() {
            to_do.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            to_do.retain(|path| *path != place.join("root"));
        }
        lines.insert(path, line);
    }
    lines
}
