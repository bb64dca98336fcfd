//! The `manifest.json` of `docker save`: it names the configurations and layers of images by their members.

use super::checked::{Document, digest_of};
use super::config::Config;
use super::descriptor::Descriptor;
use super::document::{self, or_null, strict};
use super::reference::{self, Called};
use super::store::Store;
use crate::words::{Algorithm, Digest, EntryPath, Error, Escaped, Limits, Position, Violation};
use serde::Deserialize;

const CONFIG_TYPE: &str = "application/vnd.docker.container.image.v1+json";

/// One image of the archive.
#[derive(Debug)]
pub(super) struct DockerImage {
    config: EntryPath,
    /// What the configuration's name says of its digest.
    config_digest: Option<Digest>,
    tags: Vec<String>,
    layers: Vec<EntryPath>,
}

impl DockerImage {
    pub(super) fn config(&self) -> &EntryPath {
        &self.config
    }

    pub(super) fn layers(&self) -> &[EntryPath] {
        &self.layers
    }

    pub(super) fn tags(&self) -> &[String] {
        &self.tags
    }

    pub(super) fn config_digest(&self) -> Option<&Digest> {
        self.config_digest.as_ref()
    }

    /// What a message calls it; `config` is its configuration's digest, as far as it is known.
    pub(super) fn name(&self, position: usize, config: Option<&Digest>) -> String {
        reference::named_or(self.tags.iter().map(String::as_str), || match config {
            Some(config) => format!("@{position} without a name (image ID {config})"),
            None => format!("@{position} without a name"),
        })
    }
}

impl Called for DockerImage {
    fn is_called(&self, wanted: &str) -> bool {
        self.tags.iter().any(|tag| reference::fits(tag, wanted))
    }

    fn misplaced_names(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.config, &self.layers) == (&other.config, &other.layers)
    }

    fn whole_names(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(String::as_str)
    }
}

/// Reads `manifest.json`.
///
/// # Errors
///
/// [`Violation::Json`]; [`Violation::MemberPath`] for a name that leads out of the archive;
/// [`Violation::NotAnImage`] when it names no image.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<DockerImage>, Violation> {
    match parse_list(bytes)? {
        none if none.is_empty() => Err(Violation::NotAnImage { because: "its `manifest.json` names no image".into() }),
        listed => Ok(listed),
    }
}

/// Reads a `manifest.json` that lies beside an `index.json`. One that is no list at all is nothing that readers of
/// `docker save` take.
///
/// # Errors
///
/// [`Violation::Json`] and [`Violation::MemberPath`].
pub(super) fn parse_beside_index(bytes: &[u8]) -> Result<Vec<DockerImage>, Violation> {
    match bytes.trim_ascii_start() {
        [b'[', ..] => parse_list(bytes),
        _ => Ok(Vec::new()),
    }
}

fn parse_list(bytes: &[u8]) -> Result<Vec<DockerImage>, Violation> {
    let listed: Vec<RawImage> = document::parse(bytes)?;
    listed.into_iter().map(DockerImage::try_from).collect()
}

impl TryFrom<RawImage> for DockerImage {
    type Error = Violation;

    fn try_from(raw: RawImage) -> Result<Self, Violation> {
        let config = member(&raw.config)?;
        Ok(Self {
            config_digest: named_digest(&config),
            config,
            tags: raw.repo_tags,
            layers: raw.layers.iter().map(|name| member(name)).collect::<Result<_, _>>()?,
        })
    }
}

/// A name of a member. A slash in front of it vanishes, as one in front of the member's own name does: some writers
/// have `/ID/layer.tar`, and engines look below the directory into which they unpacked the archive. One that climbs
/// could lead them to a file of the machine.
fn member(name: &str) -> Result<EntryPath, Violation> {
    if name.split('/').any(|part| part == "..") {
        return Err(Violation::MemberPath { path: Escaped::new(name.as_bytes()) });
    }
    EntryPath::parse(name.as_bytes(), &Limits::default())
}

/// The digest that a name is made of: `HEX.json`, `blobs/sha256/HEX` or `sha256:HEX`. Other writers have other names.
fn named_digest(name: &EntryPath) -> Option<Digest> {
    let name = std::str::from_utf8(name.as_bytes()).ok()?;
    let hex = name.strip_suffix(".json").or_else(|| name.strip_prefix("blobs/sha256/"));
    let hex = hex.or_else(|| name.strip_prefix("sha256:")).unwrap_or(name);
    format!("sha256:{hex}").parse().ok()
}

/// A configuration as it was read.
pub(super) struct Read {
    pub(super) document: Document,
    pub(super) config: Config,
}

impl Store {
    /// Reads the configuration of an image.
    pub(super) fn read_config(&self, image: &DockerImage) -> Result<Read, Error> {
        let name = image.config.as_bytes();
        let read = || {
            let missing = || Violation::MemberMissing { name: Escaped::new(name) };
            let bytes = self.files().document(&image.config, self.limits())?.ok_or_else(missing)?;
            let got = digest_of(Algorithm::Sha256, &bytes);
            if let Some(expected) = image.config_digest.filter(|expected| *expected != got) {
                return Err(Violation::DigestMismatch { expected: expected.into(), got: got.into() }.into());
            }
            let descriptor = Descriptor::found(CONFIG_TYPE.to_owned(), got, bytes.len() as u64);
            let config = Config::parse(&bytes)?;
            Ok(Read { document: Document::new(descriptor, bytes), config })
        };
        let position = Position { path: Some(Escaped::new(name)), ..Position::default() };
        read().map_err(|error: Error| error.at(position))
    }
}

#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "PascalCase")]
struct RawImage {
    config: String,
    #[serde(default, deserialize_with = "or_null")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    layers: Vec<String>,
}

strict!(RawImage);
