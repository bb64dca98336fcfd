//! What the command takes a file for: one answer for files, pipes and all verbs, and a pin that is never passed over.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;

use build::{Archive, tar};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world")
}

/// An archive in the making: entries that are files, links (`name>target`) or hard links (`name=target`).
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let add = |archive: Archive, (name, content): &(&str, &[u8])| match (name.split_once('>'), name.split_once('=')) {
        (Some((name, target)), _) => archive.symlink(name, target),
        (_, Some((name, target))) => archive.hard_link(name, target),
        _ => archive.file(name, content),
    };
    entries.iter().fold(tar(), add).end()
}

/// The real image as a layout in an archive, without the members of these names.
fn image_without(left_out: &[&str]) -> Vec<u8> {
    let mut names = vec!["oci-layout".to_owned(), "index.json".to_owned()];
    let blobs = fs::read_dir(world().join("blobs/sha256")).unwrap();
    names.extend(blobs.map(|blob| format!("blobs/sha256/{}", blob.unwrap().file_name().to_str().unwrap())));
    names.retain(|name| !left_out.contains(&name.as_str()));
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), fs::read(world().join(name)).unwrap())).collect();
    archive(&files.iter().map(|(name, content)| (*name, content.as_slice())).collect::<Vec<_>>())
}

/// A zstd frame of blocks that are stored as they are (RFC 8878, section 3.1.1).
fn zstd(bytes: &[u8]) -> Vec<u8> {
    // The magic; no size, no checksum; a window of 128 KiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    let blocks: Vec<_> = bytes.chunks(64 << 10).collect();
    for (number, block) in blocks.iter().enumerate() {
        let is_last = number + 1 == blocks.len();
        let header = u32::try_from(block.len()).unwrap() << 3 | u32::from(is_last);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

fn layer() -> Vec<u8> {
    archive(&[("etc/hostname", b"name"), ("manifest.json", br#"{"name":"web"}"#)])
}

/// How a file is handed to the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Path,
    /// `- < file`
    Redirected,
    /// `cat file | … -`
    Pipe,
    /// `cat file | … /dev/stdin`
    DevStdin,
    Fifo,
}

const WAYS: [Way; 5] = [Way::Path, Way::Redirected, Way::Pipe, Way::DevStdin, Way::Fifo];

/// Runs the command with `file` in the place of `INPUT`.
fn run(way: Way, arguments: &[&str], file: &str, place: &Path) -> Output {
    let name = match way {
        Way::Path => file,
        Way::Redirected | Way::Pipe => "-",
        Way::DevStdin => "/dev/stdin",
        Way::Fifo => "fifo",
    };
    let arguments: Vec<_> =
        arguments.iter().map(|&argument| if argument == "INPUT" { name } else { argument }).collect();
    let mut command = Command::new(COMMAND);
    command.args(arguments).current_dir(place).env("TMPDIR", place.join("tmp")).stdin(Stdio::null());
    let mut cat = None;
    match way {
        Way::Path => {}
        Way::Redirected => drop(command.stdin(File::open(place.join(file)).unwrap())),
        Way::Pipe | Way::DevStdin => {
            let mut child =
                Command::new("cat").arg(file).current_dir(place).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            command.stdin(child.as_mut().unwrap().stdout.take().unwrap());
            cat = Some(child.unwrap());
        }
        Way::Fifo => {
            let _ = fs::remove_file(place.join("fifo"));
            assert!(Command::new("mkfifo").arg("fifo").current_dir(place).status().unwrap().success());
            let mut shell = Command::new("sh");
            shell.args(["-c", "cat \"$0\" > fifo", file]).current_dir(place).stderr(Stdio::null());
            cat = Some(shell.spawn().unwrap());
        }
    }
    let output = command.output().unwrap();
    // The pipe that the command reads from is open as long as this is.
    drop(command);
    if let Some(mut cat) = cat {
        cat.wait().unwrap();
    }
    assert_eq!(fs::read_dir(place.join("tmp")).unwrap().count(), 0, "nothing is left in TMPDIR");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("tmp")).unwrap();
    place
}

fn compressed(place: &Path, with: &[&str], from: &str, to: &str) {
    let output = Command::new(with[0]).args(&with[1..]).arg(from).current_dir(place).output().unwrap();
    fs::write(place.join(to), output.stdout).unwrap();
}

fn unlock(place: &Path) {
    assert!(Command::new("chmod").args(["-R", "u+rwX"]).arg(place).status().unwrap().success());
}

#[test]
fn a_file_and_a_pipe_are_taken_for_the_same_by_every_verb() {
    let place = place();
    fs::write(place.path().join("image"), image_without(&[])).unwrap();
    fs::write(place.path().join("layer"), layer()).unwrap();
    fs::write(place.path().join("incomplete"), image_without(&["index.json"])).unwrap();
    fs::write(place.path().join("nothing"), b"").unwrap();
    compressed(place.path(), &["gzip", "-c"], "image", "image.gz");
    compressed(place.path(), &["gzip", "-c"], "layer", "layer.gz");
    fs::write(place.path().join("image.zst"), zstd(&image_without(&[]))).unwrap();
    fs::write(place.path().join("layer.zst"), zstd(&layer())).unwrap();
    // The exit codes of check, list and unpack.
    for (file, what, codes) in [
        ("image", "image", [0, 0, 0]),
        ("image.gz", "image", [0, 0, 0]),
        ("image.zst", "image", [0, 0, 0]),
        ("incomplete", "image", [3, 3, 3]),
        ("layer", "layer", [0, 0, 3]),
        ("layer.gz", "layer", [0, 0, 3]),
        ("layer.zst", "layer", [0, 0, 3]),
        ("nothing", "layer", [3, 0, 3]),
    ] {
        for way in WAYS {
            let check = run(way, &["check", "--json", "INPUT"], file, place.path());
            let stdout = text(&check.stdout);
            assert_eq!(check.status.code(), Some(codes[0]), "check {file} ({way:?}): {stdout}{}", text(&check.stderr));
            let summary: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
            assert_eq!((&summary["what"], &summary["seen"]), (&json!(what), &json!(what)), "{file} ({way:?})");

            let list = run(way, &["list", "--json", "INPUT"], file, place.path());
            let stdout = text(&list.stdout);
            assert_eq!(list.status.code(), Some(codes[1]), "list {file} ({way:?}): {stdout}{}", text(&list.stderr));
            let input: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
            assert_eq!(input, json!({"type": "input", "what": what}), "{file} ({way:?})");
            assert_eq!(stdout.lines().count() > 500, file.starts_with("image"), "{file} ({way:?})");

            let unpack = run(way, &["unpack", "INPUT", "rootfs"], file, place.path());
            let stderr = text(&unpack.stderr);
            assert_eq!(unpack.status.code(), Some(codes[2]), "unpack {file} ({way:?}): {stderr}");
            assert_eq!(place.path().join("rootfs").exists(), codes[2] == 0);
            if codes[2] == 0 {
                unlock(&place.path().join("rootfs"));
                fs::remove_dir_all(place.path().join("rootfs")).unwrap();
            }
        }
    }
    // People are told, too.
    for (file, what) in [("image.gz", "an image"), ("layer", "a layer")] {
        let check = text(&run(Way::Pipe, &["check", "INPUT"], file, place.path()).stdout);
        assert!(check.lines().last().unwrap().contains(&format!("Judged as {what}")), "{check}");
        let list = text(&run(Way::Pipe, &["list", "INPUT"], file, place.path()).stderr);
        assert_eq!(list, format!("layercage: listed as {what}\n"));
    }
}

#[test]
fn no_option_that_chooses_an_image_is_passed_over() {
    let place = place();
    let hex = "0123456789abcdef".repeat(4);
    let (blob, old) = (format!("blobs/sha256/{hex}"), format!("{hex}/layer.tar"));
    let list: &[u8] = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#;
    let pin = format!("sha256:{hex}");
    let cases: &[(&str, Vec<u8>, i32)] = &[
        // Layers: wrong usage, and nothing is judged.
        ("a layer", layer(), 2),
        ("nothing", Vec::new(), 2),
        ("no archive", b"#!/bin/sh\n".repeat(100), 2),
        ("another compression", b"\xfd7zXZ\0and so on".to_vec(), 2),
        ("a layer that is cut off", layer()[..700].to_vec(), 2),
        ("blobs that nothing names", archive(&[(&blob, b"")]), 2),
        ("a directory of that name", archive(&[("index.json/x", b"")]), 2),
        // Images, each of which lacks something.
        ("an image", image_without(&[]), 3),
        ("an image without its index", image_without(&["index.json"]), 3),
        ("an image without its marker", image_without(&["oci-layout"]), 3),
        (
            "an index alone, behind a fine layer",
            [&layer()[..layer().len() - 1024], &archive(&[("index.json", b"")])].concat(),
            3,
        ),
        ("docker save without its layers", archive(&[("manifest.json", list)]), 3),
        (
            "docker save with a layer that climbs",
            archive(&[("manifest.json", br#"[{"Config":"c","Layers":["../l"]}]"#)]),
            3,
        ),
        ("docker save with a list that is cut off", archive(&[("manifest.json", &list[..30]), ("l.tar", b"")]), 3),
        ("docker save with another spelling", archive(&[(".//manifest.json", br#"[{"config":"c"}] x"#)]), 3),
        ("docker save with two lists", archive(&[("manifest.json", b"{}"), ("manifest.json", list)]), 3),
        ("docker save with a damaged list", archive(&[(&old, b""), ("manifest.json", b"\xff")]), 3),
        ("a list behind a link", archive(&[("m", list), ("manifest.json>m", b"")]), 3),
        ("a list behind a hard link", archive(&[("m", list), ("manifest.json=m", b"")]), 3),
        ("an index behind a link", archive(&[("i", b"{}"), ("index.json>i", b"")]), 3),
        ("an image that is cut off", image_without(&[])[..2000].to_vec(), 3),
    ];
    for (name, bytes, expected) in cases {
        fs::write(place.path().join("file"), bytes).unwrap();
        compressed(place.path(), &["gzip", "-c"], "file", "file.gz");
        for (way, file) in [(Way::Path, "file"), (Way::Pipe, "file"), (Way::Path, "file.gz"), (Way::Pipe, "file.gz")] {
            for command in [&["check"][..], &["list"], &["list", "--layers"]] {
                let arguments = [command, &["--manifest-digest", &pin, "INPUT"]].concat();
                let output = run(way, &arguments, file, place.path());
                let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
                assert_eq!(output.status.code(), Some(*expected), "{command:?} {file} ({name}, {way:?}): {said}");
                if *expected == 2 {
                    assert!(output.stdout.is_empty() && said.contains("`--manifest-digest`"), "{name}: {said}");
                }
            }
        }
        for policy in ["compatible", "paranoid"] {
            let check = ["check", "--policy", policy, "--manifest-digest", &pin, "INPUT"];
            assert_eq!(run(Way::Path, &check, "file", place.path()).status.code(), Some(*expected), "{name}");
        }
    }
    // The other options that choose one.
    fs::write(place.path().join("file"), layer()).unwrap();
    for (options, input, said) in [
        (&["--ref", "latest"][..], "INPUT", "`--ref`"),
        (&["--platform", "linux/amd64"], "INPUT", "`--platform`"),
        (&[], "file:latest", "the tag \"latest\""),
        (&["--as", "layer", "--ref", "latest"], "INPUT", "`--as layer`"),
    ] {
        for command in [&["check"][..], &["list"], &["list", "--final"]] {
            let arguments = [command, options, &[input]].concat();
            let output = run(Way::Path, &arguments, "file", place.path());
            let stderr = text(&output.stderr);
            assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{arguments:?}: {stderr}");
            assert!(stderr.contains(said), "{arguments:?}: {stderr}");
        }
    }
}

#[test]
fn what_a_file_is_taken_for_can_be_overridden() {
    let place = place();
    // A fine layer of a web server whose index is a file of its own.
    fs::write(place.path().join("both"), archive(&[("index.json", b"{}"), ("etc/hostname", b"a")])).unwrap();
    fs::write(place.path().join("layer"), layer()).unwrap();
    for way in WAYS {
        for (options, file, code, what) in [
            (&[][..], "both", 3, "image"),
            (&["--as", "layer"], "both", 0, "layer"),
            (&["--as", "image"], "both", 3, "image"),
            (&["--as", "image"], "layer", 3, "image"),
            (&["--as", "layer"], "layer", 0, "layer"),
        ] {
            let output = run(way, &[&["check", "--json"], options, &["INPUT"]].concat(), file, place.path());
            let stdout = text(&output.stdout);
            assert_eq!(output.status.code(), Some(code), "{options:?} {file} ({way:?}): {stdout}");
            let summary: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
            assert_eq!(summary["what"], what, "{options:?} {file} ({way:?})");
        }
    }
    let output = run(Way::Path, &["check", "INPUT"], "both", place.path());
    assert!(text(&output.stdout).contains("`--as layer` judges it as a layer"), "{}", text(&output.stdout));
    let world = world().display().to_string();
    let output = run(Way::Path, &["check", "--as", "layer", &world], "", place.path());
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("is a directory"));
    assert_eq!(run(Way::Path, &["check", "--as", "image", &world], "", place.path()).status.code(), Some(0));
}

#[test]
fn an_image_that_is_applied_is_refused_by_name_and_a_layer_of_such_names_is_not() {
    let place = place();
    fs::write(place.path().join("image"), image_without(&[])).unwrap();
    compressed(place.path(), &["gzip", "-c"], "image", "image.gz");
    let both = archive(&[("index.json", b"{}"), ("etc/hostname", b"a")]);
    fs::write(place.path().join("both"), &both).unwrap();
    fs::write(place.path().join("layer"), layer()).unwrap();
    for way in WAYS {
        for (options, file, code) in [
            (&[][..], "image", 2),
            (&["--jobs", "1"], "image.gz", 2),
            (&["--jobs", "3"], "image.gz", 2),
            (&[], "both", 2),
            (&["--as", "layer"], "both", 0),
            (&[], "layer", 0),
        ] {
            fs::create_dir(place.path().join("root")).unwrap();
            let output = run(way, &[&["apply"], options, &["INPUT", "root"]].concat(), file, place.path());
            let stderr = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{options:?} {file} ({way:?}): {stderr}");
            if code == 2 {
                assert!(
                    stderr.contains("the archive of an image") && stderr.contains("`layercage unpack`"),
                    "{stderr}"
                );
                assert!(stderr.contains("Nothing was changed in root"), "{stderr}");
                assert_eq!(fs::read_dir(place.path().join("root")).unwrap().count(), 0);
            }
            fs::remove_dir_all(place.path().join("root")).unwrap();
        }
    }
    // Whoever knows its digest knows what it is.
    let sum = Command::new("sha256sum").arg("both").current_dir(place.path()).output().unwrap();
    let digest = format!("sha256:{}", &text(&sum.stdout)[..64]);
    for option in ["--digest", "--diff-id"] {
        fs::create_dir(place.path().join(option)).unwrap();
        let output = run(Way::Pipe, &["apply", option, &digest, "INPUT", &format!("./{option}")], "both", place.path());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

#[test]
fn standard_input_counts_from_where_it_is() {
    let place = place();
    for (name, bytes) in [("image", image_without(&[])), ("layer", layer())] {
        fs::write(place.path().join("file"), [&[b'x'; 512][..], &bytes].concat()).unwrap();
        for (verb, what) in [("check", "Judged as"), ("list", "listed as")] {
            let script = format!("{{ dd bs=512 count=1 status=none of=/dev/null; \"$0\" {verb} -; }} < file 2>&1");
            let output = Command::new("sh").args(["-c", &script, COMMAND]).current_dir(place.path()).output().unwrap();
            let (code, said) = (output.status.code(), text(&output.stdout));
            assert!(code == Some(0) && said.contains(what) && said.contains(name), "{verb} {name}: {said}");
        }
    }
    fs::write(place.path().join("file"), [&[b'x'; 512][..], &image_without(&[])].concat()).unwrap();
    let script = "{ dd bs=512 count=1 status=none of=/dev/null; \"$0\" unpack - rootfs; } < file";
    let status = Command::new("sh").args(["-c", script, COMMAND]).current_dir(place.path()).status().unwrap();
    assert!(status.success() && place.path().join("rootfs/bin/hello").is_file());
    unlock(place.path());
    let output = Command::new(COMMAND).args(["check", "-"]).stdin(File::open(world()).unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "a directory is an image there, too");
}

#[test]
fn a_pipe_is_kept_within_the_limits_and_a_directory_that_takes_no_file_is_named() {
    let place = place();
    fs::write(place.path().join("layer"), layer()).unwrap();
    let limits = ["--limit", "layer-bytes=1000", "--limit", "archive-bytes=1000"];
    for verb in ["check", "list"] {
        let output = run(Way::Pipe, &[&[verb], &limits[..], &["INPUT"]].concat(), "layer", place.path());
        let stderr = text(&output.stderr);
        assert!(output.status.code() == Some(3) && stderr.contains("[limit]"), "{stderr}");
    }
    let script = "cat layer | TMPDIR=/nowhere \"$0\" check -";
    let output = Command::new("sh").args(["-c", script, COMMAND]).current_dir(place.path()).output().unwrap();
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("/nowhere"), "{}", text(&output.stderr));
    // A file that needs no room is judged without any.
    let script = "TMPDIR=/nowhere \"$0\" check layer";
    let output = Command::new("sh").args(["-c", script, COMMAND]).current_dir(place.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
