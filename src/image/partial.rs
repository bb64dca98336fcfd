//! Images that list more platforms than they hold.
//!
//! `docker save` from containerd's store, `ctr images export` and podman keep the whole index of an image, even if only
//! one platform was pulled.

use super::config::Config;
use super::descriptor::Descriptor;
use super::manifest::{Manifest, parse_index};
use super::media_type::MediaType;
use super::names::in_blob;
use super::reference::{SHOWN, list};
use super::selected::Selected;
use super::selector::Selector;
use super::store::Store;
use crate::words::{Digest, Error, Limit, Violation};
use std::collections::{BTreeSet, HashSet};

/// How many manifests and indexes are read for a message. Each may have 500 layers to look for. Real indexes list a
/// dozen platforms, with an attestation for each.
const MOST_READ: usize = 64;

impl Store {
    /// Returns the selected image if the store holds all of it. If it does not, but holds other platforms, the error
    /// lists these.
    ///
    /// Another platform is never selected instead: the result must not depend on which blobs were lost.
    pub(super) fn require_complete(
        &self,
        selected: Result<Selected, Error>,
        roots: &[&Descriptor],
        selector: &Selector,
    ) -> Result<Selected, Error> {
        // Without an index there are no other platforms. The error for the missing blob is enough.
        if !roots.iter().any(|root| MediaType::parse(root.media_type()) == Some(MediaType::Index)) {
            return selected;
        }
        let position = match &selected {
            Ok(there) => match self.missing_layer(there)? {
                Some(digest) => in_blob(&digest),
                None => return selected,
            },
            Err(error) if matches!(error.violation(), Some(Violation::BlobMissing { .. })) => error.position().clone(),
            Err(_) => return selected,
        };
        let complete = self.complete_platforms(roots)?;
        if complete.is_empty() {
            // When the missing layer is opened, the error has its number.
            return selected;
        }
        let (platform, found) = (selector.platform().to_string(), list(complete.into_iter()));
        Err(Error::from(Violation::PlatformMissing { platform, found }).at(position))
    }

    /// The first missing layer, except for foreign layers.
    fn missing_layer(&self, selected: &Selected) -> Result<Option<Digest>, Error> {
        let blobs = selected.layers().iter().filter_map(|layer| layer.descriptor());
        self.missing_blob(blobs)
    }

    fn missing_blob<'d>(&self, blobs: impl Iterator<Item = &'d Descriptor>) -> Result<Option<Digest>, Error> {
        for blob in blobs.filter(|blob| !blob.is_foreign()) {
            if !self.holds(blob).map_err(|error| error.at(in_blob(blob.digest())))? {
                return Ok(Some(*blob.digest()));
            }
        }
        Ok(None)
    }

    /// The first platforms, in alphabetical order, for which the store holds all blobs.
    fn complete_platforms(&self, roots: &[&Descriptor]) -> Result<BTreeSet<String>, Error> {
        let (mut complete, mut seen) = (BTreeSet::new(), HashSet::new());
        let mut waiting: Vec<_> = roots.iter().rev().map(|&root| (root.clone(), 1)).collect();
        while let Some((descriptor, depth)) = waiting.pop() {
            if seen.len() == MOST_READ || complete.len() > SHOWN {
                break;
            }
            if descriptor.artifact().is_some() || !seen.insert(*descriptor.digest()) {
                continue;
            }
            match MediaType::parse(descriptor.media_type()) {
                Some(MediaType::Index) if depth <= self.limits().most(Limit::IndexDepth) => {
                    let inner = self.document(&descriptor, |bytes| parse_index(bytes, Some(&descriptor)));
                    let inner = unless_refused(inner)?.unwrap_or_default();
                    // Keeps no more than are read: an index may list 30,000, and may be listed many times.
                    let inner = inner.into_iter().take(MOST_READ).rev();
                    waiting.extend(inner.map(|inner| (inner.without_annotations(), depth + 1)));
                }
                Some(MediaType::Manifest) => complete.extend(self.complete_platform(descriptor)?),
                _ => {}
            }
        }
        Ok(complete)
    }

    /// The platform of a manifest if the store holds all its blobs.
    fn complete_platform(&self, descriptor: Descriptor) -> Result<Option<String>, Error> {
        let manifest = self.document(&descriptor, |bytes| Manifest::parse(bytes, &descriptor));
        let Some(manifest) = unless_refused(manifest)? else { return Ok(None) };
        if manifest.artifact().is_some() || self.missing_blob(manifest.layers.iter())?.is_some() {
            return Ok(None);
        }
        let Some(config) = unless_refused(self.document(&manifest.config, Config::parse))? else { return Ok(None) };
        let (_, platform) = descriptor.shortened();
        let platform = platform.map(|platform| *platform).or(config.platform).filter(|platform| !platform.is_unknown());
        Ok(platform.map(|platform| platform.to_string()))
    }
}

/// The result of a read; `None` for a document that is missing or malformed.
pub(super) fn unless_refused<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.is_refusal() => Ok(None),
        read => read.map(Some),
    }
}
