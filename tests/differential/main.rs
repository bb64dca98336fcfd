//! Other readers of tar archives, compared with ours: where our default policy takes an archive, whoever else takes it
//! must read the same names, types, sizes, contents and link targets. `docs/differential.md` has the figures.
//!
//! `cargo test` compares the corpus and a few generated archives with the readers that are installed, and says which
//! are missing. `LAYERCAGE_ARCHIVES=100000 cargo test --release --test differential -- --nocapture` is the full run;
//! `LAYERCAGE_SEED` chooses other archives, `LAYERCAGE_WORKERS` how many threads read them.

#![allow(clippy::disallowed_methods, reason = "tests run other readers")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(dead_code, unused_imports, reason = "of the corpus only its layers are used")]

#[path = "../../corpus/mod.rs"]
mod corpus;

mod anatomy;
mod archive;
mod canonical;
mod compare;
mod exceptions;
mod formats;
mod generate;
mod item;
mod ours;
mod peers;
mod tally;
mod trees;

use archive::Spec;
use item::{Item, Kind};
use peers::Peer;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tally::{Tally, compare};
use trees::Trees;

/// Archives that a thread makes and reads at a time, all from one seed.
const BLOCK: u64 = 250;

/// From so many archives on, every exception must have been seen.
const FULL_RUN: u64 = 100_000;

/// Differences that are reported before a run ends.
const MOST_FAILURES: usize = 12;

#[test]
fn the_corpus_is_read_alike() {
    let (tally, wrong) = compare_corpus();
    println!("the corpus: {tally}");
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}

fn compare_corpus() -> (Tally, Vec<String>) {
    let mut peers = peers::installed();
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for case in corpus::all() {
        if let Some(archive) = ours::unpacked(&case.layer) {
            let found = compare(&archive, &mut peers, &mut tally);
            wrong.extend(found.into_iter().map(|what| format!("{}: {what}", case.name)));
        }
    }
    (tally, wrong)
}

/// A reader that says what it is told to.
struct Told(Vec<Item>);

impl Peer for Told {
    fn names(&self) -> Vec<peers::Name> {
        vec![peers::Name { name: "a reader", version: String::new() }]
    }

    fn read(&mut self, _: &[u8], _: peers::Wanted) -> Vec<peers::Answer> {
        vec![Ok(self.0.clone())]
    }
}

#[test]
fn a_reader_that_sees_anything_else_is_found_out() {
    let archive = corpus::build::tar().file("f", "hello").symlink("l", "f").character_device("c", 1, 3).end();
    let honest: Vec<_> = ours::read(&archive).unwrap().into_iter().map(|seen| seen.item).collect();
    let found = |items: &[Item]| {
        let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(Told(items.to_vec()))];
        compare(&archive, &mut peers, &mut Tally::default())
    };
    assert_eq!(found(&honest), Vec::<String>::new());
    type Change = (&'static str, fn(&mut Vec<Item>));
    let changes: &[Change] = &[
        ("Name", |items| items[0].name.push(b'x')),
        ("Kind", |items| items[1].kind = Kind::HardLink),
        ("Size", |items| items[0].size += 1),
        ("Content", |items| items[0].content.clear()),
        ("Target", |items| items[1].target.clear()),
        ("Device", |items| items[2].device.1 += 1),
        ("Mode", |items| items[0].attributes.mode = Some(0o4755)),
        ("Owner", |items| items[1].attributes.owner = Some((0, 1))),
        ("Time", |items| items[2].attributes.seconds = Some(1)),
        ("Time", |items| items[2].attributes.nanoseconds = Some(1)),
        ("Sequence", |items| drop(items.pop())),
        ("Sequence", |items| items.push(items[0].clone())),
    ];
    for (what, change) in changes {
        let mut items = honest.clone();
        change(&mut items);
        let said = found(&items);
        assert!(said.iter().any(|line| line.starts_with(&format!("a reader: {what} of"))), "{what}: {said:?}");
    }
}

#[test]
fn a_reader_may_differ_in_an_entry_and_then_have_one_more() {
    let map: &[(&str, &[u8])] =
        &[("GNU.sparse.size", b"512"), ("GNU.sparse.numblocks", b"1"), ("GNU.sparse.map", b"0,512")];
    let sparse =
        || corpus::build::tar().pax(&[map, &[("GNU.sparse.name", b"real")]].concat()).file("stand-in", [b'x'; 512]);
    let odd = corpus::build::Header::posix(b'x', "x").bytes(263, b"0\0");
    let archive = sparse().with(odd, corpus::build::pax_records(&[("uid", b"1")])).file("f", "hello").end();
    let mut tally = Tally::default();
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(peers::tar_crate::TarCrate)];
    assert_eq!(compare(&archive, &mut peers, &mut tally), Vec::<String>::new());
    assert_eq!(tally.exceptions().collect::<Vec<_>>(), ["tar-crate-pax-sparse", "tar-crate-version"]);
    // What no exception explains is found in front of the entry that only one of the two has.
    let mut items: Vec<_> = ours::read(&archive).unwrap().into_iter().map(|seen| seen.item).collect();
    items[0].attributes.mode = Some(0o4755);
    items.insert(1, Item::new(b"x", Kind::Other));
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(Told(items))];
    assert!(compare(&archive, &mut peers, &mut Tally::default()).iter().any(|line| line.contains("Mode of entry 1")));
}

#[test]
fn generated_archives_are_read_alike() {
    let archives = number("LAYERCAGE_ARCHIVES").unwrap_or(2_000);
    let seed = number("LAYERCAGE_SEED").unwrap_or(1);
    let workers = number("LAYERCAGE_WORKERS").unwrap_or(2);
    let blocks = archives.div_ceil(BLOCK);
    println!("seed {seed}, {blocks} blocks of {BLOCK} archives");
    let next = AtomicU64::new(0);
    let all = Mutex::new((Tally::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut peers = peers::installed();
                loop {
                    let block = next.fetch_add(1, Ordering::Relaxed);
                    if block >= blocks {
                        break;
                    }
                    let (tally, failures) = run(seed, block, &mut peers);
                    let mut all = all.lock().unwrap();
                    all.0.add(tally);
                    all.1.extend(failures);
                    if all.1.len() >= MOST_FAILURES {
                        next.store(blocks, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (tally, failures) = all.into_inner().unwrap();
    println!("{tally}");
    assert!(failures.is_empty(), "{} differences\n{}", failures.len(), failures.join("\n"));
    assert!(tally.taken_percent() >= 33, "too few archives are taken: the comparison would say little");
    if tally.archives() >= FULL_RUN {
        // The corpus has those that are rare.
        let (mut all, _) = compare_corpus();
        all.add(tally);
        assert!(all.stale().is_empty(), "exceptions that do not occur: {:?}", all.stale());
        assert!(all.missing_forms().is_empty(), "forms that were not compared: {:?}", all.missing_forms());
    }
}

#[test]
fn the_page_lists_every_exception() {
    let page = include_str!("../../docs/differential.md");
    let rows = exceptions::EXCEPTIONS.iter().map(|exception| {
        let exceptions::Exception { name, peer, reason, .. } = exception;
        format!("| `{name}` | {peer} | {reason} |")
    });
    let rows = rows.chain(
        trees::EXCEPTIONS
            .iter()
            .map(|trees::TreeException { name, reason, .. }| format!("| `{name}` | umoci | {reason} |")),
    );
    let rows: Vec<_> = rows.collect();
    let listed = page.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(rows, listed.collect::<Vec<_>>(), "docs/differential.md should have:\n{}", rows.join("\n"));
}

#[test]
fn umoci_makes_the_same_trees() {
    let Some(umoci) = trees::Umoci::find() else { return };
    let mut trees = Trees::default();
    let mut wrong = Vec::new();
    for case in corpus::all() {
        let lower = case.lower.as_deref().map(ours::unpacked);
        let Some(layer) = ours::unpacked(&case.layer).filter(|_| lower != Some(None)) else { continue };
        let layers: Vec<_> = lower.iter().flatten().map(Vec::as_slice).chain([&layer[..]]).collect();
        let found = umoci.compare(&layers, &mut trees);
        wrong.extend(found.into_iter().map(|what| format!("{}: {what}", case.name)));
    }
    let archives = number("LAYERCAGE_TREES").unwrap_or(25);
    let seed = number("LAYERCAGE_SEED").unwrap_or(1);
    let mut runner = runner(seed, u64::MAX);
    let strategy = generate::archives();
    for _ in 0..archives {
        let spec = strategy.new_tree(&mut runner).unwrap().current();
        let found = umoci.compare(&[&spec.bytes()], &mut trees);
        wrong.extend(found.into_iter().map(|what| format!("{what}\n    of {spec:?}")));
    }
    println!("umoci {}, the corpus and {archives} archives of seed {seed}: {trees}", umoci.version);
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
    // All exceptions are known from the corpus.
    let stale: Vec<_> =
        trees::EXCEPTIONS.iter().map(|exception| exception.name).filter(|name| !trees.has(name)).collect();
    assert!(stale.is_empty(), "exceptions that do not occur: {stale:?}");
}

/// Everything that is random depends on these.
fn runner(seed: u64, block: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&block.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// Makes a block of archives and compares what they are read as; a difference with the smallest archive that has it.
fn run(seed: u64, block: u64, peers: &mut [Box<dyn Peer>]) -> (Tally, Vec<String>) {
    let mut runner = runner(seed, block);
    let strategy = generate::archives();
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for _ in 0..BLOCK {
        let tree = strategy.new_tree(&mut runner).unwrap();
        if compare(&tree.current().bytes(), peers, &mut tally).is_empty() {
            continue;
        }
        let (spec, what) = smallest(tree, peers);
        failures.push(format!("{}\n    of {spec:?}", what.join("\n")));
        if failures.len() >= MOST_FAILURES {
            break;
        }
    }
    (tally, failures)
}

/// Makes an archive smaller as long as it is read differently.
fn smallest(mut tree: impl ValueTree<Value = Spec>, peers: &mut [Box<dyn Peer>]) -> (Spec, Vec<String>) {
    let mut differs = |spec: &Spec| compare(&spec.bytes(), peers, &mut Tally::default());
    let mut best = (tree.current(), differs(&tree.current()));
    for _ in 0..400 {
        let found = differs(&tree.current());
        let moved = if found.is_empty() {
            tree.complicate()
        } else {
            best = (tree.current(), found);
            tree.simplify()
        };
        if !moved {
            break;
        }
    }
    best
}
