//! The documents and blobs of an image, by their names and digests.

use super::blob::BlobReader;
use super::descriptor::Descriptor;
use super::document::check_bytes;
use super::files::{Files, read};
use super::layer::{LayerDescriptor, LayerPlace};
use super::manifest::stated_type;
use super::media_type::MediaType;
use super::names::{INDEX_JSON, MANIFEST_JSON, blob_name, in_blob, in_file};
use crate::words::{Digest, EntryPath, Error, Escaped, Limit, Limits, SizeSeen, Violation};
use std::sync::Arc;

/// The files of an image. A clone shares them.
#[derive(Debug, Clone)]
pub(super) struct Store {
    files: Arc<Files>,
    naming: Naming,
    limits: Limits,
}

/// How the files of blobs are named.
#[derive(Debug, Clone)]
pub(super) enum Naming {
    /// By their digests, as in an image layout.
    Layout,
    /// As in skopeo's `dir:`, where `manifest.json` is the manifest with this digest.
    Flat(Digest),
    /// Not at all: archives of `docker save` have files, but no blobs.
    Members,
}

impl Store {
    /// The files, with blobs named as in a layout.
    pub(super) fn new(files: Files, limits: Limits) -> Self {
        Self { files: Arc::new(files), naming: Naming::Layout, limits }
    }

    /// The same files, with blobs named in another way.
    pub(super) fn named(&self, naming: Naming) -> Self {
        Self { naming, ..self.clone() }
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// The limits that are enforced while this image is read.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Opens the file of a blob, and checks its size.
    pub(super) fn open_blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let digest = *descriptor.digest();
        let file = self.blob(&digest, MediaType::parse(descriptor.media_type()))?;
        let file = file.ok_or_else(|| descriptor.missing())?;
        let (expected, got) = (descriptor.size(), file.bytes_left());
        if got != expected {
            return Err(Violation::SizeMismatch { expected, got: SizeSeen::Exactly(got) }.into());
        }
        Ok(file)
    }

    /// Opens a layer, which in an archive of `docker save` has no descriptor.
    pub(super) fn open_layer(&self, layer: &LayerDescriptor) -> Result<BlobReader, Error> {
        let opened = match (layer.place(), self.files()) {
            (LayerPlace::Blob(descriptor), _) => self.open_blob(descriptor),
            (LayerPlace::Member(name), Files::Archive(archive)) => archive.open_existing(name, &self.limits),
            (LayerPlace::Member(name), Files::Directory(_)) => {
                Err(Violation::MemberMissing { name: Escaped::new(name.as_bytes()) }.into())
            }
        }?;
        // A layer that is too large is refused before its first byte is read.
        self.limits.check(Limit::LayerBytes, opened.bytes_left())?;
        Ok(opened)
    }

    /// Reads `index.json`, the only document without a digest.
    pub(super) fn index<T>(&self, parse: impl FnOnce(&[u8]) -> Result<T, Violation>) -> Result<T, Error> {
        let because = "there is no file `index.json`";
        let missing = || Error::from(Violation::NotAnImage { because: because.into() }).at(in_file(INDEX_JSON));
        self.file(INDEX_JSON, parse)?.ok_or_else(missing)
    }

    /// Reads a document by its descriptor. Its bytes are checked before they are parsed.
    pub(super) fn document<T>(
        &self,
        descriptor: &Descriptor,
        parse: impl FnOnce(&[u8]) -> Result<T, Violation>,
    ) -> Result<T, Error> {
        let bytes = self.document_bytes(descriptor)?;
        parse(&bytes).map_err(|violation| Error::from(violation).at(in_blob(descriptor.digest())))
    }

    /// The bytes of a document, checked against the size and digest of its descriptor.
    pub(super) fn document_bytes(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let open = || {
            self.limits.check(Limit::ManifestBytes, descriptor.size())?;
            self.verified(self.open_blob(descriptor)?, descriptor.digest())
        };
        open().map_err(|error: Error| error.at(in_blob(descriptor.digest())))
    }

    /// The descriptor of a manifest or an index whose digest is known; `None` if it is missing.
    pub(super) fn describe(&self, digest: &Digest) -> Result<Option<Descriptor>, Error> {
        self.found(digest, MediaType::Manifest, |bytes| {
            Ok(Descriptor::found(stated_type(bytes)?, *digest, bytes.len() as u64))
        })
    }

    /// Reads a document whose digest is known, but not its size; `None` if it is missing.
    pub(super) fn found<T>(
        &self,
        digest: &Digest,
        kind: MediaType,
        parse: impl FnOnce(&[u8]) -> Result<T, Violation>,
    ) -> Result<Option<T>, Error> {
        let find = || {
            let Some(file) = self.blob(digest, Some(kind))? else { return Ok(None) };
            self.limits.check(Limit::ManifestBytes, file.bytes_left())?;
            Ok(Some(parse(&self.verified(file, digest)?)?))
        };
        find().map_err(|error: Error| error.at(in_blob(digest)))
    }

    fn verified(&self, file: BlobReader, digest: &Digest) -> Result<Vec<u8>, Error> {
        let bytes = read(file, b"(blob)")?;
        check_bytes(&bytes, digest, &self.limits)?;
        Ok(bytes)
    }

    /// Whether the image holds the blob, with the right size.
    pub(super) fn holds(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        match self.open_blob(descriptor) {
            Ok(_) => Ok(true),
            Err(error) if error.is_refusal() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Finds the file of a blob. A digest is parsed, so no part of it can lead elsewhere.
    fn blob(&self, digest: &Digest, kind: Option<MediaType>) -> Result<Option<BlobReader>, Error> {
        let is_manifest = matches!(kind, Some(MediaType::Index | MediaType::Manifest));
        let name = match &self.naming {
            Naming::Members => return Ok(None),
            Naming::Layout => blob_name(digest),
            Naming::Flat(root) if root == digest => MANIFEST_JSON.to_owned(),
            Naming::Flat(_) if is_manifest => format!("{}.manifest.json", digest.hex()),
            Naming::Flat(_) => digest.hex(),
        };
        self.files.open(&EntryPath::parse(name.as_bytes(), &Limits::default())?, &self.limits)
    }

    /// Reads a document by its file name; `None` if it is missing.
    pub(super) fn file<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, Violation>,
    ) -> Result<Option<T>, Error> {
        let read = || {
            let path = EntryPath::parse(name.as_bytes(), &Limits::default())?;
            let Some(bytes) = self.files.document(&path, &self.limits)? else { return Ok(None) };
            Ok(Some(parse(&bytes)?))
        };
        read().map_err(|error: Error| error.at(in_file(name)))
    }
}
