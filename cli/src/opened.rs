//! What somebody named, opened.

#![expect(clippy::disallowed_methods, reason = "whoever types a path has the authority over it")]

use crate::tell::Failure;
use cap_std::fs::Dir;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An image or a layer that somebody named.
pub(crate) struct Opened {
    pub(crate) thing: Thing,
    pub(crate) tag: Option<String>,
}

pub(crate) enum Thing {
    Directory(Dir),
    /// What can be read here and there, from its first byte.
    File(File),
    /// What can be read once only: a pipe, say.
    Stream(File),
}

impl Opened {
    /// Opens what is called so, `-` being standard input; where there is nothing, what is called like one of the parts before a colon. What
    /// follows the colon is a tag, in which further colons and slashes may stand.
    pub(crate) fn find(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let thing = Self::standard_input().map_err(|error| Failure::open(path, error))?;
            return Ok(Self { thing, tag: None });
        }
        let whole = match Self::open(path) {
            Ok(_) if is_reserved(path) => return Err(Failure::reserved(path)),
            Ok(thing) => return Ok(Self { thing, tag: None }),
            Err(error) if is_nowhere(&error) => error,
            Err(error) => return Err(Failure::open(path, error)),
        };
        let bytes = path.as_os_str().as_bytes();
        for (colon, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b':') {
            let (Some(name @ [_, ..]), Some(tag)) = (bytes.get(..colon), bytes.get(colon + 1..)) else { continue };
            let (name, Ok(tag)) = (Path::new(OsStr::from_bytes(name)), std::str::from_utf8(tag)) else { continue };
            match Self::open(name) {
                Ok(_) if is_reserved(name) => return Err(Failure::reserved(name)),
                Ok(thing) => return Ok(Self { thing, tag: Some(tag.to_owned()) }),
                Err(error) if is_nowhere(&error) => {}
                Err(error) => return Err(Failure::open(name, error)),
            }
        }
        Err(Failure::open(path, whole))
    }

    fn open(path: &Path) -> io::Result<Thing> {
        Self::thing(File::open(path)?)
    }

    fn standard_input() -> io::Result<Thing> {
        let mut file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        match Self::thing(file.try_clone()?)? {
            // Somebody has read its beginning: what is left is meant, and no place in the file.
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

/// Whether layercage gives such a name to its own directories.
pub(crate) fn is_reserved(path: &Path) -> bool {
    path.file_name().is_some_and(layercage::is_reserved_name)
}

/// Whether there is nothing of that name, and can be nothing: with a tag behind it a name may be too long for one.
fn is_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}
