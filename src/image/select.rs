//! Selects a manifest of an image.
//!
//! Within an index, the best manifest is selected (an `arm/v7` before an `arm/v6`), and the first one of several
//! equally good ones, as image-spec asks (image-index.md, "platform"). The order of `index.json` has no such meaning:
//! its descriptors may be different images. So if several of them match, the caller must choose one by name.

use super::agree::agreed;
use super::candidate::{Candidate, best};
use super::descriptor::Descriptor;
use super::document::Document;
use super::manifest::Root;
use super::media_type::MediaType;
use super::names::{INDEX_JSON, in_file};
use super::reference::{list, named_or};
use super::selected::Selected;
use super::selector::{Selector, none_matches};
use super::store::Store;
use super::walk::Walk;
use crate::words::{Error, Quirk, SelectBy};
use std::collections::HashSet;

/// The name of a manifest or an index of a layout in messages.
fn message_name(position: usize, root: &Descriptor) -> String {
    named_or(root.name(), || format!("@{position} without a name ({})", root.digest()))
}

impl Store {
    /// Selects from `index.json`.
    pub(super) fn select_indexed(&self, selector: &Selector) -> Result<Selected, Error> {
        let Root { manifests, is_versioned } = self.index(Root::parse)?;
        let mut selected = self.select_from(&manifests, selector)?;
        if !is_versioned {
            selected.add_note(Quirk::IndexUnversioned, in_file(INDEX_JSON));
        }
        Ok(selected)
    }

    /// Selects from a list of manifests and indexes.
    pub(super) fn select_from(&self, listed: &[Descriptor], selector: &Selector) -> Result<Selected, Error> {
        let roots = selector.require_matching(listed, message_name)?;
        let only = if let [(_, only)] = roots.as_slice() { Some(*only) } else { None };
        if let Some(root) = only
            && selector.position().is_some()
            && root.artifact().is_none()
            && MediaType::parse(root.media_type()) == Some(MediaType::Manifest)
        {
            return Ok(self.read_manifest(&root.clone().without_platform())?.under(root.name()));
        }
        let mut walk = Walk::new(self, selector.platform());
        let mut candidates = Vec::new();
        let mut different = HashSet::new();
        for &(position, root) in &roots {
            if let Some((rank, found)) = walk.best_fitting(root, 1)?
                && different.insert(*found.digest())
            {
                candidates.push(Candidate { rank, key: *found.digest(), value: (position, root, found) });
            }
        }
        let found = best(candidates, selector, |(position, root, _)| message_name(*position, root))?;
        match (found, walk.no_image()) {
            (Some((_, (_, root, found))), _) => {
                let roots: Vec<_> = roots.iter().map(|(_, root)| *root).collect();
                let found = walk.as_listed(root, &found)?;
                Ok(self.require_complete(self.read_manifest(&found), &roots, selector)?.under(root.name()))
            }
            (None, Some(violation)) => Err(violation.into()),
            (None, None) => Err(none_matches(selector.wanted(), list(walk.platforms_found()), SelectBy::Platform)),
        }
    }

    pub(super) fn read_manifest(&self, descriptor: &Descriptor) -> Result<Selected, Error> {
        let manifest = Document::new(descriptor.clone(), self.document_bytes(descriptor)?);
        Ok(agreed(self.limits(), manifest, |config| self.document_bytes(config))?.within(self))
    }
}
