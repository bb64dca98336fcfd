//! A tree whose place is a path of the machine.

use super::names;
use crate::child;
use crate::support::{open, tree};
use cap_std::ambient_authority;
use layercage::error::Misuse;
use layercage::{Image, Policy, Selector};
use std::fs;
use std::path::Path;

#[test]
fn an_image_is_unpacked_to_a_path_of_the_machine() {
    let place = tempfile::tempdir().unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let image = Image::open_ambient(world, ambient_authority()).unwrap().select(&Selector::host()).unwrap();
    let unpack = |path: &Path| image.unpack_to(path, &Policy::default(), ambient_authority());
    let in_place = |name: &str| place.path().join(name);

    image.unpack_into(open(place.path()), "expected", &Policy::default()).unwrap();
    unpack(&in_place("rootfs")).unwrap();
    fs::create_dir(in_place("empty")).unwrap();
    unpack(&in_place("empty/")).unwrap();
    let expected = tree::list(&in_place("expected"));
    for name in ["rootfs", "empty"] {
        assert_eq!(tree::differences(&expected, &tree::list(&in_place(name))), Vec::<String>::new(), "{name}");
    }

    let taken = unpack(&in_place("rootfs")).unwrap_err();
    assert!(matches!(taken.misuse(), Some(Misuse::TargetExists { .. })), "{taken}");
    let no_parent = unpack(&in_place("missing/rootfs")).unwrap_err();
    assert_eq!(std::io::Error::from(no_parent).kind(), std::io::ErrorKind::NotFound);
    for path in ["/", "..", ""] {
        let refused = unpack(Path::new(path)).unwrap_err();
        assert!(matches!(refused.misuse(), Some(Misuse::NotAComponent { .. })), "{path:?}: {refused}");
    }
    for name in ["expected", "rootfs", "empty"] {
        tree::unlock(&in_place(name));
    }
}

#[test]
fn a_path_without_a_directory_lies_in_the_working_directory() {
    let place = tempfile::tempdir().unwrap();
    let mut command = child::command("unpacks_in_its_working_directory", &[("LAYERCAGE_CHILD", "1".as_ref())]);
    command.current_dir(place.path());
    child::expect_success(command);
    assert_eq!(names(place.path()), ["rootfs"]);
    tree::unlock(&place.path().join("rootfs"));
}

/// The working directory belongs to the whole process.
#[test]
#[ignore = "run by a_path_without_a_directory_lies_in_the_working_directory"]
fn unpacks_in_its_working_directory() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let image = Image::open_ambient(world, ambient_authority()).unwrap().select(&Selector::host()).unwrap();
    image.unpack_to("rootfs", &Policy::default(), ambient_authority()).unwrap();
}
