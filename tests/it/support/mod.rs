//! What tests are made of: layers in Rust that can be read, trees as text, and worlds of canaries.

#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
pub(crate) mod forms;
pub(crate) mod layer;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
pub(crate) mod layout;
pub(crate) mod tree;
pub(crate) mod world;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::path::Path;

/// A handle on a directory of a test.
pub(crate) fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

/// Whether the tests run as root; says so when what needs it is left out.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped, since it needs root: {what}");
    }
    root
}
