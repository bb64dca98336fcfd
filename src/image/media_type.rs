//! The media types of blobs.

use crate::read::Format;
use crate::words::{Escaped, Violation};
use std::borrow::Cow;

/// The kinds of blobs in an image, by the media types of OCI and of Docker's schema 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MediaType {
    /// An image index or a manifest list.
    Index,
    /// An image manifest.
    Manifest,
    /// An image's configuration.
    Config,
    /// A layer, also one of a type that registries do not distribute.
    Layer(Format),
}

use Format::{Gzip, Plain, Zstd};

/// All known media types.
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
    /// Parses a media type. The comparison is exact, as in Go's tools: other spellings are unknown.
    pub(super) fn parse(text: &str) -> Option<Self> {
        KNOWN.iter().find(|(known, _)| *known == text).map(|(_, kind)| *kind)
    }

    /// Whether the configuration of an image may have this media type.
    pub(super) fn is_config(text: &str) -> bool {
        Self::parse(text) == Some(Self::Config) || Self::is_old_config(text)
    }

    /// Whether this is a media type that registries and Docker 1.10 used for configurations, before there was one for
    /// them. Docker still accepts it. Any other unknown type is that of an artifact.
    pub(super) fn is_old_config(text: &str) -> bool {
        matches!(text, "" | "application/octet-stream" | "application/json" | "text/html")
    }

    /// Whether this is a foreign layer: registries do not distribute it, and copies of the image have only its URLs.
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

/// The violation of a media type that is unknown or not allowed here.
pub(super) fn media_type(text: &str) -> Violation {
    match MediaType::is_schema_1(text) {
        true => Violation::Schema1,
        false => Violation::MediaType { media_type: Escaped::new(text.as_bytes()) },
    }
}

/// The violation of an artifact or attestation, which is no image.
pub(super) fn artifact(kind: &str) -> Violation {
    Violation::Artifact { kind: Escaped::new(kind.as_bytes()) }
}
