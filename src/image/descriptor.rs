//! Descriptors, which refer to the blobs of an image.
//!
//! Follows image-spec, descriptor.md.

use super::json::{or_null, strict, unique};
use super::media_type::{MediaType, media_type};
use super::platform::Platform;
use super::reference::{self, Named};
use crate::words::{Digest, Escaped, Violation};
use serde::Deserialize;
use serde::de::Deserializer;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Refers to a blob: its media type, digest and size.
///
/// Follows image-spec, descriptor.md. It cannot be constructed by a caller; reading an image makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Borrowed if it is a known media type.
    media_type: Cow<'static, str>,
    digest: Digest,
    size: u64,
    /// The type of an artifact; `None` for an image.
    artifact: Option<Box<str>>,
    platform: Option<Box<Platform>>,
    /// The URLs of a foreign layer, as a message shows them.
    urls: Option<Box<str>>,
    /// Shared, because descriptors are copied, and an index may have megabytes of annotations. `None` if there are
    /// none.
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
    /// The stated media type of the blob; text from the image, to be escaped before it is shown.
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
    /// configuration, the index for a manifest. A manifest that was selected by a digest has none, because what an
    /// index says does not count then. The annotations inside a manifest are part of
    /// [`Selected::manifest_bytes`](super::Selected::manifest_bytes).
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        self.annotations.as_deref().unwrap_or(&NO_ANNOTATIONS)
    }

    /// A descriptor of a blob that was found by its digest.
    pub(super) fn found(media_type: String, digest: Digest, size: u64) -> Self {
        let media_type = MediaType::shared(media_type);
        Self { media_type, digest, size, artifact: None, platform: None, urls: None, annotations: None }
    }

    /// The longest name of the blob in an image layout: several images may have the same tag.
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

    /// The type of an artifact, such as a signature, an attestation or a chart; `None` for an image.
    pub(super) fn artifact(&self) -> Option<&str> {
        self.artifact.as_deref()
    }

    /// Whether this is a foreign layer, which copies of the image need not hold.
    pub(super) fn is_foreign(&self) -> bool {
        MediaType::is_foreign(&self.media_type)
    }

    /// The violation of an image that does not hold this blob.
    pub(super) fn missing(&self) -> Violation {
        let digest = self.digest;
        match &self.urls {
            Some(urls) => Violation::ForeignLayerMissing { digest, urls: urls.to_string() },
            None => Violation::BlobMissing { digest },
        }
    }

    /// Refuses a document that states another media type than this descriptor.
    pub(super) fn agrees(&self, inside: Option<&String>) -> Result<(), Violation> {
        match inside {
            Some(inside) if *inside != self.media_type => Err(media_type(inside)),
            _ => Ok(()),
        }
    }
}

impl Named for Descriptor {
    /// Whether the blob has this name in an image layout: a tag in most cases, or the whole reference, which containerd
    /// and `docker save` write in another annotation.
    fn has_name(&self, wanted: &str) -> bool {
        self.tag() == Some(wanted) || self.whole_name().is_some_and(|noted| reference::fits(noted, wanted))
    }

    /// Some writers write the whole reference in the place of the tag.
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
            // Only a foreign layer needs its URLs. Other blobs are in every copy of the image.
            urls: MediaType::is_foreign(&raw.media_type).then(|| shown(&raw.urls)),
            platform: raw.platform.and_then(RawPlatform::into_platform).map(Box::new),
            annotations: (!raw.annotations.is_empty()).then(|| Arc::new(raw.annotations)),
            media_type: MediaType::shared(raw.media_type),
        })
    }
}

/// URLs as a message shows them: escaped, because they come from the image.
fn shown(urls: &[String]) -> Box<str> {
    match reference::list(urls.iter().map(|url| Escaped::new(url.as_bytes()).to_string())) {
        none if none.is_empty() => "none".into(),
        urls => urls.into(),
    }
}

/// A descriptor in a list. Each one is converted as it is read, so the list never exists in the form of the JSON.
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

// The JSON of the documents. A digest is text here, so that a malformed one is refused by its own rule.

#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct RawDescriptor {
    // Docker 1.10 omitted it for a configuration. Any other blob without a media type is refused later.
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
