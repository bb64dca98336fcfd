//! Tests in a process of their own: for what is the process's (limits, umask, root), and not a thread's.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// The test binary itself, about to run one ignored test.
pub(crate) fn command(test: &str, variables: &[(&str, &OsStr)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.envs(variables.iter().copied());
    command
}

/// Runs it, and says whether it passed.
pub(crate) fn run(test: &str, variables: &[(&str, &OsStr)]) -> bool {
    let output = command(test, variables).stdin(Stdio::null()).output().unwrap();
    if !output.status.success() {
        eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}
