//! A target that is an empty directory is replaced; anything else stays, and the error says what it is.

use super::names;
use crate::child;
use crate::support::layer::{LayerBuilder, mode};
use crate::support::{open, sha256};
use layercage::blob::{Blob, Verified};
use layercage::error::{Misuse, Occupant};
use layercage::policy::Durability;
use layercage::{Error, Expected, Layer, Policy, Staged, Unpacker};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

fn occupant(error: &Error) -> Occupant {
    assert_eq!(error.blame(), layercage::error::Blame::Caller, "{error}");
    match error.misuse() {
        Some(Misuse::TargetExists { name, occupant }) => {
            assert_eq!(name.to_string(), "\"rootfs\"");
            assert!(error.advice().is_some(), "{error}");
            *occupant
        }
        _ => panic!("{error}"),
    }
}

fn beside(place: &Path) -> Result<Staged, Error> {
    Staged::beside(&open(place), "rootfs")
}

/// Applies a layer with one file and a root of its own, with all that proves it.
fn filled(staged: &mut Staged) -> Vec<Verified<Blob>> {
    let bytes = LayerBuilder::new().dir_with(".", &mode(0o1755)).file("file", b"image").build();
    let layer = Layer::new(&bytes[..])
        .expecting(Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes)));
    vec![Unpacker::new(Policy::default()).apply(layer, staged.rootfs()).unwrap().verified().unwrap()]
}

fn commit(mut staged: Staged) -> Result<(), Error> {
    let proofs = filled(&mut staged);
    staged.commit(proofs)
}

/// Makes an empty directory that differs from what a new one would be.
fn make_empty(path: &Path, bits: u32) {
    fs::create_dir(path).unwrap();
    // Not every file system has them.
    let _ = setxattr(path, "user.mine", b"value", XattrFlags::empty());
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

/// What is to stay of it.
fn identity(path: &Path) -> (u64, u32, u32, i64, i64, Vec<u8>) {
    let found = fs::symlink_metadata(path).unwrap();
    let mut value = [0; 64];
    let length = rustix::fs::lgetxattr(path, "user.mine", &mut value).unwrap_or(0);
    (found.ino(), found.mode(), found.uid(), found.mtime(), found.mtime_nsec(), value[..length].to_vec())
}

#[test]
fn an_empty_directory_is_replaced_by_the_tree_with_the_metadata_of_its_own_root() {
    // Modes that keep us out, or let others in: the first is one that we may not even look into, when we are not root.
    for bits in [0o000, 0o200, 0o700, 0o2777] {
        for durability in [Durability::Kernel, Durability::Synced] {
            let place = tempfile::tempdir().unwrap();
            let root = place.path().join("rootfs");
            make_empty(&root, bits);
            let before = identity(&root);
            let staged = beside(place.path()).unwrap().with_durability(durability);
            assert_eq!(identity(&root), before, "{bits:o}");
            commit(staged).unwrap();
            let after = identity(&root);
            assert_ne!(after.0, before.0, "{bits:o}: another inode");
            assert_eq!((after.1 & 0o7777, after.3), (0o1755, 1_000_000_000), "{bits:o}: the image's");
            assert_eq!(after.5, b"", "{bits:o}: no attribute of the old one");
            assert_eq!(fs::read(root.join("file")).unwrap(), b"image");
            assert_eq!(names(place.path()), ["rootfs"]);
        }
    }
}

#[test]
fn an_empty_directory_stays_as_it_was_when_anything_fails() {
    type Fail = fn(Staged);
    let rows: [(&str, Fail); 4] = [
        ("dropped at once", drop),
        ("dropped after a layer", |mut staged| drop(filled(&mut staged))),
        ("not proven", |mut staged| {
            filled(&mut staged);
            staged.commit(vec![]).unwrap_err();
        }),
        ("a layer that is refused", |mut staged| {
            let proofs = filled(&mut staged);
            Unpacker::new(Policy::default()).apply(Layer::new(&[7; 600][..]), staged.rootfs()).unwrap_err();
            staged.commit(proofs).unwrap_err();
        }),
    ];
    for (what, fail) in rows {
        for bits in [0o000, 0o711, 0o2770] {
            let place = tempfile::tempdir().unwrap();
            let root = place.path().join("rootfs");
            make_empty(&root, bits);
            let before = identity(&root);
            fail(beside(place.path()).unwrap());
            assert_eq!(identity(&root), before, "{what}, {bits:o}");
            assert_eq!(names(place.path()), ["rootfs"], "{what}");
            fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
            assert_eq!(names(&root), [""; 0], "{what}");
        }
    }
}

/// What makes something of a path, and what that is then called.
type Make = (&'static str, fn(&Path), Occupant);

const OCCUPIED: [Make; 7] = [
    ("a file", |path| fs::write(path, "precious").unwrap(), Occupant::File),
    ("a FIFO", |path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap(), Occupant::File),
    ("a socket", |path| mknodat(CWD, path, FileType::Socket, Mode::RUSR, 0).unwrap(), Occupant::File),
    ("a link to nothing", |path| symlink("nowhere", path).unwrap(), Occupant::SymbolicLink),
    ("a link to an empty directory", |path| symlink("empty", path).unwrap(), Occupant::SymbolicLink),
    ("a directory with a file", |path| full(path, ".hidden"), Occupant::FullDirectory),
    ("a directory with a directory", |path| fs::create_dir_all(path.join("inside")).unwrap(), Occupant::FullDirectory),
];

fn full(path: &Path, name: &str) {
    fs::create_dir_all(path).unwrap();
    fs::write(path.join(name), "precious").unwrap();
}

/// All that is at a path.
fn listing(place: &Path) -> Vec<(PathBuf, u64, u32, Option<Vec<u8>>)> {
    let mut all = vec![];
    let mut next = vec![place.to_owned()];
    while let Some(path) = next.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        if found.is_dir() {
            next.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.push((path.clone(), found.ino(), found.mode(), found.is_file().then(|| fs::read(&path).unwrap())));
    }
    all.sort();
    all
}

#[test]
fn what_is_no_empty_directory_stays_and_is_told_by_name() {
    for (what, make, expected) in OCCUPIED {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("empty")).unwrap();
        make(&place.path().join("rootfs"));
        let before = listing(place.path());
        let refused = beside(place.path()).unwrap_err();
        assert_eq!(occupant(&refused), expected, "{what}");
        assert_eq!(refused.to_string(), format!("\"rootfs\" exists already: {expected}"), "{what}");
        assert_eq!(listing(place.path()), before, "{what}");
    }
}

#[test]
fn what_comes_up_at_a_free_name_meanwhile_stays_and_is_told_by_name() {
    let empty: Make = ("an empty directory", |path| fs::create_dir(path).unwrap(), Occupant::NewDirectory);
    for (what, make, expected) in OCCUPIED.into_iter().chain([empty]) {
        let place = tempfile::tempdir().unwrap();
        let staged = beside(place.path()).unwrap();
        make(&place.path().join("rootfs"));
        let refused = commit(staged).unwrap_err();
        assert_eq!(occupant(&refused), expected, "{what}");
        assert_eq!(names(place.path()), ["rootfs"], "{what}");
    }
}

#[test]
fn what_takes_the_place_of_the_empty_directory_meanwhile_stays_and_is_told_by_name() {
    // The first has the inode number of the one before, where the file system gives numbers again.
    let others: [Make; 2] = [
        ("made again", |path| fs::create_dir(path).unwrap(), Occupant::NewDirectory),
        ("another", |path| make_empty(path, 0o711), Occupant::NewDirectory),
    ];
    for (what, make, expected) in OCCUPIED.into_iter().chain(others) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("rootfs");
        fs::create_dir(&root).unwrap();
        let staged = beside(place.path()).unwrap();
        fs::remove_dir(&root).unwrap();
        make(&root);
        let before = listing(&root);
        let refused = commit(staged).unwrap_err();
        assert_eq!(occupant(&refused), expected, "{what}");
        assert_eq!(listing(&root), before, "{what}");
        assert_eq!(names(place.path()), ["rootfs"], "{what}");
    }
    // A name that has become free is taken.
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("rootfs")).unwrap();
    let staged = beside(place.path()).unwrap();
    fs::remove_dir(place.path().join("rootfs")).unwrap();
    commit(staged).unwrap();
    assert_eq!(names(&place.path().join("rootfs")), ["file"]);
}

#[test]
fn a_file_that_is_put_into_the_empty_directory_meanwhile_survives() {
    for bits in [0o755, 0o000] {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("rootfs");
        make_empty(&root, 0o755);
        let staged = beside(place.path()).unwrap();
        fs::write(root.join("precious"), "precious").unwrap();
        // With the second we may not look into it, when we are not root: the kernel knows.
        fs::set_permissions(&root, fs::Permissions::from_mode(bits)).unwrap();
        let before = identity(&root);
        let refused = commit(staged).unwrap_err();
        assert_eq!(occupant(&refused), Occupant::FullDirectory);
        assert_eq!(identity(&root), before, "{bits:o}");
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(fs::read(root.join("precious")).unwrap(), b"precious");
        assert_eq!((names(&root), names(place.path())), (vec!["precious".to_owned()], vec!["rootfs".to_owned()]));
    }
}

#[test]
fn of_two_trees_for_one_empty_directory_the_first_stays() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("rootfs")).unwrap();
    let (first, second) = (beside(place.path()).unwrap(), beside(place.path()).unwrap());
    commit(first).unwrap();
    assert_eq!(occupant(&commit(second).unwrap_err()), Occupant::FullDirectory);
    assert_eq!(fs::read(place.path().join("rootfs/file")).unwrap(), b"image");
    assert_eq!(names(place.path()), ["rootfs"]);
}

#[test]
fn a_mount_point_is_never_replaced() {
    let Some(command) = child::mounting("stages_for_mount_points", &[("LAYERCAGE_CHILD", "1".as_ref())]) else {
        return;
    };
    child::expect_success(command);
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn stages_for_mount_points() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let run = |program: &str, arguments: &[&str]| Command::new(program).args(arguments).status().unwrap().success();
    // Another file system, and a second mount of the one around it, of the very directory even.
    let rows: [(&[&str], &str); 3] =
        [(&["-t", "tmpfs", "none"], "tmpfs"), (&["--bind", "other"], "other"), (&["--bind", "rootfs"], "itself")];
    for (options, what) in rows {
        for meanwhile in [false, true] {
            let place = tempfile::tempdir().unwrap();
            let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
            let root = at("rootfs");
            fs::create_dir(&root).unwrap();
            fs::create_dir(at("other")).unwrap();
            let options: Vec<_> = options
                .iter()
                .map(|&word| if ["other", "rootfs"].contains(&word) { at(word) } else { word.into() })
                .collect();
            let mount = || {
                let words = options.iter().map(String::as_str).chain([root.as_str()]);
                assert!(run("mount", &words.collect::<Vec<_>>()), "{what}");
            };
            let refused = if meanwhile {
                let staged = beside(place.path()).unwrap();
                mount();
                commit(staged).unwrap_err()
            } else {
                mount();
                beside(place.path()).unwrap_err()
            };
            assert_eq!(occupant(&refused), Occupant::MountPoint, "{what}, meanwhile: {meanwhile}");
            assert!(run("umount", &[&root]), "{what}");
            assert_eq!(names(Path::new(&root)), [""; 0], "{what}");
        }
    }
}

#[test]
fn an_empty_directory_of_another_user_in_a_sticky_directory_is_refused_with_a_reason() {
    if !crate::support::is_root(
        "another user's directory (its twin: what_is_no_empty_directory_stays_and_is_told_by_name)",
    ) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    make_empty(&place.path().join("rootfs"), 0o777);
    let before = identity(&place.path().join("rootfs"));
    let Some(command) = child::unprivileged("stages_in_a_sticky_directory", &[("PLACE", place.path().as_os_str())])
    else {
        return;
    };
    child::expect_success(command);
    assert_eq!(identity(&place.path().join("rootfs")), before);
    assert_eq!(names(place.path()), ["rootfs"]);
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn stages_in_a_sticky_directory() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    let refused = commit(beside(&place).unwrap()).unwrap_err();
    assert_eq!(refused.blame(), layercage::error::Blame::System, "{refused}");
    assert!(refused.to_string().contains("renameat(\"rootfs\""), "{refused}");
    assert!(refused.advice().unwrap().contains("sticky bit"), "{refused}");
}
