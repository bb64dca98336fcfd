//! The command and the forms of images: what a file is, is seen from what is inside.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;

use build::tar;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world")
}

fn run(arguments: &[&str], directory: &Path) -> Output {
    let command = env!("CARGO_BIN_EXE_layercage");
    Command::new(command).args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

/// The exit code, and what the command printed.
fn ended(arguments: &[&str], directory: &Path) -> (i32, String, String) {
    let output = run(arguments, directory);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn index() -> Vec<u8> {
    fs::read(world().join("index.json")).unwrap()
}

/// The real image as a layout in an archive, with this index.
fn oci_archive(index: &[u8]) -> Vec<u8> {
    let mut archive = tar();
    archive = archive.file("oci-layout", fs::read(world().join("oci-layout")).unwrap());
    archive = archive.file("index.json", index);
    for blob in fs::read_dir(world().join("blobs/sha256")).unwrap().map(|entry| entry.unwrap()) {
        let name = format!("blobs/sha256/{}", blob.file_name().to_str().unwrap());
        archive = archive.file(&name, fs::read(blob.path()).unwrap());
    }
    archive.end()
}

fn layer(content: &[u8]) -> Vec<u8> {
    let mut archive = tar();
    archive = archive.file("etc/hostname", content);
    archive.end()
}

fn sha256(bytes: &[u8], place: &Path) -> String {
    let path = place.join("to-be-hashed");
    fs::write(&path, bytes).unwrap();
    let sum = Command::new("sha256sum").arg(&path).output().unwrap();
    fs::remove_file(path).unwrap();
    String::from_utf8(sum.stdout).unwrap()[..64].to_owned()
}

/// What `docker save` writes of two images of one layer each, for two platforms.
fn docker_archive(place: &Path) -> Vec<u8> {
    let mut archive = tar();
    let mut listed = Vec::new();
    for (name, architecture) in [("small", "amd64"), ("other", "s390x")] {
        let layer = layer(name.as_bytes());
        let diff_ids = [format!("sha256:{}", sha256(&layer, place))];
        let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
        let config = json!({"os": "linux", "architecture": architecture, "rootfs": rootfs}).to_string();
        let config_name = format!("{}.json", sha256(config.as_bytes(), place));
        archive = archive.file(format!("{name}/layer.tar"), &layer);
        archive = archive.file(&config_name, config.as_bytes());
        let tag = format!("docker.io/bench/{name}:1.0");
        listed.push(json!({"Config": config_name, "RepoTags": [tag], "Layers": [format!("{name}/layer.tar")]}));
    }
    archive = archive.file("manifest.json", json!(listed).to_string().as_bytes());
    archive.end()
}

#[test]
fn an_archive_is_unpacked_whatever_its_name_and_its_tag_may_follow() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("an:odd:name"), docker_archive(place.path())).unwrap();
    let small = ["--platform", "linux/amd64", "an:odd:name"];
    let cases: &[(&[&str], &str)] = &[
        (&small, "small"),
        (&["--platform", "linux/amd64/v3", "an:odd:name:1.0"], "small"),
        (&["--platform", "linux/x86_64", "an:odd:name:bench/small:1.0"], "small"),
        (&["--platform", "linux/s390x", "an:odd:name:docker.io/bench/other:1.0"], "other"),
        (&["--platform", "linux/s390x", "--ref", "bench/other:1.0", "an:odd:name"], "other"),
    ];
    for (number, (arguments, expected)) in cases.iter().enumerate() {
        let rootfs = format!("rootfs-{number}");
        let (code, _, stderr) = ended(&[&["unpack"], *arguments, &[&rootfs]].concat(), place.path());
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        assert_eq!(fs::read_to_string(place.path().join(rootfs).join("etc/hostname")).unwrap(), *expected);
    }
    for (arguments, code, said) in [
        (vec!["--platform", "linux/s390x", "an:odd:name:bench/small:1.0"], 2, "it has linux/amd64"),
        (vec!["an:odd:name:none"], 2, "docker.io/bench/small:1.0"),
        (vec!["another:name"], 1, "cannot open another:name"),
        (vec!["--platform", "linus", "an:odd:name"], 2, "os/arch"),
        (vec!["--manifest-digest", "sha256:0", "an:odd:name"], 2, "not a digest: expected `sha256:`"),
    ] {
        let (got, _, stderr) = ended(&[&["unpack"], &arguments[..], &["rootfs"]].concat(), place.path());
        assert_eq!(got, code, "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    assert!(!place.path().join("rootfs").exists());
}

#[test]
fn check_and_list_tell_an_image_from_a_layer_and_every_form_lists_alike() {
    let place = tempfile::tempdir().unwrap();
    let layout = world().display().to_string();
    fs::write(place.path().join("image"), oci_archive(&index())).unwrap();
    fs::write(place.path().join("layer"), layer(b"name")).unwrap();
    let packed = Command::new("gzip").arg("-kn").arg(place.path().join("image")).status().unwrap();
    assert!(packed.success());

    let (code, expected, _) = ended(&["list", &layout], place.path());
    assert!(code == 0 && expected.lines().count() > 500, "{expected}");
    for image in ["image", "image.gz", "image:latest", "image.gz:latest"] {
        let (code, listed, stderr) = ended(&["list", image], place.path());
        assert_eq!(code, 0, "{image}: {stderr}");
        assert!(listed == expected, "{image}");
    }
    let (code, listed, _) = ended(&["list", "layer"], place.path());
    assert_eq!((code, listed.lines().count()), (0, 1), "{listed}");

    let summary = |input: &str| {
        let (code, stdout, stderr) = ended(&["check", "--json", input], place.path());
        let last: Value = serde_json::from_str(stdout.lines().last().unwrap_or_else(|| panic!("{stderr}"))).unwrap();
        (code, last["findings"].as_u64().unwrap())
    };
    let whole = summary(&layout);
    assert_eq!((summary("image"), summary("image.gz")), (whole, whole));
    assert_eq!(summary("layer"), (0, 0));
    // Damage is a finding like any other: of the archive, and of a layer in it.
    let mut damaged = oci_archive(&index());
    let length = damaged.len();
    fs::write(place.path().join("short"), &damaged[..length - 2048]).unwrap();
    assert_eq!(summary("short").0, 3);
    let gzipped = damaged.windows(2).rposition(|magic| magic == [0x1f, 0x8b]).unwrap();
    damaged[gzipped + 100] ^= 1;
    fs::write(place.path().join("damaged"), &damaged).unwrap();
    let (code, stdout, _) = ended(&["check", "damaged"], place.path());
    assert!(code == 3 && stdout.contains("[digest-mismatch]: layer "), "{stdout}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 5, "nothing is written");
}

#[test]
fn from_a_manifest_digest_an_image_is_unpacked_without_its_index() {
    let place = tempfile::tempdir().unwrap();
    let index: Value = serde_json::from_slice(&index()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    fs::write(place.path().join("image"), oci_archive(br#"{"nobody": "reads this"}"#)).unwrap();
    assert_eq!(ended(&["list", "image"], place.path()).0, 3);
    let (code, _, stderr) = ended(&["list", "--manifest-digest", &digest, "image"], place.path());
    assert_eq!(code, 0, "{stderr}");
    let absent = format!("sha256:{}", "0".repeat(64));
    let (code, _, stderr) = ended(&["unpack", "--manifest-digest", &absent, "image", "rootfs"], place.path());
    assert!(code == 3 && stderr.contains("[pinned-manifest-missing]") && stderr.contains(&absent), "{stderr}");
    let both = ["unpack", "--manifest-digest", &digest, "--ref", "latest", "image", "rootfs"];
    assert_eq!(ended(&both, place.path()).0, 2, "a digest needs no name");
    assert!(!place.path().join("rootfs").exists());
}

#[test]
fn no_option_that_does_not_help_is_named_where_the_archive_of_an_image_is_refused() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("image"), [oci_archive(&index()), vec![1; 512]].concat()).unwrap();
    fs::write(place.path().join("empty"), "").unwrap();
    let cases = [("image", "data-after-end", "archive-ambiguous"), ("empty", "unmarked-end", "not-an-image")];
    for (image, rule, refused) in cases {
        for options in [&[][..], &["--allow", rule], &["--policy", "compatible"]] {
            let (code, _, stderr) = ended(&[&["unpack", image, "rootfs"], options].concat(), place.path());
            assert!(code == 3 && stderr.contains(&format!("[{refused}]")), "{stderr}");
            assert!(stderr.contains(rule) || stderr.contains("the file is empty"), "{stderr}");
            let (_, help) = stderr.split_once("layercage: help: ").unwrap();
            assert!(!help.contains("--"), "{help}");
        }
    }
    let (code, stdout, _) = ended(&["check", "--allow", "data-after-end", "image"], place.path());
    assert!(code == 3 && stdout.contains("compatible refuses,"), "as unpacking it would: {stdout}");
}

#[test]
fn a_tag_that_the_options_contradict_is_wrong_usage() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("image"), oci_archive(&index())).unwrap();
    let index: Value = serde_json::from_slice(&index()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    for command in [&["unpack"][..], &["check"], &["list"]] {
        for (image, options) in [
            ("image:latest", ["--ref", "other"]),
            ("image:other", ["--ref", "latest"]),
            ("image:latest", ["--manifest-digest", &digest]),
        ] {
            let mut arguments = [command, &options[..], &[image]].concat();
            arguments.extend((command == ["unpack"]).then_some("rootfs"));
            let (code, stdout, stderr) = ended(&arguments, place.path());
            assert!(code == 2 && stdout.is_empty(), "{arguments:?}: {stdout}{stderr}");
            assert!(stderr.contains("contradicts `--"), "{arguments:?}: {stderr}");
        }
    }
    assert_eq!(ended(&["list", "--ref", "latest", "image:latest"], place.path()).0, 0, "they are of one mind");
    assert!(!place.path().join("rootfs").exists());
}

#[test]
fn a_tag_may_be_longer_than_a_name_of_a_file() {
    let place = tempfile::tempdir().unwrap();
    let tag = "t".repeat(300);
    let mut listed: Value = serde_json::from_slice(&index()).unwrap();
    listed["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = json!(tag);
    fs::write(place.path().join("image"), oci_archive(listed.to_string().as_bytes())).unwrap();
    let (code, _, stderr) = ended(&["list", &format!("image:{tag}")], place.path());
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = ended(&["list", &format!("missing:{tag}")], place.path());
    assert!(code == 1 && stderr.contains("cannot open missing:ttt"), "{stderr}");
}

#[test]
fn an_archive_comes_through_a_pipe_and_nothing_is_left_of_it() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("image"), docker_archive(place.path())).unwrap();
    let script =
        format!("cat image | {} unpack --platform linux/amd64 /dev/stdin rootfs", env!("CARGO_BIN_EXE_layercage"));
    let status = Command::new("sh").arg("-c").arg(script).current_dir(place.path()).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(place.path().join("rootfs/etc/hostname")).unwrap(), "small");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}
