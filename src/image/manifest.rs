//! Indexes, manifests and configurations, as far as an unpacking needs them.
//!
//! Follows image-spec, descriptor.md, image-index.md, manifest.md and config.md, and Docker's schema 2.

use super::document::{self, or_null, problem, strict, texts};
use super::media_type::MediaType;
use super::platform::Platform;
use super::reference::{self, Called};
use crate::words::{Digest, Escaped, Violation};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use std::borrow::Cow;

/// Names a blob: what it is, its digest, its size.
///
/// Follows image-spec, descriptor.md. Only reading an image makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// A constant, or text from the image.
    media_type: Cow<'static, str>,
    digest: Digest,
    size: u64,
    /// What the manifest describes instead of an image.
    artifact: Option<Box<str>>,
    platform: Option<Box<Platform>>,
    /// Where a foreign layer can be had, as a message shows it.
    urls: Option<Box<str>>,
    names: Names,
}

/// The names that an image layout gives to a blob. No other annotation is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Names {
    /// `org.opencontainers.image.ref.name`.
    tag: Option<Box<str>>,
    /// `io.containerd.image.name`.
    whole: Option<Box<str>>,
}

impl Descriptor {
    /// What the blob is said to be; text from the image, to be escaped before it is shown.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The digest of the blob's bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The blob's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Describes a blob that was found by its digest.
    pub(super) fn found(media_type: String, digest: Digest, size: u64) -> Self {
        let media_type = MediaType::shared(media_type);
        Self { media_type, digest, size, artifact: None, platform: None, urls: None, names: Names::default() }
    }

    /// The longest name that an image layout gives to the blob: tags of several images may be the same.
    pub(super) fn name(&self) -> Option<&str> {
        self.whole_name().or_else(|| self.tag())
    }

    fn tag(&self) -> Option<&str> {
        self.names.tag.as_deref()
    }

    fn whole_name(&self) -> Option<&str> {
        self.names.whole.as_deref()
    }

    /// Returns the short form of the descriptor for a walk, and its stated platform. Its names may be megabytes long.
    pub(super) fn without_names(self) -> (Self, Option<Box<Platform>>) {
        let platform = self.platform;
        (Self { platform: None, names: Names::default(), ..self }, platform)
    }

    /// What else than an image this is: a signature, an attestation, a chart.
    pub(super) fn artifact(&self) -> Option<&str> {
        self.artifact.as_deref()
    }

    /// Whether this is a layer that copies of the image need not hold.
    pub(super) fn is_foreign(&self) -> bool {
        MediaType::is_foreign(&self.media_type)
    }

    /// The blob is not here.
    pub(super) fn missing(&self) -> Violation {
        let digest = self.digest;
        match &self.urls {
            Some(urls) => Violation::ForeignLayerMissing { digest, urls: urls.to_string() },
            None => Violation::BlobMissing { digest },
        }
    }

    /// Lets a document pass that states this media type, or none.
    fn agrees(&self, inside: Option<&String>) -> Result<(), Violation> {
        match inside {
            Some(inside) if *inside != self.media_type => Err(media_type(inside)),
            _ => Ok(()),
        }
    }
}

impl Called for Descriptor {
    /// Whether an image layout gives this name to the blob: a tag in most cases, or the whole reference, which
    /// containerd and `docker save` note beside it.
    fn is_called(&self, wanted: &str) -> bool {
        self.tag() == Some(wanted) || self.whole_name().is_some_and(|noted| reference::fits(noted, wanted))
    }

    /// What stands for a tag may be the whole reference, as some writers have it.
    fn misplaced_names(&self) -> impl Iterator<Item = &str> {
        self.tag().filter(|tag| tag.contains(['/', ':'])).into_iter()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    fn whole_names(&self) -> impl Iterator<Item = &str> {
        self.whole_name().into_iter()
    }
}

/// A media type that has no place here.
pub(super) fn media_type(text: &str) -> Violation {
    match MediaType::is_schema_1(text) {
        true => Violation::Schema1,
        false => Violation::MediaType { media_type: Escaped::new(text.as_bytes()) },
    }
}

/// What has a manifest and is no image.
pub(super) fn artifact(kind: &str) -> Violation {
    Violation::Artifact { kind: Escaped::new(kind.as_bytes()) }
}

/// What a document says that it is, or what its keys make of it where it does not.
///
/// For documents that are found without a descriptor.
pub(super) fn stated_type(bytes: &[u8]) -> Result<String, Violation> {
    let outline: Outline = document::parse(bytes)?;
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

/// Whether a document is an index, as far as its keys tell.
pub(super) fn lists_manifests(bytes: &[u8]) -> bool {
    document::parse::<Outline>(bytes).is_ok_and(|outline| outline.manifests.is_some())
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The statements of an attestation.
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The `index.json` of a layout.
pub(super) struct Root {
    pub(super) manifests: Vec<Descriptor>,
    /// Whether it states its `schemaVersion`. Some writers of layouts forget it, and no reader of `index.json` looks.
    pub(super) is_versioned: bool,
}

impl Root {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        let index: RawIndex = document::parse(bytes)?;
        let is_versioned = index.schema_version.is_some();
        Ok(Self { manifests: listed_by(index, None)?, is_versioned })
    }
}

/// Reads an index, or with no descriptor the `index.json` of a layout, as the descriptors that it lists.
pub(super) fn parse_index(bytes: &[u8], descriptor: Option<&Descriptor>) -> Result<Vec<Descriptor>, Violation> {
    listed_by(document::parse(bytes)?, descriptor)
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

/// What a manifest names.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    artifact_type: String,
}

impl Manifest {
    /// What this is where it is no image: the artifact type, or else the type of what stands for a configuration.
    ///
    /// An image may state an artifact type as well: only its configuration decides. BuildKit's attestations have the
    /// configuration of an image, without a use, and layers that are none.
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
        // A manifest of schema 1 lacks what one of schema 2 has, so that it does not come any further.
        let manifest: RawManifest = document::parse(bytes).map_err(|malformed| {
            let outline = document::parse::<Outline>(bytes);
            if outline.is_ok_and(|outline| outline.is_schema_1()) { Violation::Schema1 } else { malformed }
        })?;
        // CVE-2021-41190: readers differ on which of the two such a document is.
        if manifest.manifests.is_some() || manifest.fs_layers.is_some() {
            return Err(problem(Confusing("a manifest that is an index or of schema 1 as well")));
        }
        require_version(manifest.schema_version)?;
        descriptor.agrees(manifest.media_type.as_ref())?;
        Ok(Self {
            config: manifest.config.try_into()?,
            layers: manifest.layers.into_iter().map(|listed| listed.0).collect::<Result<_, _>>()?,
            artifact_type: manifest.artifact_type,
        })
    }
}

/// What a configuration says of the layers.
#[derive(Debug)]
pub(super) struct Config {
    /// `None` where it is not stated in full: such a configuration is taken for any platform, as engines do.
    pub(super) platform: Option<Platform>,
    /// What is not stated of it.
    pub(super) unstated: Option<&'static str>,
    pub(super) diff_ids: Vec<Digest>,
}

impl Config {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        let config: RawConfig = document::parse(bytes)?;
        if config.rootfs.kind != "layers" {
            return Err(problem(Confusing("a root file system that is not made of layers")));
        }
        Ok(Self {
            platform: config.platform(),
            unstated: config.unstated(),
            diff_ids: config
                .rootfs
                .diff_ids
                .iter()
                .map(|text| Violation::parse_digest(text))
                .collect::<Result<_, _>>()?,
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

/// A document that is well-formed and still makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Confusing(&'static str);

#[derive(Debug, thiserror::Error)]
#[error("schemaVersion is {0}, not 2")]
struct SchemaVersion(u64);

impl TryFrom<RawDescriptor> for Descriptor {
    type Error = Violation;

    fn try_from(raw: RawDescriptor) -> Result<Self, Violation> {
        let [tag, whole, docker] = raw.annotations;
        // Registries report the media type of the configuration as the artifact type of an image.
        let stated = Some(raw.artifact_type)
            .filter(|stated| !stated.is_empty() && MediaType::parse(stated) != Some(MediaType::Config));
        Ok(Self {
            digest: Violation::parse_digest(&raw.digest)?,
            size: raw.size,
            artifact: docker.or_else(|| stated.map(Into::into)),
            // Others may have some too, but these are in every copy of the image.
            urls: MediaType::is_foreign(&raw.media_type).then(|| shown(&raw.urls)),
            platform: raw.platform.and_then(RawPlatform::into_platform).map(Box::new),
            names: Names { tag, whole },
            media_type: MediaType::shared(raw.media_type),
        })
    }
}

/// URLs as a message shows them: those of a hostile image are no links for a terminal.
fn shown(urls: &[String]) -> Box<str> {
    match reference::list(urls.iter().map(|url| Escaped::new(url.as_bytes()).to_string())) {
        none if none.is_empty() => "none, so that nobody can have it".into(),
        urls => urls.into(),
    }
}

/// A descriptor in a list. It is shortened as it is read, so a list of long forms never exists.
struct Listed(Result<Descriptor, Violation>);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <RawDescriptor as Deserialize>::deserialize(deserializer).map(|raw| Self(raw.try_into()))
    }
}

/// The annotations that are used: [`Names`], and the mark of an attestation by BuildKit.
fn annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[Option<Box<str>>; 3], D::Error> {
    let keys = ["org.opencontainers.image.ref.name", "io.containerd.image.name", "vnd.docker.reference.type"];
    texts(deserializer, keys)
}

impl RawPlatform {
    fn into_platform(self) -> Option<Platform> {
        let Self { os, architecture, variant, os_features } = self;
        Platform::new(&os, &architecture, &variant).map(|platform| platform.with_os_features(os_features))
    }
}

impl RawConfig {
    fn platform(&self) -> Option<Platform> {
        let platform = Platform::new(&self.os, &self.architecture, &self.variant);
        platform.map(|platform| platform.with_os_features(self.os_features.iter().cloned()))
    }

    fn unstated(&self) -> Option<&'static str> {
        match (self.os.is_empty(), self.architecture.is_empty()) {
            (true, true) => Some("os and architecture"),
            (true, false) => Some("os"),
            (false, true) => Some("architecture"),
            (false, false) => None,
        }
    }
}

impl Outline {
    /// Whether this is a manifest from before schema 2, as its version or its keys say.
    fn is_schema_1(&self) -> bool {
        self.schema_version == Some(1) || (self.fs_layers.is_some() && self.config.is_none())
    }
}

// The documents as they are written. A digest is text here, so that a malformed one is refused by its own rule.

#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct RawDescriptor {
    // Docker 1.10 left out that of a configuration. Anything else without one is of no kind that is read.
    #[serde(default, deserialize_with = "or_null")]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, deserialize_with = "or_null")]
    artifact_type: String,
    #[serde(default, deserialize_with = "or_null")]
    urls: Vec<String>,
    platform: Option<RawPlatform>,
    #[serde(default, deserialize_with = "annotations")]
    annotations: [Option<Box<str>>; 3],
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct RawPlatform {
    #[serde(default, deserialize_with = "or_null")]
    os: String,
    #[serde(default, deserialize_with = "or_null")]
    architecture: String,
    #[serde(default, deserialize_with = "or_null")]
    variant: String,
    #[serde(rename = "os.features", default, deserialize_with = "or_null")]
    os_features: Vec<String>,
}

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
    config: RawDescriptor,
    #[serde(deserialize_with = "or_null")]
    layers: Vec<Listed>,
    manifests: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct RawConfig {
    rootfs: RawRootFs,
    #[serde(default, deserialize_with = "or_null")]
    os: String,
    #[serde(default, deserialize_with = "or_null")]
    architecture: String,
    #[serde(default, deserialize_with = "or_null")]
    variant: String,
    #[serde(rename = "os.features", default, deserialize_with = "or_null")]
    os_features: Vec<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct RawRootFs {
    #[serde(rename = "type")]
    kind: String,
    // Docker leaves the list of an image without layers out, BuildKit writes `null`.
    #[serde(default, deserialize_with = "or_null")]
    diff_ids: Vec<String>,
}

strict!(Outline, RawDescriptor, RawPlatform, RawIndex, RawManifest, RawConfig, RawRootFs);
