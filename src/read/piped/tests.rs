//! How the threads wait for each other. `stream/tests.rs` compares their results with those of one thread.

use super::*;
use crate::read::bell::Bell;
use crate::read::chunk::{Heap, Pool};
use crate::read::reading::{Reading, Room, Shared, Step, UNPACKED};
use crate::read::spool::{Budget, CreateSpool, Spool, SpoolFile, Spools};
use crate::read::upstream::COMPRESSED;
use crate::read::windows::Windows;
use crate::words::{DeferredWork, Digest, Limits};
use std::io::ErrorKind;
use std::sync::atomic::AtomicUsize;
use std::thread;

/// Zeros, and how many of them were read.
struct Zeros<'a>(u64, &'a AtomicUsize);

impl Read for Zeros<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = out.len().min(usize::try_from(self.0).unwrap());
        out[..bytes].fill(0);
        self.0 -= bytes as u64;
        self.1.fetch_add(bytes, Ordering::Relaxed);
        Ok(bytes)
    }
}

fn over<T>(reader: impl Read + Send, expected: Expected, using: impl FnOnce(PipedStream<'_>) -> T) -> T {
    beside(reader, expected, &Limits::default(), |stream| using(stream.unwrap()))
}

/// Uses a stream that another thread reads.
pub(in crate::read) fn beside<T>(
    reader: impl Read + Send,
    expected: Expected,
    limits: &Limits,
    using: impl FnOnce(Result<PipedStream<'_>, Error>) -> T,
) -> T {
    beside_with(reader, expected, limits, None, using)
}

fn beside_with<T>(
    reader: impl Read + Send,
    expected: Expected,
    limits: &Limits,
    on_abandoned: Abandoned,
    using: impl FnOnce(Result<PipedStream<'_>, Error>) -> T,
) -> T {
    let shared = shared(0, None);
    let (mut reading, arriving) = reading(&shared, reader, expected, limits, on_abandoned);
    thread::scope(|scope| {
        scope.spawn(move || while read_on(&mut reading, &shared, Room::Turn) != Step::Over {});
        using(arriving.recv().unwrap().map(|arrived| arrived.used_with(&Nothing)))
    })
}

/// What readings share, with so many buffers for layers ahead.
fn shared(most_ahead: usize, create: Option<CreateSpool>) -> Shared {
    let work = Arc::new(Bell::default());
    Shared {
        heap: Heap::new(most_ahead, Arc::clone(&work)),
        arrivals: Arc::default(),
        stop: Stop::default(),
        spools: Arc::new(Spools::new(create, 8 << 20, Arc::clone(&work))),
        windows: Windows::new(Budget::new(1 << 20)),
        work,
    }
}

fn reading<R: Read>(
    shared: &Shared,
    reader: R,
    expected: Expected,
    limits: &Limits,
    on_abandoned: Abandoned,
) -> (Reading<R>, Receiver<Result<Arrived, Error>>) {
    let (deliver, arriving) = channel();
    let deliver = move |arrived| deliver.send(arrived).unwrap_or_default();
    (Reading::new(0, shared.clone(), reader, (expected, limits), on_abandoned, Box::new(deliver)), arriving)
}

/// Does a step, or hashes, or waits until there is something to do.
fn read_on<R: Read>(reading: &mut Reading<R>, shared: &Shared, room: Room) -> Step {
    let seen = shared.work.count();
    let step = reading.step(room);
    if step == Step::Full && !reading.queues().is_some_and(|queues| queues.run_one()) {
        shared.work.wait(seen);
    }
    step
}

/// Reads a layer to its end on another thread, and checks that the stream gives this content.
fn gives_the_rest<R: Read + Send>(
    mut stream: PipedStream<'_>,
    (mut reading, shared): (Reading<R>, &Shared),
    plain: &[u8],
) {
    thread::scope(|scope| {
        scope.spawn(move || while read_on(&mut reading, shared, Room::Turn) != Step::Over {});
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got == plain);
        stream.finish().unwrap();
    });
}

/// No deferred work.
struct Nothing;

impl DeferredWork for Nothing {
    fn run_one(&self) -> bool {
        false
    }
}

const LONG: u64 = 1 << 30;

#[test]
fn reading_is_ahead_by_the_buffers_and_no_more() {
    let read = AtomicUsize::new(0);
    let shared = shared(5, None);
    let (mut reading, arriving) = reading(&shared, Zeros(LONG, &read), Expected::unchecked(), &Limits::default(), None);
    for (room, buffers) in [(Room::Memory, 5), (Room::Spool, 5), (Room::Turn, UNPACKED)] {
        while reading.step(room) != Step::Full {}
        let read = read.load(Ordering::Relaxed);
        let most = Pool::BYTES * (COMPRESSED + buffers + 1);
        assert!((Pool::BYTES * buffers..=most).contains(&read), "{room:?}: {read}");
    }
    drop(arriving);
}

#[test]
fn a_stream_that_is_dropped_ends_the_reading() {
    let read = AtomicUsize::new(0);
    over(Zeros(LONG, &read), Expected::unchecked(), |mut stream| {
        stream.fill_buf().unwrap();
    });
    assert!(read.load(Ordering::Relaxed) < 64 << 20);
}

#[test]
fn the_question_whether_a_blob_is_damaged_has_it_read_to_its_end() {
    let read = AtomicUsize::new(0);
    let wrong = Digest::Sha256([0; 32]);
    let expected = Expected::unchecked().with_digest(wrong).with_diff_id(wrong);
    let damage = over(Zeros(64 << 20, &read), expected, |mut stream| {
        stream.fill_buf().unwrap();
        stream.damage()
    });
    assert_eq!(damage.map(|error| error.violation().unwrap().id()), Some("digest-mismatch"));
    assert_eq!(read.load(Ordering::Relaxed), 64 << 20);
}

#[test]
fn a_layer_is_read_to_its_end_for_its_diff_id_and_not_if_nothing_is_expected() {
    let expected = Expected::unchecked().with_diff_id_alone(Digest::Sha256([0; 32]));
    for (expected, bytes, found) in
        [(expected, 64 << 20, Some("diff-id-mismatch")), (Expected::unchecked(), LONG, None)]
    {
        let read = AtomicUsize::new(0);
        let damage = over(Zeros(bytes, &read), expected, |mut stream| {
            stream.fill_buf().unwrap();
            stream.damage()
        });
        assert_eq!(damage.map(|error| error.violation().unwrap().id()), found);
        let all = read.load(Ordering::Relaxed);
        assert!(if found.is_some() { all == 64 << 20 } else { all < 64 << 20 }, "{all}");
    }
}

#[test]
fn a_panic_of_the_user_ends_the_reading() {
    let read = AtomicUsize::new(0);
    let panicked = std::panic::catch_unwind(|| {
        over(Zeros(LONG, &read), Expected::unchecked(), |mut stream| {
            stream.fill_buf().unwrap();
            panic!("of the user");
        })
    });
    assert!(panicked.is_err());
    assert!(read.load(Ordering::Relaxed) < 64 << 20);
}

/// Gives the bytes, and then blocks until it is woken.
struct Waiting<'a>(&'a [u8], Receiver<()>);

impl Read for Waiting<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => self.1.recv().map_or(Ok(0), |()| Err(ErrorKind::BrokenPipe.into())),
            bytes => Ok(bytes),
        }
    }
}

/// Reads so many bytes while the reader blocks.
fn reads_what_is_here(bytes: &[u8], least: usize, plain: &[u8]) {
    let (let_go, waiting) = channel();
    let let_go = Lock::new(let_go);
    let tell = move || let_go.lock().send(()).unwrap_or_default();
    let (expected, limits) = (Expected::unchecked(), Limits::default());
    beside_with(Waiting(bytes, waiting), expected, &limits, Some(Arc::new(tell)), |stream| {
        let mut stream = stream.unwrap();
        let mut got = vec![0; least];
        stream.read_exact(&mut got).unwrap();
        assert!(plain.starts_with(&got));
    });
}

fn noise() -> Vec<u8> {
    (0..100_000_u32).map(|number| number.wrapping_mul(0x9e37_79b1).to_be_bytes()[0]).collect()
}

#[test]
fn bytes_are_given_out_before_the_reader_blocks_and_a_dropped_stream_wakes_it() {
    let plain = noise();
    reads_what_is_here(&plain, plain.len(), &plain);
}

/// A file in memory that can be full, and that may be unable to free space.
#[derive(Clone, Default)]
struct Spooling {
    bytes: Arc<Lock<Vec<u8>>>,
    frees: bool,
    most: usize,
}

impl SpoolFile for Spooling {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (start, mut file) = (usize::try_from(offset).unwrap(), self.bytes.lock());
        let end = start + bytes.len();
        if end > self.most {
            return Err(ErrorKind::StorageFull.into());
        }
        let longer = file.len().max(end);
        file.resize(longer, 0);
        file[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        bytes.copy_from_slice(self.bytes.lock().get(start..start + bytes.len()).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn free(&self, offset: u64, bytes: u64) -> bool {
        let mut file = self.bytes.lock();
        let (start, bytes) = (usize::try_from(offset).unwrap(), usize::try_from(bytes).unwrap());
        file.iter_mut().skip(start).take(bytes).for_each(|byte| *byte = 0);
        self.frees
    }
}

impl Spooling {
    fn create(&self) -> CreateSpool {
        let file = self.clone();
        Box::new(move || Ok(Some(Box::new(file.clone()))))
    }
}

/// Reads as far ahead as possible, then uses what was read, and gives the blocks that were spooled.
fn ahead_of_its_turn(spooling: &Spooling) -> usize {
    let plain: Vec<u8> = (0..16_u32 << 20).map(|number| (number / 100_000) as u8).collect();
    let expected = Expected::unchecked().with_diff_id_alone(hashed(&plain));
    let shared = shared(3, Some(spooling.create()));
    let (mut reading, arriving) = reading(&shared, &plain[..], expected, &Limits::default(), None);
    while reading.step(Room::Spool) != Step::Full {}
    let spooled = spooling.bytes.lock().len() / Pool::BYTES;
    let stream = arriving.recv().unwrap().unwrap().used_with(&Nothing);
    gives_the_rest(stream, (reading, &shared), &plain);
    spooled
}

fn hashed(bytes: &[u8]) -> Digest {
    let mut hasher = crate::read::hash::Hasher::new(crate::words::Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

#[test]
fn bytes_ahead_of_their_turn_are_spooled_up_to_the_budget_and_come_back_in_order() {
    for frees in [true, false] {
        let spooling = Spooling { frees, most: usize::MAX, ..Spooling::default() };
        assert_eq!(ahead_of_its_turn(&spooling), (8 << 20) / Pool::BYTES);
        // What was used is freed at once, although the file system does not say so.
        assert!(spooling.bytes.lock().iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_spool_that_is_full_only_ends_the_reading_ahead() {
    for blocks in [0, 1, 5] {
        let spooling = Spooling { most: blocks * Pool::BYTES, frees: true, ..Spooling::default() };
        assert_eq!(ahead_of_its_turn(&spooling), blocks);
    }
}

#[test]
fn the_space_of_a_spool_is_used_again_where_it_can_be_freed() {
    for (frees, expected) in [(true, 8 << 20), (false, 8 << 20)] {
        let spooling = Spooling { frees, most: usize::MAX, ..Spooling::default() };
        let spools = Arc::new(Spools::new(Some(spooling.create()), 8 << 20, Arc::default()));
        let mut spool = Spool::new(&spools);
        let mut spooled = Vec::new();
        while let Some(space) = spool.reserve(1 << 20) {
            spooled.extend(spool.write(&[1; 1000], space));
        }
        assert_eq!(spooled.len() << 20, expected);
        spooled.truncate(5);
        assert_eq!(spool.reserve(1 << 20).is_some(), frees, "while the file is open");
        drop((spooled, spool));
        let mut spool = Spool::new(&spools);
        let all = spool.reserve(8 << 20);
        assert!(all.is_some() && spool.reserve(1).is_none(), "after it is closed");
    }
}

#[test]
fn bytes_that_cannot_be_read_back_end_the_layer() {
    let plain = vec![7; 4 << 20];
    let spooling = Spooling { most: usize::MAX, ..Spooling::default() };
    let shared = shared(1, Some(spooling.create()));
    let (mut reading, arriving) = reading(&shared, &plain[..], Expected::unchecked(), &Limits::default(), None);
    while !matches!(reading.step(Room::Spool), Step::Over | Step::Full) {}
    spooling.bytes.lock().clear();
    let mut stream = arriving.recv().unwrap().unwrap().used_with(&Nothing);
    let error = Error::of_reader(stream.read_to_end(&mut Vec::new()).unwrap_err());
    assert!(error.to_string().starts_with(r#"pread("(the temporary copy of the layer)")"#), "{error:#}");
    assert_eq!(error.blame(), crate::words::Blame::System);
    let again = Error::of_reader(stream.read(&mut [0]).unwrap_err());
    assert_eq!(again.misuse(), Some(&Misuse::Poisoned));
    assert!(Verifying::finish(stream).is_err());
}

#[cfg(feature = "zstd")]
#[test]
fn a_window_that_is_too_large_waits_for_the_layers_turn() {
    // A small frame, and one with a window of 2 MiB. Layers ahead may take 1 MiB.
    let large = noise().repeat(30);
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(21).unwrap();
    io::Write::write_all(&mut encoder, &large).unwrap();
    let blob = [zstd::encode_all(&b"small"[..], 3).unwrap(), encoder.finish().unwrap()].concat();
    let plain = [&b"small"[..], &large].concat();
    let shared = shared(100, None);
    let expected = Expected::unchecked().with_diff_id_alone(hashed(&plain));
    let (mut reading, arriving) = reading(&shared, &blob[..], expected, &Limits::default(), None);
    while reading.step(Room::Memory) == Step::Done {}
    let mut stream = arriving.recv().unwrap().unwrap().used_with(&Nothing);
    assert_eq!(stream.fill_buf().unwrap(), b"small");
    assert_eq!(reading.step(Room::Spool), Step::Full);
    gives_the_rest(stream, (reading, &shared), &plain);
}

#[cfg(feature = "gzip")]
#[test]
fn bytes_are_decompressed_before_the_reader_blocks() {
    let plain = noise();
    let mut gzipped = Vec::new();
    flate2::bufread::GzEncoder::new(&plain[..], flate2::Compression::fast()).read_to_end(&mut gzipped).unwrap();
    reads_what_is_here(&gzipped[..gzipped.len() / 2], 1, &plain);
}
