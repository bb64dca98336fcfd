//! The command `layercage`: unpacks container images and applies single layers, safely.

mod arguments;
mod rules;
mod run;
mod tell;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    match run::run(&arguments) {
        Ok(report) => {
            tell::notes(&report);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tell::failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
