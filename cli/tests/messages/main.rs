//! The messages that users meet first, in one file to be read in a row: `cli/tests/messages.txt`, which `BLESS=1` writes
//! anew.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../../corpus/build.rs"]
mod build;
mod cases;
mod files;

use cases::CASES;
use files::{device, put, tar};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

/// What the command prints for each case.
fn page() -> String {
    let mut page = String::from(
        "The messages that users meet first. `BLESS=1 cargo test -p layercage-cli --test messages` writes them anew.\n",
    );
    for (what, arguments, files) in CASES {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("root")).unwrap();
        files(place.path());
        let output = Command::new(COMMAND).args(*arguments).current_dir(&place).stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let (code, text) = (output.status.code().unwrap(), String::from_utf8(text).unwrap());
        assert!(!text.is_empty(), "{what}");
        write!(page, "\n# {what}: exit code {code}\n$ layercage {}\n{text}", arguments.join(" ")).unwrap();
    }
    page
}

#[test]
fn the_messages_that_users_meet_first_are_those_that_were_read() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(page.lines()).find(|(kept, now)| kept != now);
    assert!(kept == page, "cli/tests/messages.txt is not what is printed; BLESS=1 writes it anew: {differs:#?}");
}

/// A refusal says what was found and what to do, in two lines; a path or a number that an archive has picked is no reason
/// for a third one.
#[test]
fn whatever_is_refused_has_two_lines_of_which_the_second_says_what_to_do() {
    let page = page();
    let refused = page.split("\n# ").filter(|case| case.contains("layercage: refused "));
    let mut seen = 0;
    for case in refused {
        let is_said = |line: &&str| !line.is_empty() && !line.starts_with("layercage: listed as ");
        let lines: Vec<_> = case.lines().skip(2).filter(is_said).collect();
        assert!(lines.len() == 2 && lines[1].starts_with("layercage: help: "), "{case}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn a_help_is_printed_once_for_each_rule_however_many_findings_there_are() {
    let place = tempfile::tempdir().unwrap();
    let devices: Vec<u8> = (0..100).flat_map(|_| device()[..512].to_vec()).chain([0; 1024]).collect();
    put(place.path(), "layer.tar", &devices);
    let check = |options: &[&str]| {
        let mut command = Command::new(COMMAND);
        let output = command.arg("check").args(options).arg("layer.tar").current_dir(&place).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = check(&[]);
    assert_eq!(text.matches("refuse [device-node]").count(), 100);
    assert_eq!(text.matches("--devices skip").count(), 1, "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("  help: "), "behind the first one: {text}");
    let json = check(&["--json"]);
    let findings: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let helped: Vec<_> = findings.iter().filter(|finding| finding.get("help").is_some()).collect();
    assert_eq!(helped.len(), 1, "{json}");
    assert_eq!((&helped[0]["rule"], &helped[0]["entry"]), (&"device-node".into(), &1.into()));
    // What the policy takes needs no remedy.
    assert!(!check(&["--devices", "skip"]).contains("help: "));
}

#[test]
fn explain_has_a_long_form_for_every_rule_and_limit_that_rules_and_limits_list() {
    let place = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Command::new(COMMAND).args(arguments).current_dir(&place).output().unwrap();
    let rules = String::from_utf8(run(&["rules", "--json"]).stdout).unwrap();
    let rows: Vec<serde_json::Value> = rules.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (rules, limits): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row["type"] == "rule");
    assert!(rules.len() > 90 && limits.len() > 25);
    assert!(limits.iter().any(|limit| limit["id"] == "path-bytes" && limit["default"] == 4096));
    let page = String::from_utf8(run(&["rules"]).stdout).unwrap();
    let line = page.lines().find(|line| line.starts_with("path-bytes ")).unwrap();
    assert!(line.contains(" 4096 ") && line.ends_with(" Bytes of one name as the archive writes it"), "{line}");
    for rule in rules.iter().step_by(10) {
        let id = rule["id"].as_str().unwrap();
        let text = String::from_utf8(run(&["explain", id]).stdout).unwrap();
        assert!(text.starts_with(&format!("{id}: {}", rule["sentence"].as_str().unwrap())), "{text}");
        assert!(text.contains("\nWhat: ") && text.contains("\nWhy: ") && text.contains("\nWhat to do: "), "{text}");
        let json = run(&["--json", "explain", id]).stdout;
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert!(text.ends_with(&format!("{}\n", json["explanation"].as_str().unwrap())));
        json.as_object_mut().unwrap().remove("explanation");
        assert_eq!(json, *rule, "the rest is what `rules` says");
    }
    // As a message shows it, so that it can be pasted.
    let pasted = String::from_utf8(run(&["explain", "[device-node]"]).stdout).unwrap();
    assert!(pasted.contains("--devices skip"), "{pasted}");
    let limit: serde_json::Value = serde_json::from_slice(&run(&["--json", "explain", "path-bytes"]).stdout).unwrap();
    assert_eq!((&limit["type"], &limit["default"]), (&"limit".into(), &4096.into()));
    assert_eq!(run(&["explain", "no-such-rule"]).status.code(), Some(2));
}

/// If root runs the tests, the command runs as user 65534, because root may set any owner.
#[test]
fn owners_that_cannot_be_set_have_a_remedy() {
    use std::os::unix::process::CommandExt;
    let place =
        tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777)).tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    put(place.path(), "layer.tar", &tar(&[("a", b"a")]));
    let binary = place.path().join("layercage");
    // Not by ourselves: what another thread starts meanwhile would hold the copy open, and it could not be run.
    assert!(Command::new("cp").arg(COMMAND).arg(&binary).status().unwrap().success());
    let map = ["--uid-map", "0:100000:65536", "--gid-map", "0:100000:65536"];
    for options in [&["--owners", "keep"][..], &map] {
        let mut command = Command::new(&binary);
        command.arg("apply").args(options).args(["layer.tar", "root"]).current_dir(&place);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(place.path().join("root"), Some(65_534), Some(65_534)).unwrap();
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{options:?}: {said}");
        assert!(said.contains("unshare -r --map-auto") && said.contains("--owners record"), "{options:?}: {said}");
    }
}
