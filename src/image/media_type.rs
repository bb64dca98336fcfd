//! What a blob says it is.

use crate::read::Format;
use crate::words::{Escaped, Violation};
use std::borrow::Cow;

/// The media types of OCI images and of Docker's schema 2; others are no part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MediaType {
    /// An image index or a manifest list.
    Index,
    /// An image manifest.
    Manifest,
    /// An image's configuration.
    Config,
    /// A layer: those that are not to be distributed too, where the blob is here.
    Layer(Format),
}

use Format::{Gzip, Plain, Zstd};

/// Every spelling.
const KNOWN: &[(&str, MediaType)] = &[
    ("application/vnd.oci.image.index.v1+json", MediaType::Index),
    ("application/vnd.docker.distribution.manifest.list.v2+json", MediaType::Index),
    ("application/vnd.oci.image.manifest.v1+json", MediaType::Manifest),
    ("application/vnd.docker.distribution.manifest.v2+json", MediaType::Manifest),
    ("application/vnd.oci.image.config.v1+json", MediaType::Config),
    ("application/vnd.docker.container.image.v1+json", MediaType::Config),
    ("application/vnd.oci.image.layer.v1.tar", MediaType::Layer(Plain)),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar", MediaType::Layer(Plain)),
    ("application/vnd.docker.image.rootfs.diff.tar", MediaType::Layer(Plain)),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar", MediaType::Layer(Plain)),
    ("application/vnd.oci.image.layer.v1.tar+gzip", MediaType::Layer(Gzip)),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MediaType::Layer(Gzip)),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", MediaType::Layer(Gzip)),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", MediaType::Layer(Gzip)),
    ("application/vnd.oci.image.layer.v1.tar+zstd", MediaType::Layer(Zstd)),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MediaType::Layer(Zstd)),
    ("application/vnd.docker.image.rootfs.diff.tar.zstd", MediaType::Layer(Zstd)),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.zstd", MediaType::Layer(Zstd)),
];

impl MediaType {
    /// Compares byte by byte, as Go's tools do: a spelling that just one reader knows is no media type.
    pub(super) fn parse(text: &str) -> Option<Self> {
        KNOWN.iter().find(|(known, _)| *known == text).map(|(_, kind)| *kind)
    }

    /// Whether a manifest may call its configuration so.
    pub(super) fn is_config(text: &str) -> bool {
        Self::parse(text) == Some(Self::Config) || Self::is_old_config(text)
    }

    /// Whether a configuration was called so by registries and by Docker 1.10, before there was a media type for it.
    /// Docker takes these for images to this day; a type of any other name is that of an artifact.
    pub(super) fn is_old_config(text: &str) -> bool {
        matches!(text, "" | "application/octet-stream" | "application/json" | "text/html")
    }

    /// Whether this is a layer that is not to be distributed: copies of the image name URLs in its place.
    pub(super) fn is_foreign(text: &str) -> bool {
        matches!(Self::parse(text), Some(Self::Layer(_)))
            && (text.contains(".nondistributable.") || text.contains(".foreign."))
    }

    /// Whether this is a manifest of Docker's schema 1, signed or not.
    pub(super) fn is_schema_1(text: &str) -> bool {
        text.starts_with("application/vnd.docker.distribution.manifest.v1+")
    }

    /// The same text. A known media type is borrowed, without an allocation: an index may repeat it 30,000 times.
    pub(super) fn shared(text: String) -> Cow<'static, str> {
        KNOWN.iter().find(|(known, _)| *known == text).map_or(Cow::Owned(text), |(known, _)| Cow::Borrowed(*known))
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
