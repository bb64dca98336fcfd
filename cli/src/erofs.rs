//! `layercage erofs`: the final file system of an image, as one EROFS image, or its layers, as one EROFS image each.

use crate::arguments::Erofs;
use crate::erofs_layers;
use crate::image::select_image;
use crate::opened::{self, Opened};
use crate::progress::Watcher;
use crate::report::{self, Done, Output};
use crate::sandbox::SandboxChoice;
use crate::signals::{Ignored, Signals};
use crate::tell::{self, Failure, Left, shown};
use crate::verity;
use layercage::sandbox::Sandbox;
use layercage::sink::StagedFile;
use layercage::{ErofsImage, ErofsLayers, ErofsOptions, HiddenContent, Scratch, Unpacker};
use serde_json::{Value, json};
use std::io;

/// Writes the image, and prints what `veritysetup` needs for it.
pub(crate) fn run(erofs: &Erofs, sandbox: SandboxChoice, json: bool) -> Result<(), Failure> {
    let source = &erofs.source;
    let policy = source.working.policy(&source.judging).map_err(Failure::usage)?;
    source.judging.require_owners().map_err(Failure::usage)?;
    if opened::is_stream(&erofs.file) {
        return Err(cannot_hold(erofs));
    }
    let (parent, name) = opened::beside(&erofs.file)?;
    let left = || Left::Nothing(erofs.file.clone());
    let opened = Opened::find(&source.image)?;
    opened.refuse_as_output(&erofs.file)?;
    let (ignored, limits) = (Ignored::find_out(), source.judging.limits());
    // Beside FILE there has to be room anyway.
    let scratch = Scratch::beneath(&parent).map_err(Failure::read)?;
    let around = Sandbox::for_reading().write(&parent);
    let (sandboxed, selected) = select_image(source, opened, sandbox, around, scratch.clone())?;
    let selected = selected.map_err(|error| Failure::refused(error, left()))?;
    // Before this line there is nothing to clean up.
    let signals = Signals::catch(ignored).map_err(Failure::signals)?;
    let ended = |error| Failure::ended(error, left(), &signals);
    let unpacker = Unpacker::new(policy.clone()).with_limits(limits).with_jobs(source.working.jobs());
    let unpacker = unpacker.with_scratch(scratch);
    let mut session = unpacker.session().with_progress(Watcher::new(&signals, json));
    let written = if erofs.layers {
        let layers = session.write_erofs_layers(&selected, &parent, name, erofs.format(), &erofs.options());
        Written::Layers(layers.map_err(ended)?)
    } else {
        let file = StagedFile::beside(&parent, name).map_err(ended)?.with_durability(policy.durability());
        let written = session.write_erofs(&selected, file.file(), &erofs.options()).map_err(ended)?;
        file.commit().map_err(ended)?;
        Written::Image(written)
    };
    let done = Done { report: session.into_report(), sandboxed, image: Some(selected) };
    let printed = match &written {
        Written::Image(written) => print(&done, written, json),
        Written::Layers(layers) => erofs_layers::print(&done, layers, json),
    };
    printed.map_err(|error| Failure::report(format!("{} is in place", shown(&erofs.file)), error))
}

/// Neither an image nor layers can be written to a pipe or a device.
fn cannot_hold(erofs: &Erofs) -> Failure {
    let (message, help) = match erofs.layers {
        true => ("is not a directory, and layers are files in one", "give the name of a directory to create"),
        false => (
            "is not a regular file, and an EROFS image is not written sequentially",
            "give the name of a file to create or replace",
        ),
    };
    Failure::usage(format!("{} {message}", shown(&erofs.file))).with_help(help.to_owned())
}

/// What was written.
enum Written {
    Image(ErofsImage),
    Layers(ErofsLayers),
}

impl Erofs {
    fn options(&self) -> ErofsOptions {
        let hidden = if self.compact { HiddenContent::Drop } else { HiddenContent::Keep };
        let options = ErofsOptions::new().with_hidden_content(hidden);
        let options = self.block_size.into_iter().fold(options, ErofsOptions::with_block_size);
        let salt = self.verity.then(|| self.salt.clone().unwrap_or_default());
        salt.into_iter().fold(options, ErofsOptions::with_verity)
    }
}

/// Prints the root hash, and the notes or the report.
fn print(done: &Done, written: &ErofsImage, json: bool) -> io::Result<()> {
    let mut output = Output::new(json);
    if json {
        output.line(|| object(done, written), String::new);
    } else {
        if let Some(verity) = &written.verity {
            output.line(|| Value::Null, || verity::arguments(verity));
        }
        tell::notes(&done.report);
        if let Some(note) = hidden_content(written) {
            tell::say(&format_args!("layercage: note: {note}"));
        }
    }
    output.finish()
}

/// What `--compact` saved, or can save if it is worth a word: a hundredth of the file.
fn hidden_content(written: &ErofsImage) -> Option<String> {
    match *written {
        ErofsImage { saved_bytes: saved @ 1.., .. } => {
            Some(format!("`--compact` saved {saved} bytes of content that no file has any more"))
        }
        ErofsImage { bytes, dead_bytes: dead, .. } if dead > bytes / 100 => {
            Some(format!("{dead} of {bytes} bytes are content that no file has any more; `--compact` drops it"))
        }
        _ => None,
    }
}

fn object(done: &Done, written: &ErofsImage) -> Value {
    let mut object = report::object(done);
    let mut erofs = json!({
        "type": "erofs",
        "bytes": written.bytes,
        "inodes": written.inodes,
        "dead_bytes": written.dead_bytes,
        "saved_bytes": written.saved_bytes,
    });
    verity::add(&mut erofs, written.verity.as_ref());
    if let Value::Object(members) = &mut object {
        members.insert("erofs".to_owned(), erofs);
    }
    object
}
