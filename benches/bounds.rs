//! Memory and time of hostile layers: each is applied at one size and at twice that size, in a process of its own.
//!
//! `cargo bench --bench bounds` prints a table, and fails where the peak of memory is over 64 MiB or where twice the
//! input takes more than three times as long. `cargo bench --bench bounds -- NAME…` runs some cases;
//! `LAYERCAGE_SCALE=N` divides the sizes. Trees are made in `TMPDIR`: a tmpfs is best.

#![allow(clippy::disallowed_methods, reason = "a benchmark sets up its own worlds and runs itself anew")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::{Change, Checked, Fault, Judge, Judged, Layer, Policy, Rootfs, Sink, Source, Terms, Unpacker};
use std::io::{self, Read};
use std::process::{Command, ExitCode};
use std::time::Instant;

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

/// A name, what it is applied to, how many items, and the layer of so many.
type Case = (&'static str, Over, u64, fn(u64) -> Box<dyn Read>);

const MIB: u64 = 1 << 20;
const MOST_MIB: u64 = 64;

const CASES: &[Case] = &[
    ("MiB of zeros in one file", Over::Nothing, 5_120, |n| layer([Item::Zeros("f".into(), n * MIB)])),
    ("MiB of zeros, gzip bomb", Over::Nothing, 5_120, |n| bomb(n * MIB)),
    ("empty files", Over::Tree, 2_500_000, |n| layer((0..n).map(|i| Item::File(format!("f{i}"))))),
    ("empty files beside another", Over::TreeInUse, 1_000_000, |n| layer((0..n).map(|i| Item::File(format!("f{i}"))))),
    ("entries of one name", Over::Tree, 250_000, |n| layer((0..n).map(|_| Item::File("f".into())))),
    ("directories", Over::Tree, 250_000, |n| layer((0..n).map(|i| Item::Directory(format!("d{i}"))))),
    ("hard links", Over::Tree, 250_000, |n| {
        layer([Item::File("f".into())].into_iter().chain((0..n).map(|i| Item::HardLink(format!("l{i}"), "f".into()))))
    }),
    ("whiteouts of own files", Over::Tree, 250_000, |n| {
        layer((0..n).map(|i| Item::File(format!("f{i}"))).chain((0..n).map(|i| Item::File(format!(".wh.f{i}")))))
    }),
    ("opaque markers beside own files", Over::Tree, 250_000, |n| {
        let markers = (0..n).map(|_| Item::File(".wh..wh..opq".into()));
        layer((0..n).map(|i| Item::File(format!("f{i}"))).chain(markers))
    }),
    ("files in directories at a long path, then opaque", Over::Passages, 20_000, |n| {
        layer((0..n).map(|i| Item::File(format!("{}/d{i}/f", long_path()))).chain([Item::File(".wh..wh..opq".into())]))
    }),
    ("entries with 100 attributes of one byte", Over::Tree, 10_000, |n| {
        layer((0..n).map(|i| Item::Xattrs(format!("f{i}"))))
    }),
    ("paths of 1,000 components, two by turns", Over::Tree, 250, |n| {
        layer((0..n).map(|i| Item::File(format!("{}f{i}", ["a/", "b/"][i as usize % 2].repeat(1000)))))
    }),
    ("links to a path through 39 links", Over::Tree, 25_000, |n| {
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
    let scale = std::env::var("LAYERCAGE_SCALE").map_or(1, |scale| scale.parse().unwrap());
    println!("| layer | amount | time | amount | time | peak |\n|---|---|---|---|---|---|");
    let mut failed = false;
    for (name, _, items, _) in CASES {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let items = (items / scale).max(1);
        let [(one, _), (two, peak)] = [items, 2 * items].map(|items| measure(name, items));
        println!("| {name} | {items} | {one:.2} s | {} | {two:.2} s | {peak} MiB |", 2 * items);
        // Below a tenth of a second the start of the process counts.
        failed |= peak > MOST_MIB || (one > 0.1 && two > 3.0 * one);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Seconds and peak of memory in MiB of one case.
fn measure(name: &str, items: u64) -> (f64, u64) {
    let itself = std::env::current_exe().unwrap();
    let output = Command::new(itself).args(["--run", name, &items.to_string()]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (seconds, peak) = text.trim().split_once(' ').unwrap();
    (seconds.parse().unwrap(), peak.parse().unwrap())
}

fn run(name: &str, items: u64) -> ExitCode {
    let (_, over, _, build) = CASES.iter().find(|case| case.0 == name).unwrap();
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
    let start = Instant::now();
    let applied = match over {
        Over::Nothing => unpacker.apply(Layer::new(reader), &mut Nowhere),
        Over::Tree | Over::TreeInUse | Over::Passages => {
            unpacker.apply(Layer::new(reader), &mut Rootfs::over(&root).unwrap())
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    applied.unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{seconds} {}", kib.div_ceil(1024));
    ExitCode::SUCCESS
}

/// 1,927 bytes.
fn long_path() -> String {
    vec!["x".repeat(240); 8].join("/")
}

/// Reads content and drops it.
struct Nowhere;

impl Sink for Nowhere {
    fn begin_layer(&mut self, _: &Terms) -> Result<(), Fault> {
        Ok(())
    }

    fn accept(&mut self, _: Judged<Change>, data: &mut dyn Source, _: &mut Judge<'_>) -> Result<(), Fault> {
        loop {
            match data.chunk()?.len() {
                0 => return Ok(()),
                bytes => data.consume(bytes),
            }
        }
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), Fault> {
        Ok(())
    }

    fn spool(&mut self) -> Result<Option<std::fs::File>, Fault> {
        Ok(None)
    }
}

/// An entry of a layer that is never in memory as a whole.
enum Item {
    File(String),
    Directory(String),
    HardLink(String, String),
    Symlink(String, String),
    Zeros(String, u64),
    Xattrs(String),
}

fn layer(items: impl IntoIterator<Item = Item> + 'static) -> Box<dyn Read> {
    let entries = items.into_iter().map(entry as fn(Item) -> Box<dyn Read>);
    let end: Box<dyn Read> = Box::new(io::repeat(0).take(1024));
    Box::new(Chain { parts: Box::new(entries.chain([end])), now: None })
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

fn entry(item: Item) -> Box<dyn Read> {
    match item {
        Item::File(name) => archive(tar::EntryType::Regular, &name, "", 0),
        Item::Directory(name) => archive(tar::EntryType::Directory, &name, "", 0),
        Item::HardLink(name, target) => archive(tar::EntryType::Link, &name, &target, 0),
        Item::Symlink(name, target) => archive(tar::EntryType::Symlink, &name, &target, 0),
        Item::Zeros(name, bytes) => {
            let content = io::repeat(0).take(bytes.next_multiple_of(512));
            Box::new(archive(tar::EntryType::Regular, &name, "", bytes).chain(content))
        }
        Item::Xattrs(name) => {
            let records: String = (100..200).map(|i| format!("32 SCHILY.xattr.user.test.{i}=x\n")).collect();
            let header = archive(tar::EntryType::XHeader, "x", "", records.len() as u64);
            let mut content = records.into_bytes();
            content.resize(content.len().next_multiple_of(512), 0);
            Box::new(header.chain(io::Cursor::new(content)).chain(archive(tar::EntryType::Regular, &name, "", 0)))
        }
    }
}

/// Headers alone; a long name goes before it as GNU writers have it.
fn archive(kind: tar::EntryType, name: &str, target: &str, size: u64) -> Box<dyn Read> {
    let mut bytes = Vec::new();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(1);
    header.set_uid(0);
    header.set_gid(0);
    if name.len() > 100 {
        let mut long = header.clone();
        long.set_entry_type(tar::EntryType::GNULongName);
        long.set_size(name.len() as u64 + 1);
        long.set_cksum();
        bytes.extend_from_slice(long.as_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.resize((bytes.len() + 1).next_multiple_of(512), 0);
    }
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_path(name.get(..name.len().min(99)).unwrap_or("x")).unwrap();
    if !target.is_empty() {
        header.set_link_name(target).unwrap();
    }
    header.set_cksum();
    bytes.extend_from_slice(header.as_bytes());
    Box::new(io::Cursor::new(bytes))
}

/// Readers one after another, made when their turn comes.
struct Chain {
    parts: Box<dyn Iterator<Item = Box<dyn Read>>>,
    now: Option<Box<dyn Read>>,
}

impl Read for Chain {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(now) = &mut self.now {
                match now.read(out)? {
                    0 => self.now = None,
                    bytes => return Ok(bytes),
                }
            }
            match self.parts.next() {
                Some(next) => self.now = Some(next),
                None => return Ok(0),
            }
        }
    }
}
