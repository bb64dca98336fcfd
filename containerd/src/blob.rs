//! The bytes of a layer: streamed by the content service of containerd, or a file of its content store.

use crate::cancel::Cancel;
use crate::namespace::in_namespace;
use crate::proto::services::content::v1::ReadContentRequest;
use crate::proto::services::content::v1::content_client::ContentClient;
use layercage::Error;
use layercage::error::Misuse;
use std::future::Future;
use std::io::{self, Read};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::codegen::Bytes;
use tonic::transport::Channel;

/// How many messages wait for the thread that reads the layer.
const WAITING: usize = 4;

/// How many bytes are asked for at a time, and then come in one message. containerd would send 1 MiB in each message: with
/// those that wait, and those that are on their way, too much for many layers at a time.
const PART: u64 = 256 << 10;

/// What comes of the content service.
#[derive(Debug)]
enum Arrival {
    Bytes(Bytes),
    End,
    Failed(Status),
}

/// The side that asks for the bytes.
#[derive(Debug)]
pub(crate) struct Feeder {
    sender: Sender<Arrival>,
    timeout: Duration,
}

/// The side that reads them, on a thread that may block.
#[derive(Debug)]
pub(crate) struct Stream {
    arrivals: Receiver<Arrival>,
    now: Bytes,
    has_ended: bool,
    cancel: Cancel,
}

/// Both sides of a bounded queue. `timeout` is how long containerd may send no byte.
pub(crate) fn queue(cancel: Cancel, timeout: Duration) -> (Feeder, Stream) {
    let (sender, arrivals) = channel(WAITING);
    (Feeder { sender, timeout }, Stream { arrivals, now: Bytes::new(), has_ended: false, cancel })
}

impl Feeder {
    /// Reads a blob from its first byte to its last, as long as the other side wants it. `size` is what it should have.
    pub(crate) async fn feed(self, containerd: Channel, namespace: String, digest: String, size: u64) {
        let last = match self.read(containerd, &namespace, &digest, size).await {
            Ok(()) => Arrival::End,
            Err(status) => Arrival::Failed(status),
        };
        // If the other side is gone, it has ended.
        let _ = self.sender.send(last).await;
    }

    async fn read(&self, containerd: Channel, namespace: &str, digest: &str, size: u64) -> Result<(), Status> {
        let mut content = ContentClient::new(containerd);
        let mut offset = 0;
        let mut wait = Wait::new(self.timeout);
        loop {
            // The last part is all that is there: a blob of another size than the stated one is refused for that.
            let part = if size.saturating_sub(offset) > PART { PART } else { 0 };
            let request = in_namespace(namespace, part_of(digest, offset, part)?)?;
            let mut messages = wait.during(content.read(request)).await?.into_inner();
            let before = offset;
            while let Some(message) = wait.during(messages.message()).await? {
                // An empty message is no progress: a containerd that sends nothing else would hold this layer's turn.
                if message.data.is_empty() {
                    continue;
                }
                offset += message.data.len() as u64;
                if self.sender.send(Arrival::Bytes(message.data)).await.is_err() {
                    return Ok(());
                }
                wait = Wait::new(self.timeout);
            }
            if part == 0 {
                return Ok(());
            }
            if offset == before {
                return Err(Status::data_loss("the content service sent nothing of a blob that has more"));
            }
        }
    }
}

/// A wait for the next byte. The time that the layer needs for the bytes before it does not count.
struct Wait {
    timeout: Duration,
    /// `None` if the end is beyond the range of the clock.
    until: Option<Instant>,
}

impl Wait {
    fn new(timeout: Duration) -> Self {
        Self { timeout, until: Instant::now().checked_add(timeout) }
    }

    async fn during<T>(&self, answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let Some(until) = self.until else { return answer.await };
        // A timeout looks at the answer first. An answer that is always there would hide that the time is over.
        let in_time = if Instant::now() < until { timeout_at(until, answer).await.ok() } else { None };
        in_time.unwrap_or_else(|| {
            let seconds = self.timeout.as_secs();
            Err(Status::deadline_exceeded(format!("no byte arrived for {seconds} s (`--blob-timeout`)")))
        })
    }
}

fn part_of(digest: &str, offset: u64, size: u64) -> Result<ReadContentRequest, Status> {
    let number = |bytes: u64| i64::try_from(bytes).map_err(|_| Status::out_of_range("a blob that is too large"));
    Ok(ReadContentRequest { digest: digest.to_owned(), offset: number(offset)?, size: number(size)? })
}

impl Stream {
    /// Waits for bytes. Returns whether there are any.
    fn advance(&mut self) -> io::Result<bool> {
        while self.now.is_empty() && !self.has_ended {
            match self.arrivals.blocking_recv() {
                Some(Arrival::Bytes(bytes)) => self.now = bytes,
                Some(Arrival::End) => self.has_ended = true,
                Some(Arrival::Failed(status)) => return Err(failed(&status)),
                // The call was dropped, because its client went away.
                None => {
                    self.cancel.cancel();
                    return Err(Error::from(Misuse::Cancelled).into());
                }
            }
        }
        Ok(!self.now.is_empty())
    }
}

/// An error that ends the layer. containerd knows best what it is about.
fn failed(status: &Status) -> io::Error {
    io::Error::other(format!("containerd cannot read the blob: {}", status.message()))
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.advance()? {
            return Ok(0);
        }
        let bytes = self.now.split_to(self.now.len().min(buffer.len()));
        buffer.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arrivals: Vec<Arrival>) -> io::Result<Vec<u8>> {
        let (feeder, mut stream) = queue(Cancel::default(), Duration::from_secs(60));
        for arrival in arrivals {
            feeder.sender.blocking_send(arrival).unwrap();
        }
        drop(feeder);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map(|_| bytes)
    }

    fn bytes(bytes: &'static [u8]) -> Arrival {
        Arrival::Bytes(Bytes::from_static(bytes))
    }

    #[test]
    fn messages_of_any_size_are_one_stream() {
        assert_eq!(read(vec![bytes(b"ab"), bytes(b""), bytes(b"c"), Arrival::End]).unwrap(), b"abc");
        assert_eq!(read(vec![Arrival::End]).unwrap(), b"");
    }

    #[test]
    fn a_stream_that_breaks_off_is_not_taken_for_one_that_ends() {
        let gone = read(vec![bytes(b"ab")]).unwrap_err();
        assert_eq!(gone.to_string(), io::Error::from(Error::from(Misuse::Cancelled)).to_string());
        let failed = read(vec![bytes(b"ab"), Arrival::Failed(Status::not_found("content sha256:1: not found"))]);
        assert!(failed.unwrap_err().to_string().contains("content sha256:1: not found"));
    }
}
