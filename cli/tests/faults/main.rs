//! Each system call of an `unpack`, an `apply` and an `overlay` fails in turn: the command ends with the right code and says what
//! failed, what was there is whole, and the next run leaves nothing of it.
//!
//! `strace` makes them fail. A few dozen runs are made always, all with `LAYERCAGE_FAULTS=all`, and all of one command with
//! its name in place of `all`.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../../corpus/build.rs"]
mod build;
mod file_systems;
mod job;
mod large;
mod layers;
mod short;
#[path = "../../../tests/it/skip.rs"]
mod skip;
mod tree;

use job::Job;
use skip::skip;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

/// Calls whose failure is none of ours: of the loader and the runtime, which abort, and those that cannot fail so.
const NOT_OURS: &[&str] = &[
    "arch_prctl",
    "brk",
    "execve",
    "exit",
    "exit_group",
    "getegid",
    "geteuid",
    "getpid",
    "gettid",
    "getuid",
    "futex",
    "getrandom",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
];

const ERRORS: [&str; 5] = ["EIO", "ENOSPC", "EINTR", "EMFILE", "ENOMEM"];

/// Calls that are made again when a signal interrupts them.
const RETRIED: &[&str] = &["openat", "read", "pread64", "write", "pwrite64", "ftruncate", "flock"];

/// The calls by which layers are read ahead of their turn.
const SPOOLING: &[&str] = &["fallocate", "fstatfs", "openat", "pread64", "pwrite64"];

/// How often each call is made, and how often before the work begins.
fn calls(job: &Job, jobs: &str) -> BTreeMap<String, (usize, usize)> {
    let place = job.place();
    let trace = place.path().join("trace");
    let output = strace(&["-f", "-o", trace.to_str().unwrap()], job, jobs, place.path());
    assert!(output.status.success(), "{output:?}");
    let trace = fs::read_to_string(trace).unwrap();
    let mut calls = BTreeMap::<String, (usize, usize)>::new();
    let mut works = false;
    for line in trace.lines() {
        // The first thing that the command itself opens.
        works |= line.contains(&format!("openat(AT_FDCWD, \"{}\"", job.opened_first()));
        let Some(call) = line.split_once(' ').and_then(|(_, rest)| rest.trim_start().split_once('(')) else { continue };
        if !call.0.is_empty() && call.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let (all, before) = calls.entry(call.0.to_owned()).or_default();
            *all += 1;
            *before += usize::from(!works);
        }
    }
    calls.retain(|name, _| !NOT_OURS.contains(&name.as_str()));
    calls
}

fn strace(options: &[&str], job: &Job, jobs: &str, place: &Path) -> Output {
    let mut command = Command::new("timeout");
    // What hangs is killed, and that is no exit code of ours.
    command.args(["-s", "KILL", "60", "strace"]).args(options).arg(COMMAND).args(job.arguments(jobs));
    command.current_dir(place).stdin(Stdio::null()).output().unwrap()
}

/// Moments at which a call fails: the first, the second, and further and further away from there.
fn moments(from: usize, to: usize) -> Vec<usize> {
    let (mut step, mut next, mut all) = (1, 2, vec![1]);
    while from + next <= to {
        all.push(next);
        (step, next) = (next, next + step);
    }
    all.into_iter().map(|moment| from + moment).filter(|moment| *moment <= to).collect()
}

#[derive(Default)]
struct Figures {
    calls: BTreeMap<String, usize>,
    runs: usize,
    failed: usize,
    wrong: Vec<String>,
}

/// Which calls fail, and how often.
#[derive(Clone, Copy)]
enum Extent<'a> {
    Whole,
    First,
    FirstOf(&'a [&'a str]),
    WholeOf(&'a [&'a str]),
}

fn sweep(job: &Job, jobs: &str, errors: &[&str], extent: Extent<'_>, figures: &mut Figures) {
    let expected = job.expected();
    let (most, only) = match extent {
        Extent::Whole => (usize::MAX, None),
        Extent::First => (1, None),
        Extent::FirstOf(calls) => (1, Some(calls)),
        Extent::WholeOf(calls) => (usize::MAX, Some(calls)),
    };
    for (call, (all, before)) in calls(job, jobs) {
        if only.is_some_and(|only| !only.contains(&call.as_str())) {
            continue;
        }
        for error in errors {
            for moment in moments(before, all).into_iter().take(most) {
                figures.runs += 1;
                *figures.calls.entry(call.clone()).or_default() += 1;
                let what = format!("{} --jobs {jobs}, {call} number {moment}: {error}", job.name());
                match run(job, jobs, &call, error, moment, &expected) {
                    Ok(code) => figures.failed += usize::from(code != 0),
                    Err(why) => {
                        eprintln!("{what}: {why}");
                        figures.wrong.push(format!("{what}: {why}"));
                    }
                }
            }
        }
    }
}

fn run(job: &Job, jobs: &str, call: &str, error: &str, moment: usize, expected: &tree::Tree) -> Result<i32, String> {
    let place = job.place();
    let before = job.empty(place.path());
    let inject = format!("inject={call}:error={error}:when={moment}");
    // Only the one call stops, so that a run takes hardly longer than it would.
    let trace = format!("trace={call}");
    let options = ["-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let output = strace(&options, job, jobs, place.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().ok_or_else(|| format!("{}: {said}", output.status))?;
    let is_there = job.is_done(place.path());
    match code {
        0 => {
            let differences = tree::differences(expected, &job.tree(place.path()));
            // What cannot be had is noted, where policy lets it.
            if !differences.is_empty() && !said.contains("note [") {
                return Err(format!("it is said to be done, but {differences:?}"));
            }
        }
        1 => {
            if error == "EINTR" && RETRIED.contains(&call) {
                return Err(format!("it was not tried again: {said}"));
            }
            // The work is done, and standard output does not take what it prints.
            let is_done = said.contains("but standard output does not take its report");
            if is_there != is_done {
                return Err(format!("what it makes is there, or not: {said}"));
            }
            let half_made = job.half_made(place.path(), expected);
            if !half_made.is_empty() {
                return Err(format!("it left a layer that is not whole: {half_made:?}: {said}"));
            }
            // Once the tree had the name, a new one is put back.
            let (before, after) = (before, job.empty(place.path()));
            if after != before && (call != "fsync" || after.map(|(_, rest)| rest) != before.map(|(_, rest)| rest)) {
                return Err(format!("the empty directory was {before:?} and is {after:?}: {said}"));
            }
            // The last line or two; what was noted may stand before.
            let line = said.lines().find(|line| !line.contains("note [")).unwrap_or_default();
            let names = [call, "\"", "/", "image", "layer", "root", "signals", "sandbox", "EROFS"];
            if !line.starts_with("layercage: ") || !names.iter().any(|name| line.contains(name)) {
                return Err(format!("it does not say what failed: {said}"));
            }
        }
        _ => return Err(format!("exit code {code}: {said}")),
    }
    // The next run makes of it what it should have been.
    job.clear_done(place.path());
    let again = Command::new(COMMAND).args(job.arguments("1")).current_dir(place.path()).output().unwrap();
    if !again.status.success() {
        return Err(format!("the next run fails: {}", String::from_utf8_lossy(&again.stderr)));
    }
    let differences = tree::differences(expected, &job.tree(place.path()));
    let litter = job.litter(place.path());
    match differences.is_empty() && litter.is_empty() {
        true => Ok(code),
        false => Err(format!("the next run leaves {litter:?} {differences:?}, after {code}: {said}")),
    }
}

fn has_strace() -> bool {
    let mut probe = Command::new("strace");
    probe.args(["-f", "-qqq", "-o", "/dev/null", "-e", "inject=getuid:error=EIO", "true"]);
    let works = probe.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success());
    if !works {
        skip("it needs strace, and the right to trace");
    }
    works
}

#[test]
fn every_system_call_may_fail() {
    if !has_strace() {
        return;
    }
    // Nobody else can look into the closed directories of the image to compare them; the file systems' tests run as
    // anybody.
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: what is left can only be compared by root");
        return;
    }
    let mut figures = Figures::default();
    let asked_for = std::env::var("LAYERCAGE_FAULTS").ok();
    let is_asked_for = |name: &str| asked_for.as_deref().is_some_and(|asked| asked == "all" || asked == name);
    if asked_for.is_some() {
        if is_asked_for(Job::Ahead.name()) {
            sweep(&Job::Ahead, "3", &ERRORS, Extent::WholeOf(SPOOLING), &mut figures);
        }
        let jobs = [Job::Apply, Job::Unpack, Job::Replace, Job::Overlay, Job::Erofs, Job::Layers];
        for job in jobs.into_iter().filter(|job| is_asked_for(job.name())) {
            sweep(&job, "3", &["EIO", "ENOMEM"], Extent::First, &mut figures);
            sweep(&job, "1", &ERRORS, Extent::Whole, &mut figures);
        }
    } else {
        sweep(&Job::Apply, "1", &["EIO"], Extent::First, &mut figures);
        let staging = ["mkdirat", "flock", "openat", "renameat2", "clone", "clone3"];
        sweep(&Job::Unpack, "2", &["ENOMEM"], Extent::FirstOf(&staging), &mut figures);
        sweep(&Job::Ahead, "3", &["EIO"], Extent::WholeOf(SPOOLING), &mut figures);
        let making = ["flock", "mkdirat", "mknodat", "openat", "renameat2", "unlinkat", "fsetxattr", "pwrite64"];
        sweep(&Job::Overlay, "2", &["EIO"], Extent::FirstOf(&making), &mut figures);
        let taking = ["syncfs", "renameat", "fsync"];
        sweep(&Job::Replace, "1", &["EIO"], Extent::FirstOf(&taking), &mut figures);
        sweep(&Job::Erofs, "1", &["ENOSPC"], Extent::First, &mut figures);
        sweep(&Job::Erofs, "1", &["EIO"], Extent::WholeOf(&["fsync"]), &mut figures);
        let writing = ["mkdirat", "openat", "ftruncate", "pwrite64", "syncfs", "renameat2", "fsync"];
        sweep(&Job::Layers, "1", &["ENOSPC"], Extent::FirstOf(&writing), &mut figures);
    }
    let Figures { calls, runs, failed, wrong } = figures;
    eprintln!("{} calls, {runs} runs, of which {failed} failed as they should: {calls:?}", calls.len());
    assert!(asked_for.is_some() || calls.contains_key("pwrite64"), "no layer was read ahead into a file");
    assert!(runs > 0, "`LAYERCAGE_FAULTS` names no command: {asked_for:?}");
    assert!(wrong.is_empty(), "{} of {runs}\n{}", wrong.len(), wrong.join("\n"));
}
