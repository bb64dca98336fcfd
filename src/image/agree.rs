//! Reads a manifest and its configuration, and checks that they agree.

use super::config::Config;
use super::descriptor::Descriptor;
use super::document::{Document, check_bytes};
use super::layer::{LayerDescriptor, LayerPlace};
use super::manifest::{Manifest, parse_index, stated_type};
use super::media_type::{MediaType, artifact, media_type};
use super::names::in_blob;
use super::selected::Selected;
use crate::words::{
    Digest, Error, Escaped, LayerPosition, Limit, Limits, Misuse, Position, Quirk, SizeSeen, Violation,
};

impl Selected {
    /// Makes an image of its manifest and its configuration, which a registry client has downloaded. `digest` is the
    /// digest of the manifest: everything is verified from this value. [`Layer::described`](crate::Layer::described)
    /// makes the layers of readers.
    ///
    /// The documents are checked as those of an image on disk: their sizes and digests, their number of layers and diff
    /// IDs, and all limits. Either may be in the format of OCI or of Docker.
    ///
    /// # Errors
    ///
    /// A [`Violation`] of "Digests and manifests" in `docs/rules.md`, or of a [`Limit`].
    /// [`Misuse::IndexAsManifest`] if the manifest is an index or a manifest list: choose one of the manifests that it
    /// lists first.
    pub fn from_documents(manifest: &[u8], config: &[u8], digest: &Digest, limits: &Limits) -> Result<Self, Error> {
        let placed = |error: Error| error.at(in_blob(digest));
        limits.check(Limit::ManifestBytes, manifest.len() as u64).map_err(|violation| placed(violation.into()))?;
        check_bytes(manifest, digest, limits).map_err(|violation| placed(violation.into()))?;
        let media_type = stated_type(manifest).map_err(|violation| placed(violation.into()))?;
        let descriptor = Descriptor::found(media_type, *digest, manifest.len() as u64);
        if MediaType::parse(descriptor.media_type()) == Some(MediaType::Index) {
            // A document that is both an index and a manifest is refused as such.
            parse_index(manifest, Some(&descriptor)).map_err(|violation| placed(violation.into()))?;
            return Err(placed(Misuse::IndexAsManifest.into()));
        }
        agreed(limits, Document::new(descriptor, manifest.to_vec()), |wanted| {
            let check = || {
                limits.check(Limit::ManifestBytes, wanted.size())?;
                let got = config.len() as u64;
                if got != wanted.size() {
                    return Err(Violation::SizeMismatch { expected: wanted.size(), got: SizeSeen::Exactly(got) });
                }
                check_bytes(config, wanted.digest(), limits)
            };
            check().map_err(|violation| Error::from(violation).at(in_blob(wanted.digest())))?;
            Ok(config.to_vec())
        })
    }
}

/// Reads a verified manifest and its configuration. `read_config` returns the verified bytes of the configuration.
pub(super) fn agreed(
    limits: &Limits,
    manifest: Document,
    read_config: impl FnOnce(&Descriptor) -> Result<Vec<u8>, Error>,
) -> Result<Selected, Error> {
    let manifest_at = || in_blob(manifest.descriptor.digest());
    let placed = |violation: Violation| Error::from(violation).at(manifest_at());
    let Manifest { config, layers, .. } = read_manifest(limits, &manifest).map_err(placed)?;
    let config_at = in_blob(config.digest());
    let config = Document::new(config.clone(), read_config(&config)?);
    let stated = Config::parse(&config.bytes).map_err(|violation| Error::from(violation).at(config_at.clone()))?;
    let layers = described(layers, &stated.diff_ids).map_err(placed)?;
    let mut notes: Vec<(Quirk, Position)> = Vec::new();
    let media_type = config.descriptor.media_type();
    if MediaType::is_old_config(media_type) {
        notes.push((Quirk::ConfigMediaType { media_type: Escaped::new(media_type.as_bytes()) }, manifest_at()));
    }
    if let Some(missing) = stated.unstated {
        notes.push((Quirk::PlatformUnstated { missing }, config_at));
    }
    let mut selected = Selected::new(limits, Some(manifest), (config, stated.platform), layers);
    notes.into_iter().for_each(|(quirk, position)| selected.add_note(quirk, position));
    Ok(selected)
}

fn read_manifest(limits: &Limits, document: &Document) -> Result<Manifest, Violation> {
    let manifest = Manifest::parse(&document.bytes, &document.descriptor)?;
    if let Some(kind) = manifest.artifact() {
        return Err(artifact(kind));
    }
    limits.check(Limit::Layers, manifest.layers.len() as u64)?;
    Ok(manifest)
}

fn described(layers: Vec<Descriptor>, diff_ids: &[Digest]) -> Result<Vec<LayerDescriptor>, Violation> {
    require_as_many(layers.len(), diff_ids.len())?;
    let of = layers.len();
    let layers = layers.into_iter().zip(diff_ids).enumerate();
    layers
        .map(|(index, (descriptor, diff_id))| match MediaType::parse(descriptor.media_type()) {
            Some(MediaType::Layer(compression)) => {
                let position = LayerPosition { number: index + 1, of };
                Ok(LayerDescriptor::new(LayerPlace::Blob(descriptor), position, Some(compression), *diff_id))
            }
            _ => Err(media_type(descriptor.media_type())),
        })
        .collect()
}

/// Refuses an image whose number of layers is not its number of diff IDs.
pub(super) fn require_as_many(layers: usize, diff_ids: usize) -> Result<(), Violation> {
    match layers == diff_ids {
        true => Ok(()),
        false => Err(Violation::LayersAndDiffIds { layers, diff_ids }),
    }
}
