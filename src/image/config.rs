//! What a configuration says about the layers and the platform.
//!
//! Follows image-spec, config.md.

use super::document::{self, Confusing, or_null, problem, strict};
use super::platform::Platform;
use crate::words::{Digest, Violation};
use serde::Deserialize;

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

// The document as it is written.

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

strict!(RawConfig, RawRootFs);
