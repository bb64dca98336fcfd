//! Temporary files: where they are, and what to do where they cannot be.

#![expect(clippy::disallowed_methods, reason = "the user chose the directory for temporary files")]

use crate::opened::open_directory;
use crate::tell::Failure;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::error::ErrorKind;
use layercage::{Error, Scratch};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What to do about the directory for temporary files.
const TEMPORARY: &str = "temporary files are created in the directory that TMPDIR names, or in /tmp: it must exist and \
                         be writable for you";

/// What to do about a full file system where temporary files are.
const FULL: &str = "temporary files are created in the directory that TMPDIR names, or in /tmp: free space there, or set \
                    TMPDIR to a directory with more space";

/// Unnamed files in the directory for temporary files. So many are created now, because the sandbox may forbid it later. An
/// error is returned when the file is needed.
pub(crate) fn scratch(files: usize) -> Scratch {
    let mut made: Vec<_> = std::iter::repeat_with(create).take(files).collect();
    Scratch::of(move || Ok(made.pop().unwrap_or_else(create)?))
}

fn create() -> Result<File, Error> {
    let directory = std::env::temp_dir();
    let failed = |error| Error::system("openat", directory.as_os_str().as_bytes(), error).with_advice(TEMPORARY);
    let opened = Dir::open_ambient_dir(&directory, ambient_authority()).map_err(failed)?;
    Scratch::beneath(&opened).and_then(|scratch| scratch.create()).map_err(|error| match error.into_kind() {
        // The name of a temporary file says nothing.
        ErrorKind::System(system) => failed(system.error),
        kind => kind.into(),
    })
}

/// Adds what to do when the file system of temporary files, the only one that is written to, is full.
pub(crate) fn explain_full(error: Error) -> Error {
    let is_full =
        matches!(error.kind(), ErrorKind::System(system) if system.error.kind() == io::ErrorKind::StorageFull);
    if is_full { error.with_advice(FULL) } else { error }
}

/// A directory for the copy of a layer: the one it is applied to, where there will be room if anywhere, or the directory
/// for temporary files if the user may not write there.
pub(crate) fn scratch_beside(directory: &Dir, path: &Path) -> Result<Dir, Failure> {
    match Scratch::beneath(directory).and_then(|scratch| scratch.create()) {
        Ok(_) => directory.try_clone().map_err(|error| Failure::open(path, error)),
        Err(_) => open_directory(&std::env::temp_dir()).map_err(|failure| failure.with_help(TEMPORARY.to_owned())),
    }
}
