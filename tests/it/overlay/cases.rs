//! What each kind of change leaves in the upper directory, and what lower directories of other engines may have.

use super::{DEVICES, USER_XATTRS, XATTRS, compare, model, possible, stack};
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::{is_root, open, tree};
use layercage::error::{Blame, Misuse};
use layercage::overlay::{Overlay, OverlayFormat};
use layercage::policy::Xattrs;
use layercage::rules::{Limit, QuirkRule};
use layercage::{Error, Layer, Limits, Policy, Report, Unpacker};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// The names below a directory, sorted, with `!` behind a whiteout and `#` behind an opaque directory.
fn names(root: &Path, format: OverlayFormat) -> Vec<String> {
    let listing = tree::list(root);
    let prefix = format!("xattr.{}.overlay.", format.namespace);
    let names = listing.iter().filter(|(path, _)| **path != b".").map(|(path, fields)| {
        let is_whiteout =
            fields.get("rdev").is_some_and(|rdev| rdev == "0:0") || fields.contains_key(&format!("{prefix}whiteout"));
        let is_opaque = fields.get(&format!("{prefix}opaque")).is_some_and(|value| value == "79");
        let mark = if is_whiteout {
            "!"
        } else if is_opaque {
            "#"
        } else {
            ""
        };
        format!("{}{mark}", String::from_utf8_lossy(path))
    });
    names.collect()
}

/// A lower layer, a layer over it, and the names that the latter leaves in its directory.
pub(super) type Case =
    (&'static str, fn(LayerBuilder) -> LayerBuilder, fn(LayerBuilder) -> LayerBuilder, &'static [&'static str]);

pub(super) const CASES: &[Case] = &[
    ("a file that is removed", |l| l.file("f", b""), |l| l.whiteout("f"), &["f!"]),
    ("nothing that is removed", |l| l.file("f", b""), |l| l.whiteout("g"), &[]),
    ("nothing in a directory", |l| l.dir("d"), |l| l.whiteout("d/g"), &[]),
    ("a file in a directory", |l| l.file("d/f", b""), |l| l.whiteout("d/f"), &["d", "d/f!"]),
    ("a directory with its content", |l| l.file("d/f", b""), |l| l.whiteout("d"), &["d!"]),
    ("a file over a directory", |l| l.file("d/f", b""), |l| l.file("d", b""), &["d"]),
    ("a link over a directory", |l| l.file("d/f", b""), |l| l.symlink("d", "x"), &["d"]),
    ("a directory over a file", |l| l.file("f", b""), |l| l.dir("f"), &["f"]),
    ("a directory over a link", |l| l.symlink("s", "x"), |l| l.dir("s"), &["s"]),
    ("a directory over a directory", |l| l.file("d/f", b""), |l| l.dir("d"), &["d"]),
    ("a directory whose lower one is removed", |l| l.file("d/f", b""), |l| l.dir("d").whiteout("d"), &["d#"]),
    ("the same the other way round", |l| l.file("d/f", b""), |l| l.whiteout("d").dir("d"), &["d#"]),
    ("a parent behind a removed one", |l| l.file("d/f", b""), |l| l.whiteout("d").file("d/g", b""), &["d#", "d/g"]),
    ("an opaque directory", |l| l.file("d/f", b""), |l| l.opaque("d").file("d/g", b""), &["d#", "d/g"]),
    ("a whiteout in an opaque one", |l| l.file("d/f", b""), |l| l.whiteout("d/f").opaque("d"), &["d#"]),
    (
        "a directory that is opaque at last",
        |l| l.file("d/e/f", b""),
        |l| l.file("d/e/g", b"").opaque("d"),
        &["d#", "d/e", "d/e/g"],
    ),
    (
        "an opaque root",
        |l| l.file("d/f", b"").file("f", b"").dir("e"),
        |l| l.file("d/g", b"").opaque(""),
        &["d#", "d/g", "e!", "f!"],
    ),
    ("a directory after an opaque root", |l| l.file("d/f", b""), |l| l.opaque("").dir("d"), &["d#"]),
    ("a file through a link", |l| l.dir("run").symlink("var", "run"), |l| l.file("var/f", b""), &["run", "run/f"]),
    (
        "a link to a link's end that is not there",
        |l| l.symlink("a", "/b/c"),
        |l| l.file("a/f", b""),
        &["b", "b/c", "b/c/f"],
    ),
    ("a hard link to a lower file", |l| l.file("d/f", b"1"), |l| l.hard_link("g", "d/f"), &["d", "d/f", "g"]),
    ("a hard link that replaces its target's directory", |l| l.file("d/f", b"1"), |l| l.hard_link("d", "d/f"), &["d"]),
    ("a file that replaces a file twice", |l| l.file("f", b""), |l| l.file("f", b"1").file("f", b"2"), &["f"]),
    ("a file over a directory and then a directory", |l| l.file("d/f", b""), |l| l.file("d", b"").dir("d"), &["d#"]),
    ("a device that is skipped", |l| l.file("d", b""), |l| l.device("d", 1, 3), &["d!"]),
    ("a device that is skipped, twice", |l| l.dir("d"), |l| l.device("d", 1, 3).device("d", 1, 3), &["d!"]),
    ("a file that a device removes", |l| l.file("d", b""), |l| l.file("d", b"").device("d", 1, 3), &["d!"]),
    (
        "a directory that is opaque after a device",
        |l| l.file("a/d", b""),
        |l| l.file("a/d", b"").device("a/d", 1, 3).file("a/e", b"").opaque("a"),
        &["a#", "a/e"],
    ),
];

#[test]
fn each_change_leaves_what_a_mount_needs_and_no_more() {
    let policy = Policy::compatible();
    for format in [possible(), USER_XATTRS] {
        for (what, lower, upper, expected) in CASES {
            let place = tempfile::tempdir().unwrap();
            let layers = [lower(layer()), upper(layer())];
            let stack = stack(place.path(), &layers, &policy, format).unwrap();
            assert_eq!(names(&stack.directories[0], format), *expected, "{what} ({format:?})");
            compare(&layers, &policy, format, |directories| model::list(directories, format))
                .unwrap_or_else(|differences| panic!("{what} ({format:?})\n{differences}"));
        }
    }
}

#[test]
fn in_the_first_layer_nothing_is_hidden() {
    let place = tempfile::tempdir().unwrap();
    let first = layer().whiteout("f").opaque("d").opaque("").dir("d").whiteout("d/f").file("d/g", b"");
    let stack = stack(place.path(), &[first], &Policy::compatible(), possible()).unwrap();
    assert_eq!(names(&stack.directories[0], possible()), ["d", "d/g"]);
}

#[test]
fn a_directory_that_is_only_walked_has_the_attributes_of_the_lower_one() {
    let attributes = Attributes { mtime: 7, xattrs: vec![("user.a", b"1")], ..mode(0o1750) };
    let place = tempfile::tempdir().unwrap();
    let lower = layer().dir_with("d", &attributes).file("d/f", b"").dir_with("./", &mode(0o711));
    let stack = stack(place.path(), &[lower, layer().file("d/g", b"")], &Policy::default(), possible()).unwrap();
    let [upper, lower] = [0, 1].map(|layer| tree::list(&stack.directories[layer]));
    for path in [&b"d"[..], b"."] {
        assert_eq!(upper[path], lower[path], "{path:?}");
    }
    assert_eq!(upper[&b"d"[..]]["xattr.user.a"], "31");
}

#[test]
fn a_lower_file_that_gets_a_name_is_copied_with_all_its_names_and_a_note() {
    let place = tempfile::tempdir().unwrap();
    let lower = layer().file("d/a", b"1").hard_link("d/b", "d/a").hard_link("c", "d/a").hard_link("gone", "c");
    let upper = layer().whiteout("gone").file("e", b"").hard_link("new", "d/b");
    let stack = stack(place.path(), &[lower, upper], &Policy::default(), possible()).unwrap();
    assert_eq!(names(&stack.directories[0], possible()), ["c", "d", "d/a", "d/b", "e", "gone!", "new"]);
    let inode = |name: &str| fs::metadata(stack.directories[0].join(name)).unwrap().ino();
    assert!(["c", "d/a", "d/b"].iter().all(|name| inode(name) == inode("new")));
    assert_eq!(stack.report.count("hard-link-copied"), 1);
}

#[test]
fn a_copy_counts_as_content_and_keeps_its_holes() {
    let place = tempfile::tempdir().unwrap();
    let lower = place.path().join("lower");
    fs::create_dir(&lower).unwrap();
    let file = fs::File::create(lower.join("f")).unwrap();
    for offset in [1 << 20, 3 << 20] {
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 10_000], offset).unwrap();
    }
    file.set_len(8 << 20).unwrap();
    let link = layer().hard_link("g", "f").file("h", &[1; 100]).build();
    for (most, fits) in [((8 << 20) + 100, true), ((8 << 20) + 99, false), ((8 << 20) - 1, false)] {
        let upper = place.path().join(format!("{most}"));
        fs::create_dir(&upper).unwrap();
        let mut overlay = Overlay::over(open(&upper), [open(&lower)], possible()).unwrap();
        let limits = Limits::default().with(Limit::ImageBytes, most);
        let applied = Unpacker::default().with_limits(limits).apply(Layer::new(&link[..]), &mut overlay);
        assert_eq!(applied.map(drop).map_err(|error| error.rule_id()), if fits { Ok(()) } else { Err(Some("limit")) });
        if fits {
            assert_eq!(fs::read(upper.join("g")).unwrap(), fs::read(lower.join("f")).unwrap());
            let blocks = [&lower.join("f"), &upper.join("f")].map(|path| fs::metadata(path).unwrap().blocks());
            assert!(blocks[1] <= blocks[0] + 64, "{blocks:?}");
        }
    }
}

/// Applies a layer over lower directories.
fn over(lowers: &[&Path], upper: &Path, layer: LayerBuilder, format: OverlayFormat) -> Result<Report, Error> {
    fs::create_dir_all(upper).unwrap();
    let mut overlay = Overlay::over(open(upper), lowers.iter().map(|lower| open(lower)).collect::<Vec<_>>(), format)?;
    let policy = Policy::default().allow(QuirkRule::HardLinkCopied);
    Unpacker::new(policy).apply(Layer::new(&layer.build()[..]), &mut overlay).map(|applied| applied.into_report())
}

fn set(path: PathBuf, name: &str, value: &[u8]) {
    setxattr(path, name, value, XattrFlags::empty()).unwrap();
}

#[test]
fn layers_of_another_engine_are_read_as_a_mount_reads_them() {
    let prefix = format!("{}.overlay.", possible().namespace);
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for directory in ["bottom/d", "bottom/opaque/below", "bottom/x", "top/d", "top/opaque", "top/x"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    for file in ["bottom/d/device", "bottom/x/xattr", "bottom/opaque/f", "bottom/d/kept", "top/x/xattr"] {
        fs::write(at(file), "").unwrap();
    }
    mknodat(CWD, at("top/d/device"), FileType::CharacterDevice, Mode::RUSR, 0).unwrap();
    set(at("top/opaque"), &format!("{prefix}opaque"), b"y");
    set(at("top/x"), &format!("{prefix}opaque"), b"x");
    set(at("top/x/xattr"), &format!("{prefix}whiteout"), b"");
    let lowers = [&*at("top"), &*at("bottom")];
    let hidden = ["d/device", "x/xattr", "opaque/f", "opaque/below"];
    for (number, hidden) in hidden.iter().enumerate() {
        let refused = over(&lowers, &at(&format!("link{number}")), layer().hard_link("new", hidden), possible());
        assert_eq!(refused.unwrap_err().rule_id(), Some("hard-link-missing"), "{hidden}");
    }
    let whiteouts = hidden.iter().fold(layer(), |layer, hidden| layer.whiteout(hidden));
    over(&lowers, &at("upper"), whiteouts.whiteout("d/kept"), possible()).unwrap();
    assert_eq!(names(&at("upper"), possible()), ["d", "d/kept!"]);
}

#[test]
fn what_only_special_mounts_understand_is_refused() {
    let prefix = format!("{}.overlay.", possible().namespace);
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir_all(at("lower/renamed")).unwrap();
    fs::write(at("lower/f"), "").unwrap();
    set(at("lower/renamed"), &format!("{prefix}redirect"), b"old");
    set(at("lower/f"), &format!("{prefix}metacopy"), b"");
    for (number, upper) in [layer().file("renamed/f", b""), layer().hard_link("g", "f"), layer().whiteout("renamed/f")]
        .into_iter()
        .enumerate()
    {
        let error = over(&[&at("lower")], &at(&format!("{number}")), upper, possible()).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::UnsupportedLower { .. })), "{error}");
        assert_eq!(error.blame(), Blame::Caller);
    }
    over(&[&at("lower")], &at("aside"), layer().file("f", b"").whiteout("x"), possible()).unwrap();
}

#[test]
fn no_layer_sets_an_attribute_of_overlayfs() {
    let bad = [("user.overlay.redirect", &b"/etc"[..]), ("user.overlay.opaque", b"y"), ("user.a", b"1")];
    let attributes = |bits| Attributes { xattrs: bad.to_vec(), ..mode(bits) };
    let all = layer().dir_with("d", &attributes(0o755)).file_with("f", b"", &attributes(0o644));
    for policy in [Policy::default(), Policy::default().with_xattrs(Xattrs::All)] {
        let place = tempfile::tempdir().unwrap();
        let stack = stack(place.path(), &[layer().dir("d"), all.clone()], &policy, USER_XATTRS).unwrap();
        let listing = tree::list(&stack.directories[0]);
        for path in [&b"d"[..], b"f"] {
            let xattrs: Vec<_> = listing[path].keys().filter(|name| name.starts_with("xattr.user.")).collect();
            assert_eq!(xattrs, ["xattr.user.a"]);
        }
        assert_eq!(stack.report.count("xattr-dropped") + stack.report.count("xattr-unsupported"), 4);
    }
    let strict = Policy::default().with_xattrs(Xattrs::All).refuse(QuirkRule::XattrUnsupported);
    let place = tempfile::tempdir().unwrap();
    let refused = stack(place.path(), &[all], &strict, USER_XATTRS).map(drop).unwrap_err();
    assert_eq!(refused.rule_id(), Some("xattr-unsupported"));
}

#[test]
fn over_layers_that_are_not_at_hand_whiteouts_are_always_written() {
    let place = tempfile::tempdir().unwrap();
    let apply = |name: &str, layer: LayerBuilder| {
        let upper = place.path().join(name);
        fs::create_dir(&upper).unwrap();
        let mut overlay = Overlay::over_unknown(open(&upper), possible()).unwrap();
        let policy = Policy::compatible();
        Unpacker::new(policy).apply(Layer::new(&layer.build()[..]), &mut overlay)?;
        Ok::<_, Error>(names(&upper, possible()))
    };
    let whole = layer()
        .dir("d")
        .whiteout("d/x")
        .whiteout("y")
        .dir("o")
        .opaque("o")
        .file("o/f", b"")
        .file("f", b"")
        .dir("f")
        .hard_link("l", "o/f")
        .device("dev", 1, 3);
    let expected = ["d", "d/x!", "dev!", "f#", "l", "o#", "o/f", "y!"];
    assert_eq!(apply("whole", whole).unwrap(), expected);
    for (number, needing) in [
        layer().file("parent/f", b""),
        layer().hard_link("l", "lower"),
        layer().whiteout("parent/f"),
        layer().opaque(""),
        layer().opaque("parent"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = apply(&format!("{number}"), needing).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::LowerNeeded { .. })), "{number}: {error}");
    }
}

#[test]
fn a_layer_that_failed_has_no_next_one() {
    let place = tempfile::tempdir().unwrap();
    let mut overlay = Overlay::over_unknown(open(place.path()), possible()).unwrap();
    let refused = layer().file("../x", b"").build();
    Unpacker::default().apply(Layer::new(&refused[..]), &mut overlay).unwrap_err();
    assert!(matches!(overlay.next(open(place.path())).unwrap_err().misuse(), Some(Misuse::Poisoned)));
}

#[test]
fn nothing_is_followed_or_written_in_lower_layers() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir_all(at("lower/d")).unwrap();
    fs::create_dir_all(at("out")).unwrap();
    fs::write(at("out/secret"), "secret").unwrap();
    fs::write(at("lower/d/f"), "f").unwrap();
    symlink(at("out"), at("lower/away")).unwrap();
    symlink("../out", at("lower/climbs")).unwrap();
    let before = tree::list(place.path());
    let upper = |number: usize| at(&format!("upper{number}"));
    // Absolute targets are in the image, and `..` ends at its root.
    for (number, target) in ["away/secret", "climbs/secret"].iter().enumerate() {
        let refused = over(&[&at("lower")], &upper(number), layer().hard_link("g", target), possible()).unwrap_err();
        assert!(matches!(refused.rule_id(), Some("hard-link-missing" | "link-climbs")), "{refused}");
    }
    let changes =
        layer().file("d/new", b"").hard_link("h", "d/f").dir_with("d", &mode(0o700)).opaque("").file("f", b"");
    over(&[&at("lower")], &upper(2), changes, possible()).unwrap();
    let mut after = tree::list(place.path());
    after.retain(|path, _| !path.starts_with(b"upper"));
    let (dot, other) = (before[&b"."[..]].clone(), after.get_mut(&b"."[..]).unwrap());
    other.clone_from(&dot);
    let differences = tree::differences(&before, &after);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_lower_directory_that_locks_its_owner_out_is_not_opened() {
    let place = tempfile::tempdir().unwrap();
    let lower = layer().dir_with("d", &mode(0)).file("d/f", b"");
    let layers = [lower, layer().file("d/g", b"")];
    let result = stack(place.path(), &layers, &Policy::default(), possible()).map(|stack| stack.directories);
    match rustix::process::geteuid().is_root() {
        true => assert_eq!(tree::list(&result.unwrap()[0])[&b"d"[..]]["mode"], "0000"),
        false => {
            let error = result.unwrap_err();
            assert!(error.advice().is_some_and(|advice| advice.contains("unshare")), "{error:#}");
            assert_eq!(
                (error.blame(), fs::metadata(place.path().join("0/d")).unwrap().mode() & 0o777),
                (Blame::System, 0)
            );
        }
    }
    tree::unlock(place.path());
}

/// A hard link to a lower file copies it: the file is opened after it was looked at.
#[test]
fn a_lower_file_that_is_swapped_for_a_link_or_a_pipe_is_not_copied_from_there() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for other in ["link", "pipe"] {
        fs::create_dir_all(at("lower")).unwrap();
        fs::write(at("secret"), "secret").unwrap();
        fs::write(at("lower/f"), "f").unwrap();
        match other {
            "link" => symlink("../secret", at("lower/swap")).unwrap(),
            _ => rustix::fs::mknodat(rustix::fs::CWD, at("lower/swap"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
                .unwrap(),
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let lower = fs::File::open(at("lower")).unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    rustix::fs::renameat_with(&lower, "f", &lower, "swap", rustix::fs::RenameFlags::EXCHANGE).unwrap();
                }
            });
            let mut copied = 0;
            for number in 0..300 {
                let upper = at(&format!("{other}{number}"));
                fs::create_dir(&upper).unwrap();
                let mut overlay = Overlay::over(open(&upper), [open(&at("lower"))], possible()).unwrap();
                let layer = layer().hard_link("copy", "f").build();
                let applied = Unpacker::new(Policy::default()).apply(Layer::new(&layer[..]), &mut overlay);
                let copy = upper.join("copy");
                let is_file = fs::symlink_metadata(&copy).is_ok_and(|metadata| metadata.is_file());
                assert!(!is_file || fs::read(&copy).unwrap() == b"f", "{other} {number}: {applied:?}");
                copied += u32::from(is_file);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(copied > 0, "the file is there half of the time");
        });
        assert_eq!(fs::read(at("secret")).unwrap(), b"secret");
        fs::remove_dir_all(at("lower")).unwrap();
    }
}

#[test]
fn a_lower_directory_that_is_swapped_for_a_link_leads_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir_all(at("lower/d/e")).unwrap();
    fs::create_dir_all(at("out/e")).unwrap();
    fs::write(at("out/e/secret"), "secret").unwrap();
    fs::write(at("lower/d/e/f"), "f").unwrap();
    symlink("../out", at("lower/swap")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lower = fs::File::open(at("lower")).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                rustix::fs::renameat_with(&lower, "d", &lower, "swap", rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        let mut taken = 0;
        for number in 0..400 {
            let upper = at(&format!("upper{number}"));
            let policy = Policy::compatible();
            fs::create_dir(&upper).unwrap();
            let mut overlay = Overlay::over(open(&upper), [open(&at("lower"))], possible()).unwrap();
            let layer = layer().file("d/e/g", b"").hard_link("stolen", "d/e/secret").build();
            if Unpacker::new(policy).apply(Layer::new(&layer[..]), &mut overlay).is_ok() {
                taken += 1;
            }
            assert!(!upper.join("stolen").exists(), "{number}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(taken, 0);
    });
    assert!(!at("out/e/g").exists() && !at("lower/d/e/g").exists());
}

#[test]
fn the_format_follows_from_the_privileges() {
    let place = tempfile::tempdir().unwrap();
    let format = OverlayFormat::possible(open(place.path())).unwrap();
    let expected = if is_root("trusted attributes") { DEVICES } else { USER_XATTRS };
    assert_eq!(format, expected);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(place.path(), &mut names[..]).unwrap_or(0);
    assert!(!String::from_utf8_lossy(&names[..length]).contains("overlay"));
    assert_ne!(XATTRS, DEVICES);
}
