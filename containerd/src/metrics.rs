//! Metrics for Prometheus.

use crate::apply::Done;
use crate::refusal::Refusal;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// The labels of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
    /// The id of the rule that refused it; empty for other results.
    rule: &'static str,
}

/// The metrics of this program.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    layers: Family<Labels, Counter>,
    blob_bytes: Counter,
    written_bytes: Counter,
    seconds: Histogram,
    in_flight: Gauge,
}

/// A layer that is being applied.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("layercage");
        let (layers, in_flight) = (Family::default(), Gauge::default());
        let (blob_bytes, written_bytes) = (Counter::default(), Counter::default());
        // From 10 ms to about 5 minutes.
        let seconds = Histogram::new(exponential_buckets(0.01, 2.0, 16));
        registry.register("layers", "Layers by result, and by the rule that refused them", Family::clone(&layers));
        let about = "Bytes of the blobs of layers that were applied";
        registry.register_with_unit("blob", about, Unit::Bytes, blob_bytes.clone());
        let about = "Bytes of content of the files that were written for layers that were applied";
        registry.register_with_unit("written", about, Unit::Bytes, written_bytes.clone());
        let about = "The time from the request to the answer, for layers of every result";
        registry.register_with_unit("layer", about, Unit::Seconds, seconds.clone());
        registry.register("layers_in_flight", "Layers that are being applied, or wait for it", in_flight.clone());
        Self { registry, layers, blob_bytes, written_bytes, seconds, in_flight }
    }
}

impl Metrics {
    /// Counts a layer that begins, until the value is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts a layer that has ended.
    pub(crate) fn end(&self, result: &Result<Done, Refusal>, blob_bytes: u64, took: Duration) {
        let labels = match result {
            Ok(_) => Labels { result: "applied", rule: "" },
            Err(refusal) => Labels { result: refusal.outcome().word(), rule: refusal.rule().unwrap_or_default() },
        };
        self.layers.get_or_create(&labels).inc();
        self.seconds.observe(took.as_secs_f64());
        if let Ok(done) = result {
            self.blob_bytes.inc_by(blob_bytes);
            self.written_bytes.inc_by(done.report.bytes_written);
        }
    }

    /// All metrics, in the text format.
    ///
    /// # Errors
    ///
    /// None that is known.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry).map(|()| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layercage::rules::Quirk;
    use layercage::{Digest, Report};

    #[test]
    fn layers_are_counted_by_result_and_rule() {
        let metrics = Metrics::default();
        let in_flight = metrics.begin();
        assert!(metrics.text().unwrap().contains("layercage_layers_in_flight 1\n"));
        drop(in_flight);
        let refusal = Refusal::of_layer(&Quirk::Fifo.into());
        let mut report = Report::default();
        report.bytes_written = 5;
        let done = Done { diff_id: Digest::Sha256([0; 32]), unpacked_bytes: 7, report };
        let took = Duration::from_millis(30);
        metrics.end(&Ok(done), 3, took);
        metrics.end(&Err(refusal), 11, took);
        metrics.end(&Err(Refusal::cancelled()), 11, took);
        let text = metrics.text().unwrap();
        for line in [
            "layercage_layers_total{result=\"applied\",rule=\"\"} 1",
            "layercage_layers_total{result=\"refused\",rule=\"fifo\"} 1",
            "layercage_layers_total{result=\"cancelled\",rule=\"\"} 1",
            "layercage_blob_bytes_total 3",
            "layercage_written_bytes_total 5",
            "layercage_layer_seconds_count 3",
            "layercage_layers_in_flight 0",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
    }
}
