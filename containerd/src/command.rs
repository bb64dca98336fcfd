//! The command: arguments to exit codes.

use crate::arguments::{Arguments, CheckConfig, Command, Named, Serve};
use crate::config::{Version, check, print};
use crate::policy::Policies;
use crate::{health, server};
use clap::Parser;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, ExitCode};
use std::{env, fs, path::Path};
use tracing::{error, warn};

/// Wrong usage, a version of containerd that cannot use a differ, or a policy file that is not valid.
const USAGE: u8 = 2;
/// A configuration of containerd that does not send every layer to this program.
const BYPASSED: u8 = 3;

/// Why a command did not do what it was asked for.
struct Failure {
    exit_code: u8,
    message: String,
}

/// A failure of the system.
impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { exit_code: 1, message }
    }
}

/// Runs the command.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => return serve(&arguments),
        Command::Health { socket } => health::ask(&socket).map_err(Failure::from),
        Command::CheckConfig(arguments) => check_config(&arguments),
        Command::CheckPolicy { file } => check_policy(&file),
        Command::PrintConfig { version, named, snapshotter } => print_config(&version, &named, &snapshotter),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { exit_code, message }) => {
            let _ = writeln!(io::stderr(), "layercage-differ: {message}");
            ExitCode::from(exit_code)
        }
    }
}

/// Serves. Its log is for machines, and so is the last line of it.
fn serve(arguments: &Serve) -> ExitCode {
    let log = tracing_subscriber::fmt().json().flatten_event(true).with_target(false).with_writer(io::stderr);
    // A log that cannot be written must not end the program: reporting that on standard error would be a panic.
    log.log_internal_errors(false).init();
    return_buffers();
    match server::serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            error!(reason, "the program cannot serve");
            ExitCode::FAILURE
        }
    }
}

fn check_policy(file: &Path) -> Result<(), Failure> {
    let text = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Policies::parse(&text).map_err(|why| usage(format!("{}: {why}", file.display())))?;
    say(&format!("ok: {} is valid\n", file.display()))
}

/// Starts this program again, as the same process, with an allocator that returns large buffers to the system at once: the
/// buffers of layers that ended would otherwise stay, some MiB for each thread. It reads its settings only at the start.
fn return_buffers() {
    const THRESHOLD: &str = "MALLOC_MMAP_THRESHOLD_";
    if env::var_os(THRESHOLD).is_some() {
        return;
    }
    let program = env::current_exe();
    let error = program
        .map(|program| process::Command::new(program).args(env::args_os().skip(1)).env(THRESHOLD, "131072").exec());
    let (Ok(error) | Err(error)) = error;
    warn!(%error, "the allocator keeps its settings");
}

fn check_config(arguments: &CheckConfig) -> Result<(), Failure> {
    let text = read(&arguments.file).map_err(|error| format!("{}: {error}", arguments.file.display()))?;
    let version = arguments.containerd_version.as_deref().map(Version::parse).transpose().map_err(usage)?;
    let checked =
        check(&text, version, &arguments.named).map_err(|why| usage(format!("{}: {why}", arguments.file.display())))?;
    let right = checked.right.iter().map(|right| format!("ok: {right}\n"));
    let notes = checked.notes.iter().map(|note| format!("note: {note}\n"));
    let problems = checked.problems.iter().map(|problem| format!("problem: {problem}\n"));
    say(&right.chain(notes).chain(problems).collect::<String>())?;
    say("note: this checks a file. A containerd that was started before the last change still uses the old one\n")?;
    match checked.problems.is_empty() {
        true => Ok(()),
        false => Err(Failure { exit_code: BYPASSED, message: "not every layer is sent to this program".to_owned() }),
    }
}

fn print_config(version: &str, named: &Named, snapshotters: &[String]) -> Result<(), Failure> {
    let version = Version::parse(version).map_err(usage)?;
    say(&print(version, named, snapshotters).map_err(usage)?)
}

fn usage(message: String) -> Failure {
    Failure { exit_code: USAGE, message }
}

fn say(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot write to standard output: {error}").into())
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    match file.as_os_str() == "-" {
        true => io::stdin().read_to_string(&mut text).map(|_| text),
        false => fs::read_to_string(file),
    }
}
