//! Layers that are read ahead: nothing shows how many threads read them, and when.

use crate::child;
use crate::random::cases;
use crate::support::layer::LayerBuilder;
use crate::support::layout::{self, Stored};
use crate::support::open;
use crate::support::tree::{self, Listing};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::blob::Checked;
use layercage::image::LayerDescriptor;
use layercage::overlay::OverlayStore;
use layercage::rules::Limit;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError};
use layercage::tar::Change;
use layercage::{Error, Image, Limits, Policy, Report, Scratch, Selected, Selector, Sink, Unpacker};
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const JOBS: [usize; 4] = [1, 2, 3, 8];

fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap())
}

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

fn select(place: &Path) -> Selected {
    let image = Image::open(&Dir::open_ambient_dir(place, ambient_authority()).unwrap()).unwrap();
    image.select(&Selector::host()).unwrap()
}

/// An image of these layers.
fn image(layers: &[(Vec<u8>, Stored)]) -> (TempDir, Selected) {
    let place = tempfile::tempdir().unwrap();
    layout::write(place.path(), layers);
    let selected = select(place.path());
    (place, selected)
}

/// The tree and the report, or everything that an error says.
fn outcome(selected: &Selected, limits: &Limits, jobs: usize) -> Result<(Listing, Report), String> {
    let place = tempfile::tempdir().unwrap();
    let unpacked = unpacker(jobs).with_limits(limits.clone()).unpack(selected, open(place.path()), "rootfs");
    let outcome = match unpacked {
        Ok(report) => Ok((tree::list(&place.path().join("rootfs")), report)),
        Err(error) => {
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{jobs} jobs left something: {error:#}");
            Err(format!("{error:#} {:?} {:?} {:?}", error.effect(), error.position(), error.rule_id()))
        }
    };
    tree::unlock(place.path());
    outcome
}

/// The layers in a store and the report, or everything that an error says.
fn overlaid(selected: &Selected, limits: &Limits, jobs: usize) -> (Listing, Result<Report, String>) {
    let place = tempfile::tempdir().unwrap();
    let store = OverlayStore::open(open(place.path())).unwrap();
    let unpacked = unpacker(jobs).with_limits(limits.clone()).unpack_overlay(selected, &store);
    let all = tree::list(place.path());
    let stage = all.keys().find(|path| path.windows(2).any(|pair| pair == b"/."));
    assert_eq!(stage, None, "{jobs} jobs left something");
    let layers = all.into_iter().filter(|(path, _)| path.windows(5).any(|part| part == b"/diff")).collect();
    tree::unlock(place.path());
    let said = |error: Error| format!("{error:#} {:?} {:?} {:?}", error.effect(), error.position(), error.rule_id());
    (layers, unpacked.map(|unpacked| unpacked.report().clone()).map_err(said))
}

/// Compares what all numbers of jobs make of an image.
fn compare(selected: &Selected, limits: &Limits) -> Result<(Listing, Report), String> {
    let (alone, (layers, report_of_layers)) = (outcome(selected, limits, 1), overlaid(selected, limits, 1));
    for jobs in JOBS {
        match (&alone, outcome(selected, limits, jobs)) {
            (Ok((tree, report)), Ok((other, other_report))) => {
                assert_eq!(tree::differences(tree, &other), [""; 0], "{jobs} jobs");
                assert_eq!(*report, other_report, "{jobs} jobs");
            }
            (alone, other) => assert_eq!(alone.as_ref().err(), other.as_ref().err(), "{jobs} jobs"),
        }
        let (other, other_report) = overlaid(selected, limits, jobs);
        assert_eq!(tree::differences(&layers, &other), [""; 0], "{jobs} jobs");
        assert_eq!(report_of_layers, other_report, "{jobs} jobs");
    }
    alone
}

/// What a random layer brings.
#[derive(Debug, Clone)]
enum Said {
    File(String, usize),
    Dir(String),
    Symlink(String, String),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
}

fn path() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["a", "b", "c"]);
    prop::collection::vec(names, 1..3).prop_map(|names| names.join("/"))
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => (path(), 0..200_000_usize).prop_map(|(path, size)| Said::File(path, size)),
        2 => path().prop_map(Said::Dir),
        1 => (path(), path()).prop_map(|(path, target)| Said::Symlink(path, target)),
        1 => (path(), path()).prop_map(|(path, target)| Said::HardLink(path, target)),
        1 => path().prop_map(Said::Whiteout),
        1 => path().prop_map(Said::Opaque),
    ]
}

fn archive(said: &[Said]) -> Vec<u8> {
    let layer = said.iter().fold(layer(), |layer, said| match said {
        Said::File(path, size) => layer.file(path, &vec![7; *size]),
        Said::Dir(path) => layer.dir(path),
        Said::Symlink(path, target) => layer.symlink(path, target),
        Said::HardLink(path, target) => layer.hard_link(path, target),
        Said::Whiteout(path) => layer.whiteout(path),
        Said::Opaque(path) => layer.opaque(path),
    });
    layer.build()
}

fn stored() -> impl Strategy<Value = Stored> {
    prop::sample::select(vec![Stored::Plain, Stored::Gzip, Stored::Zstd])
}

/// What is wrong with the blob of a layer.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Missing,
    Truncated,
    Changed,
    /// Another compression, which is not supported.
    Bzip2,
}

impl Damage {
    fn apply(self, blob: &Path) {
        let mut bytes = fs::read(blob).unwrap();
        match self {
            Self::Missing => return fs::remove_file(blob).unwrap(),
            Self::Truncated => bytes.truncate(bytes.len() / 2),
            Self::Changed => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            Self::Bzip2 => bytes[..10].copy_from_slice(b"BZh91AY&SY"),
        }
        fs::write(blob, bytes).unwrap();
    }
}

fn damage() -> impl Strategy<Value = Option<(usize, Damage)>> {
    let damage = prop::sample::select(vec![Damage::Missing, Damage::Truncated, Damage::Changed, Damage::Bzip2]);
    prop::option::weighted(0.4, (0..6_usize, damage))
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn every_number_of_jobs_makes_the_same_tree_report_and_error(
        layers in prop::collection::vec((prop::collection::vec(said(), 0..6), stored()), 1..6),
        damage in damage(),
        most in prop::option::weighted(0.2, (prop::sample::select(vec![Limit::LayerBytes, Limit::ImageBytes]), 0..300_000_u64)),
    ) {
        let place = tempfile::tempdir().unwrap();
        let layers: Vec<_> = layers.iter().map(|(said, stored)| (archive(said), *stored)).collect();
        let blobs = layout::write(place.path(), &layers);
        if let Some((layer, damage)) = damage
            && layer < layers.len()
        {
            damage.apply(&place.path().join(&blobs[layer]));
        }
        let limits = most.into_iter().fold(Limits::default(), |limits, (limit, most)| limits.with(limit, most));
        let _ = compare(&select(place.path()), &limits);
    }
}

/// Content that no compression makes small, another one for each number.
fn noise(number: i32, bytes: usize) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(number as u32), next).map(|state| (state >> 24) as u8).take(bytes).collect()
}

/// Layers that do not fit into memory, each over the one before.
fn large() -> Vec<(Vec<u8>, Stored)> {
    let stored = [Stored::Gzip, Stored::Zstd, Stored::Plain, Stored::Gzip, Stored::Zstd];
    let layers = (0..).zip(stored).map(|(number, stored)| {
        let content = noise(number, 12 << 20);
        let small = (0..200).fold(layer(), |layer, file| layer.file(&format!("d{number}/{file}"), &content[..2_000]));
        let layer = small.file("large", &content).whiteout(&format!("d{}/7", number - 1));
        (layer.file(&format!("d{number}/large"), &content[1 << 20..]).build(), stored)
    });
    layers.collect()
}

#[test]
fn large_layers_that_are_read_ahead_make_the_same_tree() {
    let (_place, selected) = image(&large());
    let (tree, report) = compare(&selected, &Limits::default()).unwrap();
    assert_eq!(report.entries, 5 * 203);
    let has = [&b"d3/7"[..], b"d3/8", b"d4/7"].map(|path| tree.contains_key(path));
    assert_eq!(has, [false, true, true]);
}

/// The names of the files that this process has open in a directory.
fn open_files(directory: &Path) -> Vec<String> {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let links = links.filter_map(|link| link.into_os_string().into_string().ok());
    links.filter(|link| link.starts_with(&format!("{}/", directory.display()))).collect()
}

/// Takes everything, and does something before the end of the first layer.
struct Waiting<F> {
    then: Option<F>,
    paths: Vec<String>,
}

impl<F: FnOnce()> Sink for Waiting<F> {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, change: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        self.paths.push(change.get().path.to_string());
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        if let Some(then) = self.then.take() {
            then();
        }
        Ok(())
    }
}

/// Waits until something holds.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn paths(selected: &Selected, jobs: usize) -> Vec<String> {
    let mut sink = Waiting { then: None::<fn()>, paths: Vec::new() };
    unpacker(jobs).session().apply_image(selected, &mut sink).unwrap();
    sink.paths
}

#[test]
fn layers_ahead_of_their_turn_are_in_files_without_names_and_none_is_left() {
    let (_place, selected) = image(&large());
    let expected = paths(&selected, 1);
    for jobs in [2, 3, 8] {
        let scratch = tempfile::tempdir().unwrap();
        let then = || {
            wait_until("no layer is spooled", || !open_files(scratch.path()).is_empty());
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
            // Not more than one for each layer ahead.
            assert!(open_files(scratch.path()).len() <= 4);
        };
        let mut sink = Waiting { then: Some(then), paths: Vec::new() };
        let unpacker = unpacker(jobs).with_scratch(Scratch::beneath(open(scratch.path())).unwrap());
        unpacker.session().apply_image(&selected, &mut sink).unwrap();
        assert!(sink.then.is_none());
        assert_eq!(sink.paths, expected, "{jobs} jobs");
        assert_eq!(open_files(scratch.path()), [""; 0], "{jobs} jobs");
    }
}

#[test]
fn a_directory_in_which_nothing_can_be_written_only_means_that_less_is_read_ahead() {
    let (_place, selected) = image(&large());
    let expected = paths(&selected, 1);
    for jobs in [2, 3, 8] {
        let scratch = tempfile::tempdir().unwrap();
        let unpacker = unpacker(jobs).with_scratch(Scratch::beneath(open(scratch.path())).unwrap());
        drop(scratch);
        let mut sink = Waiting { then: None::<fn()>, paths: Vec::new() };
        unpacker.session().apply_image(&selected, &mut sink).unwrap();
        assert_eq!(sink.paths, expected, "{jobs} jobs");
    }
}

/// The layers of an image as downloads. They arrive one after another: the next one only when the one before was applied.
struct Downloads {
    /// The number of layers whose bytes are here.
    here: Mutex<usize>,
    changed: Condvar,
    /// The layers that are open.
    open: Mutex<BTreeSet<usize>>,
    most: AtomicUsize,
    threads: Mutex<Vec<ThreadId>>,
}

impl Downloads {
    fn new() -> Self {
        Self {
            here: Mutex::new(1),
            changed: Condvar::new(),
            open: Mutex::default(),
            most: AtomicUsize::new(0),
            threads: Mutex::default(),
        }
    }

    fn open<'a>(&'a self, selected: &Selected, layer: &LayerDescriptor) -> io::Result<Download<'a>> {
        let number = layer.position().number;
        let mut open = self.open.lock().unwrap();
        open.insert(number);
        self.most.fetch_max(open.len(), Ordering::Relaxed);
        Ok(Download { blob: Box::new(selected.open_layer(layer)?), number, of: self })
    }

    fn arrive(&self) {
        *self.here.lock().unwrap() += 1;
        self.changed.notify_all();
    }
}

struct Download<'a> {
    blob: Box<dyn Read + Send>,
    number: usize,
    of: &'a Downloads,
}

impl Read for Download<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.of.threads.lock().unwrap().push(thread::current().id());
        let here = self.of.here.lock().unwrap();
        let waited = self.of.changed.wait_timeout_while(here, Duration::from_secs(60), |here| *here < self.number);
        assert!(
            !waited.unwrap().1.timed_out(),
            "layer {} is waited for, and those before are not applied",
            self.number
        );
        self.blob.read(out)
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        self.of.open.lock().unwrap().remove(&self.number);
    }
}

/// Lets the next layer arrive when one is applied.
struct Applied<'a>(&'a Downloads, usize);

impl Sink for Applied<'_> {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        self.1 += 1;
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        self.0.arrive();
        Ok(())
    }
}

#[test]
fn a_download_that_blocks_ahead_of_its_turn_does_not_keep_the_layers_before_it_from_being_applied() {
    let layers: Vec<_> = (0..6)
        .map(|number| (layer().file(&format!("{number}"), &noise(number, 300_000)).build(), Stored::Gzip))
        .collect();
    let (_place, selected) = image(&layers);
    for jobs in [2, 3, 4, 9] {
        for readers in [1, 2, 3, 9] {
            let downloads = Downloads::new();
            let mut sink = Applied(&downloads, 0);
            let unpacker = unpacker(jobs).with_readers(NonZeroUsize::new(readers).unwrap());
            let open = |layer: &LayerDescriptor| downloads.open(&selected, layer);
            unpacker.session().apply_image_from(&selected, open, &mut sink).unwrap();
            assert_eq!(sink.1, 6, "{jobs} jobs, {readers} readers");
            let most = downloads.most.load(Ordering::Relaxed);
            assert!(most <= readers, "{jobs} jobs, {readers} readers: {most} open");
            // The calling thread could not be woken.
            assert!(!downloads.threads.lock().unwrap().contains(&thread::current().id()), "{jobs} jobs");
        }
    }
}

#[test]
fn two_downloads_are_read_at_the_same_time_if_there_are_threads_for_both() {
    let layers: Vec<_> =
        (0..2).map(|number| (layer().file("f", &noise(number, 30_000)).build(), Stored::Gzip)).collect();
    let (_place, selected) = image(&layers);
    let begun = AtomicUsize::new(0);
    struct Meets<'a>(Box<dyn Read + Send>, Option<&'a AtomicUsize>);
    impl Read for Meets<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if let Some(begun) = self.1.take() {
                begun.fetch_add(1, Ordering::Relaxed);
                wait_until("the other layer is not read", || begun.load(Ordering::Relaxed) == 2);
            }
            self.0.read(out)
        }
    }
    let open = |layer: &LayerDescriptor| Ok(Meets(Box::new(selected.open_layer(layer)?), Some(&begun)));
    let unpacker = unpacker(3).with_readers(NonZeroUsize::new(2).unwrap());
    let mut sink = Waiting { then: None::<fn()>, paths: Vec::new() };
    unpacker.session().apply_image_from(&selected, open, &mut sink).unwrap();
    assert_eq!(sink.paths.len(), 2);
}

#[test]
fn layers_without_room_ahead_of_their_turn_cost_no_time() {
    assert!(child::run("waits_for_the_first_layer", &[("LAYERCAGE_CHILD", "1".as_ref())]));
}

/// Runs in a process of its own, since it measures the time of all its threads.
#[test]
#[ignore = "started by the test above"]
fn waits_for_the_first_layer() {
    if !child::is_child() {
        return;
    }
    // No window of the others fits into the memory for layers ahead.
    let layers: Vec<_> =
        (0..8).map(|number| (layer().file("f", &noise(number, 3_000)).build(), Stored::ZstdWindow(25))).collect();
    let (_place, selected) = image(&layers);
    struct Slow(Box<dyn Read + Send>, Duration);
    impl Read for Slow {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            thread::sleep(std::mem::take(&mut self.1));
            self.0.read(out)
        }
    }
    let time = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap();
    for jobs in [2, 3, 8] {
        let open = |layer: &LayerDescriptor| {
            let wait = if layer.position().number == 1 { 1_000 } else { 0 };
            Ok(Slow(Box::new(selected.open_layer(layer)?), Duration::from_millis(wait)))
        };
        let (before, mut sink) = (time(), Waiting { then: None::<fn()>, paths: Vec::new() });
        let unpacker = unpacker(jobs).with_readers(NonZeroUsize::new(8).unwrap());
        unpacker.session().apply_image_from(&selected, open, &mut sink).unwrap();
        let took = time() - before;
        assert!(took < Duration::from_millis(300), "{jobs} jobs: {took:?}");
    }
}

#[test]
fn a_reader_that_panics_ahead_of_its_turn_ends_the_session_with_its_panic() {
    struct Panics(Box<dyn Read + Send>, bool);
    impl Read for Panics {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            assert!(!self.1, "of the reader");
            self.0.read(out)
        }
    }
    let layers: Vec<_> =
        (0..4).map(|number| (layer().file("f", &noise(number, 3_000)).build(), Stored::Gzip)).collect();
    let (_place, selected) = image(&layers);
    for jobs in [1, 2, 3, 8] {
        for panics_at in 1..=4 {
            let open = |layer: &LayerDescriptor| {
                Ok(Panics(Box::new(selected.open_layer(layer)?), layer.position().number == panics_at))
            };
            let unpacker = unpacker(jobs).with_readers(NonZeroUsize::new(4).unwrap());
            let mut sink = Waiting { then: None::<fn()>, paths: Vec::new() };
            let applied = || unpacker.session().apply_image_from(&selected, open, &mut sink).map(drop);
            let panic = catch_unwind(AssertUnwindSafe(applied)).unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the reader"), "{jobs} jobs, layer {panics_at}");
        }
    }
}

#[test]
fn few_files_are_open_however_many_layers_and_jobs_there_are() {
    let layers: Vec<_> = (0..60)
        .map(|number| (layer().file(&format!("{number}"), &noise(number, 300_000)).build(), Stored::Gzip))
        .collect();
    let (place, selected) = image(&layers);
    let scratch = tempfile::tempdir().unwrap();
    let most = AtomicUsize::new(0);
    let then = || {
        // Long enough for the other threads to read as far ahead as they may.
        for _ in 0..200 {
            let open = open_files(place.path()).len() + open_files(scratch.path()).len();
            most.fetch_max(open, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
    };
    let mut sink = Waiting { then: Some(then), paths: Vec::new() };
    let unpacker = unpacker(64).with_scratch(Scratch::beneath(open(scratch.path())).unwrap());
    unpacker.session().apply_image(&selected, &mut sink).unwrap();
    assert_eq!(sink.paths, (0..60).map(|number| format!("\"{number}\"")).collect::<Vec<_>>());
    let most = most.into_inner();
    // A blob and a temporary file for the current layer and sixteen others, and one blob that is about to be read.
    assert!(most <= 2 * 17 + 1, "{most} files are open");
}
