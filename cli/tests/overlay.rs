//! `layercage overlay`: the store, the options that it prints, and a mount with them.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "support/layout.rs"]
mod layout;
#[path = "../../tests/it/skip.rs"]
mod skip;

use serde_json::{Value, json as object};
use skip::skip;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world")
}

/// Runs in a user namespace if we are not root: its image locks directories from their owner.
fn command(place: &Path) -> Command {
    let mut command = if is_root() { Command::new(COMMAND) } else { Command::new("unshare") };
    if !is_root() {
        command.args(["--user", "--map-root-user", "--", COMMAND]);
    }
    command.current_dir(place);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn run(place: &Path, arguments: &[&str]) -> Output {
    command(place).args(arguments).output().unwrap()
}

fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn json(place: &Path, arguments: &[&str]) -> Value {
    json_in(&mut command(place), place, arguments)
}

fn json_in(command: &mut Command, place: &Path, arguments: &[&str]) -> Value {
    let output = command.current_dir(place).args(["overlay", "--json"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Skips a test where not even a user namespace can be had.
fn can_run() -> bool {
    let works =
        is_root() || Command::new("unshare").args(["-Ur", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        skip("it needs root or a user namespace");
    }
    works
}

fn remove_all(place: &tempfile::TempDir) {
    assert!(Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap().success());
}

#[test]
fn an_image_is_unpacked_once_listed_and_removed() {
    if !can_run() {
        return;
    }
    let (place, world) = (tempfile::tempdir().unwrap(), world());
    let world = world.to_str().unwrap();
    let (code, options, notes) = ended(&run(place.path(), &["overlay", world, "store"]));
    assert_eq!(code, 0, "{notes}");
    let store = fs::canonicalize(place.path().join("store")).unwrap();
    assert_eq!(fs::metadata(&store).unwrap().mode() & 0o777, 0o700);
    let lowers = options.trim().trim_end_matches(",userxattr").strip_prefix("lowerdir=").unwrap();
    let lowers: Vec<_> = lowers.split(':').collect();
    assert!(lowers.len() == 6 && lowers.iter().all(|lower| Path::new(lower).starts_with(&store)), "{options}");
    assert!(notes.contains("[hard-link-copied]"), "{notes}");

    let again = json(place.path(), &[world, "store"]);
    let overlay = &again["overlay"];
    assert_eq!((overlay["options"].as_str(), &overlay["relative"]), (Some(options.trim()), &Value::Bool(false)));
    let layers = overlay["layers"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["reused"] == true), "{overlay}");
    assert_eq!(layers.iter().map(|layer| layer["lowerdir"].as_str().unwrap()).collect::<Vec<_>>(), lowers);
    assert_eq!(again["entries"], 0, "nothing was read again");
    let expected = if is_root() { ("device", "trusted") } else { ("xattr", "user") };
    assert_eq!((overlay["whiteouts"].as_str().unwrap(), overlay["xattr_namespace"].as_str().unwrap()), expected);
    let digest = again["image"]["manifest"].as_str().unwrap();
    let list = fs::read_to_string(store.join(format!("images/{digest}/lower"))).unwrap();
    assert!(list.lines().zip(&lowers).all(|(line, lower)| store.join(line) == Path::new(lower)));

    let other = json(place.path(), &["--whiteouts", "device", "--xattr-namespace", "user", world, "store"]);
    assert_eq!(
        (&other["overlay"]["whiteouts"], &other["overlay"]["xattr_namespace"]),
        (&"device".into(), &"user".into())
    );
    assert!(other["overlay"]["options"].as_str().unwrap().ends_with(",userxattr"));
    assert!(other["overlay"]["layers"].as_array().unwrap().iter().all(|layer| layer["reused"] == false));

    // Both sets of layers go with the image.
    let removed = json(place.path(), &["--remove", digest, "store"]);
    assert_eq!(
        (&removed["type"], &removed["image"], &removed["layers"]),
        (&"removed".into(), &digest.into(), &12.into())
    );
    let (code, _, error) = ended(&run(place.path(), &["overlay", "--remove", world, "store"]));
    assert!(code == 2 && error.contains(&format!("has no image {digest}")), "{code} {error}");
    assert_eq!(fs::read_dir(store.join("layers/sha256")).unwrap().count(), 0);
    remove_all(&place);
}

#[test]
fn the_three_lines_of_the_readme_start_a_program_of_the_image() {
    let place = tempfile::tempdir().unwrap();
    // For the upper directory and the store one file system: a mount over overlayfs may not be possible.
    let script = format!(
        "mkdir upper work merged && options=$('{COMMAND}' overlay --devices skip '{}' store) && mount -t overlay overlay \
         -o \"$options,upperdir=upper,workdir=work\" merged && chroot merged /usr/bin/hello",
        world().display()
    );
    for wrapper in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        if wrapper.len() == 1 && !is_root() {
            continue;
        }
        let place = place.path().join(wrapper.len().to_string());
        fs::create_dir(&place).unwrap();
        let output = Command::new("unshare").args(wrapper).args(["sh", "-c", &script]).current_dir(&place).output();
        match output {
            Ok(output) if output.status.success() => {
                assert!(String::from_utf8_lossy(&output.stdout).contains("hello"), "{output:?}");
            }
            other => skip(&format!("overlayfs cannot be mounted with `unshare {}`: {other:?}", wrapper.join(" "))),
        }
    }
    remove_all(&place);
}

#[test]
fn a_path_that_options_cannot_have_gives_relative_options_and_a_note() {
    if !can_run() {
        return;
    }
    let (place, world) = (tempfile::tempdir().unwrap(), world());
    for (name, shown) in [(&b"a:b"[..], "a:b"), (b"no-text-\xff", r"no-text-\xff"), (b"e\x1b[2J", r"e\x1b[2J")] {
        let store = Path::new(OsStr::from_bytes(name)).join("store");
        fs::create_dir(place.path().join(OsStr::from_bytes(name))).unwrap();
        let output = command(place.path()).arg("overlay").args([&world, &store]).output().unwrap();
        let (code, options, notes) = ended(&output);
        assert_eq!(code, 0, "{notes}");
        assert!(options.starts_with("lowerdir=layers/sha256/"), "{options}");
        assert!(notes.contains("the options are relative") && notes.contains(&format!("{shown}/store")), "{notes}");
    }
    remove_all(&place);
}

#[test]
fn what_is_refused_leaves_no_image_and_says_what_stays() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("bad"), [7; 1024]).unwrap();
    let (code, options, error) = ended(&run(place.path(), &["overlay", "bad", "store"]));
    assert!(code == 3 && options.is_empty(), "{code} {options}");
    assert!(error.to_lowercase().contains("nothing was written to store"), "{error}");
    fs::create_dir(place.path().join("store")).unwrap();
    fs::set_permissions(place.path().join("store"), fs::Permissions::from_mode(0o777)).unwrap();
    let (code, _, error) = ended(&run(place.path(), &["overlay", "bad", "store"]));
    assert!(code == 2 && error.contains("chmod go-w STORE"), "{code} {error}");
    let (code, _, error) = ended(&run(place.path(), &["overlay", "bad", "none/store"]));
    assert!(code == 1 && error.contains("must exist"), "{code} {error}");
    let (code, _, error) = ended(&run(place.path(), &["overlay", "--remove", "bad", "none"]));
    assert!(code == 1 && !place.path().join("none").exists(), "{code} {error}");
}

#[test]
fn an_image_without_mount_options_prints_none_and_fails_in_a_shell() {
    let place = tempfile::tempdir().unwrap();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    for (count, says) in [(0, "no layers"), (60, "short name")] {
        let (image, store) = (format!("image-{count}"), format!("store-{count}"));
        let config = object!({"architecture": architecture, "os": "linux"});
        layout::write(&place.path().join(&image), config, &vec![vec![0; 1024]; count]);
        let (code, options, error) = ended(&run(place.path(), &["overlay", &image, &store]));
        assert!(code == 2 && options.is_empty() && error.contains(says), "{count}: {code} {options} {error}");
        let overlay = &json(place.path(), &[&image, &store])["overlay"];
        assert_eq!(overlay["options"], Value::Null);
        assert_eq!(overlay["layers"].as_array().unwrap().len(), count);
    }
}

/// An archive of one empty file.
fn archive(name: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_size(0);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, &b""[..]).unwrap();
    archive.into_inner().unwrap()
}

fn write_image(place: &Path, layers: &[Vec<u8>]) {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    layout::write(place, object!({"architecture": architecture, "os": "linux"}), layers);
}

#[test]
fn what_fails_before_the_first_layer_is_complete_leaves_no_new_store_and_keeps_an_old_one() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    write_image(&at("good"), &[archive("f")]);
    write_image(&at("refused"), &[archive("../f")]);
    write_image(&at("damaged"), &[archive("damaged")]);
    fs::write(at("no-image"), [7; 1024]).unwrap();
    for blob in fs::read_dir(at("damaged/blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()) {
        let text = String::from_utf8_lossy(&fs::read(&blob).unwrap()).into_owned();
        if text.starts_with("damaged") {
            fs::write(&blob, text.replacen("damaged", "DAMAGED", 1)).unwrap();
        }
    }
    let cases: &[(&[&str], i32)] = &[
        (&["none"], 1),
        (&["no-image"], 3),
        (&["refused"], 3),
        (&["--jobs", "3", "refused"], 3),
        (&["--no-sandbox", "refused"], 3),
        (&["damaged"], 3),
        (&["--ref", "none", "good"], 2),
        (&["--limit", "image-bytes=1", "--limit", "entries=0", "good"], 3),
        (&["oci-archive:good"], 2),
        (&["--owners", "map", "good"], 2),
    ];
    for (arguments, expected) in cases {
        let arguments = [&["overlay"], *arguments, &["store"]].concat();
        let (code, options, error) = ended(&run(place.path(), &arguments));
        assert!(code == *expected && options.is_empty(), "{arguments:?}: {code} {options} {error}");
        assert!(!at("store").exists(), "{arguments:?}: {error}");
        assert!(!error.contains("layers that were complete"), "{arguments:?}: {error}");
        // A directory that was there stays, as it was.
        fs::create_dir(at("store")).unwrap();
        fs::set_permissions(at("store"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(ended(&run(place.path(), &arguments)).0, *expected, "{arguments:?}");
        assert_eq!(fs::read_dir(at("store")).unwrap().count(), 0, "{arguments:?}");
        fs::remove_dir(at("store")).unwrap();
    }
    // A layer that is complete stays, and the store with it.
    write_image(&at("second"), &[archive("f"), archive("../f")]);
    let (code, _, error) = ended(&run(place.path(), &["overlay", "second", "store"]));
    assert!(code == 3 && error.contains("ayers that were complete before that stay in store"), "{code} {error}");
    assert_eq!(fs::read_dir(at("store/layers/sha256")).unwrap().count(), 1);
}

#[test]
fn a_full_file_system_leaves_no_new_store() {
    let place = tempfile::tempdir().unwrap();
    write_image(&place.path().join("image"), &[archive("f")]);
    // The directory of the store takes an inode, and so does each of those in it.
    for inodes in 2..8 {
        let script = format!(
            "mkdir -p full && mount -t tmpfs -o nr_inodes={inodes} none full || exit 77
            '{COMMAND}' overlay image full/store; code=$?; ls full; exit $code"
        );
        let user = if is_root() { &[][..] } else { &["--user", "--map-root-user"] };
        let mut command = Command::new("unshare");
        let output =
            command.arg("--mount").args(user).args(["sh", "-c", &script]).current_dir(&place).output().unwrap();
        if output.status.code() == Some(77) || !place.path().join("full").exists() {
            return skip(&format!("no tmpfs can be mounted: {output:?}"));
        }
        let (code, listed, error) = ended(&output);
        assert!(code == 1 && listed.is_empty() && error.contains("full/store"), "{inodes}: {code} {listed} {error}");
    }
}

#[test]
fn errors_name_the_store_as_the_user_typed_it() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    write_image(&at("image"), &[archive("f")]);
    fs::write(at("file"), b"").unwrap();
    for arguments in [&["overlay", "image", "file"][..], &["overlay", "--remove", "image", "file"]] {
        let (code, _, error) = ended(&run(place.path(), arguments));
        assert!(code == 2 && error.contains("file exists already, and is not a directory"), "{code} {error}");
        assert!(error.contains("help: STORE is a new directory, an empty one, or a store"), "{error}");
    }
    let unprivileged = |arguments: &[&str]| {
        let mut command = Command::new(if is_root() { "setpriv" } else { COMMAND });
        if is_root() {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", COMMAND]);
        }
        ended(&command.args(arguments).current_dir(&place).output().unwrap())
    };
    if is_root() {
        std::os::unix::fs::chown(place.path(), Some(65534), Some(65534)).unwrap();
    }
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if unprivileged(&["overlay", "image", "store"]).0 != 0 {
        return skip("an unprivileged user cannot run the command here");
    }
    let mut paths = vec!["store".to_owned(), "store/layers".to_owned(), "store/images".to_owned()];
    for directory in ["store/layers", "store/images"] {
        let names = fs::read_dir(at(directory)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        paths.extend(names.map(|name| format!("{directory}/{name}")).collect::<Vec<_>>());
    }
    assert_eq!(paths.len(), 5, "{paths:?}");
    for path in paths {
        for mode in [0o000, 0o300, 0o500] {
            fs::set_permissions(at(&path), fs::Permissions::from_mode(mode)).unwrap();
            for arguments in [&["overlay", "image", "store"][..], &["overlay", "--remove", "image", "store"]] {
                let (code, _, error) = unprivileged(arguments);
                // Some can be used with this mode, or are not needed.
                let names = ["cannot open store: ", "in the store \"store\")"];
                let is_named = names.iter().any(|name| error.contains(name));
                assert!(
                    code == 0 || code == 2 || code == 1 && is_named,
                    "{path} {mode:o} {arguments:?}: {code} {error}"
                );
                assert!(mode != 0 || code == 1, "{path} {arguments:?}: {code} {error}");
            }
            fs::set_permissions(at(&path), fs::Permissions::from_mode(0o700)).unwrap();
            assert_eq!(unprivileged(&["overlay", "image", "store"]).0, 0);
        }
    }
}

/// Runs the command, whose system calls fail in this way; `None`, saying so, where that cannot be had.
fn run_failing(place: &Path, (call, how): (&str, &str), arguments: &[&str]) -> Option<Output> {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{how}"));
    let mut command = Command::new("strace");
    command.args(["-f", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject, COMMAND, "overlay"]).args(arguments);
    match command.current_dir(place).output() {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).starts_with("strace:") => Some(output),
        other => {
            skip(&format!("it needs strace, and the right to trace: {other:?}"));
            None
        }
    }
}

#[test]
fn a_call_that_a_signal_interrupts_is_made_again_and_no_failed_close_is_a_panic() {
    let place = tempfile::tempdir().unwrap();
    write_image(&place.path().join("image"), &[archive("f")]);
    let retried = [("openat", 5..20), ("getdents64", 1..6)].map(|(call, moments)| (call, moments, "EINTR", [0, 0]));
    for (call, moments, error, codes) in retried.into_iter().chain([("close", 4..14, "EIO", [0, 1])]) {
        for moment in moments {
            let how = format!("error={error}:when={moment}");
            let Some(output) = run_failing(place.path(), (call, &how), &["image", "store"]) else { return };
            let (code, _, said) = ended(&output);
            assert!(codes.contains(&code), "{call} {how}: {code} {said}");
            let _ = fs::remove_dir_all(place.path().join("store"));
        }
    }
}

#[test]
fn device_whiteouts_that_the_kernel_forbids_are_refused_before_the_first_layer() {
    let place = tempfile::tempdir().unwrap();
    write_image(&place.path().join("image"), &[archive("f")]);
    let options = ["--whiteouts", "device", "--xattr-namespace", "user", "image", "store"];
    let Some(output) = run_failing(place.path(), ("mknodat", "error=EPERM"), &options) else { return };
    let (code, options, error) = ended(&output);
    assert!(code == 2 && options.is_empty() && error.contains("character devices 0:0"), "{code} {error}");
    assert!(error.contains("use `--whiteouts xattr`"), "{error}");
    assert!(!place.path().join("store").exists());
}

#[test]
fn the_lines_of_the_readme_mount_more_layers_than_options_hold() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let lines = readme.split("```").find(|block| block.contains("ln -s ../store/")).unwrap().trim_start_matches("sh");
    let place = tempfile::tempdir().unwrap();
    let layers: Vec<_> = (0..60).map(|number| archive(&format!("f{number}"))).collect();
    write_image(&place.path().join("image"), &layers);
    for wrapper in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        let is_user = wrapper.len() > 1;
        if !is_user && !is_root() {
            continue;
        }
        let place = place.path().join(wrapper.len().to_string());
        fs::create_dir(&place).unwrap();
        let done = json_in(Command::new("unshare").args(wrapper).arg(COMMAND), &place, &["../image", "store"]);
        let digest = done["image"]["manifest"].as_str().unwrap();
        let lines = lines.replace("DIGEST", digest);
        let lines = if is_user { lines.replace("=work\"", "=work,userxattr\"") } else { lines };
        let script = format!("{lines} ls merged");
        let output = Command::new("unshare").args(wrapper).args(["sh", "-ec", &script]).current_dir(&place).output();
        match output {
            Ok(output) if output.status.success() => {
                assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 60, "{output:?}");
            }
            other => skip(&format!("overlayfs cannot be mounted with `unshare {}`: {other:?}", wrapper.join(" "))),
        }
    }
    remove_all(&place);
}

#[test]
fn a_directory_with_other_things_becomes_no_store() {
    let (place, world) = (tempfile::tempdir().unwrap(), world());
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(place.path().join("mine"), b"").unwrap();
    let (code, options, error) = ended(&run(place.path(), &["overlay", world.to_str().unwrap(), "."]));
    assert!(code == 2 && options.is_empty() && error.contains("no store"), "{code} {error}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn trusted_attributes_without_privilege_are_refused_before_the_first_layer() {
    if !can_run() {
        return;
    }
    let (place, world) = (tempfile::tempdir().unwrap(), world());
    let arguments = ["overlay", "--xattr-namespace", "trusted", world.to_str().unwrap(), "store"];
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--", COMMAND]).args(arguments).current_dir(place.path());
    let (code, options, error) = ended(&command.output().unwrap());
    if error.starts_with("unshare:") {
        skip("there are no user namespaces");
        return;
    }
    assert!(code == 2 && options.is_empty(), "{code} {error}");
    assert!(
        error.contains("only root outside of a user namespace") && error.contains("--xattr-namespace user"),
        "{error}"
    );
    assert!(!place.path().join("store").exists());
}

#[test]
fn a_store_that_is_read_only_gives_what_it_has() {
    let place = tempfile::tempdir().unwrap();
    let script = format!(
        "'{COMMAND}' overlay '{0}' store >first && mkdir read-only && mount --bind store read-only && \
         mount -o remount,ro,bind read-only || exit 77; '{COMMAND}' overlay --json '{0}' read-only",
        world().display()
    );
    let user = if is_root() { &[][..] } else { &["--user", "--map-root-user"] };
    let mut command = Command::new("unshare");
    let output =
        command.arg("--mount").args(user).args(["sh", "-c", &script]).current_dir(place.path()).output().unwrap();
    if !place.path().join("first").exists() || output.status.code() == Some(77) {
        skip(&format!("no bind mount: {output:?}"));
        return;
    }
    assert!(output.status.success(), "{output:?}");
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(done["overlay"]["layers"].as_array().unwrap().iter().all(|layer| layer["reused"] == true), "{done}");
    remove_all(&place);
}

#[test]
fn a_layer_of_a_run_with_fewer_privileges_is_not_taken_by_one_with_more() {
    if !is_root() {
        skip("it needs root: capabilities");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let world = world();
    let reused = |command: &mut Command| {
        let output = command.args(["overlay", "--json"]).args([&world, Path::new("store")]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let done: Value = serde_json::from_slice(&output.stdout).unwrap();
        let layers = done["overlay"]["layers"].as_array().unwrap().clone();
        layers.iter().filter(|layer| layer["reused"] == true).count()
    };
    let mut fewer = Command::new("setpriv");
    let drop_setfcap = ["--bounding-set", "-setfcap", "--inh-caps", "-all", COMMAND];
    assert_eq!(reused(fewer.args(drop_setfcap).current_dir(place.path())), 0);
    assert_eq!(reused(&mut command(place.path())), 0);
    assert_eq!(reused(&mut command(place.path())), 6);
}

#[test]
fn the_sandbox_keeps_what_the_format_needs() {
    if !is_root() {
        eprintln!("skipped, since it needs root: capabilities");
        return;
    }
    let (place, world) = (tempfile::tempdir().unwrap(), world());
    for (namespace, needs) in [("trusted", true), ("user", false)] {
        let done = json(place.path(), &["--xattr-namespace", namespace, world.to_str().unwrap(), namespace]);
        let kept: Vec<_> =
            done["sandbox"]["capabilities"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        assert_eq!(kept.contains(&"sys_admin"), needs, "{namespace}: {kept:?}");
        assert!(!kept.contains(&"mknod"), "a whiteout takes no privilege: {kept:?}");
    }
}

/// Starts a run that reads its image from standard input, and waits until `is_ready`.
fn start(place: &Path, is_ready: impl Fn(&Child) -> bool) -> Child {
    let mut command = command(place);
    let command = command.args(["overlay", "-", "store"]).stdin(Stdio::piped());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !is_ready(&child) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the run does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Gives an image to a run, and waits for its end.
fn give(mut child: Child, image: &[u8]) -> (i32, String, String) {
    // A run that refuses the image does not read all of it.
    let _ = child.stdin.take().unwrap().write_all(image);
    ended(&child.wait_with_output().unwrap())
}

#[test]
fn a_run_that_fails_leaves_the_new_store_to_other_runs_that_wait_for_their_images() {
    if !can_run() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    write_image(&at("image"), &[archive("f")]);
    let packed = Command::new("tar").args(["-C", "image", "-cf", "image.tar", "."]).current_dir(&place).status();
    assert!(packed.unwrap().success());
    let image = fs::read(at("image.tar")).unwrap();
    // The kernel lists the locks of all processes that this one sees.
    let locks = || fs::read_to_string("/proc/locks").unwrap();
    let inode = || fs::metadata(at("store")).map(|store| store.ino()).unwrap_or_default();
    let count = || locks().lines().filter(|lock| lock.contains(&format!(":{} ", inode()))).count();
    let first = start(place.path(), |_| count() == 1);
    let second = start(place.path(), |_| count() == 2);
    let (code, _, error) = give(first, &[b'x'; 10_240]);
    assert!(code == 3 && at("store").exists(), "{code} {error}");
    let (code, _, error) = give(second, &image);
    assert!(code == 0 && at("store/layers").exists(), "{code} {error}");
}
