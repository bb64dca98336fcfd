//! `layercage list --images`: the images that an input holds.

use super::arguments::List;
use crate::input::{Taken, named, open_input, require_form};
use crate::opened::Opened;
use crate::report::Output;
use crate::sandbox::SandboxChoice;
use crate::tell::Failure;
use layercage::Expected;
use layercage::blob::LayerStream;
use layercage::error::Escaped;
use layercage::image::{ListedManifest, What};
use layercage::tar::TarReader;
use serde_json::json;
use std::io;

/// Prints the images of an input.
pub(super) fn run(list: &List, sandbox: SandboxChoice, json: bool) -> Result<(), Failure> {
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
            print(&manifests, Output::new(json)).map_err(Failure::output)
        }
    }
}

/// Prints the images of an input, one per line.
fn print(manifests: &[ListedManifest], mut output: Output) -> io::Result<()> {
    if output.is_json() {
        output.line(|| json!({"type": "input", "what": What::Image.name()}), String::new);
    }
    let digest = "sha256:".len() + 64;
    output.heading(|| {
        format!("{:<4} {:<11} {:<15} {:<digest$} {:<digest$} NAMES", "@N", "KIND", "PLATFORM", "MANIFEST", "IMAGE ID")
    });
    for listed in manifests {
        output.line(
            || json!(listed),
            || {
                let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                let platform = or_dash(listed.platform().map(ToString::to_string));
                let manifest = or_dash(listed.manifest_digest().map(ToString::to_string));
                let image_id = or_dash(listed.image_id().map(ToString::to_string));
                let names: Vec<_> = listed.names().map(|name| Escaped::new(name.as_bytes()).to_string()).collect();
                let names = or_dash(Some(names.join(", ")).filter(|names| !names.is_empty()));
                let position = format!("@{}", listed.position());
                let kind = listed.kind().name();
                let problem = listed.problem().map(|problem| format!(" ({problem:#})")).unwrap_or_default();
                format!(
                    "{position:<4} {kind:<11} {platform:<15} {manifest:<digest$} {image_id:<digest$} {names}{problem}"
                )
            },
        );
    }
    output.finish()
}
