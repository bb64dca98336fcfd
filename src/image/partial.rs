//! An image that lists more than it holds.
//!
//! `docker save` from containerd's store, `ctr images export` and podman keep the whole index of an image of which only
//! one platform was ever pulled.

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

/// How many manifests and indexes are looked at for a message. Each may have 500 layers to look for; real indexes list a
/// dozen platforms, with an attestation for each.
const LOOKED_AT: usize = 64;

impl Store {
    /// Passes on what was selected where all of it is here. Where it is not, and other platforms are, says which.
    ///
    /// What was asked for is never replaced by what is here: which platform is unpacked does not depend on what got lost.
    pub(super) fn complete(
        &self,
        selected: Result<Selected, Error>,
        roots: &[&Descriptor],
        selector: &Selector,
    ) -> Result<Selected, Error> {
        // Where nothing lists several platforms, the missing blob itself is the message.
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
        let held = self.platforms_held(roots)?;
        if held.is_empty() {
            // A missing layer is met again where it is read, and named by its number.
            return selected;
        }
        let (platform, found) = (selector.platform.to_string(), list(held.into_iter()));
        Err(Error::from(Violation::PlatformMissing { platform, found }).at(position))
    }

    /// The first layer that is not here and should be.
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

    /// The platforms for which all blobs are here, the first ones in the order of the alphabet.
    fn platforms_held(&self, roots: &[&Descriptor]) -> Result<BTreeSet<String>, Error> {
        let (mut held, mut seen) = (BTreeSet::new(), HashSet::new());
        let mut waiting: Vec<_> = roots.iter().rev().map(|&root| (root.clone(), 1)).collect();
        while let Some((descriptor, depth)) = waiting.pop() {
            if seen.len() == LOOKED_AT || held.len() > SHOWN {
                break;
            }
            if descriptor.artifact().is_some() || !seen.insert(*descriptor.digest()) {
                continue;
            }
            match MediaType::parse(descriptor.media_type()) {
                Some(MediaType::Index) if depth <= self.limits().most(Limit::IndexDepth) => {
                    let inner = self.document(&descriptor, |bytes| parse_index(bytes, Some(&descriptor)));
                    let inner = if_there(inner)?.unwrap_or_default();
                    // No more than are looked at: an index may list 30,000, and others may list it.
                    let inner = inner.into_iter().take(LOOKED_AT).rev();
                    waiting.extend(inner.map(|inner| (inner.without_annotations(), depth + 1)));
                }
                Some(MediaType::Manifest) => held.extend(self.platform_held(descriptor)?),
                _ => {}
            }
        }
        Ok(held)
    }

    /// The platform of a manifest of which all blobs are here.
    fn platform_held(&self, descriptor: Descriptor) -> Result<Option<String>, Error> {
        let manifest = self.document(&descriptor, |bytes| Manifest::parse(bytes, &descriptor));
        let Some(manifest) = if_there(manifest)? else { return Ok(None) };
        if manifest.artifact().is_some() || self.missing_blob(manifest.layers.iter())?.is_some() {
            return Ok(None);
        }
        let Some(config) = if_there(self.document(&manifest.config, Config::parse))? else { return Ok(None) };
        let (_, platform) = descriptor.shortened();
        let platform = platform.map(|platform| *platform).or(config.platform).filter(|platform| !platform.is_unknown());
        Ok(platform.map(|platform| platform.to_string()))
    }
}

/// What can be read; what is not here or malformed is not held.
pub(super) fn if_there<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.is_refusal() => Ok(None),
        read => read.map(Some),
    }
}
