//! The command and files with several images: what they hold, which one is taken, and skopeo's spelling of them.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;

use build::tar;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world")
}

/// The exit code, and what the command printed.
fn ended(arguments: &[&str], directory: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layercage"));
    let output = command.args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn objects(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of the configuration: the image ID, without the algorithm.
type Id = String;

/// What `docker save` before version 25 writes of images of one layer each: `f` holds the content, for a platform and
/// under some names.
fn saved(images: &[(&str, &str, &[&str])]) -> (Vec<u8>, Vec<Id>) {
    let mut archive = tar();
    let (mut listed, mut ids) = (Vec::new(), Vec::new());
    for (content, architecture, names) in images {
        let mut layer = tar();
        layer = layer.file("f", content.as_bytes());
        let layer = layer.end();
        let rootfs = json!({"type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))]});
        let config = json!({"os": "linux", "architecture": architecture, "rootfs": rootfs}).to_string();
        let (id, layer_name) = (hex(config.as_bytes()), format!("{content}/layer.tar"));
        archive = archive.file(&layer_name, &layer);
        archive = archive.file(format!("{id}.json"), config.as_bytes());
        let names = if names.is_empty() { Value::Null } else { json!(names) };
        listed.push(json!({"Config": format!("{id}.json"), "RepoTags": names, "Layers": [layer_name]}));
        ids.push(id);
    }
    archive = archive.file("manifest.json", json!(listed).to_string().as_bytes());
    (archive.end(), ids)
}

/// Unpacks it, and says what `f` holds.
fn unpacked(arguments: &[&str], directory: &Path) -> String {
    let (code, _, stderr) = ended(&[&["unpack"], arguments, &["rootfs"]].concat(), directory);
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    let content = fs::read_to_string(directory.join("rootfs/f")).unwrap();
    fs::remove_dir_all(directory.join("rootfs")).unwrap();
    content
}

#[test]
fn images_without_names_are_chosen_by_image_id_and_by_position() {
    let place = tempfile::tempdir().unwrap();
    let (archive, ids) = saved(&[("one", "amd64", &[]), ("two", "amd64", &[])]);
    fs::write(place.path().join("a.tar"), archive).unwrap();
    let at = ["--platform", "amd64"];

    let (code, _, stderr) = ended(&[&["unpack"], &at[..], &["a.tar", "rootfs"]].concat(), place.path());
    assert_eq!(code, 2, "{stderr}");
    for said in [
        &format!("@0 without a name (image ID sha256:{})", ids[0])[..],
        &format!("@1 without a name (image ID sha256:{})", ids[1]),
        "more than one image matches linux/amd64: @0",
        "help: `--ref NAME` chooses by name, `--image-id ID` or",
        "`layercage list --images IMAGE`",
    ] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    let whole = format!("sha256:{}", ids[1]);
    let absent = format!("sha256:{}", "0".repeat(64));
    for (arguments, content) in [
        (&["a.tar:@0"][..], "one"),
        (&["a.tar:@1"], "two"),
        (&["--ref", "@1", "a.tar"], "two"),
        (&["docker-archive:a.tar:@1"], "two"),
        (&["--image-id", &ids[0], "a.tar"], "one"),
        (&["--image-id", &whole, "a.tar"], "two"),
        (&["--image-id", &whole, "--platform", "s390x", "docker-archive:a.tar"], "two"),
    ] {
        assert_eq!(unpacked(arguments, place.path()), content, "{arguments:?}");
    }
    for (arguments, code, said) in [
        (&["a.tar:@2"][..], 2, "it has 2 positions: @0 without a name"),
        (&["a.tar:@"], 2, "\"@\" is no position"),
        (&["a.tar:@+1"], 2, "\"@+1\" is no position"),
        (&["a.tar:@99999999999999999999999"], 2, "is no position"),
        (&["--ref", "@0", "a.tar:@1"], 2, "contradicts `--ref"),
        (&["--image-id", &ids[0], "a.tar:@1"], 2, "contradicts `--image-id`"),
        (&["--image-id", &ids[0], "--ref", "a", "a.tar"], 2, "cannot be used with"),
        (&["--image-id", &ids[0][..12], "a.tar"], 2, "an image ID is 64 lower-case hexadecimal digits"),
        (
            &["--image-id", &ids[0].replace(ids[0].chars().next().unwrap(), "0"), "a.tar"],
            3,
            "[pinned-manifest-missing]",
        ),
        (&["--manifest-digest", &whole, "a.tar"], 3, "it is an image ID"),
        (&["--manifest-digest", &whole, "a.tar"], 3, "help: `--image-id"),
        (&["--manifest-digest", &absent, "a.tar"], 3, "`--image-id ID` selects by the image ID"),
        (
            &[&format!("a.tar:x:1@{absent}")],
            2,
            "help: `--manifest-digest DIGEST` selects by the digest of the manifest",
        ),
    ] {
        let (got, _, stderr) = ended(&[&["unpack"], arguments, &["rootfs"]].concat(), place.path());
        assert!(got == code && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    for command in ["check", "list"] {
        let (code, stdout, stderr) = ended(&[command, "--image-id", &ids[1], "a.tar"], place.path());
        assert_eq!(code, 0, "{stdout}{stderr}");
    }
    assert!(!place.path().join("rootfs").exists());
}

#[test]
fn a_short_name_is_enough_where_one_image_has_it_and_the_help_names_the_option() {
    let place = tempfile::tempdir().unwrap();
    let images = [
        ("one", "amd64", &["localhost/sm:1"][..]),
        ("two", "amd64", &["docker.io/library/x:2"]),
        ("three", "arm64", &["quay.io/y:3"]),
    ];
    fs::write(place.path().join("a.tar"), saved(&images).0).unwrap();
    for (name, content) in [("sm:1", "one"), ("localhost/sm:1", "one"), ("x:2", "two"), ("2", "two")] {
        let image = format!("a.tar:{name}");
        assert_eq!(unpacked(&["--platform", "linux/amd64", &image], place.path()), content, "{name}");
    }
    let refused = |arguments: &[&str]| {
        let (code, _, stderr) = ended(&[&["unpack"], arguments, &["rootfs"]].concat(), place.path());
        assert_eq!(code, 2, "{stderr}");
        stderr
    };
    let several = refused(&["--platform", "amd64", "a.tar"]);
    assert!(
        several.contains(r#"more than one image matches linux/amd64: "localhost/sm:1", "docker.io/library/x:2""#),
        "{several}"
    );
    assert!(several.contains("help: `--ref NAME` chooses by name"), "{several}");
    let elsewhere = refused(&["--platform", "amd64", "a.tar:y:3"]);
    assert!(elsewhere.contains("it has linux/arm64") && elsewhere.contains("help: `--platform OS/ARCH"), "{elsewhere}");
    let unknown = refused(&["a.tar:z"]);
    assert!(unknown.contains("help: `--ref NAME`, or IMAGE:NAME"), "{unknown}");
    let (_, _, stderr) = ended(&["unpack", "--json", "--platform", "amd64", "a.tar:y:3", "rootfs"], place.path());
    assert!(objects(&stderr)[0]["help"].as_str().unwrap().contains("`--platform OS/ARCH"), "{stderr}");

    fs::write(
        place.path().join("b.tar"),
        saved(&[("1", "amd64", &["localhost/sm:1"]), ("2", "arm64", &["quay.io/sm:1"])]).0,
    )
    .unwrap();
    let short = refused(&["--platform", "amd64", "b.tar:sm:1"]);
    assert!(short.contains(r#"under the reference name "sm:1": "localhost/sm:1", "quay.io/sm:1""#), "{short}");
}

#[test]
fn what_a_file_holds_is_listed_and_what_was_taken_is_reported_so_that_it_can_be_pinned() {
    let place = tempfile::tempdir().unwrap();
    let (archive, ids) = saved(&[("one", "amd64", &["a:1", "\u{1b}[2J"]), ("two", "s390x", &[])]);
    fs::write(place.path().join("a.tar"), archive).unwrap();
    let (code, stdout, stderr) = ended(&["list", "--images", "--json", "a.tar"], place.path());
    assert_eq!(code, 0, "{stderr}");
    let manifest = |position: usize, platform: &str, names: &[&str]| {
        json!({"type": "manifest", "position": position, "kind": "image", "platform": platform, "manifest": null,
            "config": format!("sha256:{}", ids[position]), "names": names})
    };
    let expected = [
        json!({"type": "input", "what": "image"}),
        manifest(0, "linux/amd64", &["a:1", "\u{1b}[2J"]),
        manifest(1, "linux/s390x", &[]),
    ];
    assert_eq!(objects(&stdout), expected);
    let (code, stdout, _) = ended(&["list", "--images", "a.tar"], place.path());
    let lines: Vec<Vec<_>> = stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((code, lines.len(), stdout.contains('\u{1b}')), (0, 3, false), "{stdout}");
    let id = format!("sha256:{}", ids[1]);
    assert_eq!(lines[2], ["@1", "image", "linux/s390x", "-", &id, "-"]);
    let script = format!("cat a.tar | {} list --images -", env!("CARGO_BIN_EXE_layercage"));
    let piped = Command::new("sh").args(["-c", &script]).current_dir(place.path()).output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), stdout, "a pipe is like a file");

    // What is reported takes the same image again.
    let layout = world().display().to_string();
    for (image, name) in [(format!("{layout}:latest"), json!("latest")), ("a.tar:@1".to_owned(), Value::Null)] {
        let (code, stdout, stderr) = ended(&["unpack", "--json", &image, "rootfs"], place.path());
        assert_eq!(code, 0, "{stderr}");
        let [report] = &objects(&stdout)[..] else { panic!("{stdout}") };
        let taken = &report["image"];
        assert_eq!(taken["name"], name);
        let path = image.rsplit_once(':').unwrap().0;
        let (_, stdout, _) = ended(&["list", "--images", "--json", path], place.path());
        let listed = objects(&stdout);
        let same = listed.iter().find(|listed| listed["config"] == taken["config"]).unwrap();
        assert_eq!((&same["manifest"], &same["platform"]), (&taken["manifest"], &taken["platform"]));
        let mut pins = vec![["--image-id", taken["config"].as_str().unwrap()]];
        pins.extend(taken["manifest"].as_str().map(|digest| ["--manifest-digest", digest]));
        for pin in pins {
            let again = [&["unpack", "--json"], &pin[..], &[path, "again"]].concat();
            let (code, stdout, stderr) = ended(&again, place.path());
            assert_eq!(code, 0, "{stderr}");
            let again = &objects(&stdout)[0]["image"];
            assert_eq!((&again["config"], &again["manifest"]), (&taken["config"], &taken["manifest"]));
            remove(&place.path().join("again"));
        }
        remove(&place.path().join("rootfs"));
    }
    // What chooses an image, or is none, has no place there.
    let mut layer = tar();
    layer = layer.file("f", b"");
    fs::write(place.path().join("layer.tar"), layer.end()).unwrap();
    for (arguments, said) in [
        (&["a.tar:a:1"][..], "the tag \"a:1\" contradicts `--images`"),
        (&["--image-id", &ids[0], "a.tar"], "`--image-id` contradicts `--images`"),
        (&["--as", "layer", "a.tar"], "`--as layer` contradicts `--images`"),
        (&["layer.tar"], "is a layer, not the archive of an image"),
    ] {
        let (code, stdout, stderr) = ended(&[&["list", "--images"], arguments].concat(), place.path());
        assert!(code == 2 && stdout.is_empty() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let (_, stdout, _) = ended(&["apply", "--json", "layer.tar", "."], place.path());
    assert_eq!(objects(&stdout)[0].get("image"), None, "a layer is no image");
}

fn remove(path: &Path) {
    assert!(Command::new("chmod").args(["-R", "u+rwX"]).arg(path).status().unwrap().success());
    fs::remove_dir_all(path).unwrap();
}

/// The image as a layout in an archive.
fn oci_archive() -> Vec<u8> {
    let mut archive = tar();
    for name in ["oci-layout", "index.json"] {
        archive = archive.file(name, fs::read(world().join(name)).unwrap());
    }
    for blob in fs::read_dir(world().join("blobs/sha256")).unwrap().map(|entry| entry.unwrap()) {
        archive = archive
            .file(format!("blobs/sha256/{}", blob.file_name().to_str().unwrap()), fs::read(blob.path()).unwrap());
    }
    archive.end()
}

/// What `skopeo copy … dir:` makes of the image.
fn flat(directory: &Path) {
    fs::create_dir(directory).unwrap();
    fs::write(directory.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    let index: Value = serde_json::from_slice(&fs::read(world().join("index.json")).unwrap()).unwrap();
    let manifest = index["manifests"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    for blob in fs::read_dir(world().join("blobs/sha256")).unwrap().map(|entry| entry.unwrap()) {
        let name = blob.file_name().into_string().unwrap();
        let name = if name == manifest { "manifest.json" } else { &name };
        fs::copy(blob.path(), directory.join(name)).unwrap();
    }
}

#[test]
fn skopeos_spelling_names_the_same_images_in_every_verb_and_asserts_the_form() {
    let place = tempfile::tempdir().unwrap();
    let (docker, _) = saved(&[("one", "amd64", &["docker.io/library/a:1"]), ("two", "arm64", &[])]);
    fs::write(place.path().join("docker"), docker).unwrap();
    fs::write(place.path().join("archive"), oci_archive()).unwrap();
    fs::create_dir(place.path().join("sub")).unwrap();
    let copied = Command::new("cp").arg("-r").arg(world()).arg(place.path().join("sub/layout")).status().unwrap();
    assert!(copied.success());
    flat(&place.path().join("flat"));
    let mut layer = tar();
    layer = layer.file("f", b"");
    fs::write(place.path().join("layer"), layer.end()).unwrap();

    let small = ["--platform", "linux/amd64"];
    for image in [
        "oci:sub/layout",
        "oci:sub/layout:latest",
        "oci:./sub/layout:@0",
        "oci-archive:archive",
        "oci-archive:archive:latest",
        "docker-archive:docker",
        "docker-archive:docker:a:1",
        "docker-archive:docker:docker.io/library/a:1",
        "docker-archive:docker:@0",
        "dir:flat",
    ] {
        for verb in ["check", "list", "unpack"] {
            let rootfs: &[&str] = if verb == "unpack" { &["rootfs"] } else { &[] };
            let (code, stdout, stderr) = ended(&[&[verb], &small[..], &[image], rootfs].concat(), place.path());
            assert_eq!(code, 0, "{verb} {image}: {stdout}{stderr}");
        }
        remove(&place.path().join("rootfs"));
    }
    for (image, code, said) in [
        ("oci:flat", 2, r#""oci:flat" holds no image in the form `oci:`, but one in `dir:`"#),
        ("oci:archive", 2, "no image in the form `oci:`, but one in `oci-archive:`"),
        ("oci-archive:sub/layout", 2, "but one in `oci:`"),
        ("oci-archive:docker", 2, "but one in `docker-archive:`"),
        ("docker-archive:archive", 2, "but one in `oci-archive:`"),
        ("dir:sub/layout", 2, "but one in `oci:`"),
        ("oci:sub", 3, "[not-an-image]"),
        ("oci:missing:latest", 1, "cannot open oci:missing:latest"),
        ("dir:flat:latest", 1, "cannot open dir:flat:latest"),
    ] {
        for verb in ["check", "list", "unpack"] {
            let rootfs: &[&str] = if verb == "unpack" { &["rootfs"] } else { &[] };
            let (got, stdout, stderr) = ended(&[&[verb], &small[..], &[image], rootfs].concat(), place.path());
            let all = format!("{stdout}{stderr}");
            assert!(got == code && all.contains(said), "{verb} {image}: {got} {all}");
        }
    }
    for verb in ["check", "list"] {
        let (code, _, stderr) = ended(&[verb, "oci-archive:layer"], place.path());
        let said = "`oci-archive:` says that \"oci-archive:layer\" is an image, and it is not the archive of an image";
        assert!(code == 2 && stderr.contains(said), "{stderr}");
    }
    let script = format!("cat archive | {} check oci-archive:-", env!("CARGO_BIN_EXE_layercage"));
    let piped = Command::new("sh").args(["-c", &script]).current_dir(place.path()).output().unwrap();
    assert!(piped.status.success(), "{piped:?}");
}

#[test]
fn a_file_of_that_very_name_counts_before_skopeos_spelling() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        fs::write(place.path().join(name), saved(&[(content, "amd64", &["a:1"])]).0).unwrap();
    };
    let taken = |image: &str| unpacked(&["--platform", "amd64", image], place.path());
    write("x", "behind the word");
    assert_eq!(taken("docker-archive:x:a:1"), "behind the word");
    // What is called like the word alone comes last: it may be any directory.
    write("docker-archive", "the word");
    assert_eq!(taken("docker-archive:x:a:1"), "behind the word");
    assert_eq!(taken("docker-archive:a:1"), "the word");
    write("docker-archive:x", "the very name");
    assert_eq!(taken("docker-archive:x:a:1"), "the very name");
    assert_eq!(taken("docker-archive:x"), "the very name");
    write("docker-archive:x:a:1", "all of it");
    assert_eq!(taken("docker-archive:x:a:1"), "all of it");
}
