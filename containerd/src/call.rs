//! One call, for the log.

use crate::apply::Done;
use crate::namespace::Namespaces;
use crate::proto::types::Descriptor;
use crate::refusal::{Outcome, Refusal};
use layercage::error::Escaped;
use std::time::Instant;
use tracing::{error, info, warn};

/// A call of `Apply`.
#[derive(Debug)]
pub(crate) struct Call {
    namespace: String,
    digest: String,
    size: u64,
    since: Instant,
}

/// The most bytes of a digest in the log.
const LONGEST: usize = 200;

fn shortened(digest: &str) -> String {
    let bytes = digest.as_bytes();
    Escaped::new(bytes.get(..LONGEST).unwrap_or(bytes)).unquoted()
}

impl Call {
    /// A call that begins now.
    pub(crate) fn about(descriptor: Option<&Descriptor>) -> Self {
        Self {
            namespace: String::new(),
            digest: descriptor.map(|it| shortened(&it.digest)).unwrap_or_default(),
            size: descriptor.and_then(|it| u64::try_from(it.size).ok()).unwrap_or_default(),
            since: Instant::now(),
        }
    }

    pub(crate) fn set_namespace(&mut self, namespaces: &Namespaces) {
        self.namespace = Escaped::new(namespaces.to_string().as_bytes()).unquoted();
    }

    /// The size that the descriptor states.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// When it began.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Writes one line to the log.
    pub(crate) fn log(&self, result: &Result<Done, Refusal>) {
        let Self { namespace, digest, size, since } = self;
        let seconds = since.elapsed().as_secs_f64();
        match result {
            Ok(Done { diff_id, unpacked_bytes, report }) => {
                // A field of the log is no object.
                let notes = report.counts().map(|(id, count)| format!("{id}={count}")).collect::<Vec<_>>().join(",");
                let (entries, written_bytes) = (report.entries, report.bytes_written);
                info!(
                    namespace, digest, %diff_id, size, unpacked_bytes, entries, written_bytes, notes, seconds,
                    "layer applied"
                );
            }
            Err(refusal) => {
                let (rule, reason) = (refusal.rule(), refusal.message());
                match refusal.outcome() {
                    Outcome::Refused => warn!(namespace, digest, size, rule, reason, seconds, "layer refused"),
                    Outcome::Failed => error!(namespace, digest, size, rule, reason, seconds, "layer failed"),
                    Outcome::Cancelled => info!(namespace, digest, size, seconds, "layer cancelled"),
                }
            }
        }
    }
}
