//! Threads that read layers while another thread applies them.

use super::blob_bytes::Counted;
use super::layer::{Layer, Opened};
use crate::read::{Feeder, HashQueue, PipedStream, Stop};
use crate::words::{DeferredWork, Error, Limits, SharedWork};
use std::io::Read;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{IntoIter, Receiver, Sender, channel};
use std::thread;

/// The threads that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jobs {
    /// Only the calling thread.
    Alone,
    /// Several threads, including the calling thread.
    Threads(Threads),
}

/// The work of the threads beside the calling thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// One thread reads and decompresses. While it has to wait, it computes digests.
    Two,
    /// One thread reads and decompresses, one computes digests.
    Three,
}

impl Jobs {
    pub(super) fn of(threads: NonZeroUsize) -> Self {
        match threads.get() {
            1 => Self::Alone,
            2 => Self::Threads(Threads::Two),
            _ => Self::Threads(Threads::Three),
        }
    }
}

/// Reads layers one after another on other threads, while `apply` applies them on the calling thread. The next layer is read
/// while the previous one is still applied, as far as the buffers allow. A reading thread that has to wait does deferred
/// work.
///
/// After a layer was refused or abandoned, no further layer is taken from `layers`.
///
/// All threads have ended when this returns, even if `apply` stops early or panics.
///
/// # Panics
///
/// If the reader or the deferred work panics on another thread, with the same value.
pub(super) fn side_by_side<R: Read + Send, T>(
    threads: Threads,
    limits: &Limits,
    work: &Arc<SharedWork>,
    layers: impl Iterator<Item = Result<Layer<R>, Error>> + Send,
    apply: impl FnOnce(&mut dyn Iterator<Item = Result<Opened<PipedStream>, Error>>) -> T,
) -> T {
    thread::scope(|scope| {
        let (deliver, arriving) = channel();
        let stop = Stop::default();
        let mut arriving = Arriving { layers: arriving.into_iter(), stop: stop.clone() };
        let (call, helper) = match threads {
            Threads::Two => (None, None),
            Threads::Three => {
                let (call, called) = channel();
                // If this thread cannot be created, the threads that have to wait do its work.
                let begun = thread::Builder::new().spawn_scoped(scope, move || help(&called, work));
                begun.map_or((None, None), |helper| (Some(call), Some(helper)))
            }
        };
        let refused = deliver.clone();
        let feed = move || feed(Feeder::new(call, Some(work.clone()), stop.clone()), limits, layers, &deliver, &stop);
        let feeding = match thread::Builder::new().spawn_scoped(scope, feed) {
            Ok(feeding) => Some(feeding),
            Err(error) => {
                let error = Error::system("clone", b"(a thread that reads; one job needs no such thread)", error);
                // Cannot fail: this function holds the receiver.
                let _ = refused.send(Err(error));
                None
            }
        };
        drop(refused);
        let applied = apply(&mut arriving);
        // No more input is needed.
        drop(arriving);
        // Resumes the panic with its own message. `thread::scope` would only report that there was a panic.
        for thread in feeding.into_iter().chain(helper) {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        applied
    })
}

/// The layers that the feeding thread delivers. Once this is dropped, no further layer is wanted.
struct Arriving {
    layers: IntoIter<Result<Opened<PipedStream>, Error>>,
    stop: Stop,
}

impl Iterator for Arriving {
    type Item = Result<Opened<PipedStream>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.layers.next()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.stop.set();
    }
}

fn feed<R: Read>(
    mut feeder: Feeder,
    limits: &Limits,
    mut layers: impl Iterator<Item = Result<Layer<R>, Error>>,
    deliver: &Sender<Result<Opened<PipedStream>, Error>>,
    stop: &Stop,
) {
    let deliver = |opened: Result<_, _>| {
        if opened.is_err() {
            stop.set();
        }
        // Fails only if the receiver is dropped. Then `stop` is set, too.
        let _ = deliver.send(opened);
    };
    // To take a layer is to open it, perhaps a download.
    while !stop.is_set()
        && let Some(layer) = layers.next()
    {
        match layer {
            Ok(Layer { reader, about, on_abandoned, blob_bytes, .. }) => {
                let reader = Counted::new(reader, blob_bytes.clone());
                feeder.feed(reader, about.expected, limits, on_abandoned.0, |stream| {
                    deliver(match stream {
                        Ok(stream) => Ok(Opened { about, blob_bytes, stream }),
                        Err(error) => Err(error.at(about.position())),
                    });
                });
            }
            Err(error) => deliver(Err(error)),
        }
    }
}

/// Computes the digests of each queue that arrives, and does deferred work in between.
fn help(called: &Receiver<Arc<HashQueue>>, work: &SharedWork) {
    for queue in called {
        while queue.run_one() || work.run_one() {}
    }
}
