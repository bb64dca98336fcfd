//! What real engines and real writers of tar make, compared with what they mount and read back themselves.
//!
//! Each test runs where its tools are installed, and prints which are missing. With `LAYERCAGE_NO_SKIP=1` a missing tool
//! is a failure; `.ci/run` sets it where it has installed them. The tests that compare without privileges run as any
//! user, those with engines need root.
//!
//! Each difference that a tool itself causes is a row of a table, with the reason. A row that no longer differs fails.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../it/child.rs"]
#[allow(dead_code, reason = "the tests of `it` use all of it")]
mod child;
mod docker;
mod exported;
mod images;
mod refused;
#[path = "../it/skip.rs"]
mod skip;
#[path = "../it/support/tree.rs"]
#[allow(dead_code, reason = "the tests of `it` use all of it")]
mod tree;
mod umoci;
mod writers;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::policy::Devices;
use layercage::{Image, Policy, Report, Selector};
use skip::skip;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tree::Listing;

/// A difference that is known: the tool, the path (`*` for all), the field (`*` for the whole entry), and the reason.
type Known = (&'static str, &'static str, &'static str, &'static str);

/// Whether all these programs are installed; says which are not.
fn have(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| find(program).is_none()).copied().collect();
    if !missing.is_empty() {
        skip(&format!("not installed: {}", missing.join(", ")));
    }
    missing.is_empty()
}

fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|path| path.join(program)).find(|path| path.is_file())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the caller is root, which is no matter of what is installed; says what it is for if not.
fn needs_root(what: &str) -> bool {
    if !is_root() {
        eprintln!("skipped, since it needs root: {what}");
    }
    is_root()
}

/// Runs a program to its end, which must be a success, and returns its output without the last newline.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs one of the scripts of this directory in a tree.
fn script(name: &str, inside: &Path) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/layers").join(name);
    run(Command::new("sh").arg(path).current_dir(inside));
}

/// Unpacks an image, lists its tree and removes it.
fn unpacked(image: &Path, reference: Option<&str>, place: &Path) -> Result<(Listing, Report), layercage::Error> {
    let parent = Dir::open_ambient_dir(place, ambient_authority()).unwrap();
    let selector = reference.map_or(Selector::host(), |name| Selector::host().with_reference(name));
    let selected = Image::open_ambient(image, ambient_authority())?.select(&selector)?;
    let report = selected.unpack_into(&parent, "rootfs", &Policy::default().with_devices(Devices::Create))?;
    let listing = tree::list(&place.join("rootfs"));
    std::fs::remove_dir_all(place.join("rootfs")).unwrap();
    Ok((listing, report))
}

/// Compares two trees. What is known of the tool must differ, and nothing else may: a line for each that is otherwise.
fn complaints(tool: &str, expected: &Listing, got: &Listing, known: &[Known]) -> Vec<String> {
    let known: Vec<_> = known.iter().filter(|(tools, ..)| tools.split(' ').any(|name| name == tool)).collect();
    let (mut found, mut lines) = (BTreeSet::new(), Vec::new());
    for (path, field) in differing(expected, got) {
        let is_known =
            |(_, place, what, _): &&Known| (*place == "*" || *place == path) && (*what == "*" || *what == field);
        match known.iter().position(is_known) {
            Some(row) => drop(found.insert(row)),
            None => {
                let [expected, got] = [expected, got].map(|tree| {
                    let entry = tree.get(&tree::unescape(&path));
                    entry.map(|fields| fields.get(&field).map_or_else(|| format!("{fields:?}"), String::clone))
                });
                lines.push(format!("{tool}: {path}: {field}: expected {expected:?}, got {got:?}"));
            }
        }
    }
    let stale = known.iter().enumerate().filter(|(row, _)| !found.contains(row));
    lines.extend(stale.map(|(_, row)| format!("{tool} no longer differs, remove the row: {row:?}")));
    lines
}

/// The paths and fields in which two trees differ; a path that only one of them has counts as `*`.
fn differing(expected: &Listing, got: &Listing) -> BTreeSet<(String, String)> {
    let paths: BTreeSet<_> = expected.keys().chain(got.keys()).collect();
    let mut all = BTreeSet::new();
    for path in paths {
        let name = tree::escape(path);
        let (Some(left), Some(right)) = (expected.get(path), got.get(path)) else {
            all.insert((name, "*".to_owned()));
            continue;
        };
        let fields: BTreeSet<_> = left.keys().chain(right.keys()).collect();
        let differ = fields.into_iter().filter(|field| left.get(*field) != right.get(*field));
        all.extend(differ.map(|field| (name.clone(), field.clone())));
    }
    all
}

/// The tree with times rounded to the nearest second, as Go's `archive/tar` writes them.
fn in_seconds(mut listing: Listing) -> Listing {
    for fields in listing.values_mut() {
        let (seconds, nanoseconds) = fields["mtime"].split_once('.').unwrap();
        let up = nanoseconds.parse::<u32>().unwrap() >= 500_000_000;
        let seconds = seconds.parse::<i64>().unwrap() + i64::from(up);
        fields.insert("mtime".into(), format!("{seconds}.000000000"));
    }
    listing
}
