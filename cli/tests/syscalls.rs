//! How many system calls an entry of each kind costs, counted by strace.
//!
//! Each kind is applied in layers of some hundred and of twice as many entries, so that what every run costs vanishes.
//! No kind may cost more than the table in `docs/performance.md` says; `BLESS=1` writes the table anew.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;
#[path = "../../tests/it/support/layer.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod layer;

#[path = "support/layout.rs"]
mod layout;
#[path = "../../tests/it/skip.rs"]
mod skip;

use layer::{Attributes, LayerBuilder, mode};
use skip::skip;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ENTRIES: usize = 300;

/// What the entries are, what they come to, and the layer of so many.
type Kind = (&'static str, Onto, fn(usize) -> LayerBuilder);

/// What a layer comes to.
#[derive(Clone, Copy)]
enum Onto {
    /// A directory, in which this made so many things.
    Tree(fn(&Path, usize)),
    /// The layers of an overlay, of which the lower one has the root alone.
    Overlay,
}

const KINDS: &[Kind] = &[
    ("a new file of 100 bytes, parent known", Onto::Tree(nothing), |n| {
        each(n, |layer, i| layer.file(&format!("f{i}"), &[b'x'; 100]))
    }),
    ("an empty new file", Onto::Tree(nothing), |n| each(n, |layer, i| layer.file(&format!("f{i}"), b""))),
    ("a new file of another owner", Onto::Tree(nothing), |n| {
        let theirs = Attributes { uid: 1000, gid: 1000, ..Attributes::default() };
        each(n, move |layer, i| layer.file_with(&format!("f{i}"), b"x", &theirs))
    }),
    ("a new file with an extended attribute", Onto::Tree(nothing), |n| {
        let noted = Attributes { xattrs: vec![("user.note", b"kept")], ..Attributes::default() };
        each(n, move |layer, i| layer.file_with(&format!("f{i}"), b"x", &noted))
    }),
    ("a file over another file", Onto::Tree(files), |n| each(n, |layer, i| layer.file(&format!("f{i}"), b"x"))),
    ("a new directory", Onto::Tree(nothing), |n| each(n, |layer, i| layer.dir(&format!("d{i}")))),
    ("a new directory and a file in it", Onto::Tree(nothing), |n| {
        each(n, |layer, i| layer.dir(&format!("d{i}")).file(&format!("d{i}/f"), b"x"))
    }),
    ("a directory over the same one", Onto::Tree(directories), |n| each(n, |layer, i| layer.dir(&format!("d{i}")))),
    ("a new file, its directory of a lower layer", Onto::Tree(directories), |n| {
        each(n, |layer, i| layer.file(&format!("d{i}/f"), b"x"))
    }),
    ("a symbolic link", Onto::Tree(nothing), |n| each(n, |layer, i| layer.symlink(&format!("l{i}"), "f"))),
    ("a hard link", Onto::Tree(nothing), |n| each(n, |layer, i| layer.hard_link(&format!("h{i}"), "first"))),
    ("a FIFO", Onto::Tree(nothing), |n| each(n, |layer, i| layer.fifo(&format!("p{i}")))),
    ("a whiteout of a file", Onto::Tree(files), |n| each(n, |layer, i| layer.whiteout(&format!("f{i}")))),
    ("a whiteout of nothing", Onto::Tree(nothing), |n| each(n, |layer, i| layer.whiteout(&format!("f{i}")))),
    ("a directory of one lower file made opaque", Onto::Tree(directories_of_one), |n| {
        each(n, |layer, i| layer.opaque(&format!("d{i}")))
    }),
    ("a new directory in a layer of an overlay", Onto::Overlay, |n| each(n, |layer, i| layer.dir(&format!("d{i}")))),
    ("a new file in a layer of an overlay, parent known", Onto::Overlay, |n| {
        each(n, |layer, i| layer.file(&format!("f{i}"), &[b'x'; 100]))
    }),
];

fn each(entries: usize, add: impl Fn(LayerBuilder, usize) -> LayerBuilder) -> LayerBuilder {
    (0..entries).fold(LayerBuilder::new().file_with("first", b"", &mode(0o644)), add)
}

fn nothing(_: &Path, _: usize) {}

fn files(tree: &Path, entries: usize) {
    (0..entries).for_each(|i| fs::write(tree.join(format!("f{i}")), "").unwrap());
}

fn directories(tree: &Path, entries: usize) {
    (0..entries).for_each(|i| fs::create_dir(tree.join(format!("d{i}"))).unwrap());
}

fn directories_of_one(tree: &Path, entries: usize) {
    directories(tree, entries);
    (0..entries).for_each(|i| fs::write(tree.join(format!("d{i}/f")), "").unwrap());
}

/// A row: what an entry is, how many calls it costs, and which.
struct Row {
    kind: &'static str,
    total: usize,
    calls: String,
}

#[test]
fn no_kind_of_entry_costs_more_system_calls_than_the_page_says() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped, since it needs root: system calls counted (who may not chown makes fewer)");
        return;
    }
    if Command::new("strace").arg("--version").output().is_err() {
        skip("there is no strace: system calls counted");
        return;
    }
    let rows: Vec<Row> = KINDS.iter().map(row).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once("<!-- system calls -->\n").unwrap();
    let (kept, after) = rest.split_once("<!-- end -->").unwrap();
    let made: String = rows.iter().map(|row| format!("| {} | {} | {} |\n", row.kind, row.total, row.calls)).collect();
    if std::env::var_os("BLESS").is_some() {
        let head = "| entry | calls | which |\n|---|---|---|\n";
        fs::write(&page, format!("{before}<!-- system calls -->\n{head}{made}<!-- end -->{after}")).unwrap();
        return;
    }
    for Row { kind, total, calls } in &rows {
        let line = kept.lines().find(|line| line.starts_with(&format!("| {kind} |")));
        let line = line.unwrap_or_else(|| panic!("docs/performance.md has no row `{kind}`; BLESS=1 writes it"));
        let allowed: usize = line.split('|').nth(2).unwrap().trim().parse().unwrap();
        assert!(*total <= allowed, "{kind}: {total} calls, and the page says {allowed}: {calls}");
        if *total < allowed {
            eprintln!("{kind}: {total} calls, fewer than the {allowed} of the page; BLESS=1 writes it anew");
        }
    }
}

fn row(&(kind, onto, build): &Kind) -> Row {
    let [one, two] = [ENTRIES, 2 * ENTRIES].map(|entries| count(entries, onto, build));
    let mut calls = Vec::new();
    for (call, &after) in &two {
        let more = after.saturating_sub(one.get(call).copied().unwrap_or_default());
        // To the nearest: buffers are filled, and tables grow, now and then.
        match (more + ENTRIES / 2) / ENTRIES {
            0 => (),
            1 => calls.push((1, format!("`{call}`"))),
            times => calls.push((times, format!("{times} `{call}`"))),
        }
    }
    let names: Vec<_> = calls.iter().map(|(_, name)| name.as_str()).collect();
    Row { kind, total: calls.iter().map(|(times, _)| times).sum(), calls: names.join(", ") }
}

/// The system calls of one run.
fn count(entries: usize, onto: Onto, build: fn(usize) -> LayerBuilder) -> BTreeMap<String, usize> {
    let place = tempfile::tempdir().unwrap();
    let [layer, tree, log]: [PathBuf; 3] = ["layer.tar", "tree", "log"].map(|name| place.path().join(name));
    let command = match onto {
        Onto::Tree(prepare) => {
            fs::write(&layer, build(entries).build()).unwrap();
            fs::create_dir(&tree).unwrap();
            prepare(&tree, entries);
            &["apply"][..]
        }
        Onto::Overlay => {
            let layers = [LayerBuilder::new().file("below", b"x").build(), build(entries).build()];
            layout::write(&layer, serde_json::json!({"architecture": "amd64", "os": "linux"}), &layers);
            &["overlay", "--jobs", "1"]
        }
    };
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_layercage"))
        .args(command)
        .args([&layer, &tree])
        .output()
        .unwrap();
    assert!(traced.status.success(), "{}", String::from_utf8_lossy(&traced.stderr));
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        // Builds with debug assertions ask of each descriptor that they close whether it is one.
        if line.contains("F_GETFD") {
            continue;
        }
        // `PID call(arguments) = result`; what is resumed was counted when it began.
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        if let Some((name, _)) = call.split_once('(').filter(|(name, _)| !name.contains(' ')) {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}
