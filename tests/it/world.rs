//! The real image that lies in the repository: everything in it is as real tools listed it.

use crate::child;
use crate::support::tree::{self, Listing};
use crate::support::{is_root, open};
use layercage::{Image, Policy, Selector, Unpacker};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

fn images() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

fn listed() -> Listing {
    tree::parse(&fs::read_to_string(images().join("world.list")).unwrap())
}

fn unpacked() -> (Listing, layercage::Report) {
    let [one, two, three] = [1, 2, 3].map(unpacked_on);
    assert!(one == two && one == three, "the number of threads makes no difference");
    one
}

fn unpacked_on(threads: usize) -> (Listing, layercage::Report) {
    let place = tempfile::tempdir().unwrap();
    let image = Image::open(&open(&images().join("world"))).unwrap();
    let selected = image.select(&Selector::host().with_reference("latest")).unwrap();
    let unpacker = Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(threads).unwrap());
    let report = unpacker.unpack(&selected, &open(place.path()), "rootfs").unwrap();
    let listing = tree::list(&place.path().join("rootfs"));
    let beside: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    tree::unlock(&place.path().join("rootfs"));
    assert_eq!(beside, ["rootfs"], "nothing is left beside it");
    (listing, report)
}

#[test]
fn every_field_of_every_path_is_as_real_tools_listed_it() {
    if !is_root("owners and capabilities of the image (its twin: the_same_without_privilege)") {
        return;
    }
    let differences = tree::differences(&listed(), &unpacked().0);
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn the_same_without_privilege() {
    child::expect_success_without_privilege("unpacks_the_world_without_privilege");
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn unpacks_the_world_without_privilege() {
    if !child::is_child() {
        return;
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut expected = listed();
    for fields in expected.values_mut() {
        let (was_ours, group_was_ours) = (fields["uid"] == uid.to_string(), fields["gid"] == gid.to_string());
        let is_directory = fields["type"] == "dir";
        fields.insert("uid".into(), uid.to_string());
        fields.insert("gid".into(), gid.to_string());
        fields.remove("xattr.security.capability");
        if let Some(mode) = fields.get_mut("mode").filter(|_| !is_directory) {
            let bits = u32::from_str_radix(mode, 8).unwrap();
            let kept = if was_ours { bits } else { bits & !0o4000 };
            *mode = format!("{:04o}", if group_was_ours { kept } else { kept & !0o2000 });
        }
    }
    let (listing, report) = unpacked();
    let differences = tree::differences(&expected, &listing);
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    assert_eq!(report.count("owner-to-caller"), 1);
    assert!(report.count("setid-dropped") > 0 && report.count("xattr-unsupported") > 0);
}
