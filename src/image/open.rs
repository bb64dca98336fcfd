//! Opens images: a directory, an archive, or either of them by name.

use super::archive::Archive;
use super::archive_file::kept;
use super::files::Files;
use super::on_disk::Image;
use super::recognise::What;
use crate::cage::{NotOpened, Scratch, open_directory, open_regular};
use crate::words::{EntryPath, Error, Escaped, Limit, Limits, Misuse, refuse_reserved};
use cap_std::AmbientAuthority;
use cap_std::fs::Dir;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl Scratch {
    /// Copies a stream, such as a pipe, to a file unchanged. [`What::of`] can then inspect it like any file. Returns
    /// the file, positioned at its first byte.
    ///
    /// The maximum size is the larger of [`Limit::ArchiveBytes`] and [`Limit::LayerBytes`].
    ///
    /// # Errors
    ///
    /// [`Violation::LimitExceeded`](crate::rules::Violation::LimitExceeded). Errors of the reader or the system.
    pub fn keep(&self, mut stream: impl Read, limits: &Limits) -> Result<File, Error> {
        let limit = match limits.most(Limit::LayerBytes) > limits.most(Limit::ArchiveBytes) {
            true => Limit::LayerBytes,
            false => Limit::ArchiveBytes,
        };
        kept(&mut stream, self.create()?, limits, limit)
    }
}

impl Image {
    /// Opens a directory: an image layout, or the `dir:` of skopeo. The image keeps a copy of the handle.
    ///
    /// # Errors
    ///
    /// [`Violation::NotAnImage`](crate::rules::Violation::NotAnImage) if it is neither, or a layout of another version
    /// than 1.0.0; [`Violation::BlobOutside`](crate::rules::Violation::BlobOutside) if a file of it is a link that
    /// leads out; a system error.
    pub fn open(directory: impl AsFd) -> Result<Self, Error> {
        Self::open_within(directory, Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_within(directory: impl AsFd, limits: Limits) -> Result<Self, Error> {
        let directory = directory.as_fd().try_clone_to_owned();
        let directory = directory.map_err(|error| Error::system("fcntl", b".", error))?;
        Self::of_files(Files::Directory(directory), limits)
    }

    /// Opens an archive: an image layout in a tar, or an archive of `docker save`. It may be compressed with gzip or
    /// zstd.
    ///
    /// A plain archive is read in place. A compressed archive, or a stream without random access, is stored
    /// uncompressed in a file of `scratch`, as long as the image is in use. [`Limit::ArchiveBytes`] bounds its size. No file is
    /// created for a compressed file that is no image.
    ///
    /// # Errors
    ///
    /// [`Violation::NotAnImage`](crate::rules::Violation::NotAnImage). The violations of layers: the archive is read as
    /// strictly as a layer. [`Violation::ArchiveAmbiguous`](crate::rules::Violation::ArchiveAmbiguous) for a quirk that
    /// the default policy refuses. [`Violation::MemberTwice`](crate::rules::Violation::MemberTwice). A system error.
    pub fn open_archive(archive: File, scratch: Scratch, limits: Limits) -> Result<Self, Error> {
        let archive = Archive::open_file(archive, &limits, move || scratch.create())?;
        Self::of_files(Files::Archive(archive), limits)
    }

    /// Opens the archive or the directory with this name in `directory`.
    ///
    /// A compressed archive is stored uncompressed in `directory`, as in [`Image::open_archive`].
    ///
    /// # Errors
    ///
    /// As for [`Image::open`] and [`Image::open_archive`]. [`Misuse::NotAComponent`], [`Misuse::ReservedName`]. A
    /// system error for a link, or for anything else that is neither a file nor a directory.
    pub fn open_at(directory: impl AsFd, name: impl AsRef<OsStr>, limits: Limits) -> Result<Self, Error> {
        let name = name.as_ref().as_bytes();
        let path = EntryPath::parse(name, &limits).ok().filter(|path| path.components().count() == 1);
        let path = path.ok_or_else(|| Misuse::NotAComponent { name: Escaped::new(name) })?;
        refuse_reserved(name)?;
        let directory = directory.as_fd();
        match open_regular(directory, &path) {
            Ok(archive) => Self::open_archive(archive, Scratch::beneath(directory)?, limits),
            Err(NotOpened::System(error)) => Err(error),
            Err(_) => {
                let inside = open_directory(directory, &path)?;
                Self::of_files(Files::Directory(inside.into()), limits)
            }
        }
    }

    /// Opens an archive or a directory by a path of this machine.
    ///
    /// A compressed archive is stored uncompressed in the directory for temporary files ([`std::env::temp_dir`]), as in
    /// [`Image::open_archive`].
    ///
    /// # Errors
    ///
    /// As for [`Image::open`] and [`Image::open_archive`]; [`Misuse::ReservedName`].
    pub fn open_ambient(path: impl AsRef<Path>, authority: AmbientAuthority) -> Result<Self, Error> {
        Self::open_ambient_within(path, Limits::default(), authority)
    }

    /// The same with other limits.
    ///
    /// # Errors
    ///
    /// The same.
    #[expect(clippy::disallowed_methods, reason = "the caller has the authority over paths of this machine")]
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
            Ok(directory) => Self::of_files(Files::Directory(directory.into_std_file().into()), limits),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                let archive = File::open(path).map_err(|error| failed(path, error))?;
                let scratch = Scratch::of(move || {
                    let directory = std::env::temp_dir();
                    let opened = Dir::open_ambient_dir(&directory, authority);
                    Ok(Scratch::beneath(opened.map_err(|error| failed(&directory, error))?)?.create()?)
                });
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
}
