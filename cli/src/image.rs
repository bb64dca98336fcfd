//! Selects the image that a command works on, in the sandbox.

use crate::arguments::Source;
use crate::input::require_form;
use crate::opened::{Opened, Thing};
use crate::sandbox::SandboxChoice;
use crate::tell::Failure;
use layercage::sandbox::{Sandbox, SandboxStatus};
use layercage::{Error, Image, Limits, Scratch, Selected};

/// Enters the sandbox `around` the command, and selects the image. Temporary files are created in the sandbox.
pub(crate) fn select_image(
    source: &Source,
    opened: Opened,
    sandbox: SandboxChoice,
    around: Sandbox<'_>,
    scratch: Scratch,
) -> Result<(Option<SandboxStatus>, Result<Selected, Error>), Failure> {
    let Opened { thing, tag, form } = opened;
    let selector = source.selection.selector(tag.as_deref()).map_err(Failure::usage)?;
    let (sandboxed, image) = open_image(thing, sandbox, around, &source.judging.limits(), scratch)?;
    let image = require_form(image, form, &source.image)?;
    Ok((sandboxed, image.and_then(|image| image.select(&selector))))
}

/// A pipe is not inspected first: what is not an image is refused, and a compressed image is copied only once.
fn open_image(
    thing: Thing,
    sandbox: SandboxChoice,
    around: Sandbox<'_>,
    limits: &Limits,
    scratch: Scratch,
) -> Result<(Option<SandboxStatus>, Result<Image, Error>), Failure> {
    let is_stream = matches!(thing, Thing::Stream(_));
    let archive = match thing {
        Thing::Directory(directory) => {
            let sandboxed = sandbox.enter(around.read(&directory))?;
            return Ok((sandboxed, Image::open_within(&directory, limits.clone())));
        }
        Thing::File(archive) | Thing::Stream(archive) => archive,
    };
    let sandboxed = sandbox.enter(around)?;
    let is_middle = is_stream && archive.metadata().is_ok_and(|metadata| metadata.is_file());
    let archive = if is_middle { scratch.keep(archive, limits) } else { Ok(archive) };
    Ok((sandboxed, archive.and_then(|archive| Image::open_archive(archive, scratch, limits.clone()))))
}
