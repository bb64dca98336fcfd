//! Whose fault it is: a reader or a sink of the caller's that fails, or a system with too little memory, is never the
//! archive's, and what they say about it is not lost.

use crate::child;
use crate::support::layer::LayerBuilder;
use crate::support::{open, sha256, temporary};
use flate2::{Compression, write::GzEncoder};
use layercage::audit::{Audit, Observer};
use layercage::blob::{Checked, LayerStream};
use layercage::error::{Blame, Effect};
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError};
use layercage::tar::Change;
use layercage::{Error, Expected, Image, Layer, Limits, Policy, Rootfs, Scratch, Sink, Staged, Unpacker};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs;
use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a reader says that verifies what it downloads.
#[derive(Debug, thiserror::Error)]
#[error("the registry sent another blob than the one that was asked for")]
struct Unverified;

/// A download that gives all bytes and then says whether they were the right ones, as a client of a registry may do it.
struct Download(Cursor<Vec<u8>>);

impl Read for Download {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 if !out.is_empty() => Err(io::Error::new(ErrorKind::InvalidData, Unverified)),
            bytes => Ok(bytes),
        }
    }
}

/// Content that no compression makes vanish, longer than all that is read ahead on one thread.
fn noise(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|number| number.wrapping_mul(0x9e37_79b1).rotate_left(number % 31).to_be_bytes()[0]).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a registry sends instead of a blob, and the blob: its layer and how it is stored.
struct Sent {
    what: String,
    tar: Vec<u8>,
    blob: Vec<u8>,
    instead: Vec<u8>,
}

type Store = fn(&[u8]) -> Vec<u8>;

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x20;
    bytes
}

fn sent() -> Vec<Sent> {
    let mut rows = Vec::new();
    for length in [0, 1_000_000] {
        let layer = || LayerBuilder::new().file("a", b"a").file("b", &noise(length)).file("c", &noise(length));
        let tar = layer().build();
        // The name of the first entry, so that the checksum of its header is wrong.
        let broken = flipped(&tar, 3);
        let stored: [(&str, Store); 3] =
            [("plain", <[u8]>::to_vec), ("gzip", gzip), ("zstd", |bytes| zstd::encode_all(bytes, 1).unwrap())];
        for (form, store) in stored {
            let blob = store(&tar);
            let mut row = |how: &str, instead: Vec<u8>| {
                let what = format!("{form} of {length}, {how}");
                rows.push(Sent { what, tar: tar.clone(), blob: blob.clone(), instead });
            };
            row("whole", blob.clone());
            row("a broken header", store(&broken));
            row("a flipped byte", flipped(&blob, blob.len() / 3));
            row("a page", b"<html>not found</html>".repeat(200));
            row("another compression", [&b"\xfd7zXZ\0"[..], &noise(200_000)].concat());
        }
    }
    rows
}

type Known = fn(Layer<Download>, &Sent) -> Layer<Download>;

/// What the caller may know of a blob, all but nothing.
const KNOWN: &[(&str, Known)] = &[
    ("all", |layer, sent| {
        layer.expecting(Expected::blob(sha256(&sent.blob), sent.blob.len() as u64).with_diff_id(sha256(&sent.tar)))
    }),
    ("the digest", |layer, sent| layer.expecting(Expected::unchecked().with_digest(sha256(&sent.blob)))),
    ("the diff ID", |layer, sent| layer.expecting(Expected::unchecked().with_diff_id(sha256(&sent.tar)))),
    ("the diff ID and no more", |layer, sent| {
        layer.expecting(Expected::unchecked().with_diff_id_alone(sha256(&sent.tar)))
    }),
];

#[track_caller]
fn assert_is_the_readers(error: &Error, what: &str) {
    assert_eq!((error.blame(), error.rule_id()), (Blame::System, None), "{what}: {error:#}");
    let mut links: Vec<&(dyn std::error::Error + 'static)> = vec![];
    let mut next = Some(error as &(dyn std::error::Error + 'static));
    while let Some(link) = next {
        links.push(link);
        next = link.source();
    }
    let io = links.iter().find_map(|link| link.downcast_ref::<io::Error>());
    assert_eq!(io.map(io::Error::kind), Some(ErrorKind::InvalidData), "{what}: {error:#}");
    assert!(links.iter().any(|link| link.is::<Unverified>()), "{what}: {error:#}");
    assert_eq!(format!("{error:#}").matches("the registry sent another blob").count(), 1, "{what}: {error:#}");
}

fn unpacker(threads: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(threads).unwrap())
}

#[test]
fn a_reader_that_fails_at_its_end_is_to_blame_and_not_what_was_refused_before() {
    for sent in sent() {
        for (name, known) in KNOWN {
            if *name == "all" && sent.instead.len() > sent.blob.len() {
                // More than the size that was stated is wrong for certain, and not read on.
                continue;
            }
            let layer = || known(Layer::new(Download(Cursor::new(sent.instead.clone()))), &sent);
            let what = format!("{}, {name}", sent.what);
            for threads in 1..=3 {
                let what = format!("{what}, {threads} threads");
                // What can be seen at once is verified before it is touched.
                let place = tempfile::tempdir().unwrap();
                let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
                let unpacker = unpacker(threads).with_scratch(temporary(place.path()));
                let error = unpacker.apply(layer(), &mut rootfs).unwrap_err();
                assert_is_the_readers(&error, &what);
                assert_eq!((error.effect(), fs::read_dir(place.path()).unwrap().count()), (Effect::None, 0), "{what}");
                let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
                let error = unpacker.apply(layer(), staged.rootfs()).unwrap_err();
                assert_is_the_readers(&error, &format!("{what}, staged"));
            }
            struct Deaf;
            impl Observer for Deaf {}
            let error = Audit::new(Limits::default()).layer(layer(), &mut Deaf).unwrap_err();
            assert_is_the_readers(&error, &format!("{what}, audited"));
        }
    }
}

#[test]
fn a_reader_that_ends_well_leaves_a_damaged_blob_its_blame() {
    for sent in sent().into_iter().filter(|sent| sent.blob != sent.instead) {
        for threads in 1..=3 {
            let place = tempfile::tempdir().unwrap();
            let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
            let layer = || Layer::new(&sent.instead[..]);
            let named = layer().expecting(Expected::unchecked().with_digest(sha256(&sent.blob)));
            let error = unpacker(threads).apply(named, staged.rootfs()).unwrap_err();
            assert_eq!(error.rule_id(), Some("digest-mismatch"), "{}: {error}", sent.what);
            let mut staged = Staged::beside(&open(place.path()), "other").unwrap();
            match unpacker(threads).apply(layer(), staged.rootfs()) {
                Err(error) => assert_eq!(error.blame(), Blame::Archive, "{}: {error}", sent.what),
                // In the content of a file, where only a digest would show it.
                Ok(_) => assert!(sent.what.ends_with("a flipped byte"), "{}", sent.what),
            }
        }
    }
}

/// Fails in the middle, and would go on behind that.
struct Faltering(Cursor<Vec<u8>>, bool);

impl Read for Faltering {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(4096);
        let bytes = self.0.read(&mut out[..most])?;
        if self.0.position() > 100_000 && !std::mem::replace(&mut self.1, true) {
            return Err(io::Error::new(ErrorKind::InvalidData, Unverified));
        }
        Ok(bytes)
    }
}

#[test]
fn a_reader_that_fails_in_the_middle_is_not_read_on() {
    let tar = LayerBuilder::new().file("a", &noise(300_000)).build();
    for threads in 1..=3 {
        for blob in [tar.clone(), gzip(&tar), flipped(&tar, 3)] {
            let place = tempfile::tempdir().unwrap();
            let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
            let layer = Layer::new(Faltering(Cursor::new(blob.clone()), false))
                .expecting(Expected::unchecked().with_digest(sha256(&blob)));
            let error = unpacker(threads).apply(layer, staged.rootfs()).unwrap_err();
            assert_is_the_readers(&error, &format!("{threads} threads"));
        }
    }
}

/// Panics with something to say.
struct Panicking;

impl Read for Panicking {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("what the reader has to say")
    }
}

#[test]
fn a_panic_of_a_reader_keeps_its_message_on_any_number_of_threads() {
    let first = LayerBuilder::new().file("a", &noise(2_000_000)).build();
    for threads in 1..=3 {
        for start in [&b""[..], &first[..600], &first[..first.len() - 512]] {
            let place = tempfile::tempdir().unwrap();
            let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
            let unpacker = unpacker(threads);
            let apply = || unpacker.apply(Layer::new(start.chain(Panicking)), staged.rootfs()).map(drop);
            let panic = catch_unwind(AssertUnwindSafe(apply)).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"what the reader has to say"), "{threads} threads");
            drop(staged);
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "the stage is gone");
        }
    }
}

/// A sink whose own output is closed.
struct Closed;

#[derive(Debug, thiserror::Error)]
#[error("nobody takes the listing any more")]
struct NobodyThere;

impl Sink for Closed {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        Err(io::Error::new(ErrorKind::BrokenPipe, NobodyThere))?
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_sink_that_fails_is_told_as_a_sink_with_its_own_error_and_where() {
    let tar = LayerBuilder::new().file("etc/hostname", b"a").build();
    for layer in [Layer::new(&tar[..]), Layer::new(&tar[..]).expecting(Expected::unchecked().with_digest(sha256(&tar)))]
    {
        let error = Unpacker::new(Policy::default()).apply(layer, &mut Closed).unwrap_err();
        assert_eq!((error.blame(), error.rule_id()), (Blame::System, None));
        let said = "entry 1, byte 0, \"etc/hostname\": the sink failed: nobody takes the listing any more";
        assert_eq!(format!("{error:#}"), said);
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(source.kind(), ErrorKind::BrokenPipe);
        assert!(source.get_ref().unwrap().is::<NobodyThere>());
    }
}

#[test]
fn an_archive_of_an_image_that_cannot_be_read_is_not_called_a_layer() {
    let place = tempfile::tempdir().unwrap();
    // Opened to be written, it cannot be read.
    let unreadable = || fs::File::create(place.path().join("image")).unwrap();
    fs::write(place.path().join("image"), b"x").unwrap();
    let error = Image::open_archive(unreadable(), Scratch::of(|| unreachable!()), Limits::default()).unwrap_err();
    let seen = Image::is_archive(&unreadable(), &Limits::default()).unwrap_err();
    for error in [error, seen] {
        assert_eq!(error.blame(), Blame::System);
        assert!(format!("{error:#}").starts_with("pread64(\"(archive)\"): Bad file descriptor"), "{error:#}");
    }
    let (_, writer) = io::pipe().unwrap();
    let writer = fs::File::from(std::os::fd::OwnedFd::from(writer));
    let error = Image::open_archive(writer, Scratch::of(|| unreachable!()), Limits::default()).unwrap_err();
    assert!(format!("{error:#}").starts_with("read(\"(archive)\"): Bad file descriptor"), "{error:#}");
}

/// Lets the process have so many bytes of addresses beside those that it has now.
fn leave(bytes: u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")).unwrap();
    let most = Some(size.parse::<u64>().unwrap() * 1024 + bytes);
    setrlimit(Resource::As, Rlimit { current: most, maximum: most }).unwrap();
}

fn assert_is_for_lack_of_memory(error: &Error, what: &str) {
    assert_eq!((error.blame(), error.rule_id()), (Blame::System, None), "{what}: {error:#}");
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
    assert_eq!(source.kind(), ErrorKind::OutOfMemory, "{what}: {error:#}");
    let help = error.advice().unwrap_or_default();
    assert!(help.contains("ulimit -v") && help.contains("nothing is wrong with the layer"), "{help}");
}

/// A frame whose window is 128 MiB, with nothing in it.
const LARGE_WINDOW: &[u8] = b"\x28\xb5\x2f\xfd\x00\x88\x01\0\0";

#[test]
fn too_little_memory_is_not_the_archives_fault() {
    for test in ["has_no_room_for_a_window", "has_no_room_for_a_decompressor"] {
        assert!(child::run(test, &[("LAYERCAGE_CHILD", "1".as_ref())]), "{test}");
    }
}

/// Runs in a process of its own, since the limit is the process's.
#[test]
#[ignore = "started by the test above"]
fn has_no_room_for_a_window() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let places: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    leave(64 << 20);
    for (place, (threads, digest)) in places.iter().zip([1, 2, 3].into_iter().flat_map(|n| [(n, false), (n, true)])) {
        let mut staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        let layer = Layer::new(LARGE_WINDOW);
        let layer =
            if digest { layer.expecting(Expected::unchecked().with_digest(sha256(LARGE_WINDOW))) } else { layer };
        let error = unpacker(threads).apply(layer, staged.rootfs()).unwrap_err();
        assert_is_for_lack_of_memory(&error, &format!("{threads} threads"));
    }
}

/// Runs in a process of its own, since the limit is the process's.
#[test]
#[ignore = "started by the test above"]
fn has_no_room_for_a_decompressor() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let tar = LayerBuilder::new().file("a", b"a").build();
    let blobs = [tar.clone(), gzip(&tar), zstd::encode_all(&tar[..], 1).unwrap()];
    leave(8 << 20);
    // All that there is, in pieces that are given back one after another.
    const PIECE: usize = 16 << 10;
    let mut ballast: Vec<Vec<u8>> = Vec::with_capacity(16 << 10);
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE).is_err() || ballast.len() == ballast.capacity() {
            break;
        }
        ballast.push(piece);
    }
    let (mut lacks, mut works) = (0, 0);
    // What is left for errors and the like.
    ballast.truncate(ballast.len().saturating_sub(4));
    while works < blobs.len() {
        works = 0;
        for blob in &blobs {
            let stream = LayerStream::open(&blob[..], layercage::Expected::unchecked(), &Limits::default());
            match stream.and_then(LayerStream::finish) {
                Ok(_) => works += 1,
                Err(error) => {
                    lacks += 1;
                    assert_is_for_lack_of_memory(&error.at(Default::default()), "a decompressor");
                }
            }
        }
        assert!(ballast.pop().is_some(), "it never works");
    }
    assert!(lacks > blobs.len(), "there was room at once");
}
