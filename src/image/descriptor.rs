//! Descriptors, which name the blobs of an image.
//!
//! Follows image-spec, descriptor.md.

use super::document::{or_null, strict, unique};
use super::media_type::{MediaType, media_type};
use super::platform::Platform;
use super::reference::{self, Called};
use crate::words::{Digest, Escaped, Violation};
use serde::Deserialize;
use serde::de::Deserializer;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// Shared, because descriptors are copied, and an index may have megabytes of annotations. `None` if there are none.
    annotations: Option<Arc<BTreeMap<String, String>>>,
}

/// The annotation for a tag in an image layout.
const TAG: &str = "org.opencontainers.image.ref.name";

/// The annotation for the whole reference in an image layout.
const WHOLE_NAME: &str = "io.containerd.image.name";

/// The annotation by which BuildKit marks an attestation.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

static NO_ANNOTATIONS: BTreeMap<String, String> = BTreeMap::new();

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

    /// The annotations of the blob, by their keys; text from the image, to be escaped before it is shown.
    ///
    /// They are those of the descriptor, in the document that lists the blob: the manifest for a layer or a
    /// configuration, the index for a manifest. A manifest that was selected by a digest has none, because what an index
    /// says does not count then. The annotations inside a manifest are part of
    /// [`Selected::manifest_bytes`](super::Selected::manifest_bytes).
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        self.annotations.as_deref().unwrap_or(&NO_ANNOTATIONS)
    }

    /// Describes a blob that was found by its digest.
    pub(super) fn found(media_type: String, digest: Digest, size: u64) -> Self {
        let media_type = MediaType::shared(media_type);
        Self { media_type, digest, size, artifact: None, platform: None, urls: None, annotations: None }
    }

    /// The longest name that an image layout gives to the blob: tags of several images may be the same.
    pub(super) fn name(&self) -> Option<&str> {
        self.whole_name().or_else(|| self.tag())
    }

    fn tag(&self) -> Option<&str> {
        self.annotations().get(TAG).map(String::as_str)
    }

    fn whole_name(&self) -> Option<&str> {
        self.annotations().get(WHOLE_NAME).map(String::as_str)
    }

    /// Returns the short form of the descriptor for a walk, and its stated platform. Its annotations may be megabytes
    /// long.
    pub(super) fn shortened(self) -> (Self, Option<Box<Platform>>) {
        let mut short = self.without_annotations();
        let platform = short.platform.take();
        (short, platform)
    }

    /// The same descriptor without its annotations.
    pub(super) fn without_annotations(self) -> Self {
        Self { annotations: None, ..self }
    }

    pub(super) fn platform(&self) -> Option<&Platform> {
        self.platform.as_deref()
    }

    /// The same descriptor without the platform, which the configuration states as well.
    pub(super) fn without_platform(self) -> Self {
        Self { platform: None, ..self }
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
    pub(super) fn agrees(&self, inside: Option<&String>) -> Result<(), Violation> {
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

impl TryFrom<RawDescriptor> for Descriptor {
    type Error = Violation;

    fn try_from(raw: RawDescriptor) -> Result<Self, Violation> {
        let reference_type = raw.annotations.get(REFERENCE_TYPE).map(|text| text.as_str().into());
        // Registries report the media type of the configuration as the artifact type of an image.
        let stated = Some(raw.artifact_type)
            .filter(|stated| !stated.is_empty() && MediaType::parse(stated) != Some(MediaType::Config));
        Ok(Self {
            digest: Violation::parse_digest(&raw.digest)?,
            size: raw.size,
            artifact: reference_type.or_else(|| stated.map(Into::into)),
            // Others may have some too, but these are in every copy of the image.
            urls: MediaType::is_foreign(&raw.media_type).then(|| shown(&raw.urls)),
            platform: raw.platform.and_then(RawPlatform::into_platform).map(Box::new),
            annotations: (!raw.annotations.is_empty()).then(|| Arc::new(raw.annotations)),
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
pub(super) struct Listed(pub(super) Result<Descriptor, Violation>);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <RawDescriptor as Deserialize>::deserialize(deserializer).map(|raw| Self(raw.try_into()))
    }
}

impl RawPlatform {
    fn into_platform(self) -> Option<Platform> {
        let Self { os, architecture, variant, os_features } = self;
        Platform::new(&os, &architecture, &variant).map(|platform| platform.with_os_features(os_features))
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
    #[serde(default, deserialize_with = "unique")]
    annotations: BTreeMap<String, String>,
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

strict!(RawDescriptor, RawPlatform);
