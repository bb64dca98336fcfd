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
    led_to: HashMap<Digest, Found>,
    /// What the configuration of a manifest states, for those whose descriptors state nothing.
    stated: HashMap<Digest, Rc<Stated>>,
    /// The manifests of images that were seen.
    seen: HashSet<Digest>,
    platforms: BTreeSet<String>,
    /// What states `unknown/unknown`: no image for anybody, and so none to choose from.
    unknown: Option<Platform>,
    unstated: Option<Descriptor>,
    passed_over: Option<String>,
}

/// What a descriptor led to.
#[derive(Clone, Default)]
struct Found {
    fitting: Option<Fitting>,
    /// How many indexes were walked one within another, the descriptor's own among them: an index may be met again
    /// where it lies deeper.
    indexes: u64,
}

impl Found {
    fn manifest(fitting: Option<Fitting>) -> Self {
        Self { fitting, indexes: 0 }
    }
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
            unknown: None,
            unstated: None,
            passed_over: None,
        }
    }

    /// The best manifest, and the first of several that are as good, in a descriptor that lies in `depth` indexes.
    pub(super) fn best_fitting(&mut self, descriptor: &Descriptor, depth: u64) -> Result<Option<Fitting>, Error> {
        self.find(descriptor, depth).map(|found| found.fitting)
    }

    fn find(&mut self, descriptor: &Descriptor, depth: u64) -> Result<Found, Error> {
        if let Some(artifact) = descriptor.artifact() {
            self.pass_over(artifact);
            return Ok(Found::default());
        }
        match MediaType::parse(descriptor.media_type()) {
            Some(MediaType::Index) => match descriptor.platform() {
                // It says what all of it is for.
                Some(platform) if self.rank(platform).is_none() => {
                    self.see(descriptor, platform);
                    Ok(Found::default())
                }
                _ => self.find_within(descriptor, depth + 1),
            },
            Some(MediaType::Manifest) => {
                let fits = self.fits(descriptor)?;
                Ok(Found::manifest(fits.map(|rank| (rank, Rc::new(descriptor.clone())))))
            }
            _ => {
                self.pass_over(descriptor.media_type());
                Ok(Found::default())
            }
        }
    }

    /// Walks an index. No index can lie within itself, since it would have to hold its own digest.
    fn find_within(&mut self, descriptor: &Descriptor, depth: u64) -> Result<Found, Error> {
        let limits = self.image.limits();
        let within = |deepest| {
            let placed = |violation: Violation| Fault::from(violation).at(in_blob(descriptor.digest()));
            limits.check(Limit::IndexDepth, deepest).map_err(placed)
        };
        if let Some(found) = self.led_to.get(descriptor.digest()) {
            within(depth + found.indexes - 1)?;
            return Ok(found.clone());
        }
        within(depth)?;
        let listed = self.image.document(descriptor, |bytes| parse_index(bytes, Some(descriptor)))?;
        let mut found = Found { fitting: None, indexes: 1 };
        for inner in &listed {
            let other = self.find(inner, depth)?;
            found.indexes = found.indexes.max(other.indexes + 1);
            if let Some(other) = other.fitting
                && found.fitting.as_ref().is_none_or(|(rank, _)| other.0 < *rank)
            {
                found.fitting = Some(other);
            }
            // Nothing is better, and what follows need not be here.
            if let Some((0, _)) = found.fitting {
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
                Ok(None)
            }
            Stated::Nothing => {
                self.unstated = Some(descriptor.clone());
                self.seen.insert(*descriptor.digest());
                Ok(None)
            }
            Stated::Platform(platform) => {
                self.see(descriptor, platform);
                Ok(self.rank(platform))
            }
        }
    }

    /// How many platforms would be better than this one; `None` when nothing for it will do.
    fn rank(&self, platform: &Platform) -> Option<usize> {
        self.accepted.iter().position(|accepted| accepted == platform)
    }

    /// Notes that there is something for this platform.
    fn see(&mut self, descriptor: &Descriptor, platform: &Platform) {
        if platform.is_unknown() && self.rank(platform).is_none() {
            self.unknown = Some(platform.clone());
            return;
        }
        self.platforms.insert(platform.to_string());
        self.seen.insert(*descriptor.digest());
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
            _ if !self.seen.is_empty() || self.unknown.is_some() => None,
            Some(kind) => Some(media_type(kind)),
            None => Some(Violation::NotAnImage { because: "its index names no manifest" }),
        }
    }

    /// The platforms for which there are manifests.
    pub(super) fn platforms_found(&self) -> impl Iterator<Item = String> {
        let unstated = self.unstated.as_ref().map(|_| "one that states no platform".to_owned());
        let unknown = self.unknown.as_ref().map(Platform::to_string);
        self.platforms.iter().cloned().chain(unknown).chain(unstated)
    }
}
