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
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("config.toml was written") && text.contains("systemctl restart containerd"), "{text}");
    let configuration = fs::read_to_string(at("etc/containerd/config.toml")).unwrap();
    assert!(configuration.starts_with("version = 2\n") && configuration.contains("layercage"));
    // What an administrator has changed stays.
    fs::write(at("etc/layercage/differ.toml"), "policy = \"paranoid\"\n").unwrap();
    fs::write(at("etc/containerd/config.toml"), "version = 2\n").unwrap();
    let output = install(place.path(), "2.3.4");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for said in ["imports = [\"/etc/layercage/containerd.toml\"]", "systemctl restart containerd", "check-config"] {
        assert!(text.contains(said), "{text}");
    }
    assert_eq!(fs::read_to_string(at("etc/layercage/differ.toml")).unwrap(), "policy = \"paranoid\"\n");
    assert_eq!(fs::read_to_string(at("etc/containerd/config.toml")).unwrap(), "version = 2\n");
    let imported = fs::read_to_string(at("etc/layercage/containerd.toml")).unwrap();
    assert!(imported.starts_with("# Written by install.sh at each run: do not edit.\nversion = 3\n"), "{imported}");
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

#[test]
fn the_installer_says_in_words_what_it_was_not_given() {
    let run = |arguments: &[&str]| {
        let output = Command::new("sh").arg(packaging("install.sh")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&[]), (Some(2), "install.sh: usage: install.sh BINARY\n".to_owned()));
    let (code, said) = run(&["/nonexistent"]);
    assert!(code == Some(2) && said.contains("/nonexistent is not a program"), "{said}");
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
fn the_directories_of_the_unit_are_the_default_snapshot_roots_and_may_be_missing() {
    let help = Command::new(DIFFER).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let directories = unit("ReadWritePaths");
    assert_eq!(directories.len(), 2);
    for directory in directories {
        // systemd makes no mount namespace, and starts nothing in it, if one without a dash is missing.
        let directory = directory.strip_prefix('-').expect("a dash");
        assert!(help.contains(directory), "{directory} is not in\n{help}");
        assert!(unit("ExecStartPre").iter().any(|word| word == directory));
    }
    assert!(unit("ExecStartPre").iter().all(|word| !word.ends_with("mkdir") || word.starts_with('+')));
}

#[test]
fn the_unit_takes_containerd_down_with_it_in_no_case() {
    assert!(unit("WantedBy").contains(&"containerd.service".to_owned()));
    assert_eq!(unit("Before"), ["containerd.service"]);
    for key in ["RequiredBy", "BindsTo", "PartOf", "Requires", "Conflicts"] {
        assert_eq!(unit(key), Vec::<String>::new(), "{key}");
    }
    // A program that does not start, because of its policy file for example, is started again after that is corrected.
    assert_eq!((unit("Restart"), unit("StartLimitIntervalSec")), (vec!["always".to_owned()], vec!["0".to_owned()]));
    assert!(unit("LimitNOFILE")[0].parse::<u64>().unwrap() >= 65_536);
}

#[test]
fn a_reload_checks_the_policy_first_and_needs_no_program_but_a_shell() {
    let text = fs::read_to_string(packaging("layercage-differ.service")).unwrap();
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("ExecReload=")).collect();
    assert_eq!(lines, ["/usr/local/bin/layercage-differ check-policy", "/bin/sh -c 'kill -HUP $MAINPID'"]);
    let started = unit("ExecStart");
    assert!(!started.contains(&"--policy".to_owned()), "the reload checks the default file");
}

#[test]
fn the_policy_file_that_is_installed_is_valid_with_and_without_its_examples() {
    let place = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(packaging("differ.toml")).unwrap();
    let examples: Vec<_> =
        text.lines().map(|line| line.strip_prefix('#').filter(|_| !line.starts_with("# ")).unwrap_or(line)).collect();
    for (name, text) in [("as it is", text.clone()), ("with its examples", examples.join("\n"))] {
        let path = place.path().join("differ.toml");
        fs::write(&path, text).unwrap();
        let output = Command::new(DIFFER).arg("check-policy").arg(&path).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The blocks of a language in the page about containerd.
fn blocks(language: &str) -> Vec<String> {
    let page = fs::read_to_string(packaging("../../docs/containerd.md")).unwrap();
    let fence = format!("```{language}\n");
    let after = page.split(&fence).skip(1);
    after.map(|text| text.split_once("```").unwrap().0.to_owned()).collect()
}

#[test]
fn what_the_page_about_containerd_shows_is_valid() {
    let place = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], name: &str, text: &str| {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        let output = Command::new(DIFFER).args(arguments).arg(&path).output().unwrap();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let toml = blocks("toml");
    let [imports, configuration, policy] = &toml[..] else { panic!("{toml:?}") };
    assert_eq!(imports, "imports = [\"/etc/layercage/containerd.toml\"]\n");
    run(&["check-config", "--containerd-version", "1.7.24"], "config.toml", configuration);
    run(&["check-policy"], "differ.toml", policy);
    let drop_in = blocks("ini").concat();
    let start =
        drop_in.lines().filter_map(|line| line.strip_prefix("ExecStart=")).find(|line| !line.is_empty()).unwrap();
    let output = Command::new(DIFFER).args(start.split(' ').skip(1)).arg("--help").output().unwrap();
    assert!(output.status.success(), "{start}");
    let directory = start.split(' ').next_back().unwrap();
    assert!(drop_in.contains(&format!("ReadWritePaths=-{directory}\n")), "{drop_in}");
}

#[test]
fn every_page_that_the_unit_and_the_policy_file_name_is_installed() {
    let place = tempfile::tempdir().unwrap();
    assert!(install(place.path(), "1.7.24").status.success());
    let pages = place.path().join("root/usr/local/share/doc/layercage");
    for name in ["containerd.md", "policy.md", "rules.md"] {
        assert!(pages.join(name).metadata().unwrap().len() > 1000, "{name}");
    }
    assert_eq!(unit("Documentation"), ["file:///usr/local/share/doc/layercage/containerd.md"]);
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
