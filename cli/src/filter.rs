//! `layercage filter`: a layer from standard input, judged, as a canonical archive to standard output.

use crate::arguments::Filter;
use crate::opened::standard_input;
use crate::progress::Watcher;
use crate::report::{self, Done};
use crate::sandbox::SandboxChoice;
use crate::signals::{Ignored, Signals};
use crate::tell::{self, Failure, Left};
use crate::temporary::explain_full;
use layercage::blob::LayerStream;
use layercage::error::ErrorKind;
use layercage::sandbox::Sandbox;
use layercage::sink::TarSink;
use layercage::{Error, Expected, Layer, Limits, Scratch, Unpacker};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are written at once.
const BUFFER: usize = 128 << 10;

/// Filters a layer. The report goes to standard error, because standard output has the layer.
pub(crate) fn run(
    filter: &Filter,
    sandbox: SandboxChoice,
    json: bool,
    scratch: impl FnOnce() -> Scratch,
) -> Result<(), Failure> {
    let policy = filter.judging.policy().map_err(Failure::usage)?;
    filter.judging.require_owners().map_err(Failure::usage)?;
    let limits = filter.judging.limits();
    if filter.unchanged
        && let Some(option) = filter.judging.adjusting()
    {
        return Err(Failure::usage(format!(
            "`{option}` changes or drops something, and `--unchanged` writes the layer as it is: omit one of them"
        )));
    }
    if io::stdout().is_terminal() {
        return Err(Failure::usage(
            "standard output is a terminal, and the layer would be written to it; redirect it".to_owned(),
        ));
    }
    let (input, output) = (standard_input()?, own(io::stdout().as_fd())?);
    // A layer that is read twice is kept in a file without a name. In the sandbox, no file can be created.
    let is_kept = filter.unchanged || filter.known.is_anything();
    let kept = is_kept.then(scratch);
    let sandboxed = sandbox.enter(Sandbox::for_reading())?;
    // Until here there is nothing to clean up, and any signal may end the command.
    let kept = kept.map(|scratch| scratch.keep(input.try_clone().map_err(failed)?, &limits)).transpose();
    let kept = kept.map_err(|error| Failure::refused(explain_full(error), Left::Unwritten))?;
    let signals = Signals::catch(Ignored::find_out()).map_err(Failure::signals)?;
    let unpacker = Unpacker::new(policy).with_limits(limits.clone()).with_jobs(filter.threads.jobs());
    let written = Arc::new(AtomicU64::new(0));
    let output = Counted { inner: BufWriter::with_capacity(BUFFER, output), written: written.clone() };
    let mut session = unpacker.session().with_progress(Watcher::new(&signals, json));
    let applied = match kept {
        Some(file) if filter.unchanged => {
            let again = file.try_clone().map_err(|error| Failure::read(failed(error)))?;
            let layer = filter.known.expect(Layer::new(file).seekable());
            let applied = session.apply(layer, &mut TarSink::new(io::sink()));
            if applied.is_ok() {
                pass_on(again, &limits, output, &signals)?;
            }
            applied
        }
        Some(file) => session.apply(filter.known.expect(Layer::new(file).seekable()), &mut TarSink::new(output)),
        None => {
            let mut sink = TarSink::new(output);
            let waiting = signals.clone();
            let layer = Layer::new(signals.interrupt(input)).on_abandoned(move || waiting.leave_off());
            session.apply(filter.known.expect(layer), &mut sink)
        }
    };
    let left = || match written.load(Ordering::Relaxed) {
        0 => Left::Unwritten,
        // One header: that of the truncated end, or of an entry without its content.
        1..=512 => Left::Stub,
        _ => Left::Cut,
    };
    let report = applied.map_err(|error| ended(error, left(), &signals))?.into_report();
    let done = Done { report, sandboxed, image: None };
    report::say(&done, json);
    if filter.unchanged && !json && done.report.counts().next().is_some() {
        tell::say(&"layercage: note: the layer was written unchanged: what the notes call dropped is still in it");
    }
    Ok(())
}

/// Writes the bytes of a layer that was judged, from the first one on, uncompressed.
fn pass_on(mut file: File, limits: &Limits, mut output: impl Write, signals: &Signals) -> Result<(), Failure> {
    let cause = |error: io::Error| match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::system("read", b"(the layer, again)", error),
    };
    file.rewind().map_err(|error| Failure::read(failed(error)))?;
    let stream = LayerStream::open(signals.interrupt(file), Expected::unchecked(), limits);
    let mut stream = stream.map_err(|error| Failure::ended(error, Left::Unwritten, signals))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.read(&mut buffer).map_err(|error| Failure::ended(cause(error), Left::Cut, signals))? {
            0 => return output.flush().map_err(Failure::output),
            bytes => output.write_all(buffer.get(..bytes).unwrap_or_default()).map_err(Failure::output)?,
        }
    }
}

/// Counts what is written.
struct Counted<W> {
    inner: W,
    written: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A handle of our own on a standard stream, without the buffer that std has for it.
fn own(stream: impl AsFd) -> Result<File, Failure> {
    let owned: io::Result<OwnedFd> = stream.as_fd().try_clone_to_owned();
    owned.map(File::from).map_err(|error| Failure::read(failed(error)))
}

fn failed(error: io::Error) -> Error {
    Error::system("fcntl", b"(a standard stream)", error)
}

/// Why filtering failed. The only failure of the sink is that of standard output. A reader that closed it early did not
/// get the whole layer, so that is a failure, too.
fn ended(error: Error, left: Left, signals: &Signals) -> Failure {
    if !matches!(error.kind(), ErrorKind::Sink(_)) {
        return Failure::ended(error, left, signals);
    }
    match error.into_kind() {
        ErrorKind::Sink(source) => match source.downcast::<io::Error>() {
            Ok(error) => Failure::output(*error),
            Err(source) => Failure::output(io::Error::other(source)),
        },
        kind => Failure::read(kind.into()),
    }
}
