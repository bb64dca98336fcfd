//! The command `layercage`: unpacks container images and applies single layers, safely.

mod arguments;
mod report;
mod rules;
mod run;
mod tell;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(run::run(&arguments::Arguments::parse()).unwrap_or_else(|failure| {
        tell::failure(&failure);
        failure.exit_code()
    }))
}
