//! Hard links that a filter keeps, to what it does not keep: they give what they give without the filter.

use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::open;
use layercage::error::Misuse;
use layercage::policy::Devices;
use layercage::rules::QuirkRule;
use layercage::sink::Filter;
use layercage::tar::EntryPath;
use layercage::{Error, Layer, Policy, Rootfs, Scratch, Sink, Unpacker};
use std::collections::BTreeSet;
use std::fs::symlink_metadata;
use std::path::Path;

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// Drops what lies below `x`, and `x`.
fn keeps(path: &EntryPath) -> bool {
    path.components().next().is_none_or(|name| name.as_bytes() != b"x")
}

/// The rules of the notes about paths that are kept, or the refusal. Devices are skipped.
fn apply(layers: &[LayerBuilder], sink: &mut impl Sink) -> Result<BTreeSet<(String, &'static str)>, Error> {
    let mut session = Unpacker::new(Policy::default().with_devices(Devices::Skip)).session();
    for layer in layers {
        session.apply(Layer::new(&layer.clone().build()[..]), sink)?;
    }
    let notes = session.report().notes().iter().filter_map(|note| {
        let path = note.position.path.as_ref()?.to_string();
        // The first file that gets another owner has that note, and it may be one that is dropped.
        let is_of_links = !path.starts_with("\"x") && note.quirk.rule() != QuirkRule::OwnerToCaller;
        is_of_links.then_some((path, note.quirk.id()))
    });
    Ok(notes.collect())
}

fn same(layers: &[LayerBuilder], copies: Option<u64>, what: &str) -> Option<&'static str> {
    let [whole, part] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let tree = |place: &Path| Rootfs::over(&open(place)).unwrap();
    let expected = apply(layers, &mut tree(whole.path()));
    let mut filter = Filter::new(tree(part.path()), keeps);
    if let Some(most) = copies {
        filter = filter.with_copies(Scratch::of(tempfile::tempfile), most);
    }
    let got = apply(layers, &mut filter);
    let is_there = |place: &Path| symlink_metadata(place.join("l")).is_ok();
    match (expected, got) {
        (Ok(expected), Ok(got)) => {
            assert_eq!(got, expected, "{what}");
            assert_eq!(is_there(part.path()), is_there(whole.path()), "{what}");
            None
        }
        (Err(expected), Err(got)) => {
            assert_eq!(got.to_string(), expected.to_string(), "{what}");
            got.rule_id()
        }
        (expected, got) => panic!("{what}: {got:?} is not {expected:?}"),
    }
}

#[test]
fn a_link_that_no_dropped_file_answers_gives_what_it_gives_without_the_filter() {
    let device = || layer().device("x/null", 1, 3);
    let skipped = [
        ("a device", vec![device().hard_link("l", "x/null")]),
        ("a device in a lower layer", vec![device(), layer().file("l", b"l"), layer().hard_link("l", "x/null")]),
        ("another name of a device", vec![device().hard_link("x/null2", "x/null").hard_link("l", "x/null2")]),
        ("a device that is kept", vec![layer().device("d", 1, 3).hard_link("x/d", "d").hard_link("l", "x/d")]),
        ("a link to the link", vec![device().hard_link("k", "x/null").hard_link("x/k", "k").hard_link("l", "x/k")]),
    ];
    let refused = [
        ("nothing", "hard-link-missing", vec![layer().hard_link("l", "x/nothing")]),
        ("a later entry", "hard-link-missing", vec![layer().hard_link("l", "x/a").file("x/a", b"a")]),
        (
            "nothing any more",
            "hard-link-missing",
            vec![layer().file("x/a", b""), layer().whiteout("x").hard_link("l", "x/a")],
        ),
        ("below a file", "hard-link-missing", vec![layer().file("x/a", b"").hard_link("l", "x/a/b")]),
        ("a directory", "hard-link-to-directory", vec![layer().dir("x/d").hard_link("l", "x/d")]),
        ("an implied directory", "hard-link-to-directory", vec![layer().file("x/d/a", b"").hard_link("l", "x/d")]),
    ];
    for copies in [None, Some(1 << 20)] {
        for (what, layers) in &skipped {
            assert_eq!(same(layers, copies, what), None, "{what}");
        }
        for (what, rule, layers) in &refused {
            assert_eq!(same(layers, copies, what), Some(*rule), "{what}");
        }
    }
}

#[test]
fn a_link_behind_a_symbolic_link_may_lead_to_a_dropped_file() {
    for layers in [
        layer().file("x/usr/bin/sh", b"sh").symlink("x/bin", "usr/bin").hard_link("l", "x/bin/sh"),
        layer().file("x/usr/bin/sh", b"sh").symlink("s", "usr/bin").hard_link("x/bin", "s").hard_link("l", "x/bin/sh"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let mut filter = Filter::new(Rootfs::over(&open(place.path())).unwrap(), keeps);
        let error = apply(&[layers], &mut filter).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::LinkToFiltered { .. })), "{error}");
    }
}

#[test]
fn a_copy_has_the_note_of_a_link_with_other_attributes() {
    let owner = Attributes { uid: rustix::process::getuid().as_raw() + 7, ..mode(0o644) };
    let link = |attributes: &Attributes<'_>| {
        let base = layer().file_with("x/a", b"a", &mode(0o644));
        vec![base.entry(b'1', b"l", b"x/a", b"", attributes).hard_link("x/b", "x/a")]
    };
    assert_eq!(same(&link(&mode(0o600)), Some(1 << 20), "another mode"), None);
    assert_eq!(same(&link(&mode(0o644)), Some(1 << 20), "the same"), None);
    let notes = |attributes: &Attributes<'_>| {
        let place = tempfile::tempdir().unwrap();
        let filter = Filter::new(Rootfs::over(&open(place.path())).unwrap(), keeps);
        apply(&link(attributes), &mut filter.with_copies(Scratch::of(tempfile::tempfile), 1 << 20)).unwrap()
    };
    let differs = BTreeSet::from([("\"l\"".to_owned(), QuirkRule::HardLinkMetadata.id())]);
    let of_links = |notes: BTreeSet<(String, &'static str)>| {
        notes.into_iter().filter(|(_, rule)| rule.starts_with("hard-link")).collect::<BTreeSet<_>>()
    };
    assert_eq!(of_links(notes(&mode(0o600))), differs);
    assert_eq!(of_links(notes(&owner)), differs);
    assert_eq!(of_links(notes(&mode(0o644))), BTreeSet::new());
}
