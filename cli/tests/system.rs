//! Failures of the system: each says what to do about it.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;
#[path = "../../tests/it/skip.rs"]
mod skip;

use build::tar;
use skip::skip;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with an image, a layer of a file, and one of a device; and a copy of the command that everybody may run.
struct World {
    place: tempfile::TempDir,
    binary: PathBuf,
}

impl World {
    fn new() -> Self {
        let place = tempfile::Builder::new().permissions(Permissions::from_mode(0o777)).tempdir().unwrap();
        let binary = place.path().join("layercage");
        // Not by ourselves: what another thread starts meanwhile would hold the copy open, and it could not be run.
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_layercage")).arg(&binary).status().unwrap().success());
        let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
        assert!(Command::new("cp").arg("-r").arg(image).arg(place.path().join("image")).status().unwrap().success());
        let world = Self { place, binary };
        fs::write(world.place.path().join("file.tar"), tar().file("file", "").end()).unwrap();
        fs::write(world.place.path().join("device.tar"), tar().character_device("console", 5, 1).end()).unwrap();
        world.directory("root", 0o777);
        world
    }

    fn directory(&self, name: &str, mode: u32) {
        fs::create_dir(self.place.path().join(name)).unwrap();
        fs::set_permissions(self.place.path().join(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Runs the command as a user without privileges. Standard input is the layer of a file, through a pipe.
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
        let mut command = Command::new("sh");
        command.args(["-c", "cat file.tar | \"$0\" \"$@\""]).arg(&self.binary).args(arguments);
        command.current_dir(&self.place).envs(environment.iter().copied());
        if rustix::process::geteuid().is_root() {
            chown(self.place.path().join("root"), Some(65_534), Some(65_534)).unwrap();
            command.uid(65_534).gid(65_534);
        }
        let Output { status, stderr, .. } = command.output().unwrap();
        (status.code().unwrap(), String::from_utf8(stderr).unwrap())
    }
}

#[test]
fn devices_that_may_not_be_created_can_be_skipped() {
    let world = World::new();
    let (code, said) = world.run(&["apply", "--devices", "create", "device.tar", "root"], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("mknodat(\"console\")") && said.contains("`--devices skip`"), "{said}");
    assert_eq!(world.run(&["apply", "--devices", "skip", "device.tar", "root"], &[]).0, 0);
}

#[test]
fn a_parent_of_rootfs_that_takes_nothing_is_named_as_the_reason() {
    let world = World::new();
    world.directory("closed", 0o555);
    let (code, said) = world.run(&["unpack", "image", "closed/rootfs"], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("help: the parent directory of the target must be readable and writable"), "{said}");
    assert!(said.contains("Nothing was written to closed/rootfs"), "{said}");
}

#[test]
fn a_directory_for_temporary_files_that_is_missing_or_closed_is_named_with_the_variable() {
    let world = World::new();
    world.directory("closed", 0o555);
    let closed = world.place.path().join("closed");
    for temporary in ["/nowhere", closed.to_str().unwrap()] {
        for verb in ["check", "list"] {
            let (code, said) = world.run(&[verb, "-"], &[("TMPDIR", temporary)]);
            assert_eq!(code, 1, "{said}");
            assert!(said.contains(temporary) && said.contains("TMPDIR"), "{said}");
        }
    }
    // The copy of a layer is kept in TMPDIR where DIR takes nothing.
    let digest = format!("sha256:{}", "0".repeat(64));
    let (code, said) = world.run(&["apply", "--digest", &digest, "-", "closed"], &[("TMPDIR", "/nowhere")]);
    assert!(code == 1 && said.contains("/nowhere") && said.contains("TMPDIR"), "{said}");
}

/// `RLIMIT_FSIZE` would be another error, so a file system of 64 KiB is mounted, where that is allowed.
#[test]
fn a_full_directory_for_temporary_files_is_named_with_the_variable() {
    for reading in ["check -", "list -", "filter --unchanged", "export - -"] {
        let world = World::new();
        world.directory("full", 0o777);
        let script = format!(
            "mount -t tmpfs -o size=64k,mode=1777 full \"$1\" && head -c 1000000 /dev/zero | \
             TMPDIR=\"$1\" \"$0\" {reading} | cat"
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(&world.binary).arg("full");
        let output = command.current_dir(&world.place).output();
        let said = output.map(|output| String::from_utf8(output.stderr).unwrap()).unwrap_or_default();
        if !said.contains("layercage: ") {
            skip(&format!("no file system can be mounted: {said}"));
            return;
        }
        assert!(said.contains("the temporary copy") && said.contains("No space left on device"), "{said}");
        assert!(said.contains("TMPDIR") && said.contains("more space"), "{reading}: {said}");
        assert!(File::open(world.place.path().join("full")).is_ok());
    }
}
