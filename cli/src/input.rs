//! Opens an image or a layer for reading, in the sandbox.

use crate::opened::{Opened, Thing};
use crate::sandbox::SandboxChoice;
use crate::selection::Input;
use crate::tell::Failure;
use crate::temporary::{explain_full, scratch};
use layercage::error::Escaped;
use layercage::image::{ImageForm, What};
use layercage::sandbox::Sandbox;
use layercage::{Error, Image, Limits};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How an input is read.
pub(crate) enum Taken {
    /// An image, or what looks like one and cannot be opened.
    Image(Box<Result<Image, Error>>),
    Layer(File),
}

/// Opens an input for reading, in the sandbox.
pub(crate) fn open_input(
    input: &Input,
    opened: Opened,
    sandbox: SandboxChoice,
    limits: &Limits,
) -> Result<Taken, Failure> {
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
            let temporary = scratch(2);
            sandbox.enter(Sandbox::for_reading())?;
            let file = match is_stream {
                true => temporary.keep(file, limits).map_err(explain_full).map_err(Failure::read)?,
                false => file,
            };
            if what_is(&file, input, (tag.as_deref(), form), limits)? == What::Layer {
                return Ok(Taken::Layer(file));
            }
            Image::open_archive(file, temporary, limits.clone()).map_err(explain_full)
        }
    };
    Ok(Taken::Image(Box::new(image)))
}

/// Checks that an image has the form that the prefix of its path names.
pub(crate) fn require_form(
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
pub(crate) fn layer_is_directory(path: &Path) -> Failure {
    Failure::usage(format!("{} is a directory, and a layer is a file", named(path))).with_help(
        "`layercage unpack` takes the directory of an image; `tar -C DIR -cf FILE .` makes a layer of files".to_owned(),
    )
}

/// The name of an input in messages.
pub(crate) fn named(path: &Path) -> String {
    match path.as_os_str().as_bytes() {
        b"-" => "standard input".to_owned(),
        name => Escaped::new(name).to_string(),
    }
}
