//! Trees, to be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Paths, and what is there.
pub(crate) type Tree = BTreeMap<String, String>;

pub(crate) fn list(root: &Path) -> Tree {
    let mut tree = Tree::new();
    if root.exists() {
        add(root, ".", &mut tree);
    }
    tree
}

fn add(path: &Path, name: &str, tree: &mut Tree) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_symlink() => format!("-> {}", fs::read_link(path).unwrap().display()),
        () if kind.is_file() => format!("{} bytes, {:x?}", metadata.len(), fs::read(path).unwrap().get(..64)),
        () => String::new(),
    };
    let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
    let mode = if kind.is_symlink() { 0 } else { mode };
    tree.insert(
        name.to_owned(),
        format!("{mode:o} {uid}:{gid} {}.{:09} {what}{}", metadata.mtime(), metadata.mtime_nsec(), xattrs(path)),
    );
    if kind.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            add(&entry.path(), &format!("{name}/{}", entry.file_name().display()), tree);
        }
    }
}

/// The extended attributes.
fn xattrs(path: &Path) -> String {
    let mut names = vec![0; 4 << 10];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or_default();
    let mut names: Vec<_> = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let value = |name: &[u8]| {
        let mut value = vec![0; 4 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
        format!(" {}={:x?}", name.escape_ascii(), &value[..length])
    };
    names.into_iter().map(value).collect()
}

/// What differs, a line each.
pub(crate) fn differences(expected: &Tree, got: &Tree) -> Vec<String> {
    let names = expected.keys().chain(got.keys()).collect::<std::collections::BTreeSet<_>>();
    let different = names.into_iter().filter(|name| expected.get(*name) != got.get(*name));
    different.map(|name| format!("{name}: {:?}, not {:?}", got.get(name), expected.get(name))).take(5).collect()
}
