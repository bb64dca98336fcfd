//! Whole images: what is written of them is what unpacking as root makes of them.

#[path = "../../../corpus/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only the layers are used")]
#[allow(
    clippy::duplicate_mod,
    clippy::module_inception,
    reason = "the builder of layers is that of the other tests, too"
)]
mod corpus;

pub(super) use crate::exported::of_bytes as image;
use crate::merged::random::{archive, layers};
use crate::merged::{anywhere, world};
use crate::support::erofs;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use layercage::blob::LayerStream;
use layercage::erofs::{BlockSize, Salt};
use layercage::error::{ErrorKind, Misuse};
use layercage::policy::{Devices, Owners};
use layercage::rules::{Limit, QuirkRule};
use layercage::{
    ErofsImage, ErofsOptions, Error, Expected, HiddenContent, Limits, Policy, Scratch, Selected, Unpacker,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;

/// A policy that takes what an image is written of, with devices, which need no privileges here.
pub(super) fn permissive() -> Policy {
    anywhere(Policy::compatible()).with_devices(Devices::Create).allow(QuirkRule::OpaqueBehindOwn)
}

pub(super) fn write(
    selected: &Selected,
    policy: &Policy,
    options: &ErofsOptions,
    threads: usize,
) -> Result<(File, ErofsImage), Error> {
    let file = tempfile::tempfile().unwrap();
    let unpacker = Unpacker::new(policy.clone()).with_jobs(NonZeroUsize::new(threads).unwrap());
    let unpacker = unpacker.with_scratch(Scratch::of(tempfile::tempfile));
    let written = unpacker.session().write_erofs(selected, &file, options)?;
    assert_eq!(file.metadata().unwrap().len(), written.bytes);
    Ok((file, written))
}

fn bytes(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0).unwrap();
    bytes
}

/// The tree that the layers make, with the digests of files.
pub(super) fn expected(selected: &Selected, policy: &Policy) -> Result<Listing, Error> {
    let tree = selected.merge(policy)?;
    let mut listing = tree::list_merged(&tree);
    let mut digests = HashMap::new();
    tree.read_files(
        selected,
        |_| true,
        |node, data| {
            let mut content = Vec::new();
            data.read_to_end(&mut content)?;
            digests.insert(node.inode(), tree::hex(&Sha256::digest(content)));
            Ok(())
        },
    )?;
    for node in tree.iter().filter(|node| node.is_file()) {
        listing.get_mut(node.path().as_bytes()).unwrap().insert("sha256".into(), digests[&node.inode()].clone());
    }
    Ok(listing)
}

pub(super) fn every_way() -> [ErofsOptions; 4] {
    let options = ErofsOptions::new();
    [
        options.clone(),
        options.clone().with_block_size(BlockSize::Large),
        options.clone().with_hidden_content(HiddenContent::Drop),
        options.with_verity(Salt::default()),
    ]
}

/// Writes an image in every way, and compares all with the merged tree, which other tests compare with the rootfs.
fn check(selected: &Selected, policy: &Policy) -> Result<(), Error> {
    let expected = expected(selected, policy)?;
    for options in every_way() {
        let (file, written) = write(selected, policy, &options, 1)?;
        let differences = tree::differences(&expected, &erofs::list(&file));
        assert!(differences.is_empty(), "{options:?}:\n{}", differences.join("\n"));
        let (again, _) = write(selected, policy, &options, 3)?;
        assert!(bytes(&file) == bytes(&again), "threads change the image");
        assert!(written.dead_bytes == 0 || options != every_way()[2]);
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::random::cases(100))]
    #[test]
    fn random_stacks_are_the_merged_tree_in_every_field(layers in layers(9)) {
        let layers: Vec<_> = layers.iter().map(|layer| archive(layer).build()).collect();
        let (_place, selected) = image(&layers);
        if let Err(error) = check(&selected, &permissive()) {
            prop_assert!(error.rule_id().is_some(), "{error}");
        }
    }
}

#[test]
fn the_real_image_is_written_as_real_tools_listed_it() {
    let (file, _) = write(&world::selected(), &Policy::default(), &ErofsOptions::new(), 1).unwrap();
    let differences = tree::differences(&world::listed(), &erofs::list(&file));
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    check(&world::selected(), &Policy::default()).unwrap();
}

/// The images of the corpus that are taken, and small enough to look at.
pub(super) fn corpus_images(mut act: impl FnMut(&'static str, &Selected)) {
    let plain = |layer: &[u8]| {
        let mut stream = LayerStream::open(layer, Expected::unchecked(), &Limits::default()).ok()?;
        let mut archive = Vec::new();
        stream.read_to_end(&mut archive).ok()?;
        stream.finish().ok().map(|_| archive)
    };
    for case in corpus::all() {
        let Some(layer) = plain(&case.layer) else { continue };
        let layers: Vec<_> = case.lower.iter().cloned().chain([layer]).collect();
        let (_place, selected) = image(&layers);
        let Ok(tree) = selected.merge(&permissive()) else { continue };
        if tree.iter().all(|node| node.size() <= 1 << 24) && tree.iter().count() <= 5_000 {
            act(case.name, &selected);
        }
    }
}

#[test]
fn each_case_of_the_corpus_that_is_taken_is_written_as_it_is_merged() {
    let mut written = 0;
    corpus_images(|name, selected| {
        check(selected, &permissive()).unwrap_or_else(|error| panic!("{name}: {error}"));
        written += 1;
    });
    assert!(written > 100, "{written} of the corpus were written");
}

/// A file of 1,000,000 bytes with two segments of data.
fn sparse(name: &str) -> LayerBuilder {
    let layer = LayerBuilder::new().record("GNU.sparse.name", name.as_bytes());
    let layer = layer.record("GNU.sparse.size", b"1000000").record("GNU.sparse.numblocks", b"3");
    layer.record("GNU.sparse.map", b"100000,512,900096,512,1000000,0").file(name, &[5; 1024])
}

#[test]
fn an_image_that_needs_a_temporary_file_says_so_and_names_it() {
    let (_place, selected) = image(&[sparse("holes").build()]);
    let file = || tempfile::tempfile().unwrap();
    // Known at the entry with holes, or before any entry.
    let error = selected.write_erofs(&file(), &Policy::default()).unwrap_err();
    assert_eq!((error.misuse(), error.position().entry), (Some(&Misuse::NoImageScratch), Some(1)), "{error}");
    let large = ErofsOptions::new().with_block_size(BlockSize::Large);
    let error = Unpacker::default().session().write_erofs(&selected, &file(), &large).unwrap_err();
    assert_eq!((error.misuse(), error.position().entry), (Some(&Misuse::NoImageScratch), None), "{error}");
    let failed = |scratch| {
        let image = file();
        let session = Unpacker::default().with_scratch(scratch).session().write_erofs(&selected, &image, &large);
        assert!(bytes(&image).iter().skip(1024).take(4).all(|&byte| byte == 0), "it has no superblock");
        format!("{:#}", session.unwrap_err())
    };
    let missing = failed(Scratch::of(|| File::open("/nowhere/to/be/found")));
    assert!(missing.contains("open(\"(a temporary file)\"): No such file"), "{missing}");
    let full = failed(Scratch::of(|| File::options().read(true).write(true).open("/dev/full")));
    assert!(full.contains("pwrite64(\"(a temporary file)\"): No space left"), "{full}");
}

#[test]
fn content_that_upper_layers_hide_is_dead_space_and_is_left_out_if_asked() {
    let lower = LayerBuilder::new().file("gone", &[1; 10_000]).file("kept", &[2; 700]).file("replaced", &[3; 1]);
    let upper = LayerBuilder::new().whiteout("gone").whiteout("holes").file("replaced", &[4; 600]);
    let layers = [sparse("holes").build(), sparse("kept-holes").build(), lower.build(), upper.build()];
    let (_place, selected) = image(&layers);
    let dead = |options| write(&selected, &Policy::default(), &options, 1).unwrap().1;
    // The files with holes have chunks of 1024 or 4096 bytes, of which 3 or 2 have data. Tails are in no block.
    for (block_size, expected) in [(BlockSize::Small, 3 * 1024 + 10_240 + 512), (BlockSize::Large, 2 * 4096 + 8192)] {
        let options = ErofsOptions::new().with_block_size(block_size);
        let (kept, dropped) = (dead(options.clone()), dead(options.with_hidden_content(HiddenContent::Drop)));
        assert_eq!((kept.dead_bytes, kept.saved_bytes), (expected, 0));
        assert_eq!((dropped.dead_bytes, dropped.saved_bytes), (0, expected));
        assert_eq!(kept.bytes - dropped.bytes, expected);
    }
}

#[test]
fn every_inode_has_the_label_of_the_policy_and_none_has_that_of_the_image() {
    let label = "system_u:object_r:container_file_t:s0:c1,c2";
    let own = |name, value| Attributes { xattrs: vec![(name, value)], ..mode(0o644) };
    let layer = LayerBuilder::new()
        .file_with("implied/labelled", b"1", &own("security.selinux", b"bad"))
        .file_with("attribute", b"1", &own("user.a", b"1"))
        .file_with("same", b"1", &own("user.a", b"1"))
        .symlink("link", "nowhere")
        .fifo("fifo")
        .hard_link("second", "attribute");
    let (_place, selected) = image(&[layer.build()]);
    for xattrs in [layercage::policy::Xattrs::Safe, layercage::policy::Xattrs::All] {
        let policy = Policy::default().with_xattrs(xattrs).with_selinux_label(label.parse().unwrap());
        for options in every_way() {
            let (file, _) = write(&selected, &policy, &options, 1).unwrap();
            let found = erofs::Image::open(&file).read();
            assert_eq!(found.len(), 8, "{:?}", found.keys());
            for (path, inode) in found {
                let expected = [label.as_bytes(), b"\0"].concat();
                assert_eq!(inode.xattrs.get(&b"security.selinux"[..]), Some(&expected), "{path:?}");
                let has_more = [&b"attribute"[..], b"same", b"second"].contains(&&*path);
                assert_eq!(inode.xattrs.len(), if has_more { 2 } else { 1 }, "{path:?}");
            }
        }
    }
}

#[test]
fn the_limit_on_the_memory_of_trees_holds_for_the_tables_of_the_writer() {
    let names: Vec<_> = (0..3_000).map(|number| format!("{number}")).collect();
    let layer = names.iter().fold(LayerBuilder::new(), |layer, name| {
        layer.file_with(name, b"1", &Attributes { xattrs: vec![("user.a", name.as_bytes())], ..mode(0o644) })
    });
    let (_place, selected) = image(&[layer.build()]);
    let tree = selected.merge(&Policy::default()).unwrap().memory_bytes();
    let write = |most| {
        let unpacker = Unpacker::default().with_limits(Limits::default().with(Limit::TreeBytes, most));
        let mut session = unpacker.session();
        session.merge(&selected).unwrap();
        session.write_erofs(&selected, &tempfile::tempfile().unwrap(), &ErofsOptions::new())
    };
    // The places of content take 32 bytes for each file, and the tables up to 64.
    write(tree + 3_000 * 110).unwrap();
    let error = write(tree + 3_000 * 50).unwrap_err();
    assert!(error.to_string().contains("tree-bytes"), "{error}");
}

#[test]
fn an_attribute_that_erofs_cannot_hold_is_dropped_with_a_note_or_refused() {
    let value = [b'v'; 65_536];
    let attributes = Attributes { xattrs: vec![("user.large", &value[..])], ..mode(0o644) };
    let (_place, selected) = image(&[LayerBuilder::new().file_with("a", b"", &attributes).build()]);
    let policy = Policy::default();
    let file = tempfile::tempfile().unwrap();
    let report = selected.write_erofs(&file, &policy).unwrap();
    assert_eq!(report.notes().iter().map(|note| note.quirk.id()).collect::<Vec<_>>(), ["xattr-unsupported"]);
    let error = write(&selected, &policy.refuse(QuirkRule::XattrUnsupported), &ErofsOptions::new(), 1).unwrap_err();
    assert_eq!(error.rule_id(), Some("xattr-unsupported"));
}

#[test]
fn owners_that_depend_on_the_caller_are_wrong_usage() {
    for owners in [Owners::Caller, Owners::Record] {
        let policy = Policy::default().with_owners(owners);
        let error = write(&world::selected(), &policy, &ErofsOptions::new(), 1).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse(Misuse::CallerInArchive)), "{error}");
    }
}

#[test]
fn a_layer_that_is_refused_leaves_no_file_system() {
    let bad = LayerBuilder::new().file("a", b"content").file("../b", b"");
    let (_place, selected) = image(&[LayerBuilder::new().file("b", b"x").build(), bad.build()]);
    let file = tempfile::tempfile().unwrap();
    let error = selected.write_erofs(&file, &Policy::default()).unwrap_err();
    assert_eq!(error.rule_id(), Some("name-climbs"));
    assert!(bytes(&file).iter().skip(1024).take(4).all(|&byte| byte == 0));
}

#[test]
fn the_limit_on_the_bytes_of_an_image_holds() {
    let (_place, selected) = image(&[LayerBuilder::new().file("a", &[1; 2_000]).build()]);
    let unpacker = Unpacker::default().with_limits(Limits::default().with(Limit::ImageBytes, 1_999));
    let file = tempfile::tempfile().unwrap();
    let error = unpacker.session().write_erofs(&selected, &file, &ErofsOptions::new()).unwrap_err();
    assert_eq!(error.rule_id(), Some("limit"));
}

#[test]
fn the_uuid_comes_from_the_manifest_and_the_time_from_the_policy() {
    let uuid = |layer: LayerBuilder| {
        let (_place, selected) = image(&[layer.build()]);
        let epoch = layercage::tar::Timestamp::of_seconds(77);
        let (file, _) = write(&selected, &Policy::default().with_epoch(epoch), &ErofsOptions::new(), 1).unwrap();
        assert_eq!(bytes(&file)[1024 + 24..][..8], 77_u64.to_le_bytes());
        erofs::Image::open(&file).uuid
    };
    let (one, other) = (uuid(LayerBuilder::new().file("a", b"1")), uuid(LayerBuilder::new().file("a", b"2")));
    assert_ne!(one, other);
    assert_eq!((one[6] >> 4, one[8] >> 6), (8, 2), "a UUID of version 8");
}
