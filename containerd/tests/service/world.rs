//! A running differ, with snapshots, blobs and a policy file, below one temporary directory.

use crate::containerd::{Blob, Ends, Store};
use crate::layer::sha256;
use hyper_util::rt::TokioIo;
use layercage_differ::proto::services::diff::v1::diff_client::DiffClient;
use layercage_differ::proto::services::diff::v1::{ApplyRequest, DiffRequest};
use layercage_differ::proto::types::{Descriptor, Mount};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    place: TempDir,
    pub(crate) store: Store,
    pub(crate) differ: Child,
    runtime: Runtime,
}

/// What a differ is started with.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    pub(crate) policy: &'a str,
    pub(crate) arguments: &'a [&'a str],
    /// Whether blobs are read from `content`.
    pub(crate) content_root: bool,
    /// Whether the log goes to a pipe that is not read.
    pub(crate) log_is_lost: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&Setup::default())
    }

    pub(crate) fn with(setup: &Setup<'_>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for name in ["snapshots", "content/blobs/sha256", "outside"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("outside/file"), b"outside").unwrap();
        fs::write(at("differ.toml"), setup.policy).unwrap();
        let store = Store::default();
        store.serve(&at("containerd.sock"));
        let differ = start(place.path(), setup);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut world = Self { place, store, differ, runtime };
        if setup.log_is_lost {
            let socket = world.at("run/differ.sock");
            world.wait("the differ serves", |_| std::os::unix::net::UnixStream::connect(&socket).is_ok());
            drop(world.differ.stderr.take());
            return world;
        }
        world.wait("the differ serves", |world| {
            assert!(world.differ.try_wait().unwrap().is_none(), "it has ended: {}", world.log_text());
            world.log().iter().any(|line| line["message"] == "serving")
        });
        world
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// An empty snapshot. Returns the path of its directory.
    pub(crate) fn snapshot(&self, name: &str) -> PathBuf {
        let path = self.at("snapshots").join(name).join("fs");
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Adds a blob, and returns its descriptor.
    pub(crate) fn blob(&self, namespace: &str, bytes: &[u8], ends: Ends) -> Descriptor {
        let digest = sha256(bytes);
        self.store.add(namespace, &digest, Blob { bytes: bytes.to_vec(), ends });
        let size = i64::try_from(bytes.len()).unwrap();
        Descriptor { media_type: GZIP.to_owned(), digest, size, ..Descriptor::default() }
    }

    /// A request for a layer that is a blob of the namespace `default`.
    pub(crate) fn request(&self, blob: &[u8], mount: Mount) -> ApplyRequest {
        let diff = Some(self.blob("default", blob, Ends::AtItsEnd));
        ApplyRequest { diff, mounts: vec![mount], ..ApplyRequest::default() }
    }

    /// Applies a layer in a namespace; an empty one is not sent.
    pub(crate) fn apply(&self, namespace: &str, request: ApplyRequest) -> Result<Descriptor, Status> {
        let mut request = Request::new(request);
        if !namespace.is_empty() {
            request.metadata_mut().insert("containerd-namespace", namespace.parse().unwrap());
        }
        self.runtime.block_on(async {
            let answer = DiffClient::new(self.channel().await).apply(request).await?;
            Ok(answer.into_inner().applied.expect("a descriptor"))
        })
    }

    /// Sends a request that claims to be compressed.
    pub(crate) fn apply_compressed(&self, request: ApplyRequest) -> Status {
        let mut request = Request::new(request);
        request.metadata_mut().insert("grpc-encoding", "gzip".parse().unwrap());
        self.runtime.block_on(async {
            DiffClient::new(self.channel().await).apply(request).await.expect_err("it reads no compressed requests")
        })
    }

    /// Starts to apply a layer, and drops the call after something holds.
    pub(crate) fn apply_until(&mut self, request: ApplyRequest, what: &str, holds: impl Fn(&Self) -> bool) {
        let call = self.start_to_apply(request);
        self.wait(what, |world| holds(world));
        call.abort();
    }

    /// Starts to apply a layer.
    pub(crate) fn start_to_apply(&self, request: ApplyRequest) -> JoinHandle<Result<(), Status>> {
        let mut request = Request::new(request);
        request.metadata_mut().insert("containerd-namespace", "default".parse().unwrap());
        let channel = self.runtime.block_on(self.channel());
        self.runtime.spawn(async move { DiffClient::new(channel).apply(request).await.map(drop) })
    }

    pub(crate) fn diff(&self) -> Status {
        let answer =
            self.runtime.block_on(async { DiffClient::new(self.channel().await).diff(DiffRequest::default()).await });
        answer.expect_err("it writes no layers")
    }

    async fn channel(&self) -> Channel {
        let socket = self.at("run/differ.sock");
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://differ").connect_with_connector(connect).await.unwrap()
    }

    fn log_text(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap()
    }

    /// The lines of the log.
    pub(crate) fn log(&self) -> Vec<Value> {
        // The last line may not be whole yet.
        self.log_text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until something holds.
    pub(crate) fn wait(&mut self, what: &str, holds: impl Fn(&mut Self) -> bool) {
        let since = Instant::now();
        while !holds(self) {
            assert!(since.elapsed() < PATIENCE, "this never came to hold: {what}\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The metrics of the program.
    pub(crate) fn metrics(&self) -> String {
        let mut stream = std::os::unix::net::UnixStream::connect(self.at("run/metrics.sock")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: differ\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// A subcommand of the program. Returns its exit code and its output.
    pub(crate) fn command(arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_layercage-differ")).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

fn start(place: &Path, setup: &Setup<'_>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layercage-differ"));
    command.arg("serve").current_dir("/");
    for (option, name) in [
        ("--socket", "run/differ.sock"),
        ("--metrics", "run/metrics.sock"),
        ("--containerd", "containerd.sock"),
        ("--snapshot-root", "snapshots"),
        ("--policy", "differ.toml"),
    ] {
        command.arg(option).arg(place.join(name));
    }
    if setup.content_root {
        command.arg("--content-root").arg(place.join("content"));
    }
    let log = File::create(place.join("log")).unwrap();
    let log = if setup.log_is_lost { Stdio::piped() } else { Stdio::from(log) };
    command.args(setup.arguments).stdin(Stdio::null()).stderr(log);
    command.spawn().unwrap()
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.differ.kill();
        let _ = self.differ.wait();
    }
}

pub(crate) fn bind(path: &Path) -> Mount {
    let options = vec!["rw".to_owned(), "rbind".to_owned()];
    Mount { r#type: "bind".to_owned(), source: path.to_str().unwrap().to_owned(), options, ..Mount::default() }
}

/// The mount of an overlay, as containerd writes it. Without lower directories, it is that of layers side by side.
pub(crate) fn overlay(upper: &Path, lowers: &[&Path]) -> Mount {
    let lowers: Vec<_> = lowers.iter().map(|lower| lower.to_str().unwrap()).collect();
    let upperdir = format!("upperdir={}", upper.display());
    let options = match lowers.is_empty() {
        true => vec!["rw".to_owned(), upperdir],
        false => vec![
            "index=off".to_owned(),
            format!("workdir={}/work", upper.parent().unwrap().display()),
            upperdir,
            format!("lowerdir={}", lowers.join(":")),
        ],
    };
    Mount { r#type: "overlay".to_owned(), source: "overlay".to_owned(), options, ..Mount::default() }
}

pub(crate) fn is_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped, since it needs root: {what}");
    }
    is_root
}
