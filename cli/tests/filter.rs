//! `layercage filter`, as a shell or containerd runs it.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;

use build::{Archive, Header, tar};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

/// Files of these names, each with its own name as content. One that ends in `*` is a device.
fn layer(names: &[&str]) -> Vec<u8> {
    let add = |archive: Archive, name: &&str| match name.strip_suffix('*') {
        Some(name) => archive.header(Header::gnu(b'3', name).device(5, 1)),
        None => archive.with(Header::gnu(b'0', name), if name.contains(".wh.") { "" } else { name }),
    };
    names.iter().fold(tar(), add).end()
}

/// Runs `filter` with a layer on standard input, from a pipe.
fn filter(options: &[&str], layer: &[u8]) -> Output {
    let mut command = Command::new(COMMAND);
    command.arg("filter").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let layer = layer.to_vec();
    // A command that refuses reads no more.
    let feed = std::thread::spawn(move || drop(input.write_all(&layer)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    output
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The exit code of `check`, and what it says.
fn check(options: &[&str], layer: &[u8]) -> (Option<i32>, String) {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer).unwrap();
    let output = Command::new(COMMAND).arg("check").args(options).arg("layer").current_dir(&place).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[test]
fn a_judged_layer_comes_out_and_passes_every_policy() {
    let bytes = layer(&["etc/motd", "etc/.wh.issue", "var/.wh..wh..opq", ".wh..wh.aufs", "dev/console*"]);
    let output = filter(&["--devices", "skip"], &bytes);
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    assert!(message(&output).contains("[aufs-bookkeeping]"), "{}", message(&output));
    let mut archive = tar::Archive::new(&output.stdout[..]);
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned());
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["etc/motd", "etc/.wh.issue", "var/.wh..wh..opq", "dev/.wh.console"]);
    let (code, findings) = check(&["--policy", "paranoid"], &output.stdout);
    assert_eq!(code, Some(0), "{findings}");
    let again = filter(&[], &output.stdout);
    assert_eq!((again.status.code(), message(&again).as_str()), (Some(0), ""));
    assert!(again.stdout == output.stdout, "a second pass changes nothing");
}

#[test]
fn a_refused_layer_ends_with_code_3_and_an_archive_that_readers_report_as_truncated() {
    let output = filter(&[], &layer(&["first", "null*", "last"]));
    assert_eq!(output.status.code(), Some(3));
    let told = message(&output);
    assert!(told.starts_with("layercage: refused [device-node]: entry 2, byte 1024"), "{told}");
    assert!(told.contains("What was written before that is truncated, and must not be used"), "{told}");
    assert!(output.stdout.starts_with(b"first\0") && output.stdout.len() == 1024 + 512);
    let (code, findings) = check(&[], &output.stdout);
    assert!(code == Some(3) && findings.contains("[truncated]"), "{findings}");
}

/// GNU tar and Python take half a header behind a whole entry for the end of the archive.
#[test]
fn every_tar_reader_fails_at_the_output_of_a_refused_layer_and_makes_no_file_of_its_end() {
    let python = "import sys, tarfile\nfor member in tarfile.open(fileobj=sys.stdin.buffer, mode='r|'): pass";
    let mut readers = 0;
    for names in [&["null*"][..], &["first", "null*"], &["first", "second", "null*", "last"]] {
        let place = tempfile::tempdir().unwrap();
        let refused = filter(&[], &layer(names));
        assert_eq!(refused.status.code(), Some(3));
        fs::write(place.path().join("refused"), &refused.stdout).unwrap();
        fs::create_dir(place.path().join("out")).unwrap();
        for reader in
            [&["tar", "-x"][..], &["bsdtar", "-xf", "-"], &["busybox", "tar", "-x"], &["python3", "-c", python]]
        {
            let mut command = Command::new(reader[0]);
            command.args(&reader[1..]).current_dir(place.path().join("out"));
            let Ok(output) = command.stdin(File::open(place.path().join("refused")).unwrap()).output() else {
                continue;
            };
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && !told.is_empty(), "{reader:?} of {names:?}");
            readers += 1;
        }
        let made = fs::read_dir(place.path().join("out")).unwrap().count();
        assert_eq!(made, names.iter().position(|name| *name == "null*").unwrap(), "{names:?}");
    }
    assert!(readers >= 3, "GNU tar is everywhere");
}

#[test]
fn a_message_speaks_of_truncated_output_only_if_an_entry_was_written() {
    for (bytes, options) in
        [(layer(&["null*"]), &[][..]), (b"<html>".repeat(100), &[]), (layer(&["null*"]), &["--json"])]
    {
        let output = filter(options, &bytes);
        let told = message(&output);
        assert!(output.status.code() == Some(3) && output.stdout.len() <= 512, "{told}");
        assert!(!told.contains("What was written before"), "{told}");
        assert!(
            !options.is_empty() || told.contains("No whole entry was written, and the output is truncated"),
            "{told}"
        );
    }
}

#[test]
fn a_terminal_in_place_of_an_archive_is_a_usage_error() {
    for arguments in ["filter >layer", "list -", "check -", "export - >tar", "unpack - rootfs", "apply - ."] {
        let place = tempfile::tempdir().unwrap();
        let line = format!("{COMMAND} {arguments}");
        // `script` gives the command a terminal.
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(&place).stdin(Stdio::null());
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("standard input is a terminal"), "{arguments}: {told}");
        assert_eq!(output.status.code(), Some(2), "{arguments}: {told}");
    }
}

#[test]
fn a_reader_that_closes_the_pipe_early_is_a_failure_with_a_message() {
    let mut command = Command::new(COMMAND);
    command.arg("filter").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    let bytes = layer(&["a"]);
    let feed = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message(&output).starts_with("layercage: cannot write to standard output: "), "{}", message(&output));
}

#[test]
fn a_refusal_does_not_wait_for_an_input_that_goes_on() {
    let mut command = Command::new(COMMAND);
    command.args(["filter", "--jobs", "3"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It stays open.
    let mut input = child.stdin.take().unwrap();
    input.write_all(&layer(&["null*", "more"])).unwrap();
    let mut written = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut written).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(written.len(), 512);
    drop(input);
}

#[test]
fn what_is_known_of_a_layer_is_verified_before_the_first_byte() {
    let bytes = layer(&["a", "b"]);
    let (right, wrong) = (digest(&bytes), digest(b"other"));
    for option in ["--digest", "--diff-id"] {
        let output = filter(&[option, &right], &bytes);
        assert!(output.status.success(), "{}", message(&output));
        assert!(output.stdout == filter(&[], &bytes).stdout);
        let output = filter(&[option, &wrong], &bytes);
        assert_eq!(output.status.code(), Some(3));
        assert!(message(&output).contains("Nothing was written to standard output"), "{}", message(&output));
        assert_eq!(output.stdout.len(), 0, "nothing was written");
    }
    let output = filter(&["--size", "7"], &bytes);
    assert!(output.status.code() == Some(3) && message(&output).contains("[size-mismatch]"), "{}", message(&output));
}

#[test]
fn unchanged_bytes_come_out_whole_or_not_at_all() {
    let bytes = layer(&["a", "etc/.wh.b", ".wh..wh.aufs"]);
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), &bytes).unwrap();
    let gzip = Command::new("gzip").args(["-c", "layer"]).current_dir(&place).output().unwrap();
    for layer in [&bytes, &gzip.stdout] {
        let output = filter(&["--unchanged", "--diff-id", &digest(&bytes)], layer);
        assert_eq!(output.status.code(), Some(0), "{}", message(&output));
        assert!(message(&output).contains("[aufs-bookkeeping]"), "{}", message(&output));
        assert!(output.stdout == bytes, "the diff ID of the layer holds");
    }
    let mut damaged = gzip.stdout.clone();
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    for refused in [&layer(&["a", "null*"]), &bytes[..bytes.len() - 1024].to_vec(), &damaged] {
        let output = filter(&["--unchanged"], refused);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{}", message(&output));
        assert!(message(&output).contains("Nothing was written to standard output"), "{}", message(&output));
    }
    let output = filter(&["--unchanged", "--policy", "compatible"], &layer(&["a", "null*"]));
    assert!(output.status.success() && output.stdout == layer(&["a", "null*"]), "nothing is dropped");
    assert!(message(&output).contains("written unchanged: what the notes call dropped is still in it"));
}

#[test]
fn what_unchanged_cannot_obey_is_wrong_usage() {
    let map = ["--owners", "map", "--uid-map", "0:1:9", "--gid-map", "0:1:9"];
    for options in [
        &["--devices", "skip"][..],
        &["--fifos", "skip"],
        &["--setid", "strip"],
        &["--xattrs", "none"],
        &["--mtime", "clamp=0"],
        &["--epoch", "0"],
        &map,
    ] {
        let output = filter(&[&["--unchanged"], options].concat(), &layer(&["a"]));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{options:?}: {}", message(&output));
        assert!(message(&output).contains(options[0]), "{}", message(&output));
        assert!(filter(options, &layer(&["a"])).status.success(), "{options:?}");
    }
    for options in [["--devices", "create"], ["--setid", "refuse"], ["--mtime", "keep"], ["--xattrs", "refuse"]] {
        assert!(filter(&[&["--unchanged"], &options[..]].concat(), &layer(&["a"])).status.success(), "{options:?}");
    }
}

#[test]
fn standard_input_may_be_a_file_and_compressed() {
    let bytes = layer(&["a", "b"]);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("layer.gz");
    let gzip = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(File::create(&file).unwrap()).spawn();
    let mut gzip = gzip.unwrap();
    gzip.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(gzip.wait().unwrap().success());
    let output = Command::new(COMMAND).arg("filter").stdin(File::open(&file).unwrap()).output().unwrap();
    assert!(output.status.success() && output.stdout == filter(&[], &bytes).stdout, "{}", message(&output));
}

#[test]
fn choices_that_an_archive_cannot_have_are_wrong_usage() {
    for owners in ["caller", "record"] {
        let output = filter(&["--owners", owners], &layer(&["a"]));
        assert_eq!(output.status.code(), Some(2), "{}", message(&output));
        assert!(message(&output).contains(&format!("`--owners {owners}` has no meaning")), "{}", message(&output));
    }
    let image = layer(&["oci-layout", "index.json"]);
    let output = filter(&[], &image);
    assert_eq!(output.status.code(), Some(2), "{}", message(&output));
    assert!(!message(&output).contains("appl") && message(&output).contains("`--as layer`"), "{}", message(&output));
    assert!(filter(&["--as", "layer"], &image).status.success());
}

#[test]
fn the_report_is_on_standard_error_and_no_file_can_be_written_meanwhile() {
    let output = filter(&["--json"], &layer(&["a", ".wh..wh.aufs"]));
    assert!(output.status.success() && output.stdout.starts_with(b"a\0"));
    let report: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&report["entries"], &report["notes"][0]["rule"]), (&Value::from(2), &Value::from("aufs-bookkeeping")));
    let capabilities = report["sandbox"]["capabilities"].as_array().unwrap();
    assert!(!capabilities.iter().any(|name| name == "chown" || name == "mknod"), "{capabilities:?}");
    let refused = filter(&["--json"], &layer(&["null*"]));
    let error: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!((refused.status.code(), &error["exit_code"]), (Some(3), &Value::from(3)));
    assert!(Path::new(COMMAND).is_absolute());
}
