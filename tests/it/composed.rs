//! Sinks over sinks: `Tee` and `Filter`.

use crate::support::layer::{Attributes, LayerBuilder};
use crate::support::{open, tree};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::blob::Checked;
use layercage::error::{Blame, Effect, Misuse};
use layercage::rules::Limit;
use layercage::sink::{Data, Filter, Judged, LayerContext, Reporter, SinkError, Tee, Visibility};
use layercage::tar::{Change, ChangeKind, EntryPath};
use layercage::{Error, Image, Layer, Limits, Policy, Rootfs, Scratch, Selected, Selector, Sink, Staged, Unpacker};
use std::fs;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap())
}

fn scratch() -> Scratch {
    Scratch::of(tempfile::tempfile)
}

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

fn world() -> Selected {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let image = Image::open(&Dir::open_ambient_dir(world, ambient_authority()).unwrap()).unwrap();
    image.select(&Selector::host().with_reference("latest")).unwrap()
}

#[test]
fn two_trees_behind_a_tee_are_the_same() {
    let selected = world();
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let parent = open(place.path());
        unpacker(jobs).unpack(&selected, &parent, "alone").unwrap();
        let [mut one, mut two] = ["one", "two"].map(|name| Staged::beside(&parent, name).unwrap());
        let mut both = Tee::new(one.rootfs(), two.rootfs(), scratch());
        let checked = unpacker(jobs).session().apply_image(&selected, &mut both).unwrap();
        let proofs: Vec<_> = checked.into_iter().map(|checked| checked.verified().unwrap()).collect();
        one.commit(proofs.clone()).unwrap();
        two.commit(proofs).unwrap();
        let [alone, one, two] = ["alone", "one", "two"].map(|name| tree::list(&place.path().join(name)));
        assert_eq!(tree::differences(&alone, &one), [""; 0], "{jobs} threads");
        assert_eq!(tree::differences(&alone, &two), [""; 0], "{jobs} threads");
        tree::unlock(place.path());
    }
}

/// Reads so many bytes of each file, and fails at its end if it is to.
#[derive(Default)]
struct Reading {
    most: u64,
    read: Vec<Vec<u8>>,
    fails_at_end: bool,
    abandoned: usize,
    visibility: Option<Visibility>,
}

impl Sink for Reading {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, data: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        let mut read = Vec::new();
        data.take(self.most).read_to_end(&mut read)?;
        self.read.push(read);
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        match self.fails_at_end {
            true => Err(io::Error::from(io::ErrorKind::StorageFull))?,
            false => Ok(()),
        }
    }

    fn abandon_layer(&mut self) -> Effect {
        self.abandoned += 1;
        Effect::None
    }

    fn visibility(&self) -> Visibility {
        self.visibility.unwrap_or(Visibility::AtCommit)
    }
}

#[test]
fn the_second_sink_gets_all_content_however_much_the_first_one_reads() {
    let content: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte / 7) as u8).collect();
    let bytes = layer().file("large", &content).dir("d").file("small", b"small").file("empty", b"").build();
    for most in [0, 1, 3, 1 << 20, (1 << 20) + 1, 2_999_999, u64::MAX] {
        let [mut first, mut second] = [most, u64::MAX].map(|most| Reading { most, ..Reading::default() });
        unpacker(1).apply(Layer::new(&bytes[..]), &mut Tee::new(&mut first, &mut second, scratch())).unwrap();
        let cut = |content: &[u8]| content[..content.len().min(usize::try_from(most).unwrap())].to_vec();
        assert_eq!(first.read, [cut(&content), vec![], cut(b"small"), vec![]], "{most}");
        assert_eq!(second.read, [content.clone(), vec![], b"small".to_vec(), vec![]], "{most}");
    }
}

#[test]
fn a_layer_that_fails_for_one_sink_of_a_tee_fails_for_both() {
    let bytes = layer().file("a", b"a").build();
    for first_fails in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        let mut failing = Reading { fails_at_end: true, ..Reading::default() };
        let error = match first_fails {
            true => unpacker(1).apply(Layer::new(&bytes[..]), &mut Tee::new(&mut failing, staged.rootfs(), scratch())),
            false => unpacker(1).apply(Layer::new(&bytes[..]), &mut Tee::new(staged.rootfs(), &mut failing, scratch())),
        };
        assert_eq!((error.unwrap_err().blame(), failing.abandoned), (Blame::System, 1));
        let error = unpacker(1).apply(Layer::new(&bytes[..]), staged.rootfs()).unwrap_err();
        assert_eq!(error.misuse(), Some(&Misuse::Poisoned));
    }
}

#[test]
fn a_tee_shows_changes_as_early_as_either_sink() {
    use Visibility::{AtCommit, AtOnce};
    for (one, two, both) in [
        (AtCommit, AtCommit, AtCommit),
        (AtOnce, AtCommit, AtOnce),
        (AtCommit, AtOnce, AtOnce),
        (AtOnce, AtOnce, AtOnce),
    ] {
        let [one, two] = [one, two].map(|at| Reading { visibility: Some(at), ..Reading::default() });
        assert_eq!(Tee::new(one, two, scratch()).visibility(), both);
    }
}

#[test]
fn the_file_of_a_tee_that_takes_no_more_is_a_failure_of_the_system() {
    let bytes = layer().file("large", &vec![7; 3 << 20]).build();
    let read_only = Scratch::of(|| fs::File::open("/dev/null"));
    let mut tee = Tee::new(Reading::default(), Reading::default(), read_only);
    let error = unpacker(1).apply(Layer::new(&bytes[..]), &mut tee).unwrap_err();
    assert_eq!(error.blame(), Blame::System);
    assert!(format!("{error:#}").contains("kept content"), "{error:#}");
}

#[test]
fn a_temporary_file_is_created_when_it_is_needed_and_its_error_is_returned() {
    let fails = || Scratch::of(|| Err(io::ErrorKind::QuotaExceeded.into()));
    let (small, large) = (layer().file("a", b"a"), layer().file("a", &vec![7; 3 << 20]));
    let apply = |layer: LayerBuilder| {
        let mut tee = Tee::new(Reading::default(), Reading::default(), fails());
        unpacker(1).apply(Layer::new(&layer.build()[..]), &mut tee)
    };
    apply(small).unwrap();
    let error = apply(large).unwrap_err();
    assert_eq!((error.blame(), io::Error::from(error).kind()), (Blame::System, io::ErrorKind::QuotaExceeded));
    // An error of this library stays the same.
    let bug = Scratch::of(|| Err(Error::from(Misuse::NotAFile).into()));
    assert_eq!(bug.create().unwrap_err().misuse(), Some(&Misuse::NotAFile));
}

fn path(path: &str) -> EntryPath {
    EntryPath::parse(path.as_bytes(), &Limits::default()).unwrap()
}

#[test]
fn a_filter_keeps_what_lies_below_a_path_with_its_parents_and_their_whiteouts() {
    let layers = [
        layer().dir_with("usr", &Attributes { mode: 0o711, ..Attributes::default() }).file("usr/share/a", b"a"),
        layer().file("usr/share/b", b"b").file("usr/sharex", b"").file("etc/c", b"").symlink("lib", "usr/share"),
        layer().whiteout("usr/share/a").whiteout("etc/c").file("usr/share/d", b"d"),
    ];
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("etc")).unwrap();
    fs::write(place.path().join("etc/c"), b"ours").unwrap();
    let mut filter = Filter::below(Rootfs::over(&open(place.path())).unwrap(), path("usr/share"));
    let mut session = unpacker(1).session();
    for layer in layers {
        session.apply(Layer::new(&layer.build()[..]), &mut filter).unwrap();
    }
    let names: Vec<_> = tree::list(place.path()).into_keys().map(|name| String::from_utf8(name).unwrap()).collect();
    assert_eq!(names, [".", "etc", "etc/c", "usr", "usr/share", "usr/share/b", "usr/share/d"]);
    assert_eq!(fs::metadata(place.path().join("usr")).unwrap().mode() & 0o777, 0o711);
    assert_eq!(fs::read(place.path().join("etc/c")).unwrap(), b"ours");
    // What replaces a parent replaces what is below.
    session.apply(Layer::new(&layer().file("usr", b"file").build()[..]), &mut filter).unwrap();
    assert_eq!(fs::read(place.path().join("usr")).unwrap(), b"file");
}

#[test]
fn every_sink_that_reads_holes_meets_the_same_limit() {
    let hole = layer().record("GNU.sparse.name", b"x/a").record("GNU.sparse.size", b"1001");
    let hole = hole.record("GNU.sparse.numblocks", b"2").record("GNU.sparse.map", b"0,1,1001,0").file("x/a", b"x");
    let bytes = hole.hard_link("b", "x/a").build();
    let reading = || Reading { most: u64::MAX, ..Reading::default() };
    let apply = |most: u64, sink: &mut dyn Sink| {
        let limits = Limits::default().with(Limit::HoleBytes, most);
        unpacker(1).with_limits(limits).apply(Layer::new(&bytes[..]), sink).map(drop)
    };
    for (name, times) in [("alone", 1), ("behind a tee", 2), ("as a copy", 1)] {
        let apply = |most| match name {
            "alone" => apply(most, &mut reading()),
            "behind a tee" => apply(most, &mut Tee::new(reading(), reading(), scratch())),
            _ => {
                let filter = Filter::new(reading(), |path: &EntryPath| path.as_bytes() == b"b");
                apply(most, &mut filter.with_copies(scratch(), 1 << 20))
            }
        };
        assert!(apply(times * 1000).is_ok(), "{name}");
        let error = apply(times * 1000 - 1).unwrap_err();
        assert!(error.to_string().contains("hole-bytes") && error.position().entry.is_some(), "{name}: {error}");
    }
}

#[test]
fn a_filter_takes_any_predicate() {
    let bytes = layer().file("a.conf", b"a").file("b", b"b").file("c.conf", b"c").build();
    let mut kept = Vec::new();
    let mut filter = Filter::new(Reading::default(), |path: &EntryPath| {
        let keeps = path.as_bytes().ends_with(b".conf");
        kept.push((path.to_string(), keeps));
        keeps
    });
    unpacker(2).apply(Layer::new(&bytes[..]), &mut filter).unwrap();
    assert_eq!(filter.into_inner().read.len(), 2);
    assert_eq!(kept.iter().filter(|(_, keeps)| *keeps).count(), 2);
}

/// Applies layers to a tree behind a filter that drops what lies below `x`.
fn filtered(layers: &[LayerBuilder], copies: Option<u64>) -> (tempfile::TempDir, Result<(), Error>) {
    let place = tempfile::tempdir().unwrap();
    let tree = Rootfs::over(&open(place.path())).unwrap();
    let filter =
        Filter::new(tree, |path: &EntryPath| path.components().next().is_none_or(|name| name.as_bytes() != b"x"));
    let mut filter = match copies {
        Some(most) => filter.with_copies(scratch(), most),
        None => filter,
    };
    let mut session = unpacker(1).session();
    let result = layers
        .iter()
        .try_for_each(|layer| session.apply(Layer::new(&layer.clone().build()[..]), &mut filter).map(drop));
    (place, result)
}

fn assert_refused(layers: &[LayerBuilder], copies: Option<u64>, what: &str) {
    let error = filtered(layers, copies).1.unwrap_err();
    assert!(matches!(error.misuse(), Some(Misuse::LinkToFiltered { .. })), "{what}: {error}");
    assert!(error.blame() == Blame::Caller && error.position().entry.is_some(), "{what}: {error}");
}

#[test]
fn a_hard_link_whose_target_is_dropped_is_refused_unless_copies_are_asked_for() {
    let linked = layer().file("x/a", b"content").hard_link("l", "x/a");
    assert_refused(std::slice::from_ref(&linked), None, "without copies");
    assert_refused(std::slice::from_ref(&linked), Some(100), "too little room");
    let (place, result) = filtered(&[linked], Some(1 << 20));
    result.unwrap();
    assert_eq!(fs::read(place.path().join("l")).unwrap(), b"content");
    assert!(!place.path().join("x").exists());
    // What is dropped and needed by nothing is never refused.
    filtered(&[layer().file("x/a", b"").hard_link("x/b", "x/a").hard_link("x/b", "x/b")], None).1.unwrap();
}

#[test]
fn links_to_one_dropped_file_are_links_to_one_copy() {
    let large = vec![7; 300_000];
    let attributes = Attributes { mode: 0o751, ..Attributes::default() };
    let first = layer()
        .file_with("x/a", &large, &attributes)
        .hard_link("x/b", "x/a")
        .hard_link("one", "x/b")
        .hard_link("two", "x/a")
        .hard_link("two", "x/a")
        .symlink("x/s", "where")
        .hard_link("s", "x/s");
    // In a layer of its own, and behind another name of a file that the sink has.
    let second = layer().hard_link("three", "x/a").hard_link("x/t", "three").hard_link("four", "x/t");
    let (place, result) = filtered(&[first, second], Some(1 << 20));
    result.unwrap();
    let inode = |name: &str| fs::metadata(place.path().join(name)).unwrap().ino();
    assert_eq!(["two", "three", "four"].map(inode), [inode("one"); 3]);
    let one = fs::metadata(place.path().join("one")).unwrap();
    assert_eq!((one.mode() & 0o7777, one.nlink(), one.len()), (0o751, 4, 300_000));
    assert_eq!(fs::read(place.path().join("one")).unwrap(), large);
    assert_eq!(fs::read_link(place.path().join("s")).unwrap(), Path::new("where"));
}

#[test]
fn a_copy_is_made_again_when_the_first_one_is_gone_and_what_is_removed_is_no_target() {
    let base = || layer().file("x/a", b"content").file("x/d/b", b"b").hard_link("one", "x/a");
    let gone: [(&str, LayerBuilder); 3] = [
        ("replaced", layer().file("one", b"other").hard_link("two", "x/a")),
        ("whited out", layer().whiteout("one").hard_link("two", "x/a")),
        ("replaced by a directory", layer().dir("one").hard_link("two", "x/a")),
    ];
    for (what, upper) in gone {
        let (place, result) = filtered(&[base(), upper], Some(1 << 20));
        result.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(fs::read(place.path().join("two")).unwrap(), b"content", "{what}");
    }
    for (what, rule, upper) in [
        ("a whiteout of the target", "hard-link-missing", layer().whiteout("x/d/b").hard_link("l", "x/d/b")),
        ("a whiteout of its parent", "hard-link-missing", layer().whiteout("x/d").hard_link("l", "x/d/b")),
        ("an opaque parent", "hard-link-missing", layer().opaque("x/d").hard_link("l", "x/d/b")),
        ("another type of its parent", "hard-link-missing", layer().file("x/d", b"").hard_link("l", "x/d/b")),
        ("a directory in its place", "hard-link-to-directory", layer().dir("x/d/b").hard_link("l", "x/d/b")),
        ("nothing that was ever there", "hard-link-missing", layer().hard_link("l", "x/c")),
    ] {
        let error = filtered(&[base(), upper], Some(1 << 20)).1.unwrap_err();
        assert_eq!((error.blame(), error.rule_id()), (Blame::Archive, Some(rule)), "{what}");
    }
    // A whiteout does not speak of its own layer.
    let (place, result) =
        filtered(&[base(), layer().file("x/d/b", b"new").whiteout("x/d/b").hard_link("l", "x/d/b")], Some(1 << 20));
    result.unwrap();
    assert_eq!(fs::read(place.path().join("l")).unwrap(), b"new");
}

#[test]
fn a_layer_that_failed_leaves_no_targets_behind() {
    let place = tempfile::tempdir().unwrap();
    let keeps = |path: &EntryPath| path.as_bytes() != b"x";
    let mut filter = Filter::new(Rootfs::over(&open(place.path())).unwrap(), keeps).with_copies(scratch(), 1 << 20);
    let mut session = unpacker(1).session();
    let bad = layer().file("x", b"bad").hard_link("l", "x").hard_link("m", "nothing").build();
    session.apply(Layer::new(&bad[..]), &mut filter).unwrap_err();
    let error = session.apply(Layer::new(&layer().hard_link("k", "x").build()[..]), &mut filter).unwrap_err();
    assert_eq!(error.rule_id(), Some("hard-link-missing"), "{error}");
}

#[test]
fn the_data_of_aufs_hard_links_passes_a_filter() {
    let bytes = layer().file(".wh..wh.plnk/1.2", b"data").hard_link("kept", ".wh..wh.plnk/1.2").build();
    let place = tempfile::tempdir().unwrap();
    let tree = Rootfs::over(&open(place.path())).unwrap();
    let mut filter = Filter::below(tree, path("kept"));
    unpacker(1).apply(Layer::new(&bytes[..]), &mut filter).unwrap();
    assert_eq!(fs::read(place.path().join("kept")).unwrap(), b"data");
}

/// Counts the kinds of changes.
struct Kinds(Vec<&'static str>);

impl Sink for Kinds {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, change: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        self.0.push(match change.get().kind {
            ChangeKind::File { .. } => "file",
            ChangeKind::HardLink { .. } => "hard link",
            _ => "other",
        });
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_sink_behind_a_filter_sees_a_file_and_then_links() {
    let bytes = layer().file("x", b"").hard_link("a", "x").hard_link("b", "x").build();
    let mut filter = Filter::new(Kinds(Vec::new()), |path: &EntryPath| path.as_bytes() != b"x");
    let error = unpacker(1).apply(Layer::new(&bytes[..]), &mut filter).unwrap_err();
    assert_eq!(error.position().entry, Some(2));
    let mut filter = filter.with_copies(scratch(), 1 << 20);
    unpacker(1).apply(Layer::new(&bytes[..]), &mut filter).unwrap();
    assert_eq!(filter.into_inner().0, ["file", "hard link"]);
}
