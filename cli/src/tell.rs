//! Messages: one line that says what is wrong and where, and a second line that says what to do.

use crate::arguments::Arguments;
use crate::only::Unmatched;
use crate::remedy;
use crate::signals::{Signal, Signals};
use crate::standard;
use clap::Parser as _;
use clap::error::ErrorKind;
use layercage::audit::Finding;
use layercage::error::{Effect, Escaped};
use layercage::{Error, Report};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is left on disk when something fails.
#[derive(Debug)]
pub(crate) enum Left {
    /// The target was not made.
    Nothing(PathBuf),
    /// What was applied before stays.
    Applied(PathBuf),
    /// Layers that are complete stay in the store.
    Layers(PathBuf),
    /// What was written to standard output before is there, and is no whole archive.
    Truncated,
    /// What was written to this pipe or device before is there, and is no whole archive.
    Streamed(PathBuf),
    /// A part of the archive was written.
    Cut,
    /// No whole entry was written to standard output.
    Stub,
    /// Nothing was written to standard output yet.
    Unwritten,
    /// Nothing was to be written.
    NotAsked,
}

impl Left {
    /// The sentence, which begins in lower case.
    fn sentence(&self, effect: Effect) -> Option<String> {
        match self {
            Self::NotAsked => None,
            Self::Stub => Some(
                "no whole entry was written, and the output is truncated so that no reader takes it for an archive"
                    .to_owned(),
            ),
            Self::Unwritten => Some("nothing was written to standard output".to_owned()),
            Self::Truncated if effect == Effect::None => Some("nothing was written to standard output".to_owned()),
            Self::Streamed(path) if effect == Effect::None => Some(format!("nothing was written to {}", shown(path))),
            Self::Truncated | Self::Streamed(_) | Self::Cut => {
                Some("what was written before that is truncated, and must not be used".to_owned())
            }
            Self::Layers(path) => Some(format!("layers that were complete before that stay in {}", shown(path))),
            Self::Nothing(path) => Some(format!("nothing was written to {}", shown(path))),
            Self::Applied(path) if effect == Effect::None => Some(format!("nothing was changed in {}", shown(path))),
            Self::Applied(path) => Some(format!("what was applied before that stays in {}", shown(path))),
        }
    }
}

/// Why the command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the library.
    Refused { error: Box<Error>, left: Left },
    /// A signal cancelled the work.
    Signalled { signal: Signal, effect: Effect, left: Left },
    /// A path of this machine that cannot be opened.
    Open { path: PathBuf, error: io::Error, help: Option<String> },
    /// Standard output cannot be written to.
    Output(io::Error),
    /// The work is done, but the report cannot be written to standard output.
    Report { done: String, error: io::Error },
    /// Signals cannot be caught.
    Signals(io::Error),
    /// Setting up the sandbox failed, though the kernel supports it.
    Sandbox(Box<Error>),
    /// Arguments that make no sense.
    Usage { message: String, help: Option<String> },
}

impl Failure {
    pub(crate) fn refused(error: Error, left: Left) -> Self {
        Self::Refused { error: Box::new(error), left }
    }

    /// The same, if a signal may have been the reason.
    pub(crate) fn ended(error: Error, left: Left, signals: &Signals) -> Self {
        match signals.ended(&error) {
            Some(signal) => Self::Signalled { signal, effect: error.effect(), left },
            None => Self::refused(error, left),
        }
    }

    /// The same failure, after which something else is left.
    pub(crate) fn leaving(mut self, other: Left) -> Self {
        if let Self::Refused { left, .. } | Self::Signalled { left, .. } = &mut self {
            *left = other;
        }
        self
    }

    pub(crate) fn read(error: Error) -> Self {
        Self::refused(error, Left::NotAsked)
    }

    pub(crate) fn output(error: io::Error) -> Self {
        Self::Output(error)
    }

    /// `done` says what was done.
    pub(crate) fn report(done: String, error: io::Error) -> Self {
        Self::Report { done, error }
    }

    pub(crate) fn open(path: &Path, error: io::Error) -> Self {
        Self::Open { path: path.to_owned(), error, help: None }
    }

    pub(crate) fn signals(error: io::Error) -> Self {
        Self::Signals(error)
    }

    pub(crate) fn sandbox(error: Error) -> Self {
        Self::Sandbox(Box::new(error))
    }

    pub(crate) fn usage(message: String) -> Self {
        Self::Usage { message, help: None }
    }

    /// A pattern of the user that matches nothing.
    pub(crate) fn unmatched(Unmatched { message, help }: Unmatched) -> Self {
        Self::Usage { message, help }
    }

    /// Adds what to do about a path that cannot be opened, or about wrong usage.
    pub(crate) fn with_help(mut self, text: String) -> Self {
        if let Self::Open { help, .. } | Self::Usage { help, .. } = &mut self {
            *help = Some(text);
        }
        self
    }

    /// A directory has a name that is reserved for layercage's own directories, which the next run might remove.
    pub(crate) fn reserved(path: &Path) -> Self {
        let name = layercage::error::Escaped::new(path.as_os_str().as_bytes());
        Self::usage(format!("{name} has a name that layercage gives to its own directories; choose another one"))
    }

    fn line(&self) -> String {
        match self {
            Self::Usage { message, .. } => message.clone(),
            Self::Output(error) => format!("cannot write to standard output: {error}"),
            Self::Report { done, error } => format!("{done}, but standard output does not take its report: {error}"),
            Self::Signals(error) => format!("cannot catch signals: {error}"),
            Self::Open { path, error, .. } => format!("cannot open {}: {error}", shown(path)),
            Self::Refused { error, .. } => format!("{error:#}"),
            Self::Signalled { signal, .. } => format!("ended by {}", signal.name()),
            Self::Sandbox(error) => format!("cannot set up the sandbox: {error:#}"),
        }
    }

    /// What to do about a failure that is not an error of the library.
    fn help(&self) -> Option<&str> {
        match self {
            Self::Sandbox(_) => Some("`--no-sandbox` does without it. Nothing was read or written"),
            Self::Open { help, .. } | Self::Usage { help, .. } => help.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { error, .. } => remedy::exit_code(error),
            Self::Signalled { signal, .. } => signal.exit_code(),
            Self::Sandbox(error) => remedy::exit_code(error),
            Self::Open { .. } | Self::Output(_) | Self::Report { .. } | Self::Signals(_) => 1,
            Self::Usage { .. } => 2,
        }
    }
}

/// Prints why the command failed, as two lines or as a JSON object.
pub(crate) fn failure(failure: &Failure, json: bool) {
    match failure {
        Failure::Refused { error, .. } if json => say_object(&error_object(error)),
        _ if json => say_object(&object(failure)),
        Failure::Refused { error, left } => {
            let left = left.sentence(error.effect());
            match remedy::of_error(error) {
                Some(help) => {
                    let help: Vec<_> = [help].into_iter().chain(left.map(|left| capitalised(&left))).collect();
                    say(&format_args!("layercage: {}", failure.line()));
                    say(&format_args!("layercage: help: {}", help.join(". ")));
                }
                None => say_with(&failure.line(), left),
            }
        }
        Failure::Signalled { effect, left, .. } => say_with(&failure.line(), left.sentence(*effect)),
        _ => {
            say(&format_args!("layercage: {}", failure.line()));
            if let Some(help) = failure.help() {
                say(&format_args!("layercage: help: {help}"));
            }
        }
    }
}

/// Prints an error that needs no help, and what is left.
fn say_with(line: &str, left: Option<String>) {
    let left = left.map(|left| format!("; {left}")).unwrap_or_default();
    say(&format_args!("layercage: {line}{left}"));
}

fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

/// An error of the library as JSON: its own object, with the exit code and what to do.
pub(crate) fn error_object(error: &Error) -> Value {
    let mut object = json!(error);
    if let Value::Object(members) = &mut object {
        members.insert("exit_code".to_owned(), json!(remedy::exit_code(error)));
        members.extend(remedy::of_error(error).map(|help| ("help".to_owned(), json!(help))));
    }
    object
}

/// A failure that is not an error of the library, as JSON.
fn object(failure: &Failure) -> Value {
    let mut object = json!({"type": "error", "exit_code": failure.exit_code(), "message": failure.line()});
    if let (Some(help), Value::Object(members)) = (failure.help(), &mut object) {
        members.insert("help".to_owned(), json!(help));
    }
    object
}

/// Prints a violation. `help` says what to do about it, if that was not printed before.
pub(crate) fn refusal(finding: &Finding, help: Option<&str>, json: bool) {
    match json {
        true => say_object(&error_object(&Error::from(finding.rule.clone()).at(finding.position.clone()))),
        false => {
            say(&format_args!("layercage: refused {finding}"));
            help.into_iter().for_each(|help| say(&format_args!("layercage: help: {help}")));
        }
    }
}

/// Prints what is wrong with the arguments, or the help that they ask for. Returns the exit code.
pub(crate) fn unparsed(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        // A reader that closed the pipe needs no more.
        let printed = match io::stdout().is_terminal() {
            true => error.print(),
            false => standard::output().write_all(error.to_string().as_bytes()),
        };
        return match printed {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let failed = Failure::output(error);
                failure(&failed, false);
                failed.exit_code()
            }
            _ => u8::try_from(error.exit_code()).unwrap_or(2),
        };
    }
    let text = unparsed_text(error, std::env::args_os());
    // The arguments are not parsed, so `--json` is looked for here.
    match std::env::args_os().any(|argument| argument == "--json") {
        true => {
            let message = text.trim_start_matches("error: ");
            say_object(&json!({"type": "error", "exit_code": 2, "message": message}));
        }
        false => say(&text),
    }
    u8::try_from(error.exit_code()).unwrap_or(2)
}

/// What is wrong with the arguments. They are escaped in the message, as everywhere else.
fn unparsed_text(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> String {
    let arguments: Vec<_> = arguments.map(|argument| shown(Path::new(&argument))).collect();
    // The parser takes it for an option.
    if let Some(tag) = arguments.iter().find_map(|argument| argument.strip_prefix("-:"))
        && error.kind() == ErrorKind::UnknownArgument
    {
        return format!("error: {}", no_tag(tag));
    }
    // The escaped arguments are parsed again. They fail in the same way, unless the escaped bytes were the problem.
    let text = match Arguments::try_parse_from(arguments) {
        Err(again) if again.kind() == error.kind() => again.to_string(),
        _ => error.to_string(),
    };
    let is_text = |char: char| char == '\n' || !char.is_control();
    text.trim_end().chars().map(|char| if is_text(char) { char } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Says that standard input takes no tag.
pub(crate) fn no_tag(tag: &str) -> String {
    format!("standard input takes no tag behind `-`; `--ref {tag} -` selects by name")
}

/// A path or another argument in a message: whole, with everything escaped that could control a terminal. Others may have
/// chosen it (the name of a download, for example), and the user only completed it with a key.
pub(crate) fn shown(path: &Path) -> String {
    Escaped::whole(path.as_os_str().as_bytes()).unquoted()
}

/// Prints one line for each noted rule: how often it was noted, and where first.
pub(crate) fn notes(report: &Report) {
    for (id, count) in report.counts() {
        let Some(first) = report.notes().iter().find(|note| note.quirk.id() == id) else { continue };
        let times = if count == 1 { String::new() } else { format!(" ({count} times, this is the first)") };
        say(&format_args!("layercage: note {first}{times}"));
    }
}

/// Prints notes that no object has. Standard error has objects alone with `--json`.
pub(crate) fn say_notes(notes: &[String], json: bool) {
    notes.iter().filter(|_| !json).for_each(|note| say(&format_args!("layercage: note: {note}")));
}

/// Writes a line to standard error. If that fails, the exit code still tells; `eprintln!` would panic.
pub(crate) fn say(line: &dyn Display) {
    let _ = standard::error().write_all(format!("{line}\n").as_bytes());
}

/// Writes an object to standard error.
pub(crate) fn say_object(object: &Value) {
    let _ = standard::error().write_all(&crate::json::line(object));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_that_fails_names_the_option_that_disables_it_in_json_too() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let failure = Failure::sandbox(Error::system("capset", b"", error));
        assert!(failure.help().is_some_and(|help| help.contains("--no-sandbox")));
        assert_eq!(object(&failure)["help"], json!(failure.help()));
        assert_eq!(object(&Failure::usage("both".to_owned())).get("help"), None);
    }
}
