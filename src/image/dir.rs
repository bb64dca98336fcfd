//! The `dir:` of skopeo: a directory with one manifest, and with blobs named by the digits of their digests.

use super::by_digest::ByDigest;
use super::descriptor::Descriptor;
use super::document::digest_of;
use super::form::{Form, ImageForm};
use super::inventory::{ListedManifest, list_roots};
use super::manifest::stated_type;
use super::names::MANIFEST_JSON;
use super::selected::Selected;
use super::selector::Selector;
use super::store::{Naming, Store};
use super::two_lists::Disagreement;
use crate::words::{Algorithm, Error};
use std::slice;

/// A directory of skopeo, with the descriptor of its `manifest.json`.
#[derive(Debug)]
pub(super) struct SkopeoDir(Descriptor);

impl SkopeoDir {
    /// The manifest of the directory; `None` if the directory is of another form.
    pub(super) fn find(store: &Store) -> Result<Option<Self>, Error> {
        // Every reader of `dir:` accepts a version that begins like this.
        let version = store.file("version", |text| Ok(text.starts_with(b"Directory Transport Version: 1.")))?;
        if version != Some(true) {
            return Ok(None);
        }
        let root = store.file(MANIFEST_JSON, |bytes| {
            Ok(Descriptor::found(stated_type(bytes)?, digest_of(Algorithm::Sha256, bytes), bytes.len() as u64))
        })?;
        Ok(root.map(Self))
    }
}

impl Form for SkopeoDir {
    fn naming(&self) -> Naming {
        Naming::Flat(*self.0.digest())
    }

    fn has(&self, _store: &Store, form: ImageForm) -> Result<bool, Error> {
        Ok(form == ImageForm::Dir)
    }

    fn select(&self, store: &Store, selector: &Selector) -> Result<Selected, Error> {
        match (ByDigest { store, roots: &|| Ok(vec![self.0.clone()]) }).select(selector)? {
            Some(pinned) => Ok(pinned),
            None => store.select_from(slice::from_ref(&self.0), selector),
        }
    }

    /// There is no other list.
    fn disagreement(&self, _store: &Store, _selected: &Selected, _selector: &Selector) -> Result<Disagreement, Error> {
        Ok(None)
    }

    fn manifests(&self, store: &Store) -> Result<Vec<ListedManifest>, Error> {
        list_roots(store, vec![self.0.clone()])
    }
}
