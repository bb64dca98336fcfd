//! The files of an image, in a directory or in an archive.

use super::archive::Archive;
use super::blob::{BlobReader, not_regular};
use super::json::check_values;
use crate::cage::{NotOpened, open_inside};
use crate::words::{EntryPath, Error, Escaped, Limit, Limits, SizeSeen, Violation};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The files of an image.
///
/// Only regular files are opened. A symbolic link is followed if it stays inside the directory or archive: Debian's
/// images have blobs that are links to other files in the layout.
#[derive(Debug)]
pub(super) enum Files {
    Directory(OwnedFd),
    Archive(Archive),
}

impl Files {
    /// Opens a file; `None` if it is missing.
    pub(super) fn open(&self, path: &EntryPath, limits: &Limits) -> Result<Option<BlobReader>, Error> {
        match self {
            Self::Archive(archive) => archive.open(path, limits),
            Self::Directory(directory) => {
                let hops = limits.most(Limit::LinkHops);
                let file = match open_inside(directory.as_fd(), path, hops) {
                    Ok(file) => file,
                    Err(NotOpened::Missing) => return Ok(None),
                    Err(NotOpened::NotRegular) => return Err(not_regular(path.as_bytes()).into()),
                    Err(NotOpened::Loop) => return Err(Violation::LinkLoop { hops }.into()),
                    Err(NotOpened::LeadsOut(target)) => {
                        let (name, target) = (Escaped::new(path.as_bytes()), Escaped::new(&target));
                        return Err(Violation::BlobOutside { name, target }.into());
                    }
                    Err(NotOpened::System(error)) => return Err(error),
                };
                let metadata = file.metadata().map_err(|error| Error::system("fstat", path.as_bytes(), error))?;
                Ok(Some(BlobReader::new(Arc::new(file), 0, metadata.len())))
            }
        }
    }

    /// Reads a document; `None` if it is missing.
    pub(super) fn document(&self, name: &EntryPath, limits: &Limits) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open(name, limits)? else { return Ok(None) };
        limits.check(Limit::ManifestBytes, file.bytes_left())?;
        let bytes = read(file, name.as_bytes())?;
        check_values(&bytes, limits)?;
        Ok(Some(bytes))
    }
}

/// Reads a whole file. It must still have the size that it had when it was opened.
pub(super) fn read(mut file: BlobReader, name: &[u8]) -> Result<Vec<u8>, Error> {
    let expected = file.bytes_left();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| Error::system("pread64", name, error))?;
    match bytes.len() as u64 {
        got if got == expected => Ok(bytes),
        got => Err(Violation::SizeMismatch { expected, got: SizeSeen::Exactly(got) }.into()),
    }
}
