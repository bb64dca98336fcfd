//! Being told how far an unpacking is, ending it, and layers that are read twice.

use crate::child;
use crate::overlay::possible;
use crate::support::forms::gzip;
use crate::support::layer::LayerBuilder;
use crate::support::{is_root, open, sha256, temporary, tree};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::error::{Blame, Effect, Misuse};
use layercage::overlay::Overlay;
use layercage::progress::{Advance, Cancellation, Progress, Step};
use layercage::{Error, Expected, Image, Layer, Policy, Rootfs, Selector, Sink, Unpacker};
use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap())
}

fn unpack(place: &Path, jobs: usize, progress: impl Progress + Send) -> Result<layercage::Report, Error> {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let image = Image::open(&Dir::open_ambient_dir(world, ambient_authority()).unwrap())?;
    let selected = image.select(&Selector::host().with_reference("latest"))?;
    unpacker(jobs).session().with_progress(progress).unpack(&selected, &open(place), "rootfs")
}

/// Ends it when it has been called so often.
fn after(mut calls: usize) -> impl FnMut(&Advance) -> ControlFlow<()> {
    move |_: &Advance| match calls {
        0 => ControlFlow::Break(()),
        _ => {
            calls -= 1;
            ControlFlow::Continue(())
        }
    }
}

fn assert_cancelled(error: &Error) {
    assert!(error.misuse() == Some(&Misuse::Cancelled), "{error}");
    assert_eq!(error.blame(), Blame::Caller);
}

#[test]
fn whoever_watches_is_told_of_every_layer_and_entry() {
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        let report = unpack(place.path(), jobs, &mut |advance: &Advance| {
            told.push(*advance);
            ControlFlow::Continue(())
        });
        let report = report.unwrap();
        let last = told.last().unwrap();
        assert_eq!((last.entries, last.bytes_written), (report.entries, report.bytes_written));
        assert!(last.bytes_read > last.bytes_written && last.step == Step::Applying);
        let mut layers: Vec<_> = told.iter().map(|advance| advance.layer.unwrap().number).collect();
        assert!(layers.is_sorted());
        layers.dedup();
        assert_eq!(layers, [1, 2, 3, 4, 5, 6], "of {}", last.layer.unwrap().of);
        assert!(told.is_sorted_by_key(|advance| (advance.bytes_read, advance.entries)));
        tree::unlock(place.path());
    }
}

#[test]
fn a_cancelled_unpacking_leaves_nothing_at_whatever_moment_and_on_however_many_threads() {
    let place = tempfile::tempdir().unwrap();
    let mut calls = 0;
    unpack(place.path(), 1, &mut |_: &Advance| {
        calls += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    tree::unlock(place.path());
    for jobs in 1..=3 {
        for moment in [0, 1, 2, calls / 3, calls / 2, calls - 2, calls - 1] {
            let place = tempfile::tempdir().unwrap();
            let error = unpack(place.path(), jobs, after(moment)).unwrap_err();
            assert_cancelled(&error);
            assert_eq!(error.effect(), Effect::None, "{jobs} threads, call {moment} of {calls}");
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{jobs} threads, call {moment} of {calls}");
        }
    }
}

/// Two files and something large between them.
fn layer() -> Vec<u8> {
    LayerBuilder::new().file("a", b"a").file("large", &vec![7; 3 << 20]).file("z", b"z").build()
}

#[test]
fn a_cancelled_application_says_whether_it_has_done_anything() {
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let apply = |progress: &mut (dyn Progress + Send)| {
            let bytes = layer();
            let known = Layer::new(&bytes[..]).expecting(Expected::unchecked().with_digest(sha256(&bytes)));
            let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
            let unpacker = unpacker(jobs).with_scratch(temporary(place.path()));
            unpacker.session().with_progress(progress).apply(known, &mut rootfs).unwrap_err()
        };
        let verifying = apply(&mut |advance: &Advance| match advance {
            Advance { step: Step::Verifying, bytes_read: 100_000.., .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert_cancelled(&verifying);
        assert_eq!(verifying.effect(), Effect::None);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        // In the middle of the large file, which is there as a whole or not at all.
        let applying = apply(&mut |advance: &Advance| match advance {
            Advance { step: Step::Applying, bytes_read: 1_000_000.., .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert_cancelled(&applying);
        assert_eq!(applying.effect(), Effect::Partial);
        assert_eq!(fs::read(place.path().join("a")).unwrap(), b"a");
        let names: Vec<_> = tree::list(place.path()).into_keys().collect();
        assert_eq!(names, [b".".to_vec(), b"a".to_vec()]);
    }
}

#[test]
fn amounts_are_those_of_all_layers_and_do_not_fall_from_one_to_the_next() {
    let layers = [layer(), LayerBuilder::new().file("b", &[7; 300_000]).dir("d").build(), layer()];
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let told = Mutex::new(Vec::new());
        let tell = |advance: &Advance| {
            told.lock().unwrap().push(*advance);
            ControlFlow::Continue(())
        };
        let unpacker = unpacker(jobs).with_scratch(temporary(place.path()));
        let mut watched = unpacker.session().with_progress(tell);
        let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
        let mut sums = Advance::default();
        let mut verified = 0;
        for bytes in &layers {
            // One that fails counts as far as it came.
            watched.apply(Layer::new(&bytes[..1_100]), &mut rootfs).unwrap_err();
            sums = *told.lock().unwrap().last().unwrap();
            let known = Layer::new(&bytes[..]).expecting(Expected::blob(sha256(bytes), bytes.len() as u64));
            let report = watched.apply(known, &mut rootfs).unwrap().into_report();
            let last = *told.lock().unwrap().last().unwrap();
            let expected = (sums.entries + report.entries, sums.bytes_written + report.bytes_written);
            assert_eq!((last.entries, last.bytes_written), expected);
            assert_eq!(last.bytes_read, sums.bytes_read + bytes.len() as u64);
            verified += bytes.len() as u64;
        }
        drop(watched);
        let told = told.into_inner().unwrap();
        assert!(told.is_sorted_by_key(|advance| advance.entries));
        assert!(told.is_sorted_by_key(|advance| advance.bytes_written));
        for (step, least) in [(Step::Verifying, verified), (Step::Applying, sums.bytes_read)] {
            let read: Vec<_> = told.iter().filter(|now| now.step == step).map(|now| now.bytes_read).collect();
            assert!(read.is_sorted(), "{step:?}");
            assert!(read.last().is_some_and(|&last| last >= least), "{step:?}");
        }
    }
}

/// Counts what is read; reads something else once it has been read through.
struct Twice {
    first: Cursor<Vec<u8>>,
    second: Option<Vec<u8>>,
    read: u64,
}

impl Read for Twice {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.first.read(out)?;
        self.read += bytes as u64;
        Ok(bytes)
    }
}

impl Seek for Twice {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let SeekFrom::Start(_) = to
            && let Some(second) = self.second.take()
        {
            self.first = Cursor::new(second);
        }
        self.first.seek(to)
    }
}

#[test]
fn a_seekable_layer_is_verified_where_it_lies_and_read_again() {
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let bytes = layer();
        // It need not begin where its file begins.
        let mut reader = Twice { first: Cursor::new([b"before", &bytes[..]].concat()), second: None, read: 0 };
        reader.seek(SeekFrom::Start(6)).unwrap();
        let apply = |layer: Layer<&mut Twice>| {
            let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
            unpacker(jobs).apply(layer.seekable(), &mut rootfs)
        };
        let wrong = apply(Layer::new(&mut reader).expecting(Expected::unchecked().with_digest(sha256(b"another"))))
            .unwrap_err();
        assert_eq!((wrong.rule_id(), wrong.effect()), (Some("digest-mismatch"), Effect::None));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        (reader.read, _) = (0, reader.seek(SeekFrom::Start(6)).unwrap());
        apply(
            Layer::new(&mut reader)
                .expecting(Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes))),
        )
        .unwrap();
        assert_eq!(reader.read, 2 * bytes.len() as u64);
        assert_eq!(fs::read(place.path().join("z")).unwrap(), b"z");
        // Of which nothing is known: there is nothing to verify.
        (reader.read, _) = (0, reader.seek(SeekFrom::Start(6)).unwrap());
        apply(Layer::new(&mut reader)).unwrap();
        assert_eq!(reader.read, bytes.len() as u64);
    }
}

#[test]
fn a_seekable_layer_needs_no_room_in_a_root_that_we_may_not_write_to() {
    if !is_root("a root of somebody else's") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(place.path().join("ours")).unwrap();
    std::os::unix::fs::chown(place.path().join("ours"), Some(65534), Some(65534)).unwrap();
    let Some(command) = child::unprivileged("applies_below_a_root", &[("PLACE", place.path().as_os_str())]) else {
        return;
    };
    child::expect_success(command);
    assert!(place.path().join("ours/file").exists());
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn applies_below_a_root() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    let bytes = LayerBuilder::new().file("ours/file", b"").build();
    let layer = Layer::new(Cursor::new(&bytes)).expecting(Expected::unchecked().with_digest(sha256(&bytes)));
    let mut rootfs = Rootfs::over(&open(place.as_ref())).unwrap();
    unpacker(1).apply(layer.seekable(), &mut rootfs).unwrap();
}

#[test]
fn a_layer_that_is_changed_between_its_two_readings_is_found_out() {
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let (bytes, other) = (layer(), LayerBuilder::new().file("evil", b"e").build());
        let mut reader = Twice { first: Cursor::new(bytes.clone()), second: Some(other), read: 0 };
        let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
        let layer = Layer::new(&mut reader).expecting(Expected::unchecked().with_digest(sha256(&bytes))).seekable();
        let error = unpacker(jobs).apply(layer, &mut rootfs).unwrap_err();
        assert_eq!((error.blame(), error.effect()), (Blame::System, Effect::Partial));
        assert!(format!("{error:#}").contains("the layer was changed after it was verified"), "{error:#}");
    }
}

/// Bytes, and the threads on which they were read.
struct Followed<'a>(Cursor<&'a [u8]>, Arc<Mutex<Vec<ThreadId>>>);

impl Read for Followed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1.lock().unwrap().push(thread::current().id());
        self.0.read(out)
    }
}

impl Seek for Followed<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_layer_that_is_verified_first_is_read_on_other_threads_if_there_may_be_several() {
    let noise = (0..3_u32 << 20).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect::<Vec<_>>();
    let bytes = LayerBuilder::new().file("a", &noise).build();
    let blob = gzip(&bytes);
    let known = Expected::blob(sha256(&blob), blob.len() as u64).with_diff_id(sha256(&bytes));
    for (jobs, is_seekable) in (1..=3).flat_map(|jobs| [(jobs, true), (jobs, false)]) {
        let place = tempfile::tempdir().unwrap();
        let mut rootfs = Rootfs::over(open(place.path())).unwrap();
        let threads = Arc::default();
        let reader = Followed(Cursor::new(&blob), Arc::clone(&threads));
        let layer = Layer::new(reader).expecting(known);
        let layer = if is_seekable { layer.seekable() } else { layer };
        let mut verified = 0;
        let mut session =
            unpacker(jobs).with_scratch(temporary(place.path())).session().with_progress(|now: &Advance| {
                if now.step == Step::Verifying {
                    assert!(now.bytes_read <= now.blob_bytes_read);
                    verified = now.bytes_read;
                }
                ControlFlow::Continue(())
            });
        session.apply(layer, &mut rootfs).unwrap();
        drop(session);
        let threads = threads.lock().unwrap();
        let is_here = |thread: &ThreadId| *thread == thread::current().id();
        assert!(if jobs == 1 { threads.iter().all(is_here) } else { !threads.iter().any(is_here) }, "{jobs} threads");
        assert_eq!(verified, blob.len() as u64, "{jobs} threads");
        assert_eq!(std::fs::read(place.path().join("a")).unwrap(), noise);
    }
}

const MANY: usize = 2000;

/// A directory with many files, and as many in one below it.
fn many_files(at: &Path) {
    for directory in [at.to_owned(), at.join("inner")] {
        fs::create_dir_all(&directory).unwrap();
        (0..MANY).for_each(|number| fs::write(directory.join(format!("{number}")), b"").unwrap());
    }
}

fn apply_until_cancelled(layer: &[u8], mut sink: impl Sink) -> Error {
    let asked = AtomicUsize::new(0);
    // The entry itself asks a few times. Only the names of the tree reach this number.
    let cancellation = Cancellation::when(move || asked.fetch_add(1, Ordering::Relaxed) >= 200);
    let mut session = unpacker(1).session().with_cancellation(cancellation);
    session.apply(Layer::new(layer), &mut sink).map(drop).unwrap_err()
}

#[test]
fn a_cancellation_is_seen_while_one_entry_removes_a_large_tree() {
    let whiteout = LayerBuilder::new().whiteout("big").build();
    let opaque = LayerBuilder::new().file(".wh..wh..opq", b"").build();
    let replaced = LayerBuilder::new().file("big", b"").build();
    for (layer, tree) in [(&whiteout, "big"), (&opaque, "."), (&opaque, "big"), (&replaced, "big")] {
        let place = tempfile::tempdir().unwrap();
        many_files(&place.path().join(tree));
        assert_cancelled(&apply_until_cancelled(layer, Rootfs::over_private(open(place.path())).unwrap()));
        // What a file replaces has a temporary name while it is removed.
        let left = tree::list(place.path()).len();
        assert!(left > MANY, "{tree}: {left}");
    }
}

#[test]
fn a_cancellation_is_seen_while_an_opaque_root_hides_many_names() {
    let place = tempfile::tempdir().unwrap();
    let (lower, upper) = (place.path().join("lower"), place.path().join("upper"));
    many_files(&lower);
    fs::create_dir(&upper).unwrap();
    let opaque = LayerBuilder::new().file(".wh..wh..opq", b"").build();
    let overlay = Overlay::over(open(&upper), [open(&lower)], possible()).unwrap();
    assert_cancelled(&apply_until_cancelled(&opaque, overlay));
    assert!(fs::read_dir(&upper).unwrap().count() < MANY);
}

#[test]
fn a_cancellation_finishes_the_entry_in_a_tree_in_use() {
    let place = tempfile::tempdir().unwrap();
    many_files(&place.path().join("big"));
    let layer = LayerBuilder::new().whiteout("big").build();
    let asked = AtomicUsize::new(0);
    let cancellation = Cancellation::when(move || asked.fetch_add(1, Ordering::Relaxed) >= 200);
    let mut session = unpacker(1).session().with_cancellation(cancellation);
    session.apply(Layer::new(&layer[..]), &mut Rootfs::over(open(place.path())).unwrap()).unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
