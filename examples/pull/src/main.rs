//! Pulls an image from a registry into a new directory: `pull REFERENCE NAME STALL_SECONDS`.
//!
//! Two layers download at once and are unpacked while they arrive. Everything is verified from the digest of the
//! manifest. Until then nothing is visible: an error, a stalled connection or Ctrl-C leaves nothing behind.

use cap_std::{ambient_authority, fs::Dir};
use futures::{StreamExt, TryFutureExt, TryStreamExt, channel::mpsc, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use layercage::{Error, Limits, Selected, Unpacker, error::Misuse, image::LayerDescriptor};
use oci_client::{Client, Reference, client::ClientConfig, client::ClientProtocol, manifest, secrets::RegistryAuth};
use std::{io, num::NonZeroUsize, thread, time::Duration};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::{bytes::Bytes, io::StreamReader, io::SyncIoBridge, sync::CancellationToken};

const DOWNLOADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();
type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// Downloads the manifest for this platform and its configuration. The client does not limit their sizes.
async fn select(client: &Client, image: &Reference) -> anyhow::Result<Selected> {
    let auth = RegistryAuth::Anonymous;
    let (_, digest, config) = client.pull_manifest_and_config(image, &auth).await?;
    let image = image.clone_with_digest(digest.clone());
    let types = [manifest::OCI_IMAGE_MEDIA_TYPE, manifest::IMAGE_MANIFEST_MEDIA_TYPE];
    let (manifest, _) = client.pull_manifest_raw(&image, &auth, &types).await?;
    Ok(Selected::from_documents(&manifest, config.as_bytes(), &digest.parse()?, &Limits::default())?)
}

/// Starts a download. A channel holds what arrives before it is read.
fn download(client: Client, image: Reference, digest: String, bar: ProgressBar) -> Pieces {
    let (send, receive) = mpsc::channel(16);
    tokio::spawn(async move {
        let pieces = client.pull_blob_stream(&image, &*digest).map_err(io::Error::other).try_flatten_stream();
        pieces.inspect_ok(|piece| bar.inc(piece.len() as u64)).map(Ok).forward(send).await
    });
    receive
}

/// Reads a download on a thread that may block. Time counts as a stall only while something is waited for here.
fn read(pieces: Pieces, stall: Duration, cancel: CancellationToken) -> impl io::Read + Send {
    // The end of the pieces is the end of the layer, so a stalled or cancelled download must be an error.
    let pieces = stream::unfold((pieces, cancel), move |(mut pieces, cancel)| async move {
        let piece = match cancel.run_until_cancelled(timeout(stall, pieces.next())).await {
            Some(Ok(piece)) => piece?,
            Some(Err(stalled)) => Err(stalled.into()),
            None => Err(Error::from(Misuse::Cancelled).into()),
        };
        Some((piece, (pieces, cancel)))
    });
    SyncIoBridge::new(StreamReader::new(Box::pin(pieces)))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, image, name, seconds] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: pull REFERENCE NAME STALL_SECONDS");
    };
    let (image, name, stall) = (image.parse()?, name.clone(), Duration::from_secs(seconds.parse()?));
    // A registry that is reached without TLS.
    let protocol = ClientProtocol::HttpsExcept(std::env::var("PLAIN_HTTP").into_iter().collect());
    let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
    let selected = timeout(stall, select(&client, &image)).await??;

    let (bars, cancel, runtime) = (MultiProgress::new(), CancellationToken::new(), Handle::current());
    let pressed = cancel.clone();
    tokio::spawn(async move { tokio::signal::ctrl_c().await.map(|()| pressed.cancel()) });
    let style = ProgressStyle::with_template("{msg:19!} {wide_bar} {bytes}/{total_bytes}")?;
    let open = move |layer: &LayerDescriptor| {
        let _entered = runtime.enter();
        let blob = layer.descriptor().ok_or(io::ErrorKind::NotFound)?;
        let (digest, bar) = (blob.digest().to_string(), ProgressBar::new(blob.size()).with_style(style.clone()));
        let bar = bars.add(bar.with_message(digest.clone()));
        Ok(read(download(client.clone(), image.clone(), digest, bar), stall, cancel.clone()))
    };
    let parent = Dir::open_ambient_dir(".", ambient_authority())?;
    let session = Unpacker::default().with_jobs(thread::available_parallelism()?).with_readers(DOWNLOADS).session();
    let report = tokio::task::spawn_blocking(move || session.unpack_from(&selected, open, &parent, name)).await??;
    println!("{} entries, {} bytes, {} notes", report.entries, report.bytes_written, report.note_count());
    Ok(())
}
