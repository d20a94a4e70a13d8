//! The statistics under the names that OpenTelemetry gives them.

use scouter_transport::Signal;

use super::{DestinationStats, DropReason, Latency, Stats};

/// A number of the statistics as the semantic conventions for SDK metrics want it ("OpenTelemetry SDK metrics").
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Such as `otel.sdk.span.started`.
    pub name: &'static str,
    /// How it may change.
    pub instrument: Instrument,
    /// In the notation of UCUM.
    pub unit: &'static str,
    /// What it is about. One name comes several times, each with other attributes.
    pub attributes: Vec<(&'static str, String)>,
    /// The number now.
    pub value: MetricValue,
}

/// How a metric may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// Only rises.
    Counter,
    /// Rises and falls.
    UpDownCounter,
    /// Counts durations.
    Histogram,
}

/// The number of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// Of a counter.
    Count(u64),
    /// Of a histogram.
    Durations(Latency),
}

/// What a signal's metrics and components are called. The exporter is whatever transport is behind a destination.
#[derive(Debug)]
struct Names {
    unit: &'static str,
    processor: &'static str,
    simple_processor: &'static str,
    exporter: &'static str,
    size: &'static str,
    capacity: &'static str,
    processed: &'static str,
    in_flight: &'static str,
    exported: &'static str,
}

const SPAN: Names = Names {
    unit: "{span}",
    processor: "batching_span_processor",
    simple_processor: "simple_span_processor",
    exporter: "scouter_span_exporter",
    size: "otel.sdk.processor.span.queue.size",
    capacity: "otel.sdk.processor.span.queue.capacity",
    processed: "otel.sdk.processor.span.processed",
    in_flight: "otel.sdk.exporter.span.inflight",
    exported: "otel.sdk.exporter.span.exported",
};
const LOG: Names = Names {
    unit: "{log_record}",
    processor: "batching_log_processor",
    simple_processor: "simple_log_processor",
    exporter: "scouter_log_exporter",
    size: "otel.sdk.processor.log.queue.size",
    capacity: "otel.sdk.processor.log.queue.capacity",
    processed: "otel.sdk.processor.log.processed",
    in_flight: "otel.sdk.exporter.log.inflight",
    exported: "otel.sdk.exporter.log.exported",
};

impl Stats {
    /// The metrics `otel.sdk.span.*`, `otel.sdk.processor.span.*` and `otel.sdk.exporter.*` of one moment; of records those of
    /// `otel.sdk.log.*`. Every destination is a processor with an exporter: it has a queue and a bound of its own. What it
    /// leaves out by its own ratio it never processes.
    ///
    /// Spans that are recorded and not sampled count as dropped by the sampler.
    pub fn metrics(&self) -> Vec<Metric> {
        let result = |result: &str| vec![("otel.span.sampling_result", result.to_owned())];
        let (names, mut metrics) = match self.signal {
            Signal::Traces => (
                &SPAN,
                vec![
                    SPAN.counter("otel.sdk.span.started", result("RECORD_AND_SAMPLE"), self.started),
                    SPAN.counter("otel.sdk.span.started", result("DROP"), self.sampled_out),
                    SPAN.level("otel.sdk.span.live", result("RECORD_AND_SAMPLE"), self.live),
                ],
            ),
            Signal::Logs => (&LOG, vec![LOG.counter("otel.sdk.log.created", Vec::new(), self.started)]),
        };
        for to in &self.destinations {
            to.processor_metrics(names, self.queue_capacity, &mut metrics);
            to.exporter_metrics(names, &mut metrics);
        }
        metrics
    }
}

impl DestinationStats {
    fn processor_metrics(&self, names: &Names, capacity: u64, metrics: &mut Vec<Metric>) {
        let component = self.component(if self.simple { names.simple_processor } else { names.processor });
        if !self.simple {
            metrics.push(names.level(names.size, component.clone(), self.waiting()));
            metrics.push(names.level(names.capacity, component.clone(), capacity));
        }
        metrics.push(names.counter(names.processed, component.clone(), self.submitted));
        for (reason, dropped) in self.dropped.iter().filter(|(reason, _)| *reason != DropReason::NeverEnded) {
            // What went on to the exporter has been processed well, whatever came of it.
            let here = dropped - self.failed[reason];
            if here > 0 {
                metrics.push(names.counter(names.processed, with_error(&component, reason), here));
            }
        }
    }

    fn exporter_metrics(&self, names: &Names, metrics: &mut Vec<Metric>) {
        let component = self.component(names.exporter);
        metrics.push(names.level(names.in_flight, component.clone(), self.in_flight));
        metrics.push(names.counter(names.exported, component.clone(), self.exported));
        for (reason, failed) in self.failed.iter().filter(|(_, failed)| *failed > 0) {
            metrics.push(names.counter(names.exported, with_error(&component, reason), failed));
        }
        metrics.push(Metric {
            name: "otel.sdk.exporter.operation.duration",
            instrument: Instrument::Histogram,
            unit: "s",
            attributes: component,
            value: MetricValue::Durations(self.operations.clone()),
        });
    }

    fn component(&self, kind: &str) -> Vec<(&'static str, String)> {
        vec![("otel.component.name", format!("{kind}/{}", self.name)), ("otel.component.type", kind.to_owned())]
    }
}

impl Names {
    fn counter(&self, name: &'static str, attributes: Vec<(&'static str, String)>, count: u64) -> Metric {
        self.metric(name, Instrument::Counter, attributes, count)
    }

    fn level(&self, name: &'static str, attributes: Vec<(&'static str, String)>, count: u64) -> Metric {
        self.metric(name, Instrument::UpDownCounter, attributes, count)
    }

    fn metric(
        &self,
        name: &'static str,
        instrument: Instrument,
        attributes: Vec<(&'static str, String)>,
        count: u64,
    ) -> Metric {
        Metric { name, instrument, unit: self.unit, attributes, value: MetricValue::Count(count) }
    }
}

fn with_error(component: &[(&'static str, String)], reason: DropReason) -> Vec<(&'static str, String)> {
    let mut attributes = component.to_vec();
    attributes.push(("error.type", reason.name().to_owned()));
    attributes
}
