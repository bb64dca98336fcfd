//! The options that decide single matters, by their own names.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;
#[path = "../../tests/it/skip.rs"]
mod skip;

use build::{Header, tar};
use skip::skip;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layercage"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

/// The exit code, and what stands on standard error.
fn ended(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// A directory with a layer: a pipe, a setuid file and a file in a directory behind a link. All is the caller's.
fn place() -> tempfile::TempDir {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let header = |flag, name, mode| Header::posix(flag, name).mode(mode).mtime(1_000_000_000).owner(uid, gid);
    let layer = tar()
        .header(header(b'6', "pipe", 0o644))
        .header(header(b'0', "su", 0o4755))
        .header(header(b'2', "link", 0o777).target("dir"))
        .header(header(b'0', "link/file", 0o644));
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer.end()).unwrap();
    place
}

/// Applies the layer with these options to a new directory.
fn apply(place: &Path, options: &[&str]) -> (i32, String, PathBuf) {
    let name = format!("root{}", fs::read_dir(place).unwrap().count());
    fs::create_dir(place.join(&name)).unwrap();
    let (code, message) = ended(&run(&[&["apply", "layer", &name], options].concat(), place));
    (code, message, place.join(name))
}

#[test]
fn each_choice_does_what_it_says() {
    let place = place();
    let at = |options: &[&str], path: &str| {
        let (code, message, root) = apply(place.path(), options);
        assert_eq!(code, 0, "{options:?}: {message}");
        fs::symlink_metadata(root.join(path)).ok()
    };
    assert!(at(&["--fifos", "create"], "pipe").unwrap().file_type().is_fifo());
    assert!(at(&["--fifos", "skip"], "pipe").is_none());
    assert_eq!(at(&["--setid", "keep"], "su").unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(at(&["--setid", "strip"], "su").unwrap().mode() & 0o7777, 0o755);
    assert!(at(&["--links", "clamp", "--xattrs", "none", "--owners", "auto"], "dir/file").is_some());
    assert_eq!(at(&["--mtime", "clamp=12"], "su").unwrap().mtime(), 12);
    assert_eq!(at(&["--mtime", "keep", "--epoch", "-7"], "su").unwrap().mtime(), 1_000_000_000);
    assert_eq!(at(&["--epoch", "-7.5"], "dir").unwrap().mtime(), -8);
    assert!(at(&["--owners", "record"], "pipe").unwrap().is_file());
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let map = [format!("{uid}:{uid}:1"), format!("{gid}:{gid}:1")];
    assert!(at(&["--sync"], "dir/file").is_some());
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    let output = run(&["unpack", "--sync", image.to_str().unwrap(), "synced"], place.path());
    assert_eq!(output.status.code(), Some(0), "{}", ended(&output).1);
    // It has directories that keep their owner out.
    let removable = Command::new("chmod").args(["-R", "u+rwX", "synced"]).current_dir(&place).status();
    assert!(removable.unwrap().success());
    let map = ["--uid-map", &map[0], "--gid-map", &map[1]];
    // Parents that no entry lists are root's, and root's place must be in the map.
    let (code, message, _) = apply(place.path(), &map);
    assert_eq!(code, if (uid, gid) == (0, 0) { 0 } else { 3 }, "{message}");
}

#[test]
fn each_refusal_says_what_to_do_and_check_knows_it_beforehand() {
    let place = place();
    for (option, choice, rule, help) in [
        ("--fifos", "refuse", "fifo", "--fifos skip"),
        ("--setid", "refuse", "setid", "--setid strip"),
        ("--links", "refuse", "link-parent", "--links follow"),
    ] {
        let (code, message, _) = apply(place.path(), &[option, choice]);
        assert_eq!(code, 3, "{message}");
        assert!(message.contains(&format!("[{rule}]")) && message.contains(help), "{message}");
        let output = run(&["check", option, choice, "layer"], place.path());
        assert_eq!(output.status.code(), Some(3), "{option}");
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains(&format!("refuse [{rule}]")), "{told}");
    }
    let told = String::from_utf8(run(&["check", "layer"], place.path()).stdout).unwrap();
    assert!(told.starts_with("0 findings"), "{told}");
    let unmapped = run(&["check", "--uid-map", "7:0:1", "--gid-map", "7:0:1", "layer"], place.path());
    assert_eq!(unmapped.status.code(), Some(3));
    assert!(String::from_utf8(unmapped.stdout).unwrap().contains("refuse [owner-unmapped]"));
}

#[test]
fn choices_that_make_no_sense_are_wrong_usage() {
    let place = place();
    for options in [
        &["--fifos", "keep"][..],
        &["--setid", "drop"],
        &["--links", "chroot"],
        &["--xattrs", "some"],
        &["--owners", "mine"],
        &["--owners", "map"],
        &["--uid-map", "0:0:1"],
        &["--gid-map", "0:0:1"],
        &["--uid-map", "0:0", "--gid-map", "0:0:1"],
        &["--uid-map", "0:0:2", "--uid-map", "1:5:1", "--gid-map", "0:0:1"],
        &["--owners", "keep", "--uid-map", "0:0:1", "--gid-map", "0:0:1"],
        &["--map-from", "1", "--uid-map", "0:0:1", "--gid-map", "0:0:1"],
        &["--map-from", "4294967295"],
        &["--map-from", "self"],
        &["--owners", "keep", "--map-from", "1"],
        &["--userns", "keep-id"],
        &["--userns", "auto=nobody-has-this-name"],
        &["--userns", "auto", "--map-from", "1"],
        &["--mtime", "clamp"],
        &["--mtime", "clamp=now"],
        &["--epoch", "now"],
        &["--fifos", "skip", "--refuse", "fifo"],
        &["--links", "clamp", "--refuse", "link-climbs"],
        &["--xattrs", "refuse", "--allow", "xattr-dropped"],
    ] {
        let (code, message, root) = apply(place.path(), options);
        assert_eq!(code, 2, "{options:?}: {message}");
        assert_eq!(fs::read_dir(root).unwrap().count(), 0, "{options:?}");
    }
    let (_, message, _) = apply(place.path(), &["--fifos", "keep"]);
    assert!(message.contains("create, skip, refuse"), "it says what there is: {message}");
}

#[test]
fn an_id_that_a_map_lacks_is_given_to_nobody_where_that_is_allowed() {
    let place = place();
    let map = ["--owners", "map", "--uid-map", "4000000000:0:1", "--gid-map", "4000000000:0:1"];
    let allowed = [&map[..], &["--allow", "owner-unmapped"]].concat();
    let output = run(&[&["check", "--json"], &allowed[..], &["layer"]].concat(), place.path());
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", ended(&output).1);
    assert!(text.contains(r#""rule":"owner-unmapped""#), "it is told: {text}");
    let both = [&allowed[..], &["--refuse", "owner-unmapped"]].concat();
    assert!(apply(place.path(), &both).1.contains("contradicts"), "whichever won, it would be wrong");
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped in part, since it needs root: files given to 65534");
        return;
    }
    let (code, message, root) = apply(place.path(), &allowed);
    assert_eq!(code, 0, "{message}");
    let file = fs::symlink_metadata(root.join("su")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (65534, 65534, 0o755));
}

#[test]
fn in_a_user_namespace_owners_fall_to_the_caller_and_who_wants_them_kept_is_told_what_helps() {
    let layer = tar().header(Header::posix(b'0', "theirs").owner(1000, 1000)).end();
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer).unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    let unshared = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-Ur", env!("CARGO_BIN_EXE_layercage"), "apply", "layer", "root"]).args(options);
        command.current_dir(place.path()).stdin(Stdio::null()).output()
    };
    if !Command::new("unshare").args(["-Ur", "true"]).output().is_ok_and(|output| output.status.success()) {
        skip("there is no unshare, or no user namespace for it");
        return;
    }
    // In the sandbox `/proc` cannot be read: which owners there are is known all the same.
    let (code, message) = ended(&unshared(&[]).unwrap());
    assert!(code == 0 && message.contains("note [owner-to-caller]: entry 1"), "{message}");
    fs::remove_file(place.path().join("root/theirs")).unwrap();
    let (code, message) = ended(&unshared(&["--owners", "keep"]).unwrap());
    assert_eq!(code, 1, "{message}");
    assert!(
        message.contains("1000:1000") && message.contains("help: the user namespace has no such owner"),
        "{message}"
    );
    let (code, message) = ended(&unshared(&["--owners", "caller"]).unwrap());
    assert_eq!(code, 0, "{message}");
    assert!(place.path().join("root/theirs").is_file());
    // An ACL names owners too.
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    let mut command = Command::new("unshare");
    command.args(["-Ur", env!("CARGO_BIN_EXE_layercage"), "unpack"]).arg(&image).arg("rootfs");
    let (code, message) = ended(&command.current_dir(place.path()).stdin(Stdio::null()).output().unwrap());
    assert!(code == 0 && message.contains("note [xattr-unsupported]"), "{message}");
    assert!(Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap().success());
}

/// A shell as root, in a mount namespace of its own; `None`, saying so, where that cannot be had.
fn as_root(script: &str, place: &Path) -> Option<Output> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped, since it needs root: files of other owners");
        return None;
    }
    let mut shell = Command::new("unshare");
    let output = shell
        .args(["--mount", "sh", "-ec", script, env!("CARGO_BIN_EXE_layercage")])
        .current_dir(place)
        .output()
        .unwrap();
    Some(output)
}

#[test]
fn maps_are_taken_from_a_process() {
    let place = place();
    let script = r#"
        unshare --user sleep 60 &
        trap "kill $!" EXIT
        while [ "$(readlink /proc/$!/ns/user)" = "$(readlink /proc/$$/ns/user)" ]; do sleep 0.01; done
        mkdir early mapped
        "$0" apply --map-from $! layer early && exit 7
        echo 0 100000 1000 >/proc/$!/uid_map
        echo 0 200000 1000 >/proc/$!/gid_map
        "$0" apply --owners map --map-from $! layer mapped
        stat -c %u:%g mapped/dir"#;
    if let Some(output) = as_root(script, place.path()) {
        let (_, message) = ended(&output);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "100000:200000\n", "{message}");
        assert!(message.contains("has no ids yet"), "{message}");
    }
}

#[test]
fn subordinate_ids_become_maps_and_too_few_are_told_at_the_start() {
    let place = place();
    let script = r#"
        printf 'other:1:9\nroot:300000:60000\nroot:500000:5536\nfew:1:65535\n' >sub
        mount --bind sub /etc/subuid && mount --bind sub /etc/subgid
        mkdir auto named
        "$0" apply --userns auto layer auto
        stat -c %u:%g auto/dir
        "$0" apply --userns auto=few layer named && exit 7
        "$0" apply --userns "$(printf 'auto=a\nroot')" layer named && exit 8
        ls named | wc -l"#;
    for file in ["/etc/subuid", "/etc/subgid"] {
        if !Path::new(file).exists() && rustix::process::geteuid().is_root() {
            eprintln!("skipped, since there is no {file}");
            return;
        }
    }
    if let Some(output) = as_root(script, place.path()) {
        let (_, message) = ended(&output);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "300000:300000\n0\n", "{message}");
        assert!(message.contains("/etc/subuid gives 65535 ids to few, and a container needs 65536"), "{message}");
        assert!(message.contains(r"/etc/subuid has no ids for a\x0aroot, and"), "{message}");
    }
}

#[test]
fn a_label_is_set_or_refused_before_anything_is_and_never_in_an_archive() {
    let place = place();
    let (code, message, root) = apply(place.path(), &["--selinux-label", "system_u:object_r:container_file_t:s0"]);
    // Without an LSM that owns it, some file systems let the owner of a file set the attribute.
    match rustix::process::geteuid().is_root() || code == 0 {
        true => {
            let mut label = [0; 64];
            let length = rustix::fs::lgetxattr(root.join("link"), "security.selinux", &mut label[..]).unwrap();
            assert_eq!((code, &label[..length]), (0, &b"system_u:object_r:container_file_t:s0\0"[..]), "{message}");
        }
        false => {
            assert!(code == 1 && message.contains("security.selinux") && message.contains("by root"), "{message}");
            assert_eq!(fs::read_dir(root).unwrap().count(), 0);
        }
    }
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    let export = run(&["export", "--selinux-label", "u:r:t", image.to_str().unwrap(), "x.tar"], place.path());
    assert!(ended(&export).0 == 2 && !place.path().join("x.tar").exists(), "{export:?}");
    for wrong in ["", "bad label"] {
        assert_eq!(apply(place.path(), &["--selinux-label", wrong]).0, 2, "{wrong}");
    }
}
