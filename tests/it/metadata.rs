//! What an inode carries after layers were applied: modes and times, to the nanosecond and however deep.

use crate::skip::skip;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::tree;
use crate::support::world::World;
use layercage::Policy;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

fn apply(layers: &[LayerBuilder]) -> World {
    let world = World::new();
    world.apply(layers, &Policy::default()).unwrap();
    world.assert_untouched("metadata");
    world
}

#[test]
fn times_are_kept_to_the_nanosecond() {
    let at = |layer: LayerBuilder, time: &str| layer.record("mtime", time.as_bytes());
    let all = at(layer(), "1234567890.123456789").file("file", b"");
    let all = at(all, "1234567890.000000001").symlink("link", "x");
    let all = at(all, "-1.5").fifo("fifo");
    let all = at(all, "0.999999999").dir("dir").file("dir/file", b"");
    let world = apply(&[at(all, "7.25").dir(".")]);
    assert_eq!(world.mtime("file"), (1_234_567_890, 123_456_789));
    assert_eq!(world.mtime("link"), (1_234_567_890, 1));
    assert_eq!(world.mtime("fifo"), (-2, 500_000_000));
    assert_eq!(world.mtime("dir"), (0, 999_999_999));
    assert_eq!(world.mtime(""), (7, 250_000_000));
}

/// Times within and beyond what file systems hold, and with ever finer steps.
const TIMES: [&str; 11] = [
    "1234567890",
    "1234567891",
    "1234567890.5",
    "1234567890.123456789",
    "0",
    "-1.5",
    "-2147483649",
    "2147483647.5",
    "4354819200",
    "15032385536",
    "9223372036",
];

/// One of everything, for each time: also what nothing lists gets one, the epoch.
fn dated() -> LayerBuilder {
    let at = |layer: LayerBuilder, time: &str| layer.record("mtime", time.as_bytes());
    TIMES.iter().enumerate().fold(layer(), |layer, (number, time)| {
        let layer = at(layer, time).dir(&format!("d{number}"));
        let layer = at(layer, time).file(&format!("f{number}"), b"content");
        let layer = at(layer, time).symlink(&format!("l{number}"), "x");
        at(layer, time).fifo(&format!("p{number}")).file(&format!("d{number}/f"), b"")
    })
}

/// What is noted are the times that the tree does not have; says how many these are.
fn assert_noted_as_changed(root: &std::path::Path, report: &layercage::Report) -> usize {
    let mut changed = Vec::new();
    for (number, time) in TIMES.iter().enumerate() {
        let time: layercage::tar::Timestamp = time.parse().unwrap();
        for kind in ["d", "f", "l", "p"] {
            let path = format!("{kind}{number}");
            let metadata = fs::symlink_metadata(root.join(&path)).unwrap();
            if (metadata.mtime(), metadata.mtime_nsec()) != (time.seconds(), time.nanoseconds().into()) {
                let kept = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
                changed.push((path, vec![("asked", time.to_string()), ("kept", kept)]));
            }
        }
    }
    let noted = report.notes().iter().filter(|note| note.quirk.id() == "time-clamped");
    let path =
        |note: &layercage::rules::Note| note.position.path.as_ref().unwrap().to_string().trim_matches('"').to_owned();
    let noted: Vec<_> = noted.map(|note| (path(note), note.quirk.data())).collect();
    assert_eq!(noted.len() as u64, report.count("time-clamped"));
    assert_eq!(noted, changed);
    changed.len()
}

/// Whatever the file system of the tests is: some hold all of these, and most not the last ones.
#[test]
fn a_time_is_noted_if_and_only_if_the_file_system_changed_it() {
    let world = World::new();
    let applied = world.apply(&[dated()], &Policy::default()).unwrap();
    world.assert_untouched("times");
    assert_noted_as_changed(&world.root(), applied.report());
}

#[test]
fn a_time_that_the_file_system_cannot_hold_is_noted_or_refused() {
    let Some(command) = crate::child::mounting("applies_over_short_times", &[("LAYERCAGE_CHILD", "1".as_ref())]) else {
        return;
    };
    crate::child::expect_success(command);
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn applies_over_short_times() {
    use crate::support::{self, open};
    use layercage::{Layer, Rootfs, Staged, Unpacker};
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (disk, mount) = (place.path().join("disk"), place.path().join("mount"));
    // Of 128 bytes an inode has none for nanoseconds, or for years behind 2038.
    for (inode, changes) in [("128", 4 * 8), ("256", 4 * 2)] {
        fs::File::create(&disk).unwrap().set_len(8 << 20).unwrap();
        fs::create_dir(&mount).unwrap();
        let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
            std::process::Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        let made = run("mkfs.ext4", &["-q".as_ref(), "-I".as_ref(), inode.as_ref(), disk.as_ref()]);
        if !made || !run("mount", &["-o".as_ref(), "loop".as_ref(), disk.as_ref(), mount.as_ref()]) {
            skip(
                "it takes mkfs.ext4, root and a loop device (its twin: \
                 a_time_is_noted_if_and_only_if_the_file_system_changed_it)",
            );
            return;
        }
        let unpacker = |policy: &Policy| Unpacker::new(policy.clone());
        let apply = |name: &str, policy: &Policy, layer: LayerBuilder| {
            fs::create_dir(mount.join(name)).unwrap();
            let mut rootfs = Rootfs::over(&open(&mount.join(name))).unwrap();
            unpacker(policy).apply(Layer::new(&layer.build()[..]), &mut rootfs)
        };

        // A tree in use, and one that nobody sees yet, whose files get their times late.
        let applied = apply("seen", &Policy::default(), dated()).unwrap();
        assert_eq!(assert_noted_as_changed(&mount.join("seen"), applied.report()), changes, "{inode}");
        let bytes = dated().build();
        let mut staged = Staged::beside(&open(&mount), "staged").unwrap();
        let applied = unpacker(&Policy::default())
            .with_jobs(2.try_into().unwrap())
            .apply(Layer::new(&bytes[..]), staged.rootfs())
            .unwrap();
        let report = applied.report().clone();
        drop(staged);
        assert_eq!(report.notes(), apply("again", &Policy::default(), dated()).unwrap().report().notes());
        support::stage(&mount, &Policy::default(), &[dated()]);
        assert_eq!(assert_noted_as_changed(&mount.join("rootfs"), &report), changes, "{inode}");

        // Who wants no notes is refused it, and nothing of the entry stays.
        let late = || layer().record("mtime", b"99999999999").file("late", b"");
        let refused = apply("strict", &Policy::paranoid(), late()).unwrap_err();
        assert_eq!((refused.rule_id(), mount.join("strict/late").exists()), (Some("time-clamped"), false));
        assert!(refused.remedies().contains(&layercage::error::Remedy::ClampTimes));
        let clamped = Policy::paranoid().with_mtime(layercage::policy::Mtime::Clamp("2147483647".parse().unwrap()));
        assert_eq!(apply("clamped", &clamped, late()).unwrap().report().notes(), []);

        // Parents that nothing lists, and a root: what the caller gave them is noted, and what nobody gets is not.
        let epoch = Policy::default().with_epoch("99999999999".parse().unwrap());
        let applied = apply("implied", &epoch, layer().file("a/b/f", b"")).unwrap();
        assert_eq!(applied.report().count("time-clamped"), 2);
        for (number, (first, notes)) in [(layer().file("f", b""), 1), (layer().dir("."), 0)].into_iter().enumerate() {
            let mut staged = Staged::beside(&open(&mount), format!("root{number}")).unwrap();
            let bytes = first.build();
            let applied = unpacker(&epoch).apply(Layer::new(&bytes[..]), staged.rootfs()).unwrap();
            assert_eq!(applied.report().count("time-clamped"), notes);
            assert!(applied.report().notes().iter().all(|note| note.position.path.is_none()));
        }
        assert!(run("umount", &[mount.as_ref()]));
        fs::remove_dir(&mount).unwrap();
    }
}

#[test]
fn a_directory_has_the_time_of_the_last_entry_that_named_it() {
    let dated = |mtime| Attributes { mtime, ..mode(0o755) };
    let lower = layer().dir_with("d", &dated(1)).file("d/a", b"").file("d/sub/b", b"").dir_with("e", &dated(2));
    let world = apply(&[lower.clone(), layer().file("d/x", b"").whiteout("d/a").hard_link("e/l", "d/x")]);
    assert_eq!([world.mtime("d"), world.mtime("d/sub"), world.mtime("e")], [(1, 0), (0, 0), (2, 0)]);
    let world = apply(&[lower.clone(), layer().opaque("d").dir_with("d/sub", &dated(5)).file("d/sub/c", b"")]);
    assert_eq!([world.mtime("d"), world.mtime("d/sub")], [(1, 0), (5, 0)]);
    let world = apply(&[lower.clone(), layer().dir_with("d", &dated(8)), layer().dir("d/sub").file("e", b"")]);
    assert_eq!([world.mtime("d"), world.mtime("d/sub")], [(8, 0), (1_000_000_000, 0)]);
    let world = apply(&[lower, layer().file("n/e/w", b"")]);
    assert_eq!([world.mtime("n"), world.mtime("n/e")], [(0, 0), (0, 0)]);
    assert_eq!((world.mode("n"), world.mode("n/e")), (0o755, 0o755));
}

#[test]
fn a_refused_layer_leaves_directories_their_modes_and_times() {
    let world = World::new();
    let lower = layer().dir_with("d", &Attributes { mtime: 3, ..mode(0o555) }).file("d/a", b"");
    world.apply(&[lower, layer().file("d/new", b"").file("../x", b"")], &Policy::default()).unwrap_err();
    assert_eq!((world.mode("d"), world.mtime("d")), (0o555, (3, 0)));
}

/// More directories than are held open, each entered again and again.
#[test]
fn more_directories_than_are_held_open_keep_modes_and_times() {
    const MODES: [u32; 4] = [0o755, 0o500, 0o1777, 0o070];
    let attributes = |number: u32| Attributes { mtime: number.into(), ..mode(MODES[number as usize % 4]) };
    let directories =
        (0..250).fold(layer(), |layer, number| layer.dir_with(&format!("d{number}"), &attributes(number)));
    let rounds = (0..3).fold(directories, |layer, round| {
        (0..250).fold(layer, |layer, number| layer.file(&format!("d{number}/{round}"), b""))
    });
    let later = (0..250)
        .rev()
        .fold(layer(), |layer, number| layer.whiteout(&format!("d{number}/1")).file(&format!("d{number}/s/f"), b""));
    let world = apply(&[rounds, later]);
    for number in 0..250 {
        let path = format!("d{number}");
        assert_eq!((world.mode(&path), world.mtime(&path)), (MODES[number as usize % 4], (number.into(), 0)), "{path}");
    }
    let listing = tree::list(&world.root());
    assert_eq!(listing.len(), 1 + 250 * 5);
    assert_eq!(listing[&b"d7/s"[..]]["mtime"], "0.000000000");
}

#[test]
fn every_level_of_a_deep_path_keeps_its_mode_and_time() {
    let path = |depth: usize| vec!["x"; depth].join("/");
    let modes = |depth: usize| if depth.is_multiple_of(3) { 0o500 } else { 0o755 };
    let dated = |depth: usize| Attributes { mtime: depth as u64, ..mode(modes(depth)) };
    let deep = (1..=300).fold(layer(), |layer, depth| layer.dir_with(&path(depth), &dated(depth)));
    let world =
        apply(&[deep, layer().file(&format!("{}/file", path(300)), b"").file(&format!("{}/file", path(150)), b"")]);
    for depth in 1..=300 {
        let path = path(depth);
        assert_eq!((world.mode(&path), world.mtime(&path)), (modes(depth), (depth as i64, 0)), "{depth}");
    }
}

#[test]
fn a_path_of_2048_levels_is_made_and_removed_again() {
    let deepest = format!("{}f", "a/".repeat(2047));
    let world = apply(&[layer().file(&deepest, b"!")]);
    assert_eq!(world.mode("a/a/a"), 0o755);
    let world = apply(&[layer().file(&deepest, b"!"), layer().whiteout("a")]);
    assert_eq!(world.kind("a"), "");
    let world = apply(&[layer().file(&deepest, b"!"), layer().file("a", b"!")]);
    assert_eq!(world.kind("a"), "file");
}

/// Deeper than any name reaches, and than handles may be open.
#[test]
fn a_tree_of_3000_levels_is_removed_with_few_handles() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let world = World::new();
    let open = |at: std::os::fd::BorrowedFd<'_>, name: &str| {
        openat(at, name, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap()
    };
    let mut at = open(CWD, world.root().to_str().unwrap());
    for level in 0..3000 {
        mkdirat(&at, "deep", Mode::from_raw_mode(0o755)).unwrap();
        at = open(std::os::fd::AsFd::as_fd(&at), "deep");
        if level % 100 == 0 {
            drop(openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o600)).unwrap());
        }
    }
    drop(at);
    let status = crate::child::run("removes_a_deep_tree_with_few_handles", &[("WORLD", world.root().as_os_str())]);
    assert!(status, "the child failed");
    assert_eq!(fs::read_dir(world.root()).unwrap().count(), 0);
}

/// Runs in a process of its own, since the limit is the process's.
#[test]
#[ignore = "started by the test above"]
fn removes_a_deep_tree_with_few_handles() {
    use layercage::{Layer, Rootfs, Unpacker};
    let Some(root) = std::env::var_os("WORLD") else { return };
    let few = rustix::process::Rlimit { current: Some(192), maximum: Some(192) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let mut rootfs = Rootfs::over(&crate::support::open(root.as_ref())).unwrap();
    // So many directories are held while it is removed.
    let mut busy = (0..100).fold(layer(), |layer, number| layer.file(&format!("d{number}/f"), b""));
    busy = (0..100).fold(busy.whiteout("deep"), |layer, number| layer.whiteout(&format!("d{number}")));
    Unpacker::new(Policy::default()).apply(Layer::new(&busy.build()[..]), &mut rootfs).unwrap();
    let empty = layer().opaque("").build();
    Unpacker::new(Policy::default()).apply(Layer::new(&empty[..]), &mut rootfs).unwrap();
}

#[test]
fn an_entry_over_a_directory_takes_attributes_away() {
    let with = Attributes { xattrs: vec![("user.a", b"1"), ("user.b", b"2")], ..mode(0o700) };
    let less = Attributes { xattrs: vec![("user.b", b"3")], ..mode(0o711) };
    let world = apply(&[layer().dir_with("d", &with).file("d/x", b""), layer().dir_with("d", &less)]);
    let listing = tree::list(&world.root());
    let d = &listing[&b"d"[..]];
    assert_eq!((d.get("xattr.user.a"), d["xattr.user.b"].as_str(), d["mode"].as_str()), (None, "33", "0711"));
    assert!(listing.contains_key(&b"d/x"[..]));
}

/// An ACL as Linux stores it: the owner, a named user, the group, the mask and others.
pub(crate) fn acl(named: u16, mask: u16) -> Vec<u8> {
    let entries =
        [(1_u16, 7_u16, u32::MAX), (2, named, 12345), (4, 5, u32::MAX), (16, mask, u32::MAX), (32, 5, u32::MAX)];
    let entry = |(tag, permissions, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2_u32.to_le_bytes().to_vec(), entries.into_iter().flat_map(entry).collect()].concat()
}

#[test]
fn the_mode_is_set_after_an_acl() {
    let wide = acl(7, 7);
    let with = |bits| Attributes { xattrs: vec![("system.posix_acl_access", &wide[..])], ..mode(bits) };
    let lower =
        layer().dir_with("old", &mode(0o755)).dir_with("new", &with(0o700)).file_with("file", b"", &with(0o640));
    let world = apply(&[lower, layer().dir_with("old", &with(0o755)).dir_with("later", &with(0o750))]);
    assert_eq!(
        [world.mode("old"), world.mode("new"), world.mode("file"), world.mode("later")],
        [0o755, 0o700, 0o640, 0o750]
    );
}

#[test]
fn what_a_layer_makes_inherits_nothing_from_its_own_directories() {
    let default = acl(7, 7);
    let parent = Attributes { xattrs: vec![("system.posix_acl_default", &default[..])], ..mode(0o2755) };
    let all = layer()
        .dir_with("p", &parent)
        .file("p/file", b"")
        .dir("p/dir")
        .fifo("p/fifo")
        .symlink("p/link", "x")
        .file("p/implied/x", b"");
    for layers in [vec![all.clone()], vec![layer().dir_with("p", &parent), all]] {
        let world = apply(&layers);
        let listing = tree::list(&world.root());
        assert_eq!(world.mode("p"), 0o2755);
        for (name, bits) in [("file", 0o644), ("dir", 0o755), ("fifo", 0o644), ("implied", 0o755), ("implied/x", 0o644)]
        {
            let path = format!("p/{name}");
            assert_eq!(world.mode(&path), bits, "{path}");
            assert!(
                !listing[path.as_bytes()].keys().any(|field| field.contains("acl")),
                "{path}: {:?}",
                listing[path.as_bytes()]
            );
        }
        assert!(xattrs(&world, "p/fifo").is_empty(), "the FIFO has an ACL");
    }
}

fn xattrs(world: &World, path: &str) -> Vec<u8> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(world.root().join(path), &mut names[..]).unwrap_or(0);
    names.truncate(length);
    names
}

#[test]
fn a_file_that_is_not_its_own_directory_s_group_keeps_its_group() {
    let world = World::new();
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o2755)).unwrap();
    world.apply(&[layer().file("f", b"").fifo("p").file("d/x", b"")], &Policy::default()).unwrap();
    let gid = rustix::process::getegid().as_raw();
    for path in ["f", "p", "d", "d/x"] {
        assert_eq!((world.metadata(path).gid(), world.mode(path) & 0o2000), (gid, 0), "{path}");
    }
}
