//! Whole images, against what most people write: the crates tar and flate2, and a loop.
//!
//! `cargo bench --bench extract` makes images, unpacks each by turns in processes of their own, and prints a table:
//! times, peaks of memory, and what each tree has wrong, found by comparing it with what the layers say. It fails when
//! layercage has anything wrong. `LAYERCAGE_SCALE=N` makes images N times as large, `LAYERCAGE_ROUNDS=N` more rounds;
//! `BLESS=1` writes the table into `README.md`. Trees are made in `TMPDIR`: a tmpfs is best.

#![allow(clippy::disallowed_methods, reason = "a benchmark sets up its own worlds and runs itself anew")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

#[path = "../../corpus/build.rs"]
mod build;
#[path = "../common/mod.rs"]
mod common;
mod images;
#[path = "../../tests/it/support/layer.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod layer;
#[path = "../../tests/it/support/layout.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod layout;
mod model;
#[path = "../../tests/it/support/tree.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod tree;
mod wrong;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use common::{peak_kib, setting, table};
use images::Picture;
use layercage::policy::Devices;
use layercage::{Image, Policy, Selector, Unpacker};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Who unpacks.
const ENGINES: [&str; 3] = ["naive", "1", "2"];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, engine, image, target] = &arguments[..]
        && flag == "--run"
    {
        return run(engine, Path::new(image), Path::new(target));
    }
    let (scale, rounds) = (setting("LAYERCAGE_SCALE", 1), setting("LAYERCAGE_ROUNDS", 5) as usize);
    let mut lines = vec![
        "| image | entries, MB of tar | naive | `--jobs 1` | `--jobs 2` | peak in MiB: naive, 1, 2 | what naive has wrong \
         | what layercage has wrong |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    let mut failed = false;
    for (name, picture) in images::all(scale) {
        let (line, is_right) = compare(name, &picture, rounds);
        failed |= !is_right;
        println!("{line}");
        lines.push(line);
    }
    println!();
    table("README.md", "extract", &lines);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A row of the table, and whether layercage's tree is the one that the layers say.
fn compare(name: &str, picture: &Picture, rounds: usize) -> (String, bool) {
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("image");
    let (layers, stored) = picture.build();
    let bytes: usize = layers.iter().map(|(bytes, _)| bytes.len()).sum();
    fs::create_dir(&image).unwrap();
    let blobs = layout::write(&image, &layers);
    let order: Vec<_> = blobs.iter().take(layers.len()).map(|blob| format!("{blob}\n")).collect();
    fs::write(image.join("LAYERS"), order.concat()).unwrap();
    drop(layers);

    let expected = model::tree(&picture.layers);
    let mut wrong = vec![String::new(); ENGINES.len()];
    let mut seconds = vec![Vec::new(); ENGINES.len()];
    let mut peaks = vec![0; ENGINES.len()];
    for round in 0..rounds {
        for (at, engine) in ENGINES.iter().enumerate() {
            let target = place.path().join("rootfs");
            let (took, peak) = measure(engine, &image, &target);
            if round == 0 {
                wrong[at] = wrong::compare(&expected, &tree::list(&target));
            }
            seconds[at].push(took);
            peaks[at] = peaks[at].max(peak.div_ceil(1024));
            fs::remove_dir_all(&target).unwrap();
        }
    }
    // Each round's own ratio: what else the machine does falls on its three runs alike.
    let ratio = |at: usize| median((0..rounds).map(|round| seconds[0][round] / seconds[at][round]).collect());
    let ours =
        if wrong[1] == wrong[2] { wrong[1].clone() } else { format!("{}; on two threads {}", wrong[1], wrong[2]) };
    let line = format!(
        "| {name} ({stored}) | {}, {} | {:.2} s | {:.2} s, {:.1} times faster | {:.2} s, {:.1} times faster | {}, {}, {} \
         | {} | {ours} |",
        picture.layers.iter().map(Vec::len).sum::<usize>(),
        bytes / 1_000_000,
        median(seconds[0].clone()),
        median(seconds[1].clone()),
        ratio(1),
        median(seconds[2].clone()),
        ratio(2),
        peaks[0],
        peaks[1],
        peaks[2],
        wrong[0],
    );
    (line, ours == wrong::NOTHING)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds of unpacking, and the peak of memory in KiB of the process that did it.
fn measure(engine: &str, image: &Path, target: &Path) -> (f64, u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--run", engine]).args([image, target]).output().unwrap();
    assert!(output.status.success(), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (seconds, peak) = text.trim().split_once(' ').unwrap();
    (seconds.parse().unwrap(), peak.parse().unwrap())
}

fn run(engine: &str, image: &Path, target: &Path) -> ExitCode {
    let start = Instant::now();
    match engine {
        "naive" => naive(image, target),
        jobs => layercage(jobs.parse().unwrap(), image, target),
    }
    println!("{} {}", start.elapsed().as_secs_f64(), peak_kib());
    ExitCode::SUCCESS
}

/// What most people write. It is told which files are the layers: no manifest is read, no digest checked.
fn naive(image: &Path, target: &Path) {
    fs::create_dir(target).unwrap();
    let order = fs::read_to_string(image.join("LAYERS")).unwrap();
    for blob in order.lines().map(|name| -> PathBuf { image.join(name) }) {
        let mut file = BufReader::with_capacity(1 << 16, File::open(&blob).unwrap());
        match file.fill_buf().unwrap().starts_with(&[0x1f, 0x8b]) {
            true => naive_layer(tar::Archive::new(flate2::bufread::MultiGzDecoder::new(file)), target),
            false => naive_layer(tar::Archive::new(file), target),
        }
    }
}

fn naive_layer(mut archive: tar::Archive<impl std::io::Read>, target: &Path) {
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(rustix::process::geteuid().is_root());
    archive.set_preserve_mtime(true);
    archive.set_unpack_xattrs(true);
    archive.unpack(target).unwrap();
}

fn layercage(jobs: NonZeroUsize, image: &Path, target: &Path) {
    let open = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).unwrap();
    let image = Image::open(open(image)).unwrap();
    let selected = image.select(&Selector::host()).unwrap();
    let parent = open(target.parent().unwrap());
    let unpacker = Unpacker::new(Policy::default().with_devices(Devices::Create)).with_jobs(jobs);
    unpacker.unpack(&selected, &parent, target.file_name().unwrap()).unwrap();
}
