//! The forms of images by the words that skopeo has for them.

use super::docker;
use super::files::Files;
use super::open::{Form, Image};
use crate::words::{Error, UnknownWord};
use std::fmt::{self, Display};
use std::str::FromStr;

/// A form that images have on disk, as skopeo calls it where it stands before a path (`oci:debian:stable`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageForm {
    /// An OCI image layout in a directory.
    Oci,
    /// An OCI image layout in an archive.
    OciArchive,
    /// An archive with the `manifest.json` of `docker save`. Since version 25 it is an image layout as well.
    DockerArchive,
    /// The directory that `skopeo copy … dir:` makes.
    Dir,
}

impl ImageForm {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Oci, Self::OciArchive, Self::DockerArchive, Self::Dir];

    /// The word for it: `oci`, `oci-archive`, `docker-archive` or `dir`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::Dir => "dir",
        }
    }
}

impl Display for ImageForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for ImageForm {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.iter().copied().find(|form| form.word() == word).ok_or(UnknownWord)
    }
}

impl Image {
    /// Whether the image has this form. What `docker save` writes since version 25 has two.
    ///
    /// # Errors
    ///
    /// What is wrong with a `manifest.json` beside an `index.json`; a failing system.
    pub fn has_form(&self, form: ImageForm) -> Result<bool, Error> {
        let is_archive = matches!(&*self.files, Files::Archive(_));
        Ok(match (form, &self.form) {
            (ImageForm::Oci, Form::Layout) => !is_archive,
            (ImageForm::OciArchive, Form::Layout) => is_archive,
            (ImageForm::DockerArchive, Form::Docker(_)) => true,
            (ImageForm::DockerArchive, Form::Layout) if is_archive => {
                let listed = self.file(docker::MANIFEST_NAME, docker::parse_beside_index)?;
                listed.is_some_and(|listed| !listed.is_empty())
            }
            (ImageForm::Dir, Form::Flat(_)) => true,
            _ => false,
        })
    }
}
