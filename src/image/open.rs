//! An image is opened: which of its forms it has on disk is seen from what is inside.
//!
//! The forms: an image layout (image-spec, image-layout.md) as a directory or in an archive; the archive of
//! `docker save`; the directory of `skopeo copy … dir:`.

use super::agree::check_bytes;
use super::archive::{Archive, UNPACKED_SAVE, kept};
use super::blob::BlobReader;
use super::docker::{self, DockerImage};
use super::document::{self, strict};
use super::files::{Files, read};
use super::layer::{LayerDescriptor, LayerPlace};
use super::manifest::{Descriptor, lists_manifests, stated_type};
use super::media_type::MediaType;
use super::recognise::What;
use crate::cage::{NotOpened, create_spool, open_directory, open_regular};
use crate::read::Hasher;
use crate::words::{
    Algorithm, Digest, EntryPath, Error, Escaped, Limit, Limits, Misuse, Note, Position, Quirk, SizeSeen, Violation,
    refuse_reserved,
};
use cap_std::AmbientAuthority;
use cap_std::fs::Dir;
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// An image, or several, in one of the forms that images have on disk.
///
/// Nothing but regular files inside the directory or archive is ever opened, wherever a digest or a file of the image
/// seems to lead. A symbolic link is followed as long as it stays inside; one that leads out is refused.
#[derive(Debug, Clone)]
pub struct Image {
    /// Shared with what was selected from the image.
    pub(super) files: Arc<Files>,
    pub(super) form: Form,
    /// Whether this is a layout without the file that says so.
    unmarked: bool,
    limits: Limits,
}

/// How the files of an image are named.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// By image-spec: `index.json`, and blobs under their digests.
    Layout,
    /// As skopeo does it for `dir:`, with the descriptor of its `manifest.json`.
    Flat(Box<Descriptor>),
    /// As `docker save` does it, with what its `manifest.json` lists.
    Docker(Arc<[DockerImage]>),
}

/// A file without a name, in which an archive is kept that cannot be read where it lies.
#[derive(Debug)]
pub struct Scratch(File);

impl Scratch {
    /// Makes one on the file system of a directory.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn beneath(directory: &Dir) -> Result<Self, Error> {
        create_spool(directory.as_fd()).map(Self)
    }

    /// Copies a stream, such as a pipe, to a file unchanged. [`What::of`] can then inspect it like any file. Returns
    /// the file, positioned at its first byte.
    ///
    /// The maximum size is the larger of [`Limit::ArchiveBytes`] and [`Limit::LayerBytes`].
    ///
    /// # Errors
    ///
    /// [`Violation::LimitExceeded`]. Errors of the reader or the system.
    pub fn keep(self, mut stream: impl Read, limits: &Limits) -> Result<File, Error> {
        let limit = match limits.most(Limit::LayerBytes) > limits.most(Limit::ArchiveBytes) {
            true => Limit::LayerBytes,
            false => Limit::ArchiveBytes,
        };
        kept(&mut stream, self.0, limits, limit)
    }
}

impl Image {
    /// Opens a directory, of which the image keeps a handle of its own: an image layout, or what `skopeo copy` calls `dir:`.
    ///
    /// # Errors
    ///
    /// [`Violation::NotAnImage`] when it is neither, or a layout of another version than 1.0.0;
    /// [`Violation::BlobOutside`] when a file of it is a link that leads out; a failing system.
    pub fn open(directory: &Dir) -> Result<Self, Error> {
        Self::open_within(directory, Limits::default())
    }

    /// The same, with limits that somebody chose.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_within(directory: &Dir, limits: Limits) -> Result<Self, Error> {
        let directory = directory.try_clone().map_err(|error| Error::system("fcntl", b".", error))?;
        Self::of_files(Files::Directory(directory), limits)
    }

    /// Opens an archive: an image layout in a tar, or what `docker save` writes; plain, or compressed with gzip or
    /// zstd.
    ///
    /// A plain archive is read where it lies. For one that is compressed, or a stream that cannot be read here and
    /// there, `scratch` is asked for a file, in which it is kept uncompressed as long as the image is in use; for a
    /// compressed file that is no image it is not. [`Limit::ArchiveBytes`] bounds what is kept.
    ///
    /// # Errors
    ///
    /// [`Violation::NotAnImage`]; what is wrong with the archive, which is read as strictly as a layer under the default
    /// policy ([`Violation::ArchiveAmbiguous`] for what that refuses); [`Violation::MemberTwice`]; a failing system.
    pub fn open_archive(
        archive: File,
        scratch: impl FnOnce() -> Result<Scratch, Error>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let archive = Archive::open_file(archive, &limits, || scratch().map(|Scratch(file)| file))?;
        Self::of_files(Files::Archive(archive), limits)
    }

    /// Opens what is called `name` in a directory, an archive or a directory of its own.
    ///
    /// A compressed archive is kept in `directory` meanwhile, as in [`Image::open_archive`].
    ///
    /// # Errors
    ///
    /// As for [`Image::open`] and [`Image::open_archive`]. [`Misuse::NotAComponent`], [`Misuse::ReservedName`]. A
    /// system error for a link, or for anything else that is neither a file nor a directory.
    pub fn open_at(directory: &Dir, name: impl AsRef<OsStr>, limits: Limits) -> Result<Self, Error> {
        let name = name.as_ref().as_bytes();
        let path = EntryPath::parse(name, &limits).ok().filter(|path| path.components().count() == 1);
        let path = path.ok_or_else(|| Misuse::NotAComponent { name: Escaped::new(name) })?;
        refuse_reserved(name)?;
        match open_regular(directory.as_fd(), &path) {
            Ok(archive) => Self::open_archive(archive, || Scratch::beneath(directory), limits),
            Err(NotOpened::System(error)) => Err(error),
            Err(_) => {
                let inside = open_directory(directory.as_fd(), &path)?;
                Self::of_files(Files::Directory(Dir::from_std_file(inside)), limits)
            }
        }
    }

    /// Opens an archive or a directory by a path of this machine.
    ///
    /// A compressed archive is kept in the directory for temporary files meanwhile ([`std::env::temp_dir`]), as in
    /// [`Image::open_archive`].
    ///
    /// # Errors
    ///
    /// As for [`Image::open`] and [`Image::open_archive`]; [`Misuse::ReservedName`].
    pub fn open_ambient(path: impl AsRef<Path>, authority: AmbientAuthority) -> Result<Self, Error> {
        Self::open_ambient_within(path, Limits::default(), authority)
    }

    /// The same, with limits that somebody chose.
    ///
    /// # Errors
    ///
    /// The same.
    #[expect(clippy::disallowed_methods, reason = "whoever hands over this authority means paths of this machine")]
    pub fn open_ambient_within(
        path: impl AsRef<Path>,
        limits: Limits,
        authority: AmbientAuthority,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        if let Some(name) = path.file_name() {
            refuse_reserved(name.as_bytes())?;
        }
        let failed = |path: &Path, error| Error::system("openat", path.as_os_str().as_bytes(), error);
        match Dir::open_ambient_dir(path, authority) {
            Ok(directory) => Self::of_files(Files::Directory(directory), limits),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                let archive = File::open(path).map_err(|error| failed(path, error))?;
                let scratch = || {
                    let directory = std::env::temp_dir();
                    let opened = Dir::open_ambient_dir(&directory, authority);
                    Scratch::beneath(&opened.map_err(|error| failed(&directory, error))?)
                };
                Self::open_archive(archive, scratch, limits)
            }
            Err(error) => Err(failed(path, error)),
        }
    }

    /// Whether [`What::of`] returns [`What::Image`]: the file is the archive of an image, not a layer.
    ///
    /// # Errors
    ///
    /// As for [`What::of`].
    pub fn is_archive(file: &File, limits: &Limits) -> Result<bool, Error> {
        What::of(file, limits).map(|what| what == What::Image)
    }

    fn of_files(files: Files, limits: Limits) -> Result<Self, Error> {
        let mut image = Self { files: Arc::new(files), form: Form::Layout, unmarked: false, limits };
        if let Some(marker) = image.file("oci-layout", document::parse::<LayoutMarker>)? {
            if marker.image_layout_version != "1.0.0" {
                let because = "its `oci-layout` is of another version than 1.0.0";
                return Err(Error::from(Violation::NotAnImage { because: because.into() }).at(in_file("oci-layout")));
            }
            return Ok(image);
        }
        if let Files::Archive(archive) = &*image.files {
            if let Some(listed) = image.file(docker::MANIFEST_NAME, docker::parse)? {
                image.form = Form::Docker(listed.into());
                return Ok(image);
            }
            let missing = archive.no_image(&image.limits)?;
            return image.without_marker(|| missing.into());
        }
        // Every reader of `dir:` takes the version that begins like this for one that it knows.
        let version = image.file("version", |text| Ok(text.starts_with(b"Directory Transport Version: 1.")))?;
        if version == Some(true) {
            let root = image.file(docker::MANIFEST_NAME, |bytes| {
                Ok(Descriptor::found(stated_type(bytes)?, digest_of(Algorithm::Sha256, bytes), bytes.len() as u64))
            })?;
            if let Some(root) = root {
                image.form = Form::Flat(Box::new(root));
                return Ok(image);
            }
        }
        let is_saved = image.file(docker::MANIFEST_NAME, |bytes| Ok(docker::parse(bytes).is_ok()))? == Some(true);
        let because = match is_saved {
            true => UNPACKED_SAVE,
            false => "it has neither `oci-layout` nor `index.json`, nor `version` and `manifest.json`".into(),
        };
        let place = if is_saved { docker::MANIFEST_NAME } else { "oci-layout" };
        image.without_marker(|| Error::from(Violation::NotAnImage { because }).at(in_file(place)))
    }

    /// A layout that lacks `oci-layout`, as BuildKit writes it for `type=oci,tar=false`. An `index.json` that lists
    /// manifests makes it one: a layer of a web server may have a file of that name too.
    fn without_marker(mut self, neither: impl FnOnce() -> Error) -> Result<Self, Error> {
        match self.file("index.json", |bytes| Ok(lists_manifests(bytes)))? {
            Some(true) => self.unmarked = true,
            _ => return Err(neither()),
        }
        Ok(self)
    }

    /// What is odd about the files that make it an image.
    pub(super) fn note(&self) -> Option<Note> {
        self.unmarked.then(|| Note { quirk: Quirk::LayoutUnmarked, position: in_file("oci-layout") })
    }

    /// Opens the file of a blob, whose bytes are still to be checked.
    ///
    /// # Errors
    ///
    /// [`Violation::BlobMissing`], [`Violation::ForeignLayerMissing`], [`Violation::BlobNotRegular`],
    /// [`Violation::BlobOutside`]; [`Violation::SizeMismatch`] when the file
    /// is not as large as the descriptor says; a failing system.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let digest = *descriptor.digest();
        let file = self.blob(&digest, MediaType::parse(descriptor.media_type()))?;
        let file = file.ok_or_else(|| descriptor.missing())?;
        let (expected, got) = (descriptor.size(), file.bytes_left());
        if got != expected {
            return Err(Violation::SizeMismatch { expected, got: SizeSeen::Exactly(got) }.into());
        }
        Ok(file)
    }

    /// Opens a layer. Those of `docker save` have no descriptor.
    pub(super) fn open_layer(&self, layer: &LayerDescriptor) -> Result<BlobReader, Error> {
        let opened = match (layer.place(), &*self.files) {
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

    /// What is enforced while this image is read.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Reads `index.json`, the one document that no digest covers.
    pub(super) fn index<T>(&self, parse: impl FnOnce(&[u8]) -> Result<T, Violation>) -> Result<T, Error> {
        let because = "there is no file `index.json`";
        let missing = || Error::from(Violation::NotAnImage { because: because.into() }).at(in_file("index.json"));
        self.file("index.json", parse)?.ok_or_else(missing)
    }

    /// Reads a document by its descriptor, which its bytes are checked against before they are parsed.
    pub(super) fn document<T>(
        &self,
        descriptor: &Descriptor,
        parse: impl FnOnce(&[u8]) -> Result<T, Violation>,
    ) -> Result<T, Error> {
        let bytes = self.document_bytes(descriptor)?;
        parse(&bytes).map_err(|violation| Error::from(violation).at(in_blob(descriptor.digest())))
    }

    /// The bytes of a document, which have the size and the digest of its descriptor.
    pub(super) fn document_bytes(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let open = || {
            self.limits.check(Limit::ManifestBytes, descriptor.size())?;
            self.verified(self.open_blob(descriptor)?, descriptor.digest())
        };
        open().map_err(|error: Error| error.at(in_blob(descriptor.digest())))
    }

    /// The descriptor of a manifest, or an index, of which the digest alone is known; `None` when it is not here.
    pub(super) fn describe(&self, digest: &Digest) -> Result<Option<Descriptor>, Error> {
        self.found(digest, MediaType::Manifest, |bytes| {
            Ok(Descriptor::found(stated_type(bytes)?, *digest, bytes.len() as u64))
        })
    }

    /// Reads a document of which the digest alone is known; `None` when it is not here.
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

    /// Whether the image holds a blob of this size.
    pub(super) fn holds(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        match self.open_blob(descriptor) {
            Ok(_) => Ok(true),
            Err(error) if error.is_refusal() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Finds the file of a blob. A digest is parsed, and so has nothing in it that could lead elsewhere.
    fn blob(&self, digest: &Digest, kind: Option<MediaType>) -> Result<Option<BlobReader>, Error> {
        let is_manifest = matches!(kind, Some(MediaType::Index | MediaType::Manifest));
        let name = match &self.form {
            Form::Docker(_) => return Ok(None),
            Form::Layout => blob_name(digest),
            Form::Flat(root) if root.digest() == digest => docker::MANIFEST_NAME.to_owned(),
            Form::Flat(_) if is_manifest => format!("{}.manifest.json", digest.hex()),
            Form::Flat(_) => digest.hex(),
        };
        self.files.open(&EntryPath::parse(name.as_bytes(), &Limits::default())?, &self.limits)
    }

    /// Reads a file that is known by its name alone; `None` when it is missing.
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

/// What the file of a blob is called in a layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Where a fault is that concerns a blob.
pub(super) fn in_blob(digest: &Digest) -> Position {
    Position { blob: Some(*digest), ..Position::default() }
}

/// Where a fault is that concerns a file of the image.
pub(super) fn in_file(name: &str) -> Position {
    Position { path: Some(Escaped::new(name.as_bytes())), ..Position::default() }
}

pub(super) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The file `oci-layout`.
#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct LayoutMarker {
    image_layout_version: String,
}

strict!(LayoutMarker);
