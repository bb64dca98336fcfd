//! Every limit that a layer can meet: at it the layer is taken, one past it the layer is refused by name.

use crate::support::layer::{Attributes, LayerBuilder};
use crate::support::{open, temporary};
use layercage::audit::{Audit, Finding, Lower, Observer};
use layercage::error::ErrorKind;
use layercage::rules::{Limit, Rule, Violation};
use layercage::{Applied, Digest, Error, Expected, Layer, Limits, Policy, Rootfs, Staged, Unpacker};
use std::cell::Cell;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::rc::Rc;

/// The limit, a layer, and how much of the amount the layer has.
type Case = (Limit, fn() -> Vec<u8>, u64);

const CASES: &[Case] = &[
    (Limit::Entries, || LayerBuilder::new().dir("a").dir("b").file("c", b"").build(), 3),
    (Limit::Headers, || LayerBuilder::new().record("comment", b"abc").file("f", b"").build(), 2),
    (Limit::LayerBytes, || LayerBuilder::new().file("a", b"abc").build(), 2048),
    #[cfg(feature = "zstd")]
    (Limit::ExpansionRatio, zeros_in_zstd, 1893),
    (Limit::ImageBytes, || LayerBuilder::new().file("a", b"abc").file("b", b"de").build(), 5),
    (Limit::FileBytes, || LayerBuilder::new().file("a", b"abc").file("b", b"de").build(), 3),
    (Limit::PathBytes, || LayerBuilder::new().dir("./abc/").build(), 6),
    (Limit::PathDepth, || LayerBuilder::new().dir("a/b/c").build(), 3),
    (Limit::ExtendedHeaderBytes, || LayerBuilder::new().record("comment", b"abc").file("f", b"").build(), 15),
    (Limit::SparseSegments, || sparse(&[(0, 1), (2, 0), (100, 0)]), 3),
    (Limit::Xattrs, || with_xattrs(&[("user.a", b"1"), ("user.b", b"2")]), 2),
    (Limit::XattrBytes, || with_xattrs(&[("user.a", b"1"), ("user.b", b"2")]), 14),
    (Limit::LinkHops, || links(3).file("l0/f", b"").build(), 3),
    (Limit::LayerLinkHops, || links(2).file("l0/f", b"").dir("x").file("l1/g", b"").build(), 3),
    (Limit::LayerLinkSteps, || steps().build(), 14),
    (Limit::ImpliedDirectories, || implied().build(), 5),
    (Limit::LayerOpens, opened_again, 2),
];

/// Two links, one of which leads to the other: three ways of 3, 2 and 3, and 3 and 3 components, of which the last is
/// that of a hard link's target.
fn steps() -> LayerBuilder {
    let links = LayerBuilder::new().dir("a").symlink("l", "a/../a").symlink("m", "/l");
    links.file("l/f", b"").dir("x").file("m/g", b"").hard_link("l/h", "l/f")
}

/// A name, a link that dangles, and what lies below it: two directories each, and one. Whiteouts make none.
fn implied() -> LayerBuilder {
    let layer = LayerBuilder::new().symlink("l", "x/y").file("a/b/f", b"").file("a/g", b"").whiteout("m/n/f");
    layer.opaque("o/p").file("l/z/f", b"").file("x/y/z/g", b"")
}

/// Two directories that are opened once more each: so many others were made since that they are closed.
fn opened_again() -> Vec<u8> {
    let many = (0..200).fold(LayerBuilder::new(), |layer, number| layer.dir(&format!("d{number}")));
    many.file("d0/f", b"").file("d1/f", b"").build()
}

/// `l0` leads to `l1`, and so on to a directory.
fn links(hops: usize) -> LayerBuilder {
    let last = LayerBuilder::new().dir(&format!("l{hops}"));
    (0..hops).fold(last, |layer, hop| layer.symlink(&format!("l{hop}"), &format!("l{}", hop + 1)))
}

fn with_xattrs(xattrs: &[(&'static str, &'static [u8])]) -> Vec<u8> {
    LayerBuilder::new().file_with("f", b"", &Attributes { xattrs: xattrs.to_vec(), ..Attributes::default() }).build()
}

fn sparse(segments: &[(u64, u64)]) -> Vec<u8> {
    let map: Vec<_> = segments.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
    let layer = LayerBuilder::new().record("GNU.sparse.size", b"100").record("GNU.sparse.name", b"f");
    let layer = layer.record("GNU.sparse.numblocks", segments.len().to_string().as_bytes());
    let layer = layer.record("GNU.sparse.map", map.join(",").as_bytes());
    let stored: u64 = segments.iter().map(|(_, length)| length).sum();
    layer.file("f", &vec![b'x'; usize::try_from(stored).unwrap()]).build()
}

/// A file of a mebibyte of zeros and two end blocks, as 589 bytes of zstd: a raw block for the header, and blocks of one
/// byte repeated.
#[cfg(feature = "zstd")]
fn zeros_in_zstd() -> Vec<u8> {
    const BLOCK: u32 = 64 << 10;
    let header = LayerBuilder::new().file("f", &vec![0; 1 << 20]).build();
    let block = |size: u32, kind: u32, last: bool| (size << 3 | kind << 1 | u32::from(last)).to_le_bytes();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    frame.extend(&block(512, 0, false)[..3]);
    frame.extend(&header[..512]);
    for index in 0..17 {
        frame.extend(&block(BLOCK, 1, index == 16)[..3]);
        frame.push(0);
    }
    frame
}

fn apply(layer: &[u8], limits: Limits) -> Result<(), layercage::Error> {
    let place = tempfile::tempdir().unwrap();
    let unpacker = Unpacker::new(Policy::default()).with_limits(limits);
    unpacker.apply(Layer::new(layer), &mut Rootfs::over(&open(place.path())).unwrap()).map(drop)
}

#[test]
fn names_of_what_is_skipped_are_counted_through_all_layers() {
    let apply = |most| {
        let place = tempfile::tempdir().unwrap();
        let unpacker =
            Unpacker::new(Policy::compatible()).with_limits(Limits::default().with(Limit::SkippedBytes, most));
        let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
        let twice = LayerBuilder::new().device("dev/a", 1, 3).device("dev/a", 1, 3).build();
        unpacker.apply(Layer::new(&twice[..]), &mut rootfs).unwrap();
        let another = LayerBuilder::new().dir("dev").device("dev/bc", 1, 3).build();
        unpacker.apply(Layer::new(&another[..]), &mut rootfs).map(drop)
    };
    apply(64 + 5 + 64 + 6).unwrap();
    let error = apply(64 + 5 + 64 + 5).unwrap_err();
    assert_eq!(error.rule_id(), Some("limit"), "{error}");
    assert!(error.to_string().contains("skipped-bytes"), "{error}");
}

/// A way to apply a layer to a tree.
type Way = fn(&Unpacker, &[u8], &mut Rootfs) -> Result<Applied, Error>;

const WAYS: &[(&str, Way)] = &[
    ("side by side", |unpacker, layer, rootfs| unpacker.apply(Layer::new(layer), rootfs)),
    ("locally", |unpacker, layer, rootfs| unpacker.session().apply_local(Layer::new(layer), rootfs)),
    ("watched", |unpacker, layer, rootfs| unpacker.session().with_progress(()).apply(Layer::new(layer), rootfs)),
];

fn image_bytes(most: u64) -> Unpacker {
    let limits = Limits::default().with(Limit::ImageBytes, most);
    Unpacker::new(Policy::default()).with_limits(limits).with_jobs(NonZeroUsize::new(2).unwrap())
}

/// How much is too much, where that is what refused a layer.
fn amount(error: &Error) -> Option<u64> {
    match error.kind() {
        ErrorKind::Refused(Rule::Violation(Violation::LimitExceeded { limit: Limit::ImageBytes, amount, .. })) => {
            Some(*amount)
        }
        _ => None,
    }
}

#[test]
fn bytes_of_files_are_counted_through_all_layers_that_one_tree_is_made_of() {
    let layers = ["a", "b", "c"].map(|name| LayerBuilder::new().file(name, &[7; 10]).build());
    for (way, apply) in WAYS {
        let apply_all = |most, rootfs: &mut Rootfs| {
            layers
                .iter()
                .map(|layer| apply(&image_bytes(most), layer, rootfs).err().map(|error| amount(&error)))
                .collect()
        };
        for (most, expected) in [(30, [None, None, None]), (29, [None, None, Some(Some(30))])] {
            let place = tempfile::tempdir().unwrap();
            let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
            let found: Vec<_> = apply_all(most, staged.rootfs());
            assert_eq!(found, expected, "staged, {way}");
            let found: Vec<_> = apply_all(most, &mut Rootfs::over(&open(place.path())).unwrap());
            assert_eq!(found, expected, "visible, {way}");
        }
    }
}

#[test]
fn bytes_of_a_layer_that_failed_do_not_count_when_it_is_applied_again() {
    let place = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
    let layer = LayerBuilder::new().file("a", &[7; 10]).file("b", &[7; 10]).build();
    let unpacker = image_bytes(20);
    for _ in 0..3 {
        let truncated = unpacker.apply(Layer::new(&layer[..layer.len() - 1_600]), &mut rootfs).unwrap_err();
        assert_eq!(truncated.rule_id(), Some("truncated"), "{truncated}");
        assert!(place.path().join("a").exists());
    }
    unpacker.apply(Layer::new(&layer[..]), &mut rootfs).unwrap();
    let error = unpacker.apply(Layer::new(&layer[..]), &mut rootfs).unwrap_err();
    assert_eq!(amount(&error), Some(30), "{error}");
}

#[test]
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
fn bytes_of_files_are_counted_through_all_layers_of_an_image() {
    let world = open(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world"));
    let image = layercage::Image::open(&world).unwrap();
    let selected = image.select(&layercage::Selector::host().with_reference("latest")).unwrap();
    let unpack = |most| {
        let place = tempfile::tempdir().unwrap();
        let unpacked = image_bytes(most).unpack(&selected, &open(place.path()), "rootfs");
        crate::support::tree::unlock(place.path());
        unpacked
    };
    let bytes = unpack(Limit::ImageBytes.default()).unwrap().bytes_written;
    assert_eq!(unpack(bytes).unwrap().bytes_written, bytes);
    assert!(amount(&unpack(bytes - 1).unwrap_err()).is_some_and(|amount| amount >= bytes));
}

#[test]
fn a_layer_at_a_limit_is_taken_and_one_past_it_is_refused_by_name() {
    for (limit, layer, amount) in CASES {
        let layer = layer();
        apply(&layer, Limits::default().with(*limit, *amount)).unwrap_or_else(|error| panic!("{limit}: {error}"));
        let error = apply(&layer, Limits::default().with(*limit, amount - 1)).unwrap_err();
        match error.kind() {
            ErrorKind::Refused(Rule::Violation(Violation::LimitExceeded { limit: named, most, .. })) => {
                assert_eq!((named, *most), (limit, amount - 1), "{error}");
            }
            // Has a rule of its own, for what exceeds it is mostly a loop.
            ErrorKind::Refused(Rule::Violation(Violation::LinkLoop { .. })) => assert_eq!(*limit, Limit::LinkHops),
            _ => panic!("{limit}: {error}"),
        }
    }
}

/// What an audit with a tree says of a layer that no policy takes: at which entry, and by which rule.
#[derive(Default)]
struct Violations(Vec<(Option<u64>, &'static str)>);

impl Observer for Violations {
    fn finding(&mut self, finding: &Finding) {
        if let Rule::Violation(_) = finding.rule {
            self.0.push((finding.position.entry, finding.rule.id()));
        }
    }
}

#[test]
fn an_audit_refuses_at_the_entry_where_applying_does_by_the_same_limit() {
    for (limit, layer, amount) in CASES {
        let layer = layer();
        let audit = |limits| {
            let mut found = Violations::default();
            Audit::new(limits).with_tree(Lower::Nothing).layer(Layer::new(&layer[..]), &mut found).unwrap();
            found.0
        };
        assert_eq!(audit(Limits::default().with(*limit, *amount)), [], "{limit}");
        let limits = Limits::default().with(*limit, amount - 1);
        let error = apply(&layer, limits.clone()).unwrap_err();
        let met = (error.position().entry, error.rule_id().unwrap());
        assert_eq!(audit(limits).first(), Some(&met), "{limit}");
    }
}

#[test]
fn directories_that_are_there_are_not_implied() {
    let place = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
    let mut apply = |most, layer: LayerBuilder| {
        let unpacker =
            Unpacker::new(Policy::default()).with_limits(Limits::default().with(Limit::ImpliedDirectories, most));
        unpacker.apply(Layer::new(&layer.build()[..]), &mut rootfs).map(drop).map_err(|error| error.rule_id().unwrap())
    };
    let layer = LayerBuilder::new;
    assert_eq!(apply(2, layer().file("a/b/f", b"")), Ok(()));
    // Of the lower layer's two and two of its own, only the latter count.
    assert_eq!(apply(2, layer().file("a/b/c/d/f", b"").dir("a/b/c")), Ok(()));
    assert_eq!(apply(1, layer().file("a/b/x/y/f", b"")), Err("limit"));
}

#[test]
fn steps_are_counted_through_all_layers_of_a_tree_and_an_audit_counts_alike() {
    // Each layer makes a directory that no entry lists, and follows a link of three components.
    let layer = |number| {
        let name = format!("l{number}");
        LayerBuilder::new().dir("a").symlink(&name, "a/../a").file(&format!("{name}/d{number}/f"), b"").build()
    };
    let (first, second) = (layer(1), layer(2));
    let apply = |most| {
        let place = tempfile::tempdir().unwrap();
        let unpacker = Unpacker::new(Policy::default()).with_limits(Limits::default().with(Limit::ImageSteps, most));
        let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
        unpacker.apply(Layer::new(&first[..]), &mut rootfs).unwrap();
        unpacker.apply(Layer::new(&second[..]), &mut rootfs).map_err(|error| error.position().entry)
    };
    let audit = |most| {
        let mut found = Violations::default();
        let mut audit = Audit::new(Limits::default().with(Limit::ImageSteps, most)).with_tree(Lower::Nothing);
        audit.layer(Layer::new(&first[..]), &mut found).unwrap();
        assert_eq!(found.0, []);
        audit.layer(Layer::new(&second[..]), &mut found).unwrap();
        found.0
    };
    // The second layer opens a directory of the first one besides.
    let steps = 2 * (300 + 3) + 100;
    assert_eq!(audit(steps), []);
    assert_eq!(audit(steps - 1), [(Some(3), "limit")]);
    apply(steps).unwrap();
    assert_eq!(apply(steps - 1).unwrap_err(), Some(3));
}

#[test]
fn places_in_lower_directories_are_counted_once_and_in_one_layer() {
    let place = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
    let unpacker = Unpacker::new(Policy::default()).with_limits(Limits::default().with(Limit::LayerPlaces, 3));
    let lower = LayerBuilder::new().file("d/a", b"").file("d/b", b"").file("d/c", b"").file("d/e", b"");
    unpacker.apply(Layer::new(&lower.build()[..]), &mut rootfs).unwrap();
    let again = LayerBuilder::new().file("d/a", b"").file("d/b", b"").file("d/a", b"").file("d/b", b"").build();
    for _ in 0..2 {
        unpacker.apply(Layer::new(&again[..]), &mut rootfs).unwrap();
    }
    let more = LayerBuilder::new().file("d/a", b"").file("d/b", b"").file("d/c", b"").build();
    let error = unpacker.apply(Layer::new(&more[..]), &mut rootfs).unwrap_err();
    assert_eq!((error.rule_id(), error.position().entry), (Some("limit"), Some(3)), "{error}");
}

#[test]
fn what_is_kept_to_be_verified_first_is_bounded_too() {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits::default().with(Limit::LayerBytes, 1 << 20);
    let unpacker = Unpacker::new(Policy::default()).with_limits(limits).with_scratch(temporary(place.path()));
    let known: [fn(Layer<Counted>) -> Layer<Counted>; 2] = [
        |layer| layer.expecting(Expected::unchecked().with_digest(Digest::Sha256([0; 32]))),
        |layer| layer.expecting(Expected::blob(Digest::Sha256([0; 32]), u64::MAX)),
    ];
    for know in known {
        let bytes = Rc::new(Cell::new(0));
        let layer = know(Layer::new(Counted(Rc::clone(&bytes))));
        let error = unpacker.session().apply_local(layer, &mut Rootfs::over(&open(place.path())).unwrap()).unwrap_err();
        assert_eq!(error.rule_id(), Some("limit"), "{error}");
        assert!(bytes.get() <= (1 << 20) + 2, "{}", bytes.get());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}

/// Zeros without an end, counted.
struct Counted(Rc<Cell<u64>>);

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        out.fill(0);
        self.0.set(self.0.get() + out.len() as u64);
        Ok(out.len())
    }
}

#[test]
fn no_tree_becomes_deeper_through_links_than_names_may_be() {
    let layer = LayerBuilder::new().symlink("l", "a/b/c").symlink("a/b/c/l", "d/e").file("l/l/f", b"").build();
    apply(&layer, Limits::default().with(Limit::PathDepth, 5)).unwrap();
    let error = apply(&layer, Limits::default().with(Limit::PathDepth, 4)).unwrap_err();
    assert_eq!(error.rule_id(), Some("limit"), "{error}");
    let bytes = "a/b/c/d/e".len() as u64;
    apply(&layer, Limits::default().with(Limit::PathBytes, bytes)).unwrap();
    assert_eq!(
        apply(&layer, Limits::default().with(Limit::PathBytes, bytes - 1)).unwrap_err().rule_id(),
        Some("limit")
    );
}

#[test]
fn no_limit_is_forgotten() {
    let elsewhere = [
        Limit::Layers,           // src/image/tests.rs
        Limit::ManifestBytes,    // src/image/tests.rs
        Limit::DocumentValues,   // src/image/tests.rs
        Limit::Manifests,        // src/image/tests.rs
        Limit::IndexDepth,       // src/image/tests.rs
        Limit::ArchiveMembers,   // archives.rs
        Limit::ArchiveNameBytes, // archives.rs
        Limit::ArchiveBytes,     // forms.rs
        Limit::HoleBytes,        // tests/it/merged/files.rs
        Limit::AuditBytes,       // tests/it/audit.rs
        Limit::TreeBytes,        // merged/lookup.rs
        Limit::ZstdWindowBytes,  // src/read/zstd.rs
        Limit::ExpansionRatio,   // above, where there is zstd
        Limit::SkippedBytes,     // above, under a policy that skips
        Limit::ImageSteps,       // above, over several layers
        Limit::LayerPlaces,      // above, over a lower layer
    ];
    for limit in Limit::ALL {
        assert!(CASES.iter().any(|case| case.0 == *limit) || elsewhere.contains(limit), "{limit}");
    }
}
