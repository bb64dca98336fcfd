//! The probe: asks a running differ whether it serves.

use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The name of the service, as containerd calls it.
const SERVICE: &str = "containerd.services.diff.v1.Diff";

/// Asks a differ whether it serves.
///
/// # Errors
///
/// Why it does not.
pub(crate) fn ask(socket: &Path) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, check(socket)).await });
    match answer {
        Ok(Ok(ServingStatus::Serving)) => Ok(()),
        Ok(Ok(status)) => Err(format!("{}: it answers {}", socket.display(), status.as_str_name())),
        Ok(Err(error)) => Err(format!("{}: {error}", socket.display())),
        Err(_) => Err(format!("{}: no answer within {} seconds", socket.display(), PATIENCE.as_secs())),
    }
}

async fn check(socket: &Path) -> Result<ServingStatus, String> {
    // The first error says why; that of the channel around it does not.
    let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let mut stream = Some(TokioIo::new(stream));
    let channel = Endpoint::from_static("http://layercage")
        .connect_with_connector(tower::service_fn(move |_| {
            let stream = stream.take().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ConnectionReset));
            async move { stream }
        }))
        .await
        .map_err(|error| unanswered(&error.to_string()))?;
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let answer = HealthClient::new(channel).check(request).await.map_err(|status| unanswered(status.message()))?;
    Ok(answer.into_inner().status())
}

/// For a socket of another program, or a program that ends.
fn unanswered(why: &str) -> String {
    format!("there is no answer of a differ: {why}")
}
