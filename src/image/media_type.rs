//! What a blob says it is.

use crate::read::Format;

/// The media types of OCI images and of Docker's schema 2; others are no part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MediaType {
    /// An image index or a manifest list.
    Index,
    /// An image manifest.
    Manifest,
    /// An image's configuration.
    Config,
    /// A layer: those that are not to be distributed too, since the blob is here or missing like any other.
    Layer(Format),
}

impl MediaType {
    /// Compares byte by byte, as Go's tools do: a spelling that just one reader knows is no media type.
    pub(super) fn parse(text: &str) -> Option<Self> {
        use Format::{Gzip, Plain, Zstd};
        Some(match text {
            "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json" => {
                Self::Index
            }
            "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json" => {
                Self::Manifest
            }
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {
                Self::Config
            }
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar" => Self::Layer(Plain),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Self::Layer(Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd" => Self::Layer(Zstd),
            _ => return Option::None,
        })
    }
}
