//! The parts, each alone and through the public API: `cargo bench --bench parts`.

#![allow(clippy::disallowed_methods, reason = "a benchmark sets up its own worlds")]
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
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use flate2::Compression;
use flate2::write::GzEncoder;
use layer::LayerBuilder;
use layercage::blob::{Algorithm, LayerStream};
use layercage::tar::TarReader;
use layercage::{Digest, Expected, Layer, Limits, Policy, Rootfs, Unpacker};
use std::fs;
use std::io::{Read, Write};
use tempfile::TempDir;

const ENTRIES: usize = 10_000;
/// Of these, a walk of many components each: fewer, so that all take seconds.
const LOOKS: usize = 1_000;
const BYTES: usize = 16 << 20;

fn main() {
    divan::main();
}

fn each(add: impl Fn(LayerBuilder, usize) -> LayerBuilder) -> Vec<u8> {
    archive(ENTRIES, add)
}

fn archive(entries: usize, add: impl Fn(LayerBuilder, usize) -> LayerBuilder) -> Vec<u8> {
    (0..entries).fold(LayerBuilder::new(), add).build()
}

/// Something to be read, as an archive of text would be.
fn text() -> Vec<u8> {
    let line = |number: usize| format!("{number:08x} the quick brown fox {} jumps over\n", number * 7919 % 65_521);
    let mut bytes: Vec<u8> = (0..).flat_map(|number| line(number).into_bytes()).take(BYTES).collect();
    bytes[..512].fill(b'x');
    bytes
}

#[divan::bench(name = "headers")]
fn headers(bencher: Bencher<'_, '_>) {
    parse(bencher, &each(|layer, i| layer.file(&format!("usr/share/f{i}"), b"")));
}

#[divan::bench(name = "PAX headers")]
fn pax_headers(bencher: Bencher<'_, '_>) {
    let layer = each(|layer, i| {
        let layer = layer.record("mtime", b"1700000000.123456789").record("path", format!("usr/share/f{i}").as_bytes());
        layer.file("short", b"")
    });
    parse(bencher, &layer);
}

fn parse(bencher: Bencher<'_, '_>, archive: &[u8]) {
    bencher.counter(ItemsCount::new(ENTRIES)).bench(|| {
        let mut reader = TarReader::new(black_box(archive), &Limits::default());
        let mut entries = 0;
        while reader.next_entry().unwrap().is_some() {
            entries += 1;
        }
        assert_eq!(entries, ENTRIES);
    });
}

#[divan::bench(name = "headers parsed and judged")]
fn judged(bencher: Bencher<'_, '_>) {
    judge(bencher, &each(|layer, i| layer.file(&format!("usr/share/f{i}"), b"")));
}

#[divan::bench(name = "whiteouts parsed and judged")]
fn whiteouts(bencher: Bencher<'_, '_>) {
    judge(bencher, &each(|layer, i| layer.whiteout(&format!("usr/share/f{i}"))));
}

fn judge(bencher: Bencher<'_, '_>, archive: &[u8]) {
    let unpacker = Unpacker::new(Policy::default());
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .bench(|| unpacker.apply(Layer::new(black_box(archive)), &mut Nowhere).unwrap());
}

/// Whiteouts of what is not there, by turns in two directories at such a depth: nothing but looking.
#[divan::bench(name = "looking up two directories by turns at depth", args = [1, 8, 64, 512], sample_count = 10, sample_size = 1)]
fn resolving(bencher: Bencher<'_, '_>, depth: usize) {
    let paths = ["a/", "b/"].map(|name| name.repeat(depth));
    let (tree, root) = tree();
    paths.iter().for_each(|path| fs::create_dir_all(tree.path().join(path)).unwrap());
    look(bencher, &root, &archive(LOOKS, |layer, i| layer.whiteout(&format!("{}none", paths[i % 2]))));
}

/// The same in one directory, through so many links.
#[divan::bench(name = "looking up one directory through links", args = [1, 8, 39], sample_count = 10, sample_size = 1)]
fn links(bencher: Bencher<'_, '_>, links: usize) {
    let (tree, root) = tree();
    let name = |number: usize| tree.path().join(format!("l{number}"));
    fs::create_dir(name(links)).unwrap();
    (0..links).for_each(|at| std::os::unix::fs::symlink(format!("l{}", at + 1), name(at)).unwrap());
    look(bencher, &root, &archive(LOOKS, |layer, i| layer.whiteout(&format!("l0/none{i}"))));
}

fn tree() -> (TempDir, Dir) {
    let tree = tempfile::tempdir().unwrap();
    let root = Dir::open_ambient_dir(tree.path(), ambient_authority()).unwrap();
    (tree, root)
}

fn look(bencher: Bencher<'_, '_>, root: &Dir, archive: &[u8]) {
    let unpacker = Unpacker::new(Policy::default());
    bencher.counter(ItemsCount::new(LOOKS)).bench_local(|| {
        unpacker.apply(Layer::new(black_box(archive)), &mut Rootfs::over(root).unwrap()).unwrap();
    });
}

#[divan::bench(name = "hashing", args = [Algorithm::Sha256, Algorithm::Sha512])]
fn hashing(bencher: Bencher<'_, '_>, algorithm: &Algorithm) {
    let digest = match algorithm {
        Algorithm::Sha256 => Digest::Sha256([0; 32]),
        _ => Digest::Sha512([0; 64]),
    };
    read(bencher, &text(), Expected::unchecked().with_digest(digest));
}

#[divan::bench(name = "reading, a plain layer")]
fn plain(bencher: Bencher<'_, '_>) {
    read(bencher, &text(), Expected::unchecked());
}

#[divan::bench(name = "inflating, gzip")]
fn gzip(bencher: Bencher<'_, '_>) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&text()).unwrap();
    read(bencher, &encoder.finish().unwrap(), Expected::unchecked());
}

#[divan::bench(name = "decompressing, zstd")]
fn zstd(bencher: Bencher<'_, '_>) {
    read(bencher, &zstd::encode_all(&text()[..], 3).unwrap(), Expected::unchecked());
}

/// Reads a layer to its end; what is expected of it is computed, and not compared.
fn read(bencher: Bencher<'_, '_>, blob: &[u8], expected: Expected) {
    let mut buffer = vec![0; 64 << 10];
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| {
        let mut stream = LayerStream::open(black_box(blob), expected, &Limits::default()).unwrap();
        let mut bytes = 0;
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                got => bytes += got,
            }
        }
        assert_eq!(bytes, BYTES);
    });
}
