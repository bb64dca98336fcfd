//! The sandbox around the command.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../tests/it/skip.rs"]
mod skip;

use serde_json::Value;
use skip::skip;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world")
}

fn sandbox(place: &Path, rootfs: &str, options: &[&str]) -> Value {
    let mut command = Command::new(COMMAND);
    let output = command.args(["unpack", "--json"]).args(options).arg(world()).arg(rootfs).current_dir(place).output();
    let output = output.unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["sandbox"].clone()
}

#[test]
fn the_report_says_what_was_forbidden_and_an_option_leaves_it_out() {
    let place = tempfile::tempdir().unwrap();
    let of = |name, options: &[&str]| sandbox(place.path(), name, options);
    assert_eq!(of("without", &["--no-sandbox"]), Value::Null);
    let restrictions = of("with", &[]);
    let capabilities: Vec<_> =
        restrictions["capabilities"].as_array().unwrap().iter().map(|name| name.as_str()).collect();
    assert!(!capabilities.contains(&Some("mknod")) && !capabilities.contains(&Some("sys_admin")));
    match restrictions["forbidden"].as_array().unwrap().as_slice() {
        [] => skip("in part: this kernel has no Landlock"),
        forbidden => assert_eq!(forbidden[0], "files"),
    }
    assert!(Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap().success());
}

#[test]
fn the_wall_is_up_before_the_first_byte_is_read_and_the_first_thread_started() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    fs::write(place.path().join("layer"), [0; 1024]).unwrap();
    let world = world();
    let world = world.to_str().unwrap();
    for (arguments, first) in [
        (&["unpack", "--jobs", "2", world, "rootfs"][..], "\"oci-layout\""),
        (&["apply", "--jobs", "2", "layer", "root"], "\\0\\0\\0\\0"),
        (&["export", "--jobs", "2", world], "\"oci-layout\""),
        (&["erofs", "--jobs", "2", world, "rootfs.img"], "\"oci-layout\""),
        (&["erofs", "--layers", "--jobs", "2", world, "layers"], "\"oci-layout\""),
        (&["overlay", "--jobs", "2", world, "store"], "\"oci-layout\""),
        (&["export", "--jobs", "2", "--sort", world, "rootfs.tar"], "\"oci-layout\""),
        (&["check", world], "\"oci-layout\""),
        (&["check", "layer"], "\\0\\0\\0\\0"),
        (&["list", world], "\"oci-layout\""),
        (&["list", "--final", "--digest", world], "\"oci-layout\""),
        (&["list", "--tree", "layer"], "\\0\\0\\0\\0"),
    ] {
        let trace = place.path().join("trace");
        let mut traced = Command::new("strace");
        traced.args(["-f", "-e", "trace=read,pread64,openat,clone,clone3,landlock_restrict_self,capset", "-o"]);
        traced.arg(&trace).arg(COMMAND).args(arguments).current_dir(place.path());
        if !traced.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success()) {
            skip("it needs strace");
            return;
        }
        let trace = fs::read_to_string(trace).unwrap();
        let at = |text: &str| trace.find(text);
        // Program loading reads zeros too, but it is done when the layer is opened.
        let start = if arguments.contains(&"layer") { at("\"layer\"").unwrap_or(0) } else { 0 };
        let first = trace[start..].find(first).map(|at| start + at).unwrap_or_else(|| panic!("{arguments:?}: {trace}"));
        let thread = [at("clone("), at("clone3(")].into_iter().flatten().min().unwrap_or(trace.len());
        let last = at("capset(").unwrap();
        assert!(last < first && last < thread, "{arguments:?}: {trace}");
        match at("landlock_restrict_self(") {
            None => skip("in part: this kernel has no Landlock"),
            Some(sandbox) => assert!(sandbox < last, "{arguments:?}: {trace}"),
        }
    }
    assert!(Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap().success());
}

#[test]
fn links_inside_a_layout_are_followed_in_the_sandbox_and_one_that_leads_out_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (layout, pool) = (place.path().join("layout"), place.path().join("layout/pool"));
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::create_dir(&pool).unwrap();
    let link = |name: &str, to: &str| {
        let file = Path::new(name).file_name().unwrap();
        fs::copy(world().join(name), pool.join(file)).unwrap();
        std::os::unix::fs::symlink(Path::new(to).join(file), layout.join(name)).unwrap();
    };
    for blob in fs::read_dir(world().join("blobs/sha256")).unwrap() {
        link(&format!("blobs/sha256/{}", blob.unwrap().file_name().to_str().unwrap()), "../../pool");
    }
    link("index.json", "pool");
    link("oci-layout", "pool");
    let run = |rootfs: &str| {
        let mut command = Command::new(COMMAND);
        command.args(["unpack", "layout", rootfs]).current_dir(place.path()).output().unwrap()
    };
    let output = run("rootfs");
    assert!(output.status.success(), "{output:?}");

    // The same file, outside.
    fs::rename(pool.join("index.json"), place.path().join("index.json")).unwrap();
    fs::remove_file(layout.join("index.json")).unwrap();
    std::os::unix::fs::symlink("../index.json", layout.join("index.json")).unwrap();
    let output = run("other");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{message}");
    let first = r#"layercage: refused [blob-outside]: "index.json": a file of the image is a symbolic link that leads out of the image: name "index.json", target "../index.json""#;
    assert_eq!(message.lines().next(), Some(first));
    assert!(message.contains("`cp -rL`") && message.contains("`skopeo copy`"), "{message}");
    assert!(!place.path().join("other").exists());
    assert!(Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).status().unwrap().success());
}
