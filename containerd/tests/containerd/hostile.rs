//! Hostile layers, wrapped as images: what the user reads, and what is left.

use crate::engine::{Engine, Unpacks, shown};
use crate::image::{self, Stored};
use crate::layer::Tar;
use crate::tree::{self, Listing};
use std::fs;
use tar::EntryType;

/// Hostile layers, and what the message about each has.
fn hostile() -> Vec<(Tar, &'static str)> {
    let file = |name: &str| Tar::new().file(name, b"!");
    let through = |target: &str| Tar::new().symlink("link", target).file("link/canary", b"!");
    let node = |kind| Tar::new().entry(kind, "node", "", b"", 0o666);
    vec![
        (file("../canary"), "[name-climbs]"),
        (file("../../../../../../../canary"), "[name-climbs]"),
        (file("a/b/../../../canary"), "[name-climbs]"),
        (Tar::new().dir("..", 0o777), "[name-climbs]"),
        (Tar::new().symlink("../link", "/"), "[name-climbs]"),
        (through("../../canaries"), "[link-climbs]"),
        (through("../../../../../../../../../../.."), "[link-climbs]"),
        (Tar::new().symlink("a", "b").symlink("b", "a").file("a/canary", b"!"), "link-hops"),
        (Tar::new().hard_link("h", "../../canaries/canary"), "[hard-link-target]"),
        (Tar::new().hard_link("h", "/etc/shadow"), "[hard-link-missing]"),
        (Tar::new().symlink("s", "/etc").hard_link("h", "s/shadow"), "[hard-link-missing]"),
        (Tar::new().dir("d", 0o755).hard_link("h", "d"), "directory"),
        (file(".wh..."), "whiteout"),
        (file(".wh.."), "whiteout"),
        (file(".wh.a/b"), "whiteout"),
        (node(EntryType::Char), "[device-node]"),
        (node(EntryType::Block), "[device-node]"),
        (Tar::new().entry(EntryType::new(b'V'), "label", "", b"", 0o600), "volume label"),
        (Tar::new().file("f", b"1").file("f/x", b"!"), "\"f/x\""),
        (Tar::new().entry(EntryType::Symlink, "s", "", b"", 0o777), "\"s\""),
    ]
}

/// Everything in the work directory that is not containerd's.
fn outside(engine: &Engine) -> Listing {
    tree::list(&engine.at("canaries"))
}

#[test]
fn hostile_layers_are_refused_as_images_and_nothing_of_them_is_left() {
    let Some(engine) = Engine::start(Unpacks::Layercage) else { return };
    fs::create_dir_all(engine.at("canaries/directory")).unwrap();
    fs::write(engine.at("canaries/canary"), b"canary").unwrap();
    // Two directories above a snapshot: where links that climb lead to.
    let beside = engine.at("root/io.containerd.snapshotter.v1.overlayfs/canaries");
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("canary"), b"canary").unwrap();
    let before = outside(&engine);
    let base = Tar::new().dir("d/", 0o755).build();
    let cases = hostile();
    assert_eq!(cases.len(), 20);
    for (number, (layer, said)) in cases.into_iter().enumerate() {
        let layer = (layer.build(), Stored::Gzip);
        // Each first on a bind, and as the upper directory of an overlay.
        let is_upper = number % 2 == 1;
        let layers = if is_upper { vec![(base.clone(), Stored::Plain), layer] } else { vec![layer] };
        image::write(&engine.at("image.tar"), &layers);
        let output = engine.import("overlayfs", "image.tar", "image");
        let message = shown(&output);
        assert!(!output.status.success(), "{said}: {number}");
        let line = message.lines().find(|line| line.starts_with("ctr: ") && line.contains("layercage: "));
        assert!(line.is_some_and(|line| line.contains(said)), "{number}: {said} is not in {message}");
        let left = engine.snapshot_keys();
        assert!(!left.iter().any(|key| key.starts_with("extract-")), "{left:?}");
        // The layer below is right, and containerd keeps it as long as the image.
        assert!(left.len() <= usize::from(is_upper), "{number}: {left:?}");
        for image in engine.ctr_ok(&["images", "ls", "-q"]).lines() {
            engine.ctr_ok(&["images", "rm", "--sync", image]);
        }
        assert_eq!(engine.snapshot_keys(), Vec::<String>::new());
    }
    assert_eq!(outside(&engine), before);
    assert_eq!(fs::read(beside.join("canary")).unwrap(), b"canary");
    assert_eq!(fs::read_dir(&beside).unwrap().count(), 1);
    assert_eq!(engine.log().matches("layer refused").count(), 20);
}
