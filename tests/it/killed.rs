//! Killed at any moment: nothing is half visible, and the next run leaves nothing of the one before.

use crate::child;
use crate::support::layer::{LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use crate::support::{open, stage};
use layercage::{Layer, Policy, Rootfs, Staged, Unpacker};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How many runs are killed by each test, unless `LAYERCAGE_KILLS` says otherwise.
const TIMES: u32 = 30;

fn times() -> u32 {
    std::env::var("LAYERCAGE_KILLS").map_or(TIMES, |times| times.parse().unwrap())
}

const DIRECTORIES: usize = 20;

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// What each of these is replaced by.
const KINDS: [&str; 6] = ["file", "directory", "link", "removed", "cleared", "linked"];

/// Directories with something in them, to be replaced or removed.
fn lower() -> LayerBuilder {
    let all = (0..DIRECTORIES).fold(layer().dir("."), |layer, number| {
        let (kind, dir) = (KINDS[number % KINDS.len()], format!("{number}"));
        let layer = layer.dir(&dir).file(&format!("{dir}/old"), b"old");
        let tree = format!("{dir}/{kind}");
        let layer = layer.dir_with(&tree, &mode(0o500));
        (0..3).fold(layer, |layer, inside| layer.file(&format!("{tree}/{inside}/f"), b"old"))
    });
    // Deeper than what is looked through, and moved up while it is removed.
    all.file(&format!("0/file/{}f", "deep/".repeat(80)), b"old")
}

fn upper() -> LayerBuilder {
    (0..DIRECTORIES).fold(layer().dir("."), |layer, number| {
        let (kind, dir) = (KINDS[number % KINDS.len()], format!("{number}"));
        let layer = layer.dir(&dir).file(&format!("{dir}/old"), b"new");
        // Data that never is in the tree under this name.
        let data = format!(".wh..wh.plnk/{number}");
        let path = format!("{dir}/{kind}");
        match kind {
            "file" => layer.file(&path, b"new"),
            "directory" => layer.whiteout(&path).dir(&path),
            "link" => layer.symlink(&path, "new"),
            "removed" => layer.whiteout(&path),
            "linked" => layer.file(&data, b"new").hard_link(&path, &data).hard_link(&format!("{dir}/other"), &data),
            _ => layer.dir(&path).opaque(&path).file(&format!("{path}/new"), b"new").dir(&path),
        }
    })
}

fn apply(root: &Path, layer: LayerBuilder) {
    let mut rootfs = Rootfs::over(&open(root)).unwrap();
    Unpacker::new(Policy::default()).apply(Layer::new(&layer.build()[..]), &mut rootfs).unwrap();
}

fn unpack(place: &Path) {
    stage(place, &Policy::default(), &[lower(), upper()]);
}

/// What became of a process that was to be killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Itself,
}

/// Runs a test in a process of its own and kills it after so long from where it says that it starts, unless that is
/// never; what became of it, and how long it took.
fn run_and_kill(test: &str, place: &Path, after: Option<Duration>) -> (End, Duration) {
    let mut command = child::command(test, &[("PLACE", place.as_os_str())]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().expect("the child ended").unwrap().contains("it starts") {}
    let start = Instant::now();
    if let Some(after) = after {
        std::thread::sleep(after);
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let end = if status.signal() == Some(9) { End::Killed } else { End::Itself };
    assert!(status.success() || (end == End::Killed && after.is_some()), "{test} failed: {status}");
    (end, start.elapsed())
}

/// Kills runs that take so long at as many moments as were asked for, the same in no two runs of this test: somewhat
/// earlier where a run was over by then. Some moments lie beyond the end, since a run may take longer than the first,
/// and its last steps are to be struck as well.
fn kill_at_moments(what: &str, whole: Duration, mut run: impl FnMut(Duration) -> End) {
    use std::hash::{BuildHasher, RandomState};
    let (random, times) = (RandomState::new(), times());
    let mut runs = 0;
    for number in 0..times {
        let thousandths = number * 1000 + random.hash_one(number) as u32 % 1000;
        let mut moment = whole.mul_f64(1.2 * f64::from(thousandths) / f64::from(times * 1000));
        runs += 1;
        while run(moment) == End::Itself {
            moment = moment.mul_f64(0.9);
            runs += 1;
        }
        if (number + 1).is_multiple_of(50) {
            eprintln!("{what}: {} of {times} killed", number + 1);
        }
    }
    eprintln!("{what}: {times} killed, and {} that were over before", runs - times);
}

fn litter(listing: &Listing) -> Vec<String> {
    let names = listing.keys().map(|path| String::from_utf8_lossy(path).into_owned());
    names.filter(|path| path.split('/').any(|name| name.starts_with(".l"))).collect()
}

#[test]
fn an_unpacking_that_is_killed_leaves_nothing_to_the_next() {
    kill_unpackings("unpack", false);
}

#[test]
fn an_unpacking_over_an_empty_directory_that_is_killed_leaves_it_as_it_was() {
    kill_unpackings("unpack over an empty directory", true);
}

/// Kills unpackings, of which the target is an empty directory or nothing at first.
fn kill_unpackings(what: &str, is_there: bool) {
    const BITS: u32 = 0o1713;
    let place = || {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("rootfs");
        if is_there {
            fs::create_dir(&root).unwrap();
            fs::set_permissions(root, fs::Permissions::from_mode(BITS)).unwrap();
        }
        place
    };
    let first = place();
    let (_, whole) = run_and_kill("unpacks_until_it_is_killed", first.path(), None);
    let expected = tree::list(&first.path().join("rootfs"));
    let mut unfinished = 0;
    kill_at_moments(what, whole, |moment| {
        let place = place();
        let root = place.path().join("rootfs");
        let inode = || fs::metadata(&root).ok().map(|found| found.ino());
        let before = inode();
        let (end, _) = run_and_kill("unpacks_until_it_is_killed", place.path(), Some(moment));
        if inode() == before {
            assert!(end == End::Killed, "it ended after {moment:?} and left nothing");
            if is_there {
                assert_eq!(fs::metadata(&root).unwrap().mode() & 0o7777, BITS, "after {moment:?}");
                assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "after {moment:?}");
            }
            unfinished += 1;
            unpack(place.path());
        } else {
            let differences = tree::differences(&expected, &tree::list(&root));
            assert!(differences.is_empty(), "after {moment:?}\n{}", differences.join("\n"));
            // What was around the tree may be there still, until the next run.
            drop(Staged::beside(&open(place.path()), "next").unwrap());
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "after {moment:?}");
        tree::unlock(place.path());
        end
    });
    eprintln!("{what}: {unfinished} of those before ROOTFS was the tree");
    tree::unlock(first.path());
}

#[test]
fn an_application_that_is_killed_leaves_each_path_old_or_new() {
    let old = tempfile::tempdir().unwrap();
    apply(old.path(), lower());
    let new = tempfile::tempdir().unwrap();
    apply(new.path(), lower());
    let (_, whole) = run_and_kill("applies_until_it_is_killed", new.path(), None);
    let (before, expected) = (tree::list(old.path()), tree::list(new.path()));
    assert_eq!(litter(&expected), [""; 0]);
    let mut with_litter = 0;
    kill_at_moments("apply", whole, |moment| {
        let place = tempfile::tempdir().unwrap();
        apply(place.path(), lower());
        let (end, _) = run_and_kill("applies_until_it_is_killed", place.path(), Some(moment));
        let killed = tree::list(place.path());
        assert!(!killed.contains_key(&b".wh..wh.plnk"[..]), "after {moment:?}");
        with_litter += u32::from(!litter(&killed).is_empty());
        for number in 0..DIRECTORIES {
            let kind = KINDS[number % KINDS.len()];
            if kind != "cleared" && kind != "directory" {
                assert_old_or_new(&format!("{number}/{kind}"), &before, &expected, &killed);
            }
            assert_old_or_new(&format!("{number}/old"), &before, &expected, &killed);
        }
        apply(place.path(), upper());
        let differences = tree::differences(&expected, &tree::list(place.path()));
        assert!(differences.is_empty(), "after {moment:?}\n{}", differences.join("\n"));
        tree::unlock(place.path());
        end
    });
    eprintln!("apply: {with_litter} of those left temporary names, which the next run removed");
    tree::unlock(old.path());
    tree::unlock(new.path());
}

/// What is at a path and below it is what was there, or what is to be there. Directories that were entered
/// when the process was killed have their modes and times from that moment.
fn assert_old_or_new(path: &str, old: &Listing, new: &Listing, is: &Listing) {
    let below = |listing: &Listing| -> Vec<_> {
        let all = listing.iter().filter(|(name, _)| {
            let rest = name.strip_prefix(path.as_bytes());
            matches!(rest, Some([] | [b'/', ..]))
        });
        all.map(|(name, fields)| (tree::escape(name), fields["type"].clone(), fields.get("sha256").cloned())).collect()
    };
    let is = below(is);
    assert!(is == below(old) || is == below(new), "{path} is neither: {is:?}");
}

/// Runs in a process of its own, to be killed.
#[test]
#[ignore = "started by the test above"]
fn unpacks_until_it_is_killed() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    println!("it starts");
    unpack(place.as_ref());
}

/// Runs in a process of its own, to be killed.
#[test]
#[ignore = "started by the test above"]
fn applies_until_it_is_killed() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    println!("it starts");
    apply(place.as_ref(), upper());
}
