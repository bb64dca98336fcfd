//! Indexes and manifests.
//!
//! Follows image-spec, image-index.md and manifest.md, and Docker's schema 2.

use super::descriptor::{Descriptor, Listed};
use super::json::{self, Confusing, or_null, problem, strict};
use super::media_type::{MediaType, media_type};
use crate::words::Violation;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The media type of a document without a descriptor: the stated one, or the one that its keys show.
pub(super) fn stated_type(bytes: &[u8]) -> Result<String, Violation> {
    let outline: Outline = json::parse(bytes)?;
    match outline.media_type {
        Some(stated) => match MediaType::parse(&stated) {
            Some(MediaType::Index | MediaType::Manifest) => Ok(stated),
            _ => Err(media_type(&stated)),
        },
        None if outline.is_schema_1() => Err(Violation::Schema1),
        None if outline.manifests.is_some() => Ok(INDEX.to_owned()),
        None => Ok(MANIFEST.to_owned()),
    }
}

/// Whether a document is an index, by its keys.
pub(super) fn lists_manifests(bytes: &[u8]) -> bool {
    json::parse::<Outline>(bytes).is_ok_and(|outline| outline.manifests.is_some())
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of the layers of an attestation.
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The `index.json` of a layout.
pub(super) struct Root {
    pub(super) manifests: Vec<Descriptor>,
    /// Whether it states its `schemaVersion`. Some writers omit it, and no reader of `index.json` checks it.
    pub(super) is_versioned: bool,
}

impl Root {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        let index: RawIndex = json::parse(bytes)?;
        let is_versioned = index.schema_version.is_some();
        Ok(Self { manifests: listed_by(index, None)?, is_versioned })
    }
}

/// Reads the descriptors of an index. Without a descriptor of its own, it is the `index.json` of a layout.
pub(super) fn parse_index(bytes: &[u8], descriptor: Option<&Descriptor>) -> Result<Vec<Descriptor>, Violation> {
    listed_by(json::parse(bytes)?, descriptor)
}

fn listed_by(index: RawIndex, descriptor: Option<&Descriptor>) -> Result<Vec<Descriptor>, Violation> {
    if index.layers.is_some() || index.config.is_some() || index.fs_layers.is_some() {
        return Err(problem(Confusing("an index that is a manifest as well")));
    }
    if descriptor.is_some() || index.schema_version.is_some() {
        require_version(index.schema_version)?;
    }
    match (descriptor, &index.media_type) {
        (Some(descriptor), inside) => descriptor.agrees(inside.as_ref())?,
        (None, Some(inside)) if MediaType::parse(inside) != Some(MediaType::Index) => return Err(media_type(inside)),
        (None, _) => {}
    }
    index.manifests.into_iter().map(|listed| listed.0).collect()
}

/// The configuration and layers of a manifest.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    artifact_type: String,
}

impl Manifest {
    /// The type of an artifact: the artifact type, or else the media type of its configuration. `None` for an image.
    ///
    /// The media type of the configuration decides, because an image may state an artifact type, too. The attestations
    /// of BuildKit are an exception: they have the configuration of an image, and documents in the place of layers.
    pub(super) fn artifact(&self) -> Option<&str> {
        let config = self.config.media_type();
        let in_toto = self.layers.iter().map(Descriptor::media_type).find(|layer| *layer == IN_TOTO);
        match MediaType::is_config(config) {
            true => in_toto,
            false if self.artifact_type.is_empty() => Some(config),
            false => Some(&self.artifact_type),
        }
    }

    pub(super) fn parse(bytes: &[u8], descriptor: &Descriptor) -> Result<Self, Violation> {
        // A manifest of schema 1 lacks required keys of schema 2, so parsing it fails here.
        let manifest: RawManifest = json::parse(bytes).map_err(|malformed| {
            let outline = json::parse::<Outline>(bytes);
            if outline.is_ok_and(|outline| outline.is_schema_1()) { Violation::Schema1 } else { malformed }
        })?;
        // CVE-2021-41190: some readers use such a document as a manifest, others as an index.
        if manifest.manifests.is_some() || manifest.fs_layers.is_some() {
            return Err(problem(Confusing("a manifest that is an index or of schema 1 as well")));
        }
        require_version(manifest.schema_version)?;
        descriptor.agrees(manifest.media_type.as_ref())?;
        Ok(Self {
            config: manifest.config.0?,
            layers: manifest.layers.into_iter().map(|listed| listed.0).collect::<Result<_, _>>()?,
            artifact_type: manifest.artifact_type,
        })
    }
}

fn require_version(version: Option<u64>) -> Result<(), Violation> {
    match version {
        Some(2) => Ok(()),
        Some(1) => Err(Violation::Schema1),
        Some(version) => Err(problem(SchemaVersion(version))),
        None => Err(problem(Confusing("schemaVersion is missing"))),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("schemaVersion is {0}, not 2")]
struct SchemaVersion(u64);

impl Outline {
    /// Whether this is a manifest of schema 1, by its version or its keys.
    fn is_schema_1(&self) -> bool {
        self.schema_version == Some(1) || (self.fs_layers.is_some() && self.config.is_none())
    }
}

// The JSON of the documents. A digest is text here, so that a malformed one is refused by its own rule.

#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct RawIndex {
    schema_version: Option<u64>,
    media_type: Option<String>,
    #[serde(deserialize_with = "or_null")]
    manifests: Vec<Listed>,
    layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct RawManifest {
    schema_version: Option<u64>,
    media_type: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    artifact_type: String,
    config: Listed,
    #[serde(deserialize_with = "or_null")]
    layers: Vec<Listed>,
    manifests: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

strict!(Outline, RawIndex, RawManifest);
