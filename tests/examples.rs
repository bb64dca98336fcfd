//! The programs in `examples/` do what they say, and stay short enough to be read.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "it/support/tree.rs"]
#[allow(dead_code, reason = "only a part of it is needed here")]
mod tree;

use cap_std::{ambient_authority, fs::Dir};
use layercage::blob::LayerStream;
use layercage::{Expected, Image, Limits, Policy, Report, Selector};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const WORLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/world");

/// Runs a program of `examples/`, which Cargo builds beside the tests.
fn run(name: &str, arguments: &[&Path]) -> Output {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(program.is_file(), "{} is not there: run `cargo build --examples`", program.display());
    Command::new(program).args(arguments).output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Copies an image layout, and gives each blob to `change`.
fn copy_world(to: &Path, change: impl Fn(&str, &mut Vec<u8>)) {
    fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    for name in ["oci-layout", "index.json"] {
        fs::copy(Path::new(WORLD).join(name), to.join(name)).unwrap();
    }
    for entry in fs::read_dir(Path::new(WORLD).join("blobs/sha256")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let mut bytes = fs::read(Path::new(WORLD).join("blobs/sha256").join(&name)).unwrap();
        change(&name, &mut bytes);
        fs::write(to.join("blobs/sha256").join(name), bytes).unwrap();
    }
}

/// The layer's blob digest as hexadecimal digits; layers count from 1.
fn digest_of_layer(number: usize) -> String {
    let selected = Image::open_ambient(WORLD, ambient_authority()).unwrap().select(&Selector::host()).unwrap();
    selected.layers()[number - 1].descriptor().unwrap().digest().hex()
}

/// Flips a bit in the middle of a layer.
fn damage(number: usize) -> impl Fn(&str, &mut Vec<u8>) {
    let damaged = digest_of_layer(number);
    move |name, bytes| {
        if name == damaged {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
    }
}

/// The files of all layers and their SHA-256, in order, as the crate tar reads them.
fn files_of_all_layers() -> Vec<String> {
    let selected = Image::open_ambient(WORLD, ambient_authority()).unwrap().select(&Selector::host()).unwrap();
    let mut files = Vec::new();
    for layer in selected.layers() {
        let blob = selected.open_layer(layer).unwrap();
        let stream = LayerStream::open(blob, Expected::unchecked(), &Limits::default()).unwrap();
        for entry in tar::Archive::new(stream).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !entry.header().entry_type().is_file() || name.contains(".wh.") {
                continue;
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.push(tree::hex(&Sha256::digest(content)));
        }
    }
    files
}

#[test]
fn the_sink_of_ones_own_lists_every_file_of_every_layer_with_its_sha256() {
    let output = run("own_sink", &[Path::new(WORLD)]);
    assert!(output.status.success(), "{}", text(output.stderr));
    let listing = text(output.stdout);
    let digests: Vec<_> = listing
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .filter(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .collect();
    assert_eq!(digests, files_of_all_layers());

    // Two known files, and other kinds of changes.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for line in [
        "layer 6 of 6",
        &format!("\"etc/machine-id\" {empty}"),
        "\"bin\" symbolic link to \"usr/bin\"",
        "\"etc/group-\" hard link to \"etc/group\"",
    ] {
        assert!(listing.lines().any(|listed| listed == line), "{line} is missing in {listing}");
    }
    assert!(listing.lines().any(|line| line.ends_with(" removed")), "{listing}");
    assert_eq!(listing.lines().filter(|line| line.starts_with("verified")).count(), 6);

    // What the image means has no file whose content the listing does not have.
    let all: BTreeSet<_> = digests.into_iter().collect();
    let expected = tree::parse(&fs::read_to_string(Path::new(WORLD).with_file_name("world.list")).unwrap());
    for (path, fields) in expected {
        if let Some(digest) = fields.get("sha256") {
            assert!(all.contains(digest.as_str()), "{}", tree::escape(&path));
        }
    }
}

#[test]
fn the_sink_of_ones_own_never_calls_a_damaged_layer_verified() {
    let place = tempfile::tempdir().unwrap();
    copy_world(place.path(), damage(3));
    let output = run("own_sink", &[place.path()]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(output.stderr);
    assert!(error.contains("digest-mismatch") && error.contains("layer 3 of 6"), "{error}");
    let listing = text(output.stdout);
    assert_eq!(listing.lines().filter(|line| line.starts_with("verified")).count(), 2, "{listing}");
}

/// What one image gives, unpacked by the library.
fn unpack_world(parent: &Path) -> Report {
    let selected = Image::open_ambient(WORLD, ambient_authority()).unwrap().select(&Selector::host()).unwrap();
    let parent = Dir::open_ambient_dir(parent, ambient_authority()).unwrap();
    selected.unpack_into(&parent, "expected", &Policy::default()).unwrap()
}

#[test]
fn two_hundred_images_unpack_at_once_and_a_damaged_one_stops_no_other() {
    let place = tempfile::tempdir().unwrap();
    let report = unpack_world(place.path());
    let expected = tree::list(&place.path().join("expected"));
    tree::unlock(&place.path().join("expected"));
    let names: Vec<_> = (0..200).map(|number| format!("image-{number}")).collect();
    let images: Vec<PathBuf> = names.iter().map(|name| place.path().join("images").join(name)).collect();
    for (number, image) in images.iter().enumerate() {
        match number {
            77 => copy_world(image, damage(6)),
            _ => copy_world(image, |_, _| ()),
        }
    }
    let trees = place.path().join("trees");
    fs::create_dir(&trees).unwrap();
    let arguments: Vec<&Path> = [&trees].into_iter().chain(&images).map(PathBuf::as_path).collect();
    let output = run("many", &arguments);
    assert_eq!(output.status.code(), Some(1));

    let error = text(output.stderr);
    assert!(error.contains("images/image-77: ") && error.contains("digest-mismatch"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let mut totals = vec![
        "199 images unpacked, 1 failed".to_owned(),
        format!("{} entries, {} bytes", 199 * report.entries, 199 * report.bytes_written),
    ];
    totals.extend(report.counts().map(|(rule, count)| format!("{} notes [{rule}]", 199 * count)));
    assert_eq!(text(output.stdout).lines().collect::<Vec<_>>(), totals);

    let made: BTreeSet<_> = fs::read_dir(&trees).unwrap().map(|made| made.unwrap().file_name()).collect();
    assert_eq!(made, names.iter().filter(|name| *name != "image-77").map(Into::into).collect());
    for name in &names {
        let tree = trees.join(name);
        if ["image-0", "image-99", "image-199"].contains(&name.as_str()) {
            assert_eq!(tree::differences(&expected, &tree::list(&tree)), Vec::<String>::new(), "{name}");
        }
        if made.contains(Path::new(name).as_os_str()) {
            tree::unlock(&tree);
        }
    }
}

#[test]
fn the_examples_are_under_eighty_lines() {
    for name in ["own_sink", "many"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("rs");
        let lines = fs::read_to_string(path).unwrap().lines().count();
        assert!(lines < 80, "{name} has {lines} lines");
    }
}
