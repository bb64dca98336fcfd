//! Which manifest of an image is meant, and what it says.
//!
//! Within an index the best manifest is taken (an `arm/v7` before an `arm/v6`), and the first of several that are as
//! good, as image-spec asks (image-index.md, "platform"). Between the descriptors of `index.json` no such order is meant: they may be different images, so where
//! more than one fits, a reference name has to say which.

use super::manifest::{Config, Descriptor, Manifest, Root, artifact, media_type, parse_index};
use super::media_type::MediaType;
use super::open::{Form, Image, in_blob, in_file};
use super::platform::Platform;
use super::reference::{list, named};
use super::walk::Walk;
use crate::read::Format;
use crate::words::{Digest, EntryPath, Error, Escaped, Fault, Limit, Misuse, Note, Position, Quirk, Violation};
use std::collections::HashSet;

/// What is asked for: a platform, and a reference name or a digest where the image has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub(super) platform: Platform,
    reference: Option<String>,
    digest: Option<Digest>,
}

impl Default for Selector {
    fn default() -> Self {
        Self::host()
    }
}

impl Selector {
    /// Asks for what runs here.
    pub fn host() -> Self {
        Self { platform: Platform::host(), reference: None, digest: None }
    }

    /// Asks for what runs on another platform: what is made for it, or what it runs besides, the best there is. What
    /// needs features of the operating system (`os.features`) is passed over.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// Asks for what the image has under this name: a tag, or a reference such as `alpine:3.19` where the image has
    /// these.
    #[must_use]
    pub fn reference(mut self, name: impl Into<String>) -> Self {
        self.reference = Some(name.into());
        self
    }

    /// Asks for the manifest of this digest, or for what fits in the index of this digest, whatever the image lists
    /// and names: from this one value all is verified, down to the bytes of each file.
    ///
    /// A manifest is taken whatever its platform. An archive of `docker save` before version 25 has no manifests, and
    /// so none of that digest.
    #[must_use]
    pub fn manifest_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    pub(super) fn pinned(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether something is wanted of which a question tells whether it has a name.
    pub(super) fn wants(&self, is_called: impl FnOnce(&str) -> bool) -> bool {
        self.reference.as_deref().is_none_or(is_called)
    }

    pub(super) fn wanted(&self) -> String {
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
    manifest: Option<Descriptor>,
    config: Descriptor,
    /// What the configuration states.
    platform: Option<Platform>,
    layers: Vec<LayerDescriptor>,
    notes: Vec<Note>,
}

impl Selected {
    pub(super) fn new(
        image: &Image,
        manifest: Option<Descriptor>,
        (config, platform): (Descriptor, Option<Platform>),
        layers: Vec<LayerDescriptor>,
    ) -> Self {
        Self { image: image.clone(), manifest, config, platform, layers, notes: Vec::new() }
    }

    pub(super) fn add_note(&mut self, quirk: Quirk, position: Position) {
        self.notes.push(Note { quirk, position });
    }

    /// The image of which this is one.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The manifest that was selected; `None` in an archive of `docker save` that is no image layout as well.
    pub fn manifest(&self) -> Option<&Descriptor> {
        self.manifest.as_ref()
    }

    /// The configuration. Its digest is what Docker calls the image ID.
    pub fn config(&self) -> &Descriptor {
        &self.config
    }

    pub(super) fn platform(&self) -> Option<&Platform> {
        self.platform.as_ref()
    }

    /// What is odd about how the image names it, and where. [`Unpacker::unpack`](crate::Unpacker::unpack) has policy
    /// decide it; whoever applies the layers himself does that too.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[LayerDescriptor] {
        &self.layers
    }
}

/// A layer as the manifest and the configuration describe it; [`Image::open_layer`] opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDescriptor {
    place: LayerPlace,
    compression: Option<Format>,
    diff_id: Digest,
}

/// Where the bytes of a layer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerPlace {
    /// In a blob, which the manifest describes.
    Blob(Descriptor),
    /// In a member of an archive, of which just the name is known.
    Member(EntryPath),
}

impl LayerDescriptor {
    pub(super) fn new(place: LayerPlace, compression: Option<Format>, diff_id: Digest) -> Self {
        Self { place, compression, diff_id }
    }

    pub(super) fn place(&self) -> &LayerPlace {
        &self.place
    }

    /// Its blob; `None` in an archive of `docker save`, which names layers by their diff IDs alone.
    pub fn descriptor(&self) -> Option<&Descriptor> {
        match &self.place {
            LayerPlace::Blob(descriptor) => Some(descriptor),
            LayerPlace::Member(_) => None,
        }
    }

    /// How its media type says it is compressed; `None` where it has none.
    pub fn compression(&self) -> Option<Format> {
        self.compression
    }

    /// The digest of the uncompressed layer.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }
}

/// Something that fits what is asked for.
pub(super) struct Candidate<K, T> {
    /// How many platforms would have been better.
    pub(super) rank: usize,
    /// What makes it different from others: two names of one image are no choice.
    pub(super) key: K,
    pub(super) value: T,
}

/// The key and the value of the best candidate; `None` when there is none. `name` says what a message calls one.
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
        return Err(nothing(format!("{} alone", selector.wanted()), format!("{names}: say which")));
    }
    Ok(candidates.into_iter().next().map(|candidate| (candidate.key, candidate.value)))
}

/// Nothing fits, or too much.
pub(super) fn nothing(wanted: String, found: String) -> Error {
    Fault::from(Misuse::NothingSelected { wanted, found }).at(Position::default())
}

/// The image is not the one of the digest that it is pinned to: what came is not what was meant.
pub(super) fn pinned_elsewhere(digest: Digest, found: String) -> Error {
    Fault::from(Violation::PinnedManifestMissing { digest, found }).at(Position::default())
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
    /// [`Violation::PinnedManifestMissing`] when it is another image than the one of that digest;
    /// a [`Violation`] from "Digests and manifests", or of a [`Limit`], for an image that is malformed,
    /// incomplete, or not an image.
    pub fn select(&self, selector: &Selector) -> Result<Selected, Error> {
        let mut selected = self.select_alone(selector)?;
        selected.notes.extend(self.note());
        selected.notes.extend(self.disagreement(&selected, selector)?);
        Ok(selected)
    }

    /// Finds it in the list that counts, whatever another one says.
    pub(super) fn select_alone(&self, selector: &Selector) -> Result<Selected, Error> {
        match (&self.form, selector.digest) {
            (Form::Docker(listed), _) => self.select_docker(listed, selector),
            (_, Some(digest)) => {
                let found = self.describe(&digest)?;
                let found = found.map_or_else(|| Err(pinned_elsewhere(digest, self.digests_listed()?)), Ok)?;
                match MediaType::parse(found.media_type()) {
                    Some(MediaType::Manifest) => self.read_manifest(&found),
                    _ => self.select_from(&[found], &Selector { reference: None, ..selector.clone() }),
                }
            }
            (Form::Flat(root), None) => self.select_from(std::slice::from_ref(root), selector),
            (Form::Layout, None) => {
                let Root { manifests, is_versioned } = self.index(Root::parse)?;
                let mut selected = self.select_from(&manifests, selector)?;
                if !is_versioned {
                    selected.add_note(Quirk::IndexUnversioned, in_file("index.json"));
                }
                Ok(selected)
            }
        }
    }

    /// The digests of the manifests that the image lists, as a message shows them.
    fn digests_listed(&self) -> Result<String, Error> {
        let listed = match &self.form {
            Form::Flat(root) => vec![Descriptor::clone(root)],
            // Nobody needs to be able to read it.
            _ => match self.index(|bytes| parse_index(bytes, None)) {
                Err(error) if matches!(error.kind(), Fault::Refused(_)) => Vec::new(),
                listed => listed?,
            },
        };
        Ok(match list(listed.iter().map(|root| root.digest().to_string())) {
            none if none.is_empty() => "none that `index.json` lists".to_owned(),
            digests => digests,
        })
    }

    fn select_from(&self, listed: &[Descriptor], selector: &Selector) -> Result<Selected, Error> {
        let mut roots: Vec<_> = listed.iter().filter(|root| selector.wants(|wanted| root.is_called(wanted))).collect();
        if roots.is_empty() {
            // Only then: what one image has for a tag must not become ambiguous by another's whole reference.
            roots = listed.iter().filter(|root| selector.wants(|wanted| root.is_called_in_full(wanted))).collect();
        }
        if roots.is_empty() && !listed.is_empty() {
            return Err(nothing(selector.wanted(), list(listed.iter().map(|root| named(root.name())))));
        }
        let mut walk = Walk::new(self, &selector.platform);
        let mut candidates = Vec::new();
        let mut different = HashSet::new();
        for &root in &roots {
            if let Some((rank, found)) = walk.best_fitting(root, 1)?
                && different.insert(*found.digest())
            {
                candidates.push(Candidate { rank, key: *found.digest(), value: (root, found) });
            }
        }
        let found = best(candidates, selector, |(root, _)| named(root.name()))?;
        match (found, walk.nothing_to_choose()) {
            (Some((_, (_, found))), _) => self.complete(self.read_manifest(&found), &roots, selector),
            (None, Some(violation)) => Err(Fault::from(violation).at(Position::default())),
            (None, None) => Err(nothing(selector.wanted(), list(walk.platforms_found()))),
        }
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<Selected, Error> {
        let manifest = self.document(descriptor, |bytes| Manifest::parse(bytes, descriptor))?;
        let placed = |violation: Violation| Fault::from(violation).at(in_blob(descriptor.digest()));
        if let Some(kind) = manifest.artifact() {
            return Err(placed(artifact(kind)));
        }
        self.limits().check(Limit::Layers, manifest.layers.len() as u64).map_err(placed)?;
        let config = self.document(&manifest.config, Config::parse)?;
        let (platform, unstated) = (config.platform.clone(), config.unstated);
        let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
        if layers != diff_ids {
            return Err(placed(Violation::LayersAndDiffIds { layers, diff_ids }));
        }
        let layers = manifest
            .layers
            .into_iter()
            .zip(config.diff_ids)
            .map(|(descriptor, diff_id)| match MediaType::parse(descriptor.media_type()) {
                Some(MediaType::Layer(compression)) => {
                    Ok(LayerDescriptor::new(LayerPlace::Blob(descriptor), Some(compression), diff_id))
                }
                _ => Err(placed(media_type(descriptor.media_type()))),
            })
            .collect::<Result<_, _>>()?;
        let (media_type, config_at) = (manifest.config.media_type(), in_blob(manifest.config.digest()));
        let old = MediaType::is_old_config(media_type).then(|| Escaped::new(media_type.as_bytes()));
        let mut selected = Selected::new(self, Some(descriptor.clone()), (manifest.config, platform), layers);
        if let Some(media_type) = old {
            selected.add_note(Quirk::ConfigMediaType { media_type }, in_blob(descriptor.digest()));
        }
        if let Some(missing) = unstated {
            selected.add_note(Quirk::PlatformUnstated { missing }, config_at);
        }
        Ok(selected)
    }
}
