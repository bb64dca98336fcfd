//! A part of a merged tree.

use super::{audited, export, image, permissive, unpacked};
use crate::support::layer::LayerBuilder;
use crate::support::open;
use crate::support::tree::{self, Listing};
use layercage::merged::{Node, Part};
use layercage::{MergedTree, Scratch, Unpacker};
use std::collections::BTreeSet;

fn text(node: Node<'_>) -> String {
    String::from_utf8(node.path().as_bytes().to_vec()).unwrap()
}

fn paths(part: &Part<'_>) -> Vec<String> {
    part.nodes().map(text).collect()
}

fn layers() -> [LayerBuilder; 2] {
    [
        LayerBuilder::new()
            .dir_with("usr", &crate::support::layer::mode(0o700))
            .file("usr/lib/libc", b"content of libc")
            .file("etc/passwd", b"root")
            .symlink("lib", "usr/lib"),
        LayerBuilder::new()
            .file("usr/other", b"other")
            .hard_link("opt/libc", "usr/lib/libc")
            .hard_link("opt/more", "usr/lib/libc")
            .symlink("opt/link", "../etc/passwd"),
    ]
}

fn below<'t>(tree: &'t MergedTree, directory: &str) -> Part<'t> {
    let below = format!("{directory}/");
    tree.part(|node| text(node) == directory || text(node).starts_with(&below))
}

#[test]
fn parents_of_what_is_kept_are_kept_with_their_attributes() {
    let (_place, selected) = image(&layers());
    let tree = selected.merge(&permissive()).unwrap();
    let part = tree.part(|node| text(node) == "usr/lib/libc");
    assert_eq!(paths(&part), ["", "usr", "usr/lib", "usr/lib/libc"]);
    let listing = unpacked(&export(&tree, &selected, 1, |_| part));
    assert_eq!(listing[&b"usr"[..]]["mode"], "0700");
    assert_eq!(listing.len(), 4);
}

#[test]
fn hard_links_whose_target_is_left_out_become_one_copy_and_links_to_it() {
    let (_place, selected) = image(&layers());
    let tree = selected.merge(&permissive()).unwrap();
    let part = |tree| below(tree, "opt");
    // The content comes from the first layer, so the first link takes its place in the order.
    assert_eq!(paths(&part(&tree)), ["", "opt", "opt/libc", "opt/more", "opt/link"]);
    let by_path = |tree| part(tree).by_path(Scratch::of(tempfile::tempfile));
    assert_eq!(paths(&by_path(&tree)), ["", "opt", "opt/libc", "opt/link", "opt/more"]);
    let whole = unpacked(&export(&tree, &selected, 1, MergedTree::whole));
    for tar in [export(&tree, &selected, 1, part), export(&tree, &selected, 3, by_path)] {
        assert!(audited(&tar).findings.is_empty());
        let listing = unpacked(&tar);
        for path in ["opt/libc", "opt/more"] {
            let fields = &listing[path.as_bytes()];
            assert_eq!(fields["hardlink"], "opt/libc");
            assert_eq!(fields["sha256"], whole[path.as_bytes()]["sha256"], "{path}");
        }
        assert_eq!(listing[&b"opt/link"[..]]["target"], "../etc/passwd", "it stays as it is");
        assert_eq!(listing.len(), 5);
    }
}

#[test]
fn a_part_is_unpacked_as_it_is_in_the_whole() {
    let (_place, selected) = image(&layers());
    let unpacker = Unpacker::new(permissive());
    for (directory, left_out) in [("usr", 1), ("etc", 0), ("opt", 0), ("lib", 0)] {
        let mut session = unpacker.session();
        let tree = session.merge(&selected).unwrap();
        let place = tempfile::tempdir().unwrap();
        let report = session.unpack_part(&below(&tree, directory), &selected, &open(place.path()), "rootfs").unwrap();
        assert_eq!(report.entries, 8, "all of the image was read");
        assert_eq!(report.bytes_written, below(&tree, directory).content_bytes(), "of the part");
        let got = tree::list(&place.path().join("rootfs"));
        let whole = unpacked(&export(&tree, &selected, 1, MergedTree::whole));
        let is_kept = |path: &[u8]| got.contains_key(path);
        let expected: Listing = whole.into_iter().filter(|(path, _)| is_kept(path)).collect();
        let differing: BTreeSet<_> = expected.iter().filter(|(path, fields)| got[*path] != **fields).collect();
        assert!(differing.len() <= 2 + left_out && got.len() == expected.len(), "{differing:?}");
        for (path, fields) in differing {
            let mut fields = fields.clone();
            // A file keeps only those of its names that are kept.
            let names = |listing: &Listing| listing.values().filter(|other| other.get("hardlink").is_some()).count();
            assert!(fields.remove("hardlink").is_some() && names(&got) != 3, "{path:?} {fields:?}");
        }
    }
}

#[test]
fn the_part_below_a_path_is_found_through_links_and_has_the_real_path() {
    let (_place, selected) = image(&layers());
    let tree = selected.merge(&permissive()).unwrap();
    for path in ["lib", "/usr/lib", "opt/../usr/lib/"] {
        assert_eq!(paths(&tree.part_below(path).unwrap()), ["", "usr", "usr/lib", "usr/lib/libc"], "{path}");
    }
    let file = tree.part_below("opt/link").unwrap();
    assert_eq!(paths(&file), ["", "etc", "etc/passwd"], "a file, too");
    assert_eq!(file.content_bytes(), 4);
    assert_eq!(paths(&tree.part_below("/").unwrap()), paths(&tree.whole()));
    assert_eq!(tree.whole().content_bytes(), 15 + 4 + 5, "each file once");
    assert!(tree.part_below("usr/li").is_none() && tree.part_below("us").is_none());
}

#[test]
fn nothing_at_all_may_be_kept() {
    let (_place, selected) = image(&layers());
    let tree = selected.merge(&permissive()).unwrap();
    let part = tree.part(|_| false);
    assert!(part.is_empty());
    assert_eq!(export(&tree, &selected, 1, |_| part), [0; 1024], "the end mark alone");
}

#[test]
fn a_bundle_of_a_tree_is_that_of_the_image() {
    let (_place, selected) = image(&layers());
    let place = tempfile::tempdir().unwrap();
    let parent = open(place.path());
    let unpacker = Unpacker::new(permissive());
    unpacker.session().unpack_bundle(&selected, &parent, "image", b"{}").unwrap();
    let mut session = unpacker.session();
    let tree = session.merge_cached(&selected, super::cached::cache()).unwrap();
    session.unpack_part_as_bundle(&tree.whole(), &selected, &parent, "tree", b"{}").unwrap();
    session = unpacker.session();
    session.unpack_part_as_bundle(&below(&tree, "etc"), &selected, &parent, "part", b"{}").unwrap();
    let [expected, got] = ["image", "tree"].map(|name| tree::list(&place.path().join(name).join("rootfs")));
    let differences = tree::differences(&expected, &got);
    assert!(differences.is_empty() && expected.len() > 5, "{differences:?}");
    assert_eq!(std::fs::read(place.path().join("tree/config.json")).unwrap(), b"{}");
    let part = tree::list(&place.path().join("part/rootfs"));
    assert_eq!(part.keys().map(Vec::as_slice).collect::<Vec<_>>(), [&b"."[..], b"etc", b"etc/passwd"]);
}
