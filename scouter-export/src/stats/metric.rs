//! The statistics under the names that OpenTelemetry gives them.

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

const SPANS: &str = "{span}";
/// What the component's types are called. The exporter is whatever transport is behind a destination.
const PROCESSOR: &str = "batching_span_processor";
const SIMPLE_PROCESSOR: &str = "simple_span_processor";
const EXPORTER: &str = "scouter_span_exporter";

impl Stats {
    /// The metrics `otel.sdk.span.*`, `otel.sdk.processor.span.*` and `otel.sdk.exporter.*` of one moment. Every destination is
    /// a processor with an exporter: it has a queue and a bound of its own. What it leaves out by its own ratio it never
    /// processes.
    ///
    /// Spans that are recorded and not sampled count as dropped by the sampler.
    pub fn metrics(&self) -> Vec<Metric> {
        let result = |result: &str| vec![("otel.span.sampling_result", result.to_owned())];
        let mut metrics = vec![
            counter("otel.sdk.span.started", result("RECORD_AND_SAMPLE"), self.started),
            counter("otel.sdk.span.started", result("DROP"), self.sampled_out),
            level("otel.sdk.span.live", result("RECORD_AND_SAMPLE"), self.live),
        ];
        for to in &self.destinations {
            to.processor_metrics(self.queue_capacity, &mut metrics);
            to.exporter_metrics(&mut metrics);
        }
        metrics
    }
}

impl DestinationStats {
    fn processor_metrics(&self, capacity: u64, metrics: &mut Vec<Metric>) {
        let component = self.component(if self.simple { SIMPLE_PROCESSOR } else { PROCESSOR });
        if !self.simple {
            metrics.push(level("otel.sdk.processor.span.queue.size", component.clone(), self.waiting()));
            metrics.push(level("otel.sdk.processor.span.queue.capacity", component.clone(), capacity));
        }
        metrics.push(counter("otel.sdk.processor.span.processed", component.clone(), self.submitted));
        for (reason, dropped) in self.dropped.iter().filter(|(reason, _)| *reason != DropReason::NeverEnded) {
            // What went on to the exporter has been processed well, whatever came of it.
            let here = dropped - self.failed[reason];
            if here > 0 {
                let attributes = with_error(&component, reason);
                metrics.push(counter("otel.sdk.processor.span.processed", attributes, here));
            }
        }
    }

    fn exporter_metrics(&self, metrics: &mut Vec<Metric>) {
        let component = self.component(EXPORTER);
        metrics.push(level("otel.sdk.exporter.span.inflight", component.clone(), self.in_flight));
        metrics.push(counter("otel.sdk.exporter.span.exported", component.clone(), self.exported));
        for (reason, failed) in self.failed.iter().filter(|(_, failed)| *failed > 0) {
            metrics.push(counter("otel.sdk.exporter.span.exported", with_error(&component, reason), failed));
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

fn counter(name: &'static str, attributes: Vec<(&'static str, String)>, count: u64) -> Metric {
    Metric { name, instrument: Instrument::Counter, unit: SPANS, attributes, value: MetricValue::Count(count) }
}

fn level(name: &'static str, attributes: Vec<(&'static str, String)>, count: u64) -> Metric {
    Metric { name, instrument: Instrument::UpDownCounter, unit: SPANS, attributes, value: MetricValue::Count(count) }
}

fn with_error(component: &[(&'static str, String)], reason: DropReason) -> Vec<(&'static str, String)> {
    let mut attributes = component.to_vec();
    attributes.push(("error.type", reason.name().to_owned()));
    attributes
}
