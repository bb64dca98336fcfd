//! `layercage export`: the final file system of an image, as one tar archive.

use crate::arguments::Export;
use crate::cache::Room;
use crate::image::select_image;
use crate::opened::{Destination, Opened};
use crate::progress::Watcher;
use crate::report::Done;
use crate::sandbox::SandboxChoice;
use crate::signals::{Ignored, Signals};
use crate::tell::{self, Failure, Left};
use crate::temporary::{explain_full, scratch};
use layercage::error::ErrorKind;
use layercage::sandbox::Sandbox;
use layercage::sink::StagedFile;
use layercage::{Error, Scratch, Unpacker};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// Exports an image. The report is returned, because standard output may have the archive.
pub(crate) fn run(export: &Export, sandbox: SandboxChoice, json: bool) -> Result<Done, Failure> {
    let policy = export.source.working.policy(&export.source.judging).map_err(Failure::usage)?;
    // Known before the image is read.
    export.source.judging.require_owners().map_err(Failure::usage)?;
    if policy.selinux_label().is_some() {
        return Err(Failure::usage("`--selinux-label` labels files, and an archive has none; omit it".to_owned()));
    }
    let destination = Destination::find(&export.file)?;
    let target = Target::of(export, &destination);
    if let Destination::Stream(output) = &destination
        && output.is_terminal()
    {
        let message = "the output is a terminal, and the archive would be written to it; redirect it, or give a FILE";
        return Err(Failure::usage(message.to_owned()));
    }
    let opened = Opened::find(&export.source.image)?;
    if let Destination::Beside { .. } = destination {
        opened.refuse_as_output(&export.file)?;
    }
    let (ignored, room, limits) = (Ignored::find_out(), Room::find_out(), export.source.judging.limits());
    // Beside a FILE there has to be room anyway. Otherwise no file can be created in the sandbox, so the temporary files for
    // a pipe, for a compressed archive, for the content of files and for the order by path are created before.
    let (around, temporary) = match &destination {
        Destination::Beside { parent, .. } => (Sandbox::for_reading().write(parent), Scratch::beneath(parent)),
        Destination::Stream(_) => (Sandbox::for_reading(), Ok(scratch(4))),
    };
    let temporary = temporary.map_err(Failure::read)?;
    let (sandboxed, selected) = select_image(&export.source, opened, sandbox, around, temporary.clone())?;
    let selected = selected.map_err(|error| Failure::refused(explain_full(error), target.left()))?;
    // Before this line there is nothing to clean up.
    let signals = Signals::catch(ignored).map_err(Failure::signals)?;
    let ended = |error| ended(error, target, &signals);
    let unpacker = Unpacker::new(policy.clone()).with_limits(limits).with_jobs(export.source.working.jobs());
    let mut session = unpacker.session().with_progress(Watcher::new(&signals, json));
    // Before the layers are read: what FILE is may be wrong usage.
    let mut output = match destination {
        Destination::Stream(output) => Output::Stream(output),
        Destination::Beside { parent, name } => {
            let file = StagedFile::beside(&parent, name).map_err(ended)?;
            Output::Staged(file.with_durability(policy.durability()))
        }
    };
    let tree = room.merge(&mut session, &selected, &export.only, &temporary).map_err(ended)?;
    let part = export.only.part(&tree).map_err(Failure::unmatched)?;
    tell::say_notes(&export.only.notes(&tree), json);
    let part = if export.sort { part.by_path(temporary) } else { part };
    session.export_tar(&part, &selected, &mut output).map_err(ended)?;
    if let Output::Staged(file) = output {
        file.commit().map_err(ended)?;
    }
    let mut report = session.into_report();
    report.bytes_written = part.content_bytes();
    Ok(Done { report, sandboxed, image: Some(selected) })
}

/// Where the archive goes.
#[derive(Debug, Clone, Copy)]
enum Target<'p> {
    StandardOutput,
    /// A pipe or a device, which has what was written before a failure.
    Stream(&'p Path),
    /// A file, which takes its name when it is complete.
    File(&'p Path),
}

impl<'p> Target<'p> {
    fn of(export: &'p Export, destination: &Destination<'_>) -> Self {
        match destination {
            Destination::Stream(_) if export.is_to_standard_output() => Self::StandardOutput,
            Destination::Stream(_) => Self::Stream(&export.file),
            Destination::Beside { .. } => Self::File(&export.file),
        }
    }

    /// What a failure leaves.
    fn left(self) -> Left {
        match self {
            Self::StandardOutput => Left::Truncated,
            Self::Stream(path) => Left::Streamed(path.to_owned()),
            Self::File(path) => Left::Nothing(path.to_owned()),
        }
    }
}

/// Where the archive is written.
enum Output {
    Stream(File),
    Staged(StagedFile),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(output) => output.write(bytes),
            Self::Staged(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(output) => output.flush(),
            Self::Staged(file) => file.flush(),
        }
    }
}

/// Why exporting failed. The only failure of the sink is that of the output. A reader that closed it early did not get the
/// whole archive, so that is a failure, too.
fn ended(error: Error, target: Target<'_>, signals: &Signals) -> Failure {
    if !matches!(error.kind(), ErrorKind::Sink(_)) {
        // Beside a file, there are no temporary files elsewhere.
        let error = if let Target::File(_) = target { error } else { explain_full(error) };
        return Failure::ended(error, target.left(), signals);
    }
    match error.into_kind() {
        ErrorKind::Sink(source) => match source.downcast::<io::Error>() {
            Ok(error) => failed(*error, target),
            Err(source) => Failure::output(io::Error::other(source)),
        },
        kind => Failure::read(kind.into()),
    }
}

fn failed(error: io::Error, target: Target<'_>) -> Failure {
    let (path, left) = match target {
        Target::StandardOutput => return Failure::output(error),
        // How much was written is not known.
        Target::Stream(path) => (path, Left::Cut),
        Target::File(path) => (path, target.left()),
    };
    Failure::refused(Error::system("write", path.as_os_str().as_encoded_bytes(), error), left)
}
