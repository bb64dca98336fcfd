//! A layer whose bytes are read and inflated on another thread than the one that uses them.
//!
//! The feeding thread fills buffers, the using one empties them; digests are computed by whichever of them has
//! to wait for the other, and by threads that do nothing else where there are any.

use super::chunk::{Chunk, Pool};
use super::compression::{Decoder, Format};
use super::line::Line;
use super::stream::Verifying;
use super::verify::{Checked, Expected, Incoming, Seen, Unpacked, is_of_the_reader};
use crate::words::{Blame, DeferredWork, Digest, Fault, Limits, Misuse, Quirk};
use std::cell::Cell;
use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Reads layers, one after another, on the thread that it is used on.
pub(crate) struct Feeder {
    compressed: Pool,
    unpacked: Pool,
    call: Option<Sender<Arc<Line>>>,
    chore: Option<Arc<dyn DeferredWork>>,
}

impl Feeder {
    /// Buffers for compressed bytes: no more than are read at a time, and hashed meanwhile.
    const COMPRESSED: usize = 4;
    /// Buffers for uncompressed bytes: so far the reading may be ahead, into the next layer too.
    const UNPACKED: usize = 24;

    /// `call` has threads hash that do nothing else; `chore` is what this one may help with when it has to wait.
    pub(crate) fn new(call: Option<Sender<Arc<Line>>>, chore: Option<Arc<dyn DeferredWork>>) -> Self {
        Self { compressed: Pool::new(Self::COMPRESSED), unpacked: Pool::new(Self::UNPACKED), call, chore }
    }

    /// Reads a layer to its end. `deliver` gets the stream of its bytes as soon as it is known how it is compressed.
    ///
    /// Returns early when the stream is dropped.
    pub(crate) fn feed<R: Read>(
        &mut self,
        reader: R,
        expected: Expected,
        limits: &Limits,
        unwanted: Abandoned,
        deliver: impl FnOnce(Result<PipedStream, Fault>),
    ) {
        let line = |digest: Option<Digest>| Line::new(digest.map(|digest| digest.algorithm()), self.call.clone());
        let blob = line(expected.digest());
        let dropped = Arc::new(AtomicBool::new(false));
        let (waits, is_plain) = (Cell::new(false), Cell::new(false));
        let lent = Lent {
            reader,
            pool: &mut self.compressed,
            line: Arc::clone(&blob),
            dropped: Arc::clone(&dropped),
            waits: &waits,
            is_plain: &is_plain,
            now: None,
            at: 0,
        };
        let decoder = match Decoder::open(Incoming::counting(lent, &expected, limits), limits) {
            Ok(decoder) => decoder,
            Err((fault, rest)) => {
                let drained = || Some(rest?.drain().map(|seen| Seen { digest: blob.finish(), ..seen }));
                return deliver(Err(expected.blamed(fault, drained)));
            }
        };
        let (chunks, arriving) = channel();
        let (end, ending) = channel();
        is_plain.set(decoder.format() == Format::Plain);
        let shared = is_plain.get() && expected.digests_alike();
        let unpacked = line(expected.diff_id().filter(|_| !shared));
        // What is plain is read once, and hashed in the buffers that it arrives in: those seen so far come again.
        let blob = if is_plain.get() { line(expected.digest()) } else { blob };
        let lines = Lines { unpacked, blob, chore: self.chore.clone() };
        deliver(Ok(PipedStream {
            expected,
            format: decoder.format(),
            lines: lines.clone(),
            arriving,
            ending,
            _dropped: Dropped(dropped, unwanted),
            now: None,
            at: 0,
            state: State::Flowing,
        }));
        let pump = Pump {
            pool: &mut self.unpacked,
            lines: &lines,
            waits: &waits,
            hashes_blob: is_plain.get(),
            // Where nothing is known of the blob, what is left of it would say nothing.
            drains: is_plain.get() && expected.names_blob(),
        };
        let mut unpacked = Unpacked::new(decoder, None, limits);
        let fault = pump.run(&mut unpacked, chunks).err();
        let (decoder, unpacked) = unpacked.finish();
        let quirks = decoder.quirks();
        // After damaged compressed data, an error of the reader explains more than the damage.
        let is_asked_for = expected.names_blob() || (fault.is_some() && expected.checks_anything());
        let blob = match &fault {
            // A failed reader is not read again.
            Some(fault) if fault.blame() != Blame::Archive => Err(None),
            Some(fault) if is_plain.get() => Err(fault.violation().cloned().map(Fault::from)),
            _ if !is_plain.get() && is_asked_for => decoder.into_input().drain().map_err(Some),
            _ => Ok(decoder.into_input().finish()),
        };
        // Whoever is gone does not want to know.
        let _ = end.send(Box::new(Ended { blob, unpacked, quirks, fault }));
    }
}

/// Sends all of a layer on its way.
struct Pump<'a> {
    pool: &'a mut Pool,
    lines: &'a Lines,
    /// Whether the next bytes may be long in coming.
    waits: &'a Cell<bool>,
    /// Whether what flows is the blob itself.
    hashes_blob: bool,
    /// Whether that is read to its end, for its digest, when nobody takes it any more.
    drains: bool,
}

impl Pump<'_> {
    /// Stops where nobody takes it any more. Where the next bytes may be long in coming, those that are here are sent
    /// first: they may be all that it takes to refuse the layer.
    fn run(self, reader: &mut impl Read, to: Sender<Arc<Chunk>>) -> Result<(), Fault> {
        let mut to = Some(to);
        loop {
            let mut buffer = self.pool.take(|| self.lines.help() || self.lines.await_turn())?;
            let mut filled = 0;
            let mut end = Ok(false);
            while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
                match reader.read(free) {
                    Ok(0) => end = Ok(true),
                    Ok(bytes) => filled += bytes,
                    Err(error) if error.kind() == ErrorKind::Interrupted => (),
                    Err(error) => end = Err(Fault::of_reader(error)),
                }
                if !matches!(end, Ok(false)) || (filled > 0 && self.waits.get()) {
                    break;
                }
            }
            // What came before an error is used before the error is met, as when one thread does it all.
            let chunk = self.pool.chunk(buffer, filled);
            self.lines.unpacked.add(&chunk);
            if self.hashes_blob {
                self.lines.blob.add(&chunk);
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

/// What a blob and what it unpacks to are hashed in, and what else whoever has to wait may help with.
#[derive(Clone)]
struct Lines {
    unpacked: Arc<Line>,
    blob: Arc<Line>,
    chore: Option<Arc<dyn DeferredWork>>,
}

impl Lines {
    fn help(&self) -> bool {
        self.unpacked.help() || self.blob.help() || self.chore.as_ref().is_some_and(|chore| chore.help())
    }

    /// Hashes what is left by those who were at it; `false` says that nothing is.
    fn await_turn(&self) -> bool {
        self.unpacked.await_turn() || self.blob.await_turn()
    }
}

/// A reader that keeps what it has read for somebody else to hash.
struct Lent<'p, R> {
    reader: R,
    pool: &'p mut Pool,
    line: Arc<Line>,
    dropped: Arc<AtomicBool>,
    /// Whether the reader gave less than it was asked for, so that it may wait for what comes next: a pipe, say.
    waits: &'p Cell<bool>,
    /// Whether somebody else hashes what comes from here, and keeps it: known once the first bytes are.
    is_plain: &'p Cell<bool>,
    now: Option<Arc<Chunk>>,
    at: usize,
}

impl<R: Read> Read for Lent<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.dropped.load(Ordering::Relaxed) {
            return Err(Fault::from(Misuse::Poisoned).into());
        }
        let left = |chunk: &Option<Arc<Chunk>>, at| chunk.as_ref().is_some_and(|chunk| chunk.len() > at);
        if !left(&self.now, self.at) {
            self.now = None;
            if self.is_plain.get() {
                let got = self.reader.read(out);
                self.waits.set(got.as_ref().is_ok_and(|&got| got < out.len()));
                return got;
            }
            let mut buffer = self.pool.take(|| self.line.help() || self.line.await_turn())?;
            let got = self.reader.read(&mut buffer);
            self.waits.set(got.as_ref().is_ok_and(|&got| got < buffer.len()));
            // The buffer goes home whatever came.
            let chunk = self.pool.chunk(buffer, *got.as_ref().unwrap_or(&0));
            if got? == 0 {
                return Ok(0);
            }
            self.line.add(&chunk);
            (self.now, self.at) = (Some(chunk), 0);
        }
        let Some(chunk) = &self.now else { return Ok(0) };
        let bytes = chunk.get(self.at..).unwrap_or_default().read(out)?;
        self.at += bytes;
        Ok(bytes)
    }
}

/// What is known when all of a layer has been read.
struct Ended {
    /// Size and digest of the blob, or the error that ended the reading. `None` means: see `fault`.
    blob: Result<Seen, Option<Fault>>,
    unpacked: Seen,
    quirks: Vec<Quirk>,
    fault: Option<Fault>,
}

/// The uncompressed bytes of a layer, as they come from the thread that reads it.
pub(crate) struct PipedStream {
    expected: Expected,
    format: Format,
    lines: Lines,
    arriving: Receiver<Arc<Chunk>>,
    ending: Receiver<Box<Ended>>,
    _dropped: Dropped,
    now: Option<Arc<Chunk>>,
    at: usize,
    state: State,
}

enum State {
    Flowing,
    Ended(Box<Ended>),
    /// An error has been met: reading on behind a damaged place could end in a proof.
    Failed(Box<Ended>),
}

/// Whom to tell that nobody wants more of a layer, if anybody.
pub(crate) type Abandoned = Option<Arc<dyn Fn() + Send + Sync>>;

/// Tells the thread that reads that it may stop, and whoever may have it wait.
struct Dropped(Arc<AtomicBool>, Abandoned);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(tell) = &self.1 {
            tell();
        }
    }
}

impl PipedStream {
    /// The next chunk; `None` at the end. Whoever has to wait helps meanwhile.
    fn next_chunk(&self) -> Option<Arc<Chunk>> {
        loop {
            match self.arriving.try_recv() {
                Ok(chunk) => return Some(chunk),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.lines.help() => (),
                // Whoever is at it may be the one that is waited for: its buffers are all still to be hashed.
                Err(TryRecvError::Empty) if !self.lines.blob.is_called() && self.lines.await_turn() => (),
                Err(TryRecvError::Empty) => return self.arriving.recv().ok(),
            }
        }
    }

    fn ended(&self) -> Result<Box<Ended>, Fault> {
        self.ending.recv().map_err(|_| Fault::Bug("the thread that reads a layer broke off"))
    }

    /// The result for the blob, after it was read as far as possible. `None` if it was returned before.
    fn blob(&self, ended: Ended) -> Option<Result<Seen, Fault>> {
        match ended.blob {
            Ok(seen) => Some(Ok(Seen { digest: self.lines.blob.finish(), ..seen })),
            Err(fault) => fault.or(ended.fault).map(Err),
        }
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
            && self.now.as_ref().is_none_or(|chunk| chunk.len() <= self.at)
        {
            // The buffer goes home before the next one is waited for.
            self.now = None;
            self.at = 0;
            match self.next_chunk() {
                Some(chunk) => self.now = Some(chunk),
                None => {
                    let mut ended = self.ended()?;
                    if let Some(fault) = ended.fault.take() {
                        self.state = State::Failed(ended);
                        return Err(fault.into());
                    }
                    self.state = State::Ended(ended);
                }
            }
        }
        match self.state {
            State::Failed(_) => Err(Fault::from(Misuse::Poisoned).into()),
            _ => Ok(self.now.as_ref().and_then(|chunk| chunk.get(self.at..)).unwrap_or_default()),
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

impl Verifying for PipedStream {
    fn format(&self) -> Format {
        self.format
    }

    fn finish(mut self) -> Result<Checked, Fault> {
        match io::copy(&mut self, &mut io::sink()).map_err(Fault::of_reader) {
            Err(fault) if fault.blame() == Blame::Archive => return Err(self.damage().unwrap_or(fault)),
            drained => drained.map(drop)?,
        }
        let State::Ended(mut ended) = std::mem::replace(&mut self.state, State::Flowing) else {
            return Err(Fault::Bug("a layer that was read has no end"));
        };
        let (unpacked, quirks) = (ended.unpacked, std::mem::take(&mut ended.quirks));
        let blob = self.blob(*ended).unwrap_or(Err(Fault::Bug("a blob that was read cannot be")))?;
        let shared = self.format == Format::Plain && self.expected.digests_alike();
        let digest = if shared { blob.digest } else { self.lines.unpacked.finish() };
        Ok(Checked::new(self.expected, &blob, &Seen { digest, ..unpacked }, quirks)?)
    }

    fn damage(mut self) -> Option<Fault> {
        if !self.expected.checks_anything() {
            return None;
        }
        if !self.expected.names_blob() {
            match io::copy(&mut self, &mut io::sink()).map_err(Fault::of_reader) {
                Ok(_) => {
                    let State::Ended(ended) = self.state else { return None };
                    let unpacked = Seen { digest: self.lines.unpacked.finish(), ..ended.unpacked };
                    return self.expected.compare_unpacked(&unpacked).err().map(Fault::from);
                }
                Err(fault) if is_of_the_reader(&fault) => return Some(fault),
                // No data follows damaged compressed data, and a rule already reports it. The other thread has read the
                // rest of the blob.
                Err(_) => (),
            }
        }
        let ended = match std::mem::replace(&mut self.state, State::Flowing) {
            State::Failed(ended) | State::Ended(ended) => ended,
            State::Flowing => {
                // Nobody takes the rest, which has the other thread read the blob to its end and say so.
                let (_, nothing) = channel();
                self.arriving = nothing;
                self.now = None;
                match self.ended() {
                    Ok(ended) => ended,
                    Err(fault) => return Some(fault),
                }
            }
        };
        self.blob(*ended).and_then(|blob| self.expected.damage(blob))
    }
}

#[cfg(test)]
pub(super) mod tests;
