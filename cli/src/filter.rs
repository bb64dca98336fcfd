//! `layercage filter`: a layer from standard input, judged, as a canonical archive to standard output.

use crate::arguments::Filter;
use crate::progress::Watcher;
use crate::report::{self, Done};
use crate::sandbox::SandboxChoice;
use crate::signals::{Ignored, Signals};
use crate::tell::{self, Failure, Left};
use layercage::error::ErrorKind;
use layercage::image::Scratch;
use layercage::sandbox::Sandbox;
use layercage::sink::TarSink;
use layercage::{Error, Layer, Unpacker};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

/// Bytes that are written at once.
const BUFFER: usize = 128 << 10;

/// Filters a layer. The report goes to standard error, because standard output has the layer. `scratch` creates a file
/// without a name.
pub(crate) fn run(
    filter: &Filter,
    sandbox: SandboxChoice,
    json: bool,
    scratch: impl FnOnce() -> Result<Scratch, Error>,
) -> Result<(), Failure> {
    let policy = filter.judging.policy().map_err(Failure::usage)?;
    let limits = filter.judging.limits();
    if io::stdout().is_terminal() {
        return Err(Failure::usage(
            "standard output is a terminal, and the layer is written to it; redirect it".to_owned(),
        ));
    }
    let (input, output) = (own(io::stdin().as_fd())?, own(io::stdout().as_fd())?);
    // A layer that is verified first is kept in a file without a name. In the sandbox, no file can be created.
    let kept = if filter.known.is_anything() { Some(scratch().map_err(Failure::read)?) } else { None };
    let sandboxed = sandbox.enter(Sandbox::for_reading())?;
    // Until here there is nothing to clean up, and any signal may end the command.
    let kept = kept.map(|scratch| scratch.keep(input.try_clone().map_err(failed)?, &limits)).transpose();
    let kept = kept.map_err(|error| Failure::refused(error, Left::Truncated))?;
    let signals = Signals::catch(Ignored::find_out()).map_err(Failure::signals)?;
    let unpacker = Unpacker::new(policy).with_limits(limits).with_jobs(filter.threads.jobs());
    let mut sink = TarSink::new(BufWriter::with_capacity(BUFFER, output));
    let mut session = unpacker.session().with_progress(Watcher::new(&signals, json));
    let applied = match kept {
        Some(file) => session.apply(filter.known.expect(Layer::new(file).seekable()), &mut sink),
        None => {
            let waiting = signals.clone();
            let layer = Layer::new(signals.interrupt(input)).on_abandoned(move || waiting.leave_off());
            session.apply(filter.known.expect(layer), &mut sink)
        }
    };
    let report = applied.map_err(|error| ended(error, &signals))?.into_report();
    let done = Done { report, sandboxed, image: None };
    match json {
        true => tell::say(&report::object(&done)),
        false => tell::notes(&done.report),
    }
    Ok(())
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
fn ended(error: Error, signals: &Signals) -> Failure {
    if !matches!(error.kind(), ErrorKind::Sink(_)) {
        return Failure::ended(error, Left::Truncated, signals);
    }
    match error.into_kind() {
        ErrorKind::Sink(source) => match source.downcast::<io::Error>() {
            Ok(error) => Failure::output(*error),
            Err(source) => Failure::output(io::Error::other(source)),
        },
        kind => Failure::read(kind.into()),
    }
}
