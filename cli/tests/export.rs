//! `layercage export`, and `--only` for it and for `unpack`.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;
#[path = "support/layout.rs"]
mod layout;
#[path = "../../tests/it/skip.rs"]
mod skip;

use build::tar;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use skip::skip;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::tempdir;

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world")
}

/// The real image, packed.
fn packed() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("", world()).unwrap();
    archive.into_inner().unwrap()
}

fn command(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(COMMAND);
    command.args(arguments).current_dir(place).stdin(Stdio::null());
    command
}

fn run(place: &Path, arguments: &[&str]) -> Output {
    command(place, arguments).output().unwrap()
}

/// Runs `export` with options on the real image.
fn export(place: &Path, options: &[&str], file: &[&str]) -> Output {
    let world = world();
    run(place, &[&["export"], options, &[world.to_str().unwrap()], file].concat())
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn succeeded(output: Output) -> Vec<u8> {
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    output.stdout
}

/// The names of an archive, in order.
fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned());
    names.map(|name| String::from_utf8_lossy(&name).trim_end_matches('/').to_owned()).collect()
}

fn children(place: &Path) -> Vec<String> {
    let names = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// A layout whose only layer has an entry that climbs, behind one that does not.
fn refused(place: &Path) {
    let bytes = tar().file("fine", "a\n").file("../climbs", "a\n").end();
    fs::write(place.join("layer.tar"), bytes).unwrap();
    let manifest = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["layer.tar"]}]"#;
    fs::write(place.join("manifest.json"), manifest).unwrap();
    let diff_id = digest(&fs::read(place.join("layer.tar")).unwrap());
    let config =
        format!(r#"{{"os":"linux","architecture":"any","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#);
    fs::write(place.join("c.json"), config).unwrap();
    let mut archive = tar::Builder::new(File::create(place.join("refused.tar")).unwrap());
    for name in ["manifest.json", "c.json", "layer.tar"] {
        archive.append_path_with_name(place.join(name), name).unwrap();
        fs::remove_file(place.join(name)).unwrap();
    }
    archive.finish().unwrap();
}

fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("sha256:{}", Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[test]
fn the_archive_is_the_same_wherever_it_goes_and_wherever_the_image_comes_from() {
    let place = tempdir().unwrap();
    let tar = succeeded(export(place.path(), &[], &[]));
    assert!(tar == succeeded(export(place.path(), &["--jobs", "1"], &["-"])));
    assert!(succeeded(export(place.path(), &["--sync"], &["rootfs.tar"])).is_empty());
    assert!(tar == fs::read(place.path().join("rootfs.tar")).unwrap());
    assert_eq!(children(place.path()), ["rootfs.tar"]);
    for options in [&["-"][..], &["-", "again.tar"]] {
        let mut child = command(place.path(), &[&["export"], options].concat());
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let feed = std::thread::spawn(move || input.write_all(&packed()).unwrap());
        let got = succeeded(child.wait_with_output().unwrap());
        feed.join().unwrap();
        let got = if options.len() > 1 { fs::read(place.path().join("again.tar")).unwrap() } else { got };
        assert!(got == tar, "{options:?}");
    }
    let checked = run(place.path(), &["check", "--policy", "paranoid", "rootfs.tar"]);
    assert!(String::from_utf8(succeeded(checked)).unwrap().starts_with("0 findings"));
}

#[test]
fn the_order_by_path_has_the_same_entries_with_the_same_content() {
    let place = tempdir().unwrap();
    let by_layer = succeeded(export(place.path(), &[], &[]));
    let by_path = succeeded(export(place.path(), &["--sort"], &[]));
    assert!(succeeded(export(place.path(), &["--sort"], &["sorted.tar"])).is_empty());
    assert!(by_path == fs::read(place.path().join("sorted.tar")).unwrap());
    let (mut expected, got) = (names(&by_layer), names(&by_path));
    assert_ne!(got, expected);
    // As components, `a/b` comes before `a-b`.
    expected.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    assert_eq!(got, expected);
    fs::write(place.path().join("by-layer.tar"), by_layer).unwrap();
    let listed = |name: &str| {
        let output = run(place.path(), &["list", name]);
        let text = String::from_utf8(succeeded(output)).unwrap();
        let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with("hardlink")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let sorted = listed("sorted.tar");
    let differing: Vec<_> = listed("by-layer.tar").into_iter().filter(|line| !sorted.contains(line)).collect();
    // Another name of the same file may have the content.
    assert!(differing.iter().all(|line| line.starts_with("file")) && differing.len() < 8, "{differing:?}");
}

#[test]
fn the_report_does_not_come_between_the_bytes_of_the_archive() {
    let place = tempdir().unwrap();
    let output = export(place.path(), &["--json"], &[]);
    let report: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&report["type"], &report["image"]["name"]), (&"report".into(), &"latest".into()), "{report}");
    assert_eq!(names(&succeeded(output))[0], ".");
    let output = export(place.path(), &["--json"], &["rootfs.tar"]);
    assert!(output.stderr.is_empty());
    assert_eq!(serde_json::from_slice::<Value>(&succeeded(output)).unwrap(), report);
    let message = message(&export(place.path(), &[], &["rootfs.tar"]));
    assert!(message.contains("note [directory-over-link]"), "{message}");
}

#[test]
fn a_refused_image_leaves_no_byte_and_an_old_file_as_it_was() {
    let place = tempdir().unwrap();
    refused(place.path());
    fs::write(place.path().join("old.tar"), "old").unwrap();
    for (options, says) in [
        (&[][..], "Nothing was written to standard output"),
        (&["new.tar"], "Nothing was written to new.tar"),
        (&["old.tar"], "Nothing was written to old.tar"),
    ] {
        let output = run(place.path(), &[&["export", "--platform", "linux/any", "refused.tar"], options].concat());
        let told = message(&output);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("[name-climbs]: layer 1 of 1, entry 2") && told.contains(says), "{told}");
        assert!(output.stdout.is_empty());
        assert_eq!(children(place.path()), ["old.tar", "refused.tar"]);
        assert_eq!(fs::read(place.path().join("old.tar")).unwrap(), b"old");
    }
}

#[test]
fn what_cannot_be_replaced_is_written_to_or_refused() {
    let place = tempdir().unwrap();
    assert!(succeeded(export(place.path(), &[], &["/dev/null"])).is_empty());
    assert!(!succeeded(export(place.path(), &[], &["/dev/stdout"])).is_empty());
    fs::write(place.path().join("real"), "real").unwrap();
    symlink("real", place.path().join("link")).unwrap();
    fs::create_dir(place.path().join("directory")).unwrap();
    refused(place.path());
    for name in ["link", "directory"] {
        // Before the layer is read, which would be refused.
        let output = run(place.path(), &["export", "--platform", "linux/any", "refused.tar", name]);
        let told = message(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("exists already, and is not a regular file"), "{told}");
    }
    let output = export(place.path(), &[], &["nowhere/rootfs.tar"]);
    assert_eq!(output.status.code(), Some(1), "{}", message(&output));
    assert!(message(&output).contains("FILE is created in this directory"), "{}", message(&output));
    let output = export(place.path(), &[], &[".layercage-0123456789abcdef"]);
    assert_eq!(output.status.code(), Some(2), "{}", message(&output));
    assert_eq!(fs::read(place.path().join("real")).unwrap(), b"real");
    assert_eq!(children(place.path()), ["directory", "link", "real", "refused.tar"]);
}

#[test]
fn an_archive_is_not_written_to_a_terminal() {
    let place = tempdir().unwrap();
    let world = world();
    // `script` gives the command a terminal.
    let line = format!("{COMMAND} export {}", world.display());
    let Ok(output) = Command::new("script").args(["-qec", &line, "/dev/null"]).current_dir(place.path()).output()
    else {
        skip("it needs script");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("the archive would be written to it") && told.len() < 1_000, "{told}");
    assert_eq!(output.status.code(), Some(2), "{told}");
}

#[test]
fn a_reader_that_closes_the_pipe_early_is_an_error() {
    let place = tempdir().unwrap();
    let world = world();
    let mut child = command(place.path(), &["export", world.to_str().unwrap()]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 512];
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut first).unwrap();
    drop(output);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", message(&output));
    assert!(message(&output).contains("cannot write to standard output"), "{}", message(&output));
}

#[test]
fn a_reader_that_closes_a_named_pipe_early_may_have_read_something() {
    let place = tempdir().unwrap();
    let pipe = place.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let world = world();
    let mut child = command(place.path(), &["export", world.to_str().unwrap(), "pipe"]);
    let child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = File::open(&pipe).unwrap();
    reader.read_exact(&mut [0; 512]).unwrap();
    drop(reader);
    let told = message(&child.wait_with_output().unwrap());
    assert!(told.contains("truncated, and must not be used") && !told.contains("Nothing was written"), "{told}");
    assert!(told.contains("pipe"), "{told}");
}

#[test]
fn a_full_disk_is_named_with_the_file() {
    let place = tempdir().unwrap();
    // No file of more than 8 blocks of 1 KiB; an image from a directory needs no temporary file.
    let line = format!("ulimit -f 8; exec {COMMAND} export {} rootfs.tar", world().display());
    let output = Command::new("bash").args(["-c", &line]).current_dir(place.path()).output().unwrap();
    let told = message(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("write(\"rootfs.tar\")") && told.contains("; nothing was written to rootfs.tar"), "{told}");
    assert!(children(place.path()).is_empty());
}

#[test]
fn what_a_killed_export_left_is_removed_by_the_next_one() {
    let place = tempdir().unwrap();
    fs::write(place.path().join("rootfs.tar"), "old").unwrap();
    let world = world();
    // Killed when it would give the file its name.
    let mut child = Command::new("strace");
    child.args(["-f", "-o", "/dev/null", "-e", "inject=renameat,renameat2:signal=KILL", COMMAND, "export"]);
    child.arg(&world).arg("rootfs.tar").current_dir(place.path()).stdout(Stdio::null()).stderr(Stdio::null());
    if child.status().is_err() {
        skip("it needs strace");
        return;
    }
    assert_eq!(fs::read(place.path().join("rootfs.tar")).unwrap_or_default(), b"old");
    assert_eq!(children(place.path()).len(), 2, "{:?}", children(place.path()));
    succeeded(export(place.path(), &[], &["rootfs.tar"]));
    assert_eq!(children(place.path()), ["rootfs.tar"]);
}

#[test]
fn a_signal_leaves_no_file() {
    let place = tempdir().unwrap();
    // The image comes from a pipe that never ends.
    let mut child = command(place.path(), &["export", "-", "rootfs.tar"]);
    let mut child = child.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&packed()[..4096]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(!child.wait_with_output().unwrap().status.success());
    assert!(children(place.path()).is_empty());
}

#[test]
fn only_some_paths_are_exported_and_unpacked() {
    let place = tempdir().unwrap();
    let only = ["--only", "/opt/*/release", "--only", "bin"];
    let tar = succeeded(export(place.path(), &only, &[]));
    let got = names(&tar);
    assert!(got.contains(&"bin".to_owned()) && got.contains(&"opt/v1/release".to_owned()), "{got:?}");
    assert!(got.len() < 12 && !got.iter().any(|name| name.starts_with("usr")), "{got:?}");
    let world = world();
    succeeded(run(place.path(), &[&["unpack"], &only[..], &[world.to_str().unwrap(), "rootfs"]].concat()));
    for name in &got {
        assert!(fs::symlink_metadata(place.path().join("rootfs").join(name)).is_ok(), "{name}");
    }
    assert_eq!(children(&place.path().join("rootfs")), ["bin", "opt"]);
    assert!(!fs::read(place.path().join("rootfs/opt/v1/release")).unwrap().is_empty());
}

#[test]
fn a_pattern_that_matches_nothing_is_wrong_usage() {
    let place = tempdir().unwrap();
    for (pattern, says) in [
        ("etc/pasword", "`--only etc/pasword` matches no path of the image"),
        ("**/nothing*", "`--only **/nothing*` matches no path of the image"),
        ("bin/hello", "it is behind a symbolic link: `--only usr/bin/hello`"),
        ("hello*", "help: `--only '**/hello*'` matches in all directories"),
        ("bin/hello*", "`bin` is a symbolic link to usr/bin: `--only 'usr/bin/hello*'`"),
        ("a/../b", "no path of an image has a `..` component"),
        ("usr/bin/[", "`\\` takes the next character literally"),
    ] {
        let options = ["--only", "etc", "--only", pattern];
        for command in [&["export"][..], &["unpack"]] {
            let world = world();
            let output = run(place.path(), &[command, &options, &[world.to_str().unwrap(), "rootfs"]].concat());
            assert_eq!(output.status.code(), Some(2), "{}", message(&output));
            assert!(message(&output).contains(says), "{}", message(&output));
            assert!(output.stdout.is_empty() && children(place.path()).is_empty());
        }
    }
}

#[test]
fn the_report_counts_the_bytes_of_the_output() {
    let place = tempdir().unwrap();
    let world = world();
    let world = world.to_str().unwrap();
    for only in [&[][..], &["--only", "usr/bin", "--only", "etc"]] {
        let mut report = Vec::new();
        for (command, name) in [("export", "rootfs.tar"), ("unpack", "rootfs")] {
            let output = run(place.path(), &[&["--json", command], only, &[world, name]].concat());
            report.push(serde_json::from_slice::<Value>(&succeeded(output)).unwrap());
        }
        let tar = fs::read(place.path().join("rootfs.tar")).unwrap();
        let mut archive = tar::Archive::new(&tar[..]);
        let sizes = archive.entries().unwrap().map(|entry| entry.unwrap());
        let files =
            sizes.filter(|entry| entry.header().entry_type().is_file() || entry.header().entry_type().is_gnu_sparse());
        let bytes: u64 = files.map(|entry| entry.size()).sum();
        assert_eq!(report[0]["bytes_written"], bytes, "{only:?}");
        assert!(report[1]["bytes_written"] == bytes || only.is_empty(), "{}", report[1]);
        fs::rename(place.path().join("rootfs"), place.path().join(format!("rootfs{}", only.len()))).unwrap();
    }
}

#[test]
fn owners_that_depend_on_the_caller_are_refused_before_the_image_is_read() {
    let place = tempdir().unwrap();
    for owners in ["caller", "record"] {
        let output = run(place.path(), &["export", "--owners", owners, "nowhere"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            message(&output).contains(&format!("`--owners {owners}` has no meaning in an archive")),
            "{}",
            message(&output)
        );
    }
}

/// A layout with large enough files, at `place`/image: its blobs are read in pieces.
fn large(place: &Path) {
    let content = "0123456789abcdef".repeat(40_000);
    let layers = [
        tar().file("etc/passwd", "root:x:0:0::/:\n").file("a", content.as_bytes()).file("gone", content.as_bytes()),
        tar().hard_link("d/link", "a").file(".wh.gone", "").file("b", content.as_bytes()),
    ];
    let config = serde_json::json!({"os": "linux", "architecture": "any", "config": {"Cmd": ["/a"]}});
    let layers: Vec<_> = layers.into_iter().map(build::Archive::end).collect();
    layout::write(&place.join("image"), config, &layers);
}

/// What is done with that image, each into something called `out`.
const JOBS: [&[&str]; 5] = [
    &["export", "--platform", "linux/any", "image", "out"],
    &["export", "--platform", "linux/any", "--sort", "image", "out"],
    &["export", "--platform", "linux/any", "--jobs", "1", "image", "out"],
    &["unpack", "--platform", "linux/any", "--only", "a", "--only", "b", "image", "out"],
    &["bundle", "--platform", "linux/any", "image", "out"],
];

/// Runs a job under strace with these options. `None` without strace.
fn traced(place: &Path, options: &[&str], job: &[&str]) -> Option<Output> {
    let mut command = Command::new("strace");
    // A file for each thread: in one file, calls of several threads are in pieces.
    command.args(["-ff", "-qqq", "-o", "trace"]).args(options).arg(COMMAND).args(job).current_dir(place);
    match command.stdin(Stdio::null()).output() {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("strace: ") => Some(output),
        _ => {
            skip("it needs strace, and the right to trace");
            None
        }
    }
}

/// The archive that a job has written, or the contents of the tree.
fn out(place: &Path) -> Vec<u8> {
    let out = place.join("out");
    let out = if out.join("rootfs").is_dir() { out.join("rootfs") } else { out };
    if out.is_file() {
        fs::read(out)
    } else {
        fs::read(out.join("a")).map(|a| [a, fs::read(out.join("b")).unwrap()].concat())
    }
    .unwrap()
}

#[test]
fn each_layer_is_read_once() {
    for job in JOBS {
        let place = tempdir().unwrap();
        large(place.path());
        let blobs = place.path().join("image/blobs/sha256");
        let Some(output) = traced(place.path(), &["-y", "-e", "trace=read,pread64"], job) else { return };
        assert!(output.status.success(), "{}", message(&output));
        let traces = children(place.path()).into_iter().filter(|name| name.starts_with("trace."));
        let trace: String = traces.map(|name| fs::read_to_string(place.path().join(name)).unwrap()).collect();
        for name in children(&blobs) {
            let lines = trace.lines().filter(|line| line.contains(&format!("/{name}>")));
            let read: u64 = lines.filter_map(|line| line.rsplit_once("= ")?.1.trim().parse::<u64>().ok()).sum();
            let size = fs::metadata(blobs.join(&name)).unwrap().len();
            assert!((size..size + 4_096).contains(&read), "{job:?}: {read} bytes are read of {size}");
        }
    }
}

#[test]
fn content_that_cannot_be_kept_is_read_again_and_no_failure() {
    for job in JOBS.into_iter().filter(|job| !job.contains(&"--sort")) {
        let place = tempdir().unwrap();
        large(place.path());
        succeeded(run(place.path(), job));
        let expected = out(place.path());
        for inject in
            ["pwrite64:error=ENOSPC", "pwrite64:error=EDQUOT:when=2+", "fstatfs:error=EIO", "pwrite64:error=EIO:when=3"]
        {
            let place = tempdir().unwrap();
            large(place.path());
            let Some(output) = traced(place.path(), &["-e", &format!("inject={inject}")], job) else { return };
            succeeded(output);
            assert!(out(place.path()) == expected, "{job:?} {inject}");
            let left: Vec<_> = children(place.path()).into_iter().filter(|name| !name.starts_with("trace.")).collect();
            assert_eq!(left, ["image", "out"]);
        }
    }
}

#[test]
fn an_export_to_a_pipe_needs_no_directory_for_temporary_files() {
    let place = tempdir().unwrap();
    let expected = succeeded(export(place.path(), &[], &[]));
    let world = world();
    for directory in ["nowhere", "/dev/null", "/proc"] {
        let output =
            command(place.path(), &["export", world.to_str().unwrap()]).env("TMPDIR", directory).output().unwrap();
        assert!(succeeded(output) == expected, "{directory}");
    }
}
