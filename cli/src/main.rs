//! The command `layercage`: unpacks container images and applies single layers, safely.

mod arguments;
mod auditing;
mod bundle;
mod cache;
mod elsewhere;
mod erofs;
mod erofs_layers;
mod explain;
mod export;
mod filter;
mod id_maps;
mod image;
mod input;
mod json;
mod judging;
mod list;
mod only;
mod opened;
mod overlay;
mod progress;
mod remedy;
mod report;
mod rules;
mod run;
mod sandbox;
mod selection;
mod signals;
mod standard;
mod tell;
mod temporary;
mod used_store;
mod verity;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(tell::unparsed(&error)),
    };
    ExitCode::from(run::run(&arguments).unwrap_or_else(|failure| {
        tell::failure(&failure, arguments.json);
        if let tell::Failure::Signalled { signal, .. } = failure {
            signal.end();
        }
        failure.exit_code()
    }))
}
