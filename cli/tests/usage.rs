//! The command as people type it: paths in every spelling, options that contradict, pipes that close, JSON.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;

use build::{Archive, tar};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn world() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world").to_str().unwrap().to_owned()
}

fn run(arguments: &[&str], directory: &Path) -> Output {
    Command::new(COMMAND).args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

/// The exit code, and what stands on standard error.
fn ended(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// A tar archive; a name that ends in `*` is a device, one with `=` a hard link to what follows.
fn layer(names: &[&str]) -> Vec<u8> {
    let add = |archive: Archive, name: &&str| match (name.strip_suffix('*'), name.split_once('=')) {
        (Some(name), _) => archive.character_device(name, 5, 1),
        (None, Some((name, target))) => archive.hard_link(name, target),
        (None, None) => archive.file(name, ""),
    };
    names.iter().fold(tar(), add).end()
}

/// A directory with a layer in it.
fn with_layer(names: &[&str]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer(names)).unwrap();
    place
}

#[test]
fn a_target_may_be_spelled_in_many_ways_and_must_have_a_name() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("deep")).unwrap();
    let absolute = place.path().join("absolute").to_str().unwrap().to_owned();
    let spellings = ["relative", "./dotted", "slashed/", "deep/../up", "deep//twice", &absolute];
    for target in spellings {
        let (code, message) = ended(&run(&["unpack", &world(), target], place.path()));
        assert_eq!(code, 0, "{target}: {message}");
        assert!(place.path().join(target).join("bin/hello").is_file(), "{target}");
    }
    for target in [".", "..", "/", "deep/..", "", "./"] {
        let (code, message) = ended(&run(&["unpack", &world(), target], place.path()));
        assert_eq!(code, 2, "{target}: {message}");
    }
    let removed = Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap();
    assert!(removed.success());
}

#[test]
fn a_name_that_layercage_gives_to_its_own_directories_is_wrong_usage() {
    let place = with_layer(&["a"]);
    for name in [".layercage-0123456789abcdef", ".layercage-run-0123456789abcdef"] {
        let at = |path: &str| place.path().join(path);
        let image = format!("{name}/image");
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("oci-layout"), "").unwrap();
        fs::create_dir(at(&image)).unwrap();
        let (tagged, spelled) = (format!("{name}:tag"), format!("./{name}/"));
        for arguments in [
            ["unpack", name, "rootfs"],
            ["unpack", &tagged, "rootfs"],
            ["unpack", &spelled, "rootfs"],
            ["unpack", &world(), name],
            ["unpack", &world(), &spelled],
            ["apply", "layer", name],
            ["apply", "layer", &spelled],
            ["check", "--json", name],
        ] {
            let (code, message) = ended(&run(&arguments, place.path()));
            assert!(
                code == 2 && message.contains("layercage gives to its own directories"),
                "{arguments:?}: {message}"
            );
        }
        assert!(at(name).join("oci-layout").exists() && !at("rootfs").exists());
        // What is in a directory of that name is no matter.
        assert_eq!(ended(&run(&["apply", "layer", &image], place.path())).0, 0);
        fs::remove_dir_all(at(name)).unwrap();
    }
}

#[test]
fn what_is_not_there_and_what_is_no_image_are_told_apart() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("empty")).unwrap();
    for command in [&["unpack", "no-such-image", "r"][..], &["check", "no-such-image"], &["list", "no-such-image:tag"]]
    {
        let (code, message) = ended(&run(command, place.path()));
        assert_eq!(code, 1, "{command:?}: {message}");
        assert!(message.starts_with("layercage: cannot open no-such-image"), "{command:?}: {message}");
    }
    let (code, message) = ended(&run(&["unpack", "empty", "r"], place.path()));
    assert_eq!(code, 3, "{message}");
    assert!(message.starts_with("layercage: refused [not-an-image]: "), "{message}");
    let output = run(&["check", "empty"], place.path());
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("refuse [not-an-image]: "));
}

#[test]
fn a_layer_that_may_not_be_read_is_not_called_a_directory() {
    let place = with_layer(&["a"]);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(place.path().join("layer"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, so the command runs as another user, who may not be able to reach it where it is.
    let binary = place.path().join("layercage");
    // Not by ourselves: what another thread starts meanwhile would hold the copy open, and it could not be run.
    assert!(Command::new("cp").arg(COMMAND).arg(&binary).status().unwrap().success());
    let mut command = Command::new(binary);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let (code, message) = ended(&command.args(["check", "layer"]).current_dir(&place).output().unwrap());
    assert_eq!(code, 1);
    assert!(message.contains("ermission denied"), "{message}");
}

#[test]
fn options_that_contradict_each_other_are_wrong_usage() {
    let place = with_layer(&["dev/console*"]);
    let target = place.path().join("root");
    fs::create_dir(&target).unwrap();
    for options in [
        &["--devices", "create", "--refuse", "device-node"][..],
        &["--refuse", "device-node", "--devices", "skip"],
        &["--devices", "refuse", "--allow", "device-node"],
        &["--allow", "ragged-end", "--refuse", "ragged-end"],
    ] {
        for command in [&["apply"][..], &["check"]] {
            let mut arguments = [command, options, &["layer"]].concat();
            arguments.extend((command == ["apply"]).then_some("root"));
            let (code, message) = ended(&run(&arguments, place.path()));
            assert_eq!(code, 2, "{arguments:?}: {message}");
            assert!(message.contains("contradicts"), "{message}");
        }
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    }
    let agreeing = ["apply", "--devices", "skip", "--allow", "device-node", "layer", "root"];
    assert_eq!(ended(&run(&agreeing, place.path())).0, 0);
}

#[test]
fn what_stays_is_spoken_of_only_where_something_was_applied() {
    let place = with_layer(&["dev/console*", "a"]);
    fs::write(place.path().join("second"), layer(&["a", "dev/console*"])).unwrap();
    fs::write(place.path().join("parents"), layer(&["new/a=missing"])).unwrap();
    fs::write(place.path().join("missing"), layer(&["a=missing"])).unwrap();
    fs::write(place.path().join("short"), &layer(&["a"])[..100]).unwrap();
    for (name, changes) in [("layer", false), ("missing", false), ("short", false), ("parents", true), ("second", true)]
    {
        let target = place.path().join(format!("root-{name}"));
        fs::create_dir(&target).unwrap();
        let (code, message) = ended(&run(&["apply", name, target.to_str().unwrap()], place.path()));
        assert_eq!(code, 3, "{name}: {message}");
        assert_eq!(fs::read_dir(&target).unwrap().count() > 0, changes, "{name}");
        assert_eq!(message.contains("What was applied before that stays in"), changes, "{name}: {message}");
        assert_eq!(message.contains("Nothing was changed in"), !changes, "{name}: {message}");
    }
}

#[test]
fn a_size_alone_is_checked_before_anything_is_touched() {
    let place = with_layer(&["a", "b"]);
    fs::create_dir(place.path().join("root")).unwrap();
    let size = fs::metadata(place.path().join("layer")).unwrap().len();
    for wrong in [size - 512, size + 1] {
        let (code, message) = ended(&run(&["apply", "--size", &wrong.to_string(), "layer", "root"], place.path()));
        assert_eq!(code, 3, "{message}");
        assert!(message.contains("[size-mismatch]") && message.contains("Nothing was changed in root"), "{message}");
        assert_eq!(fs::read_dir(place.path().join("root")).unwrap().count(), 0);
    }
    assert_eq!(ended(&run(&["apply", "--size", &size.to_string(), "layer", "root"], place.path())).0, 0);
    assert_eq!(fs::read_dir(place.path().join("root")).unwrap().count(), 2);
}

#[test]
fn standard_output_that_is_closed_early_is_no_failure() {
    let many: Vec<_> = (0..4_000).map(|index| format!("{index}*")).collect();
    let place = with_layer(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let world = world();
    for (arguments, code, said) in [
        (&["rules"][..], 0, ""),
        (&["rules", "--json"], 0, ""),
        (&["--help"], 0, ""),
        (&["list", "layer"], 0, "layercage: listed as a layer\n"),
        (&["check", "layer"], 3, ""),
        (&["unpack", "--json", &world, "rootfs"], 0, ""),
    ] {
        let mut command = Command::new(COMMAND);
        let mut child = command
            .args(arguments)
            .current_dir(place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let (ended_with, message) = ended(&child.wait_with_output().unwrap());
        assert_eq!((ended_with, message.as_str()), (code, said), "{arguments:?}");
    }
    let removed = Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap();
    assert!(removed.success());
}

#[test]
fn a_report_that_cannot_be_written_does_not_hide_what_was_done() {
    let place = with_layer(&["a"]);
    fs::create_dir(place.path().join("root")).unwrap();
    let world = world();
    for (arguments, done) in [
        (["--json", "unpack", &world, "rootfs"], "rootfs is in place, but"),
        (["--json", "apply", "layer", "root"], "all of the layer is applied to root, but"),
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(COMMAND);
        let output = command.args(arguments).current_dir(place.path()).stdin(Stdio::null()).stdout(full).output();
        let (code, message) = ended(&output.unwrap());
        assert_eq!(code, 1, "{arguments:?}: {message}");
        let object: Value = serde_json::from_str(&message).unwrap();
        let message = object["message"].as_str().unwrap();
        assert!(message.starts_with(done) && message.contains("No space left on device"), "{message}");
    }
    assert!(place.path().join("rootfs/bin/hello").is_file() && place.path().join("root/a").is_file());
    let removed = Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap();
    assert!(removed.success());
}

/// The streams of std succeed if a descriptor cannot be written to. One that was closed cannot be told from `/dev/null`.
#[test]
fn an_output_that_takes_nothing_fails_every_command_that_prints() {
    let place = with_layer(&["a"]);
    let world = world();
    for (output, said) in [("</dev/null", "Bad file descriptor"), (">/dev/full", "No space left on device")] {
        for arguments in [
            &["--help"][..],
            &["--version"],
            &["rules"],
            &["explain", "limit"],
            &["list", &world],
            &["list", "--final", &world],
            &["list", "--images", &world],
            &["check", "layer"],
            &["overlay", &world, "store"],
            &["erofs", "--verity", &world, "image.erofs"],
            &["export", &world, "-"],
            &["filter"],
            &["--json", "unpack", &world, "rootfs"],
        ] {
            let script = format!("exec \"$0\" \"$@\" 1{output} <layer");
            let mut shell = Command::new("sh");
            shell.args(["-c", &script, COMMAND]).args(arguments).current_dir(place.path());
            let (code, message) = ended(&shell.output().unwrap());
            assert!(code == 1 && message.contains(said), "{arguments:?} 1{output}: {code} {message}");
            let _ = Command::new("chmod").args(["-R", "u+rwX", "rootfs"]).current_dir(place.path()).output();
            let _ = fs::remove_dir_all(place.path().join("rootfs"));
        }
    }
    let removed = Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap();
    assert!(removed.success());
}

#[test]
fn standard_input_that_is_empty_or_closed_is_an_archive_without_an_end() {
    let place = tempfile::tempdir().unwrap();
    for command in ["\"$0\" apply - .", "\"$0\" apply - . <&-", "\"$0\" check -", "\"$0\" check - <&-"] {
        let mut shell = Command::new("sh");
        shell.args(["-c", command, COMMAND]).current_dir(place.path()).stdin(Stdio::null());
        let output = shell.output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(3), "{command}: {text}");
        assert!(text.contains("[unmarked-end]") && text.contains("bytes 0 (it is empty)"), "{command}: {text}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_short_file_that_is_no_archive_is_called_that() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    fs::write(place.path().join("page"), "<html><body>404 Not Found</body></html>\n").unwrap();
    fs::write(place.path().join("short"), &layer(&["a"])[..300]).unwrap();
    for (file, rule, help) in [("page", "not-a-tar", "a server sent a page"), ("short", "truncated", "fetch it again")]
    {
        let (code, said) = ended(&run(&["apply", file, "root"], place.path()));
        assert!(code == 3 && said.contains(&format!("[{rule}]")) && said.contains(help), "{file}: {said}");
    }
}

#[test]
fn too_little_memory_for_a_layer_is_a_failure_of_the_system() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    // A frame with a window of 128 MiB, and nothing in it.
    fs::write(place.path().join("layer"), b"\x28\xb5\x2f\xfd\x00\x88\x01\0\0").unwrap();
    for jobs in 1..=3 {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -v 120000; exec \"$0\" apply --jobs {jobs} layer root");
        let output = shell.args(["-c", &script, COMMAND]).current_dir(place.path()).output().unwrap();
        let (code, said) = ended(&output);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("Cannot allocate memory") && said.contains("nothing is wrong with the layer"), "{said}");
        assert!(!said.contains("fetch it again"), "{said}");
    }
}

#[test]
fn escape_sequences_of_arguments_are_never_printed_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let evil = "e\x1b[2J\r\nlayercage: all is well\u{9b}31m";
    fs::create_dir(place.path().join(evil)).unwrap();
    fs::write(place.path().join("layer"), layer(&["a", ".wh."])).unwrap();
    let under = format!("{evil}/..");
    let (option, value, limit) = (format!("--{evil}"), format!("--devices={evil}"), format!("--limit={evil}=1"));
    let missing = format!("missing{evil}");
    let rows: &[&[&str]] = &[
        &["apply", "layer", evil],
        &["apply", "--digest", &format!("sha256:{}", "0".repeat(64)), "layer", evil],
        &["apply", &missing, evil],
        &["apply", "layer", &missing],
        &["unpack", "layer", &under],
        &["unpack", evil, "rootfs"],
        &["unpack", &missing, "rootfs"],
        &["unpack", "layer", &missing],
        &["check", &missing],
        &["check", "--ref", evil, evil],
        &["list", &missing],
        &[evil],
        &["apply", &option, "layer", evil],
        &["apply", &value, "layer", evil],
        &["apply", &limit, "layer", evil],
        &["apply", "--size", evil, "layer", evil],
        &["apply", "--digest", evil, "layer", evil],
        &["apply", "--mtime", evil, "layer", evil],
        &["apply", "--uid-map", evil, "--gid-map", evil, "layer", evil],
        &["apply", "--allow", evil, "layer", evil],
        &["apply", "layer", "root", evil],
        &["check", "--platform", evil, "layer"],
        &["unpack", "--manifest-digest", evil, "layer", "rootfs"],
    ];
    for row in rows {
        for json in [false, true] {
            let arguments = if json { [*row, &["--json"]].concat() } else { row.to_vec() };
            let output = run(&arguments, place.path());
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!output.status.success() && !said.is_empty(), "{row:?}: {said}");
            let is_text = |char: char| char == '\n' || !char.is_control();
            assert!(said.chars().all(is_text), "{row:?}: {said:?}");
            assert!(!said.contains("\nlayercage: all is well"), "a line of its own: {row:?}: {said}");
            assert!(!json || said.lines().all(|line| line.starts_with('{')), "{row:?}: {said}");
        }
    }
    // What is no text at all is none in the message either.
    let raw = OsStr::from_bytes(b"--ref=\xff\x1b[2J");
    let output = Command::new(COMMAND).args(["check".as_ref(), raw, "layer".as_ref()]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && !said.contains('\x1b'), "{said:?}");
}

#[test]
fn one_finding_is_one() {
    let place = with_layer(&["dev/console*"]);
    let text = String::from_utf8(run(&["check", "layer"], place.path()).stdout).unwrap();
    assert!(text.lines().last().unwrap().starts_with("1 finding: "), "{text}");
}

/// The keys of each kind of object that docs/json.md describes.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md")).unwrap();
    let mut keys = BTreeMap::<String, BTreeSet<String>>::new();
    let mut kinds = vec![String::new()];
    for line in page.lines() {
        let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        if let Some(heading) = line.strip_prefix("## ") {
            kinds = quoted(heading);
        } else if let Some(cell) = line.strip_prefix("| `") {
            let cell = format!("`{}", cell.split('|').next().unwrap());
            for kind in &kinds {
                keys.entry(kind.clone()).or_default().extend(quoted(&cell));
            }
        }
    }
    keys
}

/// Checks that an object has a documented type and only documented keys; and notes which it has.
fn assert_documented(
    object: &Value,
    documented: &BTreeMap<String, BTreeSet<String>>,
    seen: &mut BTreeMap<String, BTreeSet<String>>,
) {
    let object = object.as_object().unwrap();
    let kind = object["type"].as_str().unwrap().to_owned();
    for key in object.keys().filter(|key| *key != "type") {
        let known = documented[""].contains(key) || documented.get(&kind).is_some_and(|keys| keys.contains(key));
        assert!(known, "docs/json.md does not have `{key}` of `{kind}`");
        seen.entry(kind.clone()).or_default().insert(key.clone());
    }
    for note in object.get("notes").into_iter().flat_map(|notes| notes.as_array().unwrap()) {
        assert_documented(note, documented, seen);
    }
    // The layers of an overlay have no type.
    let layers = object.get("layers").and_then(Value::as_array);
    let keys = layers.into_iter().flatten().flat_map(|layer| layer.as_object().unwrap().keys().cloned());
    seen.entry(kind).or_default().extend(keys);
    // `image` of the object `removed` is a digest.
    let inner = ["image", "overlay", "erofs", "erofs_layers", "problem"].iter().filter_map(|key| object.get(*key));
    for inner in inner.filter(|inner| inner.is_object()) {
        assert_documented(inner, documented, seen);
    }
}

#[test]
fn every_object_is_as_its_page_says_and_every_key_of_the_page_is_seen() {
    let place = with_layer(&["dev/console*", "a", "a", "b=a", ".wh.c"]);
    fs::write(place.path().join("devices"), layer(&["null*", "null*"])).unwrap();
    let damaged = place.path().join("damaged");
    fs::create_dir_all(damaged.join("blobs/sha256")).unwrap();
    for file in ["oci-layout", "index.json"] {
        fs::copy(PathBuf::from(world()).join(file), damaged.join(file)).unwrap();
    }
    let mut index: Value = serde_json::from_slice(&fs::read(damaged.join("index.json")).unwrap()).unwrap();
    let manifest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    fs::write(damaged.join("blobs").join(manifest), "{}").unwrap();
    let mut signature = index["manifests"][0].clone();
    signature["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    signature["artifactType"] = "application/x.signature".into();
    index["manifests"].as_array_mut().unwrap().push(signature);
    fs::write(damaged.join("index.json"), index.to_string()).unwrap();
    // Names that are no text, and one that is too long.
    let long = build::pax_records(&[("path", &[b'n'; 5000])]);
    let odd = tar().raw_pax(b"26 SCHILY.xattr.user.a\xff=1\n").file(b"\xff", "").symlink("l", b"\xff");
    fs::write(place.path().join("odd"), odd.raw_pax(&long).file("x", "").end()).unwrap();
    let no_text = OsStr::from_bytes(b"no-\xff-text");
    fs::create_dir(place.path().join(no_text)).unwrap();
    let world = world();
    let (documented, mut seen) = (documented(), BTreeMap::new());
    for arguments in [
        &["list", &world][..],
        &["list", "layer"],
        &["list", "odd"],
        &["overlay", &world, "store"],
        &["erofs", "--verity", &world, "image.erofs"],
        &["erofs", "--layers", "--verity", &world, "layers"],
        &["overlay", "--remove", &world, "store"],
        &["list", "--images", "damaged"],
        &["list", "--final", "--digest", &world],
        &["list", "--final", "layer"],
        &["list", "--hidden", "--digest", &world],
        &["list", "--hidden", "devices"],
        &["list", "--tree", &world],
        &["list", "--layers", &world],
        &["check", &world],
        &["check", "layer"],
        &["apply", "--devices", "skip", "layer", "."],
        &["apply", "layer", "."],
        &["apply", "layer", "no-such-directory"],
        &["unpack", "damaged", "rootfs"],
        &["unpack", &world, "rootfs"],
        &["unpack", "--no-such-option"],
        &["rules"],
        &["explain", "device-node"],
        &["explain", "path-bytes"],
    ] {
        // The directories of a store are in what is printed.
        let directory = if arguments[0] == "overlay" { place.path().join(no_text) } else { place.path().to_owned() };
        let output = run(&[&["--json"], arguments].concat(), &directory);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.is_empty(), "{arguments:?}");
        for line in text.lines() {
            let object = serde_json::from_str(line).unwrap_or_else(|_| panic!("{arguments:?}: no JSON: {line}"));
            assert_documented(&object, &documented, &mut seen);
            if let Some(code) = object.get("exit_code") {
                assert_eq!(code.as_i64(), output.status.code().map(i64::from), "{arguments:?}");
            }
        }
    }
    for (kind, keys) in &documented {
        let seen: BTreeSet<_> = match kind.as_str() {
            "" => seen.values().flatten().cloned().collect(),
            kind => seen.get(kind).cloned().unwrap_or_default(),
        };
        let unseen: Vec<_> = keys.difference(&seen).collect();
        assert!(unseen.is_empty(), "nothing printed has these keys of `{kind}`: {unseen:?}");
    }
    let removed = Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap();
    assert!(removed.success());
}

#[test]
fn what_list_refuses_is_json_where_json_is_asked_for() {
    let place = with_layer(&["a", ".wh."]);
    fs::write(place.path().join("short"), &layer(&["a", "b"])[..700]).unwrap();
    fs::create_dir(place.path().join("empty")).unwrap();
    for (input, rule) in [("layer", "whiteout-of-nothing"), ("short", "truncated"), ("empty", "not-an-image")] {
        let output = run(&["list", "--json", input], place.path());
        let (code, message) = ended(&output);
        assert_eq!(code, 3, "{message}");
        let object: Value = serde_json::from_str(&message).unwrap_or_else(|_| panic!("{input}: no JSON: {message}"));
        assert_eq!((&object["type"], &object["exit_code"]), (&json!("error"), &json!(3)), "{message}");
        assert_eq!((&object["rule"], &object["kind"]), (&json!(rule), &json!("violation")), "{message}");
        let (code, message) = ended(&run(&["list", input], place.path()));
        assert!(code == 3 && message.starts_with(&format!("layercage: refused [{rule}]: ")), "{message}");
    }
}

/// An image of these layers, each a plain tar.
fn image_of(layers: &[Vec<u8>], directory: &Path) {
    fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
    let blob = |bytes: &[u8]| {
        let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        sum.stdin.take().unwrap().write_all(bytes).unwrap();
        let hex = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap()[..64].to_owned();
        fs::write(directory.join("blobs/sha256").join(&hex), bytes).unwrap();
        format!("sha256:{hex}")
    };
    let descriptor = |media: &str, bytes: &[u8]| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{media}"), "digest": blob(bytes), "size": bytes.len()
        })
    };
    let layers: Vec<_> = layers.iter().map(|layer| descriptor("layer.v1.tar", layer)).collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = descriptor("config.v1+json", config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    let manifest = descriptor("manifest.v1+json", manifest.to_string().as_bytes());
    fs::write(directory.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
fn check_sees_of_an_image_what_unpacking_it_would_meet() {
    let place = with_layer(&["b=a", "c=missing", "a/x"]);
    image_of(&[layer(&["a"]), fs::read(place.path().join("layer")).unwrap()], &place.path().join("image"));
    let check = |input: &str| {
        let output = run(&["check", "--json", input], place.path());
        let text = String::from_utf8(output.stdout).unwrap();
        let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (summary, findings) = objects.split_last().unwrap();
        let rules: Vec<_> = findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect();
        (output.status.code().unwrap(), rules, summary["seen"].as_str().unwrap().to_owned())
    };
    let expected = ["hard-link-missing", "parent-not-directory"].map(str::to_owned).to_vec();
    assert_eq!(check("image"), (3, expected, "image".into()));
    assert_eq!(check("layer"), (0, vec![], "layer".into()), "a lower layer may have it all");
    // The author of an image decides how many names it has, and what `check` does not see `unpack` may refuse.
    for input in ["image", "layer"] {
        let few = run(&["check", "--limit", "audit-bytes=1", input], place.path());
        let text = String::from_utf8(few.stdout).unwrap();
        assert_eq!(few.status.code(), Some(3), "{text}");
        assert!(text.contains("refuse [limit]: ") && text.contains("`--limit audit-bytes=AMOUNT`"), "{text}");
    }
    let refused = run(&["unpack", "image", "rootfs"], place.path());
    assert_eq!(refused.status.code(), Some(3));
    assert_eq!(run(&["list", "image"], place.path()).status.code(), Some(0), "what is listed is what layers say");
}
