//! Ways that lead through links: what is remembered of the last one makes no difference.

use crate::random::cases;
use crate::support::layer::LayerBuilder;
use crate::support::tree;
use crate::support::world::World;
use layercage::Policy;
use proptest::prelude::*;

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

#[test]
fn a_links_target_is_not_taken_for_the_names_on_the_way() {
    // In both "link2" and the target something ends where the name of the last directory ends.
    let lower = layer().dir("p/a/link").dir("p/a/xxxxxxxx/y").symlink("p/a/link2", "xxxxxxxx/y");
    let upper = layer().file("p/a/link2/f", b"").file("p/a/link/g", b"");
    let world = World::new();
    world.apply(&[lower, upper], &Policy::default()).unwrap();
    assert_eq!(world.kind("p/a/link/g"), "file");
    assert_eq!(world.kind("p/a/xxxxxxxx/g"), "");
}

#[test]
fn what_is_brought_beside_a_link_that_was_followed_survives_whiteouts_of_its_parents() {
    let lower = layer().file("p/a/old", b"").dir("el").symlink("p/a/link", "/el");
    let brought = || layer().file("p/a/link/f", b"").file("p/a/new", b"");
    for upper in [brought().whiteout("p"), brought().whiteout("p/a"), brought().opaque("p"), brought().opaque("")] {
        let world = World::new();
        world.apply(&[lower.clone(), upper], &Policy::default()).unwrap();
        assert_eq!((world.kind("p/a/new"), world.kind("p/a/old")), ("file", ""));
    }
}

/// A path of directories that the lower layer has, and links that it may have among them. Some names begin like others,
/// so that one may end where another goes on.
fn path(names: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(names), 1..=most).prop_map(|parts| parts.join("/"))
}

const DIRECTORIES: &[&str] = &["a", "aa"];

fn links() -> impl Strategy<Value = Vec<(String, String)>> {
    let at = (prop_oneof![Just(String::new()), path(DIRECTORIES, 2).prop_map(|path| path + "/")], "ll?");
    let target = (prop::sample::select(vec!["", "/", "../"]), path(DIRECTORIES, 2));
    let link = (at, target).prop_map(|((at, name), (start, target))| (at + &name, format!("{start}{target}")));
    prop::collection::vec(link, 1..4)
}

#[derive(Debug, Clone)]
enum Step {
    Bring(String),
    Whiteout(String),
    Opaque(String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let parent = || path(&["a", "aa", "l", "ll"], 3);
    let step = prop_oneof![
        6 => parent().prop_map(Step::Bring),
        1 => parent().prop_map(Step::Whiteout),
        1 => parent().prop_map(Step::Opaque),
    ];
    prop::collection::vec(step, 2..10)
}

/// The layer as it is, or with something in between that has all ways forgotten: a whiteout of what is not there.
fn archive(steps: &[Step], forgetful: bool) -> LayerBuilder {
    steps.iter().enumerate().fold(layer(), |archive, (number, step)| {
        let archive = if forgetful { archive.whiteout("nothing") } else { archive };
        match step {
            Step::Bring(parent) => archive.file(&format!("{parent}/{number}"), b""),
            Step::Whiteout(path) => archive.whiteout(path),
            Step::Opaque(path) => archive.opaque(path),
        }
    })
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn what_is_remembered_of_a_way_makes_no_difference(links in links(), steps in steps()) {
        let lower = ["a/a", "a/aa", "aa/a", "aa/aa"].iter().fold(layer(), |lower, path| lower.dir(path));
        let lower = links.iter().fold(lower, |lower, (path, target)| lower.symlink(path, target));
        let outcome = |forgetful| {
            let world = World::new();
            let applied = world.apply(&[lower.clone(), archive(&steps, forgetful)], &Policy::compatible());
            let mut listing = tree::list(&world.root());
            // No entry names the root: it has the time that it had.
            listing.remove(&b"."[..]);
            (applied.map_err(|error| error.rule_id().map(str::to_owned)).map(drop), listing)
        };
        let ((remembering, found), (forgetful, expected)) = (outcome(false), outcome(true));
        let differences = tree::differences(&expected, &found);
        prop_assert!(differences.is_empty(), "{links:?}\n{steps:?}\n{}", differences.join("\n"));
        prop_assert_eq!(remembering, forgetful);
    }
}
