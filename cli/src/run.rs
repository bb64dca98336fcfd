//! Does what was asked for. Paths of this machine are opened here and nowhere below.

#![expect(clippy::disallowed_methods, reason = "whoever types a path has the authority over it")]

use crate::arguments::{Apply, Arguments, Command, Unpack};
use crate::rules;
use crate::tell::{Failure, Left};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::{Image, Layer, Report, Rootfs, Selector, Unpacker};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(crate) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    match &arguments.command {
        Command::Unpack(unpack) => run_unpack(unpack),
        Command::Apply(apply) => run_apply(apply),
        Command::Rules => match rules::print(&mut io::stdout().lock()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::open(Path::new("standard output"), error))
            }
            _ => Ok(Report::default()),
        },
    }
}

fn run_unpack(unpack: &Unpack) -> Result<Report, Failure> {
    let (parent, name) = split(&unpack.rootfs)?;
    let parent = open_directory(parent)?;
    let (directory, tag) = open_image(&unpack.image)?;
    let mut selector = Selector::host();
    if let Some(name) = unpack.reference.clone().or(tag) {
        selector = selector.reference(name);
    }
    let refused = |error| Failure::refused(error, Left::Nothing(unpack.rootfs.clone()));
    let image = Image::open_within(&directory, unpack.judging.limits()).map_err(refused)?;
    let selected = image.select(&selector).map_err(refused)?;
    selected.unpack_into(&parent, name, &unpack.judging.policy()).map_err(refused)
}

fn run_apply(apply: &Apply) -> Result<Report, Failure> {
    let directory = open_directory(&apply.directory)?;
    let reader: Box<dyn Read> = match apply.layer.as_os_str().as_bytes() {
        b"-" => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(&apply.layer).map_err(|error| Failure::open(&apply.layer, error))?),
    };
    let mut layer = Layer::new(reader);
    layer = apply.digest.into_iter().fold(layer, Layer::digest);
    layer = apply.size.into_iter().fold(layer, Layer::size);
    layer = apply.diff_id.into_iter().fold(layer, Layer::diff_id);
    let refused = |error| Failure::refused(error, Left::Applied(apply.directory.clone()));
    let mut rootfs = Rootfs::over(&directory).map_err(refused)?;
    let applied = Unpacker::new(apply.judging.policy())
        .limits(apply.judging.limits())
        .apply(layer, &mut rootfs)
        .map_err(refused)?;
    Ok(applied.into_report())
}

fn open_directory(path: &Path) -> Result<Dir, Failure> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| Failure::open(path, error))
}

/// The directory in which ROOTFS is to be made, and its name there.
fn split(rootfs: &Path) -> Result<(&Path, &OsStr), Failure> {
    match (rootfs.parent(), rootfs.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => Ok((Path::new("."), name)),
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Failure::usage(format!("{} names no directory that could be made", rootfs.display()))),
    }
}

/// Opens `DIR`, or `DIR:TAG` where no directory is called just so.
fn open_image(image: &Path) -> Result<(Dir, Option<String>), Failure> {
    let whole = Dir::open_ambient_dir(image, ambient_authority());
    let bytes = image.as_os_str().as_bytes();
    let tagged = bytes.iter().rposition(|&byte| byte == b':').and_then(|colon| {
        let (directory, tag) = (bytes.get(..colon)?, bytes.get(colon + 1..)?);
        let tag = std::str::from_utf8(tag).ok().filter(|tag| !tag.contains('/'))?;
        (!directory.is_empty()).then_some((Path::new(OsStr::from_bytes(directory)), tag))
    });
    match (whole, tagged) {
        (Ok(directory), _) => Ok((directory, None)),
        (Err(error), Some((directory, tag))) if error.kind() == io::ErrorKind::NotFound => {
            Ok((open_directory(directory)?, Some(tag.to_owned())))
        }
        (Err(error), _) => Err(Failure::open(image, error)),
    }
}
