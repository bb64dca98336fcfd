//! Runs the command. Only this file, `opened.rs` and `temporary.rs` open paths of this machine.

#![expect(clippy::disallowed_methods, reason = "the user who types a path has the authority over it")]

use crate::arguments::{Apply, Arguments, Bundle, Command, Input, List, Source};
use crate::bundle;
use crate::elsewhere;
use crate::filter;
use crate::opened::{Opened, Thing, is_reserved, open_directory};
use crate::progress::Watcher;
use crate::report::{self, Done, Findings, Judgement, Listing, Output, Seen};
use crate::rules;
use crate::sandbox::SandboxChoice;
use crate::signals::{self, Ignored, Signals};
use crate::tell::{self, Failure, Left, shown};
use crate::temporary::{explain_full, scratch, scratch_beside};
use layercage::audit::{Audit, Lower};
use layercage::blob::LayerStream;
use layercage::error::Escaped;
use layercage::image::{ImageForm, Scratch, What};
use layercage::sandbox::Sandbox;
use layercage::tar::TarReader;
use layercage::{Error, Expected, Image, Layer, Limits, Rootfs, Unpacker};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Runs the command and returns its exit code.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    signals::outlive_large_files().map_err(Failure::signals)?;
    let sandbox = SandboxChoice::asked_for(arguments);
    match &arguments.command {
        Command::Unpack(unpack) => {
            let into = Target::Rootfs(&unpack.rootfs);
            let done = run_unpack(&unpack.source, into, sandbox, arguments.json)?;
            noted(&done, arguments.json, || format!("{} is in place", shown(&unpack.rootfs)))
        }
        Command::Bundle(bundle) => {
            let done = run_unpack(&bundle.source, Target::Bundle(bundle), sandbox, arguments.json)?;
            noted(&done, arguments.json, || format!("{} is in place", shown(&bundle.directory)))
        }
        Command::Apply(apply) => {
            let done = run_apply(apply, sandbox, arguments.json)?;
            noted(&done, arguments.json, || format!("all of the layer is applied to {}", shown(&apply.directory)))
        }
        Command::Filter(filter) => filter::run(filter, sandbox, arguments.json, scratch).map(|()| 0),
        Command::Check(check) => {
            let policy = check.judging.policy().map_err(Failure::usage)?;
            let mut findings = Findings::new(Output::new(arguments.json), policy.clone());
            let limits = check.judging.limits();
            let audit = Audit::new(limits.clone()).with_policy(policy);
            let (audit, seen) = run_audit(&check.input, sandbox, &limits, audit, Tree::Seen, &mut findings)?;
            let refused = findings.summary(&audit, seen).map_err(Failure::output)?;
            Ok(if refused { 3 } else { 0 })
        }
        Command::List(list) if list.images => run_images(list, sandbox, arguments.json).map(|()| 0),
        Command::List(list) => {
            let mut listing = Listing::new(Output::new(arguments.json));
            let (limits, audit) = (list.limits(), Audit::new(list.limits()));
            run_audit(&list.input, sandbox, &limits, audit, Tree::Unseen, &mut listing)?;
            let refused = listing.finish().map_err(Failure::output)?;
            Ok(if refused { 3 } else { 0 })
        }
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

/// Whether an audit builds the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tree {
    Seen,
    Unseen,
}

/// Reads an image or a layer to its end. Returns how much was seen.
fn run_audit(
    input: &Input,
    sandbox: SandboxChoice,
    limits: &Limits,
    audit: Audit,
    tree: Tree,
    observer: &mut impl Judgement,
) -> Result<(Audit, Seen), Failure> {
    let over = |lower| match tree {
        Tree::Seen => audit.with_tree(lower),
        Tree::Unseen => audit,
    };
    let opened = Opened::find(&input.input)?;
    let selector = input.selection.selector(opened.tag.as_deref()).map_err(Failure::usage)?;
    let form = opened.form;
    let image = match open_input(input, opened, sandbox, limits)? {
        Taken::Image(image) => *image,
        Taken::Layer(file) => {
            observer.taken_for(What::Layer);
            let mut audit = over(Lower::Unknown);
            audit.layer(Layer::new(file), observer).map_err(Failure::read)?;
            return Ok(seen(audit, Seen::Layer));
        }
    };
    let found = if image.is_ok() || input.taken_for.is_some() { Seen::Image } else { Seen::NoImage };
    let image = require_form(image, form, &input.input)?;
    observer.taken_for(What::Image);
    let mut audit = over(Lower::Nothing);
    match image.and_then(|image| image.select(&selector)) {
        Ok(selected) => audit.image(&selected, observer).map_err(Failure::read)?,
        Err(error) => audit.refusal(error, observer).map_err(Failure::read)?,
    }
    Ok(seen(audit, found))
}

/// How an input is read.
enum Taken {
    /// An image, or what looks like one and cannot be opened.
    Image(Box<Result<Image, Error>>),
    Layer(File),
}

/// Opens an input for reading, in the sandbox.
fn open_input(input: &Input, opened: Opened, sandbox: SandboxChoice, limits: &Limits) -> Result<Taken, Failure> {
    let Opened { thing, tag, form } = opened;
    let is_stream = matches!(thing, Thing::Stream(_));
    let image = match thing {
        Thing::Directory(_) if input.taken_for == Some(What::Layer) => {
            return Err(layer_is_directory(&input.input));
        }
        Thing::Directory(directory) => {
            sandbox.enter(Sandbox::for_reading().read(&directory))?;
            Image::open_within(&directory, limits.clone())
        }
        Thing::File(file) | Thing::Stream(file) => {
            // No file can be created in the sandbox, so the temporary files for a pipe or a compressed archive are
            // created before.
            let (kept, spare) = (scratch(), scratch());
            sandbox.enter(Sandbox::for_reading())?;
            let file = match is_stream {
                true => kept.and_then(|kept| kept.keep(file, limits).map_err(explain_full)).map_err(Failure::read)?,
                false => file,
            };
            if what_is(&file, input, (tag.as_deref(), form), limits)? == What::Layer {
                return Ok(Taken::Layer(file));
            }
            Image::open_archive(file, || spare, limits.clone()).map_err(explain_full)
        }
    };
    Ok(Taken::Image(Box::new(image)))
}

/// Checks that an image has the form that the prefix of its path names.
fn require_form(
    image: Result<Image, Error>,
    form: Option<ImageForm>,
    path: &Path,
) -> Result<Result<Image, Error>, Failure> {
    let (Ok(image), Some(wanted)) = (&image, form) else { return Ok(image) };
    let has = |form: ImageForm| image.has_form(form).map_err(Failure::read);
    if has(wanted)? {
        return Ok(Ok(image.clone()));
    }
    for form in ImageForm::ALL {
        if has(*form)? {
            let path = named(path);
            return Err(Failure::usage(format!("{path} holds no image in the form `{wanted}:`, but one in `{form}:`")));
        }
    }
    Err(Failure::usage(format!("{} holds no image in the form `{wanted}:`", named(path))))
}

/// Prints the images of an input.
fn run_images(list: &List, sandbox: SandboxChoice, json: bool) -> Result<(), Failure> {
    let (input, limits) = (&list.input, list.limits());
    let opened = Opened::find(&input.input)?;
    let choice = match input.taken_for {
        Some(What::Layer) => Some("`--as layer`".to_owned()),
        _ => input.selection.asks_for(opened.tag.as_deref()),
    };
    if let Some(choice) = choice {
        return Err(Failure::usage(format!("{choice} contradicts `--images`, which lists all images there are")));
    }
    let form = opened.form;
    match open_input(input, opened, sandbox, &limits)? {
        Taken::Layer(file) => {
            // What is not a layer either is called by its name.
            let stream = LayerStream::open(file, Expected::unchecked(), &limits).map_err(Failure::read)?;
            TarReader::new(stream, &limits).next_entry().map_err(Failure::read)?;
            let failure = Failure::usage(format!("{} is a layer, not the archive of an image", named(&input.input)));
            Err(failure.with_help("without `--images`, `list` prints the changes of a layer".to_owned()))
        }
        Taken::Image(image) => {
            let image = require_form(*image, form, &input.input)?;
            let manifests = image.and_then(|image| image.manifests()).map_err(Failure::read)?;
            report::images(&manifests, Output::new(json)).map_err(Failure::output)
        }
    }
}

/// Whether a file is read as an image or as a layer. Options that select an image are an error for a layer: the author of
/// the file decides what it looks like, and must not be able to disable them.
fn what_is(
    file: &File,
    input: &Input,
    (tag, form): (Option<&str>, Option<ImageForm>),
    limits: &Limits,
) -> Result<What, Failure> {
    let what = match input.taken_for {
        Some(what) => what,
        None => What::of(file, limits).map_err(Failure::read)?,
    };
    let name = named(&input.input);
    let asked = input.selection.asks_for(tag).map(|option| format!("{option} says which image of {name} is meant"));
    let asked = asked.or_else(|| form.map(|form| format!("`{form}:` says that {name} is an image")));
    match asked {
        Some(asked) if what == What::Layer => {
            let because = match input.taken_for {
                Some(_) => "`--as layer` makes it a layer",
                None => "it is not the archive of an image",
            };
            Err(Failure::usage(format!("{asked}, and {because}; nothing was judged")))
        }
        _ => Ok(what),
    }
}

/// The failure for a directory that is to be read as a layer.
fn layer_is_directory(path: &Path) -> Failure {
    Failure::usage(format!("{} is a directory, and a layer is a file", named(path))).with_help(
        "`layercage unpack` takes the directory of an image; `tar -C DIR -cf FILE .` makes a layer of files".to_owned(),
    )
}

/// The name of an input in messages.
fn named(path: &Path) -> String {
    match path.as_os_str().as_bytes() {
        b"-" => "standard input".to_owned(),
        name => Escaped::new(name).to_string(),
    }
}

fn seen(audit: Audit, all: Seen) -> (Audit, Seen) {
    let seen = if audit.has_seen_tree() { all } else { all.without_tree() };
    (audit, seen)
}

/// What an image is unpacked as.
#[derive(Clone, Copy)]
enum Target<'a> {
    Rootfs(&'a Path),
    Bundle(&'a Bundle),
}

impl<'a> Target<'a> {
    fn path(self) -> &'a Path {
        match self {
            Self::Rootfs(path) => path,
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
    let Opened { thing, tag, form } = Opened::find(&source.image)?;
    let selector = source.selection.selector(tag.as_deref()).map_err(Failure::usage)?;
    let ignored = Ignored::find_out();
    let limits = source.judging.limits();
    let around = Sandbox::for_policy(&policy).write(&parent);
    let is_stream = matches!(thing, Thing::Stream(_));
    let (sandboxed, image) = match thing {
        Thing::Directory(directory) => {
            (sandbox.enter(around.read(&directory))?, Image::open_within(&directory, limits))
        }
        // Temporary files are beside the target, where there has to be room anyway. A pipe is not inspected first: what is
        // not an image is refused, and a compressed image is copied only once.
        Thing::File(archive) | Thing::Stream(archive) => {
            let sandboxed = sandbox.enter(around)?;
            let is_middle = is_stream && archive.metadata().is_ok_and(|metadata| metadata.is_file());
            let archive = match is_middle {
                true => Scratch::beneath(&parent).and_then(|scratch| scratch.keep(archive, &limits)),
                false => Ok(archive),
            };
            let open = |archive| Image::open_archive(archive, || Scratch::beneath(&parent), limits);
            (sandboxed, archive.and_then(open))
        }
    };
    let image = require_form(image, form, &source.image)?;
    let selected = image.and_then(|image| image.select(&selector));
    let selected = selected.map_err(|error| Failure::refused(error, left()))?;
    // Before this line there is nothing to clean up.
    let signals = Signals::catch(ignored).map_err(Failure::signals)?;
    let ended = |error| Failure::ended(error, left(), &signals);
    let unpacker = Unpacker::new(policy).with_limits(source.judging.limits()).with_jobs(source.working.jobs());
    let session = || unpacker.session().with_progress(Watcher::new(&signals, json));
    let report = match target {
        Target::Rootfs(_) => session().unpack(&selected, &parent, name).map_err(ended)?,
        Target::Bundle(bundle) => {
            let accounts = bundle::accounts(&mut session(), &selected).map_err(ended)?;
            let config = bundle::config(&selected, &accounts, bundle)?;
            session().unpack_bundle(&selected, &parent, name, &config).map_err(ended)?
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
        b"-" => io::stdin().as_fd().try_clone_to_owned().map(File::from),
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

/// The parent directory of ROOTFS, and its name there.
fn split(rootfs: &Path) -> Result<(&Path, &OsStr), Failure> {
    match (rootfs.parent(), rootfs.file_name()) {
        (_, Some(_)) if is_reserved(rootfs) => Err(Failure::reserved(rootfs)),
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => Ok((Path::new("."), name)),
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Failure::usage(format!(
            "{} names no directory that could be made or replaced; give its name in the directory above it",
            shown(rootfs)
        ))),
    }
}
