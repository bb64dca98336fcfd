//! The content of chosen files: read once more, and verified again.

use super::world::{listed, selected};
use crate::support::layer::LayerBuilder;
use crate::support::layout::{self, Stored};
use crate::support::open;
use crate::support::tree::{self, hex};
use layercage::error::{Blame, Misuse};
use layercage::merged::Node;
use layercage::rules::Limit;
use layercage::{Image, Limits, MergedTree, Policy, Selected, Selector, Unpacker};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use tempfile::TempDir;

fn digest(content: &mut dyn Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    Ok(hex(&Sha256::digest(bytes)))
}

/// A layout of these layers, and what was selected in it.
fn image(layers: &[LayerBuilder]) -> (TempDir, Vec<String>, Selected) {
    let place = tempfile::tempdir().unwrap();
    let stored = [Stored::Plain, Stored::Gzip, Stored::Zstd];
    let layers: Vec<_> = layers.iter().zip(stored).map(|(layer, stored)| (layer.clone().build(), stored)).collect();
    let names = layout::write(place.path(), &layers);
    let selected = Image::open(&open(place.path())).unwrap().select(&Selector::host()).unwrap();
    (place, names, selected)
}

fn text(node: &Node<'_>) -> String {
    String::from_utf8(node.path().as_bytes().to_vec()).unwrap()
}

/// The content of all files, each by the path for which it was read.
fn read_all(tree: &MergedTree, selected: &Selected) -> Vec<(String, String)> {
    let mut contents = Vec::new();
    let read = |node: Node<'_>, content: &mut dyn Read| {
        let mut bytes = String::new();
        content.read_to_string(&mut bytes)?;
        contents.push((text(&node), bytes));
        Ok(())
    };
    tree.read_files(selected, |_| true, read).unwrap();
    contents
}

#[test]
fn the_content_of_every_file_of_the_real_image_is_as_real_tools_listed_it() {
    let selected = selected();
    let tree = selected.merge(&Policy::default()).unwrap();
    for threads in [1, 3] {
        let mut listing = tree::list_merged(&tree);
        let mut read = 0;
        let unpacker = Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(threads).unwrap());
        let mut session = unpacker.session();
        let content = |node: Node<'_>, content: &mut dyn Read| {
            let digest = digest(content)?;
            for path in node.links().chain([node]).map(|node| node.path()) {
                listing.get_mut(path.as_bytes()).unwrap().insert("sha256".into(), digest.clone());
            }
            read += 1;
            Ok(())
        };
        session.read_files(&tree, &selected, |_| true, content).unwrap();
        assert_eq!(session.report().entries, 0, "the layers are not counted once more");
        let differences = tree::differences(&listed(), &listing);
        assert!(differences.is_empty(), "\n{}", differences.join("\n"));
        let inodes: std::collections::BTreeSet<_> =
            tree.iter().filter(|node| node.is_file()).map(|node| node.inode()).collect();
        assert_eq!(read, inodes.len(), "each file once");
    }
}

#[test]
fn content_comes_from_the_entry_that_has_it_whichever_layer_names_the_file() {
    let layers = [
        LayerBuilder::new().file("a", b"lower").file("twice", b"1").file("twice", b"2").file("gone", b"secret"),
        LayerBuilder::new().hard_link("z/link", "a").whiteout("a").whiteout("gone").file("empty", b""),
        LayerBuilder::new().file(".wh..wh.plnk/1", b"beside").hard_link("p", ".wh..wh.plnk/1").hard_link("q", "p"),
    ];
    let (_place, _, selected) = image(&layers);
    let tree = selected.merge(&Policy::default()).unwrap();
    let expected = [("z/link", "lower"), ("twice", "2"), ("empty", ""), ("p", "beside")];
    assert_eq!(read_all(&tree, &selected), expected.map(|(path, content)| (path.to_owned(), content.to_owned())));
    let mut hidden = BTreeMap::new();
    let read = |file: layercage::merged::Hidden<'_>, content: &mut dyn Read| {
        let mut bytes = String::new();
        content.read_to_string(&mut bytes)?;
        hidden.insert(file.path().to_string(), bytes);
        Ok(())
    };
    tree.read_hidden(&selected, |file| file.size() != 5, read).unwrap();
    let expected = [("\"gone\"", "secret"), ("\"twice\"", "1")];
    assert_eq!(hidden, expected.map(|(path, content)| (path.to_owned(), content.to_owned())).into());
}

/// A file of one byte with a hole behind it.
fn with_hole(layer: LayerBuilder, name: &str, hole: u64) -> LayerBuilder {
    let (size, map) = ((hole + 1).to_string(), format!("0,1,{},0", hole + 1));
    let layer = layer.record("GNU.sparse.name", name.as_bytes()).record("GNU.sparse.size", size.as_bytes());
    layer.record("GNU.sparse.numblocks", b"2").record("GNU.sparse.map", map.as_bytes()).file(name, b"x")
}

/// A hole takes a few bytes of an archive and hours of a reader that hashes its zeros.
#[test]
fn holes_that_are_read_count_over_all_layers_and_those_that_are_not_read_cost_nothing() {
    let layers = [
        with_hole(with_hole(LayerBuilder::new(), "a", 1000), "huge", 200 << 30),
        with_hole(LayerBuilder::new().whiteout("huge"), "b", 2000),
    ];
    let (_place, _, selected) = image(&layers);
    let tree = selected.merge(&Policy::default()).unwrap();
    let read = |most: u64, bytes: u64| {
        let limits = Limits::default().with(Limit::HoleBytes, most);
        let mut session = Unpacker::new(Policy::default()).with_limits(limits).session();
        // Each pass counts for itself.
        let results: Vec<_> = (0..2)
            .map(|_| {
                let content = |_: Node<'_>, content: &mut dyn Read| {
                    Ok(io::copy(&mut content.take(bytes), &mut io::sink()).map(drop)?)
                };
                session.read_files(&tree, &selected, |_| true, content)
            })
            .collect();
        results.into_iter().collect::<Result<(), _>>()
    };
    assert!(read(3000, u64::MAX).is_ok());
    assert!(read(0, 1).is_ok());
    let error = read(2999, u64::MAX).unwrap_err();
    assert_eq!((error.rule_id(), error.blame()), (Some("limit"), Blame::Archive), "{error}");
    assert!(error.to_string().contains("hole-bytes") && error.position().path.is_some(), "{error}");
    assert_eq!(error.position().layer.unwrap().number, 2);
    let most = Limits::default().with(Limit::HoleBytes, 1 << 20);
    let mut session = Unpacker::new(Policy::default()).with_limits(most).session();
    let all =
        |_: layercage::merged::Hidden<'_>, content: &mut dyn Read| Ok(io::copy(content, &mut io::sink()).map(drop)?);
    let error = session.read_hidden(&tree, &selected, |_| true, all).unwrap_err();
    assert!(error.to_string().contains("hole-bytes"), "{error}");
}

#[test]
fn only_layers_that_have_a_chosen_file_are_read() {
    let layers = [LayerBuilder::new().file("a", b"1").file("b", b"1"), LayerBuilder::new().file("b", b"2")];
    let (place, names, selected) = image(&layers);
    let tree = selected.merge(&Policy::default()).unwrap();
    fs::remove_file(place.path().join(&names[0])).unwrap();
    let read = |wanted: &str| {
        let mut contents = Vec::new();
        let read = |_: Node<'_>, content: &mut dyn Read| Ok(content.read_to_end(&mut contents).map(|_| ())?);
        let result = tree.read_files(&selected, |node| text(&node) == wanted, read);
        result.map(|()| contents)
    };
    assert_eq!(read("b").unwrap(), b"2");
    assert_eq!(read("nothing").unwrap(), b"");
    let error = read("a").unwrap_err();
    assert_eq!((error.rule_id(), error.position().layer.unwrap().number), (Some("blob-missing"), 1), "{error}");
}

#[test]
fn a_layer_that_was_changed_since_is_refused_when_it_has_been_read() {
    let (place, names, selected) = image(&[LayerBuilder::new().file("a", b"honest").file("b", b"b")]);
    let tree = selected.merge(&Policy::default()).unwrap();
    let blob = place.path().join(&names[0]);
    let mut bytes = fs::read(&blob).unwrap();
    let at = bytes.windows(6).position(|window| window == b"honest").unwrap();
    bytes[at..at + 6].copy_from_slice(b"forged");
    fs::write(&blob, bytes).unwrap();
    let mut seen = Vec::new();
    let read = |_: Node<'_>, content: &mut dyn Read| Ok(content.read_to_end(&mut seen).map(|_| ())?);
    let error = tree.read_files(&selected, |node| text(&node) == "a", read).unwrap_err();
    assert_eq!(
        (error.rule_id(), error.effect()),
        (Some("digest-mismatch"), layercage::error::Effect::Partial),
        "{error}"
    );
    assert_eq!(seen, b"forged", "as the documentation says, content is seen before its layer is verified");
}

#[test]
fn another_image_than_the_merged_one_is_refused_before_anything_is_read() {
    let (_place, _, one) = image(&[LayerBuilder::new().file("a", b"1")]);
    let (_other_place, _, other) = image(&[LayerBuilder::new().file("a", b"2")]);
    let (_longer_place, _, longer) = image(&[LayerBuilder::new().file("a", b"1"), LayerBuilder::new()]);
    let tree = one.merge(&Policy::default()).unwrap();
    for image in [other, longer] {
        let error = tree.read_files(&image, |_| true, |_, _| panic!("nothing may be read")).unwrap_err();
        assert_eq!((error.misuse(), error.blame()), (Some(&Misuse::OtherImage), Blame::Caller), "{error}");
    }
}

#[test]
fn a_failure_of_the_caller_ends_the_reading_with_the_position_of_the_file() {
    let (_place, _, selected) =
        image(&[LayerBuilder::new(), LayerBuilder::new().dir("d").file("d/f", b"1").file("e", b"")]);
    let tree = selected.merge(&Policy::default()).unwrap();
    let mut calls = 0;
    let read = |_: Node<'_>, _: &mut dyn Read| {
        calls += 1;
        Err(io::Error::other("full").into())
    };
    let error = tree.read_files(&selected, |_| true, read).unwrap_err();
    assert_eq!((calls, error.blame()), (1, Blame::System));
    let position = error.position();
    assert_eq!((position.layer.unwrap().number, position.entry), (2, Some(2)), "{error}");
}

#[test]
fn what_the_policy_of_the_merge_allowed_is_read_without_asking_again() {
    let devices = LayerBuilder::new().file("a", b"1").device("dev/console", 5, 1).fifo("p").file("b", b"2");
    let (_place, _, selected) = image(&[devices]);
    for policy in [
        Policy::compatible(),
        Policy::default()
            .with_devices(layercage::policy::Devices::Create)
            .with_owners(layercage::policy::Owners::Record),
    ] {
        let tree = selected.merge(&policy).unwrap();
        let contents: BTreeMap<_, _> = read_all(&tree, &selected).into_iter().collect();
        assert_eq!((contents["a"].as_str(), contents["b"].as_str()), ("1", "2"));
        let files = tree.iter().filter(|node| node.is_file()).count();
        assert_eq!(contents.len(), files, "a recorded device is an empty file");
    }
}
