//! `layercage list`: the final file system, its layers, and what is hidden.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../../corpus/build.rs"]
mod build;
mod layer;
#[path = "../support/layout.rs"]
mod layout;
mod terminal;
mod tree;
mod usage;
mod world;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

fn world() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world").to_str().unwrap().to_owned()
}

/// Runs `layercage list`.
fn list(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(COMMAND);
    command.arg("list").args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

/// What a list prints that succeeds.
fn listed(arguments: &[&str], directory: &Path) -> String {
    let output = list(arguments, directory);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {message}");
    String::from_utf8(output.stdout).unwrap()
}

/// The objects of a list behind the first one, which says what the input was taken for.
fn objects(arguments: &[&str], directory: &Path) -> Vec<Value> {
    let text = listed(&[&["--json"], arguments].concat(), directory);
    let mut objects = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(objects.next().unwrap()["type"], "input");
    objects.collect()
}

/// The bytes of a name.
fn name(object: &Value, key: &str) -> Vec<u8> {
    let text = text(object, key).as_bytes().to_vec();
    let Some(digits) = object.get(format!("{key}_hex")) else { return text };
    let digits = digits.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let bytes: Vec<_> = (0..digits.len()).step_by(2).map(byte).collect();
    assert!(std::str::from_utf8(&bytes).is_err(), "a text needs no digits: {object}");
    assert_eq!(String::from_utf8_lossy(&bytes).as_bytes(), text, "{object}");
    bytes
}

/// The text of a key.
fn text<'o>(object: &'o Value, key: &str) -> &'o str {
    object[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {object}"))
}
