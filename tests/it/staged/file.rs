//! A file that gets its name when it is complete.

use crate::support::open;
use layercage::error::{Blame, Misuse};
use layercage::policy::Durability;
use layercage::sink::StagedFile;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use tempfile::tempdir;

fn names(place: &Path) -> Vec<String> {
    let names = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !layercage::is_reserved_name(name)).collect();
    names.sort();
    names
}

fn everything(place: &Path) -> usize {
    fs::read_dir(place).unwrap().count()
}

#[test]
fn a_file_gets_its_name_when_it_is_complete_and_replaces_a_file() {
    for durability in [Durability::Kernel, Durability::Synced] {
        let place = tempdir().unwrap();
        for before in [None, Some("old")] {
            let mut file = StagedFile::beside(open(place.path()), "out").unwrap().with_durability(durability);
            file.write_all(b"new").unwrap();
            let path = place.path().join("out");
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), before);
            file.commit().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "new");
            // As any program creates one: the umask alone decides who may read it.
            fs::write(place.path().join("like"), "").unwrap();
            let mode = |name: &str| fs::metadata(place.path().join(name)).unwrap().mode();
            assert_eq!(mode("out"), mode("like"));
            assert_eq!(everything(place.path()), 2, "the staging directory is gone");
            fs::write(&path, "old").unwrap();
        }
    }
}

#[test]
fn a_file_that_is_dropped_leaves_nothing_and_an_old_one_as_it_was() {
    let place = tempdir().unwrap();
    let begin = || {
        let mut file = StagedFile::beside(open(place.path()), "out").unwrap();
        file.write_all(b"new").unwrap();
        file
    };
    drop(begin());
    assert_eq!(everything(place.path()), 0);
    fs::write(place.path().join("out"), "old").unwrap();
    drop(begin());
    assert_eq!(everything(place.path()), 1);
    assert_eq!(fs::read_to_string(place.path().join("out")).unwrap(), "old");
}

#[test]
fn nothing_but_a_regular_file_is_replaced() {
    let place = tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::write(path("real"), "real").unwrap();
    symlink("real", path("link")).unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    fs::create_dir(path("directory")).unwrap();
    mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let refused = |error: layercage::Error, name: &str| {
        assert_eq!(error.blame(), Blame::Caller, "{name}: {error}");
        assert!(matches!(error.misuse(), Some(Misuse::NotRegularFile { .. })), "{name}: {error}");
        assert!(error.advice().is_some(), "{name}");
    };
    for name in ["link", "dangling", "directory", "fifo"] {
        refused(StagedFile::beside(open(place.path()), name).unwrap_err(), name);
    }
    let file = StagedFile::beside(open(place.path()), "later").unwrap();
    symlink("real", path("later")).unwrap();
    refused(file.commit().unwrap_err(), "later");
    assert_eq!(names(place.path()), ["dangling", "directory", "fifo", "later", "link", "real"]);
    assert_eq!(everything(place.path()), 6);
    assert_eq!(fs::read_to_string(path("real")).unwrap(), "real");
}

#[test]
fn the_name_is_one_component_and_not_reserved() {
    let place = tempdir().unwrap();
    for name in ["", ".", "..", "a/b", "/"] {
        let error = StagedFile::beside(open(place.path()), name).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::NotAComponent { .. })), "{name}: {error}");
    }
    let error = StagedFile::beside(open(place.path()), ".layercage-0123456789abcdef").unwrap_err();
    assert!(matches!(error.misuse(), Some(Misuse::ReservedName { .. })), "{error}");
    assert_eq!(everything(place.path()), 0);
}
