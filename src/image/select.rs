//! Which manifest of an image is meant, and what it says.
//!
//! Within an index the best manifest is taken (an `arm/v7` before an `arm/v6`), and the first of several that are as
//! good, as image-spec asks (image-index.md, "platform"). Between the descriptors of `index.json` no such order is meant: they may be different images, so where
//! more than one fits, a reference name has to say which.

use super::manifest::{Config, Descriptor, Manifest, Root, artifact, media_type};
use super::media_type::MediaType;
use super::open::{Form, Image, in_blob, in_file};
use super::pinned::pinned_elsewhere;
use super::platform::Platform;
use super::reference::{list, named_or};
use super::selector::{Selector, which};
use super::walk::Walk;
use crate::read::Format;
use crate::words::{
    Digest, EntryPath, Error, Escaped, Fault, Limit, Misuse, Note, Position, Quirk, SelectBy, Violation,
};
use std::collections::HashSet;

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
    name: Option<Box<str>>,
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
        Self { image: image.clone(), manifest, config, platform, name: None, layers, notes: Vec::new() }
    }

    /// The same, found under a name.
    pub(super) fn under(self, name: Option<&str>) -> Self {
        Self { name: name.map(Into::into), ..self }
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

    /// The platform that the configuration states; `None` when it states none.
    pub fn platform(&self) -> Option<&Platform> {
        self.platform.as_ref()
    }

    /// A name under which the image lists it, the longest one; text from the image, to be escaped before it is shown.
    /// `None` when it has none, or was selected by a digest, whatever its name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
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
    Fault::from(Misuse::NothingSelected { wanted, found, by }).at(Position::default())
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
            Some(digest) if digest != selected.config.digest() => {
                Err(pinned_elsewhere(*digest, selected.config.digest().to_string()))
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
            (None, Some(violation)) => Err(Fault::from(violation).at(Position::default())),
            (None, None) => Err(nothing(selector.wanted(), list(walk.platforms_found()), SelectBy::Platform)),
        }
    }

    pub(super) fn read_manifest(&self, descriptor: &Descriptor) -> Result<Selected, Error> {
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
