//! Replacing and removing what is there may fail: then it is there as it was.

use crate::child;
use crate::skip::skip;
use crate::staged::dead_stage;
use crate::support::layer::{LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use crate::support::world::World;
use crate::support::{is_root, open};
use layercage::blob::Checked;
use layercage::error::Position;
use layercage::rules::QuirkRule;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError};
use layercage::tar::Change;
use layercage::{Layer, Policy, Rootfs, Sink, Staged, Unpacker};
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const NOBODY: u32 = 65534;

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// A directory with much in it, before and after `m` in any order.
fn full() -> LayerBuilder {
    let files = (0..40).fold(layer().dir("d"), |layer, number| layer.file(&format!("d/{number}"), b"old"));
    files.dir_with("d/locked", &mode(0o500)).file("d/locked/x", b"old").dir_with("d/none", &mode(0)).dir("d/m")
}

/// What each does to `d`, and what is at `d` then.
fn changes() -> [(LayerBuilder, &'static str); 4] {
    [
        (layer().file("d", b"new"), "file"),
        (layer().symlink("d", "new"), "symlink"),
        (layer().hard_link("d", "other"), "file"),
        (layer().whiteout("d"), ""),
    ]
}

fn run(command: &str, arguments: &[&str]) -> bool {
    Command::new(command).args(arguments).status().is_ok_and(|status| status.success())
}

fn run_to_end(mut command: Command) -> bool {
    command.output().unwrap().status.success()
}

fn names(path: &Path) -> Vec<String> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[track_caller]
fn assert_same(expected: &Listing, got: &Listing, what: &str) {
    let differences = tree::differences(expected, got);
    assert!(differences.is_empty(), "{what}\n{}", differences.join("\n"));
}

#[test]
fn a_directory_with_a_mount_in_it_is_not_lost_in_part() {
    let Some(command) = child::mounting("meets_a_mount_in_a_directory", &[("LAYERCAGE_CHILD", "1".as_ref())]) else {
        return;
    };
    child::expect_success(command);
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn meets_a_mount_in_a_directory() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    for at in ["d/m", "d/locked/m"] {
        for (change, _) in changes() {
            let world = World::new();
            let lower = full().file("other", b"").dir("d/locked/m").dir_with("d/locked", &mode(0o500));
            world.apply(&[lower], &Policy::default()).unwrap();
            let mount = world.root().join(at);
            assert!(run("mount", &["-t", "tmpfs", "none", mount.to_str().unwrap()]));
            let before = tree::list(&world.root());
            let refused = world.apply(&[change], &Policy::default()).unwrap_err();
            assert_eq!(refused.rule_id(), Some("mount-crossed"), "{refused}");
            assert_same(&before, &tree::list(&world.root()), at);
            assert!(run("umount", &[mount.to_str().unwrap()]));
        }
    }
}

#[test]
fn a_directory_with_a_file_that_a_flag_protects_is_not_lost_in_part() {
    if !is_root("flags (its twin: a_directory_with_a_mount_in_it_is_not_lost_in_part)") {
        return;
    }
    for (change, kind) in changes() {
        let world = World::new();
        world.apply(&[full().file("other", b"").file("d/m/fixed", b"")], &Policy::default()).unwrap();
        let fixed = world.root().join("d/m/fixed").into_os_string().into_string().unwrap();
        if !run("chattr", &["+i", &fixed]) {
            skip("this file system has no such flags");
            return;
        }
        let before = tree::list(&world.root());
        let failed =
            world.apply(std::slice::from_ref(&change), &Policy::default()).map(drop).map_err(|error| error.blame());
        let after = tree::list(&world.root());
        assert!(run("chattr", &["-i", &fixed]));
        assert_eq!(failed, Err(layercage::error::Blame::System));
        assert_same(&before, &after, kind);
        world.apply(&[change], &Policy::default()).unwrap();
        assert_eq!(world.kind("d"), kind);
    }
}

#[test]
fn a_directory_with_somebody_elses_in_it_keeps_all_and_its_modes() {
    if !is_root("somebody else (its twin: a_directory_with_a_mount_in_it_is_not_lost_in_part)") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let Some(command) = child::unprivileged("meets_somebody_elses", &[("PLACE", place.path().as_os_str())]) else {
        return;
    };
    let root = place.path().join("root");
    let made = child::unprivileged("makes_a_full_directory", &[("PLACE", place.path().as_os_str())]).unwrap();
    child::expect_success(made);
    fs::create_dir(root.join("d/locked/theirs")).unwrap();
    fs::write(root.join("d/locked/theirs/file"), "").unwrap();
    let made = child::unprivileged("leaves_a_stage", &[("PLACE", place.path().as_os_str())]).unwrap();
    assert!(run_to_end(made));
    let stage = names(place.path()).into_iter().find(|name| name.starts_with(".layercage-")).unwrap();
    let tree = place.path().join(stage).join("rootfs");
    fs::remove_dir_all(tree.join("etc")).unwrap();
    fs::create_dir(tree.join("theirs")).unwrap();
    fs::write(tree.join("theirs/file"), "").unwrap();
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o500)).unwrap();
    let before = tree::list(place.path());
    child::expect_success(command);
    assert_same(&before, &tree::list(place.path()), "after all that failed");
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn makes_a_full_directory() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    fs::create_dir(place.join("root")).unwrap();
    let mut rootfs = Rootfs::over(&open(&place.join("root"))).unwrap();
    let bytes = full().file("other", b"").dir(".").build();
    Unpacker::new(Policy::default()).apply(Layer::new(&bytes[..]), &mut rootfs).unwrap();
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn meets_somebody_elses() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    let times = fs::metadata(&place).unwrap().modified().unwrap();
    for (change, _) in changes() {
        let mut rootfs = Rootfs::over(&open(&place.join("root"))).unwrap();
        let failed = Unpacker::new(Policy::default()).apply(Layer::new(&change.build()[..]), &mut rootfs).unwrap_err();
        assert_eq!(failed.blame(), layercage::error::Blame::System, "{failed}");
    }
    // A staging directory that cannot be removed is nobody's business now.
    drop(Staged::beside(&open(&place), "rootfs").unwrap());
    fs::File::open(&place).unwrap().set_modified(times).unwrap();
}

#[test]
fn what_nobody_looks_through_is_old_or_new_and_never_both() {
    let Some(command) = child::mounting("meets_a_mount_while_it_stages", &[("LAYERCAGE_CHILD", "1".as_ref())]) else {
        return;
    };
    child::expect_success(command);
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn meets_a_mount_while_it_stages() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let unpacker = Unpacker::new(Policy::default());
    for lower in [layer().dir("d/m"), full()] {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        let stage = place.path().join(&names(place.path())[0]).join("rootfs");
        unpacker.apply(Layer::new(&lower.build()[..]), staged.rootfs()).unwrap();
        let before = tree::list(&stage);
        // Names are removed in the order in which the file system lists them. If the mount is the first, nothing of the
        // directory is gone when it is met: the directory goes back.
        let goes_back = names(&stage.join("d"))[0] == "m";
        assert!(run("mount", &["-t", "tmpfs", "none", stage.join("d/m").to_str().unwrap()]));
        let new = layer().file("d", b"new").build();
        let refused = unpacker.apply(Layer::new(&new[..]), staged.rootfs()).unwrap_err();
        assert_eq!(refused.rule_id(), Some("mount-crossed"), "{refused}");
        if goes_back {
            assert!(run("umount", &[stage.join("d/m").to_str().unwrap()]));
            assert_same(&before, &tree::list(&stage), "it went back");
        } else {
            assert_eq!(fs::read(stage.join("d")).unwrap(), b"new");
        }
    }
}

#[test]
fn a_dead_stage_with_a_mount_in_it_stops_nobody() {
    let Some(command) = child::mounting("meets_a_dead_stage_with_a_mount", &[("LAYERCAGE_CHILD", "1".as_ref())]) else {
        return;
    };
    child::expect_success(command);
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn meets_a_dead_stage_with_a_mount() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    for inside in ["rootfs/proc", "rootfs", ""] {
        let place = tempfile::tempdir().unwrap();
        let dead = dead_stage(place.path());
        fs::create_dir_all(dead.join(inside)).unwrap();
        assert!(run("mount", &["-t", "tmpfs", "none", dead.join(inside).to_str().unwrap()]));
        fs::write(dead.join(inside).join("theirs"), "").unwrap();
        Staged::beside(&open(place.path()), "rootfs").unwrap().commit(vec![]).unwrap();
        assert!(dead.join(inside).join("theirs").exists() && place.path().join("rootfs").exists());
        assert!(run("umount", &[dead.join(inside).to_str().unwrap()]));
        drop(Staged::beside(&open(place.path()), "other").unwrap());
        assert_eq!(names(place.path()), ["rootfs"]);
    }
}

#[test]
fn what_looks_like_a_dead_run_but_came_from_an_archive_stays() {
    let world = World::new();
    let run = ".layercage-run-0123456789abcdef";
    let path = [&3_u32.to_le_bytes()[..], b"etc"].concat();
    let lower = layer()
        .dir("etc")
        .file("etc/.lc-0123456789abcdef-1", b"theirs")
        .dir(run)
        .file(&format!("{run}/layercage"), b"")
        .file(&format!("{run}/place"), &path)
        .dir(".");
    world.apply(&[lower], &Policy::default()).unwrap();
    let before = tree::list(&world.root());
    world.apply(&[layer().dir("etc")], &Policy::default()).unwrap();
    assert_same(&before, &tree::list(&world.root()), "a directory that an archive brought");
}

#[test]
fn an_empty_directory_that_a_layer_brought_is_not_taken_for_a_dead_run() {
    let world = World::new();
    let run = ".layercage-run-0123456789abcdef";
    for bits in [0o700, 0o755, 0o000] {
        world.apply(&[layer().dir_with(run, &mode(bits)).dir(".")], &Policy::default()).unwrap();
        let before = tree::list(&world.root());
        world.apply(&[layer().dir("etc").file("etc/a", b"").whiteout("etc")], &Policy::default()).unwrap();
        world.apply(&[layer().dir(".").whiteout("etc")], &Policy::default()).unwrap();
        assert_same(&before, &tree::list(&world.root()), "a layer's directory with the name of a run");
    }
    tree::unlock(&world.root());
}

/// Bytes, before the last of which something is done.
struct Interrupted<'a> {
    bytes: &'a [u8],
    left: usize,
    then: Option<Box<dyn FnOnce() + 'a>>,
}

impl std::io::Read for Interrupted<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.bytes.len() <= self.left
            && let Some(then) = self.then.take()
        {
            then();
        }
        let most = if self.then.is_some() { self.bytes.len() - self.left } else { self.bytes.len() };
        let bytes = most.min(out.len());
        let (now, later) = self.bytes.split_at(bytes);
        out[..bytes].copy_from_slice(now);
        self.bytes = later;
        Ok(bytes)
    }
}

/// Applies a layer that replaces `etc/file`, and does something when that is done and the end is still to come.
fn replace_and_then<'a>(root: &Path, then: impl FnOnce() + 'a) {
    // So much that no buffer holds it all.
    let bytes = layer().file("etc/file", b"new").file("large", &vec![7; 8 << 20]).build();
    let reader = Interrupted { bytes: &bytes, left: 1 << 20, then: Some(Box::new(then)) };
    let mut rootfs = Rootfs::over(&open(root)).unwrap();
    Unpacker::new(Policy::default()).session().apply_local(Layer::new(reader), &mut rootfs).unwrap();
}

/// Runs in a process of its own, which ends in the middle.
#[test]
#[ignore = "started by the test below"]
fn leaves_a_run() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    replace_and_then(place.as_ref(), || std::process::exit(0));
}

/// The directories of runs in a tree.
fn runs(root: &Path) -> Vec<String> {
    names(root).into_iter().filter(|name| name.starts_with(".layercage-run-")).collect()
}

#[test]
fn the_next_run_removes_what_a_dead_one_left_and_takes_no_copy_for_it() {
    let world = World::new();
    world.apply(&[layer().file("etc/file", b"old").dir("etc").dir(".")], &Policy::default()).unwrap();
    assert!(child::run("leaves_a_run", &[("PLACE", world.root().as_os_str())]));
    let dead = runs(&world.root());
    assert_eq!(dead.len(), 1);
    let digits = dead[0].strip_prefix(".layercage-run-").unwrap();
    let copied_digits = "0123456789abcdef";
    let copy = format!(".layercage-run-{copied_digits}");
    assert!(run(
        "cp",
        &["-a", world.root().join(&dead[0]).to_str().unwrap(), world.root().join(&copy).to_str().unwrap()]
    ));
    for digits in [digits, copied_digits] {
        fs::create_dir(world.root().join(format!("etc/.lc-{digits}-1"))).unwrap();
        fs::write(world.root().join(format!("etc/.lc-{digits}-2")), "").unwrap();
        // Whoever owns the directory gave it that name: the dead run knows of no tree.
        fs::create_dir_all(world.root().join(format!("etc/.lc-{digits}-3/precious"))).unwrap();
    }
    fs::remove_file(world.root().join("large")).unwrap();
    world.apply(&[layer().dir("etc").dir(".")], &Policy::default()).unwrap();
    assert_eq!(runs(&world.root()), [copy]);
    let mut left = names(&world.root().join("etc"));
    left.sort();
    let mut expected: Vec<_> = (1..=3).map(|number| format!(".lc-{copied_digits}-{number}")).collect();
    expected.extend([format!(".lc-{digits}-3"), "file".to_owned()]);
    expected.sort();
    assert_eq!(left, expected);
    assert!(world.root().join(format!("etc/.lc-{digits}-3/precious")).exists());
    assert_eq!((world.mtime("etc"), world.mtime("")), ((1_000_000_000, 0), (1_000_000_000, 0)));
}

#[test]
fn temporary_names_are_gone_after_a_layer_whatever_came_of_it() {
    let world = World::new();
    let lower = full().file("other", b"1").symlink("link", "x").dir_with("p", &mode(0o1777)).file("p/q/r", b"");
    let upper = layer().file("other", b"2").file("link", b"2").file("d", b"2").dir("p/q").file("p/q/r", b"").opaque("");
    world.apply(&[lower, upper.clone()], &Policy::default()).unwrap();
    let listing = tree::list(&world.root());
    let names: Vec<_> = listing.keys().map(|name| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, [".", "d", "link", "other", "p", "p/q", "p/q/r"]);
    world.apply(&[upper.file("../x", b"")], &Policy::default()).unwrap_err();
    assert_same(&listing, &tree::list(&world.root()), "a layer that is refused at its end");
}

#[test]
fn a_root_or_parent_that_we_may_not_use_is_named() {
    let place = tempfile::tempdir().unwrap();
    for (name, bits) in [("closed", 0o000), ("read-only", 0o555)] {
        let path = place.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
    }
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if is_root("whoever owns a directory may open it up") {
        let variables = [("PLACE", place.path().as_os_str())];
        if let Some(command) = child::unprivileged("is_told_what_it_may_not_use", &variables) {
            child::expect_success(command);
        }
    }
    // Its owner could not remove it otherwise.
    fs::set_permissions(place.path().join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn is_told_what_it_may_not_use() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    for name in ["closed", "read-only"] {
        let refused = Staged::beside(&open(&place.join(name)), "rootfs").unwrap_err();
        assert_eq!(refused.blame(), layercage::error::Blame::System);
        assert!(refused.to_string().contains("to be filled and then called \"rootfs\""), "{refused}");
    }
    let refused = Rootfs::over(&open(&place.join("closed"))).unwrap_err();
    assert_eq!(refused.blame(), layercage::error::Blame::System);
    assert!(refused.to_string().contains("the root of the tree"), "{refused}");
    let file = layer().file("a", b"").build();
    let mut rootfs = Rootfs::over(&open(&place.join("read-only"))).unwrap();
    let refused = Unpacker::new(Policy::default()).apply(Layer::new(&file[..]), &mut rootfs).unwrap_err();
    assert_eq!(refused.blame(), layercage::error::Blame::System, "{refused}");
}

#[test]
fn a_directory_that_cannot_be_moved_is_removed_where_it_is() {
    let Some(command) = child::mounting("replaces_on_an_overlay", &[("LAYERCAGE_CHILD", "1".as_ref())]) else {
        return;
    };
    child::expect_success(command);
}

/// Runs in a process of its own, which may mount: overlayfs moves no directory of a lower layer.
#[test]
#[ignore = "started by the test above"]
fn replaces_on_an_overlay() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    for (change, kind) in changes() {
        let world = World::new();
        world.apply(&[full().file("other", b"")], &Policy::default()).unwrap();
        let place = tempfile::tempdir().unwrap();
        let [upper, work, merged] = ["upper", "work", "merged"].map(|name| place.path().join(name));
        [&upper, &work, &merged].iter().for_each(|path| fs::create_dir(path).unwrap());
        let [lower, upper, work] = [&world.root(), &upper, &work].map(|path| path.to_str().unwrap().to_owned());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=off");
        if !run("mount", &["-t", "overlay", "-o", &options, "none", merged.to_str().unwrap()]) {
            skip("no overlay can be mounted here");
            return;
        }
        let mut rootfs = Rootfs::over(&open(&merged)).unwrap();
        Unpacker::new(Policy::default()).apply(Layer::new(&change.build()[..]), &mut rootfs).unwrap();
        drop(rootfs);
        let left: Vec<_> = names(&merged).into_iter().filter(|name| name != "other").collect();
        assert_eq!(left, if kind.is_empty() { vec![] } else { vec!["d"] });
        assert!(!merged.join("d").is_dir());
        assert!(run("umount", &[merged.to_str().unwrap()]));
        drop(fs::set_permissions(place.path().join("work/work"), fs::Permissions::from_mode(0o700)));
    }
}

#[test]
fn an_opaque_root_leaves_the_mark_of_another_run_that_is_alive() {
    let world = World::new();
    world.apply(&[layer().file("etc/file", b"old").file("lower", b"")], &Policy::default()).unwrap();
    replace_and_then(&world.root(), || {
        let alive = runs(&world.root());
        assert_eq!(alive.len(), 1);
        world.apply(&[layer().opaque("").file("etc/file", b"")], &Policy::default()).unwrap();
        assert_eq!(runs(&world.root()), alive);
        assert!(!world.root().join("lower").exists());
    });
    assert_eq!(runs(&world.root()), [""; 0]);
}

#[test]
fn a_directory_that_a_layer_brought_is_no_mark_whoever_locks_it() {
    use rustix::fs::{FlockOperation, flock};
    let run = ".layercage-run-0123456789abcdef";
    let opaque = || layer().file("a", b"").opaque("");
    // What applies, and whether the lower directory and what is in it are to be there then.
    let rows = [
        (opaque(), (false, false)),
        (opaque().dir(run), (true, false)),
        (layer().dir(run).opaque(run), (true, false)),
        (layer().whiteout(run), (false, false)),
        (layer().whiteout(&format!("{run}/inside/file")), (true, true)),
    ];
    for bits in [0o755, 0o700] {
        for (upper, expected) in rows.clone() {
            let world = World::new();
            // Everything but a mark, which no layer can bring.
            let lower = layer().dir_with(run, &mode(bits)).file(&format!("{run}/inside/file"), b"");
            let lower = lower.file(&format!("{run}/place"), b"").file(&format!("{run}/layercage"), b"");
            world.apply(&[lower], &Policy::default()).unwrap();
            let path = world.root().join(run);
            let lock = fs::File::open(&path).unwrap();
            flock(&lock, FlockOperation::LockExclusive).unwrap();
            world.apply(&[upper], &Policy::default()).unwrap();
            assert_eq!((path.exists(), path.join("inside").exists()), expected, "{bits:o}");
            assert!(!path.join("inside/file").exists());
        }
    }
}

#[test]
fn a_run_that_lacks_descriptors_leaves_nothing() {
    for test in ["runs_out_of_descriptors", "competes_for_descriptors", "drops_a_stage_without_descriptors"] {
        let place = tempfile::tempdir().unwrap();
        if is_root("being somebody else") {
            chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        // Somebody who is not root meets closed directories, which take more descriptors.
        let Some(command) = child::unprivileged(test, &[("PLACE", place.path().as_os_str())]) else { return };
        child::expect_success(command);
        assert_eq!(names(place.path()), [""; 0], "{test}");
    }
}

fn limit_descriptors() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum: Some(200) }).unwrap();
}

/// Deep and wide, and closed: all that takes descriptors when it is removed.
fn hard_to_remove() -> Vec<u8> {
    let deep = (1..=20).fold(layer(), |layer, depth| layer.dir(&"d/".repeat(depth)));
    let deep = (1..=20).rev().fold(deep.file("d/d/d/d/d/file", b""), |layer, depth| {
        layer.dir_with(&"d/".repeat(depth), &mode(if depth % 2 == 0 { 0o000 } else { 0o500 }))
    });
    let wide = |layer, number| {
        ["a", "b", "c"]
            .iter()
            .fold(layer, |layer: LayerBuilder, name| layer.file(&format!("w{number}/{name}/{name}/{name}/file"), b"x"))
    };
    (0..3).fold(deep, wide).build()
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn runs_out_of_descriptors() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    let (layer, unpacker) = (hard_to_remove(), Unpacker::new(Policy::default()));
    limit_descriptors();
    // Each run fails with what the one before left it of descriptors, however many these are.
    let mut held: Vec<_> = (0..150).map(|_| fs::File::open("/dev/null").unwrap()).collect();
    let mut failures = [0, 0];
    while let Ok(parent) = cap_std::fs::Dir::open_ambient_dir(&place, cap_std::ambient_authority()) {
        match Staged::beside(&parent, "rootfs") {
            Ok(mut staged) => {
                if unpacker.apply(Layer::new(&layer[..]), staged.rootfs()).is_err() {
                    failures[0] += 1;
                }
                drop(staged);
            }
            Err(_) => failures[1] += 1,
        }
        drop(parent);
        assert_eq!(names(&place), [""; 0], "with {} descriptors held", held.len());
        held.push(fs::File::open("/dev/null").unwrap());
    }
    eprintln!("{failures:?} failed while filling and while beginning");
    assert!(failures[0] > 0 && failures[1] > 0);
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn competes_for_descriptors() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    let layer = hard_to_remove();
    limit_descriptors();
    let parent = open(&place);
    let failures = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for number in 0..195 {
            let (layer, parent, failures) = (&layer, &parent, &failures);
            scope.spawn(move || {
                let unpack = || {
                    let mut staged = Staged::beside(parent, format!("{number}"))?;
                    Unpacker::new(Policy::default()).apply(Layer::new(&layer[..]), staged.rootfs()).map(drop)
                };
                failures.fetch_add(u32::from(unpack().is_err()), Ordering::Relaxed);
            });
        }
    });
    eprintln!("{failures:?} of 195 failed");
    assert!(failures.into_inner() > 0);
}

/// Runs in a process of its own, not as root: a stage that can only use the descriptors that it has reserved.
#[test]
#[ignore = "started by the test above"]
fn drops_a_stage_without_descriptors() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    fs::create_dir(place.join("other")).unwrap();
    limit_descriptors();
    let mut staged = Staged::beside(&open(&place), "rootfs").unwrap();
    Unpacker::new(Policy::default()).apply(Layer::new(&hard_to_remove()[..]), staged.rootfs()).unwrap();
    // The tree's own descriptors stay in use. Those of the one in its place are freed first: one for its root.
    let rootfs = std::mem::replace(staged.rootfs(), Rootfs::over(&open(&place.join("other"))).unwrap());
    let mut held = Vec::new();
    held.extend(std::iter::from_fn(|| fs::File::open("/dev/null").ok()));
    drop(staged);
    drop((held, rootfs));
    assert_eq!(names(&place), ["other"]);
    fs::remove_dir(place.join("other")).unwrap();
}

/// A sink around a staged tree that knows nothing of other threads. It drops `filler`, and reads it slowly, until the file
/// of that size was written to.
struct Around<'a> {
    rootfs: &'a mut Rootfs,
    place: &'a Path,
    is_ended: bool,
}

/// The size that a file of the staged tree may have.
const MOST: u64 = 4096;

impl Around<'_> {
    /// Whether another thread has written to the large file, as far as it may.
    fn is_written(&self) -> bool {
        let stages = fs::read_dir(self.place).unwrap().map(|stage| stage.unwrap().path());
        let files = stages.flat_map(|stage| [stage.join("d/large"), stage.join("rootfs/d/large")]);
        files.filter_map(|file| fs::metadata(file).ok()).any(|metadata| metadata.len() == MOST)
    }
}

impl Sink for Around<'_> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.rootfs.begin_layer(layer)
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        if change.get().path.as_bytes() != b"filler" {
            return self.rootfs.change(change, data, reporter);
        }
        while data.next_piece()?.is_some() {
            if !self.is_written() {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        Ok(())
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.is_ended = true;
        self.rootfs.end_layer(checked)
    }
}

#[test]
fn what_goes_wrong_with_a_file_that_was_put_off_is_not_the_next_entrys_fault() {
    let variables = [("LAYERCAGE_CHILD", "1".as_ref())];
    child::expect_success(child::with_small_files("meets_a_file_that_is_too_large", &variables).unwrap());
}

/// Runs in a process of its own, in which no file may be larger than 4 KiB.
#[test]
#[ignore = "started by the test above"]
fn meets_a_file_that_is_too_large() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let large = layer().file("d/small", b"s").file("d/large", &[7; 20_000]);
    let rows = [
        // Other threads write it, for a sink around the tree, too.
        (large.clone().file("filler", &vec![7; 24 << 20]).file("d/next", b"n"), false, "at an entry"),
        // Whose target has not got its mode.
        (large.clone().hard_link("d/link", "d/large"), false, "at a hard link"),
        (large, true, "at the end"),
    ];
    for (layer, is_ended, found) in rows {
        let bytes = layer.build();
        for jobs in 2..=3 {
            let place = tempfile::tempdir().unwrap();
            let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
            let mut sink = Around { rootfs: staged.rootfs(), place: place.path(), is_ended: false };
            let policy = Policy::default().refuse(QuirkRule::HardLinkMetadata);
            let unpacker = Unpacker::new(policy).with_jobs(NonZeroUsize::new(jobs).unwrap());
            let error = unpacker.apply(Layer::new(&bytes[..]), &mut sink).unwrap_err();
            assert!(format!("{error:#}").starts_with(r#"write("d/large"): File too large"#), "{found}: {error}");
            assert_eq!((error.position(), sink.is_ended), (&Position::default(), is_ended), "{found}");
        }
    }
}
