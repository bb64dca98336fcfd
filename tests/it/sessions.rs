//! Sessions: what spans layers, whole images to sinks of users, progress and cancelling.

use crate::support::layer::LayerBuilder;
use crate::support::sha256;
use crate::support::{open, temporary, tree};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::blob::Checked;
use layercage::error::{Blame, Effect, Misuse};
use layercage::image::LayerDescriptor;
use layercage::progress::{Advance, Step};
use layercage::rules::Limit;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError, Visibility};
use layercage::tar::{Change, ChangeKind};
use layercage::{
    Error, Expected, Image, Layer, Limits, Policy, Rootfs, Selected, Selector, Session, Sink, Staged, Unpacker,
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap())
}

fn world() -> Selected {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let image = Image::open(&Dir::open_ambient_dir(world, ambient_authority()).unwrap()).unwrap();
    image.select(&Selector::host().with_reference("latest")).unwrap()
}

/// Lists every file of every layer with the hash of its content and its position.
#[derive(Default)]
struct Listing {
    layer: usize,
    begun: Vec<(Option<usize>, Option<usize>, Option<String>)>,
    /// What made each layer.
    made_by: Vec<Option<String>>,
    /// Layer, entry, path, hash.
    files: Vec<(usize, u64, Vec<u8>, Vec<u8>)>,
    ended: usize,
    visibility: Option<Visibility>,
}

impl Sink for Listing {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.layer = layer.number().unwrap();
        assert_eq!(layer.size(), layer.layer().unwrap().descriptor().map(|blob| blob.size()));
        assert_eq!(layer.diff_id(), Some(*layer.layer().unwrap().diff_id()));
        self.made_by.push(layer.history().and_then(|step| step.created_by()).map(str::to_owned));
        self.begun.push((layer.number(), layer.of(), layer.digest().map(|digest| digest.to_string())));
        Ok(())
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        let position = reporter.position();
        assert_eq!(position.layer.unwrap().number, self.layer);
        if let ChangeKind::File { .. } = change.get().kind {
            let mut content = Vec::new();
            data.read_to_end(&mut content)?;
            let path = change.get().path.as_bytes().to_vec();
            self.files.push((self.layer, position.entry.unwrap(), path, Sha256::digest(&content).to_vec()));
        }
        Ok(())
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        assert!(checked.proof().is_some());
        self.ended += 1;
        Ok(())
    }

    fn visibility(&self) -> Visibility {
        self.visibility.unwrap_or(Visibility::AtCommit)
    }
}

/// The same, read with the crate `tar` from the layers of the image.
fn expected_files(selected: &Selected) -> Vec<(usize, u64, Vec<u8>, Vec<u8>)> {
    let mut files = Vec::new();
    for (number, layer) in (1..).zip(selected.layers()) {
        let mut blob = Vec::new();
        selected.open_layer(layer).unwrap().read_to_end(&mut blob).unwrap();
        let mut plain = Vec::new();
        let expected = Expected::unchecked();
        let mut stream = layercage::blob::LayerStream::open(&blob[..], expected, &Limits::default()).unwrap();
        stream.read_to_end(&mut plain).unwrap();
        for (entry, found) in (1..).zip(tar::Archive::new(&plain[..]).entries().unwrap()) {
            let mut found = found.unwrap();
            let path = found.path_bytes().into_owned();
            let path = path.strip_prefix(b"./").unwrap_or(&path).to_vec();
            if found.header().entry_type().is_file() && !path.windows(4).any(|part| part == b".wh.") {
                let mut content = Vec::new();
                found.read_to_end(&mut content).unwrap();
                files.push((number, entry, path, Sha256::digest(&content).to_vec()));
            }
        }
    }
    files
}

#[test]
fn a_sink_of_a_users_gets_a_whole_image_with_positions_and_content() {
    let selected = world();
    let expected = expected_files(&selected);
    assert!(expected.len() > 3, "{expected:?}");
    for jobs in 1..=3 {
        for visibility in [Visibility::AtCommit, Visibility::AtOnce] {
            let mut sink = Listing { visibility: Some(visibility), ..Listing::default() };
            let mut session = unpacker(jobs).session();
            let checked = session.apply_image(&selected, &mut sink).unwrap();
            assert_eq!(sink.files, expected, "{jobs} threads, {visibility:?}");
            let numbers: Vec<_> = sink.begun.iter().map(|(number, of, _)| (number.unwrap(), of.unwrap())).collect();
            assert_eq!(numbers, (1..=6).map(|number| (number, 6)).collect::<Vec<_>>());
            assert_eq!((sink.ended, checked.len()), (6, 6));
            let config = selected.image_config().unwrap();
            assert!(
                sink.made_by.iter().map(Option::as_deref).eq(config.history().iter().map(|step| step.created_by()))
            );
            assert_eq!(sink.made_by[3].as_deref(), Some("umoci repack: changes and removals"));
            let place = tempfile::tempdir().unwrap();
            let report = unpacker(jobs).unpack(&selected, &open(place.path()), "rootfs").unwrap();
            assert_eq!(session.report().entries, report.entries);
            tree::unlock(place.path());
        }
    }
}

#[test]
fn layers_that_the_caller_opens_make_the_same_tree() {
    let selected = world();
    let place = tempfile::tempdir().unwrap();
    unpacker(1).unpack(&selected, &open(place.path()), "stored").unwrap();
    for jobs in 1..=3 {
        let mut staged = Staged::beside(&open(place.path()), format!("opened{jobs}")).unwrap();
        let opened = Mutex::new(Vec::new());
        let open_layer = |layer: &LayerDescriptor| {
            opened.lock().unwrap().push(layer.position().number);
            let mut blob = Vec::new();
            selected.open_layer(layer)?.read_to_end(&mut blob)?;
            Ok(Cursor::new(blob))
        };
        let mut session = unpacker(jobs).session();
        let checked = session.apply_image_from(&selected, open_layer, staged.rootfs()).unwrap();
        staged.commit(checked.into_iter().map(|checked| checked.verified().unwrap()).collect()).unwrap();
        assert_eq!(opened.into_inner().unwrap(), [1, 2, 3, 4, 5, 6]);
        let [stored, opened] = ["stored".to_owned(), format!("opened{jobs}")].map(|name| place.path().join(name));
        assert_eq!(tree::differences(&tree::list(&stored), &tree::list(&opened)), [""; 0], "{jobs} threads");
        // One that cannot be opened ends the image, and the tree with it.
        let mut staged = Staged::beside(&open(place.path()), "lost").unwrap();
        let fails = |layer: &LayerDescriptor| match layer.position().number {
            3 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(selected.open_layer(layer)?),
        };
        let error = unpacker(jobs).session().apply_image_from(&selected, fails, staged.rootfs()).unwrap_err();
        assert_eq!((error.blame(), error.position().layer.unwrap().number), (Blame::System, 3), "{error:#}");
        let error = staged.commit(Vec::new()).unwrap_err();
        assert_eq!(error.misuse(), Some(&Misuse::Poisoned));
    }
    tree::unlock(place.path());
}

/// A layer's reader that counts how many of them are open.
struct Download<'a> {
    blob: Cursor<Vec<u8>>,
    number: usize,
    open: &'a Mutex<Vec<usize>>,
    /// For each layer, which readers were open when it was read first.
    seen: &'a Mutex<BTreeMap<usize, Vec<usize>>>,
}

impl Read for Download<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let open = self.open.lock().unwrap().clone();
        self.seen.lock().unwrap().entry(self.number).or_insert(open);
        self.blob.read(out)
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        self.open.lock().unwrap().retain(|number| *number != self.number);
    }
}

#[test]
fn as_many_readers_are_open_as_the_caller_says_and_the_tree_is_the_same() {
    let selected = world();
    let place = tempfile::tempdir().unwrap();
    unpacker(1).unpack(&selected, &open(place.path()), "stored").unwrap();
    let stored = tree::list(&place.path().join("stored"));
    for (jobs, readers) in [(1, 1), (1, 2), (2, 2), (3, 2), (3, 9)] {
        let (open_now, seen) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
        let download = |layer: &LayerDescriptor| {
            let (mut blob, number) = (Vec::new(), layer.position().number);
            selected.open_layer(layer)?.read_to_end(&mut blob)?;
            open_now.lock().unwrap().push(number);
            Ok(Download { blob: Cursor::new(blob), number, open: &open_now, seen: &seen })
        };
        let name = format!("{jobs} jobs, {readers} readers");
        let session = unpacker(jobs).with_readers(NonZeroUsize::new(readers).unwrap()).session();
        session.unpack_from(&selected, download, &open(place.path()), &name).unwrap();
        assert_eq!(tree::differences(&stored, &tree::list(&place.path().join(&name))), [""; 0], "{name}");
        for (number, open) in seen.into_inner().unwrap() {
            let expected: Vec<_> = (number..=6).take(readers).collect();
            // With a third thread, layers before it may still be read.
            let is_expected = match jobs {
                1 | 2 => open == expected,
                _ => open.len() <= readers && open.contains(&number) && open.windows(2).all(|two| two[0] < two[1]),
            };
            assert!(is_expected, "{name}, layer {number}: {open:?}");
        }
        assert_eq!(open_now.into_inner().unwrap(), [0; 0], "{name}");
    }
    tree::unlock(place.path());
}

#[test]
fn a_reader_that_fails_ahead_of_its_turn_is_blamed_for_its_own_layer_and_nothing_is_left() {
    let selected = world();
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let fails = |layer: &LayerDescriptor| match layer.position().number {
            3 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(selected.open_layer(layer)?),
        };
        let session = unpacker(jobs).with_readers(NonZeroUsize::new(4).unwrap()).session();
        let error = session.unpack_from(&selected, fails, &open(place.path()), "lost").unwrap_err();
        assert_eq!((error.blame(), error.position().layer.unwrap().number), (Blame::System, 3), "{error:#}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}

/// A reader that holds back its last byte until the sink has abandoned the layer, and some time longer.
struct HeldBack<'a> {
    front: Cursor<Vec<u8>>,
    last: Cursor<Vec<u8>>,
    is_abandoned: &'a AtomicBool,
}

impl Read for HeldBack<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.front.read(out)? {
            0 => {
                let begun = Instant::now();
                while !self.is_abandoned.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(30) {
                    thread::sleep(Duration::from_millis(1));
                }
                thread::sleep(Duration::from_millis(50));
                self.last.read(out)
            }
            bytes => Ok(bytes),
        }
    }
}

/// Takes what it gets until it fails, and tells that a layer is abandoned.
struct Abandons<'a> {
    fails: bool,
    is_abandoned: &'a AtomicBool,
}

impl Sink for Abandons<'_> {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        if self.fails { Err(Error::sink(io::Error::other("full")).into()) } else { Ok(()) }
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }

    fn abandon_layer(&mut self) -> Effect {
        self.is_abandoned.store(true, Ordering::SeqCst);
        Effect::None
    }
}

#[test]
fn no_layer_is_opened_after_a_cancel_a_refusal_or_a_failure_of_the_sink() {
    let selected = world();
    for jobs in 1..=3 {
        for cause in ["cancel", "refusal", "sink"] {
            let (is_abandoned, opened) = (AtomicBool::new(false), Mutex::new(Vec::new()));
            let open_layer = |layer: &LayerDescriptor| {
                opened.lock().unwrap().push(layer.position().number);
                let mut blob = Vec::new();
                selected.open_layer(layer)?.read_to_end(&mut blob)?;
                let last = blob.split_off(blob.len() - 1);
                Ok(HeldBack { front: Cursor::new(blob), last: Cursor::new(last), is_abandoned: &is_abandoned })
            };
            let limits = if cause == "refusal" { Limits::default().with(Limit::Entries, 1) } else { Limits::default() };
            let observe = |_: &Advance| match cause {
                "cancel" => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
            let mut sink = Abandons { fails: cause == "sink", is_abandoned: &is_abandoned };
            let mut session = unpacker(jobs).with_limits(limits).session().with_progress(observe);
            let error = session.apply_image_from(&selected, open_layer, &mut sink).unwrap_err();
            let blame = match cause {
                "cancel" => Blame::Caller,
                "refusal" => Blame::Archive,
                _ => Blame::System,
            };
            assert_eq!((error.blame(), error.position().layer.unwrap().number), (blame, 1), "{error:#}");
            assert_eq!(opened.into_inner().unwrap(), [1], "{cause}, {jobs} threads");
        }
    }
}

#[test]
fn no_layer_is_opened_after_one_that_cannot_be_opened_and_the_layers_before_it_are_applied() {
    let selected = world();
    for jobs in 1..=3 {
        for (readers, lost) in [(1, 2), (2, 1), (2, 2), (2, 3), (9, 3)] {
            let opened = Mutex::new(Vec::new());
            let fails = |layer: &LayerDescriptor| {
                let number = layer.position().number;
                opened.lock().unwrap().push(number);
                if number == lost {
                    return Err(io::Error::other("no route"));
                }
                Ok(selected.open_layer(layer)?)
            };
            let mut sink = Listing::default();
            let mut session = unpacker(jobs).with_readers(NonZeroUsize::new(readers).unwrap()).session();
            let error = session.apply_image_from(&selected, fails, &mut sink).unwrap_err();
            assert_eq!(error.position().layer.unwrap().number, lost);
            assert!(format!("{error:#}").ends_with("open(the layer): the reader failed: no route"), "{error:#}");
            let expected: Vec<_> = (1..=lost).collect();
            assert_eq!(opened.into_inner().unwrap(), expected, "{jobs} threads, {readers} readers");
            assert_eq!(sink.ended, lost - 1, "{jobs} threads, {readers} readers");
        }
    }
}

#[test]
fn layers_for_a_directory_in_use_are_opened_on_the_calling_thread_and_only_if_there_is_scratch() {
    let selected = world();
    let here = thread::current().id();
    for jobs in 1..=3 {
        let (place, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
        let opened = Mutex::new(Vec::new());
        let open_layer = |layer: &LayerDescriptor| {
            opened.lock().unwrap().push((layer.position().number, thread::current().id()));
            Ok(selected.open_layer(layer)?)
        };
        let error = unpacker(jobs).session().apply_image_from(&selected, open_layer, &mut rootfs).unwrap_err();
        assert_eq!((error.misuse(), error.effect()), (Some(&Misuse::NoScratch), Effect::None), "{error:#}");
        assert_eq!(opened.lock().unwrap().len(), 0);
        let unpacker = unpacker(jobs).with_scratch(temporary(scratch.path()));
        let checked = unpacker.session().apply_image_from(&selected, open_layer, &mut rootfs).unwrap();
        assert_eq!(checked.len(), 6);
        assert_eq!(opened.into_inner().unwrap(), (1..=6).map(|number| (number, here)).collect::<Vec<_>>());
        drop(rootfs);
        tree::unlock(place.path());
    }
}

/// Takes everything.
#[derive(Default)]
struct Any(Vec<String>);

impl Sink for Any {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, change: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        self.0.push(change.get().path.to_string());
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }

    fn abandon_layer(&mut self) -> Effect {
        Effect::None
    }
}

#[test]
fn the_bytes_of_an_image_are_those_of_all_layers_of_a_session_that_were_applied() {
    let layer = LayerBuilder::new().file("a", &[7; 10]).build();
    let broken = &layer[..layer.len() - 1_024 - 500];
    for jobs in 1..=3 {
        let limits = Limits::default().with(Limit::ImageBytes, 25);
        let mut session = unpacker(jobs).with_limits(limits).session();
        session.apply(Layer::new(&layer[..]), &mut Any::default()).unwrap();
        session.apply(Layer::new(broken), &mut Any::default()).unwrap_err();
        session.apply_local(Layer::new(&layer[..]), &mut Any::default()).unwrap();
        let error = session.apply(Layer::new(&layer[..]), &mut Any::default()).unwrap_err();
        assert_eq!(error.rule_id(), Some("limit"), "{error}");
        assert_eq!((session.report().entries, session.report().bytes_written), (2, 20));
        // A session of its own begins anew.
        session.unpacker().apply(Layer::new(&layer[..]), &mut Any::default()).unwrap();
    }
}

#[test]
fn a_session_goes_on_after_a_layer_that_failed() {
    let good = LayerBuilder::new().file("a", b"a").file("a", b"b").build();
    let bad = LayerBuilder::new().file("b", b"").hard_link("c", "nothing").build();
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
        let mut session = unpacker(jobs).session();
        session.apply(Layer::new(&good[..]), &mut rootfs).unwrap();
        let error = session.apply(Layer::new(&bad[..]), &mut rootfs).unwrap_err();
        assert_eq!((error.rule_id(), error.effect()), (Some("hard-link-missing"), Effect::Partial));
        session.apply(Layer::new(&good[..]), &mut rootfs).unwrap();
        assert_eq!((session.report().entries, session.report().count("duplicate-path")), (4, 2));
    }
}

#[test]
fn sessions_on_two_threads_do_not_meet() {
    fn assert_send<T: Send + 'static>(value: T) -> T {
        value
    }
    let place = tempfile::tempdir().unwrap();
    let unpacker = unpacker(2);
    thread::scope(|scope| {
        for name in ["one", "two"] {
            let mut session = assert_send::<Session<'static>>(unpacker.session());
            let mut staged = Staged::beside(&open(place.path()), name).unwrap();
            scope.spawn(move || {
                let mut proofs = Vec::new();
                for index in 0..20 {
                    let bytes = LayerBuilder::new().file(&format!("{name}{index}"), name.as_bytes()).build();
                    let known = Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes));
                    let layer = Layer::new(Cursor::new(bytes)).expecting(known);
                    let applied = session.apply(layer, staged.rootfs()).unwrap();
                    proofs.push(applied.verified().unwrap());
                }
                assert_eq!(session.report().entries, 20);
                staged.commit(proofs).unwrap();
            });
        }
    });
    for name in ["one", "two"] {
        let names: Vec<_> =
            fs::read_dir(place.path().join(name)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.len() == 20 && names.iter().all(|found| found.to_str().unwrap().starts_with(name)), "{names:?}");
    }
}

#[test]
fn progress_tells_how_much_of_each_blob_was_read_in_both_steps() {
    let plain = LayerBuilder::new().file("a", &vec![7; 3 << 20]).build();
    let zipped = crate::support::forms::gzip(&plain);
    for jobs in 1..=3 {
        for blob in [&plain, &zipped] {
            let place = tempfile::tempdir().unwrap();
            let mut told: Vec<Advance> = Vec::new();
            let mut observe = |advance: &Advance| {
                told.push(*advance);
                ControlFlow::Continue(())
            };
            let mut session =
                unpacker(jobs).with_scratch(temporary(place.path())).session().with_progress(&mut observe);
            let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
            let size = blob.len() as u64;
            for _ in 0..2 {
                session
                    .apply(
                        Layer::new(Cursor::new(blob)).expecting(Expected::blob(sha256(blob), size)).seekable(),
                        &mut rootfs,
                    )
                    .unwrap();
                session
                    .apply(Layer::new(Cursor::new(blob)).expecting(Expected::blob(sha256(blob), size)), &mut rootfs)
                    .unwrap();
            }
            session.apply(Layer::new(Cursor::new(blob)), &mut rootfs).unwrap();
            drop(session);
            assert!(told.iter().all(|now| now.blob_size.is_none_or(|size| now.blob_bytes_read <= size)));
            let mut ends = BTreeMap::new();
            for pair in told.windows(2) {
                let (now, next) = (pair[0], pair[1]);
                if now.step != next.step || next.blob_size.is_none() && now.blob_size.is_some() {
                    *ends.entry((now.step == Step::Verifying, now.blob_bytes_read)).or_insert(0) += 1;
                }
            }
            assert_eq!(ends, BTreeMap::from([((false, size), 4), ((true, size), 4)]), "{jobs} threads");
            let last = told.last().unwrap();
            assert_eq!((last.blob_bytes_read, last.blob_size), (size, None));
        }
    }
}

#[test]
fn a_reader_cancels_with_an_error_and_is_called_again_when_it_was_interrupted() {
    struct Reader(Vec<io::Error>, Cursor<Vec<u8>>);
    impl Read for Reader {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0.pop().map_or_else(|| self.1.read(out), Err)
        }
    }
    let bytes = LayerBuilder::new().file("a", b"a").build();
    for jobs in 1..=3 {
        let apply = |error: io::Error| {
            let reader = Reader(vec![error, io::ErrorKind::Interrupted.into()], Cursor::new(bytes.clone()));
            unpacker(jobs).apply(Layer::new(reader), &mut Any::default())
        };
        assert_eq!(apply(io::ErrorKind::Interrupted.into()).unwrap().report().entries, 1);
        let cancelled = apply(Error::from(Misuse::Cancelled).into()).unwrap_err();
        assert_eq!((cancelled.misuse(), cancelled.blame()), (Some(&Misuse::Cancelled), Blame::Caller));
        let stalled = apply(io::ErrorKind::TimedOut.into()).unwrap_err();
        assert_eq!(stalled.blame(), Blame::System);
        let source = std::error::Error::source(&stalled).and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.unwrap().kind(), io::ErrorKind::TimedOut);
    }
}

/// The threads of this process are many while tests run. So the reader asks which thread it is on.
#[test]
fn several_jobs_are_never_silently_one_thread() {
    struct Where<'a>(Cursor<Vec<u8>>, &'a Mutex<Option<thread::ThreadId>>);
    impl Read for Where<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            *self.1.lock().unwrap() = Some(thread::current().id());
            self.0.read(out)
        }
    }
    let bytes = LayerBuilder::new().file("a", b"a").build();
    let here = thread::current().id();
    for jobs in 1..=4 {
        let seen = Mutex::new(None);
        let layer = || Layer::new(Where(Cursor::new(bytes.clone()), &seen));
        unpacker(jobs).apply(layer(), &mut Any::default()).unwrap();
        assert_eq!(*seen.lock().unwrap() == Some(here), jobs == 1, "{jobs} jobs");
        unpacker(jobs).session().apply_local(layer(), &mut Any::default()).unwrap();
        assert_eq!(*seen.lock().unwrap(), Some(here), "{jobs} jobs, locally");
    }
    assert_eq!(unpacker(4).jobs().get(), 4);
}

#[test]
fn an_image_is_applied_to_a_directory_in_use_layer_by_layer_without_a_copy() {
    let selected = world();
    let place = tempfile::tempdir().unwrap();
    let root = open(place.path());

    for jobs in 1..=3 {
        let name = format!("root{jobs}");
        fs::create_dir(place.path().join(&name)).unwrap();
        let mut rootfs = Rootfs::over(&open(&place.path().join(&name))).unwrap();
        let mut session = unpacker(jobs).session();
        session.apply_image(&selected, &mut rootfs).unwrap();
        drop(rootfs);
        unpacker(jobs).unpack(&selected, &root, "staged").unwrap();
        let [got, expected] = [name, "staged".to_owned()].map(|name| {
            let mut listing = tree::list(&place.path().join(name));
            // The root is the caller's here, and the image's there.
            listing.remove(&b"."[..]);
            listing
        });
        assert_eq!(tree::differences(&expected, &got), [""; 0], "{jobs} threads");
        tree::unlock(&place.path().join("staged"));
        fs::remove_dir_all(place.path().join("staged")).unwrap();
    }
    tree::unlock(place.path());
}
