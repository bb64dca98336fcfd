//! Sinks and readers of a caller's that break their contracts: nothing unproven is committed, and the error says whose it is.

use crate::support::layer::LayerBuilder;
use crate::support::{open, sha256, temporary};
use layercage::blob::{Checked, LayerStream};
use layercage::error::{Effect, Misuse};
use layercage::progress::Advance;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError, Visibility};
use layercage::tar::Change;
use layercage::{Error, Expected, Layer, Limits, Policy, Rootfs, Sink, Staged, Unpacker};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};

fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap())
}

/// A reader that says that it is at its end, several times, and goes on then.
struct Resumes<'a> {
    parts: Vec<&'a [u8]>,
    ends: usize,
}

impl Read for Resumes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.parts[0].read(out)?;
        if got == 0 && self.parts.len() > 1 {
            self.ends -= 1;
            if self.ends == 0 {
                self.parts.remove(0);
            }
        }
        Ok(got)
    }
}

#[test]
fn what_a_reader_gives_behind_its_end_is_no_part_of_the_layer() {
    let mut head = LayerBuilder::new().file("a", &[1; 300_000]).build();
    // Without its end mark.
    head.truncate(head.len() - 1024);
    let whole = [&head[..], &LayerBuilder::new().file("b", b"bb").build()].concat();
    for (jobs, ends) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)] {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
        let reader = Resumes { parts: vec![&whole[..head.len()], &whole[head.len()..]], ends };
        let layer = Layer::new(reader).expecting(Expected::unchecked().with_diff_id_alone(sha256(&whole)));
        let refused = unpacker(jobs).apply(layer, staged.rootfs()).unwrap_err();
        assert_eq!(refused.rule_id(), Some("diff-id-mismatch"), "{jobs} {ends}: {refused}");
        assert!(matches!(staged.commit_unproven().unwrap_err().misuse(), Some(Misuse::Poisoned)));
    }
}

/// A reader that says that it gave more than it was asked for.
struct Boasts<'a>(&'a [u8]);

impl Read for Boasts<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(if self.0.read(out)? == out.len() { usize::MAX } else { 0 })
    }
}

#[test]
fn a_reader_that_says_too_much_is_not_believed() {
    let bytes = LayerBuilder::new().file("a", &[1; 700_000]).build();
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
        let expected = Expected::blob(sha256(&bytes), bytes.len() as u64).with_diff_id(sha256(&bytes));
        let mut most = 0;
        let mut session = unpacker(jobs).session().with_progress(|now: &Advance| {
            most = most.max(now.blob_bytes_read);
            ControlFlow::Continue(())
        });
        let _ = session.apply(Layer::new(Boasts(&bytes)).expecting(expected), staged.rootfs());
        drop(session);
        assert!(most <= bytes.len() as u64 + (4 << 20), "{most}");

        // Verified from a copy, which has the bytes that were verified.
        let in_use = tempfile::tempdir().unwrap();
        let unpacker = unpacker(jobs).with_scratch(temporary(place.path()));
        let layer = Layer::new(Boasts(&bytes)).expecting(Expected::unchecked().with_digest(sha256(&bytes)));
        if let Err(error) = unpacker.apply(layer, &mut Rootfs::over(open(in_use.path())).unwrap()) {
            assert_eq!(error.effect(), Effect::None, "{error:#}");
        }
    }
}

/// What a sink around another one does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// It reads the first bytes of each file itself.
    ReadsAhead,
    /// It gives other bytes than those of the file.
    GivesOther,
    /// It ends the layer with the result of another one.
    EndsOther,
}

struct Around<'a> {
    inner: &'a mut Rootfs,
    wrong: Wrong,
    other: &'a Checked,
}

impl Sink for Around<'_> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.inner.begin_layer(layer)
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        match self.wrong {
            Wrong::ReadsAhead => {
                let _ = data.read(&mut [0; 4])?;
                self.inner.change(change, data, reporter)
            }
            Wrong::GivesOther => self.inner.change(change, Data::of(&mut &[1; 100][..]), reporter),
            Wrong::EndsOther => self.inner.change(change, data, reporter),
        }
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.inner.end_layer(if self.wrong == Wrong::EndsOther { self.other } else { checked })
    }

    fn abandon_layer(&mut self) -> Effect {
        self.inner.abandon_layer()
    }

    fn visibility(&self) -> Visibility {
        self.inner.visibility()
    }
}

/// A layer whose proof is real, and that was never applied.
fn other() -> (Vec<u8>, Checked) {
    let bytes = LayerBuilder::new().file("good", b"good").build();
    let expected = Expected::unchecked().with_diff_id_alone(sha256(&bytes));
    let mut stream = LayerStream::open(&bytes[..], expected, &Limits::default()).unwrap();
    io::copy(&mut stream, &mut io::sink()).unwrap();
    let checked = stream.finish().unwrap();
    (bytes, checked)
}

#[test]
fn a_tree_takes_no_other_content_and_no_other_result_than_those_of_the_layer() {
    let (_, checked) = other();
    let bytes = LayerBuilder::new().file("a", b"0123456789").build();
    for wrong in [Wrong::ReadsAhead, Wrong::GivesOther, Wrong::EndsOther] {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
        let mut around = Around { inner: staged.rootfs(), wrong, other: &checked };
        let refused: Error = unpacker(1).apply(Layer::new(&bytes[..]), &mut around).unwrap_err();
        match wrong {
            Wrong::EndsOther => assert!(matches!(refused.misuse(), Some(Misuse::OtherLayer)), "{refused}"),
            _ => assert!(matches!(refused.misuse(), Some(Misuse::OtherContent)), "{refused}"),
        }
        let proof = checked.clone().verified().unwrap();
        assert!(matches!(staged.commit(vec![proof]).unwrap_err().misuse(), Some(Misuse::Poisoned)));
    }
}

/// A sink around a tree that passes on three methods, and not when changes are visible.
struct Three<'a>(&'a mut Rootfs);

impl Sink for Three<'_> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.0.begin_layer(layer)
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, r: &mut Reporter<'_>) -> Result<(), SinkError> {
        self.0.change(change, data, r)
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.0.end_layer(checked)
    }
}

#[test]
fn a_tree_in_use_takes_no_layer_that_was_not_verified_first() {
    let bytes = LayerBuilder::new().file("a", b"a").build();
    for jobs in 1..=3 {
        let place = tempfile::tempdir().unwrap();
        let mut rootfs = Rootfs::over(open(place.path())).unwrap();
        let layer =
            || Layer::new(io::Cursor::new(&bytes[..])).expecting(Expected::unchecked().with_digest(sha256(b"other")));
        let refused = unpacker(jobs).apply(layer(), &mut Three(&mut rootfs)).unwrap_err();
        assert!(matches!(refused.misuse(), Some(Misuse::NotVerified)), "{refused}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        // Without a digest, there is nothing to verify.
        unpacker(jobs).apply(Layer::new(&bytes[..]), &mut Three(&mut rootfs)).unwrap();
        assert_eq!(std::fs::read(place.path().join("a")).unwrap(), b"a");
    }
}

/// A sink that takes every failure of a file's content for its end.
struct Ignores;

impl Sink for Ignores {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, mut data: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        let _ = io::copy(&mut data, &mut io::sink());
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn an_observer_cancels_once_for_all_even_if_a_sink_ignores_it() {
    let bytes = LayerBuilder::new().file("a", &vec![1; 4 << 20]).file("b", b"b").build();
    for jobs in 1..=3 {
        let mut has_cancelled = false;
        let mut session = unpacker(jobs).session().with_progress(|now: &Advance| {
            let cancels = now.bytes_read > 1 << 20 && !has_cancelled;
            has_cancelled |= cancels;
            if cancels { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let cancelled = session.apply(Layer::new(&bytes[..]), &mut Ignores).unwrap_err();
        assert!(matches!(cancelled.misuse(), Some(Misuse::Cancelled)), "{jobs}: {cancelled}");
    }
}

/// A reader that blocks until it is woken.
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// The reader, and what wakes it.
    fn closed() -> (Self, impl Fn() + Send + Sync + 'static) {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let opened = Arc::clone(&gate);
        let wake = move || {
            *opened.0.lock().unwrap() = true;
            opened.1.notify_all();
        };
        (Self(gate), wake)
    }
}

impl Read for Gate {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let guard = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(guard, |is_open| !*is_open).unwrap());
        Err(io::Error::other("woken"))
    }
}

/// A sink that begins no layer.
struct Unwilling;

impl Sink for Unwilling {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Err(io::Error::other("no layer begins here"))?
    }

    fn change(&mut self, _: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_reader_that_blocks_at_its_first_byte_is_woken_when_the_layer_is_not_wanted() {
    for jobs in [2, 3] {
        for _ in 0..20 {
            let (reader, wake) = Gate::closed();
            let failed = unpacker(jobs).apply(Layer::new(reader).on_abandoned(wake), &mut Unwilling).unwrap_err();
            assert!(format!("{failed:#}").contains("no layer begins here"), "{failed:#}");
            let (reader, wake) = Gate::closed();
            let mut session = unpacker(jobs).session().with_progress(|_: &Advance| ControlFlow::Break(()));
            let cancelled = session.apply(Layer::new(reader).on_abandoned(wake), &mut Ignores).unwrap_err();
            assert!(matches!(cancelled.misuse(), Some(Misuse::Cancelled)), "{cancelled}");
        }
    }
}

/// A reader that says that it is about to block, blocks until it is woken, and gives bytes then.
struct Late<'a>(Sender<()>, Gate, &'a [u8]);

impl Read for Late<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // The sink waits for the first read alone.
        let _ = self.0.send(());
        self.1.read(out).or_else(|_| self.2.read(out))
    }
}

/// A sink that begins no layer, and says so once the layer's reader is about to block.
struct UnwillingLater(Receiver<()>);

impl Sink for UnwillingLater {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.0.recv().unwrap();
        Unwilling.begin_layer(layer)
    }

    fn change(&mut self, _: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_reader_is_woken_once_even_if_it_gives_bytes_then() {
    let bytes = LayerBuilder::new().file("a", &vec![1; 1 << 20]).build();
    for jobs in [2, 3] {
        let (gate, wake) = Gate::closed();
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&woken);
        let (about_to_block, blocks) = channel();
        let layer = Layer::new(Late(about_to_block, gate, &bytes)).on_abandoned(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            wake();
        });
        unpacker(jobs).apply(layer, &mut UnwillingLater(blocks)).unwrap_err();
        assert_eq!(woken.load(Ordering::Relaxed), 1);
    }
}
