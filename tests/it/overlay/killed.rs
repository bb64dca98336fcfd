//! Runs on one store that are killed at random: what has a name is whole, and the next run makes the rest.

use super::world::{World, layer, slow, there, unpacker};
use crate::child;
use crate::support::layer::LayerBuilder;
use crate::support::open;
use crate::support::tree::{self, Listing};
use layercage::overlay::OverlayStore;
use layercage::{Image, Selected, Selector};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How many rounds there are, unless `LAYERCAGE_KILLS` says otherwise.
const TIMES: u32 = 12;

/// Two images that share their lower layers.
fn images() -> [Vec<LayerBuilder>; 2] {
    let shared = slow();
    // A hard link to a lower layer copies its file.
    let top = |name: &str| layer().file(name, b"top").hard_link("link", "0/0").whiteout("1");
    let with = |name: &str| shared.iter().take(5).cloned().chain([top(name)]).collect();
    [with("one"), with("two")]
}

fn select(directory: &Path) -> Selected {
    Image::open(&open(directory)).unwrap().select(&Selector::host()).unwrap()
}

/// Unpacks an image beside a store, or removes it. Runs in a process of its own, which may be killed.
#[test]
#[ignore = "started by the test below"]
fn uses_a_store_until_it_is_killed() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    let image = select(&place.join(std::env::var("IMAGE").unwrap()));
    let mut store = OverlayStore::open(open(&place.join("store"))).unwrap();
    match std::env::var("JOBS").unwrap().as_str() {
        "remove" => drop(store.remove(&OverlayStore::digest_of(&image)).unwrap()),
        jobs => drop(unpacker(jobs.parse().unwrap()).unpack_overlay(&image, &store).unwrap()),
    }
}

/// Starts a run.
fn run(world: &World, image: &str, jobs: &str) -> Child {
    let variables = [("PLACE", world.0.path().as_os_str()), ("IMAGE", image.as_ref()), ("JOBS", jobs.as_ref())];
    let mut command = child::command("uses_a_store_until_it_is_killed", &variables);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Random numbers, others in each run of the test.
struct Random(RandomState, u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.1 += 1;
        self.0.hash_one(self.1) % most
    }
}

/// Every layer that has a name, and every image that is listed, is whole.
fn assert_whole(world: &World, layers: &BTreeMap<String, Listing>, round: u32) -> usize {
    let mut found = 0;
    for (path, expected) in layers {
        let directory = world.path().join(path);
        if directory.parent().unwrap().exists() {
            let differences = tree::differences(expected, &tree::list(&directory));
            assert!(differences.is_empty(), "{round}: {path}\n{}", differences.join("\n"));
            found += 1;
        }
    }
    for image in fs::read_dir(world.path().join("images")).into_iter().flatten() {
        let image = image.unwrap();
        if image.file_name().to_string_lossy().starts_with("sha256:") {
            let list = fs::read_to_string(image.path().join("lower")).unwrap();
            assert_eq!(list.lines().count(), 6, "{round}: {list}");
            assert!(list.lines().all(|layer| world.path().join(layer).exists()), "{round}: {list}");
        }
    }
    found
}

#[test]
fn runs_and_removals_on_one_store_are_killed_at_random_and_spoil_nothing() {
    let times = std::env::var("LAYERCAGE_KILLS").map_or(TIMES, |times| times.parse().unwrap());
    let (whole, world) = (World::new(), World::new());
    let images = images();
    let selected: Vec<_> = ["one", "two"]
        .iter()
        .zip(&images)
        .map(|(name, layers)| (whole.image(name, layers), world.image(name, layers)))
        .collect();
    let mut layers = BTreeMap::new();
    for (image, _) in &selected {
        let unpacked = whole.unpack(image);
        let listed = unpacked.layers().iter().zip(whole.directories(&unpacked));
        layers.extend(listed.map(|(layer, directory)| (layer.path().to_owned(), tree::list(&directory))));
    }
    let start = Instant::now();
    assert!(run(&world, "one", "1").wait().unwrap().success());
    let longest = start.elapsed();
    let (mut random, mut killed, mut partial) = (Random(RandomState::new(), 0), 0, 0);
    for round in 0..times {
        let mut runs: Vec<(Child, Duration)> = Vec::new();
        for image in ["one", "two", "one"] {
            let jobs = ["1", "2", "3", "remove"][random.below(4) as usize];
            runs.push((run(&world, image, jobs), longest.mul_f64(random.below(1000) as f64 / 1000.0)));
        }
        runs.sort_by_key(|(_, moment)| *moment);
        let start = Instant::now();
        // The last one takes over what the others leave, and is killed only sometimes.
        let last = if random.below(3) == 0 { 3 } else { 2 };
        for (number, (child, moment)) in runs.iter_mut().enumerate() {
            if number < last {
                std::thread::sleep(moment.saturating_sub(start.elapsed()));
                child.kill().unwrap();
            }
        }
        for (number, (child, _)) in runs.iter_mut().enumerate() {
            let status = child.wait().unwrap();
            assert!(status.success() || (number < last && status.code().is_none()), "{round}: {status}");
            killed += usize::from(!status.success());
        }
        partial += usize::from((1..layers.len()).contains(&assert_whole(&world, &layers, round)));
        if round % 4 == 3 {
            for (_, image) in &selected {
                world.unpack(image);
                assert_eq!(there(&world.unpack(image)), [true; 6], "{round}");
            }
            assert_eq!(assert_whole(&world, &layers, round), layers.len());
            for (_, image) in &selected {
                world.store().remove(&OverlayStore::digest_of(image)).unwrap();
            }
            assert_eq!(
                world.names(),
                [".", "images", "layers", "layers/sha256"],
                "{round}: nothing is left of the killed"
            );
        }
    }
    eprintln!("{times} rounds: {killed} runs were killed, and {partial} rounds left some of the layers");
    assert!(killed > 0 && (partial > 0 || times < 100));
}
