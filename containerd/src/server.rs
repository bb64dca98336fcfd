//! The running program: sockets, sandbox, signals.

use crate::answer::FailsClosed;
use crate::arguments::Serve;
use crate::cancel::Cancel;
use crate::differ::{Differ, Shared};
use crate::lowers::Applied;
use crate::metrics::Metrics;
use crate::policy::{Policies, PolicyFile};
use crate::proto::services::diff::v1::diff_server::DiffServer;
use crate::roots::{Root, Roots};
use crate::socket;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use layercage::Policy;
use layercage::overlay::{OverlayFormat, OverlayNamespace, Whiteouts};
use layercage::policy::Devices;
use layercage::sandbox::{Forbidden, Sandbox};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Channel, Endpoint, Server};
use tracing::{error, info, warn};

/// The window of one stream of containerd's content service, and of all together. With the default ones, the queues of many
/// layers would keep much more than they pass on.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Serves containerd until the program is told to end.
pub(crate) fn serve(arguments: &Serve) -> Result<(), String> {
    raise_handles();
    let policy_file = arguments.policy_file();
    let policies = read_at_start(&policy_file)?;
    let may_create_devices = policies.creates_devices();
    let open = |path: &PathBuf| Root::open_or_create(path).map_err(at("snapshot root", path));
    let roots = arguments.snapshot_root.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // Only containerd creates this one.
    let open = |path: &Path| Root::open(path).map_err(at("content root", path));
    let content = arguments.content_root.as_deref().map(open).transpose()?;
    let listen = |path: &Path| socket::listen(path).map_err(at("socket", path));
    let socket = listen(&arguments.socket)?;
    let metrics = arguments.metrics.as_deref().map(listen).transpose()?;
    let layers = arguments.layers();
    // Before any other thread starts: the sandbox holds for this thread, and for those that it starts.
    match arguments.no_sandbox {
        true => warn!("the program is not restricted, since it was started with --no-sandbox"),
        false => restrict(&policies, &roots, content.as_ref(), arguments)?,
    }
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| error.to_string())?;
    let containerd = runtime.block_on(async { channel(&arguments.containerd) });
    let shared = Arc::new(Shared {
        roots: Roots::new(roots),
        containerd,
        content,
        policies: RwLock::new(Arc::new(policies)),
        jobs: arguments.jobs,
        blob_timeout: Duration::from_secs(arguments.blob_timeout.get()),
        permits: Arc::new(Semaphore::new(layers)),
        applied: Applied::default(),
        started: SystemTime::now(),
        cancel: Cancel::default(),
        metrics: Metrics::default(),
    });
    let reloading = Reloading { policy_file, may_create_devices };
    let served = runtime.block_on(run(&shared, Sockets { socket, metrics }, reloading, arguments));
    end(runtime, &shared);
    served.map_err(|error| error.to_string())
}

/// Cancels what is left, and waits for it: nothing writes to a snapshot after this program has ended.
fn end(runtime: Runtime, shared: &Shared) {
    shared.cancel.cancel_all();
    drop(runtime);
    info!("ended");
}

/// Restricts this thread to the snapshots, the blobs and the policy file.
fn restrict(policies: &Policies, roots: &[Root], content: Option<&Root>, arguments: &Serve) -> Result<(), String> {
    let needs = match policies.creates_devices() {
        true => Policy::default().with_devices(Devices::Create),
        false => Policy::default(),
    };
    let format = OverlayFormat { whiteouts: Whiteouts::Device, namespace: OverlayNamespace::Trusted };
    let directory = arguments.policy_file().path().parent().and_then(|directory| File::open(directory).ok());
    let sandbox = roots.iter().fold(Sandbox::for_overlay(&needs, format), Sandbox::write);
    let sandbox = content.into_iter().fold(sandbox, Sandbox::read);
    let sandbox = directory.iter().fold(sandbox, Sandbox::read);
    let status = sandbox.enter().map_err(|error| format!("cannot set up the sandbox: {error:#}"))?;
    let forbidden = words(&status.forbidden);
    info!(forbidden, capabilities = status.capabilities.join(","), "restricted");
    if !status.forbidden.contains(&Forbidden::Files) {
        let reason = "the kernel has no Landlock, or is older than Linux 5.19";
        if arguments.require_sandbox {
            return Err(format!("--require-sandbox: files are not restricted: {reason}"));
        }
        warn!(reason, "files are not restricted");
    }
    Ok(())
}

/// Allows this process as many open files as it may have: each layer holds many, and systemd's limit is for programs that
/// use `select`.
fn raise_handles() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!(%error, "the limit of open files stays as it was");
    }
}

/// The policies at the start.
fn read_at_start(file: &PolicyFile) -> Result<Policies, String> {
    match file.at_start()? {
        Some(policies) => Ok(policies),
        None => {
            warn!(policy = %file.path().display(), "there is no policy file: the default policy applies");
            Ok(Policies::default())
        }
    }
}

fn at(what: &str, path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{what} {}: {error}", path.display())
}

/// Words for one field of the log.
fn words(words: &[impl ToString]) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A connection to containerd, which is made when it is first needed, and again when it was lost.
fn channel(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    // The address is not used, but it must be one.
    Endpoint::from_static("http://containerd")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_with_connector_lazy(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move {
                let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", socket.display()));
                UnixStream::connect(&socket).await.map(TokioIo::new).map_err(named)
            }
        }))
}

/// The sockets to serve on.
struct Sockets {
    socket: StdListener,
    metrics: Option<StdListener>,
}

/// What SIGHUP reads again.
struct Reloading {
    policy_file: PolicyFile,
    /// Whether the privilege to create devices was kept.
    may_create_devices: bool,
}

/// Serves until a signal ends it.
async fn run(
    shared: &Arc<Shared>,
    Sockets { socket, metrics }: Sockets,
    reloading: Reloading,
    arguments: &Serve,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let peers = accepted(UnixListener::from_std(socket)?).filter(|peer| peer.as_ref().is_ok_and(is_trusted));
    if let Some(metrics) = metrics {
        tokio::spawn(serve_metrics(UnixListener::from_std(metrics)?, Arc::clone(shared)));
    }
    tokio::spawn(reload(signal(SignalKind::hangup())?, Arc::clone(shared), reloading));
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancel = shared.cancel.clone();
    let grace = Duration::from_secs(arguments.grace);
    let end = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        info!("ending");
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            cancel.cancel_all();
        });
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<DiffServer<Differ>>().await;
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        warn!(%error, "systemd was not told that the differ is ready");
    }
    log_start(arguments);
    let server = Server::builder().add_service(health_service).add_service(FailsClosed::new(shared));
    tokio::select! {
        served = server.serve_with_incoming_shutdown(peers, end) => Ok(served?),
        // A connection may never end.
        () = shared.cancel.wait_for_all() => Ok(()),
    }
}

/// Logs what the program serves.
fn log_start(arguments: &Serve) {
    let roots: Vec<_> = arguments.snapshot_root.iter().map(|root| root.display()).collect();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        socket = %arguments.socket.display(),
        containerd = %arguments.containerd.display(),
        policy = %arguments.policy_file().path().display(),
        snapshot_roots = words(&roots),
        "serving"
    );
}

/// The time between two attempts to accept a connection, after one failed.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections to a socket. If none can be accepted, because the process has no file handle left, this waits: the
/// connection is still there, and an attempt at once would fail in the same way, as fast as a processor can.
fn accepted(listener: UnixListener) -> impl Stream<Item = io::Result<UnixStream>> {
    let mut has_failed = false;
    UnixListenerStream::new(listener).then(move |peer| {
        let is_first = peer.is_err() && !has_failed;
        has_failed = peer.is_err();
        async move {
            if let Err(error) = &peer {
                if is_first {
                    warn!(%error, "no connection can be accepted at this moment");
                }
                tokio::time::sleep(PAUSE).await;
            }
            peer
        }
    })
}

/// Whether a peer is root or this user. The mode of the socket says the same, but a process may have opened it before it
/// dropped its privileges.
fn is_trusted(peer: &UnixStream) -> bool {
    match peer.peer_cred() {
        Ok(credentials) if socket::is_trusted(credentials.uid()) => true,
        Ok(credentials) => {
            warn!(uid = credentials.uid(), pid = credentials.pid(), "a connection of another user was closed");
            false
        }
        Err(error) => {
            warn!(%error, "a connection of an unknown user was closed");
            false
        }
    }
}

/// Reads the policy file at each SIGHUP. If it is missing or not valid, the policies stay.
async fn reload(mut hangup: tokio::signal::unix::Signal, shared: Arc<Shared>, reloading: Reloading) {
    while hangup.recv().await.is_some() {
        match reloading.policy_file.again() {
            Ok(policies) if policies.creates_devices() && !reloading.may_create_devices => {
                let reason = "`devices = \"create\"` needs a privilege that was dropped: restart the program";
                error!(reason, "the policies stay as they were");
            }
            Ok(policies) => {
                shared.set_policies(policies);
                info!(policy = %reloading.policy_file.path().display(), "the policy file was read again");
            }
            Err(reason) => error!(reason, "the policies stay as they were"),
        }
    }
}

/// Serves metrics. If that fails, layers are applied all the same.
async fn serve_metrics(listener: UnixListener, shared: Arc<Shared>) {
    let text = move || {
        let text = shared.metrics.text();
        async move { text.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR) }
    };
    if let Err(error) = axum::serve(listener, Router::new().route("/metrics", get(text))).await {
        error!(%error, "metrics are not served any more");
    }
}
