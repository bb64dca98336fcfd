//! Instructions of fixed work, counted by callgrind: what noise cannot hide, and what no change should add unseen.
//!
//! `cargo bench --bench guard` applies one layer of 2,000 entries to a sink that keeps nothing, and to a tree, on one
//! thread under valgrind, and compares with `benches/guard.txt`: a count that is more than 3 % off, above or below,
//! fails. `BLESS=1 cargo bench --bench guard` writes the file anew, which belongs into the change that makes it differ.
//!
//! The layer is a plain tar of which no digest is known, so that no instruction is counted that only some processors
//! have. Another compiler makes other code: with one that is not the file's, nothing is compared.
//!
//! Calls of the allocator are counted, too: those that one more small file costs in a directory that is known. No compiler
//! changes their number, which may neither grow nor shrink unsaid.

#![allow(clippy::disallowed_methods, reason = "a benchmark sets up its own worlds and runs itself anew")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

#[path = "../corpus/build.rs"]
mod build;
mod common;
#[path = "../tests/it/support/layer.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod layer;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use common::layers::Nowhere;
use layer::{Attributes, LayerBuilder};
use layercage::{Layer, Policy, Rootfs, Unpacker};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode};

const WORKS: [&str; 2] = ["judged", "tree"];
/// What takes memory, in C's library.
const ALLOCATORS: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];
const TOLERANCE: f64 = 0.03;
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/guard.txt");
const UPDATE: &str = "BLESS=1 cargo bench --bench guard";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, work, layer, tree] = &arguments[..]
        && flag == "--run"
    {
        return run(work, Path::new(layer), Path::new(tree));
    }
    let compiler = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version").output();
    let compiler = String::from_utf8(compiler.unwrap().stdout).unwrap();
    let compiler = format!("{}, {}", compiler.trim(), std::env::consts::ARCH);
    if Command::new("valgrind").arg("--version").output().is_err() {
        let must_run = std::env::var_os("LAYERCAGE_NO_SKIP").is_some_and(|value| value == "1");
        skipped("there is no valgrind");
        return if must_run { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let place = tempfile::tempdir().unwrap();
    let layer = place.path().join("layer.tar");
    fs::write(&layer, build().build()).unwrap();
    let counts: Vec<_> = WORKS.iter().map(|work| (*work, count(work, &layer).instructions)).collect();
    let allocations: Vec<_> = WORKS.iter().map(|work| (*work, allocations(work, place.path()))).collect();
    if std::env::var_os("BLESS").is_some() {
        let lines = counts.iter().map(|(work, count)| format!("{work} {count}\n"));
        let lines = lines.chain(allocations.iter().map(|(work, each)| format!("{work}-allocations {each}\n")));
        let head = format!("# Instructions, and allocations a file; see benches/guard.rs. Update: {UPDATE}");
        fs::write(FILE, format!("{head}\n{compiler}\n{}", lines.collect::<String>())).unwrap();
        return ExitCode::SUCCESS;
    }
    compare(&fs::read_to_string(FILE).unwrap(), &compiler, &counts, &allocations)
}

fn compare(kept: &str, compiler: &str, counts: &[(&str, u64)], allocations: &[(&str, u64)]) -> ExitCode {
    let known = |name: &str| -> u64 {
        kept.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap().parse().unwrap()
    };
    let mut code = ExitCode::SUCCESS;
    for (work, each) in allocations {
        let known = known(&format!("{work}-allocations"));
        println!("{work}: {each} allocations a file, {known} in benches/guard.txt");
        if *each != known {
            println!("{work}: if that is meant: {UPDATE}");
            code = ExitCode::FAILURE;
        }
    }
    if !kept.lines().any(|line| line == compiler) {
        skipped(&format!("benches/guard.txt is of another compiler than {compiler}"));
        return code;
    }
    for (work, count) in counts {
        let known = known(work);
        let change = *count as f64 / known as f64 - 1.0;
        println!("{work}: {count} instructions, {:+.2} % to the {known} of benches/guard.txt", 100.0 * change);
        if change.abs() > TOLERANCE {
            println!("{work}: that is more than {} %; if it is meant: {UPDATE}", 100.0 * TOLERANCE);
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// What one more file costs: the difference that a thousand make.
fn allocations(work: &str, place: &Path) -> u64 {
    let of = |files: usize| {
        let layer = place.join("files.tar");
        let files = (0..files).fold(LayerBuilder::new(), |built, n| built.file(&format!("usr/bin/file-{n:04}"), b"x"));
        fs::write(&layer, files.build()).unwrap();
        count(work, &layer).allocations
    };
    let (less, more) = (of(1_000), of(2_000));
    // What grows with the layer does so now and then, and is rounded off.
    (more - less + 500) / 1_000
}

/// What a run costs.
struct Costs {
    instructions: u64,
    allocations: u64,
}

fn count(work: &str, layer: &Path) -> Costs {
    let tree = tempfile::tempdir().unwrap();
    let calls = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", calls.path().display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--run", work])
        .args([layer, tree.path()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{work}: {text}");
    let count = text.lines().find_map(|line| line.split_once("Collected :")).unwrap().1;
    let allocations = calls_of(&ALLOCATORS, &fs::read_to_string(calls.path()).unwrap());
    Costs { instructions: count.trim().parse().unwrap(), allocations }
}

/// How often functions are called, as callgrind writes it: `cfn=(7) name` once, `cfn=(7)` from then on says whom a line
/// `calls=2 …` is about.
fn calls_of(functions: &[&str], profile: &str) -> u64 {
    let mut wanted = Vec::new();
    let mut is_wanted = false;
    let mut calls = 0;
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (id, name) = function.split_once(' ').unwrap_or((function, ""));
            if functions.contains(&name) {
                wanted.push(id);
            }
            is_wanted = wanted.contains(&id);
        } else if let Some(call) = line.strip_prefix("calls=").filter(|_| is_wanted) {
            calls += call.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
    }
    assert!(!wanted.is_empty(), "callgrind saw no allocation");
    calls
}

/// Says why instructions are not compared. `.ci/run` lists it.
fn skipped(why: &str) {
    println!("SKIPPED: instructions counted: {why}");
}

fn run(work: &str, layer: &Path, tree: &Path) -> ExitCode {
    let layer = Layer::new(File::open(layer).unwrap());
    let unpacker = Unpacker::new(Policy::default());
    match work {
        "judged" => unpacker.apply(layer, &mut Nowhere).unwrap(),
        _ => {
            let root = Dir::open_ambient_dir(tree, ambient_authority()).unwrap();
            unpacker.apply(layer, &mut Rootfs::over(&root).unwrap()).unwrap()
        }
    };
    ExitCode::SUCCESS
}

/// As images are: mostly small files, a directory to every ten, links, a few long names and attributes.
fn build() -> LayerBuilder {
    let noted = Attributes { xattrs: vec![("user.note", b"kept")], ..Attributes::default() };
    let mut layer = LayerBuilder::new();
    for number in 0..2_000_usize {
        let directory = format!("usr/share/doc/package-{}", number / 20);
        let name = |what: &str| format!("{directory}/{what}-{number}");
        layer = match number % 20 {
            0 | 10 => layer.dir(&format!("{directory}{}", if number % 20 == 0 { "" } else { "/more" })),
            1 => layer.symlink(&name("link"), "../elsewhere"),
            2 => layer.hard_link(&name("same"), &format!("{directory}/link-{}", number - 1)),
            3 => layer.file_with(&name("noted"), b"x", &noted),
            4 => layer.file(&name(&"long".repeat(30)), b"x"),
            5 => layer.record("mtime", b"1700000000.123456789").file(&name("timed"), b"x"),
            6 => layer.whiteout(&name("gone")),
            _ => layer.file(&name("file"), &vec![b'x'; number * 7 % 3_000]),
        };
    }
    layer
}
