//! The uncompressed bytes of a layer that another thread reads.

use super::bell::Arrivals;
use super::chunk::Chunk;
use super::format::Format;
use super::hash_queue::Queues;
use super::spool::Spooled;
use super::verify::{Checked, Expected, Seen, Whole};
use super::verifying::{self, Ending, Verifying};
use crate::words::{DeferredWork, Error, Lock, Misuse, Quirk};
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// A layer that is about to be sent to another thread.
pub(super) struct Delivery {
    pub(super) expected: Expected,
    pub(super) format: Format,
    /// Becomes true when the stream is dropped.
    pub(super) is_dropped: Arc<AtomicBool>,
    pub(super) on_abandoned: Abandoned,
    /// Is set when the layer is refused or abandoned.
    pub(super) stop: Stop,
    pub(super) arrivals: Arc<Arrivals>,
    /// The index of the layer.
    pub(super) layer: usize,
}

/// Bytes on their way to the thread that uses them.
pub(super) enum Piece {
    Memory(Arc<Chunk>),
    Spooled(Spooled),
}

/// The reading threads' side of a [`PipedStream`].
pub(super) struct Delivering {
    /// `None` once the stream takes no more bytes.
    pieces: Option<Sender<Piece>>,
    end: Option<Sender<Box<Ended>>>,
    arrivals: Arc<Arrivals>,
    layer: usize,
}

impl Delivering {
    pub(super) fn send(&mut self, piece: Piece) {
        if self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_err()) {
            self.pieces = None;
        }
        self.arrivals.announce(self.layer);
    }

    /// Whether the stream takes more bytes.
    pub(super) fn is_used(&self) -> bool {
        self.pieces.is_some()
    }

    pub(super) fn end(mut self, ended: Ended) {
        // Fails only if the stream was dropped: then the result is not needed.
        let _ = self.end.take().map(|end| end.send(Box::new(ended)));
    }
}

impl Drop for Delivering {
    /// The stream may wait for more, also if a thread that reads panics.
    fn drop(&mut self) {
        self.pieces = None;
        self.end = None;
        self.arrivals.announce(self.layer);
    }
}

impl Delivery {
    /// Creates the two sides of a stream.
    pub(super) fn connect(self, queues: Queues) -> (Arrived, Delivering) {
        let Self { expected, format, is_dropped, on_abandoned, stop, arrivals, layer } = self;
        let (pieces, arriving) = channel();
        let (end, ending) = channel();
        let dropped = Dropped { is_dropped, on_abandoned, stop, is_whole: false };
        let to = Delivering { pieces: Some(pieces), end: Some(end), arrivals: Arc::clone(&arrivals), layer };
        (Arrived { dropped, expected, format, queues, arriving, ending, arrivals }, to)
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

/// A layer that other threads read. Its turn may not have come.
pub(crate) struct Arrived {
    // Dropped first: no other layer must be opened when the reading threads find a channel closed.
    dropped: Dropped,
    expected: Expected,
    format: Format,
    queues: Queues,
    arriving: Receiver<Piece>,
    ending: Receiver<Box<Ended>>,
    arrivals: Arc<Arrivals>,
}

impl Arrived {
    /// The stream of the layer. While it has to wait, it does work of `help`.
    pub(crate) fn used_with(self, help: &dyn DeferredWork) -> PipedStream<'_> {
        PipedStream { arrived: self, help, current: None, readback: Vec::new(), used: 0, state: State::Flowing }
    }
}

/// The uncompressed bytes of a layer, as they come from the threads that read it.
pub(crate) struct PipedStream<'h> {
    arrived: Arrived,
    help: &'h dyn DeferredWork,
    current: Option<Current>,
    /// Bytes from a temporary file.
    readback: Vec<u8>,
    /// How many bytes of the current piece have been used.
    used: usize,
    state: State,
}

/// The piece of which bytes are given out.
enum Current {
    Chunk(Arc<Chunk>),
    Readback,
}

enum State {
    Flowing,
    Ended(Box<Ended>),
    /// An error was returned. No more bytes are given out: bytes after damage could still lead to a proof.
    Failed(Box<Ended>),
    /// The same, for bytes that could not be read back. The layer is still being read.
    Lost,
}

/// A callback for when no more input is needed.
pub(crate) type Abandoned = Option<Arc<dyn Fn() + Send + Sync>>;

/// Tells the reading threads that no further layer is wanted. It also ends the reading of the first bytes of the layers
/// whose streams are not delivered yet. A layer whose stream is delivered is not affected.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    is_set: AtomicBool,
    /// The layers whose first bytes are read.
    opening: Lock<Vec<Begun>>,
}

/// What ends the reading of a layer before its stream is delivered.
struct Begun {
    is_dropped: Arc<AtomicBool>,
    on_abandoned: Abandoned,
}

/// The reading of a layer's first bytes. Once this is dropped, the stream of the layer ends its reading.
pub(super) struct Opening {
    is_dropped: Arc<AtomicBool>,
    stop: Stop,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.stop.0.opening.lock().retain(|begun| !Arc::ptr_eq(&begun.is_dropped, &self.is_dropped));
    }
}

impl Stop {
    pub(crate) fn set(&self) {
        self.0.is_set.store(true, Ordering::SeqCst);
        // The callbacks are called without the lock: what they do is the caller's.
        let opening = std::mem::take(&mut *self.0.opening.lock());
        for Begun { is_dropped, on_abandoned } in opening {
            is_dropped.store(true, Ordering::Release);
            if let Some(on_abandoned) = on_abandoned {
                on_abandoned();
            }
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::SeqCst)
    }

    /// The first bytes of a layer are about to be read. Returns `None` if the layer is not wanted.
    pub(super) fn begin_opening(&self, is_dropped: &Arc<AtomicBool>, on_abandoned: &Abandoned) -> Option<Opening> {
        let begun = Begun { is_dropped: Arc::clone(is_dropped), on_abandoned: on_abandoned.clone() };
        self.0.opening.lock().push(begun);
        let opening = Opening { is_dropped: Arc::clone(is_dropped), stop: self.clone() };
        // In this order, so that one of the two threads sees what the other did.
        (!self.is_set()).then_some(opening)
    }
}

/// Stops the reading threads when it is dropped, and wakes a reader that blocks one.
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

impl PipedStream<'_> {
    /// The next piece; `None` at the end. Computes digests, and helps, while it has to wait.
    fn next_piece(&self) -> Option<Piece> {
        let Arrived { arriving, queues, arrivals, .. } = &self.arrived;
        loop {
            let seen = arrivals.count();
            match arriving.try_recv() {
                Ok(piece) => return Some(piece),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if queues.run_one() || self.help.run_one() => (),
                Err(TryRecvError::Empty) => arrivals.wait(seen),
            }
        }
    }

    /// Makes the next piece the current one; `false` at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        // Returns the buffer to the pool before waiting for the next piece.
        self.current = None;
        self.used = 0;
        match self.next_piece() {
            Some(Piece::Memory(chunk)) => self.current = Some(Current::Chunk(chunk)),
            Some(Piece::Spooled(spooled)) => {
                spooled.read(&mut self.readback)?;
                self.current = Some(Current::Readback);
            }
            None => return Ok(false),
        }
        Ok(true)
    }

    /// The bytes of the current piece that are not used.
    fn rest(&self) -> &[u8] {
        let piece = match &self.current {
            Some(Current::Chunk(chunk)) => chunk,
            Some(Current::Readback) => self.readback.as_slice(),
            None => &[],
        };
        piece.get(self.used..).unwrap_or_default()
    }
}

fn ended(ending: &Receiver<Box<Ended>>) -> Result<Box<Ended>, Error> {
    ending.recv().map_err(|_| Error::bug("the threads that read a layer ended early"))
}

/// The result for the blob; `None` if the stream has already returned its error.
fn blob(queues: &Queues, ended: Ended) -> Option<Result<Seen, Error>> {
    match ended.blob {
        Ok(seen) => Some(Ok(Seen { digest: queues.blob.finish(), ..seen })),
        Err(error) => error.or(ended.error).map(Err),
    }
}

impl Read for PipedStream<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(out)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

impl BufRead for PipedStream<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while let State::Flowing = self.state
            && self.rest().is_empty()
        {
            match self.advance() {
                Ok(true) => (),
                Ok(false) => {
                    let mut ended = ended(&self.arrived.ending)?;
                    if let Some(error) = ended.error.take() {
                        self.state = State::Failed(ended);
                        return Err(error.into());
                    }
                    self.state = State::Ended(ended);
                }
                Err(error) => {
                    self.state = State::Lost;
                    return Err(error.into());
                }
            }
        }
        match self.state {
            State::Failed(_) | State::Lost => Err(Error::from(Misuse::Poisoned).into()),
            _ => Ok(self.rest()),
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.used += bytes;
    }
}

impl Verifying for PipedStream<'_> {
    fn format(&self) -> Format {
        self.arrived.format
    }

    fn finish(self) -> Result<Checked, Error> {
        verifying::finish(self)
    }

    fn damage(self) -> Option<Error> {
        // The layer is refused. Its rest is still read, but the next layers are not wanted.
        self.arrived.dropped.stop.set();
        verifying::damage(self)
    }
}

impl Ending for PipedStream<'_> {
    fn expected(&self) -> Expected {
        self.arrived.expected
    }

    fn into_whole(self) -> Result<Whole, Error> {
        let Self { arrived, state: State::Ended(mut ended), .. } = self else {
            return Err(Error::bug("a layer that was read has no end"));
        };
        let Arrived { mut dropped, expected, format, queues, .. } = arrived;
        dropped.is_whole = true;
        let quirks = std::mem::take(&mut ended.quirks);
        let unpacked = Seen { digest: queues.unpacked.finish(), ..ended.unpacked };
        let blob = blob(&queues, *ended).unwrap_or(Err(Error::bug("a blob that was read has no end")))?;
        Ok(Whole { unpacked: expected.with_shared_digest(format, unpacked, &blob), blob, quirks })
    }

    fn abandon(self) -> Option<Result<Seen, Error>> {
        self.arrived.dropped.stop.set();
        // `dropped` lives until the end is known: the reading threads have to read on until then.
        let Self { arrived, current, state, .. } = self;
        let Arrived { queues, arriving, ending, dropped: _dropped, .. } = arrived;
        // The reading threads find the channel closed. They send no more bytes, and read the rest for the digest alone.
        drop((arriving, current));
        match state {
            State::Failed(ended) | State::Ended(ended) => blob(&queues, *ended),
            State::Flowing | State::Lost => match ended(&ending) {
                Ok(ended) => blob(&queues, *ended),
                Err(error) => Some(Err(error)),
            },
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
