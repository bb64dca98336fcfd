//! What well-formed whiteouts mean: by example, and as a property against a model.

use crate::model::{self, Node, Said, Tree};
use crate::random::cases;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use crate::support::world::World;
use layercage::rules::QuirkRule;
use layercage::{Policy, Report};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// The names of a tree in order, directories with a slash, links with their target.
fn names(world: &World) -> String {
    let listing = tree::list(&world.root());
    let names = listing.iter().filter(|(path, _)| *path != b".").map(|(path, fields)| {
        let path = tree::escape(path);
        match fields["type"].as_str() {
            "dir" => format!("{path}/"),
            "symlink" => format!("{path}>{}", fields["target"]),
            _ => path,
        }
    });
    names.collect::<Vec<_>>().join(" ")
}

/// A sentence, lower layers, the layer, the names that are left, and the notes.
type Row = (&'static str, LayerBuilder, LayerBuilder, &'static str, &'static [(&'static str, u64)]);

fn rows() -> Vec<Row> {
    let abc = || layer().dir("a").file("a/b", b"1").file("a/c", b"1");
    let deep = || layer().file("a/b/c", b"1").file("a/b/d", b"1").file("a/e", b"1");
    let run = || layer().file("run/lock", b"").symlink("var/run", "/run");
    const BEHIND: &[(&str, u64)] = &[("whiteout-behind-own-link", 1)];
    const OWN: &[(&str, u64)] = &[("whiteout-of-own", 1)];
    vec![
        ("a file", abc(), layer().whiteout("a/b"), "a/ a/c", &[]),
        ("a tree", deep(), layer().whiteout("a"), "", &[]),
        ("a link, and not what it leads to", run(), layer().whiteout("var/run"), "run/ run/lock var/", &[]),
        ("what is absent", abc(), layer().whiteout("a/x").whiteout("x"), "a/ a/b a/c", &[]),
        ("parents that are missing are not made", abc(), layer().whiteout("x/y/z"), "a/ a/b a/c", &[]),
        ("an opaque marker in what is missing makes nothing", abc(), layer().opaque("x/y"), "a/ a/b a/c", &[]),
        ("behind a lower file there is nothing", abc(), layer().whiteout("a/b/x"), "a/ a/b a/c", &[]),
        ("an opaque marker on a lower file", abc(), layer().opaque("a/b"), "a/ a/b a/c", &[]),
        ("an opaque marker before its siblings", abc(), layer().opaque("a").file("a/b", b"2"), "a/ a/b", &[]),
        (
            "an opaque marker after its siblings",
            abc(),
            layer().file("a/b", b"2").opaque("a"),
            "a/ a/b",
            &[("opaque-behind-own", 1)],
        ),
        (
            "an opaque marker between its siblings",
            abc(),
            layer().file("a/x", b"").opaque("a").file("a/b", b"2"),
            "a/ a/b a/x",
            &[("opaque-behind-own", 1)],
        ),
        (
            "an opaque marker twice",
            abc(),
            layer().opaque("a").file("a/b", b"2").opaque("a"),
            "a/ a/b",
            &[("opaque-behind-own", 1)],
        ),
        (
            "opaque markers within one another",
            deep(),
            layer().opaque("a").opaque("a/b").file("a/b/x", b""),
            "a/ a/b/ a/b/x",
            &[],
        ),
        ("the inner opaque marker alone", deep(), layer().opaque("a/b").file("a/b/x", b""), "a/ a/b/ a/b/x a/e", &[]),
        ("an opaque root", deep(), layer().file("a/b/x", b"").opaque(""), "a/ a/b/ a/b/x", &[("opaque-behind-own", 1)]),
        ("a whiteout before what takes its place", abc(), layer().whiteout("a/b").file("a/b", b"2"), "a/ a/b a/c", &[]),
        ("a whiteout after what took its place", abc(), layer().file("a/b", b"2").whiteout("a/b"), "a/ a/b a/c", OWN),
        ("a whiteout of a new file", layer(), layer().file("a", b"").whiteout("a"), "a", OWN),
        (
            "a whiteout of a directory of the same layer",
            deep(),
            layer().dir("a").file("a/x", b"").whiteout("a"),
            "a/ a/x",
            OWN,
        ),
        ("the same, the whiteout first", deep(), layer().whiteout("a").dir("a").file("a/x", b""), "a/ a/x", &[]),
        (
            "a whiteout of a way through",
            deep(),
            layer().file("a/b/x", b"").whiteout("a"),
            "a/ a/b/ a/b/x",
            &[("whiteout-of-own", 1)],
        ),
        (
            "a whiteout of the inner way through",
            deep(),
            layer().file("a/b/x", b"").whiteout("a/b"),
            "a/ a/b/ a/b/x a/e",
            &[("whiteout-of-own", 1)],
        ),
        (
            "a whiteout of the way and then of what is in it",
            deep(),
            layer().file("a/b/x", b"").whiteout("a").whiteout("a/b/x"),
            "a/ a/b/ a/b/x",
            &[("whiteout-of-own", 2)],
        ),
        ("behind a file of its own layer", abc(), layer().file("a", b"").whiteout("a/b"), "a", BEHIND),
        (
            "before a file that takes the place of its directory",
            abc(),
            layer().whiteout("a/b").file("a", b""),
            "a",
            &[],
        ),
        (
            "behind a link of its own layer",
            abc().file("z/b", b""),
            layer().symlink("a", "z").whiteout("a/b"),
            "a>z z/ z/b",
            BEHIND,
        ),
        (
            "before the link of its own layer",
            abc().file("z/b", b""),
            layer().whiteout("a/b").symlink("a", "z"),
            "a>z z/ z/b",
            &[],
        ),
        (
            "behind a directory of its own layer that took a link's place",
            abc().symlink("l", "a"),
            layer().dir("l").whiteout("l/b"),
            "a/ a/b a/c l/",
            &[("directory-over-link", 1)],
        ),
        ("through a lower link", run(), layer().whiteout("var/run/lock"), "run/ var/ var/run>/run", &[]),
        (
            "an opaque marker through a lower link",
            run(),
            layer().opaque("var/run").file("var/run/pid", b""),
            "run/ run/pid var/ var/run>/run",
            &[],
        ),
        (
            "an opaque marker behind a link of its own layer",
            abc(),
            layer().symlink("l", "a").opaque("l"),
            "a/ a/b a/c l>a",
            BEHIND,
        ),
        (
            "through a link, and then the link itself",
            run(),
            layer().file("var/run/pid", b"").whiteout("var/run"),
            "run/ run/lock run/pid var/",
            &[],
        ),
        (
            "the directory of a link that was a way through",
            layer().symlink("a/l", "/b").file("b/x", b""),
            layer().file("a/l/y", b"").whiteout("a"),
            "b/ b/x b/y",
            &[],
        ),
        (
            "the same with a link that goes up",
            layer().symlink("a/l", "../b").file("b/x", b""),
            layer().file("a/l/y", b"").whiteout("a"),
            "b/ b/x b/y",
            &[],
        ),
        (
            "the place that a link leads to",
            run(),
            layer().file("var/run/pid", b"").whiteout("run"),
            "run/ run/pid var/ var/run>/run",
            &[("whiteout-of-own", 1)],
        ),
        ("a hard link that is a whiteout", abc(), layer().hard_link("a/.wh.b", "a/c"), "a/ a/c", &[]),
        (
            "bookkeeping of AUFS",
            abc(),
            layer().dir(".wh..wh.plnk").file(".wh..wh.aufs", b""),
            "a/ a/b a/c",
            &[("aufs-bookkeeping", 2)],
        ),
        ("a type that changed stays changed", deep(), layer().file("a", b"").dir("a"), "a/", &[("duplicate-path", 1)]),
        ("a lower file, hard linked and whited out", abc(), layer().hard_link("x", "a/b").whiteout("a"), "x", &[]),
    ]
}

#[test]
fn whiteouts_remove_what_lower_layers_have() {
    for (sentence, lower, upper, expected, notes) in rows() {
        let world = World::new();
        // All of them take it in silence, since nothing is wrong with it: whoever asks is told.
        let policy = Policy::default().allow(QuirkRule::OpaqueBehindOwn);
        let applied = world.apply(&[lower, upper], &policy).unwrap();
        world.assert_untouched(sentence);
        assert_eq!(names(&world), expected, "{sentence}");
        assert_eq!(noted(applied.report()), notes, "{sentence}");
    }
}

/// What was noted, but for the owners, which not everybody who runs the tests may set.
fn noted(report: &Report) -> Vec<(&'static str, u64)> {
    report.counts().filter(|(id, _)| *id != "owner-to-caller").collect()
}

#[test]
fn a_way_through_that_was_whited_out_is_implied() {
    let attributes = Attributes { xattrs: vec![("user.a", b"1")], ..mode(0o700) };
    let lower = layer().dir_with("a", &attributes).dir_with("a/b", &attributes).dir_with("d", &attributes);
    for upper in [
        layer().file("a/b/c", b"").whiteout("a"),
        layer().whiteout("a").file("a/b/c", b""),
        layer().file("a/b/c", b"").opaque(""),
        layer().opaque("").file("a/b/c", b""),
    ] {
        let world = World::new();
        world.apply(&[lower.clone(), upper], &Policy::default()).unwrap();
        for path in ["a", "a/b"] {
            assert_eq!((world.mode(path), world.mtime(path)), (0o755, (0, 0)), "{path}");
            assert!(!tree::list(&world.root())[path.as_bytes()].contains_key("xattr.user.a"), "{path}");
        }
    }
}

#[test]
fn what_stays_below_a_whiteout_keeps_its_own_attributes() {
    let world = World::new();
    let lower = layer().dir_with("a", &mode(0o700)).file("a/old", b"").dir("a/b");
    let upper = layer().dir_with("a/b", &mode(0o711)).dir_with("a", &mode(0o750)).whiteout("a").opaque("");
    world.apply(&[lower, upper], &Policy::default()).unwrap();
    assert_eq!(names(&world), "a/ a/b/");
    assert_eq!((world.mode("a"), world.mode("a/b")), (0o750, 0o711));
    assert_eq!((world.mtime("a"), world.mtime("a/b")), ((1_000_000_000, 0), (1_000_000_000, 0)));
}

/// A path of up to four components over a small alphabet, so that layers meet one another.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..=4).prop_map(|parts| parts.join("/"))
}

fn node() -> impl Strategy<Value = Node> {
    let time = 1_000_000_000_u64..1_000_000_004;
    let modes = || prop::sample::select(vec![0o700, 0o755, 0o555, 0o000, 0o1777]);
    prop_oneof![
        4 => (modes(), time.clone(), prop::option::of(0_u8..3)).prop_map(|(m, t, x)| Node::Directory(m, t, x)),
        3 => (modes(), time, prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(m, t, c)| Node::File(m, t, c)),
        // It leads nowhere: what is behind links is not the model's business.
        1 => Just(Node::Symlink("gone".into())),
    ]
}

/// Entries and, with places to put them, markers; the number picks an order.
#[derive(Debug, Clone)]
struct Sketch {
    entries: Vec<(String, Node)>,
    /// Of the entries, those that are hard links to data that AUFS keeps beside them.
    linked: Vec<prop::sample::Index>,
    markers: Vec<(Said, prop::sample::Index)>,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let marker =
        prop_oneof![path().prop_map(Said::Whiteout), path().prop_map(Said::Opaque), Just(Said::Opaque(String::new()))];
    let weighted = prop::collection::vec((marker, any::<prop::sample::Index>()), 0..4);
    let linked = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    (prop::collection::vec((path(), node()), 0..7), linked, weighted).prop_map(|(entries, linked, markers)| Sketch {
        entries,
        linked,
        markers,
    })
}

/// The layer's own entries, each path once, each parent that is no directory anywhere made one first: a
/// parent that is a lower layer's file is refused, or not, depending on where its whiteout stands.
fn entries(sketch: &Sketch, lower: &Tree) -> Vec<Said> {
    let mut brought = Tree::new();
    let mut said = Vec::new();
    for (path, node) in &sketch.entries {
        let used_as_parent = brought.keys().any(|other| model::parents(other).any(|parent| parent == path));
        let in_the_way =
            model::parents(path).any(|parent| brought.get(parent).is_some_and(|node| !node.is_directory()));
        if brought.contains_key(path) || in_the_way || (used_as_parent && !node.is_directory()) {
            continue;
        }
        for parent in model::parents(path) {
            if lower.get(parent).is_some_and(|node| !node.is_directory()) && !brought.contains_key(parent) {
                let node = Node::Directory(0o711, 7, None);
                brought.insert(parent.to_owned(), node.clone());
                said.push(Said::Bring(parent.to_owned(), node));
            }
        }
        brought.insert(path.clone(), node.clone());
        said.push(Said::Bring(path.clone(), node.clone()));
    }
    link(&mut said, &sketch.linked);
    said
}

/// Makes some of the files names of data that AUFS keeps beside them, as they stand: before the first, between others.
fn link(said: &mut Vec<Said>, linked: &[prop::sample::Index]) {
    for (number, index) in (0..).zip(linked.iter().filter(|_| !said.is_empty()).collect::<Vec<_>>()) {
        let at = index.index(said.len());
        let Said::Bring(path, node @ Node::File(..)) = said[at].clone() else { continue };
        said[at] = Said::LinkTo(path, number);
        // One behind it may be another name of the same data.
        if let Some(Said::Bring(path, Node::File(..))) = said.get(at + 1).cloned() {
            said[at + 1] = Said::LinkTo(path, number);
        }
        said.insert(at, Said::PseudoLink(number, node));
    }
}

fn listed(tree: &Tree) -> Listing {
    let hex = tree::hex;
    let set = |pairs: Vec<(&str, String)>| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let file = |mode: &u32, mtime: &u64, content: &[u8]| {
        vec![
            ("type", "file".into()),
            ("mode", format!("{mode:04o}")),
            ("mtime", format!("{mtime}.000000000")),
            ("size", content.len().to_string()),
            ("sha256", hex(&Sha256::digest(content))),
        ]
    };
    // The names of an inode that has several are listed with the first of them.
    let first = |inode: &usize| {
        let mut names = tree.iter().filter(|(_, node)| matches!(node, Node::Linked(other, ..) if other == inode));
        let (first, second) = (names.next(), names.next());
        second.and(first).map(|(path, _)| ("hardlink", path.clone()))
    };
    let fields = |node: &Node| match node {
        Node::Directory(mode, mtime, xattr) => {
            let mut pairs =
                vec![("type", "dir".into()), ("mode", format!("{mode:04o}")), ("mtime", format!("{mtime}.000000000"))];
            pairs.extend(xattr.map(|value| ("xattr.user.a", hex(&[value]))));
            set(pairs)
        }
        Node::File(mode, mtime, content) => set(file(mode, mtime, content)),
        Node::Linked(inode, mode, mtime, content) => {
            set(file(mode, mtime, content).into_iter().chain(first(inode)).collect())
        }
        Node::Symlink(target) => {
            set(vec![("type", "symlink".into()), ("target", target.clone()), ("mtime", "1000000000.000000000".into())])
        }
    };
    tree.iter().map(|(path, node)| (path.clone().into_bytes(), fields(node))).collect()
}

/// What is on disk, but for the root and for owners.
fn found(world: &World) -> Listing {
    let mut listing = tree::list(&world.root());
    listing.remove(&b"."[..]);
    for fields in listing.values_mut() {
        fields.remove("uid");
        fields.remove("gid");
    }
    listing
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn any_order_of_the_markers_gives_the_tree_of_the_model(sketches in prop::collection::vec(sketch(), 1..4)) {
        let (world, mut expected, mut layers) = (World::new(), Tree::new(), Vec::new());
        for sketch in &sketches {
            let mut layer = entries(sketch, &expected);
            for (marker, index) in &sketch.markers {
                layer.insert(index.index(layer.len() + 1), marker.clone());
            }
            expected = model::apply(&expected, &layer);
            layers.push(layer);
        }
        let archives: Vec<_> = layers.iter().map(|layer| model::archive(layer)).collect();
        let result = world.apply(&archives, &Policy::default());
        prop_assert!(result.is_ok(), "{layers:#?}\n{}", result.unwrap_err());
        let differences = tree::differences(&listed(&expected), &found(&world));
        prop_assert!(differences.is_empty(), "{layers:#?}\n{}", differences.join("\n"));
    }
}

/// More levels than are held open, with something to clear before and after each way down.
#[test]
fn an_opaque_marker_clears_every_level_of_deep_passages() {
    const LEVELS: usize = 80;
    let at = |level: usize| "x/".repeat(level);
    let lower = (0..LEVELS).fold(layer(), |layer, level| {
        (0..5).fold(layer.file(&format!("{}old", at(level)), b""), |layer, side| {
            layer.file(&format!("{}s{side}/old/f", at(level)), b"")
        })
    });
    let upper = (0..LEVELS).fold(layer(), |layer, level| {
        (0..5).fold(layer, |layer, side| layer.file(&format!("{}s{side}/new", at(level)), b""))
    });
    let world = World::new();
    world.apply(&[lower, upper.clone().opaque("")], &Policy::default()).unwrap();
    let expected = World::new();
    expected.apply(&[upper], &Policy::default()).unwrap();
    assert_eq!(names(&world), names(&expected));
}
