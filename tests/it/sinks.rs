//! Sinks of users: what they are given, in which order they are called, and who is blamed when they fail.

use crate::support::layer::LayerBuilder;
use crate::support::{open, sha256, temporary};
use layercage::blob::Checked;
use layercage::error::{Blame, Effect, ErrorKind, Misuse};
use layercage::policy::Terms;
use layercage::rules::Quirk;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError, Visibility};
use layercage::tar::Change;
use layercage::{Error, Expected, Layer, Limits, Policy, Rootfs, Sink, Unpacker};
use std::fs;
use std::io;
use std::num::NonZeroUsize;

fn layer() -> Vec<u8> {
    LayerBuilder::new().file("a", b"aa").dir("d").file("d/b", &[7; 3_000]).build()
}

/// Writes down how it is called, and fails at one call.
#[derive(Default)]
struct Recorder {
    calls: Vec<String>,
    fails_at: Option<usize>,
    visibility: Option<Visibility>,
}

impl Recorder {
    fn called(&mut self, call: String) -> Result<(), SinkError> {
        self.calls.push(call);
        match self.fails_at == Some(self.calls.len()) {
            true => Err(io::Error::from(io::ErrorKind::BrokenPipe))?,
            false => Ok(()),
        }
    }
}

impl Sink for Recorder {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.called(format!("begin {:?} {:?}", layer.number(), layer.size()))
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        let length = io::copy(&mut data, &mut io::sink())?;
        let entry = reporter.position().entry.unwrap();
        self.called(format!("change {} {length} at {entry}", change.get().path))
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.called(format!("end {}", checked.blob_bytes))
    }

    fn abandon_layer(&mut self) -> Effect {
        self.calls.push("abandon".to_owned());
        Effect::None
    }

    fn visibility(&self) -> Visibility {
        self.visibility.unwrap_or(Visibility::AtCommit)
    }
}

fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap())
}

#[test]
fn a_sink_is_called_in_order_and_abandons_the_layer_once_whatever_fails() {
    let bytes = layer();
    let size = bytes.len();
    let whole = [
        format!("begin None Some({size})"),
        "change \"a\" 2 at 1".to_owned(),
        "change \"d\" 0 at 2".to_owned(),
        "change \"d/b\" 3000 at 3".to_owned(),
        format!("end {size}"),
    ];
    for jobs in 1..=3 {
        for fails_at in 1..=whole.len() + 1 {
            let mut sink = Recorder { fails_at: Some(fails_at), ..Recorder::default() };
            let known = || Layer::new(&bytes[..]).expecting(Expected::unchecked().with_size(size as u64));
            let applied = unpacker(jobs).apply(known(), &mut sink);
            if fails_at > whole.len() {
                applied.unwrap();
                assert_eq!(sink.calls, whole);
                continue;
            }
            let error = applied.unwrap_err();
            assert_eq!((error.blame(), error.effect()), (Blame::System, Effect::None), "{error}");
            let (last, before) = sink.calls.split_last().unwrap();
            assert_eq!((last.as_str(), before), ("abandon", &whole[..fails_at]), "{jobs} threads");
            // The next layer may begin.
            (sink.calls, sink.fails_at) = (Vec::new(), None);
            unpacker(jobs).apply(known(), &mut sink).unwrap();
            assert_eq!(sink.calls, whole, "{jobs} threads");
        }
        let mut sink = Recorder::default();
        unpacker(jobs).apply(Layer::new(&bytes[..1_600]), &mut sink).unwrap_err();
        assert_eq!(sink.calls, ["begin None None", whole[1].as_str(), whole[2].as_str(), "abandon"]);
    }
}

#[test]
fn a_layer_that_is_refused_while_it_is_verified_never_begins() {
    let bytes = layer();
    let mut sink = Recorder { visibility: Some(Visibility::AtOnce), ..Recorder::default() };
    let layer =
        Layer::new(io::Cursor::new(&bytes)).expecting(Expected::unchecked().with_digest(sha256(b"another"))).seekable();
    let error = unpacker(1).apply(layer, &mut sink).unwrap_err();
    assert_eq!((error.rule_id(), error.effect()), (Some("digest-mismatch"), Effect::None));
    assert_eq!(sink.calls, ["abandon"]);
}

#[test]
fn a_sink_behind_a_pointer_is_the_sink() {
    let bytes = layer();
    let (mut direct, mut recorder) = (Recorder::default(), Recorder::default());
    unpacker(1).apply(Layer::new(&bytes[..]), &mut direct).unwrap();
    let object: &mut dyn Sink = &mut recorder;
    unpacker(2).apply(Layer::new(&bytes[..]), object).unwrap();
    assert_eq!(recorder.calls, direct.calls);
    recorder.calls.clear();
    let mut boxed: Box<dyn Sink + '_> = Box::new(&mut recorder);
    unpacker(1).apply(Layer::new(&bytes[..]), &mut boxed).unwrap();
    drop(boxed);
    assert_eq!(recorder.calls, direct.calls);
    // What a tree defers and when it is visible is told through a pointer, too.
    let place = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
    let boxed: Box<dyn Sink + '_> = Box::new(&mut rootfs);
    assert_eq!(boxed.visibility(), Visibility::AtOnce);
}

#[test]
fn a_layer_that_must_be_verified_first_and_cannot_be_kept_is_the_callers_mistake() {
    let bytes = layer();
    let place = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
    let known = || Layer::new(&bytes[..]).expecting(Expected::unchecked().with_digest(sha256(&bytes)));
    let error = unpacker(1).apply(known(), &mut rootfs).unwrap_err();
    assert!(error.misuse() == Some(&Misuse::NoScratch), "{error}");
    assert_eq!((error.blame(), fs::read_dir(place.path()).unwrap().count()), (Blame::Caller, 0));
    unpacker(1).with_scratch(temporary(place.path())).apply(known(), &mut rootfs).unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}

/// Fails at the first change in its own way.
struct Failing(fn(Data<'_>, &mut Reporter<'_>) -> Result<(), SinkError>);

impl Sink for Failing {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        (self.0)(data, reporter)
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

fn failure(bytes: &[u8], how: fn(Data<'_>, &mut Reporter<'_>) -> Result<(), SinkError>) -> Error {
    unpacker(1).apply(Layer::new(bytes), &mut Failing(how)).unwrap_err()
}

#[test]
fn the_error_of_a_sink_says_who_failed_and_where() {
    let bytes = layer();
    // Its own output.
    let error = failure(&bytes, |_, _| Ok(Err(io::Error::from(io::ErrorKind::StorageFull))?));
    assert_eq!((error.blame(), error.position().entry), (Blame::System, Some(1)));
    assert!(matches!(error.kind(), ErrorKind::Sink(_)), "{error:#}");
    // A rule.
    let error = failure(&bytes, |_, _| Err(Quirk::HardLinkMetadata.into()));
    assert_eq!((error.rule_id(), error.position().entry), (Some("hard-link-metadata"), Some(1)));
    // An earlier change.
    let error = failure(&bytes, |_, _| Err(SinkError::Earlier(Quirk::HardLinkMetadata.into())));
    assert_eq!((error.rule_id(), error.position().entry), (Some("hard-link-metadata"), None));
    // The archive, which ends in the middle of the content, seen through functions that know of `io::Error` alone.
    let error = failure(&bytes[..513], |mut data, _| Ok(io::copy(&mut data, &mut io::sink()).map(drop)?));
    assert_eq!((error.blame(), error.rule_id()), (Blame::Archive, Some("truncated")), "{error:#}");
    let error = failure(&bytes[..513], |mut data, _| {
        let read = io::read_to_string(&mut data);
        Err(read.unwrap_err().into())
    });
    assert_eq!((error.blame(), error.rule_id()), (Blame::Archive, Some("truncated")), "{error:#}");
}

#[test]
fn a_quirk_of_the_layer_is_noted_without_the_entry() {
    let bytes = layer();
    let note: fn(Data<'_>, &mut Reporter<'_>) -> Result<(), SinkError> = |_, reporter| {
        reporter.quirk_of_layer(Quirk::HardLinkMetadata).map_err(SinkError::Earlier)?;
        Ok(reporter.quirk(Quirk::DuplicatePath)?)
    };
    let applied = unpacker(1).apply(Layer::new(&bytes[..]), &mut Failing(note)).unwrap();
    let entries: Vec<_> = applied.report().notes().iter().map(|note| note.position.entry).collect();
    assert_eq!(entries, [None, Some(1), None, Some(2), None, Some(3)]);
}

#[test]
fn a_test_can_call_a_sink_by_itself() {
    let (policy, limits, terms) = (Policy::default(), Limits::default(), Terms::new());
    let mut reporter = Reporter::new(&policy, &limits);
    let mut content = &b"content"[..];
    let mut data = Data::of(&mut content);
    assert_eq!((data.size(), io::read_to_string(&mut data).unwrap().as_str()), (7, "content"));
    reporter.quirk(Quirk::DuplicatePath).unwrap();
    assert_eq!(reporter.report().notes().len(), 1);
    let mut sink = Recorder::default();
    sink.begin_layer(&LayerContext::new(&terms)).unwrap();
    assert_eq!(sink.calls, ["begin None None"]);
}
