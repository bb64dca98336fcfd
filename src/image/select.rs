//! Which manifest of an image is meant, and what it says.
//!
//! Within an index the first manifest that fits is taken, as image-spec asks (image-index.md, "platform").
//! Between the descriptors of `index.json` no such order is meant: they may be different images, so where
//! more than one fits, a reference name has to say which.

use super::layout::{Image, in_blob};
use super::manifest::{Config, Descriptor, Manifest, media_type, parse_index};
use super::media_type::MediaType;
use super::platform::Platform;
use super::walk::Walk;
use crate::read::Format;
use crate::words::{Digest, Error, Escaped, Fault, Limit, Misuse, Position, Violation};
use std::collections::HashSet;

/// What is asked for: a platform, and a reference name where the image has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub(super) platform: Platform,
    reference: Option<String>,
}

impl Default for Selector {
    fn default() -> Self {
        Self::host()
    }
}

impl Selector {
    /// Asks for what runs here.
    pub fn host() -> Self {
        Self { platform: Platform::host(), reference: None }
    }

    /// Asks for what the layout gives this name (`org.opencontainers.image.ref.name`), a tag say.
    #[must_use]
    pub fn reference(mut self, name: impl Into<String>) -> Self {
        self.reference = Some(name.into());
        self
    }

    fn wanted(&self) -> String {
        match &self.reference {
            Some(name) => format!("{} under the reference name {}", self.platform, Escaped::new(name.as_bytes())),
            None => self.platform.to_string(),
        }
    }
}

/// A manifest and its configuration: read, checked against their digests, and in agreement.
///
/// Only [`Image::select`] makes one.
#[derive(Debug, Clone)]
pub struct Selected {
    image: Image,
    manifest: Descriptor,
    config: Descriptor,
    layers: Vec<LayerDescriptor>,
}

impl Selected {
    /// The image of which this is one.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The manifest that was selected.
    pub fn manifest(&self) -> &Descriptor {
        &self.manifest
    }

    /// The configuration that the manifest names.
    pub fn config(&self) -> &Descriptor {
        &self.config
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[LayerDescriptor] {
        &self.layers
    }
}

/// A layer as the manifest and the configuration describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDescriptor {
    descriptor: Descriptor,
    compression: Format,
    diff_id: Digest,
}

impl LayerDescriptor {
    /// Its blob.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// How its media type says it is compressed.
    pub fn compression(&self) -> Format {
        self.compression
    }

    /// The digest of the uncompressed layer.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }
}

impl Image {
    /// Finds the manifest that is asked for and reads what it says; no layer is opened.
    ///
    /// Attestations, artifacts and what else is no image are passed over. A manifest whose platform is
    /// stated nowhere is taken when it is the only one.
    ///
    /// # Errors
    ///
    /// [`Misuse::NothingSelected`] when nothing fits, or when more than one image of the layout does;
    /// a [`Violation`] from "Digests and manifests", or of a [`Limit`], for an image that is malformed,
    /// incomplete, or not an image.
    pub fn select(&self, selector: &Selector) -> Result<Selected, Error> {
        let listed = self.index(|bytes| parse_index(bytes, None))?;
        let nothing = |wanted, found| Fault::from(Misuse::NothingSelected { wanted, found }).at(Position::default());
        let roots = listed
            .iter()
            .filter(|root| selector.reference.is_none() || root.reference() == selector.reference.as_deref());

        let mut walk = Walk::new(self, &selector.platform);
        let mut fitting = Vec::new();
        let mut different = HashSet::new();
        let mut any = false;
        for root in roots {
            any = true;
            if let Some(found) = walk.first_fitting(root, 1)?
                && different.insert(*found.digest())
            {
                fitting.push((root, found));
            }
        }
        match fitting.as_slice() {
            [(_, only)] => self.read_manifest(only),
            [] if !any && !listed.is_empty() => Err(nothing(selector.wanted(), named(&listed))),
            [] => match (walk.only_unstated(), walk.nothing_to_choose()) {
                (Some(only), _) => self.read_manifest(only),
                (None, Some(violation)) => Err(Fault::from(violation).at(Position::default())),
                (None, None) => Err(nothing(selector.wanted(), list(walk.platforms_found()))),
            },
            several => {
                let wanted = format!("{} alone", selector.wanted());
                let found = format!("{}: say which", named(several.iter().map(|(root, _)| *root)));
                Err(nothing(wanted, found))
            }
        }
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<Selected, Error> {
        let manifest = self.document(descriptor, |bytes| Manifest::parse(bytes, descriptor))?;
        let placed = |violation: Violation| Fault::from(violation).at(in_blob(descriptor.digest()));
        if MediaType::parse(manifest.config.media_type()) != Some(MediaType::Config) {
            return Err(placed(media_type(manifest.config.media_type())));
        }
        self.limits().check(Limit::Layers, manifest.layers.len() as u64).map_err(placed)?;
        let config = self.document(&manifest.config, Config::parse)?;
        let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
        if layers != diff_ids {
            return Err(placed(Violation::LayersAndDiffIds { layers, diff_ids }));
        }
        let layers = manifest
            .layers
            .into_iter()
            .zip(config.diff_ids)
            .map(|(descriptor, diff_id)| match MediaType::parse(descriptor.media_type()) {
                Some(MediaType::Layer(compression)) => Ok(LayerDescriptor { descriptor, compression, diff_id }),
                _ => Err(placed(media_type(descriptor.media_type()))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Selected { image: self.clone(), manifest: descriptor.clone(), config: manifest.config, layers })
    }
}

fn named<'a>(roots: impl IntoIterator<Item = &'a Descriptor>) -> String {
    list(roots.into_iter().map(|root| match root.reference() {
        Some(name) => Escaped::new(name.as_bytes()).to_string(),
        None => "one without a reference name".to_owned(),
    }))
}

/// The first of these, as a message shows them.
fn list(items: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 12;
    let mut items = items.peekable();
    let mut text = items.by_ref().take(SHOWN).collect::<Vec<_>>().join(", ");
    if items.peek().is_some() {
        text.push_str(" and more");
    }
    text
}
