//! Runs the command. Only this file, `cache.rs`, `id_maps.rs`, `opened.rs`, `overlay.rs` and `temporary.rs` open paths of this
//! machine.

#![expect(clippy::disallowed_methods, reason = "the user who types a path has the authority over it")]

use crate::arguments::{Apply, Arguments, Bundle, Command, Source, Unpack};
use crate::auditing::{Tree, run_audit};
use crate::bundle;
use crate::cache::Room;
use crate::elsewhere;
use crate::erofs;
use crate::export;
use crate::filter;
use crate::image::select_image;
use crate::input::layer_is_directory;
use crate::list;
use crate::only::Only;
use crate::opened::{Opened, is_reserved, open_directory, split, standard_input};
use crate::overlay;
use crate::progress::Watcher;
use crate::report::{self, Done, Findings, Output};
use crate::rules;
use crate::sandbox::SandboxChoice;
use crate::signals::{self, Ignored, Signals};
use crate::tell::{self, Failure, Left, shown};
use crate::temporary::{scratch, scratch_beside};
use layercage::audit::Audit;
use layercage::sandbox::Sandbox;
use layercage::{Layer, Rootfs, Scratch, Unpacker};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Runs the command and returns its exit code.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    signals::outlive_large_files().map_err(Failure::signals)?;
    let sandbox = SandboxChoice::asked_for(arguments);
    match &arguments.command {
        Command::Unpack(unpack) => {
            let into = Target::Rootfs(unpack);
            let done = run_unpack(&unpack.source, into, sandbox, arguments.json)?;
            noted(&done, arguments.json, || format!("{} is in place", shown(&unpack.rootfs)))
        }
        Command::Bundle(bundle) => {
            let done = run_unpack(&bundle.source, Target::Bundle(bundle), sandbox, arguments.json)?;
            noted(&done, arguments.json, || format!("{} is in place", shown(&bundle.directory)))
        }
        Command::Export(export) => {
            let done = export::run(export, sandbox, arguments.json)?;
            if export.is_to_standard_output() {
                report::say(&done, arguments.json);
                return Ok(0);
            }
            noted(&done, arguments.json, || format!("{} is in place", shown(&export.file)))
        }
        Command::Erofs(erofs) => erofs::run(erofs, sandbox, arguments.json).map(|()| 0),
        Command::Overlay(overlay) => overlay::run(overlay, sandbox, arguments.json).map(|()| 0),
        Command::Apply(apply) => {
            let done = run_apply(apply, sandbox, arguments.json)?;
            noted(&done, arguments.json, || format!("all of the layer is applied to {}", shown(&apply.directory)))
        }
        Command::Filter(filter) => filter::run(filter, sandbox, arguments.json, || scratch(1)).map(|()| 0),
        Command::Check(check) => {
            let policy = check.judging.policy().map_err(Failure::usage)?;
            let mut findings = Findings::new(Output::new(arguments.json), policy.clone());
            let limits = check.judging.limits();
            let audit = Audit::new(limits.clone()).with_policy(policy);
            let (audit, seen) = run_audit(&check.input, sandbox, &limits, audit, Tree::Seen, &mut findings)?;
            let refused = findings.summary(&audit, seen).map_err(Failure::output)?;
            Ok(if refused { 3 } else { 0 })
        }
        Command::List(list) => list::run(list, sandbox, arguments.json),
        Command::Rules => rules::print(Output::new(arguments.json)).map(|()| 0).map_err(Failure::output),
        Command::Explain { rule } => {
            let explained = rules::find(rule).ok_or_else(|| Failure::usage(rules::unknown(rule)))?;
            explained.print(Output::new(arguments.json)).map(|()| 0).map_err(Failure::output)
        }
    }
}

/// Prints the report. If that fails, the error says what was done.
fn noted(done: &Done, json: bool, what: impl FnOnce() -> String) -> Result<u8, Failure> {
    match json {
        true => report::print(done).map_err(|error| Failure::report(what(), error))?,
        false => tell::notes(&done.report),
    }
    Ok(0)
}

/// What an image is unpacked as.
#[derive(Clone, Copy)]
enum Target<'a> {
    Rootfs(&'a Unpack),
    Bundle(&'a Bundle),
}

impl<'a> Target<'a> {
    fn path(self) -> &'a Path {
        match self {
            Self::Rootfs(unpack) => &unpack.rootfs,
            Self::Bundle(bundle) => &bundle.directory,
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Rootfs(_) => "ROOTFS is created in this directory, which must exist and be readable for you",
            Self::Bundle(_) => "BUNDLE is created in this directory, which must exist and be readable for you",
        }
    }
}

fn run_unpack(source: &Source, target: Target<'_>, sandbox: SandboxChoice, json: bool) -> Result<Done, Failure> {
    let policy = source.working.policy(&source.judging).map_err(Failure::usage)?;
    let (parent, name) = split(target.path())?;
    let parent = open_directory(parent).map_err(|failure| failure.with_help(target.help().to_owned()))?;
    let left = || Left::Nothing(target.path().to_owned());
    let opened = Opened::find(&source.image)?;
    let (ignored, room) = (Ignored::find_out(), Room::find_out());
    let around = Sandbox::for_policy(&policy).write(&parent);
    // Temporary files are beside the target, where there has to be room anyway.
    let temporary = Scratch::beneath(&parent).map_err(Failure::read)?;
    let (sandboxed, selected) = select_image(source, opened, sandbox, around, temporary.clone())?;
    let selected = selected.map_err(|error| Failure::refused(error, left()))?;
    // Before this line there is nothing to clean up.
    let signals = Signals::catch(ignored).map_err(Failure::signals)?;
    let ended = |error| Failure::ended(error, left(), &signals);
    let unpacker = Unpacker::new(policy).with_limits(source.judging.limits()).with_jobs(source.working.jobs());
    let session = || unpacker.session().with_progress(Watcher::new(&signals, json));
    let report = match target {
        Target::Rootfs(unpack) if unpack.only.is_everything() => {
            session().unpack(&selected, &parent, name).map_err(ended)?
        }
        Target::Rootfs(unpack) => {
            let mut session = session();
            let tree = room.merge(&mut session, &selected, &unpack.only, &temporary).map_err(ended)?;
            let part = unpack.only.part(&tree).map_err(Failure::unmatched)?;
            tell::say_notes(&unpack.only.notes(&tree), json);
            session.unpack_part(&part, &selected, &parent, name).map_err(ended)?
        }
        Target::Bundle(bundle) => {
            let mut session = session();
            let tree = room.merge(&mut session, &selected, &Only::default(), &temporary).map_err(ended)?;
            let accounts = bundle::accounts(&mut session, &tree, &selected).map_err(ended)?;
            let config = bundle::config(&selected, &accounts, bundle, json)?;
            session.unpack_part_as_bundle(&tree.whole(), &selected, &parent, name, &config).map_err(ended)?
        }
    };
    Ok(Done { report, sandboxed, image: Some(selected) })
}

fn run_apply(apply: &Apply, sandbox: SandboxChoice, json: bool) -> Result<Done, Failure> {
    let policy = apply.working.policy(&apply.judging).map_err(Failure::usage)?;
    if is_reserved(&apply.directory) {
        return Err(Failure::reserved(&apply.directory));
    }
    let directory = open_directory(&apply.directory).map_err(|failure| {
        failure.with_help("`apply LAYER DIR` changes the directory DIR, which must exist".to_owned())
    })?;
    let file = match apply.layer.as_os_str().as_bytes() {
        b"-" => Ok(standard_input()?),
        _ => File::open(&apply.layer),
    };
    let file =
        file.map_err(|error| elsewhere::failure(&apply.layer).unwrap_or_else(|| Failure::open(&apply.layer, error)))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(layer_is_directory(&apply.layer));
    }
    // Standard input is read as a stream even if it is a file: other processes may share its position.
    let is_file = apply.layer.as_os_str() != "-" && file.metadata().is_ok_and(|metadata| metadata.is_file());
    let signals = Signals::catch(Ignored::find_out()).map_err(Failure::signals)?;
    let unpacker = Unpacker::new(policy.clone()).with_limits(apply.judging.limits()).with_jobs(apply.working.jobs());
    // A layer from a pipe is verified first, from a copy.
    let scratch = match is_file {
        true => None,
        false => Some(scratch_beside(&directory, &apply.directory)?),
    };
    let around = Sandbox::for_policy(&policy).write(&directory);
    let sandboxed = sandbox.enter(scratch.iter().fold(around, Sandbox::write))?;
    let scratch = scratch.map(Scratch::beneath).transpose().map_err(Failure::read)?;
    let unpacker = scratch.into_iter().fold(unpacker, Unpacker::with_scratch);
    let ended = |error| Failure::ended(error, Left::Applied(apply.directory.clone()), &signals);
    let mut rootfs = Rootfs::over(&directory).map_err(ended)?;
    let mut session = unpacker.session().with_progress(Watcher::new(&signals, json));
    let applied = match is_file {
        true => session.apply(apply.known.expect(Layer::new(file).seekable()), &mut rootfs),
        false => {
            let waiting = signals.clone();
            let layer = Layer::new(signals.interrupt(file)).on_abandoned(move || waiting.leave_off());
            session.apply(apply.known.expect(layer), &mut rootfs)
        }
    };
    Ok(Done { report: applied.map_err(ended)?.into_report(), sandboxed, image: None })
}
