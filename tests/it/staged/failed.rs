//! A stage on which anything has failed can only be dropped; a tree that is visible may be tried again.

use super::names;
use crate::support::layer::LayerBuilder;
use crate::support::{open, sha256, temporary};
use layercage::blob::{Blob, Checked, LayerStream, Verified};
use layercage::error::{Effect, Misuse};
use layercage::policy::{IdMap, OwnerMap, Owners, Terms};
use layercage::progress::Advance;
use layercage::rules::Limit;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError};
use layercage::tar::Change;
use layercage::{Applied, Error, Expected, Layer, Limits, Policy, Rootfs, Sink, Staged, Unpacker};
use std::fs;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn good() -> Vec<u8> {
    LayerBuilder::new().file("good", b"good").build()
}

/// A layer of which no proof is handed over.
fn bad() -> Vec<u8> {
    LayerBuilder::new().file("bad", b"bad").file("large", &vec![7; 700_000]).file("last", b"").build()
}

fn proven(bytes: &[u8]) -> Layer<&[u8]> {
    Layer::new(bytes).expecting(known(bytes))
}

fn known(bytes: &[u8]) -> Expected {
    Expected::blob(sha256(bytes), bytes.len() as u64).with_diff_id(sha256(bytes))
}

/// The bad layer, of which something else is expected.
fn bad_as(change: fn(Expected) -> Expected, rootfs: &mut Rootfs, jobs: usize) -> Result<Applied, Error> {
    let bytes = bad();
    apply(Layer::new(&bytes[..]).expecting(change(known(&bytes))), rootfs, jobs)
}

fn unpacker(policy: Policy, jobs: usize) -> Unpacker {
    Unpacker::new(policy).with_jobs(NonZeroUsize::new(jobs).unwrap()).with_scratch(temporary(&std::env::temp_dir()))
}

fn apply<R: Read + Send>(layer: Layer<R>, rootfs: &mut Rootfs, jobs: usize) -> Result<Applied, Error> {
    unpacker(Policy::default(), jobs).apply(layer, rootfs)
}

/// The proof of the good layer, as it comes of a tree of its own.
fn proof_of_good() -> Verified<Blob> {
    let place = tempfile::tempdir().unwrap();
    let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
    apply(proven(&good()), staged.rootfs(), 1).unwrap().verified().unwrap()
}

/// A reader of so many bytes of a layer, behind which it does something else.
struct Until<'a> {
    bytes: &'a [u8],
    then: fn() -> io::Result<usize>,
}

impl Read for Until<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() { (self.then)() } else { self.bytes.read(out) }
    }
}

fn read_until(
    length: usize,
    then: fn() -> io::Result<usize>,
    rootfs: &mut Rootfs,
    jobs: usize,
) -> Result<Applied, Error> {
    let bytes = bad();
    apply(
        Layer::new(Until { bytes: &bytes[..length], then })
            .expecting(Expected::unchecked().with_digest(sha256(&bytes))),
        rootfs,
        jobs,
    )
}

fn resets() -> io::Result<usize> {
    Err(io::ErrorKind::ConnectionReset.into())
}

#[derive(Clone, Copy, PartialEq)]
enum Call {
    Begin,
    Change,
    End,
    None,
}

/// Whether a sink around a tree hands on that a layer was abandoned.
#[derive(Clone, Copy, PartialEq)]
enum Abandons {
    HandedOn,
    Kept,
}

/// A sink of a user's around a tree, in which something goes wrong behind a call of the tree's.
struct Around<'a> {
    rootfs: &'a mut Rootfs,
    wrong: Call,
    how: fn() -> Result<(), Error>,
    abandons: Abandons,
}

impl Around<'_> {
    fn behind(&self, call: Call) -> Result<(), SinkError> {
        if self.wrong == call { Ok((self.how)()?) } else { Ok(()) }
    }
}

impl Sink for Around<'_> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.rootfs.begin_layer(layer)?;
        self.behind(Call::Begin)
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        self.rootfs.change(change, data, reporter)?;
        self.behind(Call::Change)
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.rootfs.end_layer(checked)?;
        self.behind(Call::End)
    }

    fn abandon_layer(&mut self) -> Effect {
        match self.abandons {
            Abandons::HandedOn => self.rootfs.abandon_layer(),
            Abandons::Kept => Effect::Partial,
        }
    }
}

fn around(
    (wrong, abandons): (Call, Abandons),
    how: fn() -> Result<(), Error>,
    rootfs: &mut Rootfs,
    jobs: usize,
) -> Result<Applied, Error> {
    let mut sink = Around { rootfs, wrong, how, abandons };
    unpacker(Policy::default(), jobs).apply(proven(&bad()), &mut sink)
}

fn fails() -> Result<(), Error> {
    Err(Error::system("write", b"elsewhere", io::Error::other("full")))
}

fn watched(
    told: impl FnMut(&Advance) -> ControlFlow<()> + Send,
    rootfs: &mut Rootfs,
    jobs: usize,
) -> Result<Applied, Error> {
    unpacker(Policy::default(), jobs).session().with_progress(told).apply(proven(&bad()), rootfs)
}

/// A sentence, and how the application of a layer to this tree on so many threads fails.
type Case = (&'static str, fn(&mut Rootfs, usize) -> Result<Applied, Error>);

const CASES: &[Case] = &[
    ("the digest of another", |tree, jobs| bad_as(|known| known.with_digest(sha256(b"")), tree, jobs)),
    ("the diff ID of another", |tree, jobs| bad_as(|known| known.with_diff_id(sha256(b"")), tree, jobs)),
    ("the size of another", |tree, jobs| bad_as(|known| known.with_size(7), tree, jobs)),
    ("truncated", |tree, jobs| apply(Layer::new(&bad()[..2_000]), tree, jobs)),
    ("no tar at all", |tree, jobs| apply(Layer::new(&[b'?'; 600][..]), tree, jobs)),
    ("refused by policy at its second entry", |tree, jobs| {
        apply(proven(&LayerBuilder::new().file("bad", b"").device("dev/a", 1, 3).build()), tree, jobs)
    }),
    ("refused by the tree at its second entry", |tree, jobs| {
        apply(proven(&LayerBuilder::new().file("bad", b"").hard_link("b", "nothing").build()), tree, jobs)
    }),
    ("beyond a limit", |tree, jobs| {
        let limits = Limits::default().with(Limit::FileBytes, 10);
        unpacker(Policy::default(), jobs).with_limits(limits).apply(proven(&bad()), tree)
    }),
    ("with owners that have no root, which nothing begins with", |tree, jobs| {
        let ids = || IdMap::new(["1:1:1".parse().unwrap()]).unwrap();
        let policy = Policy::default().with_owners(Owners::Map(OwnerMap { uids: ids(), gids: ids() }));
        unpacker(policy, jobs).apply(proven(&bad()), tree)
    }),
    ("a reader that fails at once", |tree, jobs| read_until(0, resets, tree, jobs)),
    ("a reader that fails behind an entry", |tree, jobs| read_until(300_000, resets, tree, jobs)),
    ("a reader that panics at once", |tree, jobs| read_until(0, || panic!("the reader"), tree, jobs)),
    ("a reader that panics behind an entry", |tree, jobs| read_until(300_000, || panic!("the reader"), tree, jobs)),
    ("cancelled at once", |tree, jobs| watched(|_| ControlFlow::Break(()), tree, jobs)),
    ("cancelled behind an entry", |tree, jobs| {
        let enough = |advance: &Advance| match advance.entries {
            2.. => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        watched(enough, tree, jobs)
    }),
    ("watched by what panics at once", |tree, jobs| watched(|_| panic!("the watch"), tree, jobs)),
    ("watched by what panics behind an entry", |tree, jobs| {
        watched(|now| if now.entries > 1 { panic!("the watch") } else { ControlFlow::Continue(()) }, tree, jobs)
    }),
    ("a sink around it that fails at the beginning and tells nobody", |tree, jobs| {
        around((Call::Begin, Abandons::Kept), fails, tree, jobs)
    }),
    ("a sink around it that fails at an entry and tells nobody", |tree, jobs| {
        around((Call::Change, Abandons::Kept), fails, tree, jobs)
    }),
    ("a sink around it that fails behind the end", |tree, jobs| {
        around((Call::End, Abandons::HandedOn), fails, tree, jobs)
    }),
    ("a sink around it that panics at the beginning", |tree, jobs| {
        around((Call::Begin, Abandons::Kept), || panic!("the sink"), tree, jobs)
    }),
    ("a sink around it that panics at an entry", |tree, jobs| {
        around((Call::Change, Abandons::Kept), || panic!("the sink"), tree, jobs)
    }),
];

#[test]
fn a_stage_on_which_a_layer_failed_can_only_be_dropped() {
    let (good, proof) = (good(), proof_of_good());
    for jobs in 1..=3 {
        for (what, fail) in CASES {
            for layers_before in 0..=1 {
                let place = tempfile::tempdir().unwrap();
                let what = format!("{what}, on {jobs} threads, over {layers_before}");
                let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
                for _ in 0..layers_before {
                    apply(proven(&good), staged.rootfs(), jobs).unwrap();
                }
                let failed = catch_unwind(AssertUnwindSafe(|| fail(staged.rootfs(), jobs)));
                assert!(!matches!(failed, Ok(Ok(_))), "{what}");
                // As often as it is tried: no later layer makes what the failed one left part of something proven.
                for _ in 0..2 {
                    let refused = apply(proven(&good), staged.rootfs(), jobs).unwrap_err();
                    assert!(refused.misuse() == Some(&Misuse::Poisoned), "{what}: {refused}");
                }
                let refused = staged.commit(vec![proof.clone(); layers_before]).unwrap_err();
                assert!(refused.misuse() == Some(&Misuse::Poisoned), "{what}: {refused}");
                assert_eq!(names(place.path()), [""; 0], "{what}");
            }
        }
    }
}

#[test]
fn a_visible_tree_on_which_a_layer_failed_takes_the_layer_again() {
    let bytes = bad();
    for jobs in 1..=3 {
        for (what, fail) in CASES {
            let place = tempfile::tempdir().unwrap();
            let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
            let failed = catch_unwind(AssertUnwindSafe(|| fail(&mut rootfs, jobs)));
            assert!(!matches!(failed, Ok(Ok(_))), "{what}");
            for _ in 0..2 {
                apply(proven(&bytes), &mut rootfs, jobs).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            let mut found = names(place.path());
            found.retain(|name| name != "dev");
            found.sort();
            assert_eq!(found, ["bad", "large", "last"], "{what}");
            assert_eq!(fs::read(place.path().join("bad")).unwrap(), b"bad", "{what}");
        }
    }
}

/// Hands on all calls but one, and no failure of an entry.
struct Hole<'a>(&'a mut Rootfs, Call);

impl Sink for Hole<'_> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        if self.1 == Call::Begin { Ok(()) } else { self.0.begin_layer(layer) }
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        // What fails is kept from whoever applies, who goes on.
        let _ = self.0.change(change, data, reporter);
        Ok(())
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        if self.1 == Call::End { Ok(()) } else { self.0.end_layer(checked) }
    }
}

fn expected(bytes: &[u8]) -> Expected {
    Expected::unchecked().with_digest(sha256(bytes)).with_size(bytes.len() as u64).with_diff_id(sha256(bytes))
}

fn checked(bytes: &[u8]) -> Checked {
    let mut stream = LayerStream::open(bytes, expected(bytes), &Limits::default()).unwrap();
    io::copy(&mut stream, &mut io::sink()).unwrap();
    stream.finish().unwrap()
}

/// Calls in some order, of which each has the outcome that it should have.
type Calls<'a> = &'a dyn Fn(&mut Rootfs) -> bool;

#[test]
fn calls_in_no_order_that_a_layer_has_make_nothing_visible() {
    let (good, proof) = (good(), proof_of_good());
    let refused_at_an_entry = LayerBuilder::new().file("bad", b"").hard_link("b", "nothing").file("c", b"").build();
    let orders: &[(&str, Calls<'_>)] = &[
        ("an end without a beginning", &|tree| tree.end_layer(&checked(&good)).is_err()),
        ("a beginning without an end", &|tree| tree.begin_layer(&LayerContext::new(&Terms::new())).is_ok()),
        ("two beginnings", &|tree| {
            [0; 2].map(|_| tree.begin_layer(&LayerContext::new(&Terms::new())).is_ok()) == [true, false]
        }),
        ("an end behind what was abandoned", &|tree| {
            tree.begin_layer(&LayerContext::new(&Terms::new())).unwrap();
            tree.abandon_layer();
            tree.end_layer(&checked(&good)).is_err()
        }),
        ("an end with the result of another layer", &|tree| {
            tree.begin_layer(&LayerContext::new(&Terms::new())).unwrap();
            tree.end_layer(&checked(&good)).is_err()
        }),
        ("two ends", &|tree| {
            tree.begin_layer(&LayerContext::new(&Terms::new()).with_expected(expected(&good))).unwrap();
            [0; 2].map(|_| tree.end_layer(&checked(&good)).is_ok()) == [true, false]
        }),
        ("changes outside of a layer", &|tree| hole(tree, Call::Begin, &good).is_err()),
        ("changes and no end", &|tree| hole(tree, Call::End, &good).is_ok()),
        ("an end in spite of an entry that failed", &|tree| hole(tree, Call::None, &refused_at_an_entry).is_err()),
    ];
    for (what, call) in orders {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        assert!(call(staged.rootfs()), "{what}");
        let refused = apply(proven(&good), staged.rootfs(), 1).unwrap_err();
        assert!(refused.misuse() == Some(&Misuse::Poisoned), "{what}: {refused}");
        let refused = staged.commit(vec![proof.clone()]).unwrap_err();
        assert!(refused.misuse() == Some(&Misuse::Poisoned), "{what}: {refused}");
        assert_eq!(names(place.path()), [""; 0], "{what}");
    }
    let place = tempfile::tempdir().unwrap();
    let refused = Rootfs::over(&open(place.path())).unwrap().end_layer(&checked(&good)).unwrap_err();
    assert!(matches!(refused.error().misuse(), Some(Misuse::OutsideLayer { call: "end_layer" })), "{refused}");
}

fn hole(rootfs: &mut Rootfs, without: Call, bytes: &[u8]) -> Result<Applied, Error> {
    unpacker(Policy::default(), 1).apply(proven(bytes), &mut Hole(rootfs, without))
}

#[test]
fn a_tree_that_failed_is_not_made_good_by_another_handle_on_it() {
    let place = tempfile::tempdir().unwrap();
    let [mut failed, mut other] = ["failed", "other"].map(|name| Staged::beside(&open(place.path()), name).unwrap());
    let hidden = |name: &str| place.path().join(name).join("rootfs");
    bad_as(|known| known.with_digest(sha256(b"")), failed.rootfs(), 1).unwrap_err();
    let theirs = names(place.path()).into_iter().find(|name| hidden(name).join("bad").exists());
    // It lies where whoever makes it may open it, as a visible tree that has never failed.
    let mut again = Rootfs::over(&open(&hidden(&theirs.unwrap()))).unwrap();
    let proof = apply(proven(&good()), &mut again, 1).unwrap().verified().unwrap();
    let taken_out = std::mem::replace(failed.rootfs(), again);
    *other.rootfs() = taken_out;
    let refused = apply(proven(&good()), other.rootfs(), 1).unwrap_err();
    assert!(refused.misuse() == Some(&Misuse::Poisoned), "it failed wherever it is: {refused}");
    for staged in [failed, other] {
        let refused = staged.commit(vec![proof.clone()]).unwrap_err();
        assert!(refused.misuse() == Some(&Misuse::ForeignTree), "{refused}");
    }
    assert_eq!(names(place.path()), [""; 0]);
}
