//! Pseudo-links of AUFS: the data of hard links, which gets their names and is nowhere in the tree, not for a moment.

use crate::child;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use crate::support::world::World;
use crate::support::{is_root, open, sha256, temporary};
use layercage::error::Effect;
use layercage::{Expected, Layer, Policy, Report, Rootfs, Staged, Unpacker};
use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// What a hard link to data finds in its way, and closed directories.
fn lower() -> LayerBuilder {
    layer()
        .file("over/file", b"old")
        .file("over/tree/a/b", b"old")
        .symlink("over/link", "file")
        .dir_with("closed", &mode(0o500))
        .dir_with(".", &mode(0o755))
}

/// Data in all its forms, with many small files in front and between: in a staged tree these are filled later.
fn upper() -> LayerBuilder {
    let small = |layer: LayerBuilder, range: std::ops::Range<u32>| {
        range.fold(layer, |layer, number| layer.file(&format!("small/{number}"), &[7; 600]))
    };
    let to = |name: &str| format!(".wh..wh.plnk/{name}");
    let setuid = Attributes { xattrs: vec![("user.a", b"1")], ..mode(0o4755) };
    let layer = small(layer().dir(".wh..wh.plnk").file(".wh..wh.aufs", b""), 0..90)
        .file_with(&to("1.2"), b"small", &mode(0o640))
        .file_with(&to("large"), &vec![b'x'; 300_000], &mode(0o400))
        .file_with(&to("setuid"), b"setuid", &setuid)
        .file_with(&to("closed"), b"closed", &mode(0o000))
        .file(&to("unused"), b"unused")
        // Names that the directory of a run has itself, or that a layer might aim at it.
        .file(&to("place"), b"place")
        .file(&to("rootfs"), b"rootfs")
        .file(&to(".wh.x"), b"x")
        .record("GNU.sparse.major", b"1")
        .record("GNU.sparse.minor", b"0")
        .record("GNU.sparse.name", to("sparse").as_bytes())
        .record("GNU.sparse.realsize", b"1000000")
        .file("GNUSparseFile.0/sparse", &{
            let mut content = b"1\n999488\n512\n".to_vec();
            content.resize(512, 0);
            [content, vec![b's'; 512]].concat()
        });
    let layer = small(layer, 90..300);
    let names = ["1.2", "large", "setuid", "closed", "place", "rootfs", ".wh.x", "sparse"];
    let layer = names.iter().fold(layer, |layer, name| {
        let [first, second] =
            [format!("first/{name}"), format!("second/{name}")].map(|path| path.replace(".wh.", "wh."));
        layer.hard_link(&first, &to(name)).hard_link(&second, &format!("/./{}", to(name)))
    });
    small(layer, 300..400)
        .hard_link("over/file", &to("1.2"))
        .hard_link("over/tree", &to("large"))
        .hard_link("over/link", &to("setuid"))
        .hard_link("closed/setuid", &to("setuid"))
        // The first name goes, and the data gets one more.
        .file("first/1.2", b"new")
        .hard_link("third/1.2", &to("1.2"))
        .opaque("")
        .hard_link("third/large", "second/large")
}

/// The trees that one layer over another becomes, by every way.
fn trees(place: &Path) -> Vec<(String, Listing, Report)> {
    let bytes = [lower(), upper()].map(LayerBuilder::build);
    let known = |bytes: &'_ [u8]| {
        let digest = sha256(bytes);
        (digest, bytes.len() as u64)
    };
    let mut found = Vec::new();
    for jobs in [1, 2, 3] {
        let unpacker = Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap());
        let unpacker = unpacker.with_scratch(temporary(place));
        for way in ["visible", "visible and verified", "staged"] {
            let name = format!("{jobs}-{}", way.replace(' ', "-"));
            let mut report = None;
            let path = place.join(&name);
            if way == "staged" {
                let mut staged = Staged::beside(&open(place), &name).unwrap();
                let proofs = bytes.iter().map(|bytes| {
                    let (digest, size) = known(bytes);
                    let layer = Layer::new(&bytes[..]).expecting(Expected::blob(digest, size).with_diff_id(digest));
                    let applied = unpacker.apply(layer, staged.rootfs()).unwrap();
                    report = Some(applied.report().clone());
                    applied.verified().unwrap()
                });
                let proofs = proofs.collect();
                staged.commit(proofs).unwrap();
            } else {
                fs::create_dir(&path).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
                let mut rootfs = Rootfs::over(&open(&path)).unwrap();
                for bytes in &bytes {
                    let (digest, size) = known(bytes);
                    let layer = Layer::new(&bytes[..]);
                    let layer = if way == "visible" { layer } else { layer.expecting(Expected::blob(digest, size)) };
                    let applied = unpacker.apply(layer, &mut rootfs).unwrap();
                    report = Some(applied.into_report());
                }
            }
            found.push((name, tree::list(&path), report.unwrap()));
        }
    }
    found
}

#[test]
fn data_of_hard_links_has_their_names_and_no_other_by_every_way() {
    let place = tempfile::tempdir().unwrap();
    unpack_by_every_way(place.path());
}

fn unpack_by_every_way(place: &Path) {
    let trees = trees(place);
    let (first, expected, _) = &trees[0];
    for (name, listing, report) in &trees {
        let differences = tree::differences(expected, listing);
        assert!(differences.is_empty(), "{first} and {name}\n{}", differences.join("\n"));
        assert_eq!((report.count("aufs-pseudo-link"), report.count("aufs-bookkeeping")), (9, 2), "{name}");
        let names: BTreeSet<_> = listing.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        let strange = |name: &String| name.contains(".wh.") || name.contains(".l") || name.contains("GNU");
        assert!(!names.iter().any(strange) && !names.contains("apart"), "{names:?}");
        assert!(!names.contains("over/tree/a"), "{name}");
        let root = place.join(name);
        let inode = |path: &str| fs::symlink_metadata(root.join(path)).unwrap();
        let same = [
            &["second/1.2", "over/file", "third/1.2"][..],
            &["first/large", "second/large", "over/tree", "third/large"],
            &["first/setuid", "second/setuid", "over/link", "closed/setuid"],
            &["first/sparse", "second/sparse"],
            &["first/place", "second/place"],
            &["first/wh.x", "second/wh.x"],
        ];
        for group in same {
            for path in group {
                assert_eq!(inode(path).ino(), inode(group[0]).ino(), "{name}: {path}");
                assert_eq!(inode(path).nlink(), group.len() as u64, "{name}: {path} has no name more");
            }
        }
        let text = |path: &str| fs::read(root.join(path)).unwrap();
        assert_eq!((text("second/1.2"), text("first/1.2")), (b"small".to_vec(), b"new".to_vec()), "{name}");
        assert_eq!((inode("second/sparse").size(), inode("first/large").size()), (1_000_000, 300_000), "{name}");
        assert!(inode("second/sparse").blocks() * 512 < 100_000, "{name}: holes stay holes");
        assert_eq!(inode("over/file").mode() & 0o7777, 0o640, "{name}");
        assert_eq!(inode("first/closed").mode() & 0o7777, 0, "{name}");
        if is_root("a setuid bit of root's file") {
            assert_eq!(inode("over/link").mode() & 0o7777, 0o4755, "{name}");
        }
    }
    let left: BTreeSet<_> = fs::read_dir(place).unwrap().map(|name| name.unwrap().file_name()).collect();
    assert_eq!(left.len(), trees.len(), "{left:?}");
    trees.iter().for_each(|(name, ..)| tree::unlock(&place.join(name)));
}

/// The same for somebody who is not root, to whom closed files and directories are closed.
#[test]
fn data_of_hard_links_takes_no_privilege() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let variables = [("PLACE", place.path().as_os_str())];
    let Some(command) = child::unprivileged("pseudo_links::unpacks_data_of_hard_links", &variables) else { return };
    child::expect_success(command);
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn unpacks_data_of_hard_links() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    unpack_by_every_way(&place);
}

#[test]
fn a_layer_that_fails_leaves_nothing_of_its_data() {
    for end in [
        layer().hard_link("a", ".wh..wh.plnk/2"),
        layer().file("d/new", b"").hard_link("a", ".wh..wh.plnk/1").file("../x", b""),
        layer().file(".wh..wh.plnk/1", b"again").file("../x", b""),
    ] {
        let world = World::new();
        world.apply(&[layer().dir(".").file("d/old", b"old")], &Policy::default()).unwrap();
        let bytes = joined(layer().file(".wh..wh.plnk/1", b"data"), end);
        let mut rootfs = Rootfs::over(&open(&world.root())).unwrap();
        Unpacker::new(Policy::default()).apply(Layer::new(&bytes[..]), &mut rootfs).unwrap_err();
        let names: Vec<_> = fs::read_dir(world.root()).unwrap().map(|name| name.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| ["a", "d"].map(std::ffi::OsStr::new).contains(&name.as_os_str())), "{names:?}");

        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        Unpacker::new(Policy::default()).apply(Layer::new(&bytes[..]), staged.rootfs()).unwrap_err();
        drop(staged);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);

        // And the next layer on the same tree knows nothing of it.
        let next = layer().hard_link("b", ".wh..wh.plnk/1").build();
        let missing = Unpacker::new(Policy::default()).apply(Layer::new(&next[..]), &mut rootfs).unwrap_err();
        assert_eq!(missing.rule_id(), Some("hard-link-missing"));
    }
}

/// One archive of the entries of two.
fn joined(one: LayerBuilder, other: LayerBuilder) -> Vec<u8> {
    let mut bytes = one.build();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(other.build());
    bytes
}

#[test]
fn a_layer_of_data_alone_changes_nothing() {
    let world = World::new();
    world.apply(&[layer().file("a", b"").dir(".")], &Policy::default()).unwrap();
    let before = tree::list(&world.root());
    let bytes = joined(layer().file(".wh..wh.plnk/1", b"data"), layer().file("../x", b""));
    let mut rootfs = Rootfs::over(&open(&world.root())).unwrap();
    let error = Unpacker::new(Policy::default()).apply(Layer::new(&bytes[..]), &mut rootfs).unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error}");
    let applied = world.apply(&[layer().file(".wh..wh.plnk/1", b"data")], &Policy::default()).unwrap();
    assert_eq!(applied.report().bytes_written, 4);
    let differences = tree::differences(&before, &tree::list(&world.root()));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Bytes behind which the process ends.
struct Deadly<'a>(&'a [u8]);

impl std::io::Read for Deadly<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            std::process::exit(0);
        }
        self.0.read(out)
    }
}

/// Runs in a process of its own, which ends in the middle of a layer.
#[test]
#[ignore = "started by the test below"]
fn leaves_data_behind() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    let bytes = layer()
        .file("a", b"new")
        .file(".wh..wh.plnk/1", b"data")
        .file(".wh..wh.plnk/2", b"more")
        .hard_link("b", ".wh..wh.plnk/1")
        .build();
    let reader = Deadly(&bytes[..bytes.len() - 1024]);
    let unpacker = Unpacker::new(Policy::default());
    if place.ends_with("staged") {
        let mut staged = Staged::beside(&open(&place), "rootfs").unwrap();
        let _ = unpacker.apply(Layer::new(reader), staged.rootfs());
    } else {
        let mut rootfs = Rootfs::over(&open(&place)).unwrap();
        let _ = unpacker.apply(Layer::new(reader), &mut rootfs);
    }
    panic!("the reader was not read to its end");
}

#[test]
fn data_that_a_dead_run_left_is_out_of_sight_and_gone_after_the_next() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["visible", "staged"] {
        let place = parent.path().join(name);
        fs::create_dir(&place).unwrap();
        assert!(child::run("pseudo_links::leaves_data_behind", &[("PLACE", place.as_os_str())]));
        let private = fs::read_dir(&place).unwrap().map(|name| name.unwrap().path());
        let private: Vec<_> = private.filter(|path| path.file_name().unwrap().len() > 2).collect();
        assert_eq!(private.len(), 1, "{private:?}");
        assert_eq!(fs::metadata(&private[0]).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::read(private[0].join("apart/2")).unwrap(), b"more");
        assert!(!place.join(".wh..wh.plnk").exists());
        match name {
            "staged" => drop(Staged::beside(&open(&place), "rootfs").unwrap()),
            _ => {
                let mut rootfs = Rootfs::over(&open(&place)).unwrap();
                let next = layer().file("c", b"").build();
                Unpacker::new(Policy::default()).apply(Layer::new(&next[..]), &mut rootfs).unwrap();
            }
        }
        let left: BTreeSet<_> =
            fs::read_dir(&place).unwrap().map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        let expected: &[&str] = if name == "staged" { &[] } else { &["a", "b", "c"] };
        assert!(left.iter().eq(expected), "{name}: {left:?}");
    }
    let linked = fs::metadata(parent.path().join("visible/b")).unwrap();
    assert_eq!(linked.nlink(), 1);
}
