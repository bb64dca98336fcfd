//! Content that a merged tree keeps.

use super::{by_path, image, permissive, whole, with_sparse};
use crate::support::layer::LayerBuilder;
use crate::support::layout::{self, Stored};
use crate::support::open;
use crate::support::tree;
use layercage::error::{Blame, Effect, Misuse};
use layercage::merged::{ContentCache, Part};
use layercage::progress::Advance;
use layercage::{Image, MergedTree, Policy, Scratch, Selected, Selector, Unpacker};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

pub(super) fn cache() -> ContentCache {
    ContentCache::new(Scratch::of(tempfile::tempfile))
}

pub(super) fn merge(selected: &Selected, policy: &Policy, cache: ContentCache) -> MergedTree {
    Unpacker::new(policy.clone()).session().merge_cached(selected, cache).unwrap()
}

fn export<'t>(tree: &'t MergedTree, selected: &Selected, part: fn(&'t MergedTree) -> Part<'t>) -> Vec<u8> {
    super::export(tree, selected, 1, part)
}

fn layers() -> [LayerBuilder; 3] {
    [
        with_sparse(LayerBuilder::new().file("gone", b"secret").file("usr/lib/a", &[b'a'; 300_000]), "holes"),
        LayerBuilder::new()
            .whiteout("gone")
            .hard_link("opt/link", "usr/lib/a")
            .file("b", b"of layer 2")
            .file("empty", b""),
        // An old image with pseudo-links: data beside the tree, which hard links bring into it.
        LayerBuilder::new()
            .file(".wh..wh.plnk/12.34", b"of a pseudo-link")
            .hard_link("pseudo", ".wh..wh.plnk/12.34")
            .file("usr/c", b"of layer 3"),
    ]
}

/// The contents of all files, or of all hidden ones.
fn contents(tree: &MergedTree, selected: &Selected) -> [BTreeMap<String, Vec<u8>>; 2] {
    let [mut files, mut hidden] = [BTreeMap::new(), BTreeMap::new()];
    let read = |content: &mut dyn Read| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map(|_| bytes)
    };
    let of_file = |node: layercage::merged::Node<'_>, content: &mut dyn Read| {
        files.insert(node.path().to_string(), read(content)?);
        Ok(())
    };
    tree.read_files(selected, |_| true, of_file).unwrap();
    let of_hidden = |node: layercage::merged::Hidden<'_>, content: &mut dyn Read| {
        hidden.insert(node.path().to_string(), read(content)?);
        Ok(())
    };
    tree.read_hidden(selected, |_| true, of_hidden).unwrap();
    [files, hidden]
}

/// Removes the layers, so that none can be read again.
fn without_layers(place: &TempDir) {
    fs::remove_dir_all(place.path().join("blobs")).unwrap();
}

#[test]
fn content_that_is_kept_is_exported_unpacked_and_read_without_the_layers() {
    let (place, selected) = image(&layers());
    let plain = selected.merge(&permissive()).unwrap();
    assert_eq!(plain.cached_bytes(), 0);
    let tars = [whole, by_path].map(|part| export(&plain, &selected, part));
    let contents_before = contents(&plain, &selected);
    assert_eq!(contents_before[0].len(), 6);
    assert_eq!(contents_before[1].values().collect::<Vec<_>>(), [b"secret"]);
    let kept = merge(&selected, &permissive(), cache());
    assert!((300_000..301_000).contains(&kept.cached_bytes()), "{}: holes take no space", kept.cached_bytes());
    without_layers(&place);
    assert!(export(&kept, &selected, whole) == tars[0]);
    assert!(super::export(&kept, &selected, 3, by_path) == tars[1]);
    assert!(export(&kept, &selected, by_path) == tars[1], "as often as one likes");
    assert_eq!(contents(&kept, &selected), contents_before);
    let parent = tempfile::tempdir().unwrap();
    let session = Unpacker::new(permissive()).session();
    session.unpack_part(&kept.whole(), &selected, &open(parent.path()), "rootfs").unwrap();
    let differences = tree::differences(&super::unpacked(&tars[0]), &tree::list(&parent.path().join("rootfs")));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn a_cache_that_fails_or_is_full_is_dropped_and_the_layers_are_read_again() {
    let (_place, selected) = image(&layers());
    let plain = selected.merge(&permissive()).unwrap();
    let tars = [whole, by_path].map(|part| export(&plain, &selected, part));
    let full = || File::options().read(true).write(true).open("/dev/full");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = empty.path().to_owned();
    let caches = [
        cache().with_most_bytes(0),
        cache().with_most_bytes(300_006),
        ContentCache::new(Scratch::of(|| Err(io::ErrorKind::PermissionDenied.into()))),
        ContentCache::new(Scratch::of(full)),
        // It has room, and cannot be written.
        ContentCache::new(Scratch::of(move || File::open(&path))),
        cache().with_paths(|_| false),
    ];
    for cache in caches {
        let what = format!("{cache:?}");
        let kept = merge(&selected, &permissive(), cache);
        assert_eq!(kept.cached_bytes(), 0, "{what}");
        assert!(export(&kept, &selected, whole) == tars[0], "{what}");
        assert!(export(&kept, &selected, by_path) == tars[1], "{what}");
        assert_eq!(contents(&kept, &selected), contents(&plain, &selected));
    }
    assert!(merge(&selected, &permissive(), cache().with_most_bytes(301_000)).cached_bytes() > 300_000);
}

#[test]
fn a_part_of_the_content_may_be_kept_and_the_rest_is_read_again() {
    let (_place, selected) = image(&layers());
    let plain = selected.merge(&permissive()).unwrap();
    let tars = [whole, by_path].map(|part| export(&plain, &selected, part));
    for (prefix, bytes) in
        [("usr/", 300_010..300_020), ("b", 10..11), ("holes", 3..100), ("opt/", 0..1), ("usr/c", 10..11)]
    {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let cache = cache().with_paths(move |path| {
            seen.lock().unwrap().push(path.to_string());
            path.as_bytes().starts_with(prefix.as_bytes())
        });
        let kept = merge(&selected, &permissive(), cache);
        assert!(bytes.contains(&kept.cached_bytes()), "{prefix}: {}", kept.cached_bytes());
        assert!(export(&kept, &selected, whole) == tars[0], "{prefix}");
        assert!(super::export(&kept, &selected, 3, by_path) == tars[1], "{prefix}");
        assert_eq!(contents(&kept, &selected), contents(&plain, &selected), "{prefix}");
        assert!(!asked.lock().unwrap().iter().any(|path| path.contains("empty")), "empty files take no space");
    }
}

/// A layout that can be changed, and what was selected in it.
fn stored(place: &Path, layers: &[LayerBuilder]) -> (Vec<String>, Selected) {
    let layers: Vec<_> = layers.iter().map(|layer| (layer.clone().build(), Stored::Plain)).collect();
    let names = layout::write(place, &layers);
    (names, Image::open(&open(place)).unwrap().select(&Selector::host()).unwrap())
}

#[test]
fn content_of_a_layer_that_is_not_the_expected_one_is_never_used() {
    let place = tempfile::tempdir().unwrap();
    let (names, selected) = stored(place.path(), &[LayerBuilder::new().file("a", b"honest")]);
    let blob = place.path().join(&names[0]);
    let mut bytes = fs::read(&blob).unwrap();
    let at = bytes.windows(6).position(|window| window == b"honest").unwrap();
    bytes[at..at + 6].copy_from_slice(b"forged");
    fs::write(&blob, bytes).unwrap();
    let error = Unpacker::new(permissive()).session().merge_cached(&selected, cache()).unwrap_err();
    assert_eq!((error.rule_id(), error.effect()), (Some("digest-mismatch"), Effect::None), "{error}");
}

#[test]
fn content_that_is_kept_belongs_to_its_tree_alone() {
    let (_place, one) = image(&[LayerBuilder::new().file("a", b"1")]);
    let (_other_place, other) = image(&[LayerBuilder::new().file("a", b"2")]);
    let kept = merge(&one, &permissive(), cache());
    let mut tar = Vec::new();
    let error = Unpacker::new(permissive()).session().export_tar(&kept.whole(), &other, &mut tar).unwrap_err();
    assert_eq!(error.misuse(), Some(&Misuse::OtherImage));
    assert!(tar.is_empty());
}

#[test]
fn kept_content_that_cannot_be_read_ends_the_archive_in_the_middle_and_says_where() {
    let file = tempfile::tempfile().unwrap();
    let again = file.try_clone().unwrap();
    let mut files = vec![file];
    let scratch = Scratch::of(move || files.pop().ok_or(io::ErrorKind::NotFound.into()));
    let (_place, selected) =
        image(&[LayerBuilder::new().file("a", b"1"), LayerBuilder::new().file("b", &[b'b'; 600_000])]);
    let kept = merge(&selected, &permissive(), ContentCache::new(scratch));
    again.set_len(500_000).unwrap();
    for part in [whole, by_path] {
        let mut tar = Vec::new();
        let error = Unpacker::new(permissive()).session().export_tar(&part(&kept), &selected, &mut tar).unwrap_err();
        assert_eq!((error.blame(), error.effect()), (Blame::System, Effect::Partial), "{error:#}");
        assert!(format!("{error:#}").contains("pread64(\"(kept content)\")"), "{error:#}");
        let position = error.position();
        assert_eq!((position.layer.unwrap().number, position.entry), (2, Some(1)));
        assert!(tar.len() % 512 != 0, "every reader sees that it is truncated");
    }
    let error = kept.read_files(
        &selected,
        |_| true,
        |_, content| {
            io::copy(content, &mut io::sink())?;
            Ok(())
        },
    );
    let error = error.unwrap_err();
    assert_eq!((error.position().layer.unwrap().number, error.position().entry), (2, Some(1)), "{error:#}");
}

#[test]
fn the_observer_may_cancel_while_kept_content_is_read() {
    let (_place, selected) = image(&[LayerBuilder::new().file("a", &[b'a'; 2 << 20])]);
    let kept = merge(&selected, &permissive(), cache());
    for part in [whole, by_path] {
        let (mut calls, mut tar) = (0, Vec::new());
        let mut session = Unpacker::new(permissive()).session().with_progress(|_: &Advance| {
            calls += 1;
            if calls > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let error = session.export_tar(&part(&kept), &selected, &mut tar).unwrap_err();
        assert_eq!(error.misuse(), Some(&Misuse::Cancelled), "{error:#}");
        assert!((1..2 << 20).contains(&tar.len()), "{}", tar.len());
    }
}
