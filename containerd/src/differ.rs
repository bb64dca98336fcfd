//! The service: `Diff` of containerd, of which it answers `Apply`.

use crate::apply::{Done, Job, Places};
use crate::blob::queue;
use crate::call::Call;
use crate::cancel::Cancel;
use crate::lowers::{Applied, Applying, Search};
use crate::media_type;
use crate::metrics::Metrics;
use crate::mounts::Target;
use crate::namespace::Namespaces;
use crate::policy::Policies;
use crate::proto::services::diff::v1::diff_server::Diff;
use crate::proto::services::diff::v1::{ApplyRequest, ApplyResponse, DiffRequest, DiffResponse};
use crate::proto::types::Descriptor;
use crate::refusal::Refusal;
use crate::roots::{Root, Roots};
use layercage::error::Misuse;
use layercage::{Digest, Error};
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, async_trait};

/// Applies layers for containerd.
#[derive(Debug, Clone)]
pub(crate) struct Differ(Arc<Shared>);

/// What all calls share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where snapshots may lie.
    pub(crate) roots: Roots,
    /// The connection to containerd.
    pub(crate) containerd: Channel,
    /// The directory of containerd's content store, if blobs are read from there.
    pub(crate) content: Option<Root>,
    /// The policies, which can be replaced.
    pub(crate) policies: RwLock<Arc<Policies>>,
    /// The number of threads for one layer.
    pub(crate) jobs: NonZeroUsize,
    /// How long containerd may send no byte of a blob.
    pub(crate) blob_timeout: Duration,
    /// How many layers are applied at a time.
    pub(crate) permits: Arc<Semaphore>,
    /// The layers that are being applied, or were.
    pub(crate) applied: Applied,
    /// When this program started.
    pub(crate) started: SystemTime,
    /// Stops the work on all layers.
    pub(crate) cancel: Cancel,
    /// What has happened so far.
    pub(crate) metrics: Metrics,
}

impl Shared {
    /// The policies now.
    fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.policies.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the policies, for the layers that begin from now on.
    pub(crate) fn set_policies(&self, policies: Policies) {
        *self.policies.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
    }

    /// Applies the layer on this thread. A panic is an error like any other.
    fn apply(self: &Arc<Self>, work: Work, blob: impl Read + Send) -> Result<Done, Refusal> {
        let Work { begun: Begun { job, turn, mut applying }, namespace, cancel } = work;
        if cancel.is_cancelled() {
            return Err(Refusal::cancelled());
        }
        let turn = Arc::new(turn);
        let (shared, upper, waiting, until) =
            (Arc::clone(self), job.upper().to_owned(), Arc::clone(&turn), cancel.clone());
        // The library may call this on a thread that is not of the runtime.
        let runtime = Handle::current();
        let later = move || shared.lowers(&runtime, namespace, &upper, &waiting, &until);
        let places = Places { roots: &self.roots, later: Box::new(later) };
        let done = catch_unwind(AssertUnwindSafe(|| job.apply(blob, &cancel, places)))
            .unwrap_or_else(|_| Err(Refusal::of_panic()))?;
        applying.succeed();
        Ok(done)
    }

    /// Waits for the layers below one, and opens their directories. Meanwhile another layer has its turn: it may be one of
    /// these.
    fn lowers(
        &self,
        runtime: &Handle,
        namespace: String,
        upper: &Path,
        turn: &Turn,
        cancel: &Cancel,
    ) -> Result<Vec<OwnedFd>, Error> {
        let (containerd, applied) = (self.containerd.clone(), self.applied.clone());
        let search = Search { containerd, namespace, applied, started: self.started };
        turn.pause();
        let found = runtime.block_on(search.wait(upper, cancel));
        runtime.block_on(turn.resume(&self.permits));
        if cancel.is_cancelled() {
            return Err(Misuse::Cancelled.into());
        }
        let missing = |why| {
            let text = format!("{why}; max_concurrent_unpacks = 1 in the configuration of containerd avoids this");
            Error::system("find", b"the layers below", io::Error::other(text))
        };
        let open = |path: &PathBuf| self.roots.open(path).map_err(|refusal| refusal.message().to_owned());
        let opened = found.and_then(|paths| paths.iter().map(open).collect());
        opened.map_err(missing)
    }

    /// Writes down the end of a call.
    pub(crate) fn end(&self, call: &Call, result: &Result<Done, Refusal>) {
        self.metrics.end(result, call.size(), call.since().elapsed());
        call.log(result);
    }
}

/// What the thread of a layer gets.
struct Work {
    begun: Begun,
    namespace: String,
    cancel: Cancel,
}

/// A layer whose turn it is.
struct Begun {
    job: Job,
    turn: Turn,
    applying: Applying,
}

/// The turn of a layer: it ends with the work, not with the call, whose client may go away.
#[derive(Debug)]
struct Turn(Mutex<Option<OwnedSemaphorePermit>>);

impl Turn {
    /// Lets another layer go on.
    fn pause(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn resume(&self, permits: &Arc<Semaphore>) {
        let permit = Arc::clone(permits).acquire_owned().await.ok();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }
}

/// A call whose turn has not come. If it is dropped, it has ended, and that is logged and counted.
struct Waiting {
    shared: Arc<Shared>,
    call: Option<Call>,
    /// Why it has ended: its client went away, if nothing else is known.
    why: Refusal,
}

impl Waiting {
    /// The call, whose turn it is.
    fn end(mut self) -> Option<Call> {
        self.call.take()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.shared.end(&call, &Err(self.why.clone()));
        }
    }
}

impl Differ {
    /// A service.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The layer that a request is about.
    async fn job(&self, request: &ApplyRequest, metadata: &MetadataMap) -> Result<(Namespaces, Job), Refusal> {
        let descriptor = request.diff.as_ref().ok_or_else(|| Refusal::of_request("there is no descriptor"))?;
        media_type::check(&descriptor.media_type).map_err(Refusal::of_request)?;
        if !request.payloads.is_empty() {
            return Err(Refusal::of_request("payloads for stream processors are not supported"));
        }
        let digest: Digest = descriptor.digest.parse().map_err(Refusal::of_request)?;
        let size =
            u64::try_from(descriptor.size).map_err(|_| Refusal::of_request("the size of the blob is negative"))?;
        let target = Target::of(&request.mounts).map_err(Refusal::of_request)?;
        let policies = self.0.policies();
        let namespaces = match Namespaces::stated(metadata)? {
            Some(stated) => stated,
            // Nothing depends on the namespace.
            None if self.0.content.is_some() && !policies.tell_namespaces_apart() => Namespaces::default(),
            None => Namespaces::with_blob(&self.0.containerd, &digest).await?,
        };
        let judging = namespaces.judging(&policies)?.clone();
        Ok((namespaces, Job { digest, size, target, sync: request.sync_fs, judging, jobs: self.0.jobs }))
    }

    /// Applies a layer on a thread of its own, and cancels it when this future is dropped.
    async fn run(&self, call: Call, namespaces: &Namespaces, begun: Begun) -> Result<Done, Refusal> {
        let cancel = self.0.cancel.another();
        let _cancel = cancel.on_drop();
        let (digest, size) = (begun.job.digest, begun.job.size);
        let work = Work { begun, namespace: namespaces.first().to_owned(), cancel: cancel.clone() };
        if let Some(store) = &self.0.content {
            let file = open(store, &digest);
            return self.spawn(call, move |shared| shared.apply(work, file?)).await;
        }
        let (feeder, stream) = queue(cancel, self.0.blob_timeout);
        let worker = self.spawn(call, move |shared| shared.apply(work, stream));
        let feed = feeder.feed(self.0.containerd.clone(), namespaces.first().to_owned(), digest.to_string(), size);
        let (mut worker, feed) = (pin!(worker), pin!(feed));
        // The layer may be refused while containerd is slow to send more.
        tokio::select! {
            result = &mut worker => result,
            () = feed => worker.await,
        }
    }

    /// Starts a thread that may block. It writes down the end of the call, also when the client is gone.
    fn spawn(
        &self,
        call: Call,
        work: impl FnOnce(&Arc<Shared>) -> Result<Done, Refusal> + Send + 'static,
    ) -> impl Future<Output = Result<Done, Refusal>> {
        let shared = Arc::clone(&self.0);
        let thread = tokio::task::spawn_blocking(move || {
            let result = work(&shared);
            shared.end(&call, &result);
            result
        });
        async { thread.await.unwrap_or_else(|_| Err(Refusal::of_panic())) }
    }
}

#[async_trait]
impl Diff for Differ {
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let _in_flight = self.0.metrics.begin();
        let (metadata, _, request) = request.into_parts();
        let call = Some(Call::about(request.diff.as_ref()));
        let mut waiting = Waiting { shared: Arc::clone(&self.0), call, why: Refusal::cancelled() };
        let job = self.job(&request, &metadata).await;
        let (namespaces, job) = job.map_err(|refusal| {
            let status = refusal.status();
            waiting.why = refusal;
            status
        })?;
        if let Some(call) = &mut waiting.call {
            call.set_namespace(&namespaces);
        }
        // Layers above this one may wait for it.
        let applying = self.0.applied.begin(job.upper());
        // Nothing is written before this layer's turn. If the client goes away until then, nothing has happened.
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| Refusal::cancelled().status())?;
        let call = waiting.end().ok_or_else(|| Refusal::of_panic().status())?;
        let begun = Begun { job, turn: Turn(Mutex::new(Some(permit))), applying };
        let done = self.run(call, &namespaces, begun).await.map_err(|refusal| refusal.status())?;
        let size = i64::try_from(done.unpacked_bytes).map_err(|_| Refusal::of_panic().status())?;
        let (digest, media_type) = (done.diff_id.to_string(), media_type::UNCOMPRESSED.to_owned());
        let applied = Descriptor { media_type, digest, size, ..Descriptor::default() };
        Ok(Response::new(ApplyResponse { applied: Some(applied) }))
    }

    /// Writing layers is not what this program is for. containerd goes on to the next differ of its list.
    async fn diff(&self, _: Request<DiffRequest>) -> Result<Response<DiffResponse>, Status> {
        Err(Status::unimplemented("layercage: this differ applies layers, and writes none"))
    }
}

/// Opens a blob in the content store. Its digest is verified like that of any other.
fn open(store: &Root, digest: &Digest) -> Result<File, Refusal> {
    let text = digest.to_string();
    let (algorithm, hex) = text.split_once(':').unwrap_or_default();
    let path = Path::new("blobs").join(algorithm).join(hex);
    let failed = |error| Refusal::of_system(format!("cannot open {path:?} in the content store: {error}"));
    store.open_file(&path).map_err(failed)
}
