//! Layers of one image that are unpacked side by side: their requests have no lower directories.

use crate::containerd::{Blob, Ends};
use crate::layer::{Tar, sha256};
use crate::world::bind;
use crate::world::{Setup, World, overlay};
use layercage_differ::proto::services::diff::v1::ApplyRequest;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// An image whose layers are being unpacked, each to its own snapshot.
struct Image {
    layers: Vec<Vec<u8>>,
    chain_ids: Vec<String>,
    snapshots: Vec<PathBuf>,
}

impl Image {
    fn new(world: &World, layers: &[Tar]) -> Self {
        let layers: Vec<_> = layers.iter().map(|layer| layer.clone().build()).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| sha256(layer)).collect();
        let mut chain_ids: Vec<String> = Vec::new();
        for diff_id in &diff_ids {
            let next = match chain_ids.last() {
                None => diff_id.clone(),
                Some(below) => sha256(format!("{below} {diff_id}").as_bytes()),
            };
            chain_ids.push(next);
        }
        let configuration = serde_json::json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } }).to_string();
        let digest = sha256(configuration.as_bytes());
        world.store.add("default", &digest, Blob { bytes: configuration.into_bytes(), ends: Ends::AtItsEnd });
        world.store.add_manifest(&digest);
        static IMAGES: AtomicUsize = AtomicUsize::new(0);
        let image = IMAGES.fetch_add(1, Ordering::Relaxed);
        let snapshots = (0..layers.len()).map(|number| world.snapshot(&format!("{image}-{number}"))).collect();
        Self { layers, chain_ids, snapshots }
    }

    /// containerd begins to unpack a layer.
    fn begin(&self, world: &World, number: usize) {
        world.store.snapshots.unpack(&self.chain_ids[number], &self.snapshots[number]);
    }

    fn request(&self, world: &World, number: usize) -> ApplyRequest {
        let snapshot = &self.snapshots[number];
        world.request(&self.layers[number], if number == 0 { bind(snapshot) } else { overlay(snapshot, &[]) })
    }

    /// What the library says of layers that need a lower one.
    fn refusal(&self, world: &World, number: usize) -> String {
        world.apply("default", self.request(world, number)).unwrap_err().message().to_owned()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Three layers, of which the upper ones do not list their parents.
fn three() -> [Tar; 3] {
    let bottom = Tar::new().dir("./", 0o1711).dir("a/", 0o2710).symlink("link", "a").file("a/gone", b"0");
    let middle = Tar::new().dir("b/", 0o705).file("link/new", b"1").file("a/.wh.gone", b"");
    [bottom, middle, Tar::new().file("b/c", b"2").hard_link("same", "link/new")]
}

#[test]
fn a_layer_that_needs_lower_ones_waits_for_them_and_lets_them_have_its_turn() {
    // There is one turn: the top layer, which comes first, must give it away.
    let world = World::with(&Setup { arguments: &["--layers", "1"], ..Setup::default() });
    let image = Image::new(&world, &three());
    (0..3).for_each(|number| image.begin(&world, number));
    thread::scope(|scope| {
        let (world, image) = (&world, &image);
        let upper: Vec<_> = [2, 1]
            .map(|number| {
                let call = scope.spawn(move || world.apply("default", image.request(world, number)));
                thread::sleep(Duration::from_millis(200));
                assert!(!call.is_finished(), "{number}");
                call
            })
            .into_iter()
            .collect();
        world.apply("default", image.request(world, 0)).unwrap();
        for (call, number) in upper.into_iter().zip([2, 1]) {
            assert_eq!(call.join().unwrap().unwrap().digest, sha256(&image.layers[number]));
        }
    });
    let [_, middle, top] = &image.snapshots[..] else { panic!() };
    // Parents have the attributes that they have below, and so has the root.
    assert_eq!((mode(&middle.join("a")), mode(&top.join("b")), mode(top)), (0o2710, 0o705, 0o1711));
    assert!(middle.join("a/new").is_file() && !middle.join("link").exists());
    assert!(fs::symlink_metadata(middle.join("a/gone")).unwrap().file_type().is_char_device());
    assert_eq!(fs::read(top.join("same")).unwrap(), b"1");
    assert_eq!(mode(&top.join("a")), 0o2710);
}

#[test]
fn lower_layers_that_were_unpacked_before_are_found_through_a_view_that_is_removed() {
    let world = World::new();
    let image = Image::new(&world, &three());
    let below = Image::new(&world, &three()[..2]);
    for number in 0..2 {
        below.begin(&world, number);
        world.apply("default", below.request(&world, number)).unwrap();
    }
    world.store.snapshots.commit(&below.chain_ids[0], &below.snapshots[..1]);
    let directories: Vec<_> = below.snapshots.iter().rev().cloned().collect();
    world.store.snapshots.commit(&below.chain_ids[1], &directories);
    let top = world.snapshot("top");
    world.store.snapshots.unpack(&image.chain_ids[2], &top);
    world.apply("default", world.request(&image.layers[2], overlay(&top, &[]))).unwrap();
    assert_eq!((mode(&top.join("b")), mode(&top)), (0o705, 0o1711));
    assert_eq!(fs::read(top.join("same")).unwrap(), b"1");
    let names = world.store.snapshots.names();
    assert!(!names.iter().any(|name| name.starts_with("layercage-")), "{names:?}");
}

#[test]
fn a_layer_whose_lower_one_fails_or_is_given_up_fails_too() {
    let world = World::new();
    let climbs = Tar::new().file("../x", b"");
    let image = Image::new(&world, &[climbs, three()[1].clone()]);
    (0..2).for_each(|number| image.begin(&world, number));
    thread::scope(|scope| {
        let upper = scope.spawn(|| image.refusal(&world, 1));
        thread::sleep(Duration::from_millis(100));
        assert!(!upper.is_finished());
        world.apply("default", image.request(&world, 0)).unwrap_err();
        let refusal = upper.join().unwrap();
        assert!(
            refusal.contains("below it was not applied") && refusal.contains("max_concurrent_unpacks"),
            "{refusal}"
        );
    });
    // containerd could not download it.
    let image = Image::new(&world, &three());
    (0..2).for_each(|number| image.begin(&world, number));
    thread::scope(|scope| {
        let upper = scope.spawn(|| image.refusal(&world, 1));
        thread::sleep(Duration::from_millis(100));
        assert!(!upper.is_finished());
        world.store.snapshots.remove(&image.chain_ids[0]);
        let refusal = upper.join().unwrap();
        assert!(refusal.contains("is not unpacked"), "{refusal}");
    });
}

#[test]
fn a_layer_whose_lower_ones_cannot_be_found_is_refused_with_the_reason() {
    let world = World::new();
    let image = Image::new(&world, &three());
    let refusal = image.refusal(&world, 1);
    assert!(refusal.contains("no snapshot in"), "{refusal}");
    world.store.snapshots.unpack(&sha256(b"another"), &image.snapshots[1]);
    let refusal = image.refusal(&world, 1);
    assert!(refusal.contains("no image with the layer sha256:"), "{refusal}");
}

#[test]
fn a_layer_that_waits_for_lower_ones_is_cancelled_when_its_client_goes_away() {
    let mut world = World::new();
    let image = Image::new(&world, &three());
    (0..2).for_each(|number| image.begin(&world, number));
    let request = image.request(&world, 1);
    let made = image.snapshots[1].join("b");
    world.apply_until(request, "its first directory is there", |_| made.exists());
    world.wait("it is cancelled", |world| world.log().iter().any(|line| line["message"] == "layer cancelled"));
}
