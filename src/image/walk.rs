//! The way through the indexes of an image to its manifests.

use super::manifest::{Config, Descriptor, Manifest, media_type, parse_index};
use super::media_type::MediaType;
use super::open::{Image, in_blob};
use super::platform::Platform;
use crate::words::{Digest, Error, Fault, Limit, Violation};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

/// A manifest that fits: how many platforms would have been better, and which it is.
pub(super) type Fitting = (usize, Rc<Descriptor>);

/// A walk through the indexes of an image.
pub(super) struct Walk<'a> {
    image: &'a Image,
    /// The platforms that will do, the best first.
    accepted: Vec<Platform>,
    /// What an index led to. Each is walked once, however often others name it: a few small indexes that
    /// name one another a thousand times would otherwise cost a thousand to the power of their depth. Shared,
    /// since a descriptor may hold megabytes of annotations.
    led_to: HashMap<Digest, Option<Fitting>>,
    /// What the configuration of a manifest states, for those whose descriptors state nothing.
    stated: HashMap<Digest, Rc<Stated>>,
    /// The manifests of images that were seen.
    seen: HashSet<Digest>,
    platforms: BTreeSet<String>,
    unstated: Option<Descriptor>,
    passed_over: Option<String>,
}

/// What a manifest turned out to be.
enum Stated {
    Platform(Platform),
    Nothing,
    /// No image: its configuration has this media type.
    Artifact(String),
}

impl<'a> Walk<'a> {
    pub(super) fn new(image: &'a Image, platform: &Platform) -> Self {
        Self {
            image,
            accepted: platform.accepted(),
            led_to: HashMap::new(),
            stated: HashMap::new(),
            seen: HashSet::new(),
            platforms: BTreeSet::new(),
            unstated: None,
            passed_over: None,
        }
    }

    /// The best manifest, and the first of several that are as good, in a descriptor that lies in `depth` indexes.
    pub(super) fn best_fitting(&mut self, descriptor: &Descriptor, depth: u64) -> Result<Option<Fitting>, Error> {
        if let Some(artifact) = descriptor.artifact() {
            self.pass_over(artifact);
            return Ok(None);
        }
        match MediaType::parse(descriptor.media_type()) {
            Some(MediaType::Index) => self.best_within(descriptor, depth + 1),
            Some(MediaType::Manifest) => {
                self.fits(descriptor).map(|fits| fits.map(|rank| (rank, Rc::new(descriptor.clone()))))
            }
            _ => {
                self.pass_over(descriptor.media_type());
                Ok(None)
            }
        }
    }

    /// Walks an index. No index can lie within itself, since it would have to hold its own digest.
    fn best_within(&mut self, descriptor: &Descriptor, depth: u64) -> Result<Option<Fitting>, Error> {
        if let Some(found) = self.led_to.get(descriptor.digest()) {
            return Ok(found.clone());
        }
        let placed = |violation: Violation| Fault::from(violation).at(in_blob(descriptor.digest()));
        self.image.limits().check(Limit::IndexDepth, depth).map_err(placed)?;
        let listed = self.image.document(descriptor, |bytes| parse_index(bytes, Some(descriptor)))?;
        let mut found: Option<Fitting> = None;
        for inner in &listed {
            if let Some(other) = self.best_fitting(inner, depth)?
                && found.as_ref().is_none_or(|(rank, _)| other.0 < *rank)
            {
                found = Some(other);
            }
            // Nothing is better, and what follows need not be here.
            if let Some((0, _)) = found {
                break;
            }
        }
        self.led_to.insert(*descriptor.digest(), found.clone());
        Ok(found)
    }

    /// How many platforms would be better; `None` when it does not fit.
    fn fits(&mut self, descriptor: &Descriptor) -> Result<Option<usize>, Error> {
        let stated = match descriptor.platform() {
            Some(platform) => Rc::new(Stated::Platform(platform.clone())),
            None => self.stated_inside(descriptor)?,
        };
        match &*stated {
            Stated::Artifact(kind) => {
                self.pass_over(kind);
                return Ok(None);
            }
            Stated::Nothing => self.unstated = Some(descriptor.clone()),
            Stated::Platform(platform) => {
                self.platforms.insert(platform.to_string());
            }
        }
        self.seen.insert(*descriptor.digest());
        Ok(match &*stated {
            Stated::Platform(platform) => self.accepted.iter().position(|accepted| accepted == platform),
            _ => None,
        })
    }

    fn stated_inside(&mut self, descriptor: &Descriptor) -> Result<Rc<Stated>, Error> {
        if let Some(stated) = self.stated.get(descriptor.digest()) {
            return Ok(stated.clone());
        }
        let manifest = self.image.document(descriptor, |bytes| Manifest::parse(bytes, descriptor))?;
        let stated = Rc::new(if MediaType::parse(manifest.config.media_type()) != Some(MediaType::Config) {
            Stated::Artifact(manifest.config.media_type().to_owned())
        } else {
            let config = self.image.document(&manifest.config, Config::parse)?;
            config.platform.map_or(Stated::Nothing, Stated::Platform)
        });
        self.stated.insert(*descriptor.digest(), stated.clone());
        Ok(stated)
    }

    fn pass_over(&mut self, kind: &str) {
        self.passed_over.get_or_insert_with(|| kind.to_owned());
    }

    /// The manifest of unknown platform that is the only one there is.
    pub(super) fn only_unstated(&self) -> Option<&Descriptor> {
        self.unstated.as_ref().filter(|_| self.seen.len() == 1 && self.platforms.is_empty())
    }

    /// What is wrong with an image in which there is no manifest to choose from.
    pub(super) fn nothing_to_choose(&self) -> Option<Violation> {
        match &self.passed_over {
            _ if !self.seen.is_empty() => None,
            Some(kind) => Some(media_type(kind)),
            None => Some(Violation::NotAnImage { because: "its index names no manifest" }),
        }
    }

    /// The platforms for which there are manifests.
    pub(super) fn platforms_found(&self) -> impl Iterator<Item = String> {
        let unstated = self.unstated.as_ref().map(|_| "one that states no platform".to_owned());
        self.platforms.iter().cloned().chain(unstated)
    }
}
