//! `layercage erofs --layers`.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../tests/it/skip.rs"]
mod skip;

use serde_json::Value;
use skip::skip;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::tempdir;

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn world() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world")).unwrap()
}

/// Writes the layers of the real image with options.
fn command(place: &Path, options: &[&str], directory: &str) -> Command {
    let mut command = Command::new(COMMAND);
    command.args(["erofs", "--layers"]).args(options).arg(world()).arg(directory).current_dir(place);
    command.stdin(Stdio::null());
    command
}

fn layers(place: &Path, options: &[&str], directory: &str) -> Output {
    command(place, options, directory).output().unwrap()
}

fn succeeded(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The files of a directory, with their content.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn the_files_are_listed_from_the_top_and_the_same_on_any_number_of_threads() {
    let place = tempdir().unwrap();
    let printed = succeeded(layers(place.path(), &["--jobs", "1"], "a"));
    assert_eq!(printed, succeeded(layers(place.path(), &["--jobs", "3", "--sync"], "b")));
    let found = files(&place.path().join("a"));
    assert!(found == files(&place.path().join("b")));
    assert_eq!(found["lower"], printed.as_bytes());
    let lines: Vec<_> = printed.lines().collect();
    assert!(lines.len() > 1 && found.len() == lines.len() + 1, "{printed}");
    for name in lines {
        assert!(name.starts_with("sha256-") && name.ends_with(".erofs"), "{name}");
        assert_eq!(found[name][1024..1028], [0xe2, 0xe1, 0xf5, 0xe0]);
    }
}

#[test]
fn each_layer_has_a_root_hash_that_veritysetup_agrees_with() {
    let place = tempdir().unwrap();
    let printed = succeeded(layers(place.path(), &["--verity", "--salt", "c0ffee"], "a"));
    for line in printed.lines() {
        let [name, root, offset] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let mut command = Command::new("veritysetup");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(["verify", name, name, root, offset]);
        match command.current_dir(place.path().join("a")).output() {
            Err(_) => return skip("it needs veritysetup (cryptsetup-bin)"),
            Ok(output) => assert!(output.status.success(), "{line}: {output:?}"),
        }
    }
}

#[test]
fn the_report_has_each_layer_with_its_digests_and_sizes() {
    let place = tempdir().unwrap();
    let report = succeeded(layers(place.path(), &["--json", "--verity", "--xattr-namespace", "user"], "a"));
    let report: Value = serde_json::from_str(&report).unwrap();
    let written = &report["erofs_layers"];
    assert_eq!((&written["whiteouts"], &written["xattr_namespace"]), (&"device".into(), &"user".into()));
    let found = files(&place.path().join("a"));
    let bottom = written["layers"].as_array().unwrap().last().unwrap();
    assert_eq!(bottom["chain_id"], bottom["diff_id"], "so it is with the lowest layer");
    for layer in written["layers"].as_array().unwrap() {
        let name = layer["file"].as_str().unwrap();
        assert_eq!(layer["bytes"], found[name].len(), "{layer}");
        assert_eq!(name, layer["chain_id"].as_str().unwrap().replace(':', "-") + ".erofs");
        assert!(layer["inodes"].as_u64().unwrap() > 0 && layer["copied_bytes"].is_u64());
        assert_eq!(layer["verity"]["root_hash"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn an_output_that_cannot_be_a_directory_of_layers_is_wrong_usage() {
    let place = tempdir().unwrap();
    fs::write(place.path().join("file"), "mine").unwrap();
    for (options, directory) in [
        (&[][..], "-"),
        (&[], "/dev/null"),
        (&[], "file"),
        (&[], ".."),
        (&["--owners", "caller"], "a"),
        (&["--whiteouts", "none"], "a"),
    ] {
        let output = layers(place.path(), options, directory);
        assert_eq!(output.status.code(), Some(2), "{options:?} {directory}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    // Options of layers, without layers.
    for option in [["--whiteouts", "xattr"], ["--xattr-namespace", "user"]] {
        let mut command = Command::new(COMMAND);
        command.arg("erofs").args(option).arg(world()).arg("a").current_dir(place.path());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--layers"), "{output:?}");
    }
    assert_eq!(files(place.path()).into_keys().collect::<Vec<_>>(), ["file"]);
}

#[test]
fn killed_at_any_moment_all_layers_are_there_or_none() {
    let place = tempdir().unwrap();
    let options = ["--verity", "--block-size", "4096"];
    succeeded(layers(place.path(), &options, "whole"));
    let (whole, path) = (files(&place.path().join("whole")), place.path().join("a"));
    let mut none = 0;
    for delay in 0..30 {
        let mut command = command(place.path(), &options, "a");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(delay * delay * 60));
        child.kill().unwrap();
        child.wait().unwrap();
        match path.exists() {
            true => {
                assert!(files(&path) == whole, "after {delay}");
                fs::remove_dir_all(&path).unwrap();
            }
            false => none += 1,
        }
    }
    assert!(none > 0, "no run was killed in time");
    succeeded(layers(place.path(), &options, "a"));
    assert!(files(&path) == whole);
    let left = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name != "a" && name != "whole").count(), 0, "the next run removes what was left");
}

/// The recipe of docs/erofs.md, as it is there.
#[test]
fn the_recipe_of_the_documentation_mounts_the_image() {
    let works = |program: &mut Command| program.output().is_ok_and(|output| output.status.success());
    if !rustix::process::geteuid().is_root() || !works(Command::new("unshare").args(["--mount", "true"])) {
        return skip("it needs root, and unshare");
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/erofs.md")).unwrap();
    let recipe = page.split("```").find(|part| part.starts_with("sh\nlayercage erofs --layers")).unwrap();
    let recipe = recipe.strip_prefix("sh\n").unwrap().replace("IMAGE", world().to_str().unwrap());
    assert!(!recipe.contains("layercage") || recipe.matches("layercage").count() == 1, "{recipe}");
    let place = tempdir().unwrap();
    // The upper directory of an overlay cannot be in another one.
    let script = format!("mount -t tmpfs tmpfs . && cd \"$PWD\" && {{\n{recipe}\n}} && ls root");
    let directory = Path::new(COMMAND).parent().unwrap();
    let path =
        std::env::join_paths([directory, "/usr/sbin".as_ref(), "/usr/bin".as_ref(), "/sbin".as_ref(), "/bin".as_ref()]);
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-ec", &script]).env("PATH", path.unwrap()).current_dir(place.path());
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("unknown filesystem type") {
        return skip("EROFS or overlayfs cannot be mounted here");
    }
    assert!(output.status.success(), "{output:?}");
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(listed.lines().any(|name| name == "etc"), "{listed}");
}
