//! Indexes, manifests and configurations: whatever is selected, its digests cover, and others read alike.

use super::bytes::Bytes;
use super::layout::{Layout, hex};
use super::support::open;
use layercage::error::Blame;
use layercage::image::Descriptor;
use layercage::rules::Limit;
use layercage::{Error, Image, Limits, Policy, Selected, Selector};
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};
use std::fs;
use std::path::Path;

/// Opens an image that may be wrong somewhere, selects from it and unpacks.
pub fn manifest(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let choice = bytes.byte();
    let limits = match choice & 3 {
        3 => Limits::default().with(Limit::ManifestBytes, 900).with(Limit::Layers, 1).with(Limit::IndexDepth, 2),
        _ => Limits::default(),
    };
    let selector = if choice & 4 == 0 { Selector::host() } else { Selector::host().with_reference("latest") };
    let place = tempfile::tempdir().unwrap();
    Layout::write(&mut bytes, place.path());

    let select = || Image::open_within(open(&place.path().join("image")), limits.clone())?.select(&selector);
    let selected = select();
    match (&selected, &select()) {
        (Ok(selected), Ok(again)) => assert_eq!(
            (selected.manifest(), selected.config(), selected.layers()),
            (again.manifest(), again.config(), again.layers())
        ),
        (Err(error), Err(again)) => assert_eq!(error.to_string(), again.to_string()),
        (selected, again) => panic!("{selected:?} and then {again:?}"),
    }
    match selected {
        Ok(selected) => {
            check(&selected, &place.path().join("image"), &limits);
            unpack(&selected, place.path());
        }
        Err(error) => is_refusal(&error),
    }
}

/// It is the image's fault, or it was asked for what the image does not have.
fn is_refusal(error: &Error) {
    assert!(matches!(error.blame(), Blame::Archive | Blame::Caller), "{error}");
    assert!(error.to_string().len() < 5000, "a message of {} bytes", error.to_string().len());
}

fn check(selected: &Selected, image: &Path, limits: &Limits) {
    let manifest = document(selected.manifest().unwrap(), image, limits);
    let config = document(selected.config(), image, limits);
    let _ = selected.image_config();
    let layers = selected.layers();
    assert!(layers.len() as u64 <= limits.most(Limit::Layers));

    // Somebody else's parser, which takes the last of two keys, reads the same.
    assert_eq!(named(&manifest["config"]), described(selected.config()));
    let listed = manifest["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let theirs: Vec<_> = listed.iter().map(named).collect();
    let ours: Vec<_> = layers.iter().map(|layer| described(layer.descriptor().unwrap())).collect();
    assert_eq!(theirs, ours);
    let listed = config["rootfs"]["diff_ids"].as_array().map_or(&[][..], Vec::as_slice);
    let theirs: Vec<_> = listed.iter().map(|diff_id| diff_id.as_str().unwrap().to_owned()).collect();
    let ours: Vec<_> = layers.iter().map(|layer| layer.diff_id().to_string()).collect();
    assert_eq!(theirs, ours, "a diff ID for each layer, in their order");

    for layer in layers {
        let descriptor = layer.descriptor().unwrap();
        if let Ok(file) = selected.open_layer(layer) {
            assert_eq!(file.bytes_left(), descriptor.size());
            assert!(is_plain(descriptor, image), "a blob was opened through a link");
        }
    }
}

type Named = (Option<String>, Option<String>, Option<u64>);

fn named(descriptor: &Value) -> Named {
    let text = |key: &str| descriptor[key].as_str().map(str::to_owned);
    // A configuration may have none, which Go reads as an empty one.
    (Some(text("mediaType").unwrap_or_default()), text("digest"), descriptor["size"].as_u64())
}

fn described(descriptor: &Descriptor) -> Named {
    let digest = descriptor.digest().to_string();
    (Some(descriptor.media_type().to_owned()), Some(digest), Some(descriptor.size()))
}

/// A document that was taken: a regular file of the image, of its size and its digest.
fn document(descriptor: &Descriptor, image: &Path, limits: &Limits) -> Value {
    assert!(is_plain(descriptor, image), "a document was read through a link");
    let bytes = fs::read(image.join(name(descriptor))).unwrap();
    assert_eq!(bytes.len() as u64, descriptor.size());
    assert!(descriptor.size() <= limits.most(Limit::ManifestBytes));
    let digest = match descriptor.digest() {
        layercage::Digest::Sha256(_) => hex(&Sha256::digest(&bytes)),
        layercage::Digest::Sha512(_) => hex(&Sha512::digest(&bytes)),
        digest => panic!("no image has a digest such as {digest}"),
    };
    assert_eq!(digest, descriptor.digest().hex());
    serde_json::from_slice(&bytes).unwrap()
}

fn name(descriptor: &Descriptor) -> String {
    format!("blobs/{}/{}", descriptor.digest().algorithm().name(), descriptor.digest().hex())
}

fn is_plain(descriptor: &Descriptor, image: &Path) -> bool {
    let path = image.join(name(descriptor));
    let is = |path: &Path| fs::symlink_metadata(path).unwrap().file_type();
    is(&path).is_file() && path.ancestors().skip(1).take(2).all(|folder| is(folder).is_dir())
}

/// All or nothing: a tree that has the files of its layers, or no trace.
fn unpack(selected: &Selected, place: &Path) {
    let target = place.join("target");
    fs::create_dir(&target).unwrap();
    let result = selected.unpack_into(open(&target), "rootfs", &Policy::default());
    let names: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    match result {
        Ok(report) => {
            assert_eq!(names, ["rootfs"]);
            assert_eq!(report.entries, selected.layers().len() as u64);
            let files = fs::read_dir(target.join("rootfs")).unwrap().count();
            assert_eq!(files, selected.layers().len().min(3));
        }
        Err(error) => {
            is_refusal(&error);
            assert!(names.is_empty(), "{error}, and yet there is {names:?}");
        }
    }
}
