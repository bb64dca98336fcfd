//! Replacing and removing what is there may fail: then it is there as it was.

use crate::child;
use crate::support::layer::{LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use crate::support::world::World;
use crate::support::{is_root, open};
use layercage::{
    Change, Checked, Chore, Fault, Judge, Judged, Layer, Policy, Position, QuirkRule, Rootfs, Sink, Source, Staged,
    Terms, Unpacker,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

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
            eprintln!("skipped: this file system has no such flags");
            return;
        }
        let before = tree::list(&world.root());
        let failed =
            world.apply(std::slice::from_ref(&change), &Policy::default()).map(drop).map_err(|error| error.blame());
        let after = tree::list(&world.root());
        assert!(run("chattr", &["-i", &fixed]));
        assert_eq!(failed, Err(layercage::Blame::System));
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
    let stage = place.path().join(".layercage-0123456789abcdef");
    fs::create_dir_all(stage.join("theirs")).unwrap();
    fs::write(stage.join("theirs/file"), "").unwrap();
    chown(&stage, Some(NOBODY), None).unwrap();
    fs::set_permissions(&stage, fs::Permissions::from_mode(0o500)).unwrap();
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
        assert_eq!(failed.blame(), layercage::Blame::System, "{failed}");
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
    // With nothing else in the directory none of it is gone when the mount is met: it goes back.
    for (lower, goes_back) in [(layer().dir("d/m"), true), (full(), false)] {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        let stage = place.path().join(&names(place.path())[0]).join("rootfs");
        unpacker.apply(Layer::new(&lower.build()[..]), staged.rootfs()).unwrap();
        let before = tree::list(&stage);
        assert!(run("mount", &["-t", "tmpfs", "none", stage.join("d/m").to_str().unwrap()]));
        let new = layer().file("d", b"new").build();
        let refused = unpacker.apply(Layer::new(&new[..]), staged.rootfs()).unwrap_err();
        assert_eq!(refused.rule_id(), Some("mount-crossed"), "{refused}");
        assert!(run("umount", &["-R", stage.join("d/m").to_str().unwrap()]) || !stage.join("d/m").exists());
        match stage.join("d").is_dir() {
            true => assert_same(&before, &tree::list(&stage), "it went back"),
            false => assert_eq!((fs::read(stage.join("d")).unwrap(), goes_back), (b"new".to_vec(), false)),
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
    for inside in ["proc", ""] {
        let place = tempfile::tempdir().unwrap();
        let dead = place.path().join(".layercage-0123456789abcdef");
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

    // What tells them apart is a socket, which no archive can bring.
    let socket = world.root().join(run).join("layercage");
    fs::remove_file(&socket).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    world.apply(&[layer().dir("etc")], &Policy::default()).unwrap();
    assert_eq!((world.kind("etc/.lc-0123456789abcdef-1"), world.kind(run)), ("", ""));
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
        assert_eq!(refused.blame().exit_code(), 1);
        assert!(refused.to_string().contains("to be filled and then called \"rootfs\""), "{refused}");
    }
    let refused = Rootfs::over(&open(&place.join("closed"))).unwrap_err();
    assert_eq!(refused.blame().exit_code(), 1);
    assert!(refused.to_string().contains("the root of the tree"), "{refused}");
    let file = layer().file("a", b"").build();
    let mut rootfs = Rootfs::over(&open(&place.join("read-only"))).unwrap();
    let refused = Unpacker::new(Policy::default()).apply(Layer::new(&file[..]), &mut rootfs).unwrap_err();
    assert_eq!(refused.blame().exit_code(), 1, "{refused}");
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
            eprintln!("skipped: no overlay can be mounted here");
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
    use rustix::fs::{FlockOperation, flock};
    let world = World::new();
    let run = world.root().join(".layercage-run-0123456789abcdef");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("place"), "").unwrap();
    let lock = fs::File::open(&run).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    world.apply(&[layer().opaque("").file("a", b"")], &Policy::default()).unwrap();
    assert!(run.join("place").exists());
    drop(lock);
    // Now it is no run's, but something that a layer may have brought.
    world.apply(&[layer().opaque("").file("a", b"")], &Policy::default()).unwrap();
    assert!(!run.exists());
}

/// A staged tree whose files somebody else finishes as soon as each is there, or nobody before the layer's end.
struct Helped<'a> {
    rootfs: &'a mut Rootfs,
    at_once: bool,
    chore: Option<Arc<dyn Chore>>,
}

impl Sink for Helped<'_> {
    fn begin_layer(&mut self, terms: &Terms) -> Result<(), Fault> {
        self.chore = self.rootfs.chore();
        self.rootfs.begin_layer(terms)
    }

    fn accept(&mut self, change: Judged<Change>, data: &mut dyn Source, judge: &mut Judge<'_>) -> Result<(), Fault> {
        let taken = self.rootfs.accept(change, data, judge);
        while self.at_once && self.chore.as_ref().unwrap().help() {}
        taken
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), Fault> {
        self.rootfs.end_layer(checked)
    }

    fn spool(&mut self) -> Result<Option<fs::File>, Fault> {
        self.rootfs.spool()
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
        (large.clone().file("d/next", b"n"), true, "at an entry"),
        // Whose target has not got its mode.
        (large.clone().hard_link("d/link", "d/large"), false, "at a hard link"),
        (large, true, "at the end"),
    ];
    for (layer, at_once, found) in rows {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        let mut sink = Helped { rootfs: staged.rootfs(), at_once, chore: None };
        let unpacker = Unpacker::new(Policy::default().refuse(QuirkRule::HardLinkMetadata));
        let error = unpacker.apply(Layer::new(&layer.build()[..]), &mut sink).unwrap_err();
        assert!(error.to_string().starts_with(r#"write("d/large"): File too large"#), "{found}: {error}");
        assert_eq!(*error.position(), Position::default(), "{found}");
    }
}
