//! Walks through the indexes of an image to find its manifests.

use super::config::Config;
use super::descriptor::Descriptor;
use super::manifest::{Manifest, parse_index};
use super::media_type::{MediaType, artifact, media_type};
use super::names::in_blob;
use super::partial::unless_refused;
use super::platform::Platform;
use super::reference::SHOWN;
use super::store::Store;
use crate::words::{Digest, Error, Limit, Violation};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A manifest that matches, with the number of platforms that are preferred to its platform.
pub(super) type Fitting = (usize, Arc<Descriptor>);

/// A walk through the indexes of an image.
///
/// It stores little for each manifest and index, and [`Limit::Manifests`] bounds their number. While a document is
/// read, no other document is in memory, except for the descriptors of an index that must still be followed.
pub(super) struct Walk<'a> {
    store: &'a Store,
    /// The platforms that match, the best first.
    accepted: Vec<Platform>,
    /// The result for each index. An index is walked once, even if others list it many times: a few small indexes that
    /// list each other a thousand times would otherwise cost a thousand to the power of their depth.
    led_to: HashMap<Digest, Found>,
    /// The platforms of manifests whose descriptors state none.
    stated: HashMap<Digest, Stated>,
    /// The platforms of configurations: 10,000 small manifests may share one configuration of 4 MiB.
    configs: HashMap<Digest, Stated>,
    /// The number of descriptors inspected.
    count: u64,
    /// Whether a manifest of an image was found.
    has_image: bool,
    /// The first platforms in alphabetical order, one more than a message shows.
    platforms: BTreeSet<String>,
    /// The platform `unknown/unknown` if a manifest states it. No image can be selected by it.
    unknown: Option<Platform>,
    /// The error of the first one that was skipped.
    skipped: Option<Violation>,
}

/// The result for a descriptor.
#[derive(Clone, Default)]
struct Found {
    fitting: Option<Fitting>,
    /// The depth of nested indexes below, with the index itself. It is needed when the index is listed again at a
    /// deeper place.
    indexes: u64,
}

/// What a manifest and its configuration state.
#[derive(Clone, Copy)]
enum Stated {
    /// An image for a platform. The number is that of preferred platforms; `None` if it does not match.
    Platform(Option<usize>),
    /// The platform `unknown/unknown`.
    Unknown,
    /// No platform.
    Nothing,
    /// An artifact, not an image.
    Artifact,
}

/// The next step for a descriptor.
enum Step {
    /// Its document must be read to decide whether it matches.
    Read(Descriptor),
    /// The descriptor states a platform that matches.
    Fits(usize, Descriptor),
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a Store, platform: &Platform) -> Self {
        Self {
            store,
            accepted: platform.accepted(),
            led_to: HashMap::new(),
            stated: HashMap::new(),
            configs: HashMap::new(),
            count: 0,
            has_image: false,
            platforms: BTreeSet::new(),
            unknown: None,
            skipped: None,
        }
    }

    /// The best manifest that a descriptor leads to, and the first one of several equally good ones. The descriptor is
    /// within `depth` indexes.
    pub(super) fn best_fitting(&mut self, descriptor: &Descriptor, depth: u64) -> Result<Option<Fitting>, Error> {
        self.find(descriptor, depth).map(|found| found.fitting)
    }

    /// The descriptor of a manifest that was found, with its annotations, which the walk does not keep. `root` is what
    /// led to it. The indexes between them are read once more.
    pub(super) fn as_listed(&self, root: &Descriptor, found: &Descriptor) -> Result<Descriptor, Error> {
        let is_accepted = |descriptor: &Descriptor| {
            let platform = descriptor.platform();
            descriptor.artifact().is_none() && platform.is_none_or(|platform| self.rank(platform).is_some())
        };
        let leads = |descriptor: &Descriptor| {
            let led_to = self.led_to.get(descriptor.digest()).and_then(|led_to| led_to.fitting.as_ref());
            let leads = descriptor.digest() == found.digest()
                || led_to.is_some_and(|(_, led_to)| led_to.digest() == found.digest());
            leads && is_accepted(descriptor)
        };
        let mut at = root.clone();
        // Each step goes deeper, because no index can lie within itself.
        while at.digest() != found.digest() {
            // An index that was read under another descriptor need not have the size and media type of this one.
            let listed = unless_refused(self.store.document(&at, |bytes| parse_index(bytes, Some(&at))))?;
            let Some(next) = listed.into_iter().flatten().find(leads) else { return Ok(found.clone()) };
            at = next;
        }
        Ok(at.without_platform())
    }

    fn find(&mut self, descriptor: &Descriptor, depth: u64) -> Result<Found, Error> {
        match self.next_step(descriptor.clone())? {
            Some(step) => self.follow(step, depth),
            None => Ok(Found::default()),
        }
    }

    /// Returns the next step for a descriptor; `None` if it cannot match.
    fn next_step(&mut self, descriptor: Descriptor) -> Result<Option<Step>, Error> {
        self.count += 1;
        let placed = |violation: Violation| Error::from(violation).at(in_blob(descriptor.digest()));
        self.store.limits().check(Limit::Manifests, self.count).map_err(placed)?;
        if let Some(kind) = descriptor.artifact() {
            self.skip(artifact(kind));
            return Ok(None);
        }
        let kind = MediaType::parse(descriptor.media_type());
        if !matches!(kind, Some(MediaType::Index | MediaType::Manifest)) {
            self.skip(media_type(descriptor.media_type()));
            return Ok(None);
        }
        let (descriptor, platform) = descriptor.shortened();
        let Some(platform) = platform else { return Ok(Some(Step::Read(descriptor))) };
        match (kind, self.rank(&platform)) {
            // The platform of an index is that of all its manifests.
            (Some(MediaType::Index), Some(_)) => Ok(Some(Step::Read(descriptor))),
            (_, rank) => {
                self.add_platform(&platform);
                Ok(rank.map(|rank| Step::Fits(rank, descriptor)))
            }
        }
    }

    fn follow(&mut self, step: Step, depth: u64) -> Result<Found, Error> {
        let (rank, descriptor) = match step {
            Step::Read(index) if MediaType::parse(index.media_type()) == Some(MediaType::Index) => {
                return self.find_within(&index, depth + 1);
            }
            Step::Read(manifest) => (self.fits(&manifest)?, manifest),
            Step::Fits(rank, manifest) => (Some(rank), manifest),
        };
        Ok(Found { fitting: rank.map(|rank| (rank, Arc::new(descriptor))), indexes: 0 })
    }

    /// Walks an index. No index can be within itself, because it would have to contain its own digest.
    fn find_within(&mut self, descriptor: &Descriptor, depth: u64) -> Result<Found, Error> {
        let limits = self.store.limits();
        let within = |deepest| {
            let placed = |violation: Violation| Error::from(violation).at(in_blob(descriptor.digest()));
            limits.check(Limit::IndexDepth, deepest).map_err(placed)
        };
        if let Some(found) = self.led_to.get(descriptor.digest()) {
            within(depth + found.indexes - 1)?;
            return Ok(found.clone());
        }
        within(depth)?;
        let mut found = Found { fitting: None, indexes: 1 };
        for step in self.steps_within(descriptor)? {
            let other = self.follow(step, depth)?;
            found.indexes = found.indexes.max(other.indexes + 1);
            if let Some(other) = other.fitting
                && found.fitting.as_ref().is_none_or(|(rank, _)| other.0 < *rank)
            {
                found.fitting = Some(other);
            }
            // No other manifest can be better. The rest is not read, because it may be missing.
            if let Some((0, _)) = found.fitting {
                break;
            }
        }
        self.led_to.insert(*descriptor.digest(), found.clone());
        Ok(found)
    }

    /// Reads an index as a list of next steps for its descriptors. The list waits while its first item is followed. So
    /// it keeps no descriptor that cannot be chosen: none that matches no better than an earlier one, and none after
    /// the best.
    fn steps_within(&mut self, index: &Descriptor) -> Result<Vec<Step>, Error> {
        let listed = self.store.document(index, |bytes| parse_index(bytes, Some(index)))?;
        let (mut steps, mut best) = (Vec::new(), usize::MAX);
        for inner in listed {
            match self.next_step(inner)? {
                Some(Step::Fits(rank, _)) if rank >= best => {}
                Some(step) => {
                    if let Step::Fits(rank, _) = step {
                        best = rank;
                    }
                    steps.push(step);
                }
                None => {}
            }
            if best == 0 {
                break;
            }
        }
        steps.shrink_to_fit();
        Ok(steps)
    }

    /// The number of preferred platforms; `None` if the manifest does not match.
    fn fits(&mut self, descriptor: &Descriptor) -> Result<Option<usize>, Error> {
        let digest = descriptor.digest();
        let stated = match self.stated.get(digest) {
            Some(stated) => *stated,
            None => {
                let stated = self.stated_inside(descriptor)?;
                self.stated.insert(*digest, stated);
                stated
            }
        };
        match stated {
            Stated::Platform(rank) => {
                self.has_image = true;
                Ok(rank)
            }
            // It matches any platform, but a manifest that states the platform is better.
            Stated::Nothing => {
                self.has_image = true;
                Ok(Some(self.accepted.len()))
            }
            Stated::Unknown | Stated::Artifact => Ok(None),
        }
    }

    /// The number of platforms that are preferred to this one; `None` if it does not match.
    fn rank(&self, platform: &Platform) -> Option<usize> {
        self.accepted.iter().position(|accepted| accepted == platform)
    }

    /// Adds the platform of an image that was found.
    fn add_platform(&mut self, platform: &Platform) -> Stated {
        let rank = self.rank(platform);
        if platform.is_unknown() && rank.is_none() {
            self.unknown = Some(platform.clone());
            return Stated::Unknown;
        }
        self.platforms.insert(platform.to_string());
        if self.platforms.len() > SHOWN + 1 {
            self.platforms.pop_last();
        }
        self.has_image = true;
        Stated::Platform(rank)
    }

    fn stated_inside(&mut self, descriptor: &Descriptor) -> Result<Stated, Error> {
        // Drops the layers before the configuration is read.
        let config = self.store.document(descriptor, |bytes| {
            let manifest = Manifest::parse(bytes, descriptor)?;
            Ok(match manifest.artifact() {
                Some(kind) => Err(artifact(kind)),
                None => Ok(manifest.config),
            })
        })?;
        let config = match config {
            Ok(config) => config,
            Err(artifact) => {
                self.skip(artifact);
                return Ok(Stated::Artifact);
            }
        };
        if let Some(stated) = self.configs.get(config.digest()) {
            return Ok(*stated);
        }
        let platform = match self.store.document(&config, |bytes| Ok(Config::parse(bytes)?.platform)) {
            // Old artifacts, from before there were artifact types, use these media types, too.
            Err(error)
                if MediaType::is_old_config(config.media_type())
                    && matches!(error.violation(), Some(Violation::Json { .. })) =>
            {
                self.skip(artifact(config.media_type()));
                return Ok(Stated::Artifact);
            }
            read => read?,
        };
        let stated = platform.map_or(Stated::Nothing, |platform| self.add_platform(&platform));
        self.configs.insert(*config.digest(), stated);
        Ok(stated)
    }

    fn skip(&mut self, because: Violation) {
        self.skipped.get_or_insert(because);
    }

    /// The violation of an image without any manifest to select.
    pub(super) fn no_image(&self) -> Option<Violation> {
        match &self.skipped {
            _ if self.has_image || self.unknown.is_some() => None,
            Some(violation) => Some(violation.clone()),
            None => Some(Violation::NotAnImage { because: "its index names no manifest".into() }),
        }
    }

    /// The platforms of the manifests that were found.
    pub(super) fn platforms_found(&self) -> impl Iterator<Item = String> {
        let unknown = self.unknown.as_ref().map(Platform::to_string);
        self.platforms.iter().cloned().chain(unknown)
    }
}
