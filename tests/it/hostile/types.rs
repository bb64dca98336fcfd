//! Hard links, and things that take the place of others.

use super::{Case, layer, paranoid, refused, unpacks};
use crate::support::is_root;
use crate::support::layer::{LayerBuilder, mode};
use crate::support::world::World;
use layercage::Policy;
use std::fs;
use std::os::unix::fs::MetadataExt;

pub(super) fn cases(out: &str) -> Vec<Case> {
    let _ = out;
    let a = || layer().file("a", b"old");
    let same = |w: &World, one: &str, other: &str| w.metadata(one).ino() == w.metadata(other).ino();
    vec![
        refused("hard-link-to-directory", "a hard link to a directory", layer().dir("d").hard_link("a", "d")),
        refused("hard-link-to-directory", "a hard link to the root", layer().hard_link("a", ".")),
        refused("hard-link-to-directory", "a hard link to the root by a slash", layer().hard_link("a", "/")),
        refused("hard-link-to-directory", "a hard link to nothing, which is the root", layer().hard_link("a", "")),
        refused("hard-link-to-directory", "a hard link to the directory that it is in", layer().hard_link("d/a", "d")),
        unpacks("a hard link to itself stays", a().hard_link("a", "a"), |w, r| {
            assert_eq!((w.text("a").as_str(), w.metadata("a").nlink()), ("old", 1));
            assert_eq!((r.count("hard-link-repeated"), r.count("duplicate-path")), (1, 0));
        }),
        unpacks("a hard link to itself, spelt otherwise", a().hard_link("a", "/.//a"), |w, r| {
            assert_eq!((w.text("a").as_str(), r.count("hard-link-repeated")), ("old", 1));
        }),
        unpacks(
            "a hard link to itself through a link",
            layer().file("d/a", b"old").symlink("l", "d").hard_link("l/a", "d/a"),
            |w, r| assert_eq!((w.text("d/a").as_str(), r.count("hard-link-repeated")), ("old", 1)),
        ),
        unpacks("a hard link to itself that a lower layer has", layer().hard_link("a", "a"), |w, r| {
            assert_eq!((w.text("a").as_str(), r.count("hard-link-repeated")), ("old", 1));
        })
        .over(a()),
        unpacks("a hard link to itself with another mode", a().entry(b'1', b"a", b"a", b"", &mode(0o4777)), |w, r| {
            assert_eq!((w.mode("a"), r.count("hard-link-repeated"), r.count("hard-link-metadata")), (0o644, 1, 1));
        }),
        refused("hard-link-repeated", "paranoid, a hard link to itself", a().hard_link("a", "a")).under(paranoid()),
        refused("hard-link-to-itself", "a hard link to itself, whited out", layer().whiteout("a").hard_link("a", "a"))
            .over(a()),
        refused("hard-link-to-directory", "a hard link to itself, a directory", layer().dir("a").hard_link("a", "a")),
        unpacks("a directory over a link is noted", layer().dir("l").file("l/new", b"!"), |w, r| {
            assert_eq!((w.kind("l"), w.kind("d/new"), w.text("l/new").as_str()), ("dir", "", "!"));
            assert_eq!((r.count("directory-over-link"), r.count("duplicate-path")), (1, 0));
        })
        .over(layer().dir("d").symlink("l", "d")),
        refused("directory-over-link", "paranoid, a directory over a link", layer().dir("l"))
            .over(layer().symlink("l", "d"))
            .under(paranoid()),
        refused("hard-link-to-itself", "a hard link to itself where nothing is", layer().hard_link("a", "a")),
        refused("hard-link-missing", "a hard link to what is missing", layer().hard_link("a", "b")),
        refused("hard-link-missing", "a hard link into a directory that is missing", layer().hard_link("a", "b/c")),
        refused("hard-link-missing", "a hard link to below a file", a().hard_link("b", "a/x")),
        refused("hard-link-missing", "a hard link to what comes later", layer().hard_link("b", "a").file("a", b"")),
        refused(
            "hard-link-missing",
            "a hard link through a dangling link",
            layer().symlink("l", "gone").hard_link("a", "l/x"),
        ),
        refused("parent-not-directory", "a hard link under a file", a().hard_link("a/b", "a")),
        unpacks(
            "a hard link through a link within",
            layer().file("d/a", b"!").symlink("l", "/d").hard_link("b", "l/a"),
            move |w, _| {
                assert!(same(w, "b", "d/a"));
            },
        ),
        unpacks(
            "a hard link twice is one note and one file",
            a().hard_link("b", "a").hard_link("b", "a"),
            move |w, r| {
                assert!(same(w, "a", "b"));
                assert_eq!(w.metadata("a").nlink(), 2);
                assert_eq!(r.count("duplicate-path"), 1);
                assert_eq!(fs::read_dir(w.root()).unwrap().count(), 2);
            },
        ),
        unpacks("a hard link over a directory that holds its target", layer().hard_link("d", "d/a"), |w, _| {
            assert_eq!(w.text("d"), "!")
        })
        .over(layer().file("d/a", b"!").file("d/b", b"")),
        unpacks("a hard link to a FIFO", layer().fifo("f").hard_link("g", "f"), |w, _| assert_eq!(w.kind("g"), "fifo")),
        unpacks("a file over one of two names writes nothing through", layer().file("b", b"new"), |w, _| {
            assert_eq!((w.text("a").as_str(), w.text("b").as_str()), ("old", "new"));
        })
        .over(a().hard_link("b", "a")),
        unpacks("the same in one layer", a().hard_link("b", "a").file("a", b"new"), |w, _| {
            assert_eq!((w.text("a").as_str(), w.text("b").as_str()), ("new", "old"));
        }),
        unpacks(
            "a hard link to a lower file that is then replaced",
            layer().hard_link("b", "a").file("a", b"new"),
            |w, _| {
                assert_eq!((w.text("a").as_str(), w.text("b").as_str()), ("new", "old"));
            },
        )
        .over(a()),
        unpacks(
            "a hard link to a lower file that is then whited out",
            layer().hard_link("b", "a").whiteout("a"),
            |w, _| {
                assert_eq!((w.kind("a"), w.text("b").as_str()), ("", "old"));
            },
        )
        .over(a()),
        unpacks("a link's header does not change the inode", layer().hard_link("b", "a"), |w, r| {
            assert_eq!((w.mode("a"), r.count("hard-link-metadata")), (0o600, 1));
        })
        .over(layer().file_with("a", b"", &mode(0o600))),
        unpacks(
            "a second name of a setuid file keeps its bits, and a new file has none of them",
            layer().hard_link("b", "a").file("a", b"new"),
            |w, _| {
                let kept = if is_root("the setuid bit of root's file") { 0o4755 } else { 0o755 };
                assert_eq!((w.mode("b"), w.mode("a")), (kept, 0o644));
            },
        )
        .over(layer().file_with("a", b"", &mode(0o4755))),
        unpacks("a file twice: the later one stays", a().file("a", b"new"), |w, r| {
            assert_eq!((w.text("a").as_str(), r.count("duplicate-path")), ("new", 1));
        }),
        unpacks("a directory ten times", (0..10).fold(layer(), |l, _| l.dir("d")).file("d/x", b""), |w, r| {
            assert_eq!((w.kind("d/x"), r.count("duplicate-path")), ("file", 0));
        }),
        unpacks(
            "a directory again keeps what is in it",
            layer().file("d/x", b"").dir_with("d", &mode(0o700)),
            |w, _| {
                assert_eq!((w.kind("d/x"), w.mode("d")), ("file", 0o700));
            },
        ),
        refused("duplicate-path", "paranoid, a file twice", a().file("./a", b"")).under(paranoid()),
    ]
}

/// Every kind of thing, as a layer's entry at a name.
type Kind = (&'static str, fn(LayerBuilder, &str) -> LayerBuilder);

const KINDS: &[Kind] = &[
    ("file", |l, name| l.file(name, b"file")),
    ("dir", |l, name| l.dir(name)),
    ("dir", |l, name| l.file(&format!("{name}/x/y/z"), b"").symlink(&format!("{name}/l"), "../../out")),
    ("symlink", |l, name| l.symlink(name, "../out/file")),
    ("fifo", |l, name| l.fifo(name)),
    ("file", |l, name| l.file("other", b"other").hard_link(name, "other")),
];

#[test]
fn everything_takes_the_place_of_everything() {
    for (index, (_, lower)) in KINDS.iter().enumerate() {
        for (upper_index, (kind, upper)) in KINDS.iter().enumerate() {
            // A directory that nothing lists asks for a parent, and gets none that is no directory.
            if upper_index == 2 && index != 1 && index != 2 {
                continue;
            }
            let what = format!("{index} under {upper_index}");
            let below = LayerBuilder::new().file("d/beside", b"1");
            let world = World::new();
            world.apply(&[lower(below.clone(), "d/a"), upper(LayerBuilder::new(), "d/a")], &Policy::default()).unwrap();
            world.assert_untouched(&what);
            assert_eq!((world.kind("d/a"), world.text("d/beside").as_str()), (*kind, "1"), "{what}");
            let names = fs::read_dir(world.root().join("d")).unwrap().count();
            assert_eq!(names, 2, "{what}: nothing temporary is left");
            let kept = index == 2 && *kind == "dir";
            assert_eq!(
                fs::symlink_metadata(world.root().join("d/a/x/y/z")).is_ok(),
                kept || upper_index == 2,
                "{what}"
            );

            let world = World::new();
            let applied = world.apply(&[upper(lower(below, "d/a"), "d/a")], &Policy::default()).unwrap();
            world.assert_untouched(&what);
            assert_eq!(world.kind("d/a"), *kind, "{what}, in one layer");
            let only_directories_twice = matches!((index, upper_index), (1, 1 | 2) | (2, 1));
            let noted = applied.report().count("duplicate-path");
            assert_eq!(noted > 0, !only_directories_twice, "{what}, in one layer: {noted} notes");
        }
    }
}

/// The names in the tree of files that the host has, too: they are replaced, and never written through.
#[test]
fn a_file_of_the_host_with_a_name_in_the_tree_stays_as_it_is() {
    let layers: &[fn(LayerBuilder) -> LayerBuilder] = &[
        |l| l.file_with("host", b"longer than what was there", &mode(0o777)),
        |l| l.dir_with("host", &mode(0o777)),
        |l| l.symlink("host", "x"),
        |l| l.fifo("host"),
        |l| l.whiteout("host"),
        |l| l.opaque(""),
        |l| l.file("a", b"!").hard_link("host", "a"),
        |l| l.hard_link("a", "host"),
        |l| l.hard_link("a", "host").file_with("a", b"!", &mode(0o777)),
        |l| l.record("SCHILY.xattr.user.canary", b"2").file("host", b"!"),
    ];
    for (index, layer) in layers.iter().enumerate() {
        let world = World::new();
        let file = world.out().join("file");
        fs::hard_link(&file, world.root().join("host")).unwrap();
        let look = || {
            let m = fs::metadata(&file).unwrap();
            (m.ino(), m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec(), fs::read(&file).unwrap())
        };
        let before = look();
        world.apply(&[layer(LayerBuilder::new())], &Policy::default()).unwrap();
        assert_eq!(look(), before, "row {index}");
        let mut value = [0; 8];
        if let Ok(length) = rustix::fs::getxattr(&file, "user.canary", &mut value[..]) {
            assert_eq!(&value[..length], b"1", "row {index}");
        }
    }
}
