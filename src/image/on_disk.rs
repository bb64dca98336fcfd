//! An image on disk.

use super::archive::UNPACKED_SAVE;
use super::blob::BlobReader;
use super::by_digest::digest_missing;
use super::descriptor::Descriptor;
use super::dir::SkopeoDir;
use super::docker::Docker;
use super::docker_list;
use super::files::Files;
use super::form::{Form, ImageForm};
use super::inventory::ListedManifest;
use super::layout::Layout;
use super::names::{MANIFEST_JSON, OCI_LAYOUT, in_file};
use super::selected::Selected;
use super::selector::Selector;
use super::store::Store;
use crate::words::{Error, FoundInstead, Limits, Note, Quirk, Violation};
use std::sync::Arc;

/// An image, or several, in one of the forms that images have on disk.
///
/// Only regular files inside the directory or archive are opened. A symbolic link is followed if it stays inside, and
/// refused if it leads out.
#[derive(Debug, Clone)]
pub struct Image {
    store: Store,
    form: Arc<dyn Form>,
}

impl Image {
    /// Recognises the form of an image by its files.
    pub(super) fn of_files(files: Files, limits: Limits) -> Result<Self, Error> {
        let store = Store::new(files, limits);
        let form = recognised(&store)?;
        Ok(Self { store: store.named(form.naming()), form })
    }

    /// Selects a manifest, and reads it and its configuration. No layer is opened.
    ///
    /// Attestations, artifacts and everything else that is no image are ignored. If neither the index nor the
    /// configuration states the whole platform of a manifest, the manifest matches any platform. It is selected if no
    /// other manifest states a platform that matches.
    ///
    /// # Errors
    ///
    /// [`Misuse::NothingSelected`](crate::error::Misuse::NothingSelected) if no image matches;
    /// [`Misuse::SeveralSelected`](crate::error::Misuse::SeveralSelected) if several images match equally well;
    /// [`Violation::PinnedManifestMissing`] if the image does not hold the wanted digest; a [`Violation`] from "Digests
    /// and manifests", or of a [`Limit`](crate::rules::Limit), for an image that is malformed, incomplete, or not an
    /// image.
    pub fn select(&self, selector: &Selector) -> Result<Selected, Error> {
        let mut selected = self.form.select(&self.store, selector)?;
        if let Some(digest) = selector.image_id()
            && digest != selected.config().digest()
        {
            return Err(digest_missing(*digest, FoundInstead::Others(selected.config().digest().to_string())));
        }
        selected.add_notes(self.form.note());
        selected.add_notes(self.disagreement(&selected, selector)?);
        Ok(selected)
    }

    /// Notes that two lists of the image disagree on what was selected.
    fn disagreement(&self, selected: &Selected, selector: &Selector) -> Result<Option<Note>, Error> {
        // Everything is verified from either digest, so the lists do not count.
        if selector.manifest_digest().is_some() || selector.image_id().is_some() {
            return Ok(None);
        }
        let because = match self.form.disagreement(&self.store, selected, selector) {
            // Other readers may be less strict.
            Err(error) if error.is_refusal() => Some(format!("one cannot be read: {error}")),
            other => other?,
        };
        let quirk = |because| Quirk::ListsDisagree { because };
        Ok(because.map(|because| Note { quirk: quirk(because), position: in_file(MANIFEST_JSON) }))
    }

    /// Lists every manifest once, in the order of the list from which images are selected: images for all platforms,
    /// attestations and artifacts. No layer is opened.
    ///
    /// A manifest or an index that is missing or malformed is listed with its problem. Time and memory grow with the
    /// indexes of the image; [`Limit::Manifests`](crate::rules::Limit::Manifests) bounds them.
    ///
    /// # Errors
    ///
    /// As for [`Image::select`], if the list itself cannot be read; a failing system.
    pub fn manifests(&self) -> Result<Vec<ListedManifest>, Error> {
        self.form.manifests(&self.store)
    }

    /// Whether the image has this form. An archive of `docker save` has two forms since version 25.
    ///
    /// # Errors
    ///
    /// A violation of the `manifest.json` beside an `index.json`; a system error.
    pub fn has_form(&self, form: ImageForm) -> Result<bool, Error> {
        self.form.has(&self.store, form)
    }

    /// Opens a blob. The file has the size that the descriptor states; its bytes are not checked yet.
    ///
    /// # Errors
    ///
    /// [`Violation::BlobMissing`], [`Violation::ForeignLayerMissing`], [`Violation::BlobNotRegular`],
    /// [`Violation::BlobOutside`], [`Violation::SizeMismatch`]; a failing system.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        self.store.open_blob(descriptor)
    }
}

fn recognised(store: &Store) -> Result<Arc<dyn Form>, Error> {
    if let Some(layout) = Layout::find_marked(store)? {
        return Ok(Arc::new(layout));
    }
    let neither = match store.files() {
        Files::Archive(archive) => {
            if let Some(docker) = Docker::find(store)? {
                return Ok(Arc::new(docker));
            }
            archive.no_image(store.limits())?.into()
        }
        Files::Directory(_) => {
            if let Some(directory) = SkopeoDir::find(store)? {
                return Ok(Arc::new(directory));
            }
            no_directory_of_an_image(store)?
        }
    };
    match Layout::find_unmarked(store)? {
        Some(layout) => Ok(Arc::new(layout)),
        None => Err(neither),
    }
}

/// Why a directory without `oci-layout` and `version` is no image, unless its `index.json` makes it one.
fn no_directory_of_an_image(store: &Store) -> Result<Error, Error> {
    let is_saved = store.file(MANIFEST_JSON, |bytes| Ok(docker_list::parse(bytes).is_ok()))? == Some(true);
    let (because, place) = match is_saved {
        true => (UNPACKED_SAVE, MANIFEST_JSON),
        false => ("it has neither `oci-layout` nor `index.json`, nor `version` and `manifest.json`".into(), OCI_LAYOUT),
    };
    Ok(Error::from(Violation::NotAnImage { because }).at(in_file(place)))
}
