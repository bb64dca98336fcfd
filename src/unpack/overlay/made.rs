//! The layers of an image that are found or made so far.

use super::chain::chain_ids;
use super::image::{OverlayImage, OverlayLayer};
use crate::cage::{LayerClaim, StoredLayer};
use crate::image::{LayerDescriptor, Selected};
use crate::output::{Overlay, OverlayLayers};
use crate::unpack::run::Applied;
use crate::words::{Digest, Durability, Error, OverlayFormat, Report};

/// The layers of an image that are found or made so far, from the bottom.
#[derive(Debug)]
pub(super) struct MadeLayers {
    format: OverlayFormat,
    sinks: OverlayLayers,
    layers: Vec<OverlayLayer>,
}

impl MadeLayers {
    pub(super) fn new(format: OverlayFormat) -> Self {
        Self { format, sinks: OverlayLayers::new(format), layers: Vec::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.layers.len()
    }

    /// The chain ID of the top layer.
    pub(super) fn top(&self) -> Option<&Digest> {
        self.layers.last().map(|layer| &layer.chain_id)
    }

    /// Whether these are all layers of an image, in its order, and no others.
    pub(super) fn are_those_of(&self, image: &Selected) -> bool {
        // A chain ID identifies a layer with all layers below it.
        let of_image = chain_ids(image.layers().iter().map(LayerDescriptor::diff_id));
        of_image.eq(self.layers.iter().map(|layer| layer.chain_id))
    }

    /// Adds a layer that the store has.
    pub(super) fn add(&mut self, chain_id: Digest, layer: StoredLayer) {
        let StoredLayer { diff, path, skipped } = layer;
        self.sinks.add(diff, skipped);
        self.layers.push(OverlayLayer { path, chain_id, was_there: true });
    }

    /// Makes a layer: `apply` applies it to a staged directory, which is published if the layer is verified.
    pub(super) fn make(
        &mut self,
        claim: LayerClaim<'_>,
        durability: Durability,
        apply: impl FnOnce(&mut Overlay) -> Result<Applied, Error>,
    ) -> Result<Applied, Error> {
        let chain_id = claim.key().chain_id;
        let stage = claim.stage()?;
        let overlay = self.sinks.next(stage.cage()?)?;
        // What was applied goes with the staging directory.
        let applied = apply(overlay).map_err(Error::without_effect)?;
        applied.checked().clone().verified()?;
        overlay.settle()?;
        let path = claim.publish(stage, overlay.skipped(), durability)?;
        self.layers.push(OverlayLayer { path, chain_id, was_there: false });
        Ok(applied)
    }

    /// The layers as an image has them.
    pub(super) fn into_image(self, report: Report) -> OverlayImage {
        let layers = self.layers.into_iter().rev().collect();
        OverlayImage { layers, format: self.format, report }
    }
}
