//! Which manifest of an image is meant, and what it says.
//!
//! Within an index the best manifest is taken (an `arm/v7` before an `arm/v6`), and the first of several that are as
//! good, as image-spec asks (image-index.md, "platform"). Between the descriptors of `index.json` no such order is meant: they may be different images, so where
//! more than one fits, a reference name has to say which.

use super::agree::{Document, agreed};
use super::manifest::{Descriptor, Root};
use super::media_type::MediaType;
use super::open::{Form, Image, in_file};
use super::pinned::pinned_elsewhere;
use super::reference::{list, named_or};
use super::selected::Selected;
use super::selector::{Selector, which};
use super::walk::Walk;
use crate::words::{Error, Misuse, Quirk, SelectBy};
use std::collections::HashSet;

/// Something that fits what is asked for.
pub(super) struct Candidate<K, T> {
    /// How many platforms would have been better.
    pub(super) rank: usize,
    /// What makes it different from others: two names of one image are no choice.
    pub(super) key: K,
    pub(super) value: T,
}

/// The key and the value of the best candidate, or `None`. `name` returns the name of a candidate in messages.
pub(super) fn best<K: PartialEq, T>(
    mut candidates: Vec<Candidate<K, T>>,
    selector: &Selector,
    name: impl Fn(&T) -> String,
) -> Result<Option<(K, T)>, Error> {
    let best = candidates.iter().map(|candidate| candidate.rank).min();
    candidates.retain(|candidate| Some(candidate.rank) == best);
    if let [first, others @ ..] = candidates.as_slice()
        && others.iter().any(|other| other.key != first.key)
    {
        let names = list(candidates.iter().map(|candidate| name(&candidate.value)));
        return Err(nothing(format!("{} alone", selector.wanted()), which(&names), SelectBy::Any));
    }
    Ok(candidates.into_iter().next().map(|candidate| (candidate.key, candidate.value)))
}

/// Nothing fits, or too much.
pub(super) fn nothing(wanted: String, found: String, by: SelectBy) -> Error {
    Misuse::NothingSelected { wanted, found, by }.into()
}

/// What a message calls a manifest or an index of a layout.
fn message_name(position: usize, root: &Descriptor) -> String {
    named_or(root.name(), || format!("@{position} without a name ({})", root.digest()))
}

impl Image {
    /// Finds the manifest that is asked for and reads what it says; no layer is opened.
    ///
    /// Attestations, artifacts and what else is no image are passed over. A manifest whose platform is not stated in
    /// full, not in its configuration either, is for any platform: it is taken where none is that states the right one.
    ///
    /// # Errors
    ///
    /// [`Misuse::NothingSelected`] when nothing fits, or when more than one image is as good;
    /// [`Violation::PinnedManifestMissing`](crate::rules::Violation::PinnedManifestMissing) when it is another image than the one of that digest;
    /// a [`Violation`](crate::rules::Violation) from "Digests and manifests", or of a [`Limit`](crate::rules::Limit), for an image that is malformed,
    /// incomplete, or not an image.
    pub fn select(&self, selector: &Selector) -> Result<Selected, Error> {
        let mut selected = self.select_alone(selector)?;
        selected.add_notes(self.note());
        selected.add_notes(self.disagreement(&selected, selector)?);
        Ok(selected)
    }

    /// Finds it in the list that counts, whatever another one says.
    pub(super) fn select_alone(&self, selector: &Selector) -> Result<Selected, Error> {
        let selected = match (&self.form, selector.pinned(), selector.pinned_config()) {
            (Form::Docker(listed), _, _) => self.select_docker(listed, selector),
            (_, Some(digest), _) => self.select_pinned(digest, selector),
            (_, None, Some(digest)) => self.select_by_config(digest),
            (Form::Flat(root), None, None) => self.select_from(std::slice::from_ref(root), selector),
            (Form::Layout, None, None) => {
                let Root { manifests, is_versioned } = self.index(Root::parse)?;
                let mut selected = self.select_from(&manifests, selector)?;
                if !is_versioned {
                    selected.add_note(Quirk::IndexUnversioned, in_file("index.json"));
                }
                Ok(selected)
            }
        }?;
        match selector.pinned_config() {
            Some(digest) if digest != selected.config().digest() => {
                Err(pinned_elsewhere(*digest, selected.config().digest().to_string()))
            }
            _ => Ok(selected),
        }
    }

    pub(super) fn select_from(&self, listed: &[Descriptor], selector: &Selector) -> Result<Selected, Error> {
        let roots = selector.require_of(listed, message_name)?;
        let only = if let [(_, only)] = roots.as_slice() { Some(*only) } else { None };
        if let Some(root) = only
            && selector.has_position()
            && root.artifact().is_none()
            && MediaType::parse(root.media_type()) == Some(MediaType::Manifest)
        {
            let (descriptor, _) = root.clone().without_names();
            return Ok(self.read_manifest(&descriptor)?.under(root.name()));
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
                Ok(self.complete(self.read_manifest(&found), &roots, selector)?.under(root.name()))
            }
            (None, Some(violation)) => Err(violation.into()),
            (None, None) => Err(nothing(selector.wanted(), list(walk.platforms_found()), SelectBy::Platform)),
        }
    }

    pub(super) fn read_manifest(&self, descriptor: &Descriptor) -> Result<Selected, Error> {
        let manifest = Document::new(descriptor.clone(), self.document_bytes(descriptor)?);
        Ok(agreed(self.limits(), manifest, |config| self.document_bytes(config))?.within(self))
    }
}
