//! The part of a configuration that describes how the image was made and is run.
//!
//! Follows image-spec, config.md.

use super::json::{self, or_null, strict, unique};
use crate::words::Violation;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use std::collections::{BTreeMap, BTreeSet};

/// The configuration of an image: how it was made, and how a container of it is run.
///
/// All text is from the image, unchecked: escape it before you show it. Text that is missing or empty is `None`, a
/// missing list is empty.
///
/// Follows image-spec, config.md. [`Selected::image_config`](super::Selected::image_config) returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig(Box<RawImageConfig>);

impl ImageConfig {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        json::parse(bytes).map(|raw| Self(Box::new(raw)))
    }

    /// When the image was made, as RFC 3339 writes it (`created`).
    pub fn created(&self) -> Option<&str> {
        stated(&self.0.created)
    }

    /// Who made the image (`author`).
    pub fn author(&self) -> Option<&str> {
        stated(&self.0.author)
    }

    /// The operating system (`os`), `linux` for example. [`Selected::platform`](super::Selected::platform) is the
    /// platform as a whole.
    pub fn os(&self) -> Option<&str> {
        stated(&self.0.os)
    }

    /// The architecture in Go's words (`architecture`), `amd64` for example.
    pub fn architecture(&self) -> Option<&str> {
        stated(&self.0.architecture)
    }

    /// The variant of the architecture (`variant`), `v8` for example.
    pub fn variant(&self) -> Option<&str> {
        stated(&self.0.variant)
    }

    /// The version of the operating system (`os.version`).
    pub fn os_version(&self) -> Option<&str> {
        stated(&self.0.os_version)
    }

    /// The program, and arguments in front of those that the user gives (`config.Entrypoint`).
    pub fn entrypoint(&self) -> &[String] {
        &self.0.config.entrypoint
    }

    /// The arguments, or the program and its arguments, if the user gives none (`config.Cmd`).
    pub fn cmd(&self) -> &[String] {
        &self.0.config.cmd
    }

    /// Environment variables, each as `NAME=VALUE` (`config.Env`).
    pub fn env(&self) -> &[String] {
        &self.0.config.env
    }

    /// The user, and the group after a colon, by name or number (`config.User`).
    pub fn user(&self) -> Option<&str> {
        stated(&self.0.config.user)
    }

    /// The directory in which the program is started (`config.WorkingDir`).
    pub fn working_dir(&self) -> Option<&str> {
        stated(&self.0.config.working_dir)
    }

    /// The labels (`config.Labels`).
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0.config.labels
    }

    /// The ports on which the program listens, `80/tcp` for example (`config.ExposedPorts`).
    pub fn exposed_ports(&self) -> &BTreeSet<String> {
        &self.0.config.exposed_ports
    }

    /// The directories in which the program keeps data of one container (`config.Volumes`).
    pub fn volumes(&self) -> &BTreeSet<String> {
        &self.0.config.volumes
    }

    /// The signal that asks the program to end, by name or number (`config.StopSignal`).
    pub fn stop_signal(&self) -> Option<&str> {
        stated(&self.0.config.stop_signal)
    }

    /// The steps in which the image was made, the first one first (`history`).
    pub fn history(&self) -> &[HistoryEntry] {
        &self.0.history
    }
}

/// A step in which an image was made. As in [`ImageConfig`], text is from the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry(RawHistory);

impl HistoryEntry {
    /// When it was made, as RFC 3339 writes it (`created`).
    pub fn created(&self) -> Option<&str> {
        stated(&self.0.created)
    }

    /// The command of this step (`created_by`).
    pub fn created_by(&self) -> Option<&str> {
        stated(&self.0.created_by)
    }

    /// Who made it (`author`).
    pub fn author(&self) -> Option<&str> {
        stated(&self.0.author)
    }

    /// A message (`comment`).
    pub fn comment(&self) -> Option<&str> {
        stated(&self.0.comment)
    }

    /// Whether this step made no layer (`empty_layer`).
    pub fn is_empty_layer(&self) -> bool {
        self.0.empty_layer
    }
}

impl<'de> Deserialize<'de> for HistoryEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <RawHistory as Deserialize>::deserialize(deserializer).map(Self)
    }
}

/// The steps that made the layers, one for each; empty if their number is not the number of layers.
///
/// Unpacking does not need the history, so a malformed one is no error here. [`ImageConfig::parse`] refuses it.
pub(super) fn steps_of_layers(config: &[u8], layers: usize) -> Vec<HistoryEntry> {
    let Ok(RawSteps { history }) = json::parse(config) else { return Vec::new() };
    let made_layers = history.into_iter().filter(|step| !step.is_empty_layer());
    let steps: Vec<_> = made_layers.collect();
    if steps.len() == layers { steps } else { Vec::new() }
}

fn stated(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Reads a set. Go's writers write it as an object with empty objects as values.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    unique::<IgnoredAny, D>(deserializer).map(|members| members.into_keys().collect())
}

// The JSON of the document. Go's writers write `null` or an empty text for most of what is missing.

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
struct RawImageConfig {
    #[serde(default, deserialize_with = "or_null")]
    created: String,
    #[serde(default, deserialize_with = "or_null")]
    author: String,
    #[serde(default, deserialize_with = "or_null")]
    os: String,
    #[serde(rename = "os.version", default, deserialize_with = "or_null")]
    os_version: String,
    #[serde(default, deserialize_with = "or_null")]
    architecture: String,
    #[serde(default, deserialize_with = "or_null")]
    variant: String,
    #[serde(default, deserialize_with = "or_null")]
    config: RawContainer,
    #[serde(default, deserialize_with = "or_null")]
    history: Vec<HistoryEntry>,
}

/// The history alone.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct RawSteps {
    #[serde(default, deserialize_with = "or_null")]
    history: Vec<HistoryEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(remote = "Self", rename_all = "PascalCase")]
struct RawContainer {
    #[serde(default, deserialize_with = "or_null")]
    entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    cmd: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    env: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    user: String,
    #[serde(default, deserialize_with = "or_null")]
    working_dir: String,
    #[serde(default, deserialize_with = "unique")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "keys")]
    exposed_ports: BTreeSet<String>,
    #[serde(default, deserialize_with = "keys")]
    volumes: BTreeSet<String>,
    #[serde(default, deserialize_with = "or_null")]
    stop_signal: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
struct RawHistory {
    #[serde(default, deserialize_with = "or_null")]
    created: String,
    #[serde(default, deserialize_with = "or_null")]
    created_by: String,
    #[serde(default, deserialize_with = "or_null")]
    author: String,
    #[serde(default, deserialize_with = "or_null")]
    comment: String,
    #[serde(default, deserialize_with = "or_null")]
    empty_layer: bool,
}

strict!(RawImageConfig, RawSteps, RawContainer, RawHistory);
