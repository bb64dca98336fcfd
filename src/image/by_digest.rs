//! Selects by a digest. The names and platforms that the image lists do not count.

use super::config::Config;
use super::descriptor::Descriptor;
use super::manifest::{Manifest, parse_index};
use super::media_type::MediaType;
use super::names::{INDEX_JSON, in_file};
use super::partial::unless_refused;
use super::reference::{SHOWN, list};
use super::selected::Selected;
use super::selector::Selector;
use super::store::Store;
use crate::words::{Digest, Error, FoundInstead, Limit, Violation};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// The error for an image that does not hold the digest that was asked for.
pub(super) fn digest_missing(digest: Digest, found: FoundInstead) -> Error {
    Violation::PinnedManifestMissing { digest, found }.into()
}

/// Selects from an image by a digest.
pub(super) struct ByDigest<'a> {
    pub(super) store: &'a Store,
    /// Reads the descriptors at the top of the image.
    pub(super) roots: &'a dyn Fn() -> Result<Vec<Descriptor>, Error>,
}

impl ByDigest<'_> {
    /// Selects by the digests of the selector; `None` if it has none.
    pub(super) fn select(&self, selector: &Selector) -> Result<Option<Selected>, Error> {
        match (selector.manifest_digest(), selector.image_id()) {
            (Some(digest), _) => self.select_manifest(digest, selector).map(Some),
            (None, Some(digest)) => self.select_by_config(digest).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Selects the manifest with this digest, or from the index with this digest.
    fn select_manifest(&self, digest: &Digest, selector: &Selector) -> Result<Selected, Error> {
        match self.select_described(digest, selector) {
            Err(error) if error.is_refusal() && self.is_image_id(digest)? => {
                Err(digest_missing(*digest, FoundInstead::Configuration))
            }
            other => other,
        }
    }

    fn select_described(&self, digest: &Digest, selector: &Selector) -> Result<Selected, Error> {
        let found = self.store.describe(digest)?;
        let found =
            found.map_or_else(|| Err(digest_missing(*digest, FoundInstead::Others(self.digests_listed()?))), Ok)?;
        match MediaType::parse(found.media_type()) {
            Some(MediaType::Manifest) => self.store.read_manifest(&found),
            _ => self.store.select_from(&[found], &selector.for_platform_alone()),
        }
    }

    /// Selects the manifest of a configuration. Several manifests may have the same configuration: their layers have
    /// the same content, but are compressed differently.
    fn select_by_config(&self, digest: &Digest) -> Result<Selected, Error> {
        let (mut found, mut is_manifest, mut others) = (None, false, Vec::new());
        self.each_manifest(|descriptor, manifest| {
            let config = manifest.config.digest();
            is_manifest |= descriptor.digest() == digest;
            if config == digest {
                found = Some(descriptor.clone().without_platform());
                return ControlFlow::Break(());
            }
            if others.len() <= SHOWN && !others.contains(config) {
                others.push(*config);
            }
            ControlFlow::Continue(())
        })?;
        match found {
            Some(found) => self.store.read_manifest(&found),
            None if is_manifest => Err(digest_missing(*digest, FoundInstead::Manifest)),
            None => {
                let found = match list(others.iter().map(Digest::to_string)) {
                    none if none.is_empty() => "none that can be read".to_owned(),
                    digests => digests,
                };
                Err(digest_missing(*digest, FoundInstead::Others(found)))
            }
        }
    }

    /// Whether this is the digest of a configuration that the image holds.
    fn is_image_id(&self, digest: &Digest) -> Result<bool, Error> {
        let config = self.store.found(digest, MediaType::Config, Config::parse);
        unless_refused(config).map(|config| config.flatten().is_some())
    }

    /// Calls `visit` with every manifest that the image holds, of any name and platform, until `visit` breaks.
    /// Manifests that are missing or malformed are skipped.
    pub(super) fn each_manifest(
        &self,
        mut visit: impl FnMut(&Descriptor, &Manifest) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let roots = (self.roots)()?;
        let listed = |listed: Vec<Descriptor>, depth| {
            listed.into_iter().rev().map(move |inner| (inner.without_annotations(), depth))
        };
        // The next one is the last of the list. So at most the descriptors of one path of nested indexes are waiting.
        let mut waiting: Vec<_> = listed(roots, 1).collect();
        let mut seen = HashSet::new();
        while let Some((descriptor, depth)) = waiting.pop() {
            if !seen.insert(*descriptor.digest()) {
                continue;
            }
            let placed = |violation: Violation| Error::from(violation).at(in_file(INDEX_JSON));
            self.store.limits().check(Limit::Manifests, seen.len() as u64).map_err(placed)?;
            match MediaType::parse(descriptor.media_type()) {
                Some(MediaType::Index) if depth < self.store.limits().most(Limit::IndexDepth) => {
                    let inner = self.store.document(&descriptor, |bytes| parse_index(bytes, Some(&descriptor)));
                    waiting.extend(listed(unless_refused(inner)?.unwrap_or_default(), depth + 1));
                }
                Some(MediaType::Manifest) => {
                    let manifest = self.store.document(&descriptor, |bytes| Manifest::parse(bytes, &descriptor));
                    let Some(manifest) = unless_refused(manifest)? else { continue };
                    if visit(&descriptor, &manifest).is_break() {
                        break;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The digests of the listed manifests, as a message shows them.
    fn digests_listed(&self) -> Result<String, Error> {
        // The list is not needed to select by a digest, so it may be malformed.
        let listed = unless_refused((self.roots)())?.unwrap_or_default();
        Ok(match list(listed.iter().map(|root| root.digest().to_string())) {
            none if none.is_empty() => "none that `index.json` lists".to_owned(),
            digests => digests,
        })
    }
}
