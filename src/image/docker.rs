//! What `docker save` writes: an archive whose `manifest.json` names configurations and layers by their members.
//!
//! There are no manifests and no digests of layers: a configuration's diff IDs name its layers, and its own
//! digest, the image ID, names it. Since version 25 the archive is an image layout as well, and read as one.

use super::agree::{Document, require_as_many};
use super::document::{self, or_null, strict};
use super::layer::{LayerDescriptor, LayerPlace};
use super::manifest::{Config, Descriptor};
use super::open::{Image, digest_of, in_file};
use super::pinned::{A_CONFIGURATION, pinned_elsewhere};
use super::reference::{self, Called};
use super::select::{Candidate, best, nothing};
use super::selected::Selected;
use super::selector::Selector;
use crate::words::{
    Algorithm, Digest, EntryPath, Error, Escaped, LayerPosition, Limit, Limits, Position, Quirk, SelectBy, Violation,
};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap, HashSet};

pub(super) const MANIFEST_NAME: &str = "manifest.json";
pub(super) const MANIFEST: &[u8] = MANIFEST_NAME.as_bytes();

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

impl Image {
    /// Finds the image that is asked for in what `manifest.json` lists.
    pub(super) fn select_docker(&self, listed: &[DockerImage], selector: &Selector) -> Result<Selected, Error> {
        if let Some(pinned) = selector.pinned() {
            let found = match self.find_config(listed, pinned)? {
                Some(_) => A_CONFIGURATION,
                None => "none, since an archive of `docker save` names its layers by diff IDs alone",
            };
            return Err(pinned_elsewhere(*pinned, found.to_owned()));
        }
        if let Some(pinned) = selector.pinned_config() {
            return match self.find_config(listed, pinned)? {
                Some((image, read)) => self.selected(image, read),
                None => Err(pinned_elsewhere(*pinned, Self::configs_listed(listed))),
            };
        }
        let tagged = selector.require_of(listed, |position, image| image.name(position, image.config_digest()))?;
        if let [(_, image)] = tagged.as_slice()
            && selector.has_position()
        {
            let read = self.read_config(image)?;
            return Ok(self.selected(image, read)?.under(selector.name_of(image.tags())));
        }
        // Each configuration is read once, even if it is named many times. Only this result is kept: an archive may
        // have thousands of configurations of several megabytes.
        let mut configs: HashMap<&EntryPath, (Digest, Option<usize>)> = HashMap::new();
        let accepted = selector.platform.accepted();
        let (mut candidates, mut others) = (Vec::new(), BTreeSet::new());
        for &(position, image) in &tagged {
            let (digest, rank) = match configs.get(&image.config) {
                Some(known) => *known,
                None => {
                    let read = self.read_config(image)?;
                    let platform = read.config.platform;
                    let rank = match &platform {
                        Some(platform) => accepted.iter().position(|accepted| accepted == platform),
                        // Stated nowhere: any, but whatever states its platform is better.
                        None => Some(accepted.len()),
                    };
                    others.insert(platform.map_or("one that states no platform".into(), |known| known.to_string()));
                    if others.len() > reference::SHOWN + 1 {
                        others.pop_last();
                    }
                    *configs.entry(&image.config).insert_entry((*read.document.descriptor.digest(), rank)).get()
                }
            };
            candidates.extend(rank.map(|rank| Candidate {
                rank,
                key: (digest, &image.layers),
                value: (position, image, digest),
            }));
        }
        let found = best(candidates, selector, |(position, image, config)| image.name(*position, Some(config)))?;
        let Some(((digest, _), (_, image, _))) = found else {
            return Err(nothing(selector.wanted(), reference::list(others.into_iter()), SelectBy::Platform));
        };
        let read = self.read_config(image)?;
        let got = *read.document.descriptor.digest();
        if got != digest {
            let position = Position { path: Some(Escaped::new(image.config.as_bytes())), ..Position::default() };
            return Err(
                Error::from(Violation::DigestMismatch { expected: digest.into(), got: got.into() }).at(position)
            );
        }
        Ok(self.selected(image, read)?.under(selector.name_of(image.tags())))
    }

    /// The image that has the configuration of this digest. One that says in its name which digest it has is read only
    /// when it is this one.
    fn find_config<'l>(
        &self,
        listed: &'l [DockerImage],
        digest: &Digest,
    ) -> Result<Option<(&'l DockerImage, Read)>, Error> {
        if digest.algorithm() != Algorithm::Sha256 {
            return Ok(None);
        }
        let mut seen = HashSet::new();
        for image in listed.iter().filter(|image| image.config_digest.is_none_or(|named| named == *digest)) {
            if !seen.insert(&image.config) {
                continue;
            }
            match self.read_config(image) {
                Ok(read) if read.document.descriptor.digest() == digest => return Ok(Some((image, read))),
                // Another one may be damaged or missing.
                Err(error) if image.config_digest.is_some() || !error.is_refusal() => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// The image IDs of an archive, as a message shows them.
    fn configs_listed(listed: &[DockerImage]) -> String {
        let known = listed.iter().filter_map(DockerImage::config_digest);
        match reference::list(known.map(Digest::to_string)) {
            none if none.is_empty() => "none of that digest".to_owned(),
            digests => digests,
        }
    }

    pub(super) fn read_config(&self, image: &DockerImage) -> Result<Read, Error> {
        let name = image.config.as_bytes();
        let read = || {
            let missing = || Violation::MemberMissing { name: Escaped::new(name) };
            let bytes = self.files.document(&image.config, self.limits())?.ok_or_else(missing)?;
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

    fn selected(&self, image: &DockerImage, read: Read) -> Result<Selected, Error> {
        let placed = |violation: Violation| Error::from(violation).at(in_file(MANIFEST_NAME));
        let of = image.layers.len();
        self.limits().check(Limit::Layers, of as u64).map_err(placed)?;
        require_as_many(of, read.config.diff_ids.len()).map_err(placed)?;
        let layers = image.layers.iter().zip(&read.config.diff_ids).enumerate().map(|(index, (name, diff_id))| {
            let position = LayerPosition { number: index + 1, of };
            LayerDescriptor::new(LayerPlace::Member(name.clone()), position, None, *diff_id)
        });
        let config = (read.document, read.config.platform);
        let mut selected = Selected::new(self.limits(), None, config, layers.collect()).within(self);
        if let Some(missing) = read.config.unstated {
            let position = Position { path: Some(Escaped::new(image.config.as_bytes())), ..Position::default() };
            selected.add_note(Quirk::PlatformUnstated { missing }, position);
        }
        Ok(selected)
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
