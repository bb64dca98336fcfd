//! What a file is: an image as soon as it shows that it is one, whatever its author does to it; otherwise a layer.

use crate::support::forms::{self, Parts, gzip};
use crate::support::layer::{Attributes, LayerBuilder};
use crate::support::layout::{self, Stored};
use crate::support::{open, temporary};
use layercage::audit::{Audit, Observer};
use layercage::error::Misuse;
use layercage::image::What;
use layercage::rules::Limit;
use layercage::{Error, Image, Layer, Limits, Policy, Rootfs, Selector, Unpacker};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

const LIST: &[u8] = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l/layer.tar"]}]"#;

fn hex() -> String {
    "0123456789abcdef".repeat(4)
}

fn web() -> LayerBuilder {
    LayerBuilder::new().dir("assets").file("index.html", b"<html>").file("manifest.json", br#"{"name":"web"}"#)
}

/// A sentence, an archive, and what it is.
type Case = (&'static str, fn() -> Vec<u8>, What);

const CASES: &[Case] = &[
    // Layers, some with names that images have, too.
    ("a layer", || LayerBuilder::new().dir("etc").file("etc/hostname", b"a").build(), What::Layer),
    ("a layer of nothing", || vec![0; 1024], What::Layer),
    ("nothing at all", Vec::new, What::Layer),
    ("no archive", || b"#!/bin/sh\n".repeat(100), What::Layer),
    ("a web application", || web().build(), What::Layer),
    (
        "a list of something else",
        || LayerBuilder::new().file("manifest.json", br#"[{"src":"a.js"}]"#).build(),
        What::Layer,
    ),
    ("a list of no images", || LayerBuilder::new().file("manifest.json", b"[]").build(), What::Layer),
    ("a manifest that is no JSON", || web().file("manifest.json", b"\xff{").build(), What::Layer),
    (
        "a layout in a directory beside another one",
        || {
            LayerBuilder::new()
                .dir("oci")
                .file("oci/oci-layout", b"{}")
                .file("oci/index.json", b"{}")
                .dir("usr")
                .build()
        },
        What::Layer,
    ),
    (
        "a web application in its one directory",
        || LayerBuilder::new().dir("app").file("app/index.json", b"{}").file("app/manifest.json", b"{}").build(),
        What::Layer,
    ),
    (
        "a directory with a whole layout that is called as its marker",
        || LayerBuilder::new().dir("oci-layout").file("oci-layout/index.json", b"{}").dir("index.json").build(),
        What::Layer,
    ),
    (
        "a layer with a list of docker save in one of its directories",
        || LayerBuilder::new().dir("srv").file("srv/manifest.json", LIST).file("etc", b"").build(),
        What::Layer,
    ),
    (
        "blobs without anything that names them",
        || LayerBuilder::new().file(&format!("blobs/sha256/{}", hex()), b"").build(),
        What::Layer,
    ),
    ("tags of another kind", || web().file("repositories", b"{}").file("a.json", b"").build(), What::Layer),
    // Images, though most of them can be unpacked by nobody.
    ("a layout", || LayerBuilder::new().file("oci-layout", b"{}").file("index.json", b"{}").build(), What::Image),
    ("an index alone", || LayerBuilder::new().file("index.json", b"").build(), What::Image),
    ("a layout without its index", || LayerBuilder::new().file("oci-layout", b"").build(), What::Image),
    ("an index by another spelling", || LayerBuilder::new().file(".//./index.json", b"{}").build(), What::Image),
    ("an index by an absolute name", || LayerBuilder::new().file("/index.json", b"{}").build(), What::Image),
    (
        "an index that is a symbolic link",
        || LayerBuilder::new().file("i", b"{}").symlink("index.json", "i").build(),
        What::Image,
    ),
    (
        "an index that is a hard link",
        || LayerBuilder::new().file("i", b"{}").hard_link("index.json", "i").build(),
        What::Image,
    ),
    (
        "an index that was a directory",
        || LayerBuilder::new().dir("index.json").file("index.json", b"{}").build(),
        What::Image,
    ),
    ("an index that is a pipe", || LayerBuilder::new().fifo("index.json").build(), What::Image),
    ("docker save without what it names", || LayerBuilder::new().file("manifest.json", LIST).build(), What::Image),
    (
        "docker save whose layers climb",
        || LayerBuilder::new().file("manifest.json", br#"[{"Config":"c","Layers":["../../l"]}]"#).build(),
        What::Image,
    ),
    (
        "docker save as Go reads it",
        || LayerBuilder::new().file("manifest.json", br#"[{"config":"c"}] and more"#).build(),
        What::Image,
    ),
    ("docker save, its list cut off", || LayerBuilder::new().file("manifest.json", &LIST[..40]).build(), What::Image),
    ("docker save by another spelling", || LayerBuilder::new().file("./manifest.json", LIST).build(), What::Image),
    ("two manifests, the first a decoy", || web().file("manifest.json", LIST).build(), What::Image),
    (
        "two manifests, the last a decoy",
        || LayerBuilder::new().file("manifest.json", LIST).file("manifest.json", b"{}").build(),
        What::Image,
    ),
    (
        "a manifest behind a link",
        || LayerBuilder::new().file("m", LIST).symlink("manifest.json", "m").build(),
        What::Image,
    ),
    (
        "a manifest behind a hard link",
        || LayerBuilder::new().file("m", LIST).hard_link("manifest.json", "m").build(),
        What::Image,
    ),
    (
        "an index as a file with a slash behind its name",
        || LayerBuilder::new().entry(b'0', b"index.json/", b"", b"", &Attributes::default()).build(),
        What::Image,
    ),
    (
        "a damaged manifest beside a layer of docker save",
        || LayerBuilder::new().file(&format!("{}/layer.tar", hex()), b"").file("manifest.json", b"\xff").build(),
        What::Image,
    ),
    (
        "a damaged manifest beside a blob",
        || LayerBuilder::new().file("manifest.json", b"").file(&format!("blobs/sha256/{}", hex()), b"").build(),
        What::Image,
    ),
    (
        "docker save before there was a manifest",
        || LayerBuilder::new().file(&format!("{}/layer.tar", hex()), b"").file("repositories", b"{}").build(),
        What::Image,
    ),
    // The directory around an image, packed instead of its content.
    (
        "a layout in the one directory",
        || LayerBuilder::new().dir("oci").file("oci/oci-layout", b"{}").file("oci/index.json", b"{}").build(),
        What::Image,
    ),
    (
        "docker save in the one directory",
        || LayerBuilder::new().dir("./").dir("./a").file("./a/manifest.json", LIST).file("a/x.json", b"{}").build(),
        What::Image,
    ),
    // What is refused or odd on the way hides nothing.
    (
        "an index behind an entry that climbs",
        || LayerBuilder::new().file("../x", b"").file("index.json", b"{}").build(),
        What::Image,
    ),
    (
        "an index behind a header that some policy allows",
        || {
            let odd = LayerBuilder::new().record("mtime", b"1").record("mtime", b"2").file("a", b"a");
            odd.file("index.json", b"{}").build()
        },
        What::Image,
    ),
    (
        "a fine layer that is an image, too",
        || web().file("etc/hostname", b"a").file("index.json", b"{}").build(),
        What::Image,
    ),
    // What breaks off.
    (
        "an image that breaks off behind its index",
        || {
            let whole = LayerBuilder::new().file("index.json", b"{}").file("l", &[1; 2000]).build();
            whole[..2500].to_vec()
        },
        What::Image,
    ),
    (
        "an image that breaks off in its blobs",
        || {
            let blob = format!("blobs/sha256/{}", hex());
            LayerBuilder::new().file(&blob, &[1; 4000]).file("index.json", b"{}").build()[..2000].to_vec()
        },
        What::Image,
    ),
    (
        "an image that ends without an end behind its first blob",
        || LayerBuilder::new().file(&format!("blobs/sha256/{}", hex()), b"1").build()[..1024].to_vec(),
        What::Image,
    ),
    ("a layer that breaks off", || web().file("l", &[1; 2000]).build()[..3500].to_vec(), What::Layer),
];

fn written(place: &Path, bytes: &[u8]) -> File {
    fs::write(place.join("file"), bytes).unwrap();
    File::open(place.join("file")).unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn an_archive_is_an_image_as_soon_as_it_shows_it_and_otherwise_a_layer() {
    let place = tempfile::tempdir().unwrap();
    for (name, build, expected) in CASES {
        let plain = build();
        for (form, bytes) in [("plain", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd(&plain))] {
            let mut file = written(place.path(), &bytes);
            file.seek(SeekFrom::End(0)).unwrap();
            let got = What::of(&file, &Limits::default()).unwrap();
            assert_eq!(got, *expected, "{name} ({form})");
            assert_eq!(Image::is_archive(&file, &Limits::default()).unwrap(), *expected == What::Image, "{name}");
            // Through a pipe it is the same.
            let kept = temporary(place.path()).keep(&bytes[..], &Limits::default()).unwrap();
            assert_eq!(What::of(&kept, &Limits::default()).unwrap(), *expected, "{name} ({form}), kept");
        }
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left");
    for what in What::ALL {
        assert_eq!(what.to_string().parse(), Ok(*what));
    }
}

#[test]
fn every_real_form_of_an_image_is_one_and_every_layer_of_it_is_a_layer() {
    let place = tempfile::tempdir().unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let parts = Parts::of_layout(&world);
    let images = [
        forms::oci_archive(&world, "", |archive| archive),
        forms::oci_archive(&world, "./", |archive| archive.dir("./")),
        forms::docker_of_today(&world),
        parts.docker_of_old(),
        parts.docker_of_skopeo(),
        parts.docker_of_kaniko(),
    ];
    let layers = parts.tars();
    let images = images.iter().map(|bytes| (bytes, What::Image));
    for (bytes, expected) in images.chain(layers.iter().map(|bytes| (bytes, What::Layer))) {
        for bytes in [bytes.clone(), gzip(bytes), zstd(bytes)] {
            assert_eq!(What::of(&written(place.path(), &bytes), &Limits::default()).unwrap(), expected);
        }
    }
}

#[test]
fn an_image_cut_off_anywhere_is_never_a_layer_that_passes() {
    struct Nothing;
    impl Observer for Nothing {}

    let place = tempfile::tempdir().unwrap();
    let small = tempfile::tempdir().unwrap();
    layout::write(small.path(), &[(web().build(), Stored::Gzip), (web().build(), Stored::Plain)]);
    let parts = Parts::of_layout(small.path());
    for image in [forms::docker_of_today(small.path()), parts.docker_of_old(), parts.docker_of_skopeo()] {
        for length in (512..image.len() - 1024).step_by(512) {
            let file = written(place.path(), &image[..length]);
            if What::of(&file, &Limits::default()).unwrap() == What::Layer {
                let mut audit = Audit::new(Limits::default());
                audit.layer(Layer::new(file), &mut Nothing).unwrap();
                let is_refused = audit.is_refused_by(&Policy::default());
                assert!(is_refused, "{length} of {} bytes pass for a layer", image.len());
            }
        }
    }
}

#[test]
fn an_index_behind_a_gigabyte_and_behind_more_members_than_an_image_may_have_is_found() {
    let place = tempfile::tempdir().unwrap();
    // A file whose content is a hole: nothing is written, and nothing of it needs to be read.
    let gigabyte = 1_u64 << 30;
    let header = LayerBuilder::new().file("large", &vec![0; 1 << 20]).build();
    let mut size = header[..512].to_vec();
    size[124..136].copy_from_slice(format!("{gigabyte:011o}\0").as_bytes());
    size[148..156].fill(b' ');
    let sum: u32 = size.iter().map(|&byte| u32::from(byte)).sum();
    size[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut file = File::options().read(true).write(true).create_new(true).open(place.path().join("late")).unwrap();
    file.write_all(&size).unwrap();
    file.seek(SeekFrom::Start(512 + gigabyte)).unwrap();
    file.write_all(&LayerBuilder::new().file("index.json", b"{}").build()).unwrap();
    assert_eq!(What::of(&file, &Limits::default()).unwrap(), What::Image);

    let many = (0..50).fold(LayerBuilder::new(), |layer, number| layer.file(&format!("f{number}"), b""));
    let bytes = many.file("index.json", b"{}").build();
    let few = Limits::default().with(Limit::ArchiveMembers, 10).with(Limit::ArchiveNameBytes, 10);
    let few = few.with(Limit::Entries, 10).with(Limit::FileBytes, 0);
    for bytes in [bytes.clone(), gzip(&bytes)] {
        assert_eq!(What::of(&written(place.path(), &bytes), &few).unwrap(), What::Image);
        let error = Image::open_archive(written(place.path(), &bytes), temporary(place.path()), few.clone());
        assert_eq!(error.unwrap_err().rule_id(), Some("limit"), "an image of too many members is refused");
    }
    // So is one whose list is larger than a document may be.
    let large = [&b"[{\"a\":\""[..], &vec![b'a'; 5 << 20], b"\",\"Config\":\"c\"}]"].concat();
    let bytes = LayerBuilder::new().file("manifest.json", &large).build();
    assert_eq!(What::of(&written(place.path(), &bytes), &Limits::default()).unwrap(), What::Image);
    let image = Image::open_at(&open(place.path()), "file", Limits::default());
    assert_eq!(image.and_then(|image| image.select(&Selector::host())).unwrap_err().rule_id(), Some("limit"));
}

#[test]
fn a_stream_is_kept_no_longer_than_the_limits_say() {
    let place = tempfile::tempdir().unwrap();
    let limits = |layer, archive| Limits::default().with(Limit::LayerBytes, layer).with(Limit::ArchiveBytes, archive);
    let keep = |limits: &Limits| -> Result<File, Error> {
        temporary(place.path()).keep(std::io::repeat(1).take(10_000), limits)
    };
    for (limits, expected) in [(limits(9_999, 9_999), false), (limits(9_999, 10_000), true), (limits(10_000, 1), true)]
    {
        match keep(&limits) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                assert!(expected && bytes == [1; 10_000], "{} bytes", bytes.len());
            }
            Err(error) => assert!(!expected && error.rule_id() == Some("limit"), "{error}"),
        }
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn an_image_that_is_applied_as_a_layer_is_refused_before_its_first_blob() {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let parts = Parts::of_layout(&world);
    let alone = LayerBuilder::new().dir("x").file("manifest.json", LIST).build();
    let images = [forms::docker_of_today(&world), parts.docker_of_old(), parts.docker_of_skopeo(), alone];
    for (bytes, jobs) in images.iter().flat_map(|bytes| [(bytes.clone(), 1), (gzip(bytes), 3)]) {
        let place = tempfile::tempdir().unwrap();
        let directory = open(place.path());
        let unpacker = Unpacker::new(Policy::default()).with_jobs(jobs.try_into().unwrap());
        let layer = || Layer::new(&bytes[..]);
        let mut rootfs = Rootfs::over(&directory).unwrap();
        let error = unpacker.apply(layer().refuse_images(), &mut rootfs).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::ImageAsLayer { .. })), "{error}");
        assert!(error.remedies().contains(&layercage::error::Remedy::UnpackImage), "{error:?}");
        assert!(!place.path().join("blobs/sha256").read_dir().is_ok_and(|mut blobs| blobs.next().is_some()));
        // It is said to be a layer: it is applied.
        unpacker.apply(layer(), &mut Rootfs::over(&directory).unwrap()).unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    let layer = web().file("oci/index.json", b"").build();
    let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
    Unpacker::new(Policy::default()).apply(Layer::new(&layer[..]).refuse_images(), &mut rootfs).unwrap();
    assert_eq!(fs::read(place.path().join("manifest.json")).unwrap(), br#"{"name":"web"}"#);
}

#[test]
fn the_directory_around_an_image_is_refused_by_its_name_as_an_image_and_as_a_layer() {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let packed = forms::oci_archive(&world, "sm/", |archive| archive.dir("sm/"));
    let saved = LayerBuilder::new().dir("sm").file("sm/manifest.json", LIST).build();
    for bytes in [&packed, &gzip(&packed), &zstd(&packed), &saved] {
        let place = tempfile::tempdir().unwrap();
        let scratch = temporary(place.path());
        let error = Image::open_archive(written(place.path(), bytes), scratch, Limits::default()).unwrap_err();
        assert_eq!(error.rule_id(), Some("image-in-directory"), "{error}");
        assert!(error.to_string().contains("\"sm\""), "{error}");

        let rootfs = tempfile::tempdir().unwrap();
        let unpacker = Unpacker::new(Policy::default());
        let apply = |layer| unpacker.apply(layer, &mut Rootfs::over(&open(rootfs.path())).unwrap());
        let error = apply(Layer::new(&bytes[..]).refuse_images()).unwrap_err();
        let Some(Misuse::ImageAsLayer { member }) = error.misuse() else { panic!("{error}") };
        assert!(member.to_string().starts_with("\"sm/"), "{member}");
        apply(Layer::new(&bytes[..])).unwrap();
    }
}
