//! Asks containerd for the layers below one.

use super::applied::{Applied, State};
use super::chain;
use crate::cancel::Cancel;
use crate::namespace::in_namespace;
use crate::proto::services::content::v1::content_client::ContentClient;
use crate::proto::services::content::v1::{ListContentRequest, ReadContentRequest};
use crate::proto::services::snapshots::v1::snapshots_client::SnapshotsClient;
use crate::proto::services::snapshots::v1::{
    Info, Kind, ListSnapshotsRequest, MountsRequest, RemoveSnapshotRequest, ViewSnapshotRequest,
};
use crate::proto::types::Mount;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tonic::Status;
use tonic::transport::Channel;

/// The only snapshotter for which containerd sends such requests.
const SNAPSHOTTER: &str = "overlayfs";

/// The label of a manifest that names its configuration.
const CONFIGURATION: &str = "containerd.io/gc.ref.content.config";

/// How the names of snapshots begin to which layers are being applied. The chain ID comes after a blank.
const UNPACKING: &str = "extract-";

/// The most bytes that a configuration may have.
const MOST: usize = 8 << 20;

/// How often it is looked whether a layer was applied, and whether its snapshot is still there.
const LOOK: Duration = Duration::from_millis(10);
const ASK: Duration = Duration::from_secs(1);

/// Finds the layers below one.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) containerd: Channel,
    pub(crate) namespace: String,
    /// The layers that this program applies.
    pub(crate) applied: Applied,
    /// When this program started.
    pub(crate) started: SystemTime,
}

/// Where a lower layer is.
#[derive(Debug)]
enum Lower {
    /// In this directory, to which this program applies it.
    Directory { path: PathBuf, created: Option<SystemTime> },
    /// In a committed snapshot, with all layers below it.
    Committed,
}

impl Search {
    /// Waits until all layers below one are applied. Returns their directories, the top one first.
    ///
    /// # Errors
    ///
    /// A sentence: they cannot be found, one of them failed, or this was cancelled.
    pub(crate) async fn wait(&self, upper: &Path, cancel: &Cancel) -> Result<Vec<PathBuf>, String> {
        let snapshots = self.snapshots().await.map_err(unanswered)?;
        let own = self.find(&snapshots, upper).await.map_err(unanswered)?;
        let chain_id = own.ok_or_else(|| format!("containerd has no snapshot in {upper:?} that it is unpacking"))?;
        let below = self.below(&chain_id).await.map_err(unanswered)?;
        let below = below.ok_or_else(|| format!("containerd has no image with the layer {chain_id}"))?;
        loop {
            if let Some(directories) = self.directories(&below, cancel).await? {
                return Ok(directories);
            }
        }
    }

    /// The directories of layers, from the bottom, in the opposite order. `None` if one of them may not be applied yet.
    async fn directories(&self, below: &[String], cancel: &Cancel) -> Result<Option<Vec<PathBuf>>, String> {
        let snapshots = self.snapshots().await.map_err(unanswered)?;
        let mut directories = Vec::new();
        for chain_id in below.iter().rev() {
            match self.lower(&snapshots, chain_id).await.map_err(unanswered)? {
                None => return Err(format!("the layer {chain_id} below it is not unpacked")),
                Some(Lower::Committed) => {
                    directories.extend(self.view(chain_id).await.map_err(unanswered)?);
                    break;
                }
                Some(Lower::Directory { path, created }) => {
                    if !self.is_applied(&path, created, cancel).await? {
                        return Ok(None);
                    }
                    directories.push(path);
                }
            }
        }
        Ok(Some(directories))
    }

    /// Waits for some time until the layer of a directory is applied. Returns whether it is.
    async fn is_applied(&self, path: &Path, created: Option<SystemTime>, cancel: &Cancel) -> Result<bool, String> {
        let since = Instant::now();
        loop {
            match self.applied.state(path) {
                Some(State::Applied) => return Ok(true),
                Some(State::Failed) => return Err("a layer below it was not applied".to_owned()),
                // It may have been applied already.
                None if created.is_none_or(|created| created < self.started) => {
                    return Err("the unpacking of a layer below it began before this program started".to_owned());
                }
                // containerd may still download it.
                None | Some(State::Running) => {}
            }
            if cancel.is_cancelled() {
                return Err("cancelled".to_owned());
            }
            if since.elapsed() >= ASK {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn snapshots(&self) -> Result<Vec<Info>, Status> {
        let request = ListSnapshotsRequest { snapshotter: SNAPSHOTTER.to_owned(), filters: Vec::new() };
        let request = in_namespace(&self.namespace, request)?;
        let mut messages = SnapshotsClient::new(self.containerd.clone()).list(request).await?.into_inner();
        let mut snapshots = Vec::new();
        while let Some(message) = messages.message().await? {
            snapshots.extend(message.info);
        }
        Ok(snapshots)
    }

    /// The chain ID of the layer that is unpacked to a directory.
    async fn find(&self, snapshots: &[Info], upper: &Path) -> Result<Option<String>, Status> {
        for snapshot in snapshots {
            if let Some(chain_id) = unpacked(snapshot)
                && self.directory(&snapshot.name).await?.as_deref() == Some(upper)
            {
                return Ok(Some(chain_id.to_owned()));
            }
        }
        Ok(None)
    }

    /// Where the layer with a chain ID is.
    async fn lower(&self, snapshots: &[Info], chain_id: &str) -> Result<Option<Lower>, Status> {
        if snapshots.iter().any(|snapshot| snapshot.kind() == Kind::Committed && snapshot.name == chain_id) {
            return Ok(Some(Lower::Committed));
        }
        for snapshot in snapshots.iter().filter(|snapshot| unpacked(snapshot) == Some(chain_id)) {
            if let Some(path) = self.directory(&snapshot.name).await? {
                let created = snapshot.created_at.and_then(|created| SystemTime::try_from(created).ok());
                return Ok(Some(Lower::Directory { path, created }));
            }
        }
        Ok(None)
    }

    /// The directory that is changed in a snapshot; `None` if it is gone.
    async fn directory(&self, key: &str) -> Result<Option<PathBuf>, Status> {
        let request = MountsRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() };
        let request = in_namespace(&self.namespace, request)?;
        match SnapshotsClient::new(self.containerd.clone()).mounts(request).await {
            Ok(answer) => Ok(upper_of(&answer.into_inner().mounts)),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// The directories of a committed snapshot, the top one first. containerd tells them of a view alone.
    async fn view(&self, chain_id: &str) -> Result<Vec<PathBuf>, Status> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let key = format!("layercage-{}-{number} {chain_id}", std::process::id());
        let snapshotter = SNAPSHOTTER.to_owned();
        let parent = chain_id.to_owned();
        let view =
            ViewSnapshotRequest { snapshotter: snapshotter.clone(), key: key.clone(), parent, ..Default::default() };
        let mut snapshots = SnapshotsClient::new(self.containerd.clone());
        let mounts = snapshots.view(in_namespace(&self.namespace, view)?).await?.into_inner().mounts;
        // If this fails, it is left to the garbage collector of containerd, like any snapshot that nothing refers to.
        let _ = snapshots.remove(in_namespace(&self.namespace, RemoveSnapshotRequest { snapshotter, key })?).await;
        lowers_of(&mounts).ok_or_else(|| Status::internal(format!("the mounts of a view are not known: {mounts:?}")))
    }

    /// The chain IDs of the layers below one, from the bottom.
    async fn below(&self, chain_id: &str) -> Result<Option<Vec<String>>, Status> {
        let filters = vec![format!("labels.\"{CONFIGURATION}\"")];
        let request = in_namespace(&self.namespace, ListContentRequest { filters })?;
        let mut messages = ContentClient::new(self.containerd.clone()).list(request).await?.into_inner();
        while let Some(message) = messages.message().await? {
            for manifest in message.info {
                let Some(digest) = manifest.labels.get(CONFIGURATION) else { continue };
                if let Some(below) = chain::below(&self.read(digest).await?, chain_id) {
                    return Ok(Some(below));
                }
            }
        }
        Ok(None)
    }

    /// Reads a small blob; nothing if it is not there or too large.
    async fn read(&self, digest: &str) -> Result<Vec<u8>, Status> {
        let request = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
        let request = in_namespace(&self.namespace, request)?;
        let mut messages = match ContentClient::new(self.containerd.clone()).read(request).await {
            Ok(messages) => messages.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Ok(Vec::new()),
            Err(status) => return Err(status),
        };
        let mut bytes = Vec::new();
        loop {
            match messages.message().await {
                Ok(Some(message)) if bytes.len() + message.data.len() <= MOST => bytes.extend(message.data),
                Ok(Some(_)) => return Ok(Vec::new()),
                Ok(None) => return Ok(bytes),
                Err(status) if status.code() == tonic::Code::NotFound => return Ok(Vec::new()),
                Err(status) => return Err(status),
            }
        }
    }
}

fn unanswered(status: Status) -> String {
    format!("containerd does not answer: {}", status.message())
}

/// The chain ID of the layer that is being unpacked to a snapshot.
fn unpacked(snapshot: &Info) -> Option<&str> {
    let (_, chain_id) = snapshot.name.strip_prefix(UNPACKING)?.split_once(' ')?;
    (snapshot.kind() == Kind::Active).then_some(chain_id)
}

/// The directory that is changed by mounts.
fn upper_of(mounts: &[Mount]) -> Option<PathBuf> {
    let [mount] = mounts else { return None };
    match mount.r#type.as_str() {
        "bind" => Some(PathBuf::from(&mount.source)),
        "overlay" => mount.options.iter().find_map(|option| option.strip_prefix("upperdir=")).map(PathBuf::from),
        _ => None,
    }
}

/// The directories that a mount shows which cannot be changed.
fn lowers_of(mounts: &[Mount]) -> Option<Vec<PathBuf>> {
    let [mount] = mounts else { return None };
    match mount.r#type.as_str() {
        "bind" => Some(vec![PathBuf::from(&mount.source)]),
        "overlay" if !mount.options.iter().any(|option| option.starts_with("upperdir=")) => {
            let lowers = mount.options.iter().find_map(|option| option.strip_prefix("lowerdir="))?;
            (!lowers.contains('\\')).then(|| lowers.split(':').map(PathBuf::from).collect())
        }
        _ => None,
    }
}
