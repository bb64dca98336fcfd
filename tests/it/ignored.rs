//! Sinks that ignore the failures of a file's content: the error of the layer is still the one that its reader returned.

use crate::support::forms::gzip;
use crate::support::layer::LayerBuilder;
use layercage::blob::Checked;
use layercage::error::Blame;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError, Tee};
use layercage::tar::Change;
use layercage::{Error, Layer, Policy, Scratch, Sink, Unpacker};
use std::error::Error as _;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::num::NonZeroUsize;

fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap())
}

/// A sink that takes every failure of a file's content for its end.
struct Ignores;

impl Sink for Ignores {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, mut data: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        let _ = io::copy(&mut data, &mut io::sink());
        // And once more.
        let _ = data.next_piece();
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A reader's own error.
#[derive(Debug, thiserror::Error)]
#[error("the registry hung up")]
struct HungUp;

/// A reader that fails once at the end of its bytes, and is at its end then.
struct Fails<'a>(&'a [u8], Option<HungUp>);

impl Read for Fails<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => self.1.take().map_or(Ok(0), |error| Err(io::Error::new(io::ErrorKind::ConnectionReset, error))),
            bytes => Ok(bytes),
        }
    }
}

/// Applies a layer to sinks that ignore every failure of the content, on one to three threads.
fn ignored<R: Read + Send>(reader: impl Fn() -> R) -> Vec<Error> {
    let mut errors = Vec::new();
    for jobs in 1..=3 {
        let scratch = Scratch::of(tempfile::tempfile);
        errors.push(unpacker(jobs).apply(Layer::new(reader()), &mut Ignores).unwrap_err());
        let mut both = Tee::new(Ignores, Ignores, scratch);
        errors.push(unpacker(jobs).apply(Layer::new(reader()), &mut both).unwrap_err());
    }
    errors
}

#[test]
fn the_error_of_a_files_content_is_returned_even_if_a_sink_ignores_it() {
    let noise = (0..3_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>();
    let bytes = LayerBuilder::new().file("a", b"a").file("b", &noise).file("c", b"c").build();
    let at_b = |error: &Error| {
        let position = error.position();
        assert_eq!((position.entry, position.offset), (Some(2), Some(1024)), "{error:#}");
        assert_eq!(position.path.as_ref().unwrap().to_string(), "\"b\"");
    };
    let mut damaged = gzip(&bytes);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 5_000].fill(0xff);
    for error in ignored(|| &damaged[..]) {
        assert_eq!((error.blame(), error.rule_id()), (Blame::Archive, Some("compression-corrupt")), "{error:#}");
        at_b(&error);
    }
    for error in ignored(|| Fails(&bytes[..bytes.len() / 2], Some(HungUp))) {
        assert_eq!(error.blame(), Blame::System, "{error:#}");
        assert_eq!(format!("{error:#}").matches("the registry hung up").count(), 1, "{error:#}");
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(io.kind(), io::ErrorKind::ConnectionReset);
        assert!(io.source().unwrap().is::<HungUp>());
        at_b(&error);
    }
    // The content cannot be kept for the second sink.
    let full = Scratch::of(|| OpenOptions::new().read(true).write(true).open("/dev/full"));
    let mut both = Tee::new(Ignores, Ignores, full);
    let error = unpacker(1).apply(Layer::new(&bytes[..]), &mut both).unwrap_err();
    assert!(format!("{error:#}").contains("No space left on device"), "{error:#}");
    at_b(&error);
}
