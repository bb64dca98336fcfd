//! What tests are made of: layers in Rust that can be read, trees as text, and worlds of canaries.

pub(crate) mod erofs;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
pub(crate) mod forms;
pub(crate) mod layer;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
pub(crate) mod layout;
pub(crate) mod tree;
pub(crate) mod world;

use super::build;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layer::LayerBuilder;
use layercage::{Digest, Expected, Layer, Policy, Scratch, Staged, Unpacker};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// A handle on a directory of a test.
pub(crate) fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

/// Temporary files in a directory of a test.
pub(crate) fn temporary(path: &Path) -> Scratch {
    Scratch::beneath(open(path)).unwrap()
}

/// Whether the tests run as root; says so when what needs it is left out.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped, since it needs root: {what}");
    }
    root
}

/// The digest of a blob or an uncompressed layer.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::Sha256(Sha256::digest(bytes).into())
}

/// Makes a tree of layers beside its place, as `rootfs` in there, every layer with all that proves it.
pub(crate) fn stage(place: &Path, policy: &Policy, layers: &[LayerBuilder]) {
    let mut staged = Staged::beside(open(place), "rootfs").unwrap();
    let unpacker = Unpacker::new(policy.clone());
    let proofs = layers.iter().map(|layer| {
        let bytes = layer.clone().build();
        let digest = sha256(&bytes);
        let layer = Layer::new(&bytes[..]).expecting(Expected::blob(digest, bytes.len() as u64).with_diff_id(digest));
        unpacker.apply(layer, staged.rootfs()).unwrap().verified().unwrap()
    });
    let proofs = proofs.collect();
    staged.commit(proofs).unwrap();
}
