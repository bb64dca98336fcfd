//! An image layout: `oci-layout`, `index.json`, and blobs named by their digests.
//!
//! Follows image-spec, image-layout.md.

use super::by_digest::ByDigest;
use super::descriptor::Descriptor;
use super::docker_list;
use super::files::Files;
use super::form::{Form, ImageForm};
use super::inventory::{ListedManifest, list_roots};
use super::json::{self, strict};
use super::manifest::{lists_manifests, parse_index};
use super::names::{INDEX_JSON, MANIFEST_JSON, OCI_LAYOUT, in_file};
use super::selected::Selected;
use super::selector::Selector;
use super::store::{Naming, Store};
use super::two_lists::{Disagreement, compare_with_docker};
use crate::words::{Because, Error, Escaped, Note, Quirk, Violation};
use serde::Deserialize;

/// An image layout, as a directory or in an archive.
#[derive(Debug)]
pub(super) enum Layout {
    /// With `oci-layout`.
    Marked,
    /// Without `oci-layout`. BuildKit writes such layouts for `type=oci,tar=false`.
    Unmarked,
}

impl Layout {
    /// A layout with `oci-layout`; `None` if that file is missing.
    ///
    /// # Errors
    ///
    /// [`Violation::NotAnImage`] for a layout of another version than 1.0.0.
    pub(super) fn find_marked(store: &Store) -> Result<Option<Self>, Error> {
        let Some(marker) = store.file(OCI_LAYOUT, json::parse::<LayoutMarker>)? else { return Ok(None) };
        if marker.image_layout_version != "1.0.0" {
            let version = Escaped::new(marker.image_layout_version.as_bytes());
            let what = format!("its `oci-layout` states the version {version}, and only \"1.0.0\" is supported").into();
            let advice = Some("write the image again as a layout of version 1.0.0");
            let because = Because { what, advice, is_layer: false };
            return Err(Error::from(Violation::NotAnImage { because }).at(in_file(OCI_LAYOUT)));
        }
        Ok(Some(Self::Marked))
    }

    /// A layout without `oci-layout`. An `index.json` makes it one if it lists manifests: a layer of a web server may
    /// have a file of that name, too.
    pub(super) fn find_unmarked(store: &Store) -> Result<Option<Self>, Error> {
        let lists = store.file(INDEX_JSON, |bytes| Ok(lists_manifests(bytes)))?;
        Ok((lists == Some(true)).then_some(Self::Unmarked))
    }
}

fn roots(store: &Store) -> Result<Vec<Descriptor>, Error> {
    store.index(|bytes| parse_index(bytes, None))
}

impl Form for Layout {
    fn naming(&self) -> Naming {
        Naming::Layout
    }

    fn note(&self) -> Option<Note> {
        match self {
            Self::Marked => None,
            Self::Unmarked => Some(Note { quirk: Quirk::LayoutUnmarked, position: in_file(OCI_LAYOUT) }),
        }
    }

    fn has(&self, store: &Store, form: ImageForm) -> Result<bool, Error> {
        let is_archive = matches!(store.files(), Files::Archive(_));
        Ok(match form {
            ImageForm::Oci => !is_archive,
            ImageForm::OciArchive => is_archive,
            ImageForm::DockerArchive if is_archive => {
                let listed = store.file(MANIFEST_JSON, docker_list::parse_beside_index)?;
                listed.is_some_and(|listed| !listed.is_empty())
            }
            ImageForm::DockerArchive | ImageForm::Dir => false,
        })
    }

    fn select(&self, store: &Store, selector: &Selector) -> Result<Selected, Error> {
        match (ByDigest { store, roots: &|| roots(store) }).select(selector)? {
            Some(pinned) => Ok(pinned),
            None => store.select_indexed(selector),
        }
    }

    fn disagreement(&self, store: &Store, selected: &Selected, selector: &Selector) -> Result<Disagreement, Error> {
        compare_with_docker(store, selected, selector)
    }

    fn manifests(&self, store: &Store) -> Result<Vec<ListedManifest>, Error> {
        list_roots(store, roots(store)?)
    }
}

/// The file `oci-layout`.
#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct LayoutMarker {
    image_layout_version: String,
}

strict!(LayoutMarker);
