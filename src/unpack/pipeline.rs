//! Threads that read layers while another thread applies them.

use super::jobs::Ahead;
use super::layer::{Layer, Opened};
use super::readings::{Bounds, Next, Readings};
use crate::cage::most_open_files;
use crate::read::{Arrivals, Bell, Budget, CreateSpool, Heap, PipedStream, Shared, Spools, Stop, Windows};
use crate::words::{DeferredWork, Error, Limit, Limits, SharedWork};
use std::io::Read;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

/// The largest number of layers after the current one of which anything is read, however many threads there are.
const MOST_AHEAD: usize = 16;
/// At most this fraction (1/32) of the files that the process may have open are layers ahead. Each of these may have a
/// temporary file, too.
const SHARE: u64 = 32;
/// The number of buffers, of 256 KiB each, for layers ahead: for each thread, and at most.
const BUFFERS: (usize, usize) = (8, 32);
/// The memory for zstd windows of layers ahead, in bytes: for each thread, and at most.
const WINDOWS: (u64, u64) = (2 << 20, 16 << 20);
/// The largest number of bytes in temporary files. `Limit::ImageBytes` may be lower.
const SPOOLED: u64 = 1 << 30;

/// What the threads need to know.
pub(super) struct Plan<'l> {
    pub(super) workers: NonZeroUsize,
    pub(super) ahead: Ahead,
    pub(super) limits: &'l Limits,
    /// The work that the sinks defer.
    pub(super) work: &'l SharedWork,
    /// Creates temporary files for layers that are read ahead.
    pub(super) create_spool: Option<CreateSpool>,
}

impl<'l> Plan<'l> {
    /// A single layer: there is none to be read ahead.
    pub(super) fn of_one_layer(workers: NonZeroUsize, limits: &'l Limits, work: &'l SharedWork) -> Self {
        Self { workers, ahead: Ahead::Readers(NonZeroUsize::MIN), limits, work, create_spool: None }
    }

    fn threads(&self) -> usize {
        self.workers.get().saturating_add(1)
    }

    fn bounds(&self) -> Bounds {
        let open = match self.ahead {
            Ahead::Threads => self.threads(),
            Ahead::Readers(readers) => readers.get(),
        };
        let files = most_open_files().map_or(usize::MAX, |most| usize::try_from(most / SHARE).unwrap_or(usize::MAX));
        Bounds { open, ahead: self.threads().min(MOST_AHEAD).min(files) }
    }

    fn shared(&mut self) -> Shared {
        let work = Arc::new(Bell::default());
        let (threads, most) = (self.threads(), self.limits.most(Limit::ImageBytes).min(SPOOLED));
        Shared {
            heap: Heap::new(threads.saturating_mul(BUFFERS.0).min(BUFFERS.1), Arc::clone(&work)),
            arrivals: Arc::new(Arrivals::default()),
            stop: Stop::default(),
            spools: Arc::new(Spools::new(self.create_spool.take(), most, Arc::clone(&work))),
            work,
            windows: Windows::new(Budget::new((threads as u64).saturating_mul(WINDOWS.0).min(WINDOWS.1))),
        }
    }
}

/// Reads layers on other threads, while `apply` applies them on the calling thread, one after another. The next layers are
/// read while the current one is still applied. A thread that has to wait does deferred work, or reads ahead.
///
/// After a layer was refused or abandoned, no further layer is taken from `layers`.
///
/// All threads have ended when this returns, even if `apply` stops early or panics.
///
/// # Panics
///
/// If the reader or the deferred work panics on another thread, with the same value.
pub(super) fn side_by_side<R: Read + Send, T>(
    mut plan: Plan<'_>,
    layers: impl Iterator<Item = Result<Layer<R>, Error>> + Send,
    apply: impl for<'r> FnOnce(&mut (dyn Iterator<Item = Result<Opened<PipedStream<'r>>, Error>> + 'r)) -> T,
) -> T {
    // One thread for each layer, and one for digests and deferred work.
    let useful = layers.size_hint().1.map_or(usize::MAX, |layers| layers.saturating_add(1));
    let (most, bounds, shared) = (plan.workers.get().min(useful), plan.bounds(), plan.shared());
    let readings = Readings::new(shared, plan.limits, plan.work, (plan.ahead, bounds), layers);
    thread::scope(|scope| {
        let (mut workers, mut failed) = (Vec::new(), None);
        for _ in 0..most {
            readings.enlist();
            match thread::Builder::new().spawn_scoped(scope, || Worker { readings: &readings }.work()) {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    readings.dismiss();
                    failed = Some(error);
                    break;
                }
            }
        }
        // If another one cannot be created, the threads that have to wait do its work.
        let failed = failed
            .filter(|_| workers.is_empty())
            .map(|error| Error::system("clone", b"(a thread that reads; one job needs no such thread)", error));
        let mut arriving = Arriving { readings: &readings, layer: 0, failed };
        let applied = apply(&mut arriving);
        // No more input is needed.
        drop(arriving);
        // Resumes the panic with its own message. `thread::scope` would only report that there was a panic.
        for worker in workers {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        applied
    })
}

/// A thread that reads.
struct Worker<'a, 'l, R: Read, I>
where
    I: Iterator<Item = Result<Layer<R>, Error>>,
{
    readings: &'a Readings<'l, R, I>,
}

impl<R: Read, I> Worker<'_, '_, R, I>
where
    I: Iterator<Item = Result<Layer<R>, Error>>,
{
    fn work(self) {
        self.readings.work();
    }
}

impl<R: Read, I> Drop for Worker<'_, '_, R, I>
where
    I: Iterator<Item = Result<Layer<R>, Error>>,
{
    /// If this thread panics, the calling thread may wait for what it was about to do.
    fn drop(&mut self) {
        if thread::panicking() {
            self.readings.close();
        }
    }
}

/// The layers that the other threads read. Once this is dropped, no further layer is wanted.
struct Arriving<'r, 'l, R: Read, I>
where
    I: Iterator<Item = Result<Layer<R>, Error>>,
{
    readings: &'r Readings<'l, R, I>,
    layer: usize,
    /// The reason why there are no other threads.
    failed: Option<Error>,
}

impl<'r, R: Read + Send, I> Iterator for Arriving<'r, '_, R, I>
where
    I: Iterator<Item = Result<Layer<R>, Error>> + Send,
{
    type Item = Result<Opened<PipedStream<'r>>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let readings = self.readings;
        loop {
            let seen = readings.shared.arrivals.count();
            match readings.next(self.layer) {
                Next::Layer(opened) => {
                    self.layer += 1;
                    return Some(opened.map(|Opened { about, blob_bytes, stream }| {
                        let stream = stream.used_with(readings);
                        Opened { about, blob_bytes, stream }
                    }));
                }
                Next::None => return None,
                Next::Later if readings.run_one() => (),
                Next::Later => readings.shared.arrivals.wait(seen),
            }
        }
    }
}

impl<R: Read, I> Drop for Arriving<'_, '_, R, I>
where
    I: Iterator<Item = Result<Layer<R>, Error>>,
{
    fn drop(&mut self) {
        self.readings.close();
    }
}
