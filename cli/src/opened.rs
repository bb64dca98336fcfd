//! Opening of inputs.

#![expect(clippy::disallowed_methods, reason = "the user who types a path has the authority over it")]

use crate::elsewhere;
use crate::tell::{self, Failure, shown};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt as _};
use layercage::error::Escaped;
use layercage::image::ImageForm;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// An image or a layer that the user named.
pub(crate) struct Opened {
    pub(crate) thing: Thing,
    pub(crate) tag: Option<String>,
    /// The form that stands in front of the path, as skopeo writes it (`oci:PATH:TAG`).
    pub(crate) form: Option<ImageForm>,
}

pub(crate) enum Thing {
    Directory(Dir),
    /// What can be read here and there, from its first byte.
    File(File),
    /// What can be read once only: a pipe, say.
    Stream(File),
}

/// Directories in the directory of an image.
const PARTS: &[&str] = &["blobs", "blobs/sha256", "blobs/sha512"];

impl Opened {
    /// Opens an input. `-` is standard input. If nothing has the name `path`, a part of it before a colon is the name, and
    /// the rest is a tag, which may contain colons and slashes.
    ///
    /// A path may begin with one of skopeo's words. A file whose name includes the word comes first. The word alone comes
    /// last: `oci:latest` is the tag `latest` of a directory `oci` only if nothing is called `latest`.
    pub(crate) fn find(path: &Path) -> Result<Self, Failure> {
        let bytes = path.as_os_str().as_bytes();
        if let Some(found) = Self::find_named(bytes)? {
            return match found.tag.as_deref().and_then(|tag| elsewhere::before_digest(tag.as_bytes())) {
                Some(_) => Err(elsewhere::digest_behind(path)),
                None => Ok(found),
            };
        }
        if let Some(name) = elsewhere::before_digest(bytes)
            && Self::find_named(name)?.is_some()
        {
            return Err(elsewhere::digest_behind(path));
        }
        if let Some(tag) = bytes.strip_prefix(b"-:") {
            return Err(Failure::usage(tell::no_tag(&Escaped::whole(tag).unquoted())));
        }
        Err(elsewhere::failure(path).unwrap_or_else(|| {
            let nowhere = Self::open(path).err().unwrap_or_else(|| io::ErrorKind::NotFound.into());
            Failure::open(path, nowhere).with_help(
                "give the path of a file or directory; `skopeo copy docker://NAME oci:DIR` fetches an image from a \
                 registry"
                    .to_owned(),
            )
        }))
    }

    fn find_named(bytes: &[u8]) -> Result<Option<Self>, Failure> {
        let (form, rest) = match split_at(bytes, bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len())) {
            Some((word, rest)) => {
                (std::str::from_utf8(word).ok().and_then(|word| word.parse::<ImageForm>().ok()), rest)
            }
            None => (None, bytes),
        };
        // How long the word alone is.
        let word = if form.is_some() { bytes.len() - rest.len() - 1 } else { 0 };
        if let Some(found) = Self::named(bytes, word, None)? {
            return Ok(Some(found));
        }
        let Some(form) = form else { return Ok(None) };
        match Self::named(rest, 0, Some(form))? {
            Some(found) => Ok(Some(found)),
            None => Self::tagged(bytes, word, None),
        }
    }

    /// Opens what is called so, or like a part before a colon that is longer than `shortest`; `None` when there is
    /// nothing.
    fn named(bytes: &[u8], shortest: usize, form: Option<ImageForm>) -> Result<Option<Self>, Failure> {
        let path = Path::new(OsStr::from_bytes(bytes));
        if bytes == b"-" {
            let file = standard_input()?;
            let thing = Self::thing_of_stream(file).map_err(|error| Failure::open(path, error))?;
            return Ok(Some(Self { thing, tag: None, form }));
        }
        if let Some(thing) = Self::existing(path)? {
            return Ok(Some(Self { thing, tag: None, form }));
        }
        // A directory of blobs holds one image, which has no name.
        if form == Some(ImageForm::Dir) {
            return Ok(None);
        }
        let colons = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b':').map(|(colon, _)| colon);
        for colon in colons.filter(|colon| *colon > shortest) {
            if let Some(found) = Self::tagged(bytes, colon, form)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Opens what is called like the part before this colon; `None` when there is nothing.
    fn tagged(bytes: &[u8], colon: usize, form: Option<ImageForm>) -> Result<Option<Self>, Failure> {
        let Some((name @ [_, ..], tag)) = split_at(bytes, colon) else { return Ok(None) };
        let (name, Ok(tag)) = (Path::new(OsStr::from_bytes(name)), std::str::from_utf8(tag)) else { return Ok(None) };
        let found = Self::existing(name)?;
        Ok(found.map(|thing| Self { thing, tag: Some(tag.to_owned()), form }))
    }

    /// Refuses an output that is the image, or that lies in the directory of the image: the image would be replaced, or a
    /// file appear in it.
    pub(crate) fn refuse_as_output(&self, output: &Path) -> Result<(), Failure> {
        let image = match &self.thing {
            Thing::Directory(directory) => directory.try_clone().map(Dir::into_std_file),
            Thing::File(file) | Thing::Stream(file) => file.try_clone(),
        };
        let image = image.and_then(|image| image.metadata()).map_err(|error| Failure::open(output, error))?;
        let mut parts = vec![(image.dev(), image.ino())];
        let is_one_of = |parts: &[(u64, u64)], path: &Path| {
            std::fs::metadata(path).is_ok_and(|there| parts.contains(&(there.dev(), there.ino())))
        };
        let is_image = is_one_of(&parts, output);
        // Another mount may show a directory of the image without those above it.
        if let Thing::Directory(directory) = &self.thing {
            let inside = PARTS.iter().filter_map(|part| directory.metadata(part).ok());
            parts.extend(inside.map(|part| (part.dev(), part.ino())));
        }
        let (parent, _) = split(output)?;
        // A parent that does not exist is an error of its own, later.
        let is_in_image = std::fs::canonicalize(parent)
            .is_ok_and(|parent| parent.ancestors().any(|parent| is_one_of(&parts, parent)));
        match (is_image, is_in_image) {
            (true, _) => Err(Failure::usage(format!("{} is the image, and would be replaced", shown(output)))),
            (_, true) => Err(Failure::usage(format!("{} lies in the directory of the image", shown(output)))),
            (false, false) => return Ok(()),
        }
        .map_err(|failure| failure.with_help("give the name of a file elsewhere".to_owned()))
    }

    fn existing(path: &Path) -> Result<Option<Thing>, Failure> {
        match Self::open(path) {
            Ok(_) if is_reserved(path) => Err(Failure::reserved(path)),
            Ok(thing) => Ok(Some(thing)),
            Err(error) if is_nowhere(&error) => Ok(None),
            Err(error) => Err(Failure::open(path, error)),
        }
    }

    fn open(path: &Path) -> io::Result<Thing> {
        Self::thing(File::open(path)?)
    }

    fn thing_of_stream(mut file: File) -> io::Result<Thing> {
        match Self::thing(file.try_clone()?)? {
            // Another process has read the beginning: the rest is the input.
            Thing::File(_) if file.stream_position()? != 0 => Ok(Thing::Stream(file)),
            thing => Ok(thing),
        }
    }

    fn thing(file: File) -> io::Result<Thing> {
        let metadata = file.metadata()?;
        Ok(match () {
            () if metadata.is_dir() => Thing::Directory(Dir::from_std_file(file)),
            () if metadata.is_file() => Thing::File(file),
            () => Thing::Stream(file),
        })
    }
}

/// Standard input, without the buffer that std has for it. A terminal is a usage error.
pub(crate) fn standard_input() -> Result<File, Failure> {
    let input = io::stdin();
    if input.is_terminal() {
        let failure = Failure::usage("standard input is a terminal, and an archive is read from it".to_owned());
        return Err(failure.with_help("redirect a file to it, or pipe the output of a program into it".to_owned()));
    }
    let owned = input.as_fd().try_clone_to_owned();
    owned.map(File::from).map_err(|error| Failure::open(Path::new("-"), error))
}

/// What stands before and behind a byte.
fn split_at(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// Whether a directory has names that satisfy a condition. It is not read by std, which panics if it cannot be closed.
pub(crate) fn has_name(directory: &Dir, is_meant: impl Fn(&OsStr) -> bool) -> io::Result<bool> {
    loop {
        match find_name(directory, &is_meant) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            found => return found,
        }
    }
}

fn find_name(directory: &Dir, is_meant: impl Fn(&OsStr) -> bool) -> io::Result<bool> {
    for entry in directory.entries()? {
        if is_meant(&entry?.file_name()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a directory that the user named.
pub(crate) fn open_directory(path: &Path) -> Result<Dir, Failure> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| Failure::open(path, error))
}

/// The parent directory of what will be made, and its name there.
pub(crate) fn split(target: &Path) -> Result<(&Path, &OsStr), Failure> {
    match (target.parent(), target.file_name()) {
        (_, Some(_)) if is_reserved(target) => Err(Failure::reserved(target)),
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => Ok((Path::new("."), name)),
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Failure::usage(format!(
            "{} names nothing that could be made or replaced; give its name in the directory above it",
            shown(target)
        ))),
    }
}

/// Where an output file goes.
pub(crate) enum Destination<'p> {
    /// What cannot be replaced, and is written to: a pipe or a device.
    Stream(File),
    /// A name in a directory.
    Beside { parent: Dir, name: &'p OsStr },
}

impl<'p> Destination<'p> {
    /// Finds out what kind of output this is. `-` is standard output.
    pub(crate) fn find(path: &'p Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let output = io::stdout().as_fd().try_clone_to_owned().map_err(|error| Failure::open(path, error))?;
            return Ok(Self::Stream(output.into()));
        }
        if is_stream(path) {
            let output = File::options().write(true).open(path).map_err(|error| Failure::open(path, error))?;
            return Ok(Self::Stream(output));
        }
        let (parent, name) = beside(path)?;
        Ok(Self::Beside { parent, name })
    }
}

/// Whether this is standard output, a pipe or a device. It is not opened: to open a pipe is to wait for its reader.
pub(crate) fn is_stream(path: &Path) -> bool {
    // A link to a device is one, such as `/dev/stdout`.
    let is_stream = |metadata: std::fs::Metadata| {
        let kind = metadata.file_type();
        kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
    };
    path.as_os_str() == "-" || std::fs::metadata(path).is_ok_and(is_stream)
}

/// The directory of an output file, and its name there.
pub(crate) fn beside(path: &Path) -> Result<(Dir, &OsStr), Failure> {
    let (parent, name) = split(path)?;
    let help = "FILE is created in this directory, which must exist and be readable for you";
    let parent = open_directory(parent).map_err(|failure| failure.with_help(help.to_owned()))?;
    Ok((parent, name))
}

/// Whether layercage gives such a name to its own directories.
pub(crate) fn is_reserved(path: &Path) -> bool {
    path.file_name().is_some_and(layercage::is_reserved_name)
}

/// Whether there is nothing of that name, and can be nothing: with a tag behind it a name may be too long for one.
fn is_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}
