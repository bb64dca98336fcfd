//! Memory and the processor's time of hostile layers: each is applied at one size and at twice that size, in a process of its own.
//!
//! `cargo bench --bench bounds` prints a table, and fails where the peak of memory is over 64 MiB, where twice the input
//! takes more than three times as long, where it takes more memory though the tree was empty, or where a layer ends
//! otherwise than the case says. From the archive of an image an image is selected, and all its layers are opened.
//! `cargo bench --bench bounds -- NAME…` runs some cases; `LAYERCAGE_SCALE=N` divides the
//! sizes; `BLESS=1` writes the table into `SECURITY.md`. Trees are made in `TMPDIR`: a tmpfs is best, and five million
//! files need 6 GB of it, and as many inodes (`mount -o nr_inodes=`).

#![allow(clippy::disallowed_methods, reason = "a benchmark sets up its own worlds and runs itself anew")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

#[path = "../corpus/build.rs"]
mod build;
mod common;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use common::images;
use common::layers::{Chain, Item, Nowhere, entry, layer};
use common::{peak_kib, processor_seconds, setting, table};
use layercage::audit::{Audit, Lower, Observer};
use layercage::merged::Merger;
use layercage::rules::Limit;
use layercage::{Error, Image, Layer, Limits, Policy, Rootfs, Scratch, Selected, Selector, Unpacker};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
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
    /// The same, for a layer that needs as many MiB of memory as there are items, and at most eight more.
    Window,
    /// It is the archive of an image, and no layer. Another process writes it, whose memory does not count.
    Image,
    /// A merged tree of at most [`TREE_BYTES`], and the lists that are made of it.
    Merged,
    /// The same, and all its layers are applied on so many threads, which read them ahead. Their content is read and dropped.
    Layers(usize),
    /// The memory of an audit: what is too much for it ends the audit of the tree, and refuses nothing.
    Audit,
}

/// A name, what it is applied to, how many items, the rule that refuses it, and the layer of so many.
type Case = (&'static str, Over, u64, Option<&'static str>, fn(u64) -> Box<dyn Read>);

const MIB: u64 = 1 << 20;
const MOST_MIB: u64 = 64;
/// The limit of merged trees here. The default one is larger.
const TREE_BYTES: u64 = 48 * MIB;

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
    ("MiB of window that a zstd frame uses", Over::Window, 64, None, |n| filled_window(n * MIB)),
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
    ("image: layers behind 39 links of 4,000 bytes", Over::Image, 250, None, images::links),
    ("image: annotations", Over::Image, 95_000, None, |n| images::image(n, images::annotations, images::nothing)),
    ("image: annotations, too many", Over::Image, 205_000, Some("limit"), |n| {
        images::image(n, images::annotations, images::nothing)
    }),
    ("image: values in a configuration", Over::Image, 95_000, None, |n| {
        images::image(n, images::nothing, images::history)
    }),
    ("image: features in a platform", Over::Image, 95_000, None, images::features),
    ("image: descriptors in an index", Over::Image, 15_000, None, images::descriptors),
    ("image: descriptors in each of three indexes in a fourth", Over::Image, 13_000, None, images::nested),
    ("image: indexes of a manifest with a name of 4 MB", Over::Image, 25, None, images::names),
    ("image: manifests with one configuration of 4 MB", Over::Image, 5_000, None, images::sharing),
    ("image: layers in `manifest.json`", Over::Image, 520_000, Some("limit"), images::layers),
    ("image: layers in `manifest.json`, fewer", Over::Image, 95_000, Some("limit"), images::layers),
    ("image: images in `manifest.json`", Over::Image, 49_000, None, images::images),
    ("image: configurations of 50,000 diff IDs", Over::Image, 25, None, images::configurations),
    ("image: layers of 12 MiB, on two threads", Over::Layers(2), 8, None, images::large_layers),
    ("image: layers of 12 MiB, on 16 threads", Over::Layers(16), 8, None, images::large_layers),
    ("links to a path through 39 links of `a/../`", Over::Tree, 500, None, |n| layer(back_and_forth(n))),
    ("links to a path through 39 links of `a/../`, too many", Over::Tree, 1_600, Some("limit"), |n| {
        layer(back_and_forth(n))
    }),
    ("directories that no entry lists", Over::Tree, 100, None, |n| {
        layer((0..n).map(|i| Item::File(format!("{i}/{}f", "d/".repeat(1_998)))))
    }),
    ("directories that no entry lists, too many", Over::Tree, 300, Some("limit"), |n| {
        layer((0..n).map(|i| Item::File(format!("{i}/{}f", "d/".repeat(1_998)))))
    }),
    ("directories beside another", Over::TreeInUse, 250_000, None, |n| {
        layer((0..n).map(|i| Item::Directory(format!("d{i}"))))
    }),
    ("rounds of the same 262,200 directories beside another", Over::TreeInUse, 2, None, |n| {
        layer((0..n).flat_map(|_| (0..262_200).map(|i| Item::Directory(format!("{i}")))))
    }),
    ("whiteouts at two paths of 2,000 components by turns, too many", Over::Tree, 200, Some("limit"), |n| {
        let path = |i: u64| ["a/", "b/"][i as usize % 2].repeat(2_000);
        let files = (0..2).map(move |i| Item::File(format!("{}f", path(i))));
        layer(files.chain((0..n).map(move |i| Item::File(format!("{}.wh.y", path(i))))))
    }),
    ("trees of 30 levels, each in the last one's place", Over::TreeInUse, 8_000, None, |n| {
        layer((0..n).flat_map(replaced_tree))
    }),
    ("links, audited", Over::Audit, 350_000, None, |n| {
        layer((0..n).map(|i| Item::Symlink(format!("l{i}"), format!("target{i}"))))
    }),
    ("files, audited", Over::Audit, 1_500_000, None, |n| layer((0..n).map(|i| Item::File(format!("f{i}"))))),
    ("trees of 30 levels, each in the last one's place, audited", Over::Audit, 8_000, None, |n| {
        layer((0..n).flat_map(replaced_tree))
    }),
    ("MiB of zeros in one file, merged", Over::Merged, 5_120, None, |n| layer([Item::Zeros("f".into(), n * MIB)])),
    ("files, merged", Over::Merged, 125_000, None, |n| layer((0..n).map(|i| Item::File(format!("f{i}"))))),
    ("files, merged, too many", Over::Merged, 400_000, Some("limit"), |n| {
        layer((0..n).map(|i| Item::File(format!("f{i}"))))
    }),
    ("entries of one name, merged", Over::Merged, 125_000, None, |n| layer((0..n).map(|_| Item::File("f".into())))),
    ("trees of 30 levels, each in the last one's place, merged", Over::Merged, 4_000, None, |n| {
        layer((0..n).flat_map(replaced_tree))
    }),
    ("entries with 100 attributes of one byte, merged", Over::Merged, 10_000, None, |n| {
        layer((0..n).map(|i| Item::Xattrs(format!("f{i}"))))
    }),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, name, items] = &arguments[..]
        && flag == "--run"
    {
        return run(name, items.parse().unwrap());
    }
    if let [flag, name, items, path] = &arguments[..]
        && flag == "--write"
    {
        let (.., build) = CASES.iter().find(|case| case.0 == name).unwrap();
        io::copy(&mut build(items.parse().unwrap()), &mut File::create(path).unwrap()).unwrap();
        return ExitCode::SUCCESS;
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
        let most = match over {
            Over::Window => twice + 8,
            Over::Layers(2) => MOST_MIB / 2,
            _ => MOST_MIB,
        };
        failed |= peak > most || (one > 0.1 && two > 3.0 * one);
        // What a layer brought must be remembered only where something was before. Content is never kept.
        let is_forgotten = matches!(over, Over::Tree | Over::Nothing) || name.starts_with("MiB of zeros");
        failed |= is_forgotten && peak > half + 1;
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
    let archive = place.path().join("image");
    let reader = match over {
        Over::Image | Over::Layers(_) => {
            let itself = std::env::current_exe().unwrap();
            let arguments = ["--write", name, &items.to_string(), archive.to_str().unwrap()];
            assert!(Command::new(itself).args(arguments).status().unwrap().success());
            Box::new(io::empty())
        }
        _ => build(items),
    };
    let unpacker = Unpacker::new(Policy::default());
    let mut audit = Audit::new(Limits::default()).with_tree(Lower::Nothing);
    let before = processor_seconds();
    let done = match over {
        Over::Nothing | Over::Window => unpacker.session().apply_local(Layer::new(reader), &mut Nowhere).map(drop),
        Over::Audit => audit.layer(Layer::new(reader), &mut Unheard),
        Over::Merged => merge(reader),
        Over::Tree | Over::TreeInUse | Over::Passages => {
            unpacker.session().apply_local(Layer::new(reader), &mut Rootfs::over(&root).unwrap()).map(drop)
        }
        Over::Image => select(&archive).map(|image| {
            image.layers().iter().for_each(|layer| drop(image.open_layer(layer).unwrap()));
        }),
        Over::Layers(threads) => select(&archive).and_then(|image| {
            let unpacker = unpacker.with_jobs((*threads).try_into().unwrap()).with_scratch(Scratch::beneath(&root)?);
            unpacker.session().apply_image(&image, &mut Nowhere).map(drop)
        }),
    };
    let seconds = processor_seconds() - before;
    let rule = done.err().map(|error| error.rule_id().unwrap_or("an error of the system"));
    assert_eq!(rule, *refused, "{name}");
    println!("{seconds} {}", peak_kib().div_ceil(1024));
    ExitCode::SUCCESS
}

/// Selects an image of an archive.
fn select(archive: &Path) -> Result<Selected, Error> {
    let image = Image::open_archive(File::open(archive).unwrap(), Scratch::of(|| unreachable!()), Limits::default())?;
    image.select(&Selector::host().with_platform("linux/amd64".parse().unwrap()))
}

/// Merges a layer, and makes each list of the tree once.
fn merge(layer: Box<dyn Read>) -> Result<(), Error> {
    let unpacker = Unpacker::new(Policy::default()).with_limits(Limits::default().with(Limit::TreeBytes, TREE_BYTES));
    let mut merger = Merger::new();
    unpacker.session().apply_local(Layer::new(layer), &mut merger)?;
    let tree = merger.into_tree()?;
    let replaced = tree.iter().filter(|node| node.replaced().is_some()).count();
    let gone = tree.hidden().filter(|hidden| hidden.now().is_none()).count();
    assert!(
        replaced == 0 && gone as u64 <= tree.layers()[0].entries * 32,
        "one layer replaces nothing of lower layers"
    );
    assert!(tree.iter().count() <= tree.iter_by_layer().count());
    Ok(())
}

/// Takes no notice of what an audit tells.
struct Unheard;

impl Observer for Unheard {}

/// Files at the end of 39 links, of which each leads into a directory and out of it 818 times. Another one comes between
/// them, so that no way is remembered.
fn back_and_forth(files: u64) -> impl Iterator<Item = Item> {
    let link = |i| Item::Symlink(format!("l{i}"), format!("{}l{}", "a/../".repeat(818), i + 1));
    let start = [Item::Directory("a".into()), Item::Directory("l39".into())];
    start
        .into_iter()
        .chain((0..39).map(link))
        .chain((0..2 * files).map(|i| Item::File(format!("{}/f{i}", ["l0", "a"][i as usize % 2]))))
}

/// A directory, a tree of 30 levels in it whose names no other has, and a file in the place of both.
fn replaced_tree(number: u64) -> [Item; 3] {
    let deepest = format!("d/{number}/{}f", "d/".repeat(28));
    [Item::Directory("d".into()), Item::File(deepest), Item::File("d".into())]
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

/// A file of three such windows of zeros in one zstd frame: a block for its header, and blocks of one byte repeated.
fn filled_window(bytes: u64) -> Box<dyn Read> {
    const BLOCK: u32 = 128 << 10;
    let block = |size: u32, kind: u32, last: bool| (size << 3 | kind << 1 | u32::from(last)).to_le_bytes();
    let (mut frame, content) = (Vec::new(), 3 * bytes);
    window(bytes).take(6).read_to_end(&mut frame).unwrap();
    frame.extend(&block(512, 0, false)[..3]);
    entry(Item::Zeros("f".into(), content)).take(512).read_to_end(&mut frame).unwrap();
    for _ in 0..content / u64::from(BLOCK) {
        frame.extend([&block(BLOCK, 1, false)[..3], &[0]].concat());
    }
    frame.extend([&block(1024, 1, true)[..3], &[0]].concat());
    Box::new(io::Cursor::new(frame))
}
