//! The programs in `examples/` do what they say, and stay short enough to be read.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../corpus/build.rs"]
mod build;
#[path = "it/support/layer.rs"]
#[allow(dead_code, reason = "only a part of it is needed here")]
mod layer;
#[path = "it/support/layout.rs"]
#[allow(dead_code, reason = "as above")]
mod layout;
#[path = "it/support/tree.rs"]
#[allow(dead_code, reason = "as above")]
mod tree;

use cap_std::{ambient_authority, fs::Dir};
use layer::{Attributes, LayerBuilder};
use layercage::blob::LayerStream;
use layercage::{Expected, Image, Limits, Policy, Report, Selector};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const WORLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/world");

/// Runs a program of `examples/`, which Cargo builds beside the tests.
fn run(name: &str, arguments: &[impl AsRef<OsStr>]) -> Output {
    command(name).args(arguments).output().unwrap()
}

fn command(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(program.is_file(), "{} is not there: run `cargo build --examples`", program.display());
    Command::new(program)
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

/// An image of these layers.
fn image(layers: &[LayerBuilder]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let stored = [layout::Stored::Gzip, layout::Stored::Zstd, layout::Stored::Plain];
    let layers: Vec<_> = layers.iter().zip(stored).map(|(layer, stored)| (layer.clone().build(), stored)).collect();
    layout::write(place.path(), &layers);
    place
}

#[test]
fn privileged_programs_are_listed_with_digest_and_layer_and_hidden_ones_too() {
    let output = run("suid", &[WORLD]);
    assert!(output.status.success(), "{}", text(output.stderr));
    let expected = tree::parse(&fs::read_to_string(Path::new(WORLD).with_file_name("world.list")).unwrap());
    let is_privileged = |fields: &BTreeMap<String, String>| {
        let mode = fields.get("mode").map_or(0, |mode| u32::from_str_radix(mode, 8).unwrap());
        fields["type"] == "file" && (mode & 0o6000 != 0 || fields.contains_key("xattr.security.capability"))
    };
    let expected = expected.iter().filter(|(_, fields)| is_privileged(fields));
    let expected: BTreeSet<_> = expected.map(|(path, fields)| (tree::escape(path), fields["sha256"].clone())).collect();
    let listed = text(output.stdout);
    let listed: BTreeSet<_> = listed
        .lines()
        .map(|line| (line.rsplit(' ').next().unwrap().trim_matches('"').to_owned(), line[..64].to_owned()))
        .collect();
    assert!(listed == expected && listed.len() > 2, "{listed:?} and not {expected:?}");

    let with = |mode| Attributes { mode, ..Attributes::default() };
    let capable = Attributes {
        xattrs: vec![("security.capability", &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
        ..with(0o755)
    };
    let image = image(&[
        LayerBuilder::new().file_with("bin/su", b"su", &with(0o4755)).file_with("bin/wall", b"w", &with(0o2755)),
        LayerBuilder::new().whiteout("bin/su").file_with("bin/ping", b"p", &capable).hard_link("bin/ping6", "bin/ping"),
        LayerBuilder::new().file_with("bin/wall", b"plain", &with(0o755)).dir_with("shared", &with(0o2775)),
    ]);
    let output = text(run("suid", &[image.path()]).stdout);
    let sha256 = |content: &str| tree::hex(&Sha256::digest(content));
    let (ping, su, wall) = (sha256("p"), sha256("su"), sha256("w"));
    let lines = [
        format!("{ping} layer 2 capabilities \"bin/ping\""),
        format!("{ping} layer 2 capabilities \"bin/ping6\""),
        format!("{su} layer 1 setuid \"bin/su\" (whited-out by layer 2)"),
        format!("{wall} layer 1 setgid \"bin/wall\" (replaced by layer 3)"),
    ];
    assert_eq!(output.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_secret_that_a_later_layer_deleted_is_found_wherever_it_is_in_its_file() {
    // At the seam of two windows, behind zeros.
    let at = |offset: usize| [&vec![0; offset][..], b"key AKIA0123456789ABCDEF\xff"].concat();
    let image = image(&[
        LayerBuilder::new().file("root/id", &at(0)).file("srv/core", &at((256 << 10) - 10)).file("kept", &at(1)),
        LayerBuilder::new().hard_link("still", "kept").file("etc/token", &at(700_000)).file("clean", b"nothing"),
        LayerBuilder::new().whiteout("root").opaque("srv").file("etc/token", b"").whiteout("kept").whiteout("clean"),
    ]);
    let path = image.path().to_str().unwrap();
    let output = run("find_secret", &[path, "BEGIN [A-Z ]*PRIVATE KEY", "AKIA[0-9A-Z]{16}"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(output.stderr));
    let found = [
        "\"root/id\" of layer 1, whited-out by layer 3: \"AKIA0123456789ABCDEF\"",
        "\"srv/core\" of layer 1, opaque by layer 3: \"AKIA0123456789ABCDEF\"",
        "\"etc/token\" of layer 2, replaced by layer 3: \"AKIA0123456789ABCDEF\"",
    ];
    assert_eq!(text(output.stdout).lines().collect::<Vec<_>>(), found);
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let output = command("find_secret").args([path, "AKIA"]).stdout(closed).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(output.stderr).contains("panicked"), "a reader may need no more");
    let output = run("find_secret", &[path, "BEGIN [A-Z ]*PRIVATE KEY"]);
    assert_eq!((output.status.code(), text(output.stdout).as_str()), (Some(0), ""));
}

#[test]
fn the_examples_are_short() {
    for (name, most) in [("own_sink", 80), ("many", 80), ("find_secret", 80), ("suid", 60)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("rs");
        let lines = fs::read_to_string(path).unwrap().lines().count();
        assert!(lines < most, "{name} has {lines} lines");
    }
}
