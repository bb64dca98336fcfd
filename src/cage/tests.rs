use super::*;
use crate::words::Timestamp;
use rustix::fs::{CWD, Mode, OFlags, openat};

/// Lets everything pass.
pub(super) struct Anything;

impl WalkDelegate for Anything {
    fn climbs(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn follows(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn stops_at(&mut self, _: DirectoryId, _: PlaceId) -> bool {
        false
    }

    fn passes(&mut self, _: DirectoryId, _: PlaceId) {}

    fn makes(&mut self, _: Component<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn made(&mut self, _: DirectoryId, _: PlaceId) {}

    fn replaces(&mut self, _: DirectoryId, _: PlaceId) -> Result<(), Fault> {
        Ok(())
    }

    fn turns_link(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn lacks_xattr(&mut self, _: &[u8], _: std::io::Error) -> Result<(), Fault> {
        Ok(())
    }

    fn changes_time(&mut self, _: Unheld) -> Result<(), Fault> {
        Ok(())
    }
}

fn component(name: &str) -> Component<'_> {
    Component::parse(name.as_bytes()).unwrap()
}

#[test]
fn a_tree_that_is_replaced_again_and_again_leaves_nothing_in_memory() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("before")).unwrap();
    let root = openat(CWD, tree.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    for exposure in [Exposure::Visible, Exposure::Staged] {
        let mut cage = Cage::over(root.as_fd(), exposure).unwrap();
        cage.begin(&Terms::new()).unwrap();
        for number in 0..50 {
            // Other names each time: nothing but where the tree begins is the same.
            let names = format!("before/d/{number}/a/b/c");
            let deepest = cage.walk_making(names.as_bytes(), &mut Anything).unwrap();
            assert!(deepest.id().is_new());
            let before = cage.walk_making(b"before", &mut Anything).unwrap();
            assert!(!before.id().is_new(), "it was there");
            let place = cage.place(&before, component("d"));
            let metadata = Metadata { mode: 0o777, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new() };
            cage.special(&place, New::Symlink(b"x"), &metadata, &mut Anything).unwrap();
            cage.remove(&place).unwrap();
            assert_eq!((cage.new.len(), cage.work.implied()), (1, 5 * (number + 1)), "{exposure:?}");
        }
        cage.settle().unwrap();
    }
}

#[test]
fn whatever_is_at_a_new_place_is_new_until_the_next_layer() {
    let tree = tempfile::tempdir().unwrap();
    let root = openat(CWD, tree.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let mut cage = Cage::over(root.as_fd(), Exposure::Staged).unwrap();
    cage.begin(&Terms::new()).unwrap();
    cage.walk_making(b"a/b", &mut Anything).unwrap();
    // So many others that it is closed, and opened anew.
    (0..2 * HELD).for_each(|number| drop(cage.walk_making(format!("d{number}/x").as_bytes(), &mut Anything).unwrap()));
    assert!(cage.walk_making(b"a/b", &mut Anything).unwrap().id().is_new());
    assert_eq!(cage.new.len(), 1 + 2 * HELD);
    cage.begin(&Terms::new()).unwrap();
    assert!(!cage.walk_making(b"a/b", &mut Anything).unwrap().id().is_new());
    cage.begin(&Terms::new()).unwrap();
    cage.begin_over_nothing();
    assert!(cage.walk_making(b"e/f", &mut Anything).unwrap().id().is_new());
    assert_eq!(cage.new.len(), 0, "where all is new, nothing needs to be kept");
    cage.settle().unwrap();
}
