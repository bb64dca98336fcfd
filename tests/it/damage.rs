//! Blobs that are not what their descriptors say: nothing of them becomes visible.

use crate::support::forms::Parts;
use crate::support::layer::LayerBuilder;
use crate::support::layout::{self, Stored};
use crate::support::open;
use cap_std::ambient_authority;
use layercage::error::Blame;
use layercage::{Error, Image, Policy, Selector, Unpacker};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

/// An image of three layers, each stored in another way.
fn image(directory: &Path) -> Vec<String> {
    let lower = LayerBuilder::new().dir("etc").file("etc/hostname", b"lower\n").symlink("run", "/var/run").build();
    let middle = LayerBuilder::new().file("etc/hostname", b"middle\n").dir("var/run").file("run/pid", b"1").build();
    let upper = LayerBuilder::new().whiteout("etc/hostname").hard_link("pid", "var/run/pid").build();
    layout::write(directory, &[(lower, Stored::Gzip), (middle, Stored::Zstd), (upper, Stored::Plain)])
}

fn unpack(layout: &Path, parent: &Path) -> Result<(), Error> {
    unpack_on(1, layout, parent)
}

fn unpack_on(threads: usize, layout: &Path, parent: &Path) -> Result<(), Error> {
    let selected = Image::open_ambient(layout, ambient_authority())?.select(&Selector::host())?;
    let unpacker = Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(threads).unwrap());
    unpacker.unpack(&selected, &open(parent), "rootfs").map(drop)
}

/// Unpacking fails, however many threads do it; the image is to blame, and nothing is left.
fn assert_refused(layout: &Path, parent: &Path, what: &str) -> Error {
    let [error, two, three] = [1, 2, 3].map(|threads| assert_refused_on(threads, layout, parent, what));
    assert_eq!([two.to_string(), three.to_string()], [error.to_string(), error.to_string()], "{what}");
    error
}

fn assert_refused_on(threads: usize, layout: &Path, parent: &Path, what: &str) -> Error {
    let error = match unpack_on(threads, layout, parent) {
        Ok(()) => panic!("{what}: it was unpacked"),
        Err(error) => error,
    };
    assert_eq!(error.blame(), Blame::Archive, "{what}: {error}");
    assert_eq!(fs::read_dir(parent).unwrap().count(), 0, "{what}: something is left");
    error
}

#[test]
fn an_image_that_is_whole_is_unpacked() {
    let (place, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    image(place.path());
    unpack(place.path(), parent.path()).unwrap();
    assert_eq!(fs::read(parent.path().join("rootfs/pid")).unwrap(), b"1");
    assert!(!parent.path().join("rootfs/etc/hostname").exists());
}

#[test]
fn a_flipped_bit_anywhere_in_a_blob_leaves_nothing() {
    let (place, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for blob in image(place.path()) {
        let path = place.path().join(&blob);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, &damaged).unwrap();
            let error = assert_refused_on(1 + at % 3, place.path(), parent.path(), &format!("{blob}, byte {at}"));
            assert_eq!(error.rule_id(), Some("digest-mismatch"), "{blob}, byte {at}: {error}");
        }
        fs::write(&path, &whole).unwrap();
    }
    unpack(place.path(), parent.path()).unwrap();
}

#[test]
fn a_flipped_bit_in_a_layer_that_is_named_by_its_diff_id_alone_is_told_by_it() {
    let (place, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    image(place.path());
    let parts = Parts::of_layout(place.path());
    let path = place.path().join("image");
    let whole = parts.docker_of_old();
    for (number, tar) in parts.tars().iter().enumerate() {
        let start = whole.windows(tar.len()).position(|window| window == tar).unwrap();
        // Bytes of every header and every field, each of the eight bits among them.
        for at in (0..tar.len()).step_by(5) {
            let mut damaged = whole.clone();
            damaged[start + at] ^= 1 << (at % 8);
            fs::write(&path, &damaged).unwrap();
            let error = assert_refused_on(1 + at % 3, &path, parent.path(), &format!("layer {number}, byte {at}"));
            assert_eq!(error.rule_id(), Some("diff-id-mismatch"), "layer {number}, byte {at}: {error}");
        }
    }
    fs::write(&path, &whole).unwrap();
    unpack(&path, parent.path()).unwrap();
}

#[test]
fn a_blob_that_is_too_short_or_too_long_leaves_nothing() {
    let (place, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for blob in image(place.path()) {
        let path = place.path().join(&blob);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let what = format!("{blob}, {length} bytes");
            let error = assert_refused_on(1 + length % 3, place.path(), parent.path(), &what);
            assert_eq!(error.rule_id(), Some("size-mismatch"), "{error}");
        }
        fs::write(&path, [&whole[..], b"\0"].concat()).unwrap();
        assert_eq!(assert_refused(place.path(), parent.path(), &blob).rule_id(), Some("size-mismatch"));
        fs::remove_file(&path).unwrap();
        assert_eq!(assert_refused(place.path(), parent.path(), &blob).rule_id(), Some("blob-missing"));
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_wrong_diff_id_leaves_nothing() {
    let (place, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [one, other] = [b"one", b"two"].map(|content| LayerBuilder::new().file("f", content).build());
    // The configuration of one image under the layers of another: every blob is the one that is named.
    let names = layout::write(place.path(), &[(one, Stored::Gzip)]);
    let config = fs::read_to_string(place.path().join(&names[1])).unwrap();
    let donor = tempfile::tempdir().unwrap();
    let others = layout::write(donor.path(), &[(other, Stored::Gzip)]);
    let layer = fs::read(donor.path().join(&others[0])).unwrap();
    layout::rewrite(place.path(), &config, &layer, "application/vnd.oci.image.layer.v1.tar+gzip");
    let error = assert_refused(place.path(), parent.path(), "a diff ID of another layer");
    assert_eq!(error.rule_id(), Some("diff-id-mismatch"), "{error}");
    assert_eq!(error.position().to_string(), "layer 1 of 1");
}
