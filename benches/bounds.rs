//! Memory and the processor's time of hostile layers: each is applied at one size and at twice that size, in a process of its own.
//!
//! `cargo bench --bench bounds` prints a table, and fails where the peak of memory is over 64 MiB, where twice the input
//! takes more than three times as long, where it takes more memory though the tree was empty, or where a layer ends
//! otherwise than the case says. `cargo bench --bench bounds -- NAME…` runs some cases; `LAYERCAGE_SCALE=N` divides the
//! sizes; `BLESS=1` writes the table into `SECURITY.md`. Trees are made in `TMPDIR`: a tmpfs is best, and five million
//! files need 6 GB of it, and as many inodes (`mount -o nr_inodes=`).

#![allow(clippy::disallowed_methods, reason = "a benchmark sets up its own worlds and runs itself anew")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

mod common;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use common::layers::{Chain, Item, Nowhere, entry, layer};
use common::{peak_kib, processor_seconds, setting, table};
use layercage::{Layer, Policy, Rootfs, Unpacker};
use std::io::{self, Read};
use std::process::{Command, ExitCode};

/// What a case is applied to.
#[derive(Clone, Copy)]
enum Over {
    /// An empty directory.
    Tree,
    /// A directory in which a file stands already: what the layer brings must be remembered.
    TreeInUse,
    /// A tree with so many directories at a long path, which the layer brings something into.
    Passages,
    /// Nothing: content is read and dropped, so that the disk does not count.
    Nothing,
}

/// A name, what it is applied to, how many items, the rule that refuses it, and the layer of so many.
type Case = (&'static str, Over, u64, Option<&'static str>, fn(u64) -> Box<dyn Read>);

const MIB: u64 = 1 << 20;
const MOST_MIB: u64 = 64;

const CASES: &[Case] = &[
    ("MiB of zeros in one file", Over::Nothing, 5_120, None, |n| layer([Item::Zeros("f".into(), n * MIB)])),
    ("MiB of zeros, gzip bomb", Over::Nothing, 5_120, None, |n| bomb(n * MIB)),
    ("empty files", Over::Tree, 2_500_000, None, |n| layer((0..n).map(|i| Item::File(format!("f{i}"))))),
    ("empty files beside another", Over::TreeInUse, 1_000_000, None, |n| {
        layer((0..n).map(|i| Item::File(format!("f{i}"))))
    }),
    ("bytes of a name", Over::Tree, 512 << 10, Some("limit"), |n| layer([Item::File("x".repeat(n as usize))])),
    ("directories one in another", Over::Tree, 50_000, Some("limit"), |n| {
        layer([Item::Directory("d/".repeat(n as usize))])
    }),
    ("directories one in another, through links", Over::Tree, 50_000, Some("link-loop"), |n| {
        let levels = "/d".repeat(40);
        layer((0..n / 40).flat_map(move |i| {
            let end = format!("l{i}{levels}");
            [Item::Directory(end.clone()), Item::Symlink(format!("l{}", i + 1), end)]
        }))
    }),
    ("MiB of window that a zstd frame asks for", Over::Nothing, 1024, Some("limit"), |n| window(n * MIB)),
    ("entries of one name", Over::Tree, 250_000, None, |n| layer((0..n).map(|_| Item::File("f".into())))),
    ("directories", Over::Tree, 250_000, None, |n| layer((0..n).map(|i| Item::Directory(format!("d{i}"))))),
    ("hard links", Over::Tree, 250_000, None, |n| {
        layer([Item::File("f".into())].into_iter().chain((0..n).map(|i| Item::HardLink(format!("l{i}"), "f".into()))))
    }),
    ("whiteouts of own files", Over::Tree, 250_000, None, |n| {
        layer((0..n).map(|i| Item::File(format!("f{i}"))).chain((0..n).map(|i| Item::File(format!(".wh.f{i}")))))
    }),
    ("opaque markers beside own files", Over::Tree, 250_000, None, |n| {
        let markers = (0..n).map(|_| Item::File(".wh..wh..opq".into()));
        layer((0..n).map(|i| Item::File(format!("f{i}"))).chain(markers))
    }),
    ("files in directories at a long path, then opaque", Over::Passages, 20_000, None, |n| {
        layer((0..n).map(|i| Item::File(format!("{}/d{i}/f", long_path()))).chain([Item::File(".wh..wh..opq".into())]))
    }),
    ("entries with 100 attributes of one byte", Over::Tree, 10_000, None, |n| {
        layer((0..n).map(|i| Item::Xattrs(format!("f{i}"))))
    }),
    ("paths of 1,000 components, two by turns", Over::Tree, 250, None, |n| {
        layer((0..n).map(|i| Item::File(format!("{}f{i}", ["a/", "b/"][i as usize % 2].repeat(1000)))))
    }),
    ("links to a path through 39 links", Over::Tree, 25_000, None, |n| {
        let chain = (0..39).map(|i| Item::Symlink(format!("l{i}"), format!("l{}", i + 1)));
        let start = [Item::Directory("l39".into())].into_iter().chain(chain);
        layer(start.chain((0..n).map(|i| Item::File(format!("l0/f{i}")))))
    }),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, name, items] = &arguments[..]
        && flag == "--run"
    {
        return run(name, items.parse().unwrap());
    }
    let scale = setting("LAYERCAGE_SCALE", 1);
    let mut lines = vec![
        "| layer | amount | time | peak | amount | time | peak | ends |".to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    println!("{}", lines.join("\n"));
    let mut failed = false;
    for (name, over, items, refused, _) in CASES {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        // What is past a limit stays so.
        let items = if refused.is_some() { *items } else { (items / scale).max(1) };
        let [(one, half), (two, peak)] = [items, 2 * items].map(|items| measure(name, items));
        let ends = refused.map_or("taken".to_owned(), |rule| format!("refused: `{rule}`"));
        let twice = 2 * items;
        let line =
            format!("| {name} | {items} | {one:.2} s | {half} MiB | {twice} | {two:.2} s | {peak} MiB | {ends} |");
        println!("{line}");
        lines.push(line);
        // Below a tenth of a second the start of the process counts.
        failed |= peak > MOST_MIB || (one > 0.1 && two > 3.0 * one);
        // What a layer brought must be remembered only where something was before.
        failed |= matches!(over, Over::Tree | Over::Nothing) && peak > half + 1;
    }
    if arguments.is_empty() {
        table("SECURITY.md", "bounds", &lines);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Seconds of the processor's time and peak of memory in MiB of one case.
fn measure(name: &str, items: u64) -> (f64, u64) {
    let itself = std::env::current_exe().unwrap();
    let output = Command::new(itself).args(["--run", name, &items.to_string()]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (seconds, peak) = text.trim().split_once(' ').unwrap();
    (seconds.parse().unwrap(), peak.parse().unwrap())
}

fn run(name: &str, items: u64) -> ExitCode {
    let (_, over, _, refused, build) = CASES.iter().find(|case| case.0 == name).unwrap();
    let place = tempfile::tempdir().unwrap();
    if let Over::TreeInUse = over {
        std::fs::write(place.path().join("other"), "").unwrap();
    }
    if let Over::Passages = over {
        let long = place.path().join(long_path());
        std::fs::create_dir_all(&long).unwrap();
        (0..items).for_each(|item| std::fs::create_dir(long.join(format!("d{item}"))).unwrap());
    }
    let root = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
    let reader = build(items);
    let unpacker = Unpacker::new(Policy::default());
    let before = processor_seconds();
    let applied = match over {
        Over::Nothing => unpacker.apply(Layer::new(reader), &mut Nowhere),
        Over::Tree | Over::TreeInUse | Over::Passages => {
            unpacker.apply(Layer::new(reader), &mut Rootfs::over(&root).unwrap())
        }
    };
    let seconds = processor_seconds() - before;
    let rule = applied.err().map(|error| error.rule_id().unwrap_or("an error of the system"));
    assert_eq!(rule, *refused, "{name}");
    println!("{seconds} {}", peak_kib().div_ceil(1024));
    ExitCode::SUCCESS
}

/// 1,927 bytes.
fn long_path() -> String {
    vec!["x".repeat(240); 8].join("/")
}

/// A gzip stream of a file of zeros: compressed on the way, for each megabyte is a member.
fn bomb(bytes: u64) -> Box<dyn Read> {
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut header = Vec::new();
    entry(Item::Zeros("f".into(), bytes)).take(512).read_to_end(&mut header).unwrap();
    let zeros = member(&vec![0; MIB as usize]);
    let members = (0..bytes / MIB).map(move |_| Box::new(io::Cursor::new(zeros.clone())) as Box<dyn Read>);
    let first: Box<dyn Read> = Box::new(io::Cursor::new(member(&header)));
    let last: Box<dyn Read> = Box::new(io::Cursor::new(member(&[0; 1024])));
    Box::new(Chain { parts: Box::new([first].into_iter().chain(members).chain([last])), now: None })
}

/// A zstd frame without content that asks for a window of so many bytes, a power of two (RFC 8878, 3.1.1.1.2).
fn window(bytes: u64) -> Box<dyn Read> {
    let exponent = u8::try_from(bytes.trailing_zeros() - 10).unwrap();
    Box::new(io::Cursor::new([0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 1, 0, 0]))
}
