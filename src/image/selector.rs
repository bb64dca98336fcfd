//! What is asked for of an image.

use super::platform::Platform;
use super::reference::{self, Called, ambiguous, called, list};
use crate::words::{Digest, Error, Escaped, Misuse, SelectBy};

/// What is asked for: a platform, and a reference name, a position or a digest where the image has several.
///
/// A position counts before a name, and a digest before both. Where both digests are given, both must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub(super) platform: Platform,
    reference: Option<String>,
    position: Option<usize>,
    digest: Option<Digest>,
    image_id: Option<Digest>,
}

impl Default for Selector {
    fn default() -> Self {
        Self::host()
    }
}

impl Selector {
    /// Asks for what runs here.
    pub fn host() -> Self {
        Self { platform: Platform::host(), reference: None, position: None, digest: None, image_id: None }
    }

    /// Asks for what runs on another platform: what is made for it, or what it runs besides, the best there is. What
    /// needs features of the operating system (`os.features`) is passed over.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// Asks for what the image has under this name: a tag, or a reference such as `alpine:3.19` where the image has
    /// these.
    ///
    /// A name may be shortened as engines do it: `alpine:3.19` for `docker.io/library/alpine:3.19`, and `sm:1` for
    /// `localhost/sm:1` or a reference of another registry, where it can stand for one name alone.
    #[must_use]
    pub fn reference(mut self, name: impl Into<String>) -> Self {
        self.reference = Some(name.into());
        self
    }

    /// Asks for the manifest of this digest, or for what fits in the index of this digest, whatever the image lists
    /// and names: from this one value all is verified, down to the bytes of each file.
    ///
    /// A manifest is taken whatever its platform. An archive of `docker save` before version 25 has no manifests, and
    /// so none of that digest.
    #[must_use]
    pub fn manifest_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Asks for the image whose configuration has this digest, which Docker and podman call the image ID, whatever the
    /// image lists and names. It is taken whatever its platform.
    ///
    /// The configuration names the layers by their diff IDs, so that all is verified from this one value as well.
    /// Every form of image has it. It changes where a tool writes the configuration anew, as skopeo does when it converts
    /// an image of Docker's format to OCI's.
    #[must_use]
    pub fn image_id(mut self, digest: Digest) -> Self {
        self.image_id = Some(digest);
        self
    }

    /// Asks for what stands at this position, counted from 0, in `index.json` or in the `manifest.json` of `docker
    /// save`: [`Image::manifests`](super::Image::manifests) says what that is. A manifest is taken whatever its platform.
    #[must_use]
    pub fn position(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// The same without a name and a position, for what lies in an index that a digest pins.
    pub(super) fn for_platform_alone(&self) -> Self {
        Self { reference: None, position: None, ..self.clone() }
    }

    pub(super) fn pinned(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    pub(super) fn pinned_config(&self) -> Option<&Digest> {
        self.image_id.as_ref()
    }

    pub(super) fn has_position(&self) -> bool {
        self.position.is_some()
    }

    /// Which of these names is the one that is asked for; otherwise the first one.
    pub(super) fn name_of<'n>(&self, names: &'n [String]) -> Option<&'n str> {
        let wanted = self.reference.as_deref().and_then(|wanted| {
            let mut fitting = names.iter().filter(|name| reference::fits(name, wanted));
            fitting.next().or_else(|| names.iter().find(|name| reference::ends_with(name, wanted)))
        });
        wanted.or_else(|| names.first()).map(String::as_str)
    }

    /// Those of a list that have the position or the name that is asked for, with their positions.
    pub(super) fn wanted_of<'l, T: Called>(&self, listed: &'l [T]) -> Vec<(usize, &'l T)> {
        match (self.position, &self.reference) {
            (Some(position), _) => listed.get(position).map(|listed| (position, listed)).into_iter().collect(),
            (None, Some(name)) => called(listed, name),
            (None, None) => listed.iter().enumerate().collect(),
        }
    }

    /// The same for the list that counts: there is one at least, and a short name stands for one name alone.
    pub(super) fn require_of<'l, T: Called>(
        &self,
        listed: &'l [T],
        name: impl Fn(usize, &T) -> String,
    ) -> Result<Vec<(usize, &'l T)>, Error> {
        let found = self.wanted_of(listed);
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
