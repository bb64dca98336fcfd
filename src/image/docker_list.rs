//! The `manifest.json` of `docker save`, which lists images with the member names of their configurations and layers.

use super::config::Config;
use super::descriptor::Descriptor;
use super::document::{Document, digest_of};
use super::json::{self, or_null, strict};
use super::reference::{self, Named};
use super::store::Store;
use crate::words::{Algorithm, Digest, EntryPath, Error, Escaped, Limits, Position, Violation};
use serde::Deserialize;

const CONFIG_TYPE: &str = "application/vnd.docker.container.image.v1+json";

/// One image of the list.
#[derive(Debug)]
pub(super) struct DockerImage {
    config: EntryPath,
    /// The digest that the name of the configuration contains.
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

    /// The name of the image in messages. `config` is the digest of its configuration, if it is known.
    pub(super) fn name(&self, position: usize, config: Option<&Digest>) -> String {
        reference::named_or(self.tags.iter().map(String::as_str), || match config {
            Some(config) => format!("@{position} without a name (image ID {config})"),
            None => format!("@{position} without a name"),
        })
    }
}

impl Named for DockerImage {
    fn has_name(&self, wanted: &str) -> bool {
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
/// [`Violation::NotAnImage`] if the list is empty.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<DockerImage>, Violation> {
    match parse_list(bytes)? {
        none if none.is_empty() => Err(Violation::NotAnImage { because: "its `manifest.json` names no image".into() }),
        listed => Ok(listed),
    }
}

/// Reads a `manifest.json` beside an `index.json`. Readers of `docker save` ignore a document that is no list, so it is
/// an empty list here.
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
    let listed: Vec<RawImage> = json::parse(bytes)?;
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

/// Parses the name of a member. A leading slash is removed, as in names of members: some writers write `/ID/layer.tar`,
/// and engines look it up below the directory into which they unpacked the archive. A `..` could lead an engine to a
/// file of the host, so it is refused.
fn member(name: &str) -> Result<EntryPath, Violation> {
    if name.split('/').any(|part| part == "..") {
        return Err(Violation::MemberPath { path: Escaped::new(name.as_bytes()) });
    }
    EntryPath::parse(name.as_bytes(), &Limits::default())
}

/// The digest in the name of a configuration: `HEX.json`, `blobs/sha256/HEX`, `sha256:HEX` or `HEX`. `None` for other
/// names.
fn named_digest(name: &EntryPath) -> Option<Digest> {
    let name = std::str::from_utf8(name.as_bytes()).ok()?;
    let hex = name.strip_suffix(".json").or_else(|| name.strip_prefix("blobs/sha256/"));
    let hex = hex.or_else(|| name.strip_prefix("sha256:")).unwrap_or(name);
    format!("sha256:{hex}").parse().ok()
}

/// A configuration that was read.
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
