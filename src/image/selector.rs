//! Selectors, which choose one image among several.

use super::platform::Platform;
use super::reference::{self, Named, ambiguous, called, list};
use crate::words::{Digest, Error, Escaped, Misuse, SelectBy};

/// Chooses one image: by its platform, and by a reference name, a position or a digest if there are several.
///
/// A position takes precedence over a name, and a digest over both. If both digests are given, both must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    platform: Platform,
    reference: Option<String>,
    position: Option<usize>,
    manifest_digest: Option<Digest>,
    image_id: Option<Digest>,
}

impl Default for Selector {
    fn default() -> Self {
        Self::host()
    }
}

impl Selector {
    /// Selects the image for this machine.
    pub fn host() -> Self {
        Self { platform: Platform::host(), reference: None, position: None, manifest_digest: None, image_id: None }
    }

    /// Selects the image for another platform: the one made for it, or else the best one that it can run. Images that
    /// require features of the operating system (`os.features`) are ignored.
    #[must_use]
    pub fn with_platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// Selects by name: a tag, or a reference such as `alpine:3.19` if the image has references.
    ///
    /// A name may be shortened as in engines: `alpine:3.19` for `docker.io/library/alpine:3.19`, and `sm:1` for
    /// `localhost/sm:1` or a reference of another registry, if only one name ends like this.
    #[must_use]
    pub fn with_reference(mut self, name: impl Into<String>) -> Self {
        self.reference = Some(name.into());
        self
    }

    /// Selects the manifest with this digest, or from the index with this digest. The lists and names in the image do
    /// not count: everything is verified from this value, down to the bytes of each file.
    ///
    /// The platform of a manifest is not checked. An archive of `docker save` before version 25 has no manifests: use
    /// [`Selector::with_image_id`].
    #[must_use]
    pub fn with_manifest_digest(mut self, digest: Digest) -> Self {
        self.manifest_digest = Some(digest);
        self
    }

    /// Selects the image whose configuration has this digest. Docker and podman call it the image ID. The lists and
    /// names in the image do not count, and the platform is not checked.
    ///
    /// The configuration has the diff IDs of the layers, so everything is verified from this value, too. Images of
    /// every form have one. It changes when a tool writes the configuration again, as skopeo does when it converts an
    /// image from Docker's format to OCI's.
    #[must_use]
    pub fn with_image_id(mut self, digest: Digest) -> Self {
        self.image_id = Some(digest);
        self
    }

    /// Selects by the position, from 0, in `index.json` or in the `manifest.json` of `docker save`.
    /// [`Image::manifests`](super::Image::manifests) lists the positions. The platform of a manifest is not checked.
    #[must_use]
    pub fn with_position(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// The same selector without name and position, for an index that was selected by its digest.
    pub(super) fn for_platform_alone(&self) -> Self {
        Self { reference: None, position: None, ..self.clone() }
    }

    /// The platform.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The wanted name.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// The wanted position, from 0.
    pub fn position(&self) -> Option<usize> {
        self.position
    }

    /// The wanted digest of a manifest or an index.
    pub fn manifest_digest(&self) -> Option<&Digest> {
        self.manifest_digest.as_ref()
    }

    /// The wanted digest of a configuration.
    pub fn image_id(&self) -> Option<&Digest> {
        self.image_id.as_ref()
    }

    /// The name among these that was asked for; otherwise the first name.
    pub(super) fn name_of<'n>(&self, names: &'n [String]) -> Option<&'n str> {
        let wanted = self.reference.as_deref().and_then(|wanted| {
            let mut fitting = names.iter().filter(|name| reference::fits(name, wanted));
            fitting.next().or_else(|| names.iter().find(|name| reference::ends_with(name, wanted)))
        });
        wanted.or_else(|| names.first()).map(String::as_str)
    }

    /// The items of a list that have the wanted position or name, with their positions.
    pub(super) fn matching<'l, T: Named>(&self, listed: &'l [T]) -> Vec<(usize, &'l T)> {
        match (self.position, &self.reference) {
            (Some(position), _) => listed.get(position).map(|listed| (position, listed)).into_iter().collect(),
            (None, Some(name)) => called(listed, name),
            (None, None) => listed.iter().enumerate().collect(),
        }
    }

    /// The same, but an error if no item matches, or if a short name stands for several names.
    pub(super) fn require_matching<'l, T: Named>(
        &self,
        listed: &'l [T],
        name: impl Fn(usize, &T) -> String,
    ) -> Result<Vec<(usize, &'l T)>, Error> {
        let found = self.matching(listed);
        let names = || list(listed.iter().enumerate().map(|(position, listed)| name(position, listed)));
        match (self.position, &self.reference) {
            (Some(position), _) if found.is_empty() => {
                let plural = if listed.len() == 1 { "" } else { "s" };
                let has = format!("{} position{plural}: {}", listed.len(), names());
                Err(none_matches(format!("position {position}"), has, SelectBy::Position))
            }
            (None, Some(reference)) if found.is_empty() && !listed.is_empty() => {
                let by = if reference::has_digest(reference) { SelectBy::ManifestDigest } else { SelectBy::Name };
                Err(none_matches(self.wanted(), names(), by))
            }
            (None, Some(reference)) => match ambiguous(&found, reference) {
                Some(names) => Err(several_match(self.wanted(), names, SelectBy::Name)),
                None => Ok(found),
            },
            _ => Ok(found),
        }
    }

    /// What was asked for, as a message shows it.
    pub(super) fn wanted(&self) -> String {
        match (self.position, &self.reference) {
            (Some(position), _) => format!("{} at position {position}", self.platform),
            (None, Some(name)) => {
                format!("{} under the reference name {}", self.platform, Escaped::new(name.as_bytes()))
            }
            (None, None) => self.platform.to_string(),
        }
    }
}

/// No image matches.
pub(super) fn none_matches(wanted: String, found: String, by: SelectBy) -> Error {
    Misuse::NothingSelected { wanted, found, by }.into()
}

/// Several images match equally well.
pub(super) fn several_match(wanted: String, found: String, by: SelectBy) -> Error {
    Misuse::SeveralSelected { wanted, found, by }.into()
}
