//! `layercage bundle`: a directory that a container runtime starts.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;
#[path = "support/layout.rs"]
mod layout;
#[path = "../../tests/it/skip.rs"]
mod skip;

use build::{Archive, Header, tar};
use serde_json::{Value, json};
use skip::skip;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/false\n";
const GROUP: &[u8] = b"root:x:0:\nweb:x:34:\nmail:x:8:web\n";

/// An image of these layers as a layout at `place`/image.
fn image(place: &Path, container: &Value, layers: impl IntoIterator<Item = Archive>) {
    let config = json!({"os": "linux", "architecture": "any", "author": "somebody", "config": container});
    let layers: Vec<_> = layers.into_iter().map(Archive::end).collect();
    layout::write(&place.join("image"), config, &layers);
}

fn accounts() -> Archive {
    // As a container would see it: a link to an absolute path.
    let archive = tar().symlink("etc/passwd", "/usr/lib/passwd");
    archive.file("usr/lib/passwd", b"web:x:1:1::/wrong:\n").file("etc/group", GROUP)
}

fn upper() -> Archive {
    tar().file("usr/lib/passwd", PASSWD)
}

fn bundle(place: &Path, arguments: &[&str]) -> Output {
    let options = ["bundle", "--platform", "linux/any", "image", "bundle"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_layercage"));
    command.args(options).args(arguments).current_dir(place).output().unwrap()
}

fn config(place: &Path) -> Value {
    serde_json::from_slice(&fs::read(place.join("bundle/config.json")).unwrap()).unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_bundle_says_what_the_configuration_of_the_image_says() {
    let place = tempfile::tempdir().unwrap();
    let container = json!({
        "User": "web", "Entrypoint": ["/bin/web"], "Cmd": ["--serve"], "Env": ["A=1=2", "HOME=/home"],
        "WorkingDir": "srv", "Labels": {"org.opencontainers.image.author": "label", "b": ""},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "StopSignal": "SIGINT",
    });
    image(place.path(), &container, [accounts(), upper()]);
    let done = bundle(place.path(), &[]);
    assert!(done.status.success(), "{done:?}");
    let made = config(place.path());
    let process = &made["process"];
    assert_eq!(process["args"], json!(["/bin/web", "--serve"]));
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(process["env"], json!(["A=1=2", "HOME=/home", path]));
    assert_eq!((&process["cwd"], &process["noNewPrivileges"]), (&json!("/srv"), &json!(true)));
    assert_eq!(made["root"], json!({"path": "rootfs", "readonly": false}));
    assert_eq!(
        made["annotations"],
        json!({
            "b": "", "org.opencontainers.image.author": "label", "org.opencontainers.image.architecture": "any",
            "org.opencontainers.image.os": "linux", "org.opencontainers.image.stopSignal": "SIGINT",
            "org.opencontainers.image.exposedPorts": "53/udp,80/tcp",
        })
    );
    let stderr = String::from_utf8(done.stderr).unwrap();
    match is_root() {
        true => {
            assert_eq!(process["user"], json!({"uid": 33, "gid": 34, "additionalGids": [8]}));
            assert_eq!(made["linux"]["resources"]["devices"], json!([{"allow": false, "access": "rwm"}]));
        }
        false => {
            assert_eq!(process["user"], json!({"uid": 0, "gid": 0}));
            assert!(stderr.contains("the image's user is 33:34, but the bundle's user is root"), "{stderr}");
            let uid = rustix::process::geteuid().as_raw();
            let mapping = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
            assert_eq!(made["linux"]["uidMappings"], mapping);
        }
    }
    assert_eq!(fs::metadata(place.path().join("bundle")).unwrap().mode() & 0o7777, 0o700);
    assert!(place.path().join("bundle/rootfs/usr/lib/passwd").exists());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "nothing else is left");
}

/// The configuration that `runc spec` writes for the user of the tests. `None` if there is no runc.
fn template(place: &Path) -> Option<Value> {
    let mut command = Command::new("runc");
    command.arg("spec").args((!is_root()).then_some("--rootless")).current_dir(place);
    command
        .output()
        .is_ok_and(|it| it.status.success())
        .then(|| serde_json::from_slice(&fs::read(place.join("config.json")).unwrap()).unwrap())
}

#[test]
fn what_the_image_does_not_state_is_as_runc_spec_writes_it() {
    let place = tempfile::tempdir().unwrap();
    let Some(mut expected) = template(place.path()) else {
        assert!(std::env::var_os("LAYERCAGE_NO_SKIP").is_none_or(|value| value != "1"), "runc is needed");
        eprintln!("skipped: this needs runc");
        return;
    };
    image(place.path(), &json!({"Cmd": ["sh"]}), [accounts(), upper()]);
    let done = bundle(place.path(), &["--tty"]);
    assert!(done.status.success(), "{done:?}");
    let mut made = config(place.path());
    // What differs, each as the README says.
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(made["process"]["env"].take(), json!([path, "HOME=/root", "TERM=xterm"]));
    assert_eq!(expected["process"]["env"].take(), json!([path, "TERM=xterm"]));
    assert_eq!((made["root"]["readonly"].take(), expected["root"]["readonly"].take()), (json!(false), json!(true)));
    let annotations = made.as_object_mut().unwrap().remove("annotations");
    assert!(annotations.is_some_and(|it| it["org.opencontainers.image.os"] == "linux"));
    // Old versions of runc write ambient capabilities, which have no effect without inheritable ones.
    expected["process"]["capabilities"].as_object_mut().unwrap().remove("ambient");
    for config in [&mut made, &mut expected] {
        // A namespace of control groups: runc writes it where the kernel has the second version of these alone.
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
        sort(config);
    }
    if !is_root() {
        let mounts = expected["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    }
    // By member, so that a failure names it.
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&made[member], value, "{member}");
    }
    assert_eq!(made, expected);
}

/// Sorts the lists whose order has no meaning, and omits what the new versions of runc write.
fn sort(config: &mut Value) {
    let by_text = |list: &mut Value| list.as_array_mut().unwrap().sort_by_key(Value::to_string);
    config["process"]["capabilities"].as_object_mut().unwrap().values_mut().for_each(by_text);
    let linux = config["linux"].as_object_mut().unwrap();
    linux.values_mut().filter(|value| value.is_array()).for_each(by_text);
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.iter_mut().filter_map(|mount| mount.get_mut("options")).for_each(by_text);
    config.as_object_mut().unwrap().remove("ociVersion");
}

#[test]
fn a_bundle_has_a_terminal_only_if_it_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    image(place.path(), &json!({"Cmd": ["sh"], "Env": ["TERM=dumb"]}), [accounts()]);
    for (arguments, has_terminal) in [(&[][..], false), (&["--tty"], true)] {
        let _ = fs::remove_dir_all(place.path().join("bundle"));
        let done = bundle(place.path(), arguments);
        assert!(done.status.success(), "{done:?}");
        let process = config(place.path())["process"].clone();
        assert_eq!((&process["terminal"], &process["env"][0]), (&json!(has_terminal), &json!("TERM=dumb")));
        assert_eq!(process["env"].as_array().unwrap().len(), 3, "{process}");
    }
}

#[test]
fn what_cannot_be_started_is_said_and_nothing_is_made() {
    for (container, arguments, said) in [
        (
            json!({"Cmd": ["a"], "User": "nobody"}),
            &[][..],
            "the image's etc/passwd has no user \"nobody\"; `--user UID:GID`",
        ),
        (json!({"Cmd": ["a"]}), &["--user", "web:nogroup"], "the image's etc/group has no group \"nogroup\""),
        (json!({}), &[], "the image states no program to run; give one"),
        (json!({"Entrypoint": [""]}), &[], "the image states no program to run; give one"),
        (
            json!({"Cmd": ["a"], "Env": ["A=1\u{0}B"]}),
            &[],
            r#"an environment variable of the image has a NUL byte, and would end there: "A=1\x00B""#,
        ),
        (json!({"Cmd": ["a", "\u{0}"]}), &[], "an argument of the program of the image has a NUL byte"),
        (json!({"Cmd": ["a"], "WorkingDir": "/\u{0}"}), &[], "the working directory of the image has a NUL byte"),
    ] {
        let place = tempfile::tempdir().unwrap();
        image(place.path(), &container, [accounts(), upper()]);
        let ended = bundle(place.path(), arguments);
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(2) && stderr.contains(said), "{stderr}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
    let place = tempfile::tempdir().unwrap();
    image(place.path(), &json!({"Entrypoint": ["e"], "Cmd": ["c"]}), [accounts()]);
    let done = bundle(place.path(), &["--user", "4711:4712", "--", "x", "--y"]);
    if !is_root() {
        let stderr = String::from_utf8(done.stderr).unwrap();
        let said = "`--user 4711:4712` is 4711:4712, and without root, the only user of a bundle is root";
        assert!(done.status.code() == Some(2) && stderr.contains(said), "{stderr}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        return;
    }
    assert!(done.status.success(), "{done:?}");
    let process = config(place.path())["process"].clone();
    assert_eq!(process["args"], json!(["e", "x", "--y"]));
    assert_eq!(process["user"], json!({"uid": 4711, "gid": 4712}));
}

/// The programs and the libraries that busybox needs, at their paths.
fn busybox() -> Option<Archive> {
    let found = Command::new("sh").args(["-c", "command -v busybox && ldd \"$(command -v busybox)\""]).output().ok()?;
    let text = String::from_utf8(found.stdout).ok()?;
    let program = text.lines().next()?;
    let executable = |archive: Archive, name: &str, path: &str| {
        Some(archive.with(Header::posix(b'0', name).mode(0o755), fs::read(path).ok()?))
    };
    let mut archive = tar();
    for path in text.lines().skip(1).flat_map(str::split_whitespace).filter(|word| word.starts_with('/')) {
        archive = executable(archive, path.trim_start_matches('/'), path)?;
    }
    executable(archive, "bin/busybox", program)
}

/// Busybox, if it and runc are installed. Fails if they are missing although nothing may be skipped.
fn busybox_and_runtime() -> Option<Archive> {
    let has_runtime = Command::new("runc").arg("--version").output().is_ok();
    let busybox = busybox().filter(|_| has_runtime);
    if busybox.is_none() {
        skip("runc or busybox is not installed");
    }
    busybox
}

/// Runs the bundle at `place`/bundle, as the user that `command` has. Its output.
fn start(mut command: Command, place: &Path, name: &str) -> String {
    command.arg("--root").arg(place.join("state")).args(["run", "--bundle"]).arg(place.join("bundle"));
    command.arg(format!("layercage-{name}-{}", std::process::id())).current_dir(place).stdin(Stdio::null());
    let ran = command.env("XDG_RUNTIME_DIR", place).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().replace('\r', "")
}

#[test]
fn a_runtime_starts_the_program_of_a_bundle_as_the_user_of_the_image() {
    if !is_root() {
        // The twin is the test below.
        eprintln!("skipped: this needs root");
        return;
    }
    let Some(busybox) = busybox_and_runtime() else { return };
    let place = tempfile::tempdir().unwrap();
    let script = "b=/bin/busybox; $b id -u; $b id -G; pwd; echo \"$HOME\"; $b head -1 /etc/group; $b hostname; \
                  $b grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status";
    let container =
        json!({"User": "web", "Entrypoint": ["/bin/busybox", "sh", "-c"], "Cmd": [script], "WorkingDir": "/usr"});
    image(place.path(), &container, [busybox, accounts(), upper()]);
    let done = bundle(place.path(), &[]);
    assert!(done.status.success(), "{done:?}");
    let said = start(Command::new("runc"), place.path(), "root");
    let capabilities = ["Inh", "Prm", "Eff", "Amb"].map(|set| format!("Cap{set}:\t{:016x}\n", 0)).concat();
    assert_eq!(said, format!("33\n34 8\n/usr\n/var/www\nroot:x:0:\nrunc\n{capabilities}"));
}

/// A command that runs as a user without privileges: as user 65534 if root runs the tests.
fn unprivileged(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(65_534).gid(65_534);
    }
    command
}

#[test]
fn a_runtime_starts_a_bundle_without_root_in_a_user_namespace() {
    let Some(busybox) = busybox_and_runtime() else { return };
    if !unprivileged("unshare").args(["--user", "--map-root-user", "true"]).status().is_ok_and(|it| it.success()) {
        skip("this system lets no user without privileges make a user namespace");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let script = "b=/bin/busybox; $b id -u; $b cat /proc/self/uid_map; pwd; $b stat -c %u:%g /etc/group; \
                  echo kept >/usr/file; $b cat /usr/file";
    let container =
        json!({"User": "web", "Entrypoint": ["/bin/busybox", "sh", "-c"], "Cmd": [script], "WorkingDir": "/usr"});
    image(place.path(), &container, [busybox, accounts(), upper()]);
    let binary = place.path().join("layercage");
    // Not by ourselves: what another thread starts meanwhile would hold the copy open, and it could not be run.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_layercage")).arg(&binary).status().unwrap().success());
    let mut command = unprivileged(&binary);
    let done = command.args(["bundle", "--platform", "linux/any", "image", "bundle"]).current_dir(&place).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{done:?}");
    let uid = if is_root() { 65_534 } else { rustix::process::geteuid().as_raw() };
    let said = start(unprivileged("runc"), place.path(), "rootless");
    let lines: Vec<_> = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, ["0", &format!("0 {uid} 1"), "/usr", "0:0", "kept"]);
    // The user without privileges made these, so the user removes them.
    assert!(unprivileged("rm").arg("-rf").args(["bundle", "state"]).current_dir(&place).status().unwrap().success());
}

/// runc refuses variables without a name or a value, and crun obeys some annotations: it would connect to this socket.
#[test]
fn a_runtime_gets_each_variable_once_and_no_orders_from_the_image() {
    let place = tempfile::tempdir().unwrap();
    let busybox = busybox_and_runtime();
    let container = json!({
        "Cmd": ["/bin/busybox", "env"], "Env": ["NO_VALUE", "=x", "", "A=1", "A=2", "PATH=/bin"],
        "Labels": {"run.oci.pidfd_receiver": "/run/host.socket", "": "x", "vendor": "layercage"},
    });
    image(place.path(), &container, [busybox.clone().unwrap_or_else(tar)]);
    let done = bundle(place.path(), &[]);
    let notes = String::from_utf8(done.stderr).unwrap();
    // Without privileges, there is also a note about owners.
    let dropped = notes.lines().filter(|line| line.contains("the environment variable") || line.contains("the label"));
    assert!(done.status.success() && dropped.count() == 6, "{notes}");
    assert!(
        notes.contains("note: the environment variable \"NO_VALUE\" is dropped: it has no name or no `=`"),
        "{notes}"
    );
    assert!(notes.contains("note: the label \"run.oci.pidfd_receiver\" is dropped: as an annotation"), "{notes}");
    let made = config(place.path());
    assert_eq!(made["process"]["env"], json!(["A=2", "PATH=/bin", "HOME=/"]));
    let labels = made["annotations"].as_object().unwrap().keys().filter(|name| !name.starts_with("org.opencontainers"));
    assert_eq!(labels.collect::<Vec<_>>(), ["vendor"]);
    if is_root() && busybox.is_some() {
        let mut said: Vec<_> = start(Command::new("runc"), place.path(), "odd").lines().map(str::to_owned).collect();
        said.sort();
        assert_eq!(said, ["A=2", "HOME=/", "PATH=/bin"]);
    }
    fs::remove_dir_all(place.path().join("bundle")).unwrap();
    let told = bundle(place.path(), &["--json"]);
    assert_eq!((told.status.code(), String::from_utf8(told.stderr).unwrap()), (Some(0), String::new()));
}
