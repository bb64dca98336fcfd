//! Lower directories that are not at hand when a layer begins.

use super::cases::CASES;
use super::{USER_XATTRS, model, possible};
use crate::support::layer::{LayerBuilder, mode};
use crate::support::open;
use layercage::error::Misuse;
use layercage::overlay::{Overlay, OverlayFormat};
use layercage::{Error, Layer, Policy, Unpacker};
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

fn new(place: &Path, name: &str) -> PathBuf {
    let directory = place.join(name);
    fs::create_dir(&directory).unwrap();
    directory
}

fn apply(layer: LayerBuilder, mut overlay: Overlay) -> Result<(), Error> {
    Unpacker::new(Policy::compatible()).apply(Layer::new(&layer.build()[..]), &mut overlay).map(drop)
}

/// Applies a layer over one that is asked for when it is needed. Returns whether it was.
fn apply_later(layer: LayerBuilder, upper: &Path, lower: &Path, format: OverlayFormat) -> Result<bool, Error> {
    let (asked, is_asked) = channel();
    let lower = lower.to_owned();
    let lowers = move || {
        asked.send(()).unwrap();
        Ok(vec![OwnedFd::from(File::open(lower).unwrap())])
    };
    apply(layer, Overlay::over_later(open(upper), lowers, format)?)?;
    Ok(is_asked.try_recv().is_ok())
}

#[test]
fn lower_directories_that_come_later_make_the_same_tree() {
    // What was done before they are needed must be right, too: the entry that needs them comes last here.
    let ends: [fn(LayerBuilder) -> LayerBuilder; 3] =
        [|l| l, |l| l.file("other/new", b""), |l| l.dir("z").dir("z/y").file("z/y/x", b"").file("other/p/q", b"")];
    for format in [possible(), USER_XATTRS] {
        for (what, lower, upper, _) in CASES {
            for (number, end) in ends.iter().enumerate() {
                let place = tempfile::tempdir().unwrap();
                let [below, known, later] = ["below", "known", "later"].map(|name| new(place.path(), name));
                let bottom = layer().dir_with("other", &mode(0o2711)).dir("z").file("z/y/w", b"");
                apply(lower(bottom), Overlay::over(open(&below), Vec::<File>::new(), format).unwrap()).unwrap();
                let top = || end(upper(layer()));
                apply(top(), Overlay::over(open(&known), [open(&below)], format).unwrap()).unwrap();
                apply_later(top(), &later, &below, format).unwrap();
                let [known, later] = [known, later].map(|upper| model::list(&[upper, below.clone()], format));
                assert_eq!(later, known, "{what}, end {number} ({format:?})");
            }
        }
    }
}

#[test]
fn lower_directories_are_waited_for_only_if_the_layer_needs_them() {
    let cases = [
        (false, layer().dir("./").dir("d").file("d/f", b"").whiteout("d/g").whiteout("h").hard_link("i", "d/f")),
        (false, layer().dir("./").dir("d").opaque("d").file("d/f", b"")),
        (true, layer().dir("./").file("d/f", b"")),
        (true, layer().dir("./").whiteout("d/f")),
        (true, layer().dir("./").hard_link("f", "lower")),
        (true, layer().dir("./").opaque("")),
        // For the attributes of the root.
        (true, layer().file("f", b"")),
        (true, layer()),
    ];
    for (number, (needs, what)) in cases.into_iter().enumerate() {
        let place = tempfile::tempdir().unwrap();
        let [lower, upper] = ["lower", "upper"].map(|name| new(place.path(), name));
        apply(
            layer().file("lower", b"").dir("d"),
            Overlay::over(open(&lower), Vec::<File>::new(), possible()).unwrap(),
        )
        .unwrap();
        assert_eq!(apply_later(what, &upper, &lower, possible()).unwrap(), needs, "{number}");
    }
}

#[test]
fn a_root_that_the_layer_does_not_list_is_like_that_of_lower_directories_that_come_later() {
    let place = tempfile::tempdir().unwrap();
    let [lower, upper, listed] = ["lower", "upper", "listed"].map(|name| new(place.path(), name));
    let mode_of = |directory: &Path| fs::metadata(directory).unwrap().permissions().mode() & 0o7777;
    fs::set_permissions(&lower, Permissions::from_mode(0o1710)).unwrap();
    assert!(apply_later(layer().file("f", b""), &upper, &lower, possible()).unwrap());
    assert_eq!(mode_of(&upper), 0o1710);
    let time = |directory: &Path| fs::metadata(directory).unwrap().modified().unwrap();
    assert_eq!(time(&upper), time(&lower));
    assert!(apply_later(layer().dir_with("./", &mode(0o750)).file("d/f", b""), &listed, &lower, possible()).unwrap());
    assert_eq!(mode_of(&listed), 0o750);
}

#[test]
fn the_error_of_lower_directories_that_do_not_come_is_that_of_the_layer() {
    let place = tempfile::tempdir().unwrap();
    let upper = new(place.path(), "upper");
    let overlay = Overlay::over_later(open(&upper), || Err(Misuse::Cancelled.into()), possible()).unwrap();
    let error = apply(layer().file("d/f", b""), overlay).unwrap_err();
    assert!(matches!(error.misuse(), Some(Misuse::Cancelled)), "{error}");

    let upper = new(place.path(), "upper of another run");
    let lost = || Err(std::io::Error::other("the lower layer was lost").into());
    let error =
        apply(layer().file("d/f", b""), Overlay::over_later(open(&upper), lost, possible()).unwrap()).unwrap_err();
    assert!(format!("{error:#}").contains("the lower layer was lost"), "{error:#}");
}

#[test]
fn the_next_layer_is_over_lower_directories_that_came_later() {
    let place = tempfile::tempdir().unwrap();
    let [lower, middle, top] = ["lower", "middle", "top"].map(|name| new(place.path(), name));
    apply(layer().dir_with("d", &mode(0o711)), Overlay::over(open(&lower), Vec::<File>::new(), possible()).unwrap())
        .unwrap();
    let below = lower.clone();
    let lowers = move || Ok(vec![OwnedFd::from(File::open(below).unwrap())]);
    let mut overlay = Overlay::over_later(open(&middle), lowers, possible()).unwrap();
    Unpacker::default().apply(Layer::new(&layer().dir("./").build()[..]), &mut overlay).unwrap();
    apply(layer().file("d/f", b""), overlay.next(open(&top)).unwrap()).unwrap();
    assert_eq!(fs::metadata(top.join("d")).unwrap().permissions().mode() & 0o7777, 0o711);
}
