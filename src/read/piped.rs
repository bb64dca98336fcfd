//! The uncompressed bytes of a layer that another thread reads.

use super::chunk::Chunk;
use super::format::Format;
use super::hash_queue::Queues;
use super::verify::{Checked, Expected, Seen, Whole};
use super::verifying::{self, Ending, Verifying};
use crate::words::{Error, Misuse, Quirk};
use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A layer that is about to be sent to another thread.
pub(super) struct Delivery {
    pub(super) expected: Expected,
    pub(super) format: Format,
    /// Becomes true when the stream is dropped.
    pub(super) is_dropped: Arc<AtomicBool>,
    pub(super) on_abandoned: Abandoned,
    /// Is set when the layer is refused or abandoned.
    pub(super) stop: Stop,
}

/// The feeding thread's side of a [`PipedStream`].
pub(super) struct Delivering {
    pub(super) chunks: Sender<Arc<Chunk>>,
    pub(super) end: EndSender,
}

pub(super) struct EndSender(Sender<Box<Ended>>);

impl EndSender {
    pub(super) fn send(self, ended: Ended) {
        // Fails only if the stream was dropped: then the result is not needed.
        let _ = self.0.send(Box::new(ended));
    }
}

impl Delivery {
    /// Creates the two sides of a stream.
    pub(super) fn connect(self, queues: Queues) -> (PipedStream, Delivering) {
        let Self { expected, format, is_dropped, on_abandoned, stop } = self;
        let (chunks, arriving) = channel();
        let (end, ending) = channel();
        let dropped = Dropped { is_dropped, on_abandoned, stop, is_whole: false };
        let state = State::Flowing;
        let stream = PipedStream { dropped, expected, format, queues, arriving, ending, current: None, used: 0, state };
        (stream, Delivering { chunks, end: EndSender(end) })
    }
}

/// The result of reading a layer.
pub(super) struct Ended {
    /// Size and digest of the blob, or the error that ended the reading; `None` if that is `error`.
    pub(super) blob: Result<Seen, Option<Error>>,
    pub(super) unpacked: Seen,
    pub(super) quirks: Vec<Quirk>,
    pub(super) error: Option<Error>,
}

/// The uncompressed bytes of a layer, as they come from the feeding thread.
pub(crate) struct PipedStream {
    // Dropped first: the feeding thread must not open another layer when it finds a channel closed.
    dropped: Dropped,
    expected: Expected,
    format: Format,
    queues: Queues,
    arriving: Receiver<Arc<Chunk>>,
    ending: Receiver<Box<Ended>>,
    current: Option<Arc<Chunk>>,
    /// How many bytes of the current chunk have been used.
    used: usize,
    state: State,
}

enum State {
    Flowing,
    Ended(Box<Ended>),
    /// An error was returned. No more bytes are given out: bytes after damage could still lead to a proof.
    Failed(Box<Ended>),
}

/// A callback for when no more input is needed.
pub(crate) type Abandoned = Option<Arc<dyn Fn() + Send + Sync>>;

/// Tells the feeding thread that no further layer is wanted. It also ends the reading of the first bytes of a layer whose
/// stream is not delivered yet. A layer whose stream is delivered is not affected.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    is_set: AtomicBool,
    /// The layer whose first bytes are read.
    opening: Mutex<Option<Opening>>,
}

/// What ends the reading of a layer before its stream is delivered.
struct Opening {
    is_dropped: Arc<AtomicBool>,
    on_abandoned: Abandoned,
}

impl Stop {
    pub(crate) fn set(&self) {
        self.0.is_set.store(true, Ordering::SeqCst);
        // The callback is called without the lock: what it does is the caller's.
        let Some(Opening { is_dropped, on_abandoned }) = self.opening().take() else { return };
        is_dropped.store(true, Ordering::Release);
        if let Some(on_abandoned) = on_abandoned {
            on_abandoned();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::SeqCst)
    }

    /// The first bytes of a layer are about to be read. Returns false if the layer is not wanted.
    pub(super) fn begin_opening(&self, is_dropped: &Arc<AtomicBool>, on_abandoned: &Abandoned) -> bool {
        let opening = Opening { is_dropped: Arc::clone(is_dropped), on_abandoned: on_abandoned.clone() };
        *self.opening() = Some(opening);
        // In this order, so that one of the two threads sees what the other did.
        let is_wanted = !self.is_set();
        if !is_wanted {
            self.end_opening();
        }
        is_wanted
    }

    /// The first bytes are read. From here on, the stream of the layer ends its reading.
    pub(super) fn end_opening(&self) {
        self.opening().take();
    }

    fn opening(&self) -> MutexGuard<'_, Option<Opening>> {
        self.0.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the feeding thread when it is dropped, and wakes a reader that blocks it.
struct Dropped {
    is_dropped: Arc<AtomicBool>,
    on_abandoned: Abandoned,
    stop: Stop,
    /// Whether the stream was used to its end.
    is_whole: bool,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if !self.is_whole {
            self.stop.set();
        }
        self.is_dropped.store(true, Ordering::Release);
        if let Some(on_abandoned) = &self.on_abandoned {
            on_abandoned();
        }
    }
}

impl PipedStream {
    /// The next chunk; `None` at the end. Computes digests while it has to wait.
    fn next_chunk(&self) -> Option<Arc<Chunk>> {
        loop {
            match self.arriving.try_recv() {
                Ok(chunk) => return Some(chunk),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.queues.run_one() => (),
                // The feeding thread may wait for buffers that are all still in the queue. Without a hashing thread, it
                // may be this one that has to hash them.
                Err(TryRecvError::Empty) if !self.queues.blob.is_called() && self.queues.await_turn() => (),
                Err(TryRecvError::Empty) => return self.arriving.recv().ok(),
            }
        }
    }
}

fn ended(ending: &Receiver<Box<Ended>>) -> Result<Box<Ended>, Error> {
    ending.recv().map_err(|_| Error::bug("the thread that reads a layer ended early"))
}

/// The result for the blob; `None` if the stream has already returned its error.
fn blob(queues: &Queues, ended: Ended) -> Option<Result<Seen, Error>> {
    match ended.blob {
        Ok(seen) => Some(Ok(Seen { digest: queues.blob.finish(), ..seen })),
        Err(error) => error.or(ended.error).map(Err),
    }
}

impl Read for PipedStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(out)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

impl BufRead for PipedStream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while let State::Flowing = self.state
            && self.current.as_ref().is_none_or(|chunk| chunk.len() <= self.used)
        {
            // Returns the buffer to the pool before waiting for the next chunk.
            self.current = None;
            self.used = 0;
            match self.next_chunk() {
                Some(chunk) => self.current = Some(chunk),
                None => {
                    let mut ended = ended(&self.ending)?;
                    if let Some(error) = ended.error.take() {
                        self.state = State::Failed(ended);
                        return Err(error.into());
                    }
                    self.state = State::Ended(ended);
                }
            }
        }
        match self.state {
            State::Failed(_) => Err(Error::from(Misuse::Poisoned).into()),
            _ => Ok(self.current.as_ref().and_then(|chunk| chunk.get(self.used..)).unwrap_or_default()),
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.used += bytes;
    }
}

impl Verifying for PipedStream {
    fn format(&self) -> Format {
        self.format
    }

    fn finish(self) -> Result<Checked, Error> {
        verifying::finish(self)
    }

    fn damage(self) -> Option<Error> {
        // The layer is refused. Its rest is still read, but the next layer is not wanted.
        self.dropped.stop.set();
        verifying::damage(self)
    }
}

impl Ending for PipedStream {
    fn expected(&self) -> Expected {
        self.expected
    }

    fn into_whole(self) -> Result<Whole, Error> {
        let Self { mut dropped, expected, format, queues, state: State::Ended(mut ended), .. } = self else {
            return Err(Error::bug("a layer that was read has no end"));
        };
        dropped.is_whole = true;
        let quirks = std::mem::take(&mut ended.quirks);
        let unpacked = Seen { digest: queues.unpacked.finish(), ..ended.unpacked };
        let blob = blob(&queues, *ended).unwrap_or(Err(Error::bug("a blob that was read has no end")))?;
        Ok(Whole { unpacked: expected.with_shared_digest(format, unpacked, &blob), blob, quirks })
    }

    fn abandon(self) -> Option<Result<Seen, Error>> {
        self.dropped.stop.set();
        // `dropped` lives until the end is known: the feeding thread has to read on until then.
        let Self { queues, arriving, ending, dropped: _dropped, current, state, .. } = self;
        // The feeding thread finds the channel closed. It sends no more chunks, and reads the rest for the digest alone.
        drop((arriving, current));
        match state {
            State::Failed(ended) | State::Ended(ended) => blob(&queues, *ended),
            State::Flowing => match ended(&ending) {
                Ok(ended) => blob(&queues, *ended),
                Err(error) => Some(Err(error)),
            },
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
