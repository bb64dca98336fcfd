//! The thread that reads and decompresses layers for another thread, which uses their bytes.
//!
//! The feeding thread fills buffers, the using thread empties them. Each of them computes digests while it has to wait
//! for the other; a third thread may do nothing else.

use super::chunk::{Chunk, Pool};
use super::counted::{Incoming, Unpacked};
use super::decoder::{Decoder, NotOpened, Peeked};
use super::format::Format;
use super::hash::Hasher;
use super::hash_queue::{HashQueue, Queues};
use super::input::Input;
use super::piped::{Abandoned, Delivery, Ended, PipedStream, Stop};
use super::upstream::{ChunkReader, MayBlock, Upstream};
use super::verify::{Expected, Seen};
use crate::words::{Blame, DeferredWork, Error, Limits};
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

/// Reads layers one after another, on the calling thread.
pub(crate) struct Feeder {
    compressed: Pool,
    unpacked: Pool,
    call: Option<Sender<Arc<HashQueue>>>,
    deferred: Option<Arc<dyn DeferredWork>>,
    stop: Stop,
}

impl Feeder {
    /// Buffers for compressed bytes. They are only read ahead as far as they can be hashed meanwhile.
    pub(super) const COMPRESSED: usize = 4;
    /// Buffers for uncompressed bytes. Their number limits how far the feeding thread is ahead, even in the next layer.
    pub(super) const UNPACKED: usize = 24;

    /// `call` sends queues to a thread that only hashes. `deferred` is other work that the feeding thread may do while it
    /// has to wait. `stop` is set when a layer is refused or abandoned.
    pub(crate) fn new(
        call: Option<Sender<Arc<HashQueue>>>,
        deferred: Option<Arc<dyn DeferredWork>>,
        stop: Stop,
    ) -> Self {
        Self { compressed: Pool::new(Self::COMPRESSED), unpacked: Pool::new(Self::UNPACKED), call, deferred, stop }
    }

    /// Reads a layer to its end. `deliver` gets the stream of its bytes once the compression is known.
    ///
    /// Returns early when the stream is dropped.
    pub(crate) fn feed<R: Read>(
        &mut self,
        reader: R,
        expected: Expected,
        limits: &Limits,
        on_abandoned: Abandoned,
        deliver: impl FnOnce(Result<PipedStream, Error>),
    ) {
        let is_dropped = Arc::new(AtomicBool::new(false));
        if !self.stop.begin_opening(&is_dropped, &on_abandoned) {
            return;
        }
        let upstream = Upstream::new(reader, Arc::clone(&is_dropped));
        let peeked = match Peeked::open(Incoming::unhashed(upstream, &expected, limits)) {
            Ok(peeked) => peeked,
            Err(not_opened) => {
                let NotOpened { error, rest } = *not_opened;
                let error = expected.blamed(error, || Some(drain(rest?, &expected)));
                self.stop.end_opening();
                return deliver(Err(error));
            }
        };
        let stop = self.stop.clone();
        let deliver = move |delivered: Result<PipedStream, Error>| {
            stop.end_opening();
            deliver(delivered);
        };
        let delivery =
            Delivery { expected, format: peeked.format(), is_dropped, on_abandoned, stop: self.stop.clone() };
        match peeked.format() {
            Format::Plain => self.feed_plain(peeked, delivery, limits, deliver),
            _ => self.feed_compressed(peeked, delivery, limits, deliver),
        }
    }

    /// Feeds a layer that is not compressed. The blob is the layer: it is read once, into the buffers that are sent on,
    /// and both digests are computed from these.
    fn feed_plain<R: Read>(
        &mut self,
        peeked: Peeked<Incoming<Upstream<R>>>,
        delivery: Delivery,
        limits: &Limits,
        deliver: impl FnOnce(Result<PipedStream, Error>),
    ) {
        let expected = delivery.expected;
        let decoder = match peeked.decode(limits) {
            Ok(decoder) => decoder,
            Err(error) => return deliver(Err(error)),
        };
        let queues = Queues {
            blob: self.queue(expected.digest_algorithm().map(Hasher::new)),
            unpacked: self.queue(expected.diff_id_algorithm(Format::Plain).map(Hasher::new)),
            deferred: self.deferred.clone(),
        };
        let (stream, sender) = delivery.connect(queues.clone());
        deliver(Ok(stream));
        let pump = Pump {
            pool: &mut self.unpacked,
            queues: &queues,
            hashed_as: &[&queues.unpacked, &queues.blob],
            // If nothing is expected of the blob, its rest need not be read.
            drains: expected.names_blob(),
        };
        let mut unpacked = Unpacked::new(decoder, None, limits);
        let error = pump.run(&mut unpacked, sender.chunks).err();
        let (decoder, unpacked) = unpacked.finish();
        let quirks = decoder.quirks();
        let blob = match &error {
            None => Ok(decoder.into_input().finish()),
            // The error is also that of the blob.
            Some(error) => Err(error.violation().cloned().map(Error::from)),
        };
        sender.end.send(Ended { blob, unpacked, quirks, error });
    }

    /// Feeds a compressed layer. The blob is read into buffers of its own, to be hashed on any thread.
    fn feed_compressed<R: Read>(
        &mut self,
        peeked: Peeked<Incoming<Upstream<R>>>,
        delivery: Delivery,
        limits: &Limits,
        deliver: impl FnOnce(Result<PipedStream, Error>),
    ) {
        let (expected, format) = (delivery.expected, delivery.format);
        // The first bytes are hashed here, all others in the chunks.
        let hasher = expected.digest_algorithm().map(|algorithm| Hasher::over(algorithm, peeked.first_bytes()));
        let queues = Queues {
            blob: self.queue(hasher),
            unpacked: self.queue(expected.diff_id_algorithm(format).map(Hasher::new)),
            deferred: self.deferred.clone(),
        };
        let Self { compressed, unpacked, .. } = self;
        let blob_queue = Arc::clone(&queues.blob);
        let peeked = peeked.map(|incoming| incoming.map(|upstream| ChunkReader::new(upstream, compressed, blob_queue)));
        let decoder = match peeked.decode(limits) {
            Ok(decoder) => decoder,
            Err(error) => return deliver(Err(error)),
        };
        let (stream, sender) = delivery.connect(queues.clone());
        deliver(Ok(stream));
        let pump = Pump { pool: unpacked, queues: &queues, hashed_as: &[&queues.unpacked], drains: false };
        let mut unpacked = Unpacked::new(decoder, None, limits);
        let error = pump.run(&mut unpacked, sender.chunks).err();
        let (decoder, unpacked) = unpacked.finish();
        let quirks = decoder.quirks();
        let blob = blob_after(&expected, error.as_ref(), decoder);
        sender.end.send(Ended { blob, unpacked, quirks, error });
    }

    fn queue(&self, hasher: Option<Hasher>) -> Arc<HashQueue> {
        HashQueue::new(hasher, self.call.clone())
    }
}

/// Reads the rest of a blob whose first bytes are refused, and hashes all of it.
fn drain<R: Read>(rest: Input<Incoming<R>>, expected: &Expected) -> Result<Seen, Error> {
    let hasher = expected.digest_algorithm().map(|algorithm| Hasher::over(algorithm, rest.buffered()));
    rest.into_inner().hashed(hasher).drain()
}

/// The result for a compressed blob, whose rest is read if something is expected of it.
fn blob_after<R: Read>(
    expected: &Expected,
    error: Option<&Error>,
    decoder: Decoder<Incoming<R>>,
) -> Result<Seen, Option<Error>> {
    let blob = decoder.into_input();
    match error {
        // A failed reader is not read again.
        Some(error) if error.blame() != Blame::Archive => Err(None),
        // After damaged compressed data, an error of the reader explains more than the damage.
        Some(_) if expected.checks_anything() => blob.drain().map_err(Some),
        None if expected.names_blob() => blob.drain().map_err(Some),
        _ => Ok(blob.finish()),
    }
}

/// Sends all bytes of a layer to the using thread.
struct Pump<'a> {
    pool: &'a mut Pool,
    queues: &'a Queues,
    /// The queue in which chunks are hashed.
    hashed_as: &'a [&'a Arc<HashQueue>],
    /// Whether to read to the end, for the digest, after the using thread has stopped taking chunks.
    drains: bool,
}

impl Pump<'_> {
    /// Sends chunks until the layer ends or is no longer needed. Before a read that may block, the bytes so far are sent:
    /// they may be enough to refuse the layer.
    fn run<R: Read + MayBlock>(self, reader: &mut Unpacked<R>, to: Sender<Arc<Chunk>>) -> Result<(), Error> {
        let mut to = Some(to);
        loop {
            let mut buffer = self.pool.take(|| self.queues.run_one() || self.queues.await_turn())?;
            let mut filled = 0;
            let mut end = Ok(false);
            while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
                match reader.read(free) {
                    Ok(0) => end = Ok(true),
                    Ok(bytes) => filled += bytes,
                    Err(error) if error.kind() == ErrorKind::Interrupted => (),
                    Err(error) => end = Err(Error::of_reader(error)),
                }
                if !matches!(end, Ok(false)) || (filled > 0 && reader.inner().input().reader().may_block()) {
                    break;
                }
            }
            // The bytes before an error are used before the error is reported, as on a single thread.
            let chunk = self.pool.chunk(buffer, filled);
            for queue in self.hashed_as {
                queue.add(&chunk);
            }
            if to.as_ref().is_some_and(|to| to.send(chunk).is_err()) {
                to = None;
            }
            let is_wanted = to.is_some() || self.drains;
            if end? || !is_wanted {
                return Ok(());
            }
        }
    }
}
