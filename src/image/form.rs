//! The forms of images: the trait that each of them implements, and the names that skopeo has for them.

use super::inventory::ListedManifest;
use super::selected::Selected;
use super::selector::Selector;
use super::store::{Naming, Store};
use super::two_lists::Disagreement;
use crate::words::{Error, Note, words};
use std::fmt::Debug;

/// A form of images: how it names files, and what it lists.
///
/// The store that each method takes has the naming of the form.
pub(super) trait Form: Debug + Send + Sync {
    /// How the files of blobs are named.
    fn naming(&self) -> Naming;

    /// The quirk of the files by which the form was recognised, if there is one.
    fn note(&self) -> Option<Note> {
        None
    }

    /// Whether the image has this form. It may have two.
    fn has(&self, store: &Store, form: ImageForm) -> Result<bool, Error>;

    /// Selects from the list of this form.
    fn select(&self, store: &Store, selector: &Selector) -> Result<Selected, Error>;

    /// Compares what was selected with the list of another form in the same files.
    fn disagreement(&self, store: &Store, selected: &Selected, selector: &Selector) -> Result<Disagreement, Error>;

    /// Lists all manifests, or all images of a form without manifests.
    fn manifests(&self, store: &Store) -> Result<Vec<ListedManifest>, Error>;
}

words! {
    "a form of images":
    /// A form that images have on disk, by the name that skopeo puts in front of a path (`oci:debian:stable`).
    #[non_exhaustive]
    enum ImageForm {
        /// An OCI image layout in a directory.
        Oci "oci",
        /// An OCI image layout in an archive.
        OciArchive "oci-archive",
        /// An archive with the `manifest.json` of `docker save`. Since version 25 it is an image layout as well.
        DockerArchive "docker-archive",
        /// A directory that skopeo writes for `dir:`: one manifest and its blobs.
        Dir "dir",
    }
}
