//! Lists the manifests of an image, including those that cannot be unpacked.

use super::config::Config;
use super::descriptor::Descriptor;
use super::docker_list::DockerImage;
use super::manifest::{IN_TOTO, Manifest, parse_index};
use super::media_type::MediaType;
use super::names::in_blob;
use super::platform::{Platform, kept};
use super::store::Store;
use crate::words::{Digest, Error, Limit, Violation, words};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

words! {
    "a kind of manifest":
    /// What a manifest is for.
    #[non_exhaustive]
    enum ManifestKind {
        /// A file system: [`Image::select`](super::Image::select) chooses from these.
        Image "image",
        /// A document of BuildKit about an image beside it: its provenance, or a list of its contents.
        Attestation "attestation",
        /// Another document that registries keep: a signature, a chart.
        Artifact "artifact",
        /// An index that cannot be read, so that its content is unknown.
        Index "index",
    }
}

/// One manifest of an image, or one image of an archive of `docker save`: its names, platform and digests.
///
/// [`Image::manifests`](super::Image::manifests) returns these.
#[derive(Debug)]
pub struct ListedManifest {
    position: usize,
    names: Vec<Arc<str>>,
    kind: ManifestKind,
    platform: Option<Platform>,
    artifact_type: Option<Box<str>>,
    manifest: Option<Digest>,
    config: Option<Digest>,
    problem: Option<Error>,
}

impl ListedManifest {
    /// The position for [`Selector::with_position`](super::Selector::with_position), from 0. A manifest in an index has the
    /// position of that index.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The names under which the image lists it: references, tags, or none; text from the image, to be escaped before
    /// it is shown.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// What the manifest is for.
    pub fn kind(&self) -> ManifestKind {
        self.kind
    }

    /// The platform that the index or the configuration states; `None` if neither states one.
    pub fn platform(&self) -> Option<&Platform> {
        self.platform.as_ref()
    }

    /// The stated type of an artifact or attestation; text from the image, cut after some hundred bytes.
    pub fn artifact_type(&self) -> Option<&str> {
        self.artifact_type.as_deref()
    }

    /// The digest of the manifest; `None` in an archive of `docker save`, which has none.
    pub fn manifest_digest(&self) -> Option<&Digest> {
        self.manifest.as_ref()
    }

    /// The digest of the configuration, which Docker calls the image ID; `None` if the manifest cannot be read, and for
    /// an artifact, because only its descriptor is read.
    pub fn image_id(&self) -> Option<&Digest> {
        self.config.as_ref()
    }

    /// Why its documents cannot be read; `None` if they can be read. Layers are not checked.
    ///
    /// Archives of a single platform often have the whole index, and so manifests that are missing.
    pub fn problem(&self) -> Option<&Error> {
        self.problem.as_ref()
    }
}

/// Lists the manifests that the top descriptors of an image lead to.
pub(super) fn list_roots(store: &Store, roots: Vec<Descriptor>) -> Result<Vec<ListedManifest>, Error> {
    let mut inventory = Inventory::new(store);
    inventory.roots(roots)?;
    Ok(inventory.finish())
}

/// Lists the images of an archive of `docker save`.
pub(super) fn list_docker(store: &Store, images: &[DockerImage]) -> Result<Vec<ListedManifest>, Error> {
    let mut inventory = Inventory::new(store);
    inventory.docker(images)?;
    Ok(inventory.finish())
}

/// The list while it is made.
struct Inventory<'a> {
    store: &'a Store,
    listed: Vec<ListedManifest>,
    /// The index of each manifest in the list.
    known: HashMap<Digest, usize>,
    /// The platforms of configurations. Thousands of manifests may share one configuration of megabytes.
    configs: HashMap<Digest, Option<Platform>>,
    /// The number of descriptors that were read, and of names that manifests got. A manifest has all names of its
    /// index, and an index may have 30,000 names and as many manifests.
    count: u64,
}

/// What was read of a manifest and its configuration.
struct Read {
    config: Digest,
    /// The type of an artifact; `None` for an image.
    artifact: Option<Box<str>>,
    platform: Option<Platform>,
}

/// A descriptor of the top list, with the names of all descriptors that have the same digest.
struct Root {
    position: usize,
    names: Vec<Arc<str>>,
    descriptor: Descriptor,
}

impl<'a> Inventory<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, listed: Vec::new(), known: HashMap::new(), configs: HashMap::new(), count: 0 }
    }

    /// The list, in which each manifest has each name once.
    fn finish(self) -> Vec<ListedManifest> {
        let mut listed = self.listed;
        for ListedManifest { names, .. } in &mut listed {
            let mut seen = HashSet::new();
            names.retain(|name| seen.insert(Arc::clone(name)));
        }
        listed
    }

    fn roots(&mut self, listed: Vec<Descriptor>) -> Result<(), Error> {
        // One manifest with many tags is one manifest: each tag is a descriptor of its own in `index.json`.
        let mut roots: Vec<Root> = Vec::new();
        let mut by_digest = HashMap::new();
        for (position, descriptor) in listed.into_iter().enumerate() {
            let names: Vec<Arc<str>> = descriptor.name().into_iter().map(Into::into).collect();
            match by_digest.get(descriptor.digest()).and_then(|&known: &usize| roots.get_mut(known)) {
                Some(root) => root.names.extend(names),
                None => {
                    by_digest.insert(*descriptor.digest(), roots.len());
                    roots.push(Root { position, names, descriptor });
                }
            }
        }
        roots.into_iter().try_for_each(|root| self.root(root))
    }

    fn root(&mut self, Root { position, names, descriptor }: Root) -> Result<(), Error> {
        let limits = self.store.limits();
        let mut seen = HashSet::new();
        // The next one is the last of the list. So at most the descriptors of one path of nested indexes are waiting.
        let mut waiting = vec![(descriptor, 1)];
        while let Some((descriptor, depth)) = waiting.pop() {
            let placed = |violation: Violation| Error::from(violation).at(in_blob(descriptor.digest()));
            self.count = self.count.saturating_add(1 + names.len() as u64);
            limits.check(Limit::Manifests, self.count).map_err(placed)?;
            if !seen.insert(*descriptor.digest()) {
                continue;
            }
            let kind = MediaType::parse(descriptor.media_type());
            if kind == Some(MediaType::Index) && descriptor.artifact().is_none() {
                let open = || {
                    limits.check(Limit::IndexDepth, depth + 1).map_err(placed)?;
                    self.store.document(&descriptor, |bytes| parse_index(bytes, Some(&descriptor)))
                };
                match or_problem(open())? {
                    Ok(inner) => {
                        waiting.extend(inner.into_iter().rev().map(|inner| (inner.without_annotations(), depth + 1)))
                    }
                    Err(problem) => {
                        let mut listed = of_descriptor(position, &names, descriptor);
                        listed.kind = ManifestKind::Index;
                        self.add(ListedManifest { problem: Some(problem), ..listed });
                    }
                }
                continue;
            }
            if let Some(known) = self.known.get(descriptor.digest()).and_then(|&known| self.listed.get_mut(known)) {
                known.names.extend(names.iter().cloned());
                continue;
            }
            let is_image = kind == Some(MediaType::Manifest) && descriptor.artifact().is_none();
            let read = if is_image { or_problem(self.read(&descriptor))? } else { Ok(None) };
            let mut listed = of_descriptor(position, &names, descriptor);
            match read {
                Ok(None) => {}
                Ok(Some(Read { config, artifact, platform })) => {
                    listed.config = Some(config);
                    if let Some(artifact) = artifact {
                        let is_attestation = &*artifact == IN_TOTO;
                        listed.kind = if is_attestation { ManifestKind::Attestation } else { ManifestKind::Artifact };
                        listed.artifact_type = Some(artifact);
                    }
                    listed.platform = listed.platform.or(platform);
                }
                Err(problem) => listed.problem = Some(problem),
            }
            if listed.platform.as_ref().is_some_and(Platform::is_unknown) {
                listed.kind = ManifestKind::Attestation;
            }
            self.add(listed);
        }
        Ok(())
    }

    fn add(&mut self, listed: ListedManifest) {
        if let Some(digest) = listed.manifest {
            self.known.insert(digest, self.listed.len());
        }
        self.listed.push(listed);
    }

    /// Reads a manifest and its configuration, where it has one of an image.
    fn read(&mut self, descriptor: &Descriptor) -> Result<Option<Read>, Error> {
        // The layers are not kept while the configuration is read.
        let (config, artifact) = self.store.document(descriptor, |bytes| {
            let manifest = Manifest::parse(bytes, descriptor)?;
            let artifact = manifest.artifact().map(|kind| kept(kind).into());
            Ok((manifest.config, artifact))
        })?;
        let platform = match self.configs.get(config.digest()) {
            _ if artifact.is_some() => None,
            Some(known) => known.clone(),
            None => {
                let platform = self.store.document(&config, |bytes| Ok(Config::parse(bytes)?.platform))?;
                self.configs.insert(*config.digest(), platform.clone());
                platform
            }
        };
        Ok(Some(Read { config: *config.digest(), artifact, platform }))
    }

    fn docker(&mut self, listed: &[DockerImage]) -> Result<(), Error> {
        // What one configuration is said to be is the same for each image that names it.
        let mut read = HashMap::new();
        for (position, image) in listed.iter().enumerate() {
            let names = image.tags().iter().map(|tag| Arc::from(tag.as_str())).collect();
            let kind = ManifestKind::Image;
            let mut listed = ListedManifest {
                position,
                names,
                kind,
                platform: None,
                artifact_type: None,
                manifest: None,
                config: image.config_digest().copied(),
                problem: None,
            };
            match read.get(image.config()) {
                Some((config, platform)) => {
                    listed.config = Some(*config);
                    listed.platform = Option::clone(platform);
                }
                None => match or_problem(self.store.read_config(image))? {
                    Ok(found) => {
                        listed.config = Some(*found.document.descriptor.digest());
                        listed.platform = found.config.platform;
                        read.insert(image.config(), (*found.document.descriptor.digest(), listed.platform.clone()));
                    }
                    Err(problem) => listed.problem = Some(problem),
                },
            }
            self.listed.push(listed);
        }
        Ok(())
    }
}

/// A list entry made of a descriptor alone.
fn of_descriptor(position: usize, names: &[Arc<str>], descriptor: Descriptor) -> ListedManifest {
    let manifest = Some(*descriptor.digest());
    let is_manifest = MediaType::parse(descriptor.media_type()) == Some(MediaType::Manifest);
    let (kind, artifact_type) = match descriptor.artifact() {
        Some(ATTESTATION) => (ManifestKind::Attestation, Some(ATTESTATION)),
        Some(artifact) => (ManifestKind::Artifact, Some(artifact)),
        None if is_manifest => (ManifestKind::Image, None),
        None => (ManifestKind::Artifact, Some(descriptor.media_type())),
    };
    let artifact_type = artifact_type.map(|text| kept(text).into());
    let (_, platform) = descriptor.shortened();
    let platform = platform.map(|platform| *platform);
    ListedManifest {
        position,
        names: names.to_vec(),
        kind,
        platform,
        artifact_type,
        manifest,
        config: None,
        problem: None,
    }
}

/// The annotation of an attestation by BuildKit.
const ATTESTATION: &str = "attestation-manifest";

/// Separates a refusal, which is listed as a problem, from a system error, which ends the listing.
fn or_problem<T>(read: Result<T, Error>) -> Result<Result<T, Error>, Error> {
    match read {
        Err(error) if error.is_refusal() => Ok(Err(error)),
        Err(error) => Err(error),
        Ok(read) => Ok(Ok(read)),
    }
}
