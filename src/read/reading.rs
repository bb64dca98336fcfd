//! The reading of one layer, in steps that any thread can do, one at a time.
//!
//! A step fills one buffer, and sends it to the thread that uses the layer. Before the layer's turn has come, a buffer may
//! be written to a temporary file instead.

use super::bell::{Arrivals, Bell};
use super::chunk::{Chunk, Heap, Pool};
use super::counted::{Incoming, Unpacked};
use super::decoder::{NotOpened, Peeked};
use super::format::Format;
use super::hash::Hasher;
use super::hash_queue::{HashQueue, Queues};
use super::input::Input;
use super::not_yet::is_not_yet;
use super::piped::{Abandoned, Arrived, Delivering, Delivery, Ended, Piece, Stop};
use super::spool::{Spool, Spools};
use super::upstream::{Source, Upstream};
use super::verify::{Expected, Seen};
use super::windows::{Turn, Windows};
use crate::words::{Blame, Error, Limits};
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The number of buffers for the uncompressed bytes of the layer whose turn it is.
pub(super) const UNPACKED: usize = 24;

/// What the readings of all layers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) heap: Arc<Heap>,
    /// Rings when a buffer is free, or when there is something new to hash.
    pub(crate) work: Arc<Bell>,
    pub(crate) arrivals: Arc<Arrivals>,
    /// Is set when a layer is refused or abandoned.
    pub(crate) stop: Stop,
    pub(crate) spools: Arc<Spools>,
    /// The memory for zstd windows of layers whose turn has not come.
    pub(crate) windows: Windows,
}

/// How a step may keep the bytes that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It is the layer's turn: its own buffers.
    Turn,
    /// The memory for layers whose turn has not come.
    Memory,
    /// The same, and then a temporary file.
    Spool,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Bytes were read.
    Done,
    /// There is no room for bytes.
    Full,
    /// The layer has ended.
    Over,
}

/// Takes the stream of a layer when its compression is known, or the reason why it has none.
pub(crate) type Deliver = Box<dyn FnOnce(Result<Arrived, Error>) + Send>;

/// The reading of one layer.
pub(crate) struct Reading<R> {
    state: State<R>,
    layer: usize,
    shared: Shared,
}

enum State<R> {
    Unopened(Box<Unopened<R>>),
    Open(Box<Flow<R>>),
    Over,
}

struct Unopened<R> {
    reader: R,
    expected: Expected,
    limits: Limits,
    on_abandoned: Abandoned,
    deliver: Deliver,
}

impl<R: Read> Reading<R> {
    /// The reading of the layer with the index `layer`. `deliver` gets the stream of its bytes.
    pub(crate) fn new(
        layer: usize,
        shared: Shared,
        reader: R,
        (expected, limits): (Expected, &Limits),
        on_abandoned: Abandoned,
        deliver: Deliver,
    ) -> Self {
        let limits = limits.clone();
        let state = State::Unopened(Box::new(Unopened { reader, expected, limits, on_abandoned, deliver }));
        Self { state, layer, shared }
    }

    /// The chunks that are to be hashed; `None` before the layer is open.
    pub(crate) fn queues(&self) -> Option<Queues> {
        match &self.state {
            State::Open(flow) => Some(flow.queues.clone()),
            _ => None,
        }
    }

    /// Reads the first bytes, or fills one buffer.
    pub(crate) fn step(&mut self, room: Room) -> Step {
        match &mut self.state {
            State::Over => return Step::Over,
            State::Open(flow) => {
                if !flow.has_room(room) {
                    return Step::Full;
                }
                match flow.fill(room, &self.shared) {
                    Ok(Filled::Some) => return Step::Done,
                    Ok(Filled::None) => return Step::Full,
                    Ok(Filled::Last) => self.end(None),
                    Err(error) => self.end(Some(error)),
                }
            }
            State::Unopened(_) => {
                if let State::Unopened(unopened) = std::mem::replace(&mut self.state, State::Over) {
                    self.open(*unopened);
                }
            }
        }
        match self.state {
            State::Over => Step::Over,
            _ => Step::Done,
        }
    }

    fn open(&mut self, unopened: Unopened<R>) {
        let Unopened { reader, expected, limits, on_abandoned, deliver } = unopened;
        let is_dropped = Arc::new(AtomicBool::new(false));
        let Some(opening) = self.shared.stop.begin_opening(&is_dropped, &on_abandoned) else { return };
        let upstream = Source::Direct(Upstream::new(reader, Arc::clone(&is_dropped)));
        let opened = match Peeked::open(Incoming::unhashed(upstream, &expected, &limits)) {
            Ok(peeked) => {
                let (stop, format) = (self.shared.stop.clone(), peeked.format());
                let (arrivals, layer) = (Arc::clone(&self.shared.arrivals), self.layer);
                let delivery = Delivery { expected, format, is_dropped, on_abandoned, stop, arrivals, layer };
                Flow::new(peeked, delivery, &limits, &self.shared)
            }
            Err(not_opened) => {
                let NotOpened { error, rest } = *not_opened;
                Err(expected.blamed(error, || Some(drain(rest?, &expected))))
            }
        };
        drop(opening);
        deliver(opened.map(|(arrived, flow)| {
            self.state = State::Open(Box::new(flow));
            arrived
        }));
        self.shared.arrivals.announce(self.layer);
    }

    fn end(&mut self, error: Option<Error>) {
        if let State::Open(flow) = std::mem::replace(&mut self.state, State::Over) {
            flow.end(error, &self.shared.windows);
            self.shared.work.ring();
        }
    }
}

/// Reads the rest of a blob whose first bytes are refused, and hashes all of it.
fn drain<R: Read>(rest: Input<Incoming<R>>, expected: &Expected) -> Result<Seen, Error> {
    let hasher = expected.digest_algorithm().map(|algorithm| Hasher::over(algorithm, rest.buffered()));
    rest.into_inner().hashed(hasher).drain()
}

/// The bytes of a layer whose compression is known.
struct Flow<R> {
    unpacked: Unpacked<Source<R>>,
    pool: Pool,
    queues: Queues,
    to: Delivering,
    expected: Expected,
    format: Format,
    spool: Spool,
    /// A zstd window needs so much memory that it has to wait for the layer's turn.
    needs_turn: bool,
}

enum Filled {
    Some,
    None,
    Last,
}

impl<R: Read> Flow<R> {
    fn new(
        peeked: Peeked<Incoming<Source<R>>>,
        delivery: Delivery,
        limits: &Limits,
        shared: &Shared,
    ) -> Result<(Arrived, Self), Error> {
        let (expected, format) = (delivery.expected, delivery.format);
        let algorithm = expected.digest_algorithm();
        let hashed = |hasher| HashQueue::new(hasher);
        let unpacked = hashed(expected.diff_id_algorithm(format).map(Hasher::new));
        let (blob, peeked) = match format {
            // The blob is the layer: both digests are computed from the same buffers.
            Format::Plain => (hashed(algorithm.map(Hasher::new)), peeked),
            _ => {
                // The first bytes are hashed here, all others in chunks.
                let blob = hashed(algorithm.map(|algorithm| Hasher::over(algorithm, peeked.first_bytes())));
                let (pool, queue) = (Pool::new(&shared.heap), Arc::clone(&blob));
                let peeked = peeked.map(|incoming| incoming.map(|source| source.in_chunks(pool, queue)));
                (blob, peeked)
            }
        };
        let queues = Queues { blob, unpacked };
        let unpacked = Unpacked::new(peeked.decode(limits)?, None, limits);
        let (arrived, to) = delivery.connect(queues.clone());
        let (pool, spool) = (Pool::new(&shared.heap), Spool::new(&shared.spools));
        Ok((arrived, Self { unpacked, pool, queues, to, expected, format, spool, needs_turn: false }))
    }

    fn has_room(&self, room: Room) -> bool {
        room == Room::Turn || !self.needs_turn
    }

    /// Fills a buffer and sends it.
    fn fill(&mut self, room: Room, shared: &Shared) -> Result<Filled, Error> {
        let (chunk, space) = match room {
            Room::Turn => (self.pool.take(UNPACKED)?, None),
            Room::Memory => (self.pool.take_ahead()?, None),
            Room::Spool => match self.pool.take_ahead()? {
                Some(chunk) => (Some(chunk), None),
                None => match self.spool.reserve(Pool::BYTES as u64) {
                    Some(space) => (self.pool.take(usize::MAX)?, Some(space)),
                    None => (None, None),
                },
            },
        };
        let Some(mut chunk) = chunk else { return Ok(Filled::None) };
        let turn = if room == Room::Turn { Turn::Now } else { Turn::Later };
        self.unpacked.inner_mut().set_windows(&shared.windows, turn);
        self.needs_turn = false;
        let end = self.read(&mut chunk);
        // The bytes before an error are used before the error is reported, as on a single thread.
        if !chunk.is_empty() {
            let chunk = Arc::new(chunk);
            self.queues.unpacked.add(&chunk);
            if self.format == Format::Plain {
                self.queues.blob.add(&chunk);
            }
            match room {
                // It is hashed by a thread that has nothing else to do.
                Room::Turn => shared.work.ring_for_one(),
                _ => self.queues.run_all(),
            }
            let spooled = space.and_then(|space| self.spool.write(&chunk, space));
            self.to.send(spooled.map_or_else(|| Piece::Memory(chunk), Piece::Spooled));
        } else if self.needs_turn {
            return Ok(Filled::None);
        }
        Ok(if end? || !self.is_wanted() { Filled::Last } else { Filled::Some })
    }

    /// Reads into a buffer until it is full; `true` at the end of the layer. Before a read that may block, the bytes so far
    /// are sent: they may be enough to refuse the layer.
    fn read(&mut self, chunk: &mut Chunk) -> Result<bool, Error> {
        let mut filled = 0;
        let end = loop {
            let Some(free) = chunk.buffer().get_mut(filled..).filter(|free| !free.is_empty()) else { break Ok(false) };
            match self.unpacked.read(free) {
                Ok(0) => break Ok(true),
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if is_not_yet(&error) => {
                    self.needs_turn = true;
                    break Ok(false);
                }
                Err(error) => break Err(Error::of_reader(error)),
            }
            if filled > 0 && self.unpacked.inner().input().reader().may_block() {
                break Ok(false);
            }
        };
        chunk.set_filled(filled);
        end
    }

    /// Whether the bytes are used, or the rest of a plain blob is read for its digest.
    fn is_wanted(&self) -> bool {
        self.to.is_used() || (self.format == Format::Plain && self.expected.names_blob())
    }

    fn end(self, error: Option<Error>, windows: &Windows) {
        let Self { unpacked, to, expected, format, .. } = self;
        let (decoder, unpacked) = unpacked.finish();
        let quirks = decoder.quirks();
        let blob = match format {
            Format::Plain => match &error {
                None => Ok(decoder.into_input().finish()),
                // The error is also that of the blob.
                Some(error) => Err(error.violation().cloned().map(Error::from)),
            },
            _ => blob_after(&expected, error.as_ref(), decoder.recycle(windows)),
        };
        to.end(Ended { blob, unpacked, quirks, error });
    }
}

/// The result for a compressed blob, whose rest is read if something is expected of it.
fn blob_after<R: Read>(expected: &Expected, error: Option<&Error>, blob: Incoming<R>) -> Result<Seen, Option<Error>> {
    match error {
        // A failed reader is not read again.
        Some(error) if error.blame() != Blame::Archive => Err(None),
        // After damaged compressed data, an error of the reader explains more than the damage.
        Some(_) if expected.checks_anything() => blob.drain().map_err(Some),
        None if expected.names_blob() => blob.drain().map_err(Some),
        _ => Ok(blob.finish()),
    }
}
