//! The answers to `Apply` that the service does not give itself: those of the gRPC library.

use crate::call::Call;
use crate::differ::{Differ, Shared};
use crate::proto::services::diff::v1::diff_server::DiffServer;
use crate::refusal::Refusal;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};

/// The path of the calls whose answers are checked.
const APPLY: &str = "/containerd.services.diff.v1.Diff/Apply";

/// The most bytes of a request. The annotations of a descriptor are in it, and an image may have many.
const LARGEST_REQUEST: usize = 32 << 20;

/// The service, without answers to `Apply` that containerd may take for a reason to unpack by itself.
///
/// The gRPC library answers a request that it cannot read before the service sees it: `OutOfRange` if it is too large,
/// `Unimplemented` if it is compressed. containerd 1.7 goes on to its own unpacker after `Unimplemented`.
#[derive(Debug, Clone)]
pub(crate) struct FailsClosed {
    service: DiffServer<Differ>,
    shared: Arc<Shared>,
}

impl FailsClosed {
    /// The service over what all calls share.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let service = DiffServer::new(Differ::new(Arc::clone(shared))).max_decoding_message_size(LARGEST_REQUEST);
        Self { service, shared: Arc::clone(shared) }
    }
}

impl NamedService for FailsClosed {
    const NAME: &'static str = <DiffServer<Differ> as NamedService>::NAME;
}

impl Service<Request<Body>> for FailsClosed {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_apply = request.uri().path() == APPLY;
        let call = Call::about(None);
        let answer = self.service.call(request);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let answer = answer.await?;
            // The status of an answer with a message is behind the message: it is that of a layer that was applied.
            let status = Status::from_header_map(answer.headers()).filter(|_| is_apply);
            let Some(refusal) = status.and_then(|status| replacement(&status)) else { return Ok(answer) };
            let replaced = refusal.status().into_http();
            shared.end(&call, &Err(refusal));
            Ok(replaced)
        })
    }
}

/// What is answered instead of a status; `None` if the service gave it, which has logged and counted it.
fn replacement(status: &Status) -> Option<Refusal> {
    let is_ours = status.code() == Code::FailedPrecondition && status.message().starts_with(Refusal::PREFIX);
    let is_good = is_ours || status.code() == Code::Ok;
    (!is_good).then(|| Refusal::of_request(format!("the request cannot be read: {}", status.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_stays_only_if_the_service_gave_it() {
        assert_eq!(replacement(&Refusal::cancelled().status()), None);
        assert_eq!(replacement(&Status::new(Code::Ok, "")), None);
        for code in (1..=16).map(Code::from_i32) {
            let refusal = replacement(&Status::new(code, "why")).unwrap();
            assert_eq!(refusal.status().code(), Code::FailedPrecondition, "{code:?}");
            assert_eq!(refusal.status().message(), "layercage: refused: the request cannot be read: why");
        }
    }
}
