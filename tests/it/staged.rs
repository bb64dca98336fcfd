//! All or nothing: nothing is visible before everything is proven.

mod failed;
mod file;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod paths;
mod private;
mod replaced;

use crate::child;
use crate::skip::skip;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::{is_root, open, sha256, tree};
use layercage::error::Misuse;
use layercage::policy::Durability;
use layercage::{Expected, Layer, Policy, Rootfs, Staged, Unpacker};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn names(path: &Path) -> Vec<String> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_tree_is_visible_after_its_commit_and_not_before() {
    let place = tempfile::tempdir().unwrap();
    let bytes = LayerBuilder::new().file("etc/hostname", b"a\n").build();
    let layer = Layer::new(&bytes[..])
        .expecting(Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes)));
    let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
    let proof = Unpacker::new(Policy::default()).apply(layer, staged.rootfs()).unwrap().verified().unwrap();
    assert!(!place.path().join("rootfs").exists());
    staged.commit(vec![proof]).unwrap();
    assert_eq!(names(place.path()), ["rootfs"]);
    assert_eq!(fs::read(place.path().join("rootfs/etc/hostname")).unwrap(), b"a\n");
}

#[test]
fn any_handle_of_a_directory_will_do() {
    let place = tempfile::tempdir().unwrap();
    let bytes = LayerBuilder::new().file("etc/hostname", b"a\n").build();
    let unpacker = Unpacker::new(Policy::default());
    let fd = OwnedFd::from(fs::File::open(place.path()).unwrap());
    for (name, mut staged) in [
        ("cap-std", Staged::beside(open(place.path()), "cap-std").unwrap()),
        ("borrowed", Staged::beside(&open(place.path()), "borrowed").unwrap()),
        ("std", Staged::beside(fs::File::open(place.path()).unwrap(), "std").unwrap()),
        ("fd", Staged::beside(fd, "fd").unwrap()),
    ] {
        let layer = || Layer::new(&bytes[..]).expecting(Expected::unchecked().with_diff_id_alone(sha256(&bytes)));
        let proof = unpacker.apply(layer(), staged.rootfs()).unwrap().verified().unwrap();
        staged.commit(vec![proof]).unwrap();
        assert_eq!(fs::read(place.path().join(name).join("etc/hostname")).unwrap(), b"a\n");
        fs::remove_dir_all(place.path().join(name).join("etc")).unwrap();
        let mut again = Rootfs::over(fs::File::open(place.path().join(name)).unwrap()).unwrap();
        unpacker.apply(Layer::new(&bytes[..]), &mut again).unwrap();
        assert_eq!(fs::read(place.path().join(name).join("etc/hostname")).unwrap(), b"a\n");
    }
}

#[test]
fn a_synced_tree_is_on_the_disk_before_its_name_and_the_name_before_the_end() {
    let place = tempfile::tempdir().unwrap();
    let trace = place.path().join("trace");
    let test = child::command("commits_a_synced_tree", &[]);
    let mut traced = std::process::Command::new("strace");
    traced.args(["-f", "-e", "trace=syncfs,renameat2,fsync", "-o"]).arg(&trace);
    traced.arg(test.get_program()).args(test.get_args()).env("PLACE", place.path());
    if !traced.output().is_ok_and(|output| output.status.success()) {
        skip("it needs strace");
        return;
    }
    let trace = fs::read_to_string(trace).unwrap();
    let calls = ["syncfs(", "renameat2(", "fsync("].map(|call| trace.matches(call).count());
    // Only the last of the trees is not synced.
    assert_eq!(calls, [3, 4, 3], "{trace}");
    let mut rest = trace.as_str();
    for call in ["syncfs(", "renameat2(", "fsync("].repeat(3) {
        (_, rest) = rest.split_once(call).unwrap_or_else(|| panic!("no {call} in its place\n{trace}"));
    }
    assert!(rest.contains("renameat2(") && !rest.contains("sync"), "{trace}");
}

/// Runs in a process of its own, to be traced.
#[test]
#[ignore = "started by the test above"]
fn commits_a_synced_tree() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    let staged = |name| Staged::beside(&open(place.as_ref()), name).unwrap();
    let bytes = LayerBuilder::new().file("a", b"a").build();
    let commit = |mut staged: Staged, policies: &[Durability]| {
        let proofs = policies.iter().map(|&durability| {
            let layer = Layer::new(&bytes[..])
                .expecting(Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes)));
            let unpacker = Unpacker::new(Policy::default().with_durability(durability));
            unpacker.apply(layer, staged.rootfs()).unwrap().verified().unwrap()
        });
        let proofs = proofs.collect();
        staged.commit(proofs).unwrap();
    };
    commit(staged("by_itself").with_durability(Durability::Synced), &[]);
    commit(staged("by_one_layer"), &[Durability::Kernel, Durability::Synced, Durability::Kernel]);
    commit(staged("raised").with_durability(Durability::Synced), &[Durability::Kernel]);
    commit(staged("other"), &[Durability::Kernel]);
}

#[test]
fn what_is_not_proven_is_not_committed() {
    let place = tempfile::tempdir().unwrap();
    let bytes = LayerBuilder::new().file("a", b"a").build();
    let unpacker = Unpacker::new(Policy::default());
    let proven = || {
        Layer::new(&bytes[..])
            .expecting(Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes)))
    };

    let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
    let applied = unpacker
        .apply(Layer::new(&bytes[..]).expecting(Expected::unchecked().with_digest(sha256(&bytes))), staged.rootfs())
        .unwrap();
    let unproven = applied.verified().unwrap_err();
    assert!(matches!(unproven.misuse(), Some(Misuse::Unproven { .. })), "{unproven}");

    let proof = unpacker.apply(proven(), Staged::beside(&open(place.path()), "other").unwrap().rootfs()).unwrap();
    let proof = proof.verified().unwrap();
    let refused = staged.commit(vec![proof.clone()]).unwrap_err();
    assert!(matches!(refused.misuse(), Some(Misuse::ProofsDoNotMatch { .. })), "{refused}");

    let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
    unpacker.apply(proven(), staged.rootfs()).unwrap();
    unpacker.apply(Layer::new(&bytes[..600]), staged.rootfs()).unwrap_err();
    let refused = staged.commit(vec![proof]).unwrap_err();
    assert!(refused.misuse() == Some(&Misuse::Poisoned), "{refused}");
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn the_proofs_of_one_tree_do_not_make_another_visible() {
    let place = tempfile::tempdir().unwrap();
    let (good, bad) = (LayerBuilder::new().file("good", b"").build(), LayerBuilder::new().file("bad", b"").build());
    let unpacker = Unpacker::new(Policy::default());
    let layer =
        Layer::new(&good[..]).expecting(Expected::blob(sha256(&good), good.len() as u64).with_diff_id(sha256(&good)));
    let mut proven = Staged::beside(&open(place.path()), "proven").unwrap();
    let proof = unpacker.apply(layer, proven.rootfs()).unwrap().verified().unwrap();
    let mut unproven = Staged::beside(&open(place.path()), "unproven").unwrap();
    unpacker.apply(Layer::new(&bad[..]), unproven.rootfs()).unwrap();
    std::mem::swap(proven.rootfs(), unproven.rootfs());
    for staged in [unproven, proven] {
        let refused = staged.commit(vec![proof.clone()]).unwrap_err();
        assert!(refused.misuse() == Some(&Misuse::ForeignTree), "{refused}");
    }
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn a_target_is_one_component() {
    let place = tempfile::tempdir().unwrap();
    for name in ["", ".", "..", "a/b", "a/"] {
        let refused = Staged::beside(&open(place.path()), name).unwrap_err();
        assert!(matches!(refused.misuse(), Some(Misuse::NotAComponent { .. })), "{refused}");
    }
}

/// Has a process of its own begin a stage in a directory and end without removing it; gives the stage.
pub(crate) fn dead_stage(place: &Path) -> PathBuf {
    let before = names(place);
    assert!(child::run("leaves_a_stage", &[("PLACE", place.as_os_str())]));
    let mut new = names(place).into_iter().filter(|name| !before.contains(name));
    let stage = place.join(new.next().unwrap());
    assert_eq!(new.next(), None);
    stage
}

/// Runs in a process of its own, which ends in the middle.
#[test]
#[ignore = "started by other tests"]
fn leaves_a_stage() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    let layer = LayerBuilder::new().file("etc/hostname", b"a\n").build();
    let mut staged = Staged::beside(&open(place.as_ref()), "rootfs").unwrap();
    Unpacker::new(Policy::default()).apply(Layer::new(&layer[..]), staged.rootfs()).unwrap();
    std::process::exit(0);
}

/// The mark in a dead stage.
fn mark(stage: &Path) -> PathBuf {
    let mark = names(stage).into_iter().find(|name| name.starts_with("layercage-"));
    stage.join(mark.expect("a mark"))
}

/// Begins a stage, which removes what dead runs left, and drops it.
fn clean_up(place: &Path) {
    drop(Staged::beside(&open(place), "next").unwrap());
}

#[test]
fn what_dead_runs_left_is_removed_and_what_lives_is_not() {
    let place = tempfile::tempdir().unwrap();
    dead_stage(place.path());
    // A stage is one whatever its name is by now, as long as it is one of ours.
    fs::rename(dead_stage(place.path()), place.path().join(".layercage-0123456789abcdef")).unwrap();
    fs::create_dir(place.path().join(".layercage-mine")).unwrap();
    let alive = Staged::beside(&open(place.path()), "first").unwrap();
    let second = Staged::beside(&open(place.path()), "second").unwrap();
    let mut left = names(place.path());
    left.sort();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!left.contains(&".layercage-0123456789abcdef".to_owned()) && left.contains(&".layercage-mine".to_owned()));
    alive.commit(vec![]).unwrap();
    drop(second);
    let mut left = names(place.path());
    left.sort();
    assert_eq!(left, [".layercage-mine", "first"]);
}

const NAME: &str = ".layercage-0123456789abcdef";

#[test]
fn a_directory_that_a_rename_made_look_like_a_stage_stays() {
    use std::os::unix::net::UnixListener;
    // What a directory looks like that another user renames: ours, perhaps private, perhaps with sockets in it.
    let private = |stage: &Path| fs::set_permissions(stage, fs::Permissions::from_mode(0o700)).unwrap();
    let with_rootfs = |stage: &Path| fs::create_dir_all(stage.join("rootfs/precious")).unwrap();
    type Make<'a> = &'a dyn Fn(&Path, &Path);
    let rows: [(&str, Make<'_>); 10] = [
        ("a tree", &|stage, _| with_rootfs(stage)),
        ("an empty directory", &|stage, _| fs::create_dir(stage).unwrap()),
        ("an empty private directory", &|stage, _| {
            fs::create_dir(stage).unwrap();
            private(stage);
        }),
        ("a private tree", &|stage, _| {
            with_rootfs(stage);
            private(stage);
        }),
        ("a private tree with some socket", &|stage, _| {
            with_rootfs(stage);
            private(stage);
            drop(UnixListener::bind(stage.join("layercage")).unwrap());
        }),
        ("a copy of a stage", &|stage, dead| {
            let copied = std::process::Command::new("cp").arg("-a").args([dead, stage]).status();
            assert!(copied.unwrap().success() && mark(stage).exists());
        }),
        ("a private tree with the mark of a stage", &|stage, dead| {
            with_rootfs(stage);
            private(stage);
            fs::rename(mark(dead), stage.join(mark(dead).file_name().unwrap())).unwrap();
        }),
        ("a stage that others may enter", &|stage, dead| {
            fs::rename(dead, stage).unwrap();
            fs::set_permissions(stage, fs::Permissions::from_mode(0o711)).unwrap();
        }),
        ("a stage whose mark is a file", &|stage, dead| {
            fs::rename(dead, stage).unwrap();
            let mark = mark(stage);
            fs::remove_file(&mark).unwrap();
            fs::write(mark, "").unwrap();
        }),
        ("a stage whose mark has another name", &|stage, dead| {
            fs::rename(dead, stage).unwrap();
            fs::hard_link(mark(stage), stage.parent().unwrap().join("second")).unwrap();
        }),
    ];
    for (what, make) in rows {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir_in(place.path()).unwrap();
        let stage = place.path().join(NAME);
        make(&stage, &dead_stage(elsewhere.path()));
        let before = tree::list(place.path());
        clean_up(place.path());
        let differences = tree::differences(&before, &tree::list(place.path()));
        let differences: Vec<_> = differences.iter().filter(|line| line.contains(NAME)).collect();
        assert!(before.keys().any(|path| path == NAME.as_bytes()) && differences.is_empty(), "{what}: {differences:?}");
    }
}

#[test]
fn a_mark_that_is_somebody_elses_makes_no_stage() {
    if !is_root("giving a socket away (its twin: a_directory_that_a_rename_made_look_like_a_stage_stays)") {
        return;
    }
    for owned in ["stage", "mark"] {
        let place = tempfile::tempdir().unwrap();
        let stage = dead_stage(place.path());
        let theirs = if owned == "mark" { mark(&stage) } else { stage.clone() };
        std::os::unix::fs::lchown(&theirs, Some(65534), None).unwrap();
        clean_up(place.path());
        assert!(stage.join("rootfs/etc/hostname").exists(), "{owned}");
    }
}

#[test]
fn a_kill_between_a_directory_and_its_mark_leaves_nothing_either() {
    use std::os::unix::net::UnixListener;
    let socket = |path: PathBuf| drop(UnixListener::bind(path).unwrap());
    let guard = format!("{NAME}~");
    // What is there, and what of it stays.
    let rows: [(&[&str], bool, &[&str]); 6] = [
        (&[], true, &[]),
        (&[NAME], true, &[]),
        (&[NAME], false, &[NAME]),
        (&[NAME, ".layercage-0123456789abcdef/theirs"], true, &[NAME]),
        (&[".layercage-"], true, &[".layercage-"]),
        (&[".layercage-mine"], true, &[".layercage-mine"]),
    ];
    for (directories, guarded, expected) in rows {
        for bits in [0o700, 0o000, 0o755] {
            let place = tempfile::tempdir().unwrap();
            directories.iter().for_each(|name| fs::create_dir(place.path().join(name)).unwrap());
            if guarded {
                socket(place.path().join(&guard));
            }
            let first = directories.first().map(|name| place.path().join(name));
            first.iter().for_each(|path| fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap());
            clean_up(place.path());
            assert_eq!(names(place.path()), expected, "{directories:?} {guarded} {bits:o}");
            first.iter().for_each(|path| drop(fs::set_permissions(path, fs::Permissions::from_mode(0o700))));
        }
    }
    // A guard is a socket of ours, and no file that has its name.
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join(NAME)).unwrap();
    fs::write(place.path().join(&guard), "").unwrap();
    clean_up(place.path());
    assert_eq!(names(place.path()).len(), 2);
}

#[test]
fn what_somebody_else_puts_into_a_staging_directory_is_not_removed() {
    let place = tempfile::tempdir().unwrap();
    let staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
    let stage = stage(place.path());
    fs::create_dir_all(stage.join("theirs/inside")).unwrap();
    drop(staged);
    assert_eq!((stage.join("theirs/inside").exists(), stage.join("rootfs").exists()), (true, false));
    // It has its mark, so it goes when it can.
    fs::remove_dir_all(stage.join("theirs")).unwrap();
    // A process that another test is just starting has its lock until it runs its program.
    for _ in 0..500 {
        clean_up(place.path());
        if names(place.path()).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn no_target_and_no_image_has_the_name_of_a_stage() {
    let place = tempfile::tempdir().unwrap();
    for name in [NAME, ".layercage-run-0123456789abcdef"] {
        let refused = [
            Staged::beside(&open(place.path()), name).map(drop).unwrap_err(),
            #[cfg(feature = "image")]
            layercage::Image::open_at(&open(place.path()), name, layercage::Limits::default()).map(drop).unwrap_err(),
            #[cfg(feature = "image")]
            layercage::Image::open_ambient(place.path().join(name), cap_std::ambient_authority())
                .map(drop)
                .unwrap_err(),
        ];
        for refused in refused {
            assert!(matches!(refused.misuse(), Some(Misuse::ReservedName { .. })), "{refused}");
            assert_eq!(refused.blame(), layercage::error::Blame::Caller);
        }
    }
    for name in [".layercage-0123456789abcde", ".layercage-0123456789abcdeg", "x.layercage-0123456789abcdef"] {
        Staged::beside(&open(place.path()), name).unwrap().commit(vec![]).unwrap();
    }
    assert_eq!(names(place.path()).len(), 3);
}

/// Where a tree is staged: the only thing there that is hidden.
fn stage(place: &Path) -> PathBuf {
    let mut hidden = names(place).into_iter().filter(|name| name.starts_with(".layercage-"));
    let stage = place.join(hidden.next().unwrap());
    assert_eq!(hidden.next(), None);
    stage
}

#[test]
fn nobody_else_may_go_into_a_tree_that_is_staged() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o2777)).unwrap();
    let me = rustix::process::geteuid().as_raw();
    let somebody = if me == 0 { 65534 } else { me };
    let root = Attributes { uid: somebody, ..mode(0o1777) };
    let layer = LayerBuilder::new().dir_with(".", &root).file_with("id", b"#!", &mode(0o4755)).build();
    let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
    let keeps_out = |when: &str| {
        let found = fs::metadata(stage(place.path())).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid()), (0o700, me), "{when}");
    };
    keeps_out("before the first layer");
    let proven = Layer::new(&layer[..])
        .expecting(Expected::blob(sha256(&layer), layer.len() as u64).with_diff_id(sha256(&layer)));
    let proof = Unpacker::new(Policy::default()).apply(proven, staged.rootfs()).unwrap().verified().unwrap();
    keeps_out("after the root's own entry");
    staged.commit(vec![proof]).unwrap();
    let found = fs::metadata(place.path().join("rootfs")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o1777, somebody));
    assert_eq!(names(place.path()), ["rootfs"]);
}

#[test]
fn what_takes_the_place_of_a_staging_directory_is_neither_removed_nor_made_visible() {
    for commits in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let bytes = LayerBuilder::new().file("good", b"").build();
        let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        let proven = Layer::new(&bytes[..])
            .expecting(Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes)));
        let proof = Unpacker::new(Policy::default()).apply(proven, staged.rootfs()).unwrap().verified().unwrap();
        let stage = stage(place.path());
        fs::rename(&stage, place.path().join("stolen")).unwrap();
        fs::create_dir_all(stage.join("rootfs/precious")).unwrap();
        match commits {
            true => staged.commit(vec![proof]).unwrap(),
            false => drop(staged),
        }
        assert!(stage.join("rootfs/precious").exists(), "commits: {commits}");
        assert_eq!(names(&place.path().join("stolen")), [""; 0], "commits: {commits}");
        assert_eq!(place.path().join("rootfs/good").exists(), commits);
    }
}

#[test]
fn a_dead_run_is_removed_whoever_its_tree_belongs_to() {
    if !is_root("somebody else's tree (its twin: what_dead_runs_left_is_removed_and_what_lives_is_not)") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let dead = dead_stage(place.path());
    std::os::unix::fs::chown(dead.join("rootfs"), Some(1000), Some(1000)).unwrap();
    Staged::beside(&open(place.path()), "rootfs").unwrap().commit(vec![]).unwrap();
    assert_eq!(names(place.path()), ["rootfs"]);
}

#[test]
fn a_root_that_keeps_its_owner_out_takes_its_name() {
    let place = tempfile::tempdir().unwrap();
    if is_root("being somebody else") {
        std::os::unix::fs::chown(place.path(), Some(65534), Some(65534)).unwrap();
    }
    let Some(command) = child::unprivileged("stages_locked_roots", &[("PLACE", place.path().as_os_str())]) else {
        return;
    };
    child::expect_success(command);
    for bits in [0o000, 0o555] {
        let root = place.path().join(format!("{bits:o}"));
        let found = fs::metadata(&root).unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime()), (bits, 1_000_000_000));
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(names(&root), ["file"]);
    }
    assert_eq!(names(place.path()).len(), 2);
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn stages_locked_roots() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    for bits in [0o000, 0o555] {
        let bytes = LayerBuilder::new().dir_with(".", &mode(bits)).file("file", b"").build();
        for durability in [Durability::Kernel, Durability::Synced] {
            let proven = Layer::new(&bytes[..])
                .expecting(Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes)));
            let mut staged = Staged::beside(&open(&place), format!("{bits:o}")).unwrap().with_durability(durability);
            let proof = Unpacker::new(Policy::default()).apply(proven, staged.rootfs()).unwrap().verified().unwrap();
            staged.commit(vec![proof]).unwrap();
            if durability == Durability::Kernel {
                let root = place.join(format!("{bits:o}"));
                fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
                fs::remove_dir_all(root).unwrap();
            }
        }
    }
}

#[test]
fn digest_and_size_alone_prove_a_layer_that_has_no_diff_id() {
    let bytes = LayerBuilder::new().file("a", b"a").build();
    let (blob, size) = (sha256(&bytes), bytes.len() as u64);
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let apply = |expected: Expected, name: &str| {
            let mut staged = Staged::beside(&open(place.path()), name).unwrap();
            let unpacker = Unpacker::new(Policy::default()).with_jobs(jobs.try_into().unwrap());
            let applied = unpacker.apply(Layer::new(&bytes[..]).expecting(expected), staged.rootfs())?;
            staged.commit(vec![applied.verified()?])
        };
        let unproven = apply(Expected::blob(blob, size), "known").unwrap_err();
        assert!(matches!(unproven.misuse(), Some(Misuse::Unproven { missing: "a diff ID" })), "{unproven}");
        for (wrong, rule) in [
            (Expected::blob_alone(sha256(b"other"), size), "digest-mismatch"),
            (Expected::blob_alone(blob, size + 1), "size-mismatch"),
            (Expected::blob_alone(blob, size).with_diff_id(sha256(b"other")), "diff-id-mismatch"),
        ] {
            assert_eq!(apply(wrong, "wrong").unwrap_err().rule_id(), Some(rule));
        }
        assert_eq!(names(place.path()), [""; 0]);
        apply(Expected::blob_alone(blob, size), "alone").unwrap();
        assert_eq!(names(place.path()), ["alone"]);
    }
}

#[test]
fn a_tree_without_proofs_is_committed_only_by_a_call_that_says_so() {
    let bytes = LayerBuilder::new().file("a", b"a").build();
    let place = tempfile::tempdir().unwrap();
    let unpacker = Unpacker::new(Policy::default());
    let filled = |name: &str| {
        let mut staged = Staged::beside(&open(place.path()), name).unwrap();
        unpacker.apply(Layer::new(&bytes[..]), staged.rootfs()).unwrap();
        staged
    };
    let refused = filled("proven").commit(Vec::new()).unwrap_err();
    assert!(matches!(refused.misuse(), Some(Misuse::ProofsDoNotMatch { given: 0, applied: 1 })), "{refused}");
    let mut failed = filled("failed");
    unpacker.apply(Layer::new(&bytes[..700]), failed.rootfs()).unwrap_err();
    assert_eq!(failed.commit_unproven().unwrap_err().misuse(), Some(&Misuse::Poisoned));
    let (mut one, mut two) = (filled("one"), filled("two"));
    std::mem::swap(one.rootfs(), two.rootfs());
    assert_eq!(one.commit_unproven().unwrap_err().misuse(), Some(&Misuse::ForeignTree));
    drop(two);
    assert_eq!(names(place.path()), [""; 0]);
    filled("unproven").commit_unproven().unwrap();
    assert_eq!(fs::read(place.path().join("unproven/a")).unwrap(), b"a");
}

#[test]
fn a_bundle_appears_as_a_whole_and_only_its_owner_may_enter_it() {
    let place = tempfile::tempdir().unwrap();
    let bytes = LayerBuilder::new().file("etc/hostname", b"a\n").dir_with("./", &mode(0o555)).build();
    let layer = || Layer::new(&bytes[..]).expecting(Expected::unchecked().with_diff_id_alone(sha256(&bytes)));
    let unpacker = Unpacker::new(Policy::default());
    let mut staged = Staged::bundle(open(place.path()), "bundle", b"{}").unwrap();
    let proof = unpacker.apply(layer(), staged.rootfs()).unwrap().verified().unwrap();
    assert!(!place.path().join("bundle").exists());
    staged.commit(vec![proof]).unwrap();

    let bundle = place.path().join("bundle");
    assert_eq!(names(place.path()), ["bundle"]);
    let permissions = |path: &str| fs::metadata(bundle.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((permissions("."), permissions("config.json"), permissions("rootfs")), (0o700, 0o600, 0o555));
    assert_eq!(fs::read(bundle.join("config.json")).unwrap(), b"{}");
    assert_eq!(fs::read(bundle.join("rootfs/etc/hostname")).unwrap(), b"a\n");
    assert_eq!(names(&bundle).len(), 2);

    let taken = Staged::bundle(open(place.path()), "bundle", b"{}").unwrap_err();
    assert!(matches!(taken.misuse(), Some(Misuse::TargetExists { .. })), "{taken}");
    let mut staged = Staged::bundle(open(place.path()), "other", b"{}").unwrap();
    unpacker.apply(Layer::new(&bytes[..bytes.len() / 2]), staged.rootfs()).unwrap_err();
    assert!(matches!(staged.commit_unproven().unwrap_err().misuse(), Some(Misuse::Poisoned)));
    assert_eq!(names(place.path()), ["bundle"], "a bundle that failed leaves nothing");
    tree::unlock(&bundle);
}
