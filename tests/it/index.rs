//! `index.json` and `oci-layout`, the two files of an image that no digest covers.

use crate::support::layer::LayerBuilder;
use crate::support::layout::{self, Stored};
use crate::support::{open, tree};
use layercage::error::Blame;
use layercage::{Image, Policy, Selector};
use std::fs;

/// Every bit of both: what is unpacked is the very tree, or nothing is left.
#[test]
fn a_flipped_bit_in_an_uncovered_file_gives_the_same_tree_or_nothing() {
    let (place, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let layer = LayerBuilder::new().dir("etc").file("etc/hostname", b"name\n").build();
    layout::write(place.path(), &[(layer, Stored::Gzip)]);
    let rootfs = parent.path().join("rootfs");
    let unpack = || {
        let selected = Image::open(&open(place.path()))?.select(&Selector::host())?;
        selected.unpack_into(&open(parent.path()), "rootfs", &Policy::default())
    };
    unpack().unwrap();
    let expected = tree::list(&rootfs);
    fs::remove_dir_all(&rootfs).unwrap();

    let mut refused = 0;
    for name in ["index.json", "oci-layout"] {
        let path = place.path().join(name);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &damaged).unwrap();
            match unpack() {
                // A flip in a key that is not read, say.
                Ok(_) => {
                    assert_eq!(tree::list(&rootfs), expected, "{name}, bit {bit}");
                    fs::remove_dir_all(&rootfs).unwrap();
                }
                Err(error) => {
                    refused += 1;
                    let blame = error.blame();
                    assert!(matches!(blame, Blame::Archive | Blame::Caller), "{name}, bit {bit}: {error}");
                }
            }
            assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "{name}, bit {bit}: something is left");
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(refused > 1_000, "{refused}");
}
