//! The unit, the installer and the manifest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DIFFER: &str = env!("CARGO_BIN_EXE_layercage-differ");

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// Runs the installer below a directory, beside a containerd of this version.
fn install(place: &Path, version: &str) -> Output {
    let program = place.join("bin/containerd");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, format!("#!/bin/sh\necho containerd github.com/containerd/containerd {version} x\n")).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(packaging("install.sh")).arg(DIFFER).env("PATH", path).env("DESTDIR", place.join("root"));
    command.output().unwrap()
}

#[test]
fn the_installer_puts_everything_in_its_place_and_leaves_a_configuration_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join("root").join(name);
    let output = install(place.path(), "1.7.24~ds1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::metadata(at("usr/local/bin/layercage-differ")).unwrap().mode() & 0o777, 0o755);
    for name in ["etc/systemd/system/layercage-differ.service", "etc/layercage/differ.toml"] {
        assert_eq!(fs::metadata(at(name)).unwrap().mode() & 0o777, 0o644, "{name}");
    }
    let configuration = fs::read_to_string(at("etc/containerd/config.toml")).unwrap();
    assert!(configuration.starts_with("version = 2\n") && configuration.contains("layercage"));
    // What an administrator has changed stays.
    fs::write(at("etc/layercage/differ.toml"), "policy = \"paranoid\"\n").unwrap();
    fs::write(at("etc/containerd/config.toml"), "version = 2\n").unwrap();
    assert!(install(place.path(), "2.3.4").status.success());
    assert_eq!(fs::read_to_string(at("etc/layercage/differ.toml")).unwrap(), "policy = \"paranoid\"\n");
    assert_eq!(fs::read_to_string(at("etc/containerd/config.toml")).unwrap(), "version = 2\n");
    assert!(fs::read_to_string(at("etc/layercage/containerd.toml")).unwrap().starts_with("version = 3\n"));
}

#[test]
fn the_installer_installs_nothing_beside_a_containerd_that_cannot_load_a_differ() {
    let place = tempfile::tempdir().unwrap();
    let output = install(place.path(), "1.6.20~ds1");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("containerd 1.6.20 cannot load a differ"), "{error}");
    assert!(!place.path().join("root").exists());
}

/// The words behind a key of the unit, of all lines that have it.
fn unit(key: &str) -> Vec<String> {
    let text = fs::read_to_string(packaging("layercage-differ.service")).unwrap();
    let values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn the_unit_and_the_manifest_start_the_program_with_options_that_it_has() {
    let start = unit("ExecStart");
    let manifest = fs::read_to_string(packaging("daemonset.yaml")).unwrap();
    let begin = manifest.find("args:").unwrap();
    let arguments = manifest[begin..].lines().skip(1).map_while(|line| line.trim().strip_prefix("- "));
    let of_manifest: Vec<_> = arguments.map(str::to_owned).collect();
    assert!(of_manifest.len() > 1, "{of_manifest:?}");
    for arguments in [&start[1..], &of_manifest] {
        // Help is printed only if what is before it is right.
        let output = Command::new(DIFFER).args(arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_unit_and_the_manifest_keep_the_same_capabilities() {
    let of_unit: Vec<_> = unit("CapabilityBoundingSet").iter().map(|name| name.replace("CAP_", "")).collect();
    let manifest = fs::read_to_string(packaging("daemonset.yaml")).unwrap();
    assert!(manifest.contains(&format!("add: [{}]", of_unit.join(", "))), "{of_unit:?}");
}

#[test]
fn the_directories_of_the_unit_are_the_default_snapshot_roots() {
    let help = Command::new(DIFFER).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for directory in unit("ReadWritePaths") {
        assert!(help.contains(&directory), "{directory} is not in\n{help}");
        assert!(unit("ExecStartPre").contains(&directory));
    }
}

#[test]
fn the_policy_file_that_is_installed_is_one_with_and_without_its_examples() {
    let place = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(packaging("differ.toml")).unwrap();
    let examples: Vec<_> =
        text.lines().map(|line| line.strip_prefix('#').filter(|_| !line.starts_with("# ")).unwrap_or(line)).collect();
    for (name, text) in [("as it is", text.clone()), ("with its examples", examples.join("\n"))] {
        let path = place.path().join("differ.toml");
        fs::write(&path, text).unwrap();
        // The socket cannot be made, which comes after the policy is read.
        let output = Command::new(DIFFER)
            .args(["serve", "--socket", "relative", "--snapshot-root"])
            .arg(place.path())
            .arg("--policy")
            .arg(&path)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("relative: an absolute path"), "{name}: {error}");
    }
}

#[test]
fn systemd_accepts_the_unit() {
    let place = tempfile::tempdir().unwrap();
    // It looks for the program.
    let text = fs::read_to_string(packaging("layercage-differ.service")).unwrap();
    let path = place.path().join("layercage-differ.service");
    fs::write(&path, text.replace("/usr/local/bin/layercage-differ", DIFFER)).unwrap();
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() else {
        println!("skipped, since it needs systemd-analyze");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let about: Vec<_> = said.lines().filter(|line| line.contains("layercage-differ")).collect();
    assert_eq!(about, Vec::<&str>::new(), "{said}");
}

#[test]
fn the_manifest_is_valid_by_the_published_schemas() {
    let program = std::env::var_os("LAYERCAGE_KUBERNETES_VALIDATE").unwrap_or_else(|| "kubernetes-validate".into());
    let Ok(output) = Command::new(program).arg("--strict").arg(packaging("daemonset.yaml")).output() else {
        println!("skipped, since it needs kubernetes-validate");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
