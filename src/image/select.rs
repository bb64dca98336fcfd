//! Which manifest of an image is meant, and what it says.
//!
//! Within an index the best manifest is taken (an `arm/v7` before an `arm/v6`), and the first of several that are as
//! good, as image-spec asks (image-index.md, "platform"). Between the descriptors of `index.json` no such order is meant: they may be different images, so where
//! more than one fits, a reference name has to say which.

use super::agree::agreed;
use super::candidate::{Candidate, best};
use super::checked::Document;
use super::descriptor::Descriptor;
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

/// What a message calls a manifest or an index of a layout.
fn message_name(position: usize, root: &Descriptor) -> String {
    named_or(root.name(), || format!("@{position} without a name ({})", root.digest()))
}

impl Store {
    /// Finds the manifest that is asked for in `index.json`.
    pub(super) fn select_indexed(&self, selector: &Selector) -> Result<Selected, Error> {
        let Root { manifests, is_versioned } = self.index(Root::parse)?;
        let mut selected = self.select_from(&manifests, selector)?;
        if !is_versioned {
            selected.add_note(Quirk::IndexUnversioned, in_file(INDEX_JSON));
        }
        Ok(selected)
    }

    /// Finds the manifest that is asked for in a list of manifests and indexes.
    pub(super) fn select_from(&self, listed: &[Descriptor], selector: &Selector) -> Result<Selected, Error> {
        let roots = selector.require_of(listed, message_name)?;
        let only = if let [(_, only)] = roots.as_slice() { Some(*only) } else { None };
        if let Some(root) = only
            && selector.has_position()
            && root.artifact().is_none()
            && MediaType::parse(root.media_type()) == Some(MediaType::Manifest)
        {
            return Ok(self.read_manifest(&root.clone().without_platform())?.under(root.name()));
        }
        let mut walk = Walk::new(self, &selector.platform);
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
        match (found, walk.nothing_to_choose()) {
            (Some((_, (_, root, found))), _) => {
                let roots: Vec<_> = roots.iter().map(|(_, root)| *root).collect();
                let found = walk.as_listed(root, &found)?;
                Ok(self.complete(self.read_manifest(&found), &roots, selector)?.under(root.name()))
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
