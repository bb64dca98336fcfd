//! Archives of `docker save`: `manifest.json` lists images, each with the member names of its configuration and layers.
//!
//! There are no manifests and no digests of layers. Layers are verified by the diff IDs of the configuration, and the
//! configuration by its own digest, the image ID. Since version 25 the archive is an image layout, too, and read as
//! one.

use super::agree::require_as_many;
use super::by_digest::digest_missing;
use super::candidate::{Candidate, best};
use super::docker_list::{self, DockerImage, Read};
use super::form::{Form, ImageForm};
use super::inventory::{ListedManifest, list_docker};
use super::layer::{LayerDescriptor, LayerPlace};
use super::names::{MANIFEST_JSON, in_file};
use super::reference;
use super::selected::Selected;
use super::selector::{Selector, none_matches};
use super::store::{Naming, Store};
use super::two_lists::{Disagreement, compare_with_index};
use crate::words::{
    Algorithm, Digest, EntryPath, Error, Escaped, FoundInstead, LayerPosition, Limit, Position, Quirk, SelectBy,
    Violation,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// An archive of `docker save`, by its `manifest.json`.
#[derive(Debug)]
pub(super) struct Docker(Vec<DockerImage>);

impl Docker {
    /// The list of the archive; `None` if it has none.
    pub(super) fn find(store: &Store) -> Result<Option<Self>, Error> {
        Ok(store.file(MANIFEST_JSON, docker_list::parse)?.map(Self))
    }
}

impl Form for Docker {
    fn naming(&self) -> Naming {
        Naming::Members
    }

    fn has(&self, _store: &Store, form: ImageForm) -> Result<bool, Error> {
        Ok(form == ImageForm::DockerArchive)
    }

    fn select(&self, store: &Store, selector: &Selector) -> Result<Selected, Error> {
        store.select_docker(&self.0, selector)
    }

    fn disagreement(&self, store: &Store, selected: &Selected, selector: &Selector) -> Result<Disagreement, Error> {
        compare_with_index(store, selected, selector)
    }

    fn manifests(&self, store: &Store) -> Result<Vec<ListedManifest>, Error> {
        list_docker(store, &self.0)
    }
}

impl Store {
    /// Selects from the images that `manifest.json` lists.
    fn select_docker(&self, listed: &[DockerImage], selector: &Selector) -> Result<Selected, Error> {
        if let Some(pinned) = selector.manifest_digest() {
            let found = match self.find_config(listed, pinned)? {
                Some(_) => FoundInstead::Configuration,
                None => FoundInstead::NoManifests,
            };
            return Err(digest_missing(*pinned, found));
        }
        if let Some(pinned) = selector.image_id() {
            return match self.find_config(listed, pinned)? {
                Some((image, read)) => self.selected(image, read),
                None => Err(digest_missing(*pinned, FoundInstead::Others(Self::configs_listed(listed)))),
            };
        }
        let tagged =
            selector.require_matching(listed, |position, image| image.name(position, image.config_digest()))?;
        if let [(_, image)] = tagged.as_slice()
            && selector.position().is_some()
        {
            let read = self.read_config(image)?;
            return Ok(self.selected(image, read)?.under(selector.name_of(image.tags())));
        }
        // Each configuration is read once, even if it is listed many times. Only its digest and rank are kept: an
        // archive may have thousands of configurations of several megabytes.
        let mut configs: HashMap<&EntryPath, (Digest, Option<usize>)> = HashMap::new();
        let accepted = selector.platform().accepted();
        let (mut candidates, mut others) = (Vec::new(), BTreeSet::new());
        for &(position, image) in &tagged {
            let (digest, rank) = match configs.get(image.config()) {
                Some(known) => *known,
                None => {
                    let read = self.read_config(image)?;
                    let platform = read.config.platform;
                    let rank = match &platform {
                        Some(platform) => accepted.iter().position(|accepted| accepted == platform),
                        // It matches any platform, but an image that states the platform is better.
                        None => Some(accepted.len()),
                    };
                    others.insert(platform.map_or("one that states no platform".into(), |known| known.to_string()));
                    if others.len() > reference::SHOWN + 1 {
                        others.pop_last();
                    }
                    *configs.entry(image.config()).insert_entry((*read.document.descriptor.digest(), rank)).get()
                }
            };
            candidates.extend(rank.map(|rank| Candidate {
                rank,
                key: (digest, image.layers()),
                value: (position, image, digest),
            }));
        }
        let found = best(candidates, selector, |(position, image, config)| image.name(*position, Some(config)))?;
        let Some(((digest, _), (_, image, _))) = found else {
            return Err(none_matches(selector.wanted(), reference::list(others.into_iter()), SelectBy::Platform));
        };
        let read = self.read_config(image)?;
        let got = *read.document.descriptor.digest();
        if got != digest {
            let position = Position { path: Some(Escaped::new(image.config().as_bytes())), ..Position::default() };
            return Err(
                Error::from(Violation::DigestMismatch { expected: digest.into(), got: got.into() }).at(position)
            );
        }
        Ok(self.selected(image, read)?.under(selector.name_of(image.tags())))
    }

    /// The image whose configuration has this digest. A configuration whose name contains another digest is not read.
    fn find_config<'l>(
        &self,
        listed: &'l [DockerImage],
        digest: &Digest,
    ) -> Result<Option<(&'l DockerImage, Read)>, Error> {
        if digest.algorithm() != Algorithm::Sha256 {
            return Ok(None);
        }
        let mut seen = HashSet::new();
        for image in listed.iter().filter(|image| image.config_digest().is_none_or(|named| named == digest)) {
            if !seen.insert(image.config()) {
                continue;
            }
            match self.read_config(image) {
                Ok(read) if read.document.descriptor.digest() == digest => return Ok(Some((image, read))),
                // Other configurations may be damaged or missing.
                Err(error) if image.config_digest().is_some() || !error.is_refusal() => {
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

    fn selected(&self, image: &DockerImage, read: Read) -> Result<Selected, Error> {
        let placed = |violation: Violation| Error::from(violation).at(in_file(MANIFEST_JSON));
        let of = image.layers().len();
        self.limits().check(Limit::Layers, of as u64).map_err(placed)?;
        require_as_many(of, read.config.diff_ids.len()).map_err(placed)?;
        let layers = image.layers().iter().zip(&read.config.diff_ids).enumerate().map(|(index, (name, diff_id))| {
            let position = LayerPosition { number: index + 1, of };
            LayerDescriptor::new(LayerPlace::Member(name.clone()), position, None, *diff_id)
        });
        let config = (read.document, read.config.platform);
        let mut selected = Selected::new(self.limits(), None, config, layers.collect()).within(self);
        if let Some(missing) = read.config.unstated {
            let position = Position { path: Some(Escaped::new(image.config().as_bytes())), ..Position::default() };
            selected.add_note(Quirk::PlatformUnstated { missing }, position);
        }
        Ok(selected)
    }
}
