//! The namespace of a request: sent by containerd, or found out.
//!
//! Not every containerd that can use a differ tells it the namespace: Debian's 1.7.24 does not, for example.

use crate::policy::{Judging, Policies};
use crate::proto::services::content::v1::InfoRequest;
use crate::proto::services::content::v1::content_client::ContentClient;
use crate::proto::services::namespaces::v1::ListNamespacesRequest;
use crate::proto::services::namespaces::v1::namespaces_client::NamespacesClient;
use crate::refusal::Refusal;
use layercage::Digest;
use std::fmt::{self, Display};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// The metadata by which containerd tells namespaces apart.
const NAMESPACE: &str = "containerd-namespace";

/// The namespaces that have a blob. Whichever of them it is read from, its digest is verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Namespaces(Vec<String>);

impl Namespaces {
    /// The namespace that a request states.
    ///
    /// # Errors
    ///
    /// One that is not a text.
    pub(crate) fn stated(metadata: &MetadataMap) -> Result<Option<Self>, Refusal> {
        let Some(value) = metadata.get(NAMESPACE) else { return Ok(None) };
        let text = value.to_str().map_err(|_| Refusal::of_request("the namespace is not a text"))?;
        Ok(Some(Self(vec![text.to_owned()])))
    }

    /// Asks containerd which namespaces have a blob.
    ///
    /// # Errors
    ///
    /// None has it; containerd does not answer.
    pub(crate) async fn with_blob(containerd: &Channel, digest: &Digest) -> Result<Self, Refusal> {
        let failed = |status: Status| Refusal::of_system(format!("containerd does not answer: {}", status.message()));
        let mut namespaces = NamespacesClient::new(containerd.clone());
        let list = namespaces.list(ListNamespacesRequest::default()).await.map_err(failed)?.into_inner();
        let mut content = ContentClient::new(containerd.clone());
        let mut with_blob = Vec::new();
        for namespace in list.namespaces {
            let request = in_namespace(&namespace.name, InfoRequest { digest: digest.to_string() }).map_err(failed)?;
            match content.info(request).await {
                Ok(_) => with_blob.push(namespace.name),
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(failed(status)),
            }
        }
        match with_blob.is_empty() {
            true => Err(Refusal::of_system(format!("containerd has no blob {digest} in any namespace"))),
            false => Ok(Self(with_blob)),
        }
    }

    /// One of them, from which the blob can be read; empty if none is known.
    pub(crate) fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The policy and the limits for the blob.
    ///
    /// # Errors
    ///
    /// The blob is in several namespaces, which have different policies, and containerd does not say which one is meant.
    pub(crate) fn judging<'p>(&self, policies: &'p Policies) -> Result<&'p Judging, Refusal> {
        let judging = policies.of(self.first());
        match self.0.iter().all(|namespace| policies.of(namespace) == judging) {
            true => Ok(judging),
            false => Err(Refusal::of_request(format!(
                "this containerd does not tell its differ the namespace, and the policy file has different policies for \
                 the namespaces that have this blob: {self}. Give them the same policy, or remove the blob from the others"
            ))),
        }
    }
}

impl Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// A request to containerd in a namespace.
///
/// # Errors
///
/// A name that cannot be sent.
pub(crate) fn in_namespace<T>(namespace: &str, message: T) -> Result<Request<T>, Status> {
    let mut request = Request::new(message);
    let value = AsciiMetadataValue::try_from(namespace).map_err(|_| Status::internal("a namespace that is no text"))?;
    request.metadata_mut().insert(NAMESPACE, value);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces(names: &[&str]) -> Namespaces {
        Namespaces(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn a_blob_of_several_namespaces_has_one_policy_or_is_refused() {
        let policies =
            Policies::parse("[namespace.a]\ndevices = \"skip\"\n[namespace.b]\ndevices = \"skip\"\n").unwrap();
        assert!(policies.tell_namespaces_apart());
        assert_eq!(namespaces(&["a", "b"]).judging(&policies).unwrap(), policies.of("a"));
        let refusal = namespaces(&["a", "c"]).judging(&policies).unwrap_err();
        assert!(refusal.message().contains("a,c"), "{}", refusal.message());
        assert_eq!(namespaces(&[]).judging(&policies).unwrap(), policies.of("c"));
    }

    #[test]
    fn a_request_states_its_namespace_or_none() {
        let request = in_namespace("k8s.io", ()).unwrap();
        assert_eq!(Namespaces::stated(request.metadata()).unwrap(), Some(namespaces(&["k8s.io"])));
        assert_eq!(Namespaces::stated(Request::new(()).metadata()).unwrap(), None);
        assert!(in_namespace("a\nb", ()).is_err());
    }
}
