//! The command: its exit codes, its messages, and what it leaves on disk.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;

use build::{Archive, Header, tar};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world")
}

fn run(arguments: &[&str], directory: &Path) -> Output {
    Command::new(COMMAND).args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

/// The exit code, and the lines on standard error.
fn ended(output: &Output) -> (i32, Vec<String>) {
    let lines = String::from_utf8(output.stderr.clone()).unwrap().lines().map(str::to_owned).collect();
    (output.status.code().unwrap(), lines)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A tar archive of regular files, and of devices where there is a number.
fn layer(entries: &[(&str, &[u8], Option<u32>)]) -> Vec<u8> {
    let add = |archive: Archive, (name, content, device): &(&str, &[u8], Option<u32>)| match device {
        Some(number) => archive.with(Header::posix(b'3', name).mode(0o4755).device(*number, 1), content),
        None => archive.with(Header::posix(b'0', name).mode(0o4755), content),
    };
    entries.iter().fold(tar(), add).end()
}

#[test]
fn an_image_is_unpacked_by_its_directory_or_its_tag_and_its_one_oddity_is_noted() {
    let place = tempfile::tempdir().unwrap();
    let image = world().display().to_string();
    for (name, arguments) in [
        ("plain", vec![image.clone()]),
        ("tag", vec![format!("{image}:latest")]),
        ("ref", vec!["--ref".into(), "latest".into(), image.clone()]),
    ] {
        let mut all = vec!["unpack"];
        all.extend(arguments.iter().map(String::as_str));
        all.push(name);
        let (code, lines) = ended(&run(&all, place.path()));
        assert_eq!(code, 0, "{lines:?}");
        // A directory takes the place of a link: right by the spec, and often a mistake of whoever built the image.
        let oddity = "layercage: note [directory-over-link]: layer 4 of 6, entry 18, byte 13312";
        assert!(lines.iter().any(|line| line.starts_with(oddity)), "{lines:?}");
        assert!(rustix::process::geteuid().as_raw() != 0 || lines.len() == 1, "{lines:?}");
        assert!(place.path().join(name).join("bin/hello").is_file());
    }
    let (code, lines) = ended(&run(&["unpack", &format!("{image}:other"), "none"], place.path()));
    assert_eq!(code, 2, "{lines:?}");
    assert!(lines[0].contains("latest"), "it says what there is: {lines:?}");
    assert_eq!(names(place.path()), ["plain", "ref", "tag"]);
    unlock(place.path());
}

/// Lets whoever is not root remove the trees.
fn unlock(path: &Path) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::read_dir(path).unwrap().for_each(|entry| unlock(&entry.unwrap().path()));
    }
}

#[test]
fn what_exists_is_not_touched_and_told_by_name() {
    type Make = fn(&Path);
    let rows: [(Make, &str, &str); 3] = [
        (|root| fs::write(root, "mine").unwrap(), "not a directory", "remove what is there"),
        (
            |root| std::os::unix::fs::symlink(".", root).unwrap(),
            "a symbolic link",
            "name the directory that the link leads to",
        ),
        (|root| fs::create_dir_all(root.join("mine")).unwrap(), "a directory that is not empty", "empty the directory"),
    ];
    for (make, what, help) in rows {
        for argument in ["rootfs", "rootfs/", "./rootfs", "rootfs//"] {
            let place = tempfile::tempdir().unwrap();
            make(&place.path().join("rootfs"));
            let inode = || fs::symlink_metadata(place.path().join("rootfs")).unwrap().ino();
            let before = inode();
            let (code, lines) = ended(&run(&["unpack", world().to_str().unwrap(), argument], place.path()));
            assert_eq!((code, lines[0].clone()), (2, format!("layercage: \"rootfs\" exists already: {what}")));
            assert!(lines[1].contains(help) && lines[1].contains("Nothing was written to"), "{lines:?}");
            assert_eq!((names(place.path()), inode()), (vec!["rootfs".to_owned()], before));
        }
    }
}

#[test]
fn an_empty_directory_is_replaced_however_it_is_spelled_with_the_sandbox_and_without() {
    for argument in ["rootfs", "rootfs/", "./rootfs", "rootfs//", "rootfs/."] {
        for sandbox in [&[][..], &["--no-sandbox"]] {
            let place = tempfile::tempdir().unwrap();
            let root = place.path().join("rootfs");
            fs::create_dir(&root).unwrap();
            let before = fs::metadata(&root).unwrap().ino();
            let image = world().display().to_string();
            let (code, lines) = ended(&run(&[&["unpack"], sandbox, &[&image, argument]].concat(), place.path()));
            assert_eq!(code, 0, "{argument}: {lines:?}");
            assert!(root.join("bin/hello").is_file() && fs::metadata(&root).unwrap().ino() != before, "{argument}");
            assert_eq!(names(place.path()), ["rootfs"], "{argument}");
            unlock(place.path());
        }
    }
}

#[test]
fn an_empty_directory_stays_when_the_image_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("rootfs");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o710)).unwrap();
    let found = || fs::metadata(&root).map(|found| (found.ino(), found.mode() & 0o7777)).unwrap();
    let before = found();
    // Its fifth layer has an opaque marker behind entries of its own, in which nothing is wrong unless one asks.
    let image = world().display().to_string();
    let arguments = ["unpack", "--refuse", "opaque-behind-own", &image, "rootfs"];
    let (code, lines) = ended(&run(&arguments, place.path()));
    assert_eq!(code, 3, "{lines:?}");
    assert!(lines.last().unwrap().ends_with("Nothing was written to rootfs"), "{lines:?}");
    assert_eq!((found(), names(&root), names(place.path())), (before, vec![], vec!["rootfs".to_owned()]));
    // What stands for the directory itself has no name that could be given to another.
    for argument in [".", "rootfs/..", "/"] {
        let (code, lines) = ended(&run(&["unpack", &image, argument], place.path()));
        assert_eq!(code, 2, "{lines:?}");
        assert!(lines[0].contains("give its name in the directory above it"), "{lines:?}");
    }
}

#[test]
fn wrong_usage_and_a_system_that_fails_have_their_own_exit_codes() {
    let place = tempfile::tempdir().unwrap();
    let image = world().display().to_string();
    assert_eq!(ended(&run(&["unpack"], place.path())).0, 2);
    assert_eq!(ended(&run(&["unpack", &image, ".."], place.path())).0, 2);
    assert_eq!(ended(&run(&["unpack", "--devices", "maybe", &image, "r"], place.path())).0, 2);
    assert_eq!(ended(&run(&["apply", "--digest", "sha256:12", "l", "."], place.path())).0, 2);
    assert_eq!(ended(&run(&["unpack", "no-such-image", "r"], place.path())).0, 1);
    assert_eq!(ended(&run(&["unpack", &image, "no-such-directory/r"], place.path())).0, 1);
    assert_eq!(ended(&run(&["apply", "no-such-layer", "."], place.path())).0, 1);
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn a_refusal_says_which_entry_and_byte_and_path_and_rule_and_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer(&[("a", b"a", None), ("dev/console", b"", Some(5))])).unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    let (code, lines) = ended(&run(&["apply", "layer", "root"], place.path()));
    assert_eq!(code, 3);
    assert_eq!(
        lines,
        [
            "layercage: refused [device-node]: entry 2, byte 1024, \"dev/console\": a device node: kind character, \
             major 5, minor 1",
            "layercage: help: base images have these: `--devices skip` drops them. What was applied before that \
             stays in root",
        ]
    );
    let (code, lines) = ended(&run(&["apply", "--devices", "skip", "layer", "root"], place.path()));
    assert_eq!(code, 0);
    assert!(lines.iter().any(|line| line.starts_with("layercage: note [device-node]: entry 2, ")), "{lines:?}");
    assert_eq!(names(&place.path().join("root")), ["a"]);
}

#[test]
fn devices_are_made_by_whoever_may() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer(&[("null", b"", Some(1))])).unwrap();
    let output = run(&["apply", "--devices", "create", "layer", "."], place.path());
    if rustix::process::geteuid().is_root() {
        assert_eq!(ended(&output).0, 0);
        assert_eq!(fs::metadata(place.path().join("null")).unwrap().mode(), 0o02_4755);
    } else {
        assert_eq!(ended(&output).0, 1, "the system does not let us");
    }
}

#[test]
fn a_layer_with_a_wrong_digest_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let bytes = layer(&[("a", b"new", None), ("b", b"b", None)]);
    fs::write(place.path().join("layer"), &bytes).unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    fs::write(place.path().join("root/a"), "old").unwrap();
    let state = || {
        let stat = |name: &str| {
            let metadata = fs::metadata(place.path().join(name)).unwrap();
            (metadata.ino(), metadata.ctime(), metadata.ctime_nsec(), metadata.mtime_nsec())
        };
        (stat("root"), stat("root/a"), names(&place.path().join("root")))
    };
    let before = state();
    let wrong = format!("sha256:{}", "0".repeat(64));
    for option in ["--digest", "--diff-id"] {
        let (code, lines) = ended(&run(&["apply", option, &wrong, "layer", "root"], place.path()));
        assert_eq!(code, 3);
        assert!(lines[0].contains("mismatch]") && lines[0].contains(&wrong), "{lines:?}");
        assert!(lines[1].ends_with("Nothing was changed in root"), "{lines:?}");
        assert_eq!(state(), before);
    }
    let sum = Command::new("sha256sum").arg(place.path().join("layer")).output().unwrap();
    let right = format!("sha256:{}", &String::from_utf8(sum.stdout).unwrap()[..64]);
    let size = bytes.len().to_string();
    let (code, lines) = ended(&run(
        &["apply", "--digest", &right, "--size", &size, "--diff-id", &right, "layer", "root"],
        place.path(),
    ));
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(fs::read_to_string(place.path().join("root/a")).unwrap(), "new");
    assert_eq!(names(&place.path().join("root")), ["a", "b"]);
}

/// A copy of the image, to be damaged.
fn copied(place: &Path) -> PathBuf {
    let copy = place.join("image");
    fs::create_dir_all(copy.join("blobs/sha256")).unwrap();
    for directory in ["", "blobs/sha256"] {
        for entry in fs::read_dir(world().join(directory)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), copy.join(directory).join(entry.file_name())).unwrap();
            }
        }
    }
    copy
}

/// The blob of the manifest, and that of the second layer.
fn blobs(image: &Path) -> [PathBuf; 2] {
    let json = |path: &Path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).unwrap();
    let blob = |descriptor: &serde_json::Value| {
        image.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
    };
    let manifest = blob(&json(&image.join("index.json"))["manifests"][0]);
    let layer = blob(&json(&manifest)["layers"][1]);
    [manifest, layer]
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_image_is_called_so_and_leaves_nothing() {
    type Damage = fn(&Path, [PathBuf; 2]);
    let cases: &[(&str, Damage, &str)] = &[
        ("a flipped bit of a layer", |_, [_, layer]| flip(&layer, 500), "[digest-mismatch]: layer 2 of 6: "),
        (
            "a layer cut short",
            |_, [_, layer]| fs::OpenOptions::new().write(true).open(layer).unwrap().set_len(51_000).unwrap(),
            "[size-mismatch]: layer 2 of 6: ",
        ),
        (
            "a layer with more after it",
            |_, [_, layer]| fs::OpenOptions::new().append(true).open(layer).unwrap().write_all(b"x").unwrap(),
            "[size-mismatch]: layer 2 of 6: ",
        ),
        ("no layer", |_, [_, layer]| fs::remove_file(layer).unwrap(), "[blob-missing]: layer 2 of 6: "),
        ("a flipped bit of the manifest", |_, [manifest, _]| flip(&manifest, 30), "[digest-mismatch]: blob sha256:"),
        ("no index", |image, _| fs::remove_file(image.join("index.json")).unwrap(), "[not-an-image]: \"index.json\": "),
        (
            "an index that is no JSON",
            |image, _| fs::write(image.join("index.json"), "{").unwrap(),
            "[json]: \"index.json\": ",
        ),
    ];
    for (name, damage, expected) in cases {
        let place = tempfile::tempdir().unwrap();
        let image = copied(place.path());
        damage(&image, blobs(&image));
        let (code, lines) = ended(&run(&["unpack", "image", "rootfs"], place.path()));
        assert_eq!((code, lines.len()), (3, 2), "{name}: {lines:?}");
        assert!(lines[0].starts_with(&format!("layercage: refused {expected}")), "{name}: {lines:?}");
        assert!(lines[1].starts_with("layercage: help: "), "{name}: {lines:?}");
        assert!(lines[1].ends_with("Nothing was written to rootfs"), "{name}: {lines:?}");
        assert_eq!(names(place.path()), ["image"], "{name}: nothing is left");
    }
}

#[test]
fn the_exit_code_holds_where_standard_error_takes_nothing() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer(&[("dev/console", b"", Some(5))])).unwrap();
    for (arguments, code) in [
        (&["apply", "layer", "."][..], 3),
        (&["apply", "--devices", "skip", "layer", "."], 0),
        (&["apply", "no-such-layer", "."], 1),
        (&["unpack", "layer", "/"], 2),
        (&["list", "layer"], 0),
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(COMMAND);
        command.args(arguments).current_dir(place.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(full);
        assert_eq!(command.status().unwrap().code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_layer_may_come_through_standard_input() {
    let place = tempfile::tempdir().unwrap();
    let mut child = Command::new(COMMAND)
        .args(["apply", "-", "."])
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&layer(&[("a", b"a", None)])).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(names(place.path()), ["a"]);
}

/// The command as somebody who is not root, in a directory where he may write; and who that is.
fn unprivileged(place: &Path) -> (Command, u32) {
    fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
    let program = place.join(format!("layercage-{}", names(place).len()));
    // Not by us: a child of another test may hold what we write open, and the kernel runs no program that is.
    assert!(Command::new("cp").arg(COMMAND).arg(&program).status().unwrap().success());
    let mut command = Command::new(&program);
    command.current_dir(place).stdin(Stdio::null());
    let uid = rustix::process::geteuid();
    if !uid.is_root() {
        return (command, uid.as_raw());
    }
    command.uid(65534).gid(65534);
    (command, 65534)
}

#[test]
fn without_privilege_owners_fall_to_the_caller_with_one_note() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer(&[("a", b"a", None), ("b", b"b", None)])).unwrap();
    let (mut command, uid) = unprivileged(place.path());
    let (code, lines) = ended(&command.args(["apply", "layer", "."]).output().unwrap());
    assert_eq!(code, 0, "{lines:?}");
    let notes: Vec<_> = lines.iter().map(|line| line.split(']').next().unwrap()).collect();
    assert_eq!(notes, ["layercage: note [owner-to-caller", "layercage: note [setid-dropped"]);
    let metadata = fs::metadata(place.path().join("a")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (uid, 0o755));
}

#[test]
fn without_privilege_owners_that_must_be_kept_are_an_error_with_path_and_id() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer(&[("a", b"a", None)])).unwrap();
    let (mut command, _) = unprivileged(place.path());
    let (code, lines) = ended(&command.args(["apply", "--owners", "keep", "layer", "."]).output().unwrap());
    assert_eq!(code, 1, "{lines:?}");
    assert!(lines[0].contains(r#"entry 1, byte 0, "a": fchownat("0:0")"#), "{lines:?}");
}

#[test]
fn without_privilege_closed_directories_get_their_children_and_stay_closed() {
    let place = tempfile::tempdir().unwrap();
    let directories = [("none", 0), ("none/below", 0o111), ("read", 0o555)];
    let lower = directories.map(|(directory, mode)| Header::posix(b'5', directory).mode(mode));
    fs::write(place.path().join("lower"), lower.into_iter().fold(tar(), Archive::header).end()).unwrap();
    let children = [("none/a", &b"a"[..], None), ("none/below/b", b"b", None), ("read/c", b"c", None)];
    fs::write(place.path().join("upper"), layer(&children)).unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    fs::set_permissions(place.path().join("root"), fs::Permissions::from_mode(0o777)).unwrap();
    for name in ["lower", "upper"] {
        let (mut command, _) = unprivileged(place.path());
        let (code, lines) = ended(&command.args(["apply", name, "root"]).output().unwrap());
        assert_eq!(code, 0, "{lines:?}");
    }
    let root = place.path().join("root");
    for (directory, mode, child) in [("read", 0o555, "c"), ("none", 0, "a"), ("none/below", 0o111, "b")] {
        let path = root.join(directory);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode, "{directory}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(path.join(child).is_file(), "{directory}/{child}");
    }
}

#[test]
fn check_tells_every_finding_and_what_each_preset_would_do() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer(&[("x", b"", Some(1)), ("a", b"a", None), ("y", b"", Some(2))]))
        .unwrap();
    let output = run(&["check", "layer"], place.path());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[1], "  help: base images have these: `--devices skip` drops them", "once for the rule");
    assert!(lines[2].starts_with("refuse [device-node]: entry 3, byte 1536, \"y\": "), "{text}");
    assert_eq!(
        lines[3],
        "2 findings: the policy refuses it (presets: default refuses, compatible takes, paranoid refuses). Judged as a \
         layer; the layers below it were not seen"
    );
    let skipping = run(&["check", "--devices", "skip", "layer"], place.path());
    assert_eq!(skipping.status.code(), Some(0));
    let text = String::from_utf8(skipping.stdout).unwrap();
    assert!(text.contains("the policy takes it (presets: default refuses, "), "{text}");
    let json = String::from_utf8(run(&["check", "--json", "layer"], place.path()).stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(last["policy"], "refuses");
    assert_eq!(last["presets"]["compatible"], "takes");
    assert_eq!(names(place.path()), ["layer"]);
}

#[test]
fn list_prints_the_changes_of_an_image() {
    let output = run(&["list", world().to_str().unwrap()], Path::new("."));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.lines().any(|line| line.starts_with("symlink") && line.ends_with(" var/run -> /run")), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("whiteout")) && text.lines().any(|line| line.starts_with("opaque"))
    );
}

#[test]
fn rules_are_decided_one_by_one_and_violations_are_not() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer(&[("a", b"a", None), ("a", b"b", None)])).unwrap();
    assert_eq!(ended(&run(&["apply", "--refuse", "duplicate-path", "layer", "."], place.path())).0, 3);
    assert_eq!(ended(&run(&["apply", "--policy", "paranoid", "layer", "."], place.path())).0, 3);
    assert_eq!(ended(&run(&["apply", "layer", "."], place.path())).0, 0);
    assert_eq!(ended(&run(&["apply", "--allow", "name-climbs", "layer", "."], place.path())).0, 2);
    assert_eq!(ended(&run(&["apply", "--limit", "file-bytes=0", "layer", "."], place.path())).0, 3);
    let rules = String::from_utf8(run(&["rules"], place.path()).stdout).unwrap();
    assert!(rules.contains("duplicate-path") && rules.contains("name-climbs"));
}

/// What is printed and what is summed up are one list, whatever becomes of a device and a hard link to it.
#[test]
fn check_prints_of_a_hard_link_to_a_device_what_it_sums_up() {
    let place = tempfile::tempdir().unwrap();
    let layer = tar().character_device("null", 1, 3).hard_link("zero", "null").end();
    fs::write(place.path().join("layer"), layer).unwrap();
    for (devices, is_skipped, is_refused) in [("create", false, false), ("skip", true, true), ("refuse", false, true)] {
        let output = run(&["check", "--policy", "paranoid", "--devices", devices, "layer"], place.path());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.contains("[hard-link-to-skipped]"), is_skipped, "{devices}: {text}");
        assert_eq!(output.status.code(), Some(if is_refused { 3 } else { 0 }), "{devices}: {text}");
        let word = if is_refused { "refuses" } else { "takes" };
        assert!(text.contains(&format!("the policy {word} it")), "{devices}: {text}");
    }
}
