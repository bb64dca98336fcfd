//! A store with images beside it.

use crate::support::layer::LayerBuilder;
use crate::support::layout::{self, Stored};
use crate::support::open;
use crate::support::tree::{self, Listing};
use layercage::overlay::{OverlayImage, OverlayStore};
use layercage::{Image, Policy, Selected, Selector, Unpacker};
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use tempfile::TempDir;

pub(super) fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// A store, and images beside it.
pub(super) struct World(pub(super) TempDir);

impl World {
    pub(super) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::DirBuilder::new().mode(0o700).create(place.path().join("store")).unwrap();
        Self(place)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("store")
    }

    pub(super) fn store(&self) -> OverlayStore {
        OverlayStore::open(open(&self.path())).unwrap()
    }

    pub(super) fn image(&self, name: &str, layers: &[LayerBuilder]) -> Selected {
        let layers: Vec<_> = layers.iter().map(|layer| (layer.clone().build(), Stored::Gzip)).collect();
        let directory = self.0.path().join(name);
        layout::write(&directory, &layers);
        Image::open(&open(&directory)).unwrap().select(&Selector::host()).unwrap()
    }

    pub(super) fn unpack(&self, image: &Selected) -> OverlayImage {
        image.unpack_overlay(&self.store(), &Policy::default()).unwrap()
    }

    pub(super) fn unpack_with(&self, image: &Selected, jobs: usize) -> OverlayImage {
        unpacker(jobs).unpack_overlay(image, &self.store()).unwrap()
    }

    /// The layers of an image as directories, the top one first.
    pub(super) fn directories(&self, image: &OverlayImage) -> Vec<PathBuf> {
        image.layers().iter().map(|layer| self.path().join(layer.path())).collect()
    }

    /// Everything below the store, as paths.
    pub(super) fn names(&self) -> Vec<String> {
        let names = tree::list(&self.path()).into_keys().map(|path| String::from_utf8(path).unwrap());
        names.filter(|path| !path.contains("/diff/")).collect()
    }

    /// Nothing half-made is there: the names of whole layers and images, and no others.
    pub(super) fn assert_tidy(&self) {
        for name in self.names() {
            let parts: Vec<_> = name.split('/').collect();
            let is_known = matches!(
                parts[..],
                ["."]
                    | ["layers" | "images"]
                    | ["layers", "sha256"]
                    | ["images", _]
                    | ["layers", _, _]
                    | ["layers", _, _, "diff" | "layer"]
            ) || matches!(parts[..], ["images", _, list] if list == "lower" || list.starts_with("lower."));
            assert!(is_known && !name.contains("/.") && !name.ends_with(".lock"), "{name}");
        }
    }
}

pub(super) fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::default().with_jobs(NonZeroUsize::new(jobs).unwrap())
}

/// For each layer, the top one first: whether the store had it.
pub(super) fn there(image: &OverlayImage) -> Vec<bool> {
    image.layers().iter().map(|layer| layer.was_there()).collect()
}

pub(super) fn three() -> [LayerBuilder; 3] {
    [
        layer().file("a", b"1").dir("d").file("d/f", b"2").file("d/g", b"3"),
        layer().whiteout("d/g").file("b", b"4").hard_link("c", "a"),
        layer().opaque("d").file("d/h", b"5").symlink("s", "d/h"),
    ]
}

/// The root filesystem of an image.
pub(super) fn rootfs(image: &Selected, policy: &Policy) -> Listing {
    let place = tempfile::tempdir().unwrap();
    image.unpack_into(open(place.path()), "rootfs", policy).unwrap();
    let listing = tree::list(&place.path().join("rootfs"));
    tree::unlock(place.path());
    listing
}

/// Many layers that take a while.
pub(super) fn slow() -> Vec<LayerBuilder> {
    let content = vec![7; 40_000];
    let files = |number: u32| (0..40).fold(layer(), |layer, file| layer.file(&format!("{number}/{file}"), &content));
    (0..6).map(|number| files(number).whiteout(&format!("{}/3", number.max(1) - 1))).collect()
}
