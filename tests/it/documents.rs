//! The documents of an image are within reach in every form that it has, and an image can be made of them alone.

use crate::support::forms::{self, Parts};
use crate::support::open;
use crate::support::tree;
use cap_std::ambient_authority;
use layercage::image::HistoryEntry;
use layercage::{Image, Layer, Limits, Policy, Selected, Selector, Staged, Unpacker};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world")
}

#[test]
fn every_form_has_the_bytes_of_its_configuration_and_of_its_manifest_if_it_has_one() {
    let place = tempfile::tempdir().unwrap();
    let parts = Parts::of_layout(&world());
    parts.flat(&place.path().join("dir"));
    for (name, bytes) in [
        ("oci-archive", forms::oci_archive(&world(), "", |archive| archive)),
        ("today", forms::docker_of_today(&world())),
        ("old", parts.docker_of_old()),
        ("skopeo", parts.docker_of_skopeo()),
        ("kaniko", parts.docker_of_kaniko()),
    ] {
        fs::write(place.path().join(name), bytes).unwrap();
    }
    let steps = [
        "GNU tar, pax: a base system",
        "GNU tar, ustar: time zones by zic",
        "GNU tar, gnu: an application",
        "umoci repack: changes and removals",
        "GNU tar, gnu: opaque directories and changes of type",
        "bsdtar, pax: closed directories and nanoseconds",
    ]
    .map(Some);
    let stated: Value = serde_json::from_slice(&parts.config).unwrap();
    for (form, has_manifest) in [
        ("layout", true),
        ("dir", true),
        ("oci-archive", true),
        ("today", true),
        ("old", false),
        ("skopeo", false),
        ("kaniko", false),
    ] {
        let path = if form == "layout" { world() } else { place.path().join(form) };
        let selected = Image::open_ambient(path, ambient_authority()).unwrap().select(&Selector::host()).unwrap();
        assert_eq!(selected.config_bytes(), parts.config, "{form}");
        assert_eq!(selected.manifest_bytes(), has_manifest.then_some(&parts.manifest[..]), "{form}");
        let config = selected.image_config().unwrap();
        assert_eq!(config.architecture(), stated["architecture"].as_str(), "{form}");
        assert_eq!(config.history().len(), stated["history"].as_array().map_or(0, Vec::len), "{form}");
        let made: Vec<_> =
            selected.layers().iter().map(|layer| layer.history().and_then(HistoryEntry::created_by)).collect();
        assert!(made.iter().eq(&steps), "{form}: {made:?}");
        let numbers: Vec<_> = selected.layers().iter().map(|layer| layer.position().number).collect();
        assert!(numbers.iter().copied().eq(1..=parts.layers.len()), "{form}: {numbers:?}");
    }
}

#[test]
fn an_image_of_documents_alone_unpacks_from_readers_as_it_does_from_disk() {
    let place = tempfile::tempdir().unwrap();
    let parent = open(place.path());
    let parts = Parts::of_layout(&world());
    let on_disk = Image::open(&open(&world())).unwrap().select(&Selector::host()).unwrap();
    on_disk.unpack_into(&parent, "expected", &Policy::default()).unwrap();

    let digest = on_disk.manifest().unwrap().digest();
    let selected = Selected::from_documents(&parts.manifest, &parts.config, digest, &Limits::default()).unwrap();
    let unpacker = Unpacker::new(Policy::default());
    let mut staged = Staged::beside(&parent, "got").unwrap();
    let mut proofs = Vec::new();
    for (layer, bytes) in selected.layers().iter().zip(&parts.layers) {
        let applied = unpacker.apply(Layer::described(&bytes[..], layer), staged.rootfs()).unwrap();
        proofs.push(applied.verified().unwrap());
    }
    staged.commit(proofs).unwrap();
    let [expected, got] = ["expected", "got"].map(|name| {
        let listing = tree::list(&place.path().join(name));
        tree::unlock(&place.path().join(name));
        listing
    });
    assert_eq!(tree::differences(&expected, &got), Vec::<String>::new());

    let layer = &selected.layers()[1];
    let mut staged = Staged::beside(&parent, "damaged").unwrap();
    let error = unpacker.apply(Layer::described(&parts.layers[0][..], layer), staged.rootfs()).unwrap_err();
    assert!(matches!(error.rule_id(), Some("digest-mismatch" | "size-mismatch")), "{error}");
    assert_eq!(error.position().layer.map(|layer| layer.number), Some(2));
}
