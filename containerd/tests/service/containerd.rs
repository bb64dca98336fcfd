//! The services of containerd that the differ calls, with blobs in memory.

use crate::layer::sha256;
use crate::snapshots::Table;
use layercage_differ::proto::services::content::v1::content_server::{Content, ContentServer};
use layercage_differ::proto::services::content::v1::*;
use layercage_differ::proto::services::namespaces::v1::namespaces_server::{Namespaces, NamespacesServer};
use layercage_differ::proto::services::namespaces::v1::*;
use layercage_differ::proto::services::snapshots::v1::snapshots_server::SnapshotsServer;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;
use tokio::sync::mpsc::channel;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// How many bytes a message has: so few that a blob has many.
const MESSAGE: usize = 4096;

/// A blob, and what happens when it is read.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Ends,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    AtItsEnd,
    /// The bytes before the last kibibyte are sent, and then nothing.
    Never,
    /// The bytes before the last kibibyte are sent, and then empty messages.
    WithNothing,
    /// The bytes before the last kibibyte are sent, and then an error.
    WithAnError,
}

/// The blobs of each namespace, and the snapshots.
#[derive(Clone, Default)]
pub(crate) struct Store {
    blobs: Arc<Mutex<BTreeMap<(String, String), Blob>>>,
    /// The digests of configurations that a manifest names.
    manifests: Arc<Mutex<Vec<String>>>,
    pub(crate) snapshots: Table,
}

impl Store {
    pub(crate) fn add(&self, namespace: &str, digest: &str, blob: Blob) {
        self.blobs.lock().unwrap().insert((namespace.to_owned(), digest.to_owned()), blob);
    }

    pub(crate) fn remove(&self, namespace: &str, digest: &str) {
        self.blobs.lock().unwrap().remove(&(namespace.to_owned(), digest.to_owned()));
    }

    /// Adds a manifest with this configuration.
    pub(crate) fn add_manifest(&self, configuration: &str) {
        self.manifests.lock().unwrap().push(configuration.to_owned());
    }

    /// Gives the blob with these bytes other ones, under the old digest.
    pub(crate) fn replace(&self, namespace: &str, blob: &[u8], bytes: Vec<u8>) {
        self.add(namespace, &sha256(blob), Blob { bytes, ends: Ends::AtItsEnd });
    }

    /// Serves on a socket, on a thread of its own, as long as the process lives.
    pub(crate) fn serve(&self, socket: &Path) {
        let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let store = self.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let incoming = UnixListenerStream::new(UnixListener::from_std(listener).unwrap());
                let server = Server::builder()
                    .add_service(ContentServer::new(store.clone()))
                    .add_service(SnapshotsServer::new(store.clone()))
                    .add_service(NamespacesServer::new(store));
                server.serve_with_incoming(incoming).await.unwrap();
            });
        });
    }

    fn find<T>(&self, request: &Request<T>, digest: &str) -> Result<Blob, Status> {
        let namespace = request.metadata().get("containerd-namespace");
        let namespace = namespace.ok_or_else(|| Status::failed_precondition("namespace is required"))?;
        let key = (namespace.to_str().unwrap().to_owned(), digest.to_owned());
        let blob = self.blobs.lock().unwrap().get(&key).cloned();
        blob.ok_or_else(|| Status::not_found(format!("content digest {digest}: not found")))
    }
}

pub(crate) type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(crate) fn not_asked() -> Status {
    Status::unimplemented("a differ does not need this")
}

#[async_trait]
impl Content for Store {
    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        let digest = request.get_ref().digest.clone();
        self.find(&request, &digest).map(|_| Response::new(InfoResponse::default()))
    }

    type ReadStream = Messages<ReadContentResponse>;

    async fn read(&self, request: Request<ReadContentRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let ReadContentRequest { digest, offset, size } = request.get_ref().clone();
        let Blob { bytes, ends } = self.find(&request, &digest)?;
        let (begin, size) = (usize::try_from(offset).unwrap(), usize::try_from(size).unwrap());
        if begin + size > bytes.len() {
            return Err(Status::out_of_range(format!("read past object length {} bytes", bytes.len())));
        }
        let end = if size == 0 { bytes.len() } else { begin + size };
        let (sender, receiver) = channel(1);
        tokio::spawn(async move {
            let last = if ends == Ends::AtItsEnd { bytes.len() } else { bytes.len().saturating_sub(1024) };
            for chunk in bytes[begin..end.min(last).max(begin)].chunks(MESSAGE) {
                // The offsets are not used by the differ.
                let message = ReadContentResponse { offset: 0, data: chunk.to_vec().into() };
                if sender.send(Ok(message)).await.is_err() {
                    return;
                }
            }
            match ends {
                _ if end < last => {}
                Ends::AtItsEnd => {}
                Ends::Never => sender.closed().await,
                Ends::WithNothing => while sender.send(Ok(ReadContentResponse::default())).await.is_ok() {},
                Ends::WithAnError => drop(sender.send(Err(Status::data_loss("a bad sector"))).await),
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    type ListStream = Messages<ListContentResponse>;
    type WriteStream = Messages<WriteContentResponse>;

    async fn update(&self, _: Request<UpdateRequest>) -> Result<Response<UpdateResponse>, Status> {
        Err(not_asked())
    }

    async fn list(&self, request: Request<ListContentRequest>) -> Result<Response<Self::ListStream>, Status> {
        const LABEL: &str = "containerd.io/gc.ref.content.config";
        assert_eq!(request.get_ref().filters, [format!("labels.\"{LABEL}\"")]);
        let manifests = self.manifests.lock().unwrap().clone();
        let messages = manifests.into_iter().map(|configuration| {
            let labels = [(LABEL.to_owned(), configuration)].into();
            Ok(ListContentResponse { info: vec![Info { labels, ..Info::default() }] })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(messages.collect::<Vec<_>>()))))
    }

    async fn delete(&self, _: Request<DeleteContentRequest>) -> Result<Response<()>, Status> {
        Err(not_asked())
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Err(not_asked())
    }

    async fn list_statuses(&self, _: Request<ListStatusesRequest>) -> Result<Response<ListStatusesResponse>, Status> {
        Err(not_asked())
    }

    async fn write(&self, _: Request<Streaming<WriteContentRequest>>) -> Result<Response<Self::WriteStream>, Status> {
        Err(not_asked())
    }

    async fn abort(&self, _: Request<AbortRequest>) -> Result<Response<()>, Status> {
        Err(not_asked())
    }
}

#[async_trait]
impl Namespaces for Store {
    async fn list(&self, _: Request<ListNamespacesRequest>) -> Result<Response<ListNamespacesResponse>, Status> {
        let mut names: Vec<_> = self.blobs.lock().unwrap().keys().map(|(namespace, _)| namespace.clone()).collect();
        names.dedup();
        let namespaces = names.into_iter().map(|name| Namespace { name, ..Namespace::default() }).collect();
        Ok(Response::new(ListNamespacesResponse { namespaces }))
    }

    async fn get(&self, _: Request<GetNamespaceRequest>) -> Result<Response<GetNamespaceResponse>, Status> {
        Err(not_asked())
    }

    async fn create(&self, _: Request<CreateNamespaceRequest>) -> Result<Response<CreateNamespaceResponse>, Status> {
        Err(not_asked())
    }

    async fn update(&self, _: Request<UpdateNamespaceRequest>) -> Result<Response<UpdateNamespaceResponse>, Status> {
        Err(not_asked())
    }

    async fn delete(&self, _: Request<DeleteNamespaceRequest>) -> Result<Response<()>, Status> {
        Err(not_asked())
    }
}
