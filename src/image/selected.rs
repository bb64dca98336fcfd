//! A selected image: its manifest and its configuration.

use super::blob::BlobReader;
use super::descriptor::Descriptor;
use super::document::Document;
use super::image_config::{ImageConfig, steps_of_layers};
use super::layer::LayerDescriptor;
use super::names::in_blob;
use super::platform::Platform;
use super::store::Store;
use crate::words::{Error, Limits, Misuse, Note, Position, Quirk};

/// A manifest and its configuration. Both are checked against their digests and agree with each other.
///
/// [`Image::select`](super::Image::select) returns one. [`Selected::from_documents`] makes one of documents from a
/// registry.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The store of the layers; `None` if there are only the documents.
    source: Option<Store>,
    limits: Limits,
    manifest: Option<Document>,
    config: Document,
    /// The platform in the configuration.
    platform: Option<Platform>,
    name: Option<Box<str>>,
    layers: Vec<LayerDescriptor>,
    notes: Vec<Note>,
}

impl Selected {
    pub(super) fn new(
        limits: &Limits,
        manifest: Option<Document>,
        (config, platform): (Document, Option<Platform>),
        mut layers: Vec<LayerDescriptor>,
    ) -> Self {
        let limits = limits.clone();
        let steps = steps_of_layers(&config.bytes, layers.len());
        if !steps.is_empty() {
            layers = layers.into_iter().zip(steps).map(|(layer, step)| layer.with_history(step)).collect();
        }
        Self { source: None, limits, manifest, config, platform, name: None, layers, notes: Vec::new() }
    }

    /// The same image, whose layers are in `source`.
    pub(super) fn within(self, source: &Store) -> Self {
        Self { source: Some(source.clone()), ..self }
    }

    /// The same, found under a name.
    pub(super) fn under(self, name: Option<&str>) -> Self {
        Self { name: name.map(Into::into), ..self }
    }

    pub(super) fn add_note(&mut self, quirk: Quirk, position: Position) {
        self.notes.push(Note { quirk, position });
    }

    pub(super) fn add_notes(&mut self, notes: impl IntoIterator<Item = Note>) {
        self.notes.extend(notes);
    }

    /// The limits that were enforced while the documents were read.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The descriptor of the manifest; `None` in an archive of `docker save` that is no image layout as well.
    pub fn manifest(&self) -> Option<&Descriptor> {
        self.manifest.as_ref().map(|manifest| &manifest.descriptor)
    }

    /// The verified bytes of the manifest. They include parts that this library does not use, such as its annotations.
    /// `None` in an archive of `docker save` that is no image layout as well.
    pub fn manifest_bytes(&self) -> Option<&[u8]> {
        self.manifest.as_ref().map(|manifest| &*manifest.bytes)
    }

    /// The descriptor of the configuration. Its digest is what Docker calls the image ID.
    pub fn config(&self) -> &Descriptor {
        &self.config.descriptor
    }

    /// The verified bytes of the configuration.
    pub fn config_bytes(&self) -> &[u8] {
        &self.config.bytes
    }

    /// Parses the whole configuration: entrypoint, environment, user, labels, history and so on. Unpacking does not
    /// need these values, so an image with a malformed entrypoint can still be unpacked.
    ///
    /// # Errors
    ///
    /// [`Violation::Json`](crate::rules::Violation::Json) if a value has another type than image-spec says, or
    /// if a key occurs twice or in a spelling that only some readers accept.
    pub fn image_config(&self) -> Result<ImageConfig, Error> {
        ImageConfig::parse(self.config_bytes())
            .map_err(|violation| Error::from(violation).at(in_blob(self.config().digest())))
    }

    /// The platform that the configuration states; `None` if it states none.
    pub fn platform(&self) -> Option<&Platform> {
        self.platform.as_ref()
    }

    /// The longest name under which the image lists it; text from the image, to be escaped before it is shown. `None`
    /// if it has no name, or was selected by a digest.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The quirks of the image as a whole, and where they are. [`Unpacker::unpack`](crate::Unpacker::unpack) applies
    /// the policy to them. A caller that applies the layers one by one must do that, too.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[LayerDescriptor] {
        &self.layers
    }

    /// Opens one of the layers in the image on disk. Its bytes are not checked yet.
    ///
    /// # Errors
    ///
    /// As for [`Image::open_blob`](super::Image::open_blob); [`Limit::LayerBytes`](crate::rules::Limit::LayerBytes).
    /// For an archive of `docker save`: [`Violation::MemberMissing`](crate::rules::Violation::MemberMissing),
    /// [`Violation::MemberPath`](crate::rules::Violation::MemberPath) and
    /// [`Violation::LinkLoop`](crate::rules::Violation::LinkLoop). [`Misuse::LayersElsewhere`] if the image was made by
    /// [`Selected::from_documents`].
    pub fn open_layer(&self, layer: &LayerDescriptor) -> Result<BlobReader, Error> {
        let opened = match &self.source {
            Some(store) => store.open_layer(layer),
            None => Err(Misuse::LayersElsewhere.into()),
        };
        opened.map_err(|error| error.at(Position { layer: Some(layer.position()), ..Position::default() }))
    }
}
