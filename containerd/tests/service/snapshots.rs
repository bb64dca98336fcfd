//! The snapshots of a containerd, as the differ asks for them.

use crate::containerd::{Messages, Store, not_asked};
use layercage_differ::proto::services::snapshots::v1::snapshots_server::Snapshots;
use layercage_differ::proto::services::snapshots::v1::*;
use layercage_differ::proto::types::Mount;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tonic::{Request, Response, Status, async_trait};

/// A snapshot: what is said of it, and what is mounted for it.
#[derive(Clone)]
struct Snapshot {
    info: Info,
    mount: Mount,
}

/// The snapshots by their names.
#[derive(Clone, Default)]
pub(crate) struct Table(Arc<Mutex<BTreeMap<String, Snapshot>>>);

impl Table {
    /// A layer is being unpacked to a directory.
    pub(crate) fn unpack(&self, chain_id: &str, path: &Path) {
        self.add(&format!("extract-1-{} {chain_id}", path.display()), Kind::Active, mount("bind", path, &[]));
    }

    /// A layer was unpacked; the top of these directories is its own.
    pub(crate) fn commit(&self, chain_id: &str, directories: &[PathBuf]) {
        self.0.lock().unwrap().retain(|name, _| !name.ends_with(chain_id));
        let mount = match directories {
            [one] => mount("bind", one, &[]),
            several => {
                let several: Vec<_> = several.iter().map(|path| path.to_str().unwrap()).collect();
                mount("overlay", Path::new("overlay"), &[format!("lowerdir={}", several.join(":"))])
            }
        };
        self.add(chain_id, Kind::Committed, mount);
    }

    /// The unpacking of a layer was given up.
    pub(crate) fn remove(&self, chain_id: &str) {
        self.0.lock().unwrap().retain(|name, _| !name.ends_with(chain_id));
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    fn add(&self, name: &str, kind: Kind, mount: Mount) {
        let created_at = Some(SystemTime::now().into());
        let info = Info { name: name.to_owned(), kind: kind.into(), created_at, ..Info::default() };
        self.0.lock().unwrap().insert(name.to_owned(), Snapshot { info, mount });
    }

    fn mounts(&self, name: &str, kind: Kind) -> Result<Vec<Mount>, Status> {
        let snapshot = self.0.lock().unwrap().get(name).cloned();
        let snapshot = snapshot.filter(|snapshot| snapshot.info.kind() == kind);
        let snapshot = snapshot.ok_or_else(|| Status::not_found(format!("snapshot {name} does not exist")))?;
        Ok(vec![snapshot.mount])
    }
}

fn mount(kind: &str, source: &Path, options: &[String]) -> Mount {
    let source = source.to_str().unwrap().to_owned();
    Mount { r#type: kind.to_owned(), source, options: options.to_vec(), ..Mount::default() }
}

#[async_trait]
impl Snapshots for Store {
    async fn prepare(&self, _: Request<PrepareSnapshotRequest>) -> Result<Response<PrepareSnapshotResponse>, Status> {
        Err(not_asked())
    }

    async fn view(&self, request: Request<ViewSnapshotRequest>) -> Result<Response<ViewSnapshotResponse>, Status> {
        let ViewSnapshotRequest { key, parent, .. } = request.into_inner();
        let mounts = self.snapshots.mounts(&parent, Kind::Committed)?;
        self.snapshots.add(&key, Kind::View, mounts[0].clone());
        Ok(Response::new(ViewSnapshotResponse { mounts }))
    }

    async fn mounts(&self, request: Request<MountsRequest>) -> Result<Response<MountsResponse>, Status> {
        let mounts = self.snapshots.mounts(&request.get_ref().key, Kind::Active)?;
        Ok(Response::new(MountsResponse { mounts }))
    }

    async fn commit(&self, _: Request<CommitSnapshotRequest>) -> Result<Response<()>, Status> {
        Err(not_asked())
    }

    async fn remove(&self, request: Request<RemoveSnapshotRequest>) -> Result<Response<()>, Status> {
        let key = request.into_inner().key;
        assert!(key.starts_with("layercage-"), "{key}");
        self.snapshots.0.lock().unwrap().remove(&key).unwrap();
        Ok(Response::new(()))
    }

    async fn stat(&self, _: Request<StatSnapshotRequest>) -> Result<Response<StatSnapshotResponse>, Status> {
        Err(not_asked())
    }

    async fn update(&self, _: Request<UpdateSnapshotRequest>) -> Result<Response<UpdateSnapshotResponse>, Status> {
        Err(not_asked())
    }

    type ListStream = Messages<ListSnapshotsResponse>;

    async fn list(&self, request: Request<ListSnapshotsRequest>) -> Result<Response<Self::ListStream>, Status> {
        assert_eq!(request.get_ref().snapshotter, "overlayfs");
        let info = self.snapshots.0.lock().unwrap().values().map(|snapshot| snapshot.info.clone()).collect();
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(ListSnapshotsResponse { info })))))
    }

    async fn usage(&self, _: Request<UsageRequest>) -> Result<Response<UsageResponse>, Status> {
        Err(not_asked())
    }

    async fn cleanup(&self, _: Request<CleanupRequest>) -> Result<Response<()>, Status> {
        Err(not_asked())
    }
}
