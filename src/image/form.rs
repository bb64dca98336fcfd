//! The forms of images by the words that skopeo has for them.

use super::docker;
use super::files::Files;
use super::open::{Form, Image};
use crate::words::{Error, words};

words! {
    "a form of images":
    /// A form that images have on disk, as skopeo calls it in front of a path (`oci:debian:stable`).
    #[non_exhaustive]
    enum ImageForm {
        /// An OCI image layout in a directory.
        Oci "oci",
        /// An OCI image layout in an archive.
        OciArchive "oci-archive",
        /// An archive with the `manifest.json` of `docker save`. Since version 25 it is an image layout as well.
        DockerArchive "docker-archive",
        /// The directory that `skopeo copy … dir:` makes.
        Dir "dir",
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
