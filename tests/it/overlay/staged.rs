//! Images whose layers arrive one after another, for a store: calls in every order.

use super::world::{World, layer, there};
use super::{model, possible};
use crate::random::cases;
use crate::support::layout::{self, Stored};
use crate::support::{open, sha256, tree};
use layercage::error::{Blame, Misuse};
use layercage::overlay::{OverlayStore, StagedOverlay};
use layercage::progress::Advance;
use layercage::rules::Limit;
use layercage::{Error, Expected, Image, Layer, Limits, Policy, Selected, Selector, Session, Staged, Unpacker};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The plain bytes of some layers, each of which goes onto any others.
fn archives() -> Vec<Vec<u8>> {
    let layers = [
        layer().file("a", b"0").dir("d").file("d/f", b"0"),
        layer().file("b", b"1").whiteout("a").file("d/f", b"1"),
        layer().opaque("d").file("d/g", b"2").symlink("s", "d"),
        layer().file("a", b"3").hard_link("c", "a").whiteout("d/g"),
    ];
    layers.map(|layer| layer.build()).to_vec()
}

fn expected(bytes: &[u8]) -> Expected {
    Expected::blob(sha256(bytes), bytes.len() as u64).with_diff_id(sha256(bytes))
}

fn session() -> Session<'static> {
    Unpacker::default().session()
}

/// A call on a staged image. The number is that of the layer.
#[derive(Debug, Clone, Copy)]
enum Call {
    Reuse(usize),
    Apply(usize),
    /// The bytes are those of another layer.
    Other(usize),
    /// The reader fails.
    Fails(usize),
    /// The blob is named, the diff ID is not.
    WithoutDiffId(usize),
    /// The diff ID is named, the blob is not.
    WithoutBlob(usize),
    Commit,
    /// The image that is named has a layer more, or one less.
    CommitLonger(usize),
    CommitShorter,
    /// The image is dropped, and another one begins.
    Drop,
}

fn call() -> impl Strategy<Value = Call> {
    let number = || 0..4_usize;
    prop_oneof![
        4 => number().prop_map(Call::Reuse),
        6 => number().prop_map(Call::Apply),
        1 => number().prop_map(Call::Other),
        1 => number().prop_map(Call::Fails),
        1 => number().prop_map(Call::WithoutDiffId),
        1 => number().prop_map(Call::WithoutBlob),
        2 => Just(Call::Commit),
        1 => number().prop_map(Call::CommitLonger),
        1 => Just(Call::CommitShorter),
        1 => Just(Call::Drop),
    ]
}

struct Fails;

impl Read for Fails {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the connection is lost"))
    }
}

/// What the calls so far lead to.
#[derive(Default)]
struct Expectation {
    /// The layers of the store, each with those below it.
    stored: BTreeSet<Vec<usize>>,
    /// The layers of the image, and whether each was there.
    image: Vec<usize>,
    was_there: Vec<bool>,
    has_failed: bool,
}

impl Expectation {
    fn stack(&self, number: usize) -> Vec<usize> {
        [&self.image[..], &[number]].concat()
    }

    /// Adds a layer, and returns whether the store had it.
    fn add(&mut self, number: usize) -> bool {
        let is_new = self.stored.insert(self.stack(number));
        self.image.push(number);
        self.was_there.push(!is_new);
        !is_new
    }

    fn restart(&mut self) {
        (self.image, self.was_there, self.has_failed) = (Vec::new(), Vec::new(), false);
    }
}

/// Applies a layer of which an error is expected, unless the store has it. Then it is not read.
fn refused<R: Read + Send>(
    staged: &mut StagedOverlay<'_, '_>,
    model: &mut Expectation,
    number: usize,
    layer: Layer<R>,
    is: impl Fn(&Error) -> bool,
) {
    if model.stored.contains(&model.stack(number)) {
        assert_eq!(staged.apply(layer).unwrap(), None);
        model.add(number);
    } else {
        let error = staged.apply(layer).unwrap_err();
        assert!(is(&error), "{error:#}");
        model.has_failed = true;
    }
}

fn is_poisoned<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert_eq!(result.unwrap_err().misuse(), Some(&Misuse::Poisoned));
}

fn is_other<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert_eq!(result.unwrap_err().misuse(), Some(&Misuse::OtherImage));
}

/// The image with these layers.
fn image(numbers: &[usize]) -> Selected {
    let (place, archives) = (tempfile::tempdir().unwrap(), archives());
    let layers: Vec<_> = numbers.iter().map(|&number| (archives[number].clone(), Stored::Plain)).collect();
    layout::write(place.path(), &layers);
    Image::open(&open(place.path())).unwrap().select(&Selector::host()).unwrap()
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn calls_in_every_order_publish_what_is_verified_and_nothing_else(
        calls in prop::collection::vec(call(), 1..24),
        jobs in 1..4_usize,
    ) {
        let (world, archives) = (World::new(), archives());
        let store = world.store();
        let begin = || Staged::overlay(&store, super::world::unpacker(jobs).session()).unwrap();
        let (mut staged, mut model) = (begin(), Expectation::default());
        for call in calls {
            match call {
                Call::Reuse(_) if model.has_failed => is_poisoned(staged.reuse(&sha256(b""))),
                Call::Reuse(number) => {
                    let is_there = model.stored.contains(&model.stack(number));
                    assert_eq!(staged.reuse(&sha256(&archives[number])).unwrap(), is_there);
                    is_there.then(|| model.add(number));
                }
                Call::Commit | Call::CommitLonger(_) | Call::CommitShorter if model.has_failed => {
                    is_poisoned(std::mem::replace(&mut staged, begin()).commit(&image(&model.image)));
                    model.restart();
                }
                Call::CommitLonger(number) => {
                    is_other(std::mem::replace(&mut staged, begin()).commit(&image(&model.stack(number))));
                    model.restart();
                }
                Call::CommitShorter => {
                    if let Some((_, rest)) = model.image.split_last() {
                        is_other(std::mem::replace(&mut staged, begin()).commit(&image(rest)));
                        model.restart();
                    }
                }
                Call::Commit => {
                    let image = image(&model.image);
                    let unpacked = std::mem::replace(&mut staged, begin()).commit(&image).unwrap();
                    model.was_there.reverse();
                    assert_eq!(there(&unpacked), model.was_there);
                    compare(&world, &image, &world.directories(&unpacked), &model.image);
                    model.restart();
                }
                Call::Drop => {
                    drop(std::mem::replace(&mut staged, begin()));
                    model.restart();
                }
                Call::Apply(number) | Call::Other(number) | Call::Fails(number) | Call::WithoutDiffId(number)
                | Call::WithoutBlob(number) if model.has_failed => {
                    let bytes = &archives[number];
                    let error = staged.apply(Layer::new(&bytes[..]).expecting(expected(bytes)));
                    is_poisoned(error);
                }
                Call::Apply(number) => {
                    let bytes = &archives[number];
                    let applied = staged.apply(Layer::new(&bytes[..]).expecting(expected(bytes))).unwrap();
                    assert_eq!(applied.is_none(), model.add(number));
                }
                Call::Other(number) => {
                    let (bytes, other) = (&archives[number], &archives[(number + 1) % 4]);
                    let layer = Layer::new(&other[..]).expecting(expected(bytes));
                    refused(&mut staged, &mut model, number, layer, |error| error.blame() == Blame::Archive);
                }
                Call::Fails(number) => {
                    let layer = Layer::new(Fails).expecting(expected(&archives[number]));
                    refused(&mut staged, &mut model, number, layer, |error| {
                        format!("{error:#}").contains("the connection is lost")
                    });
                }
                Call::WithoutDiffId(number) => {
                    let bytes = &archives[number];
                    let layer = Layer::new(&bytes[..]).expecting(Expected::blob(sha256(bytes), bytes.len() as u64));
                    let error = staged.apply(layer).unwrap_err();
                    assert!(matches!(error.misuse(), Some(Misuse::Unproven { .. })), "{error}");
                    model.has_failed = true;
                }
                Call::WithoutBlob(number) => {
                    let bytes = &archives[number];
                    let layer = Layer::new(&bytes[..]).expecting(Expected::unchecked().with_diff_id(sha256(bytes)));
                    refused(&mut staged, &mut model, number, layer, |error| {
                        matches!(error.misuse(), Some(Misuse::Unproven { .. }))
                    });
                }
            }
        }
        drop(staged);
        world.assert_tidy();
        assert_eq!(world.names().iter().filter(|name| name.ends_with("/diff")).count(), model.stored.len());
    }
}

/// The layers in a store, mounted, are the root filesystem of the same layers.
fn compare(world: &World, image: &Selected, directories: &[PathBuf], numbers: &[usize]) {
    if numbers.is_empty() {
        return;
    }
    let (place, archives) = (tempfile::tempdir().unwrap(), archives());
    let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
    let mut session = session();
    for &number in numbers {
        session.apply(Layer::new(&archives[number][..]), staged.rootfs()).unwrap();
    }
    staged.commit_unproven().unwrap();
    let shown = model::list(directories, possible());
    let differences = tree::differences(&tree::list(&place.path().join("rootfs")), &shown);
    assert!(differences.is_empty(), "{numbers:?}\n{}", differences.join("\n"));
    let list = world.path().join(format!("images/{}/lower", OverlayStore::digest_of(image)));
    let list = std::fs::read_to_string(list).unwrap();
    assert_eq!(list.lines().map(|line| world.path().join(line)).collect::<Vec<_>>(), directories);
}

#[test]
fn an_image_with_other_layers_than_were_added_is_not_listed_and_replaces_nothing() {
    let (world, archives, whole) = (World::new(), archives(), image(&[0, 1, 2]));
    let store = world.store();
    let stage = |numbers: &[usize]| {
        let mut staged = Staged::overlay(&store, session()).unwrap();
        for &number in numbers {
            let bytes = &archives[number];
            staged.apply(Layer::new(&bytes[..]).expecting(expected(bytes))).unwrap();
        }
        staged
    };
    let list = world.path().join(format!("images/{}/lower", OverlayStore::digest_of(&whole)));
    let others: &[&[usize]] = &[&[], &[0], &[0, 1], &[1, 0, 2], &[0, 1, 3], &[0, 1, 2, 3]];
    for numbers in others {
        is_other(stage(numbers).commit(&whole));
        assert!(!list.exists(), "{numbers:?}");
    }
    stage(&[0, 1, 2]).commit(&whole).unwrap();
    let complete = std::fs::read(&list).unwrap();
    assert_eq!(complete.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count(), 3);
    for numbers in others {
        is_other(stage(numbers).commit(&whole));
        assert_eq!(std::fs::read(&list).unwrap(), complete, "{numbers:?}");
    }
}

#[test]
fn images_that_are_staged_on_several_threads_apply_each_layer_once() {
    let (world, archives) = (World::new(), archives());
    let (store, applied, image) = (world.store(), AtomicUsize::new(0), image(&[0, 1, 2, 3]));
    thread::scope(|scope| {
        for number in 0..6 {
            let (store, applied, archives, image) = (&store, &applied, &archives, &image);
            scope.spawn(move || {
                let mut staged = Staged::overlay(store, session()).unwrap();
                for bytes in archives {
                    // Half of them ask before.
                    if number % 2 == 0 && staged.reuse(&sha256(bytes)).unwrap() {
                        continue;
                    }
                    let new = staged.apply(Layer::new(&bytes[..]).expecting(expected(bytes))).unwrap();
                    applied.fetch_add(usize::from(new.is_some()), Ordering::Relaxed);
                }
                staged.commit(image).unwrap();
            });
        }
    });
    assert_eq!(applied.into_inner(), archives.len());
    world.assert_tidy();
}

#[test]
fn a_layer_that_another_run_has_claimed_is_waited_for_until_that_is_cancelled() {
    let (world, archives) = (World::new(), archives());
    let (store, diff_id) = (world.store(), sha256(&archives[0]));
    let mut first = Staged::overlay(&store, session()).unwrap();
    assert!(!first.reuse(&diff_id).unwrap());
    let cancel = |_: &Advance| ControlFlow::Break(());
    let mut cancelled = Staged::overlay(&store, session().with_progress(cancel)).unwrap();
    assert_eq!(cancelled.reuse(&diff_id).unwrap_err().misuse(), Some(&Misuse::Cancelled));
    let mut second = Staged::overlay(&store, session()).unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| second.reuse(&diff_id).map(|is_there| (is_there, second)));
        thread::sleep(Duration::from_millis(60));
        assert!(!waits.is_finished());
        // It takes over.
        drop(first);
        let (is_there, mut second) = waits.join().unwrap().unwrap();
        assert!(!is_there);
        let layer = Layer::new(&archives[0][..]).expecting(expected(&archives[0]));
        assert!(second.apply(layer).unwrap().is_some());
        assert_eq!(second.report().entries, 3);
    });
    world.assert_tidy();
}

#[test]
fn a_staged_image_has_no_more_layers_than_the_limit() {
    let (world, archives) = (World::new(), archives());
    let store = world.store();
    for is_there in [false, true] {
        let unpacker = Unpacker::new(Policy::default()).with_limits(Limits::default().with(Limit::Layers, 2));
        let mut staged = Staged::overlay(&store, unpacker.session()).unwrap();
        for bytes in &archives[..2] {
            let applied = staged.apply(Layer::new(&bytes[..]).expecting(expected(bytes))).unwrap();
            assert_eq!(applied.is_none(), is_there);
        }
        assert_eq!(staged.reuse(&sha256(&archives[2])).unwrap_err().rule_id(), Some("limit"));
    }
}
