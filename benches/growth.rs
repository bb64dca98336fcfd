//! Whether an entry's time stays what it is, however many there are: layers of 10,000 to a million entries.
//!
//! `cargo bench --bench growth` prints the processor's time an entry in microseconds, and fails where ten times as many
//! entries take more than 1.6 times as long each. Each layer is applied in a process of its own, the smaller ones
//! several times of which the best counts. `cargo bench --bench growth -- NAME…` runs some rows; `LAYERCAGE_SCALE=N`
//! divides the amounts; `BLESS=1` writes the table into `docs/performance.md`. Trees are made in `TMPDIR`: a tmpfs is
//! best, and a million files need 2 GB of it.

#![allow(clippy::disallowed_methods, reason = "a benchmark sets up its own worlds and runs itself anew")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

#[path = "../corpus/build.rs"]
mod build;
mod common;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use common::layers::{Item, layer};
use common::{processor_seconds, setting, table};
use layercage::{Layer, Policy, Rootfs, Unpacker};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode};

const MOST: f64 = 1.6;
const AMOUNTS: [u64; 3] = [10_000, 100_000, 1_000_000];

/// A name, the largest amount, what is in the tree already, and the layer of so many entries.
type Row = (&'static str, u64, fn(&Path, u64), fn(u64) -> Box<dyn Read>);

const ROWS: &[Row] = &[
    ("files in one directory", 1_000_000, nothing, |n| layer((0..n).map(|i| Item::File(format!("d/f{i}"))))),
    ("files in one directory of a lower layer", 1_000_000, one_file, |n| {
        layer((0..n).map(|i| Item::File(format!("d/f{i}"))))
    }),
    ("directories beside one another", 1_000_000, nothing, |n| {
        layer((0..n).map(|i| Item::Directory(format!("d/d{i}"))))
    }),
    ("hard links to one file", 100_000, nothing, |n| {
        layer([Item::File("f".into())].into_iter().chain((0..n).map(|i| Item::HardLink(format!("l{i}"), "f".into()))))
    }),
    ("paths with 1,200 bytes and names with 240 in common", 1_000_000, nothing, |n| {
        let parent = vec!["x".repeat(239); 5].join("/");
        layer((0..n).map(move |i| Item::File(format!("{parent}/{}{i}", "y".repeat(240)))))
    }),
    ("files below 2,000 levels", 100_000, nothing, |n| {
        layer((0..n).map(|i| Item::File(format!("{}f{i}", "d/".repeat(2000)))))
    }),
    ("whiteouts, of a lower file each", 1_000_000, files, |n| layer((0..n).map(|i| Item::File(format!("d/.wh.f{i}"))))),
    ("whiteouts of nothing", 1_000_000, one_file, |n| layer((0..n).map(|i| Item::File(format!("d/.wh.f{i}"))))),
    ("an opaque directory, an entry being a lower file", 1_000_000, files, |_| {
        layer([Item::File("d/.wh..wh..opq".into())])
    }),
    ("files over lower ones", 1_000_000, files, |n| layer((0..n).map(|i| Item::File(format!("d/f{i}"))))),
];

fn nothing(_: &Path, _: u64) {}

fn one_file(tree: &Path, _: u64) {
    files(tree, 1);
}

fn files(tree: &Path, amount: u64) {
    fs::create_dir(tree.join("d")).unwrap();
    (0..amount).for_each(|i| fs::write(tree.join(format!("d/f{i}")), "").unwrap());
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, name, amount] = &arguments[..]
        && flag == "--run"
    {
        return run(name, amount.parse().unwrap());
    }
    let scale = setting("LAYERCAGE_SCALE", 1);
    let amounts = AMOUNTS.map(|amount| (amount / scale).max(1));
    let mut lines = vec![
        format!("| entries | {} |", amounts.map(|amount| amount.to_string()).join(" | ")),
        format!("|---|{}", "---|".repeat(amounts.len())),
    ];
    println!("{}", lines.join("\n"));
    let mut failed = false;
    for (name, largest, ..) in ROWS {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let mut line = format!("| {name} |");
        let mut last = None;
        for (amount, full) in amounts.into_iter().zip(AMOUNTS) {
            if full > *largest {
                line.push_str(" – |");
                continue;
            }
            let rounds = if full == 1_000_000 { 1 } else { 3 };
            let best = (0..rounds).map(|_| measure(name, amount)).fold(f64::INFINITY, f64::min);
            let each = 1e6 * best / amount as f64;
            line.push_str(&format!(" {each:.1} µs |"));
            failed |= last.is_some_and(|last: f64| each > MOST * last);
            last = Some(each);
        }
        println!("{line}");
        lines.push(line);
    }
    if arguments.is_empty() {
        table("docs/performance.md", "growth", &lines);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Seconds of the processor's time.
fn measure(name: &str, amount: u64) -> f64 {
    let itself = std::env::current_exe().unwrap();
    let output = Command::new(itself).args(["--run", name, &amount.to_string()]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn run(name: &str, amount: u64) -> ExitCode {
    let (_, _, prepare, build) = ROWS.iter().find(|row| row.0 == name).unwrap();
    let place = tempfile::tempdir().unwrap();
    prepare(place.path(), amount);
    let root = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
    let unpacker = Unpacker::new(Policy::default());
    let mut sink = Rootfs::over(&root).unwrap();
    let before = processor_seconds();
    unpacker.session().apply_local(Layer::new(build(amount)), &mut sink).unwrap();
    println!("{}", processor_seconds() - before);
    ExitCode::SUCCESS
}
