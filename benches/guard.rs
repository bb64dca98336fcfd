//! Instructions of fixed work, counted by callgrind: what noise cannot hide, and what no change should add unseen.
//!
//! `cargo bench --bench guard` applies one layer of 2,000 entries to a sink that keeps nothing, and to a tree, on one
//! thread under valgrind, and compares with `benches/guard.txt`: a count that is more than 3 % off, above or below,
//! fails. `BLESS=1 cargo bench --bench guard` writes the file anew, which belongs into the change that makes it differ.
//!
//! The layer is a plain tar of which no digest is known, so that no instruction is counted that only some processors
//! have. Another compiler makes other code: with one that is not the file's, nothing is compared.

#![allow(clippy::disallowed_methods, reason = "a benchmark sets up its own worlds and runs itself anew")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

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
        println!("SKIPPED: instructions counted: there is no valgrind");
        return ExitCode::SUCCESS;
    }
    let place = tempfile::tempdir().unwrap();
    let layer = place.path().join("layer.tar");
    fs::write(&layer, build().build()).unwrap();
    let counts: Vec<_> = WORKS.iter().map(|work| (*work, count(work, &layer))).collect();
    if std::env::var_os("BLESS").is_some() {
        let lines: Vec<_> = counts.iter().map(|(work, count)| format!("{work} {count}\n")).collect();
        fs::write(
            FILE,
            format!("# Instructions, see benches/guard.rs. Update: {UPDATE}\n{compiler}\n{}", lines.concat()),
        )
        .unwrap();
        return ExitCode::SUCCESS;
    }
    compare(&fs::read_to_string(FILE).unwrap(), &compiler, &counts)
}

fn compare(kept: &str, compiler: &str, counts: &[(&str, u64)]) -> ExitCode {
    if !kept.lines().any(|line| line == compiler) {
        println!("SKIPPED: instructions counted: benches/guard.txt is of another compiler than {compiler}");
        return ExitCode::SUCCESS;
    }
    let mut code = ExitCode::SUCCESS;
    for (work, count) in counts {
        let known: u64 = kept.lines().find_map(|line| line.strip_prefix(&format!("{work} "))).unwrap().parse().unwrap();
        let change = *count as f64 / known as f64 - 1.0;
        println!("{work}: {count} instructions, {:+.2} % to the {known} of benches/guard.txt", 100.0 * change);
        if change.abs() > TOLERANCE {
            println!("{work}: that is more than {} %; if it is meant: {UPDATE}", 100.0 * TOLERANCE);
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn count(work: &str, layer: &Path) -> u64 {
    let tree = tempfile::tempdir().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--run", work])
        .args([layer, tree.path()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{work}: {text}");
    let count = text.lines().find_map(|line| line.split_once("Collected :")).unwrap().1;
    count.trim().parse().unwrap()
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
