//! How the two threads wait for each other. `stream/tests.rs` compares their results with those of one thread.

use super::*;
use crate::read::chunk::Pool;
use crate::read::feed::Feeder;
use crate::words::{DeferredWork, Digest, Limits};
use std::io::ErrorKind;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, ThreadId};

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

fn over<T>(reader: impl Read + Send, expected: Expected, using: impl FnOnce(PipedStream) -> T) -> T {
    beside(reader, expected, &Limits::default(), |stream| using(stream.unwrap()))
}

/// Uses a stream that another thread feeds.
pub(in crate::read) fn beside<T>(
    reader: impl Read + Send,
    expected: Expected,
    limits: &Limits,
    using: impl FnOnce(Result<PipedStream, Error>) -> T,
) -> T {
    thread::scope(|scope| {
        let (deliver, arriving) = channel();
        scope.spawn(move || {
            let deliver = |stream| drop(deliver.send(stream));
            Feeder::new(None, None, Stop::default()).feed(reader, expected, limits, None, deliver);
        });
        using(arriving.recv().unwrap())
    })
}

const LONG: u64 = 1 << 30;

/// Reports when another thread than this one has to wait, and does no work.
struct Waits(ThreadId, Sender<()>);

impl DeferredWork for Waits {
    fn run_one(&self) -> bool {
        if thread::current().id() != self.0 {
            self.1.send(()).unwrap_or_default();
        }
        false
    }
}

#[test]
fn reading_is_ahead_by_the_buffers_and_no_more() {
    let read = AtomicUsize::new(0);
    let (report, has_to_wait) = channel();
    let deferred: Arc<dyn DeferredWork> = Arc::new(Waits(thread::current().id(), report));
    thread::scope(|scope| {
        let (deliver, arriving) = channel();
        let zeros = Zeros(LONG, &read);
        scope.spawn(move || {
            let (expected, limits) = (Expected::unchecked(), Limits::default());
            let deliver = |stream| drop(deliver.send(stream));
            Feeder::new(None, Some(deferred), Stop::default()).feed(zeros, expected, &limits, None, deliver);
        });
        let _stream = arriving.recv().unwrap();
        // The feeding thread has filled all its buffers, and none of them is used.
        has_to_wait.recv().unwrap();
        let read = read.load(Ordering::Relaxed);
        let most = Pool::BYTES * (Feeder::COMPRESSED + Feeder::UNPACKED + 1);
        assert!((Pool::BYTES * Feeder::UNPACKED..=most).contains(&read), "{read}");
    });
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
    let tell = move || let_go.send(()).unwrap_or_default();
    thread::scope(|scope| {
        let (deliver, arriving) = channel();
        scope.spawn(move || {
            let (expected, limits) = (Expected::unchecked(), Limits::default());
            let deliver = |stream| drop(deliver.send(stream));
            Feeder::new(None, None, Stop::default()).feed(
                Waiting(bytes, waiting),
                expected,
                &limits,
                Some(Arc::new(tell)),
                deliver,
            );
        });
        let mut stream: PipedStream = arriving.recv().unwrap().unwrap();
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

#[cfg(feature = "gzip")]
#[test]
fn bytes_are_decompressed_before_the_reader_blocks() {
    let plain = noise();
    let mut gzipped = Vec::new();
    flate2::bufread::GzEncoder::new(&plain[..], flate2::Compression::fast()).read_to_end(&mut gzipped).unwrap();
    reads_what_is_here(&gzipped[..gzipped.len() / 2], 1, &plain);
}
