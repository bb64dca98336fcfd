//! What an export leaves when it fails.

use super::{by_path, image, of_bytes, permissive, whole, with_sparse};
use crate::build::{self, Header};
use crate::support::layer::{Attributes, LayerBuilder};
use crate::support::layout::{self, Stored};
use crate::support::open;
use layercage::error::{Blame, Effect, ErrorKind, Misuse};
use layercage::merged::Part;
use layercage::sink::TarSink;
use layercage::{Image, Layer, MergedTree, Selector, Unpacker};
use std::fs;
use std::io::{self, Write};

#[test]
fn a_path_that_readers_would_differ_about_is_refused_before_the_first_byte() {
    let fine = || LayerBuilder::new().file("fine", b"1");
    for (layer, path) in [
        (fine().file_with("x", b"", &Attributes { xattrs: vec![("user.%3D", b"1")], ..Attributes::default() }), "x"),
        (fine().record("mtime", b"-1.5").file("y", b""), "y"),
    ] {
        let (_place, selected) = image(&[layer]);
        let mut tar = Vec::new();
        let error = selected.export_tar(&mut tar, &permissive()).unwrap_err();
        assert_eq!(error.rule_id(), Some("unwritable"), "{error}");
        assert_eq!(error.position().path.as_ref().unwrap().unquoted(), path);
        assert_eq!((error.position().layer.unwrap().number, error.effect()), (1, Effect::None));
        assert!(tar.is_empty(), "{path}");
    }
}

#[test]
fn a_file_with_holes_is_refused_for_its_name_before_the_first_byte() {
    // Python takes such a name in a PAX header for a record of its own.
    let name = "GNU.sparse.x";
    let holes = Header::gnu(b'S', name).sparse_map(&[(1 << 20, 0)], 0, 1 << 20).mode(0o644);
    let (_place, selected) = of_bytes(&[build::tar().file("fine", b"1").header(holes).end()]);
    let mut tar = Vec::new();
    let error = selected.export_tar(&mut tar, &permissive()).unwrap_err();
    assert_eq!((error.rule_id(), error.position().entry), (Some("unwritable"), Some(2)), "{error}");
    assert!(tar.is_empty());
    // Without holes, the name is that of any file.
    let (_place, selected) = image(&[LayerBuilder::new().file(name, b"1")]);
    assert!(selected.export_tar(&mut tar, &permissive()).is_ok());
}

#[test]
fn a_refused_layer_is_refused_before_the_first_byte() {
    let (_place, selected) =
        image(&[LayerBuilder::new().file("a", b"1"), LayerBuilder::new().file("b", b"2").file("../c", b"3")]);
    let mut tar = Vec::new();
    let error = selected.export_tar(&mut tar, &permissive()).unwrap_err();
    assert_eq!((error.rule_id(), error.position().entry), (Some("name-climbs"), Some(2)));
    assert!(tar.is_empty());
}

#[test]
fn a_layer_that_changes_after_it_was_merged_ends_the_archive_in_the_middle() {
    let place = tempfile::tempdir().unwrap();
    let layers = [LayerBuilder::new().file("a", b"first"), LayerBuilder::new().file("b", b"honest").file("c", b"c")];
    let layers = layers.map(|layer| (layer.build(), Stored::Plain));
    let names = layout::write(place.path(), &layers);
    let selected = Image::open(&open(place.path())).unwrap().select(&Selector::host()).unwrap();
    let mut session = Unpacker::new(permissive()).session();
    let tree = session.merge(&selected).unwrap();
    let blob = place.path().join(&names[1]);
    let mut bytes = fs::read(&blob).unwrap();
    let at = bytes.windows(6).position(|window| window == b"honest").unwrap();
    bytes[at..at + 6].copy_from_slice(b"forged");
    fs::write(&blob, bytes).unwrap();
    let mut tar = Vec::new();
    let error = session.export_tar(&tree.whole(), &selected, &mut tar).unwrap_err();
    assert_eq!((error.blame(), error.effect()), (Blame::System, Effect::Partial), "{error:#}");
    assert!(format!("{error:#}").contains("changed after it was verified"), "{error:#}");
    assert_eq!(error.position().layer.unwrap().number, 2);
    let layer = Layer::new(&tar[..]);
    let error = Unpacker::default().apply(layer, &mut TarSink::new(Vec::new())).unwrap_err();
    assert_eq!(error.rule_id(), Some("truncated"), "every reader sees that it is truncated");
    let tree_only = tree.whole();
    let parent = tempfile::tempdir().unwrap();
    let error = session.unpack_part(&tree_only, &selected, &open(parent.path()), "rootfs").unwrap_err();
    assert_eq!((error.blame(), error.effect()), (Blame::System, Effect::None), "{error:#}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn another_image_than_the_merged_one_is_wrong_usage() {
    let (_place, one) = image(&[LayerBuilder::new().file("a", b"1")]);
    let (_other_place, other) = of_bytes(&[LayerBuilder::new().file("a", b"2").build()]);
    let mut session = Unpacker::new(permissive()).session();
    let tree = session.merge(&one).unwrap();
    let mut tar = Vec::new();
    let error = session.export_tar(&tree.whole(), &other, &mut tar).unwrap_err();
    assert_eq!(error.misuse(), Some(&Misuse::OtherImage));
    assert!(tar.is_empty());
}

/// Takes so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.checked_sub(bytes.len()) {
            Some(left) => {
                self.0 = left;
                Ok(bytes.len())
            }
            None => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_ends_the_export_with_its_own_error() {
    let (_place, selected) = image(&[LayerBuilder::new().file("a", &vec![b'x'; 400_000])]);
    let error = selected.export_tar(Full(200_000), &permissive()).unwrap_err();
    let ErrorKind::Sink(source) = error.kind() else { panic!("{error:#}") };
    assert_eq!(source.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::StorageFull);
}

/// A sparse file behind another one.
fn sparse() -> LayerBuilder {
    with_sparse(LayerBuilder::new().file("before", b"1"), "plain")
}

/// Python looks for keys of sparse maps in names and attributes, too: `GNU?sparse?`.
#[test]
fn a_sparse_file_that_python_would_misread_is_refused_before_the_first_byte_whatever_gives_it_its_name() {
    let linked = || sparse().hard_link("GNUxsparsey", "plain");
    let bytes = |layers: &[LayerBuilder]| layers.iter().map(|layer| layer.clone().build()).collect::<Vec<_>>();
    let header = Header::gnu(b'S', "holes").sparse_map(&[(1 << 20, 0)], 0, 1 << 20).mode(0o644);
    let attribute = build::tar().pax(&[("SCHILY.xattr.user.GNUxsparsey", b"1")]).header(header).end();
    type Choose = fn(&MergedTree) -> Part<'_>;
    let cases: [(&str, Vec<Vec<u8>>, Choose, bool); 6] = [
        ("an attribute", vec![attribute], whole, false),
        ("its first name is gone", bytes(&[linked(), LayerBuilder::new().whiteout("plain")]), whole, false),
        (
            "its first name is not kept",
            bytes(&[linked()]),
            |tree| tree.part(|node| node.file_name() == b"GNUxsparsey"),
            false,
        ),
        ("the order by path", bytes(&[linked()]), by_path, false),
        ("a hard link to it has such a name", bytes(&[linked()]), whole, true),
        ("no file has holes", bytes(&[LayerBuilder::new().file("GNUxsparsey", b"1")]), whole, true),
    ];
    for (sentence, layers, part, is_written) in cases {
        let (_place, selected) = of_bytes(&layers);
        let tree = selected.merge(&permissive()).unwrap();
        let mut tar = Vec::new();
        let result = Unpacker::new(permissive()).session().export_tar(&part(&tree), &selected, &mut tar);
        let refusal = result.err().map(|error| error.rule_id());
        assert_eq!(refusal, (!is_written).then_some(Some("unwritable")), "{sentence}");
        assert_eq!(tar.is_empty(), !is_written, "{sentence}");
    }
}
