//! `layercage erofs`.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;
#[path = "../../tests/it/skip.rs"]
mod skip;

use build::tar;
use serde_json::Value;
use sha2::{Digest, Sha256};
use skip::skip;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::tempdir;

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn run(place: &Path, arguments: &[&str]) -> Output {
    Command::new(COMMAND).args(arguments).current_dir(place).stdin(Stdio::null()).output().unwrap()
}

/// Writes the real image with options.
fn erofs(place: &Path, options: &[&str], file: &str) -> Output {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    run(place, &[&["erofs"], options, &[world.to_str().unwrap(), file]].concat())
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn succeeded(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn children(place: &Path) -> Vec<String> {
    let names = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// A `docker save` image of these layers.
fn save(place: &Path, layers: &[Vec<u8>]) {
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut archive = tar::Builder::new(fs::File::create(place.join("image.tar")).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).unwrap();
    };
    let names: Vec<_> = (0..layers.len()).map(|number| format!("\"{number}.tar\"")).collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| format!("\"sha256:{}\"", hex(layer))).collect();
    let manifest = format!(r#"[{{"Config":"c.json","RepoTags":["a:1"],"Layers":[{}]}}]"#, names.join(","));
    let rootfs = format!(r#""rootfs":{{"type":"layers","diff_ids":[{}]}}"#, diff_ids.join(","));
    add("manifest.json", manifest.as_bytes());
    add("c.json", format!(r#"{{"os":"linux","architecture":"amd64",{rootfs}}}"#).as_bytes());
    layers.iter().enumerate().for_each(|(number, layer)| add(&format!("{number}.tar"), layer));
    archive.finish().unwrap();
}

#[test]
fn the_image_is_the_same_however_many_threads_write_it_and_replaces_a_file() {
    let place = tempdir().unwrap();
    fs::write(place.path().join("a.img"), "old").unwrap();
    for (options, file) in [(&["--jobs", "1"][..], "a.img"), (&["--jobs", "3", "--sync"], "b.img")] {
        assert_eq!(succeeded(erofs(place.path(), options, file)), "");
    }
    let image = fs::read(place.path().join("a.img")).unwrap();
    assert_eq!(image[1024..1028], [0xe2, 0xe1, 0xf5, 0xe0]);
    assert!(image == fs::read(place.path().join("b.img")).unwrap());
    assert_eq!(children(place.path()), ["a.img", "b.img"]);
}

#[test]
fn the_root_hash_is_one_that_veritysetup_agrees_with() {
    let place = tempdir().unwrap();
    for options in [&["--verity"][..], &["--verity", "--salt", "c0ffee", "--block-size", "512"]] {
        let printed = succeeded(erofs(place.path(), options, "a.img"));
        assert_eq!(printed, succeeded(erofs(place.path(), options, "b.img")), "it is reproducible");
        let words: Vec<_> = printed.split_whitespace().collect();
        let [root, offset] = words[..] else { panic!("{printed}") };
        assert!(root.len() == 64 && offset.starts_with("--hash-offset="), "{printed}");
        let verify = |root: &str| {
            let mut command = Command::new("veritysetup");
            command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(["verify", "a.img", "a.img", root, offset]);
            command.current_dir(place.path()).output().map(|output| output.status.success())
        };
        match verify(root) {
            Err(_) => return skip("it needs veritysetup (cryptsetup-bin)"),
            Ok(agrees) => assert!(agrees, "{printed}"),
        }
        assert!(!verify(&"0".repeat(64)).unwrap());
    }
}

#[test]
fn what_is_hidden_is_said_and_left_out_if_asked() {
    let place = tempdir().unwrap();
    let large = "x".repeat(20_000);
    save(place.path(), &[tar().file("gone", &large).file("kept", "a").end(), tar().file(".wh.gone", "").end()]);
    let output = run(place.path(), &["erofs", "--platform", "linux/amd64", "image.tar", "a.img"]);
    assert!(message(&output).contains("20480 of") && message(&output).contains("--compact"), "{output:?}");
    let output = run(place.path(), &["erofs", "--platform", "linux/amd64", "--compact", "image.tar", "b.img"]);
    let saved = "layercage: note: `--compact` saved 20480 bytes of content that no file has any more\n";
    assert_eq!((output.status.code(), message(&output).as_str()), (Some(0), saved));
    let size = |name: &str| fs::metadata(place.path().join(name)).unwrap().len();
    assert_eq!(size("a.img") - size("b.img"), 20_480);
    for (options, expected) in [(&[][..], (20_480, 0)), (&["--compact"], (0, 20_480))] {
        let arguments = [&["erofs", "--json", "--platform", "linux/amd64"], options, &["image.tar", "c.img"]].concat();
        let report: Value = serde_json::from_str(&succeeded(run(place.path(), &arguments))).unwrap();
        let erofs = &report["erofs"];
        assert_eq!((&erofs["dead_bytes"], &erofs["saved_bytes"]), (&expected.0.into(), &expected.1.into()));
    }
}

#[test]
fn the_report_has_the_size_the_dead_space_and_the_hash_tree() {
    let place = tempdir().unwrap();
    let report = succeeded(erofs(place.path(), &["--json", "--verity", "--salt", "00"], "a.img"));
    let report: Value = serde_json::from_str(&report).unwrap();
    let erofs = &report["erofs"];
    assert_eq!(erofs["bytes"], fs::metadata(place.path().join("a.img")).unwrap().len());
    assert!(erofs["inodes"].as_u64().unwrap() > 10 && erofs["dead_bytes"].is_u64(), "{report}");
    assert_eq!((&erofs["verity"]["salt"], &erofs["verity"]["data_block_bytes"]), (&"00".into(), &4096.into()));
    assert!(report["image"]["manifest"].is_string(), "{report}");
}

#[test]
fn a_refused_image_leaves_the_old_file_as_it_was() {
    let place = tempdir().unwrap();
    save(place.path(), &[tar().file("fine", "a").file("../climbs", "a").end()]);
    fs::write(place.path().join("a.img"), "old").unwrap();
    let output = run(place.path(), &["erofs", "--platform", "linux/amd64", "image.tar", "a.img"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        message(&output).contains("[name-climbs]") && message(&output).contains("Nothing was written"),
        "{output:?}"
    );
    assert_eq!(fs::read(place.path().join("a.img")).unwrap(), b"old");
    assert_eq!(children(place.path()), ["a.img", "image.tar"]);
}

#[test]
fn an_output_that_cannot_be_an_image_is_wrong_usage() {
    let place = tempdir().unwrap();
    fs::create_dir(place.path().join("directory")).unwrap();
    // Nothing reads from it, and to open it is to wait.
    assert!(Command::new("mkfifo").arg(place.path().join("pipe")).status().unwrap().success());
    for (options, file) in [
        (&[][..], "-"),
        (&[], "/dev/null"),
        (&[], "directory"),
        (&[], "pipe"),
        (&[], "nowhere/a.img"),
        (&["--owners", "caller"], "a.img"),
        (&["--owners", "record"], "a.img"),
        (&["--selinux-label", "u:r"], "a.img"),
        (&["--salt", "00"], "a.img"),
        (&["--verity", "--salt", "0"], "a.img"),
        (&["--block-size", "1024"], "a.img"),
    ] {
        let output = erofs(place.path(), options, file);
        // A missing directory is an error of the system, as for the other outputs.
        let code = if file.starts_with("nowhere") { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{options:?} {file}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    assert_eq!(children(place.path()), ["directory", "pipe"]);
}

#[test]
fn killed_at_any_moment_the_old_file_or_the_whole_image_is_there() {
    let place = tempdir().unwrap();
    let path = place.path().join("a.img");
    succeeded(erofs(place.path(), &["--verity", "--block-size", "4096"], "a.img"));
    let whole = fs::read(&path).unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    let mut old = 0;
    for delay in 0..30 {
        fs::write(&path, "old").unwrap();
        let mut command = Command::new(COMMAND);
        command.args(["erofs", "--verity", "--block-size", "4096"]).arg(&world).arg("a.img").current_dir(place.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(delay * delay * 60));
        child.kill().unwrap();
        child.wait().unwrap();
        let left = fs::read(&path).unwrap();
        old += u32::from(left == b"old");
        assert!(left == b"old" || left == whole, "{} bytes after {delay}", left.len());
    }
    assert!(old > 0, "no run was killed in time");
    succeeded(erofs(place.path(), &["--verity", "--block-size", "4096"], "a.img"));
    assert!(fs::read(&path).unwrap() == whole);
    assert_eq!(children(place.path()), ["a.img"], "the next run removes what was left");
}

#[test]
fn a_signal_leaves_no_file() {
    let place = tempdir().unwrap();
    // The image comes from a pipe that never ends.
    let mut command = Command::new(COMMAND);
    command.args(["erofs", "-", "a.img"]).current_dir(place.path()).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &[0; 4096]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(!child.wait_with_output().unwrap().status.success());
    assert!(children(place.path()).is_empty());
}

#[test]
fn an_output_that_is_the_image_or_lies_in_its_directory_is_wrong_usage() {
    let place = tempdir().unwrap();
    save(place.path(), &[tar().file("a", "a").end()]);
    fs::hard_link(place.path().join("image.tar"), place.path().join("same")).unwrap();
    let layout = place.path().join("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(layout.join("index.json"), "{}").unwrap();
    std::os::unix::fs::symlink("layout/blobs", place.path().join("link")).unwrap();
    let before = fs::read(place.path().join("image.tar")).unwrap();
    for command in ["erofs", "export"] {
        for (image, file, expected) in [
            ("image.tar", "image.tar", "is the image, and would be replaced"),
            ("image.tar", "./same", "is the image, and would be replaced"),
            ("image.tar:a:1", "image.tar", "is the image, and would be replaced"),
            ("layout", "layout/index.json", "lies in the directory of the image"),
            ("oci:layout", "layout/new", "lies in the directory of the image"),
            ("layout", "link/sha256/new", "lies in the directory of the image"),
        ] {
            let output = run(place.path(), &[command, "--platform", "linux/amd64", image, file]);
            assert_eq!(output.status.code(), Some(2), "{command} {file}: {output:?}");
            assert!(message(&output).contains(expected), "{command} {file}: {output:?}");
        }
        succeeded(run(place.path(), &[command, "--platform", "linux/amd64", "image.tar", "layout/elsewhere"]));
        fs::remove_file(layout.join("elsewhere")).unwrap();
    }
    assert!(fs::read(place.path().join("image.tar")).unwrap() == before);
    assert_eq!(children(&layout), ["blobs", "index.json"]);
    assert_eq!(children(&layout.join("blobs/sha256")), [""; 0]);
}

#[test]
fn an_output_in_a_directory_of_the_image_is_wrong_usage_through_another_mount_too() {
    let place = tempdir().unwrap();
    let layout = place.path().join("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::create_dir(place.path().join("mounted")).unwrap();
    fs::write(layout.join("index.json"), "{}").unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { &[][..] } else { &["--user", "--map-root-user"] };
    for (directory, file) in [("blobs/sha256", "mounted/new"), ("blobs", "mounted/sha256/new")] {
        let script = format!(
            "mount --bind layout/{directory} mounted || exit 77
            exec '{COMMAND}' erofs --platform linux/amd64 layout {file}"
        );
        let mut command = Command::new("unshare");
        let output = command.arg("--mount").args(user).args(["sh", "-c", &script]).current_dir(&place).output();
        let output = output.unwrap();
        if output.status.code() == Some(77) || message(&output).contains("unshare") {
            return skip(&format!("nothing can be mounted: {output:?}"));
        }
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(message(&output).contains("lies in the directory of the image"), "{output:?}");
        assert_eq!(children(&layout.join("blobs/sha256")), [""; 0]);
    }
}
