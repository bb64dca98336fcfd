//! The image layout: a directory in which blobs lie under their digests.
//!
//! Follows image-spec, image-layout.md.

use super::document::{self, strict};
use super::manifest::Descriptor;
use crate::cage::{NotOpened, open_regular};
use crate::read::Hasher;
use crate::words::{Digest, EntryPath, Error, Escaped, Fault, Limit, Limits, Position, SizeSeen, Violation};
use cap_std::fs::Dir;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;

/// An image, or several, in an OCI image layout.
///
/// Nothing but regular files inside the directory is ever opened, and no link is followed, wherever a
/// digest or a file of the image seems to lead.
#[derive(Debug, Clone)]
pub struct Image {
    /// Shared with what was selected from the image.
    directory: Arc<Dir>,
    limits: Limits,
}

impl Image {
    /// Opens the layout in a directory; the image keeps a handle of its own.
    ///
    /// # Errors
    ///
    /// [`Violation::NotAnImage`] when there is no `oci-layout` of version 1.0.0; a failing system.
    pub fn open(directory: &Dir) -> Result<Self, Error> {
        Self::open_within(directory, Limits::default())
    }

    /// The same, with limits that somebody chose.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_within(directory: &Dir, limits: Limits) -> Result<Self, Error> {
        let directory =
            directory.try_clone().map_err(|error| Fault::system("fcntl", b".", error).at(Position::default()))?;
        let image = Self { directory: Arc::new(directory), limits };
        let marker: LayoutMarker = image.file("oci-layout", "there is no file `oci-layout`", document::parse)?;
        if marker.image_layout_version != "1.0.0" {
            let because = "its `oci-layout` is of another version than 1.0.0";
            return Err(Fault::from(Violation::NotAnImage { because }).at(in_file("oci-layout")));
        }
        Ok(image)
    }

    /// Opens the file of a layer, whose bytes are still to be checked.
    ///
    /// # Errors
    ///
    /// [`Violation::BlobMissing`], [`Violation::BlobNotRegular`]; [`Violation::SizeMismatch`] when the file
    /// is not as large as the descriptor says; a failing system.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<File, Fault> {
        let digest = *descriptor.digest();
        let name = format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
        let (file, got) = self.regular(&name)?.ok_or(Violation::BlobMissing { digest })?;
        let expected = descriptor.size();
        if got != expected {
            return Err(Violation::SizeMismatch { expected, got: SizeSeen::Exactly(got) }.into());
        }
        Ok(file)
    }

    /// What is enforced while this image is read.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Reads `index.json`, the one document that no digest covers.
    pub(super) fn index<T>(&self, parse: impl FnOnce(&[u8]) -> Result<T, Violation>) -> Result<T, Error> {
        self.file("index.json", "there is no file `index.json`", parse)
    }

    /// Reads a document by its descriptor, which its bytes are checked against before they are parsed.
    pub(super) fn document<T>(
        &self,
        descriptor: &Descriptor,
        parse: impl FnOnce(&[u8]) -> Result<T, Violation>,
    ) -> Result<T, Error> {
        let placed = |fault: Fault| fault.at(in_blob(descriptor.digest()));
        let bytes = self.verified(descriptor).map_err(placed)?;
        parse(&bytes).map_err(|violation| placed(violation.into()))
    }

    fn verified(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Fault> {
        self.limits.check(Limit::ManifestBytes, descriptor.size())?;
        let bytes = read(self.open_blob(descriptor)?, descriptor.size(), "a blob")?;
        let mut hasher = Hasher::new(descriptor.digest().algorithm());
        hasher.update(&bytes);
        let (expected, got) = (*descriptor.digest(), hasher.finish());
        if got == expected { Ok(bytes) } else { Err(Violation::DigestMismatch { expected, got }.into()) }
    }

    fn file<T>(
        &self,
        name: &'static str,
        missing: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, Violation>,
    ) -> Result<T, Error> {
        let content = || {
            let (file, size) = self.regular(name)?.ok_or(Violation::NotAnImage { because: missing })?;
            self.limits.check(Limit::ManifestBytes, size)?;
            read(file, size, name)
        };
        let placed = |fault: Fault| fault.at(in_file(name));
        parse(&content().map_err(placed)?).map_err(|violation| placed(violation.into()))
    }

    /// Opens a file of the layout; with its size, or `None` when it is missing.
    fn regular(&self, name: &str) -> Result<Option<(File, u64)>, Fault> {
        let path = EntryPath::parse(name.as_bytes(), &Limits::default())?;
        let file = match open_regular(self.directory.as_fd(), &path) {
            Ok(file) => file,
            Err(NotOpened::Missing) => return Ok(None),
            Err(NotOpened::NotRegular) => {
                return Err(Violation::BlobNotRegular { name: Escaped::new(name.as_bytes()) }.into());
            }
            Err(NotOpened::System(fault)) => return Err(fault),
        };
        let size = file.metadata().map_err(|error| Fault::system("fstat", name.as_bytes(), error))?.len();
        Ok(Some((file, size)))
    }
}

/// Where a fault is that concerns a blob.
pub(super) fn in_blob(digest: &Digest) -> Position {
    Position { blob: Some(*digest), ..Position::default() }
}

fn in_file(name: &str) -> Position {
    Position { path: Some(Escaped::new(name.as_bytes())), ..Position::default() }
}

/// Reads a file that had `size` bytes when it was opened, and no more, should it grow meanwhile.
fn read(file: File, size: u64, name: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let most = size.saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(|error| Fault::system("read", name.as_bytes(), error))?;
    let got = match bytes.len() as u64 {
        seen if seen == size => return Ok(bytes),
        seen if seen > size => SizeSeen::More,
        seen => SizeSeen::Exactly(seen),
    };
    Err(Violation::SizeMismatch { expected: size, got }.into())
}

/// The file `oci-layout`.
#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct LayoutMarker {
    image_layout_version: String,
}

strict!(LayoutMarker);
