//! Layers, written as one image each: over each other, they are what unpacking as root makes of the image.

use super::images::{corpus_images, expected, image, permissive};
use crate::merged::random::{accepted, archive, layers};
use crate::merged::{anywhere, world};
use crate::overlay::{DEVICES, USER_DEVICES, USER_XATTRS, XATTRS, stack};
use crate::support::erofs;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::open;
use crate::support::tree::{self, Listing};
use layercage::erofs::{BlockSize, Salt};
use layercage::error::{ErrorKind, Misuse};
use layercage::overlay::{OverlayFormat, OverlayNamespace, Whiteouts};
use layercage::policy::{Devices, Owners, Xattrs};
use layercage::rules::{Limit, QuirkRule};
use layercage::{ErofsLayers, ErofsOptions, Error, HiddenContent, Limits, Policy, Report, Scratch, Selected, Unpacker};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::Path;

pub(super) const FORMATS: [OverlayFormat; 4] = [DEVICES, XATTRS, USER_DEVICES, USER_XATTRS];

/// Writes the layers of an image to a directory `layers`.
pub(super) fn write(
    selected: &Selected,
    place: &Path,
    policy: &Policy,
    (format, options): (OverlayFormat, &ErofsOptions),
    threads: usize,
) -> Result<(ErofsLayers, Report), Error> {
    let unpacker = Unpacker::new(policy.clone()).with_jobs(NonZeroUsize::new(threads).unwrap());
    let mut session = unpacker.with_scratch(Scratch::of(tempfile::tempfile)).session();
    let written = session.write_erofs_layers(selected, open(place), "layers", format, options)?;
    Ok((written, session.into_report()))
}

/// The files of the layers, the top one first.
pub(super) fn files(place: &Path, written: &ErofsLayers) -> Vec<File> {
    let open = |name: &String| File::open(place.join("layers").join(name)).unwrap();
    written.layers.iter().map(|layer| open(&layer.name)).collect()
}

fn mark(name: &str, format: OverlayFormat) -> String {
    let namespace = if format.namespace == OverlayNamespace::Trusted { "trusted" } else { "user" };
    format!("xattr.{namespace}.overlay.{name}")
}

/// What a mount would show of layers, the top one first, by the rules of overlayfs. The layers alone are read, with the
/// reader of the tests.
struct Shown<'a> {
    layers: &'a [Listing],
    format: OverlayFormat,
    listing: Listing,
    /// The names of files with several, by layer and by their first name in it.
    groups: BTreeMap<(usize, String), Vec<Vec<u8>>>,
}

impl Shown<'_> {
    fn list(layers: &[Listing], format: OverlayFormat) -> Listing {
        let mut shown = Shown { layers, format, listing: Listing::new(), groups: BTreeMap::new() };
        shown.add(b".", &(0..layers.len()).collect::<Vec<_>>());
        let Shown { mut listing, groups, .. } = shown;
        for mut names in groups.into_values() {
            names.sort();
            for name in &names {
                let fields = listing.get_mut(name).unwrap();
                fields.remove("hardlink");
                if names.len() > 1 {
                    fields.insert("hardlink".into(), tree::escape(&names[0]));
                }
            }
        }
        listing
    }

    fn add(&mut self, directory: &[u8], layers: &[usize]) {
        self.show(directory, layers[0]);
        let prefix = if directory == b"." { Vec::new() } else { [directory, b"/"].concat() };
        let is_child = |path: &&Vec<u8>| {
            let rest = path.strip_prefix(&prefix[..]);
            *path != b"." && rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(&b'/'))
        };
        let children: BTreeSet<_> =
            layers.iter().flat_map(|&layer| self.layers[layer].keys().filter(is_child)).cloned().collect();
        for child in children {
            self.add_child(&child, layers);
        }
    }

    fn add_child(&mut self, path: &[u8], layers: &[usize]) {
        let mut directories = Vec::new();
        for (index, &layer) in layers.iter().enumerate() {
            let Some(fields) = self.layers[layer].get(path) else { continue };
            if fields["type"] == "dir" {
                directories.push(layer);
                if fields.get(&mark("opaque", self.format)).is_some_and(|value| value == "79") {
                    break;
                }
            } else if self.is_whiteout(path, layer, fields) {
                assert!(index + 1 < layers.len(), "{}: a whiteout over nothing shows up", tree::escape(path));
                break;
            } else {
                if directories.is_empty() {
                    return self.show(path, layer);
                }
                break;
            }
        }
        if !directories.is_empty() {
            self.add(path, &directories);
        }
    }

    fn show(&mut self, path: &[u8], layer: usize) {
        let mut fields = self.layers[layer][path].clone();
        fields.retain(|name, _| !name.starts_with(&mark("", self.format)));
        if let Some(first) = fields.get("hardlink") {
            self.groups.entry((layer, first.clone())).or_default().push(path.to_vec());
        }
        self.listing.insert(path.to_vec(), fields);
    }

    fn is_whiteout(&self, path: &[u8], layer: usize, fields: &BTreeMap<String, String>) -> bool {
        if fields["type"] == "char" && fields["rdev"] == "0:0" {
            assert_eq!(self.format.whiteouts, Whiteouts::Device);
            return true;
        }
        let is_marked = fields["type"] == "file" && fields.contains_key(&mark("whiteout", self.format));
        if is_marked {
            assert_eq!((self.format.whiteouts, fields["size"].as_str()), (Whiteouts::Xattr, "0"));
            // Listings show it otherwise.
            let end = path.iter().rposition(|&byte| byte == b'/');
            for directory in [end.map_or(&b"."[..], |end| &path[..end]), b"."] {
                let of_directory = &self.layers[layer][directory];
                assert_eq!(of_directory.get(&mark("opaque", self.format)).map(String::as_str), Some("78"));
            }
        }
        is_marked
    }
}

/// Ways to write layers, which all show the same.
pub(super) fn every_way() -> [ErofsOptions; 3] {
    let options = ErofsOptions::new();
    [
        options.clone(),
        options.clone().with_block_size(BlockSize::Large).with_hidden_content(HiddenContent::Drop),
        options.with_verity(Salt::default()),
    ]
}

/// Writes layers in every way, and compares what they show with the merged tree, which other tests compare with the rootfs.
fn check(selected: &Selected, policy: &Policy, format: OverlayFormat, ways: &[ErofsOptions]) -> Result<(), Error> {
    let mut expected = expected(selected, policy)?;
    // A layer never brings attributes of overlayfs.
    expected.values_mut().for_each(|fields| fields.retain(|name, _| !name.contains(".overlay.")));
    for options in ways {
        let place = tempfile::tempdir().unwrap();
        let (written, _) = write(selected, place.path(), policy, (format, options), 1)?;
        let listings: Vec<_> = files(place.path(), &written).iter().map(erofs::list).collect();
        if !listings.is_empty() {
            let differences = tree::differences(&expected, &Shown::list(&listings, format));
            assert!(differences.is_empty(), "{options:?} {format:?}:\n{}", differences.join("\n"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::random::cases(100))]
    #[test]
    fn random_stacks_show_the_merged_tree_in_every_field(
        layers in layers(9), format in prop::sample::select(FORMATS.to_vec())
    ) {
        let layers = accepted(layers, &permissive());
        let layers: Vec<_> = layers.iter().map(|layer| archive(layer).build()).collect();
        let (_place, selected) = image(&layers);
        prop_assert!(check(&selected, &permissive(), format, &every_way()).is_ok());
    }

    /// The layers are those of the output `overlay`, but for directories that it copies in vain: an entry was to be made in
    /// them, which is gone again.
    #[test]
    fn the_layers_have_the_entries_of_an_overlay(layers in layers(9), of_root in prop::sample::select(vec![DEVICES, XATTRS])) {
        let is_root = rustix::process::geteuid().is_root();
        let format = if is_root { of_root } else { USER_XATTRS };
        let policy = anywhere(Policy::compatible()).allow(QuirkRule::OpaqueBehindOwn);
        let layers: Vec<_> = accepted(layers, &policy).iter().map(|layer| archive(layer)).collect();
        let place = tempfile::tempdir().unwrap();
        let stack = stack(place.path(), &layers, &policy, format);
        let (_image, selected) = image(&layers.iter().map(|layer| layer.clone().build()).collect::<Vec<_>>());
        let written = write(&selected, place.path(), &policy, (format, &ErofsOptions::new()), 1);
        let (stack, (written, report)) = match (stack, written) {
            (Ok(stack), Ok(written)) => (stack, written),
            // Who is not root cannot open every lower directory.
            (Err(stack), _) if !is_root && stack.rule_id().is_none() => return Ok(()),
            (stack, written) => panic!("{:?}\n{:?}", stack.map(drop), written.map(drop)),
        };
        let copied = |report: &Report| report.counts().find(|(id, _)| *id == "hard-link-copied").map(|(_, count)| count);
        prop_assert_eq!(copied(&stack.report), copied(&report));
        for (directory, file) in stack.directories.iter().zip(files(place.path(), &written)) {
            let (expected, got) = (entries(tree::list(directory), format), entries(erofs::list(&file), format));
            let (expected, got) = (without_vain(expected, &got), got);
            let differences = tree::differences(&expected, &got);
            prop_assert!(differences.is_empty(), "{}", differences.join("\n"));
        }
        tree::unlock(place.path());
    }
}

/// The entries of a layer, without what depends on the caller. All whiteouts of an image are one file.
fn entries(listing: Listing, format: OverlayFormat) -> Listing {
    let is_whiteout = |fields: &BTreeMap<String, String>| {
        fields.get("rdev").is_some_and(|device| device == "0:0") || fields.contains_key(&mark("whiteout", format))
    };
    let mut listing = tree::comparable(listing);
    // An overlay announces a whiteout when it makes one, and leaves that when something takes its place.
    let is_announcement = |name: &str, value: &str| name == mark("opaque", format) && value == "78";
    listing.values_mut().for_each(|fields| fields.retain(|name, value| !is_announcement(name, value)));
    listing.values_mut().filter(|fields| is_whiteout(fields)).for_each(|fields| drop(fields.remove("hardlink")));
    // A mark in an opaque directory means nothing. An overlay has it if the directory above became opaque later.
    let opaque = mark("opaque", format);
    let marked: Vec<_> =
        listing.iter().filter(|(_, fields)| fields.contains_key(&opaque)).map(|(path, _)| path.clone()).collect();
    let is_below = |path: &[u8], above: &[u8]| path.strip_prefix(above).is_some_and(|rest| rest.starts_with(b"/"));
    for path in marked.iter().filter(|path| marked.iter().any(|above| is_below(path, above))) {
        listing.entry(path.clone()).and_modify(|fields| drop(fields.remove(&opaque)));
    }
    listing
}

/// Leaves out directories without an entry or a mark, if `other` has no such entry.
fn without_vain(mut listing: Listing, other: &Listing) -> Listing {
    loop {
        let is_parent = |path: &Vec<u8>| listing.keys().any(|child| child.starts_with(&[path, &b"/"[..]].concat()));
        let is_vain = |path: &Vec<u8>| listing[path]["type"] == "dir" && !other.contains_key(path) && !is_parent(path);
        let Some(vain) = listing.keys().find(|path| is_vain(path)).cloned() else { return listing };
        listing.remove(&vain);
    }
}

#[test]
fn each_case_of_the_corpus_that_is_taken_shows_the_merged_tree() {
    let mut written = 0;
    corpus_images(|name, selected| {
        let ways = &every_way()[..1];
        check(selected, &permissive(), DEVICES, ways).unwrap_or_else(|error| panic!("{name}: {error}"));
        written += 1;
    });
    assert!(written > 100, "{written} of the corpus were written");
    check(&world::selected(), &Policy::default(), USER_XATTRS, &every_way()).unwrap();
}

/// Layers that remove, replace and copy.
fn layered() -> [LayerBuilder; 3] {
    let bottom =
        LayerBuilder::new().dir("d").file("d/gone", b"1").file("d/linked", &[7; 3000]).dir("e").file("e/x", b"");
    let middle = LayerBuilder::new().whiteout("d/gone").hard_link("copy", "d/linked").opaque("e").file("e/y", b"y");
    [bottom, middle, LayerBuilder::new().file("d/more", b"more")]
}

#[test]
fn marks_are_where_overlayfs_looks_for_them() {
    let (_place, selected) = image(&layered().map(LayerBuilder::build));
    let place = tempfile::tempdir().unwrap();
    let (written, report) =
        write(&selected, place.path(), &Policy::default(), (DEVICES, &ErofsOptions::new()), 2).unwrap();
    let [top, middle, bottom] = &files(place.path(), &written)[..] else { panic!("three layers") };
    let names = |file| erofs::list(file).into_keys().map(|name| String::from_utf8(name).unwrap()).collect::<Vec<_>>();
    assert_eq!(names(bottom), [".", "d", "d/gone", "d/linked", "e", "e/x"]);
    assert_eq!(names(middle), [".", "copy", "d", "d/gone", "d/linked", "e", "e/y"]);
    assert_eq!(names(top), [".", "d", "d/more"]);
    let middle = erofs::list(middle);
    assert_eq!((&*middle[&b"d/gone"[..]]["rdev"], &*middle[&b"d/gone"[..]]["type"]), ("0:0", "char"));
    assert_eq!(middle[&b"e"[..]]["xattr.trusted.overlay.opaque"], "79");
    assert_eq!(middle[&b"copy"[..]]["hardlink"], "copy");
    assert_eq!(middle[&b"d/linked"[..]]["hardlink"], "copy");
    // The layer that copies says so, once.
    let copied: Vec<_> = written.layers.iter().map(|layer| layer.copied_bytes).collect();
    assert_eq!(copied, [0, 3000, 0]);
    assert_eq!(report.counts().collect::<Vec<_>>(), [("hard-link-copied", 1)]);
    let list = fs::read_to_string(place.path().join("layers/lower")).unwrap();
    assert!(list.lines().eq(written.layers.iter().map(|layer| layer.name.as_str())));
}

#[test]
fn a_layer_has_the_same_bytes_on_any_number_of_threads_and_in_any_image() {
    let read = |layers: &[LayerBuilder], threads| {
        let (_place, selected) = image(&layers.iter().map(|layer| layer.clone().build()).collect::<Vec<_>>());
        let place = tempfile::tempdir().unwrap();
        let options = (DEVICES, &ErofsOptions::new().with_verity(Salt::default()));
        let (written, _) = write(&selected, place.path(), &Policy::default(), options, threads).unwrap();
        let read = |name: &String| fs::read(place.path().join("layers").join(name)).unwrap();
        written.layers.iter().rev().map(|layer| (layer.clone(), read(&layer.name))).collect::<Vec<_>>()
    };
    let all = read(&layered(), 1);
    assert_eq!(all, read(&layered(), 3));
    assert_eq!(all[..2], read(&layered()[..2], 1), "the layers above change nothing");
    let hashes: BTreeSet<_> = all.iter().map(|(layer, _)| layer.verity.as_ref().unwrap().root_hash.hex()).collect();
    assert_eq!(hashes.len(), 3);
}

#[test]
fn a_layer_that_is_refused_publishes_no_layer() {
    let bad = LayerBuilder::new().file("a", b"content").file("../b", b"");
    let (_place, selected) = image(&[LayerBuilder::new().file("b", b"x").build(), bad.build()]);
    for threads in [1, 3] {
        let place = tempfile::tempdir().unwrap();
        let options = (DEVICES, &ErofsOptions::new());
        let error = write(&selected, place.path(), &Policy::default(), options, threads).unwrap_err();
        assert_eq!(error.rule_id(), Some("name-climbs"));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_directory_that_is_in_use_is_not_replaced() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("layers")).unwrap();
    fs::write(place.path().join("layers/mine"), "").unwrap();
    let error = world::selected().write_erofs_layers(open(place.path()), "layers", &Policy::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse(Misuse::TargetExists { .. })), "{error}");
    assert_eq!(fs::read_dir(place.path().join("layers")).unwrap().count(), 1);
    fs::remove_file(place.path().join("layers/mine")).unwrap();
    world::selected().write_erofs_layers(open(place.path()), "layers", &Policy::default()).unwrap();
}

#[test]
fn copies_count_against_the_bytes_of_an_image() {
    let (_place, selected) = image(&layered().map(LayerBuilder::build));
    let content = [1_u64, 3000, 1, 4].iter().sum::<u64>();
    for (most, rule) in [(content + 3000, None), (content + 2999, Some("limit"))] {
        let place = tempfile::tempdir().unwrap();
        let mut session = Unpacker::default().with_limits(Limits::default().with(Limit::ImageBytes, most)).session();
        let written =
            session.write_erofs_layers(&selected, open(place.path()), "layers", DEVICES, &ErofsOptions::new());
        assert_eq!(written.err().and_then(|error| error.rule_id()), rule, "{most}");
    }
}

#[test]
fn what_the_policy_says_of_copies_holds() {
    let (_place, selected) = image(&layered().map(LayerBuilder::build));
    let place = tempfile::tempdir().unwrap();
    let policy = Policy::default().refuse(QuirkRule::HardLinkCopied);
    let error = selected.write_erofs_layers(open(place.path()), "layers", &policy).unwrap_err();
    assert_eq!(error.rule_id(), Some("hard-link-copied"));
}

#[test]
fn attributes_of_overlayfs_are_never_taken_from_a_layer() {
    let xattrs = vec![("trusted.overlay.opaque", &b"y"[..]), ("user.overlay.redirect", b"/etc"), ("user.kept", b"")];
    let attributes = Attributes { xattrs, ..mode(0o755) };
    let layer = LayerBuilder::new().dir_with("d", &attributes);
    let (_place, selected) = image(&[layer.build()]);
    let place = tempfile::tempdir().unwrap();
    let policy = Policy::default().with_xattrs(Xattrs::All).with_devices(Devices::Create);
    let (written, report) = write(&selected, place.path(), &policy, (DEVICES, &ErofsOptions::new()), 1).unwrap();
    let listing = erofs::list(&files(place.path(), &written)[0]);
    let xattrs: Vec<_> = listing[&b"d"[..]].keys().filter(|name| name.starts_with("xattr.")).collect();
    assert_eq!(xattrs, ["xattr.user.kept"]);
    assert_eq!(report.counts().collect::<Vec<_>>(), [("xattr-unsupported", 2)]);
}

#[test]
fn owners_that_depend_on_the_caller_are_wrong_usage_for_layers() {
    let place = tempfile::tempdir().unwrap();
    let policy = Policy::default().with_owners(Owners::Caller);
    let error = world::selected().write_erofs_layers(open(place.path()), "layers", &policy).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse(Misuse::CallerInArchive)), "{error}");
}

/// Writes the layers of an image under limits, and returns the text of the error.
fn write_within(selected: &Selected, limits: Limits) -> Result<(), String> {
    let place = tempfile::tempdir().unwrap();
    let mut session = Unpacker::default().with_limits(limits).session();
    let written = session.write_erofs_layers(selected, open(place.path()), "layers", DEVICES, &ErofsOptions::new());
    written.map(drop).map_err(|error| error.to_string())
}

#[test]
fn the_limit_on_the_memory_of_trees_holds_for_the_tables_of_each_layer() {
    let names: Vec<_> = (0..3_000).map(|number| format!("{number}")).collect();
    let layer = names.iter().fold(LayerBuilder::new(), |layer, name| {
        layer.file_with(name, b"1", &Attributes { xattrs: vec![("user.a", name.as_bytes())], ..mode(0o644) })
    });
    let (_place, selected) = image(&[layer.build()]);
    let tree = selected.merge(&Policy::default()).unwrap().memory_bytes();
    let write = |most| write_within(&selected, Limits::default().with(Limit::TreeBytes, most));
    // The places of content take 40 bytes for each file, the names of the layer up to 48, and the tables up to 64.
    write(tree + 3_000 * 200).unwrap();
    let error = write(tree + 3_000 * 50).unwrap_err();
    assert!(error.contains("tree-bytes"), "{error}");
}

#[test]
fn attributes_that_many_directories_share_are_kept_once_with_the_mark_of_an_opaque_directory() {
    let value = [b'v'; 60_000];
    let names: Vec<_> = (0..300).map(|number| format!("d{number}/")).collect();
    let shared = || Attributes { xattrs: vec![("user.a", &value[..])], ..mode(0o755) };
    let lower = names
        .iter()
        .fold(LayerBuilder::new(), |layer, name| layer.dir_with(name, &shared()).file(&format!("{name}f"), b""));
    let upper = names.iter().fold(LayerBuilder::new(), |layer, name| layer.file(&format!("{name}.wh..wh..opq"), b""));
    let (_place, selected) = image(&[lower.build(), upper.build()]);
    // A copy for each directory would take 18 MB.
    write_within(&selected, Limits::default().with(Limit::TreeBytes, 1 << 20)).unwrap();
    // The set is there once, and once more with the mark.
    let error = write_within(&selected, Limits::default().with(Limit::TreeBytes, 120_000)).unwrap_err();
    assert!(error.contains("tree-bytes"), "{error}");
}

#[test]
fn a_lower_layer_counts_each_time_that_it_is_read_again_for_a_hard_link() {
    let bytes = vec![b'b'; 1 << 20];
    let lower = (0..6)
        .fold(LayerBuilder::new().file("large", &bytes), |layer, number| layer.file(&format!("small{number}"), b"s"));
    let link = |number| LayerBuilder::new().hard_link(&format!("link{number}"), &format!("small{number}")).build();
    let layers: Vec<_> = [lower.build()].into_iter().chain((0..6).map(link)).collect();
    let (_place, selected) = image(&layers);
    let write = |most| write_within(&selected, Limits::default().with(Limit::LayerBytes, most));
    write(8 << 20).unwrap();
    let error = write(4 << 20).unwrap_err();
    // Four passes over the first layer are more than 4 MiB.
    assert!(error.contains("layer-bytes") && error.contains("layer 5 of 7"), "{error}");
}
