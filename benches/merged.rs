//! Memory and time of merged trees: a million files, and the same once more in an upper layer.
//!
//! `cargo bench --bench merged` prints a table, and fails where a path takes more than 160 bytes beside its name, by the
//! tree's own count or by the peak of the process. `LAYERCAGE_SCALE=N` divides the amount; `BLESS=1` writes the table into
//! `docs/performance.md`.

#![allow(clippy::disallowed_methods, reason = "a benchmark runs itself anew")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

#[path = "../corpus/build.rs"]
mod build;
mod common;

use common::layers::{Item, layer};
use common::{peak_kib, processor_seconds, setting, table};
use layercage::merged::Merger;
use layercage::rules::Limit;
use layercage::{Layer, Limits, Policy, Unpacker};
use std::io::Read;
use std::process::{Command, ExitCode};

const AMOUNT: u64 = 1_000_000;
const MOST: u64 = 160;

/// A name, and the layers of so many files.
type Row = (&'static str, fn(u64) -> Vec<Box<dyn Read>>);

const ROWS: &[Row] = &[
    ("files in one directory", |n| vec![layer((0..n).map(|i| Item::File(format!("d/{i:08}"))))]),
    ("files in directories of 20", |n| vec![layer((0..n).map(|i| Item::File(format!("{:06}/{:02}", i / 20, i % 20))))]),
    ("hard links to one file", |n| {
        let links = (0..n).map(|i| Item::HardLink(format!("{i:08}"), "f".into()));
        vec![layer([Item::File("f".into())].into_iter().chain(links))]
    }),
    ("files, half of them over those of a lower layer", |n| {
        let files = move |n: u64| layer((0..n / 2).map(|i| Item::File(format!("d/{i:08}"))));
        vec![files(n), files(n)]
    }),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, row, amount] = &arguments[..]
        && flag == "--run"
    {
        return run(row.parse().unwrap(), amount.parse().unwrap());
    }
    let amount = (AMOUNT / setting("LAYERCAGE_SCALE", 1)).max(1);
    let mut lines = vec![
        format!("| {amount} paths | time | bytes for each, counted | bytes for each, peak of the process |"),
        "|---|---|---|---|".to_owned(),
    ];
    let mut is_good = true;
    for (number, (name, _)) in ROWS.iter().enumerate() {
        let nothing = measure(number, 0);
        let measured = measure(number, amount);
        let counted = (measured[1] - nothing[1]) / amount as f64;
        let peak = (measured[2] - nothing[2]) * 1024.0 / amount as f64;
        // A name has 8 bytes or fewer.
        is_good &= counted <= (MOST + 8) as f64 && (amount < AMOUNT || peak <= (MOST + 8) as f64);
        lines.push(format!("| {name} | {:.2} s | {counted:.0} | {peak:.0} |", measured[0]));
    }
    lines.iter().for_each(|line| println!("{line}"));
    table("docs/performance.md", "merged", &lines);
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Processor's seconds, bytes of the tree and KiB of the process.
fn measure(row: usize, amount: u64) -> [f64; 3] {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["--run", &row.to_string(), &amount.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    [numbers[0], numbers[1], numbers[2]]
}

fn run(row: usize, amount: u64) -> ExitCode {
    let (unpacker, mut merger) = (Unpacker::new(Policy::default()), Merger::new());
    let unpacker = unpacker.with_limits(Limits::default().with(Limit::TreeBytes, Limit::OFF));
    for layer in (ROWS[row].1)(amount) {
        unpacker.session().apply_local(Layer::new(layer), &mut merger).unwrap();
    }
    let tree = merger.into_tree().unwrap();
    let paths = tree.iter().count() + tree.hidden().count();
    assert!(paths as u64 >= amount);
    println!("{} {} {}", processor_seconds(), tree.memory_bytes(), peak_kib());
    ExitCode::SUCCESS
}
