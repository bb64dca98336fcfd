//! The layers and the platform in a configuration.
//!
//! Follows image-spec, config.md.

use super::json::{self, Confusing, or_null, problem, strict};
use super::platform::Platform;
use crate::words::{Digest, Violation};
use serde::Deserialize;

/// The part of a configuration that unpacking needs.
#[derive(Debug)]
pub(super) struct Config {
    /// `None` if it is not stated in full. Such a configuration matches any platform, as in engines.
    pub(super) platform: Option<Platform>,
    /// The parts of the platform that are missing.
    pub(super) unstated: Option<&'static str>,
    pub(super) diff_ids: Vec<Digest>,
}

impl Config {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        let config: RawConfig = json::parse(bytes)?;
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

// The JSON of the document.

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
    // For an image without layers, Docker omits the list, and BuildKit writes `null`.
    #[serde(default, deserialize_with = "or_null")]
    diff_ids: Vec<String>,
}

strict!(RawConfig, RawRootFs);
