//! How the server is doing: counters that every stage adds to, printed as Prometheus text.

#[cfg_attr(not(any(test, feature = "kafka", feature = "rabbitmq")), expect(dead_code, reason = "for brokers"))]
mod broker;
mod histogram;
mod text;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(any(test, feature = "kafka", feature = "rabbitmq"))]
pub(crate) use broker::{Broker, DeadLetter};

use crate::store::Signal;
use broker::Brokers;
use histogram::Histogram;
use text::Text;

/// How a request for ingest came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OTLP/HTTP, protobuf.
    HttpProtobuf,
    /// OTLP/HTTP, JSON.
    HttpJson,
    /// HTTP with a content type that says neither, or none.
    HttpOther,
    /// OTLP/gRPC.
    Grpc,
}

/// How a request for ingest ended. A closed list, the `status` label of `scouter_server_requests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything is stored.
    Ok,
    /// Stored but for the spans that were rejected.
    Partial,
    /// The body cannot be decoded.
    Malformed,
    /// The body is longer than the limit, before or after decompression.
    TooLarge,
    /// The content type or the compression is not one that is spoken here.
    Unsupported,
    /// The token is missing or wrong.
    Unauthorized,
    /// The signal is not stored here.
    Unimplemented,
    /// The method is not one that the path takes.
    WrongMethod,
    /// No room for another request.
    Overloaded,
    /// The sender fell silent in the middle of its request.
    TimedOut,
    /// The store could not keep it.
    StoreError,
    /// A defect of the server.
    Panicked,
}

/// Why received spans or records are not stored. A closed list, the `reason` label of `scouter_server_spans_rejected_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The trace id has the wrong length or is all zeros.
    TraceId,
    /// The span id has the wrong length or is all zeros.
    SpanId,
    /// The store could not keep the request; its sender was told to send it again.
    StoreError,
}

const PROTOCOLS: [(Protocol, &str); 4] = [
    (Protocol::HttpProtobuf, "http/protobuf"),
    (Protocol::HttpJson, "http/json"),
    (Protocol::HttpOther, "http"),
    (Protocol::Grpc, "grpc"),
];

const OUTCOMES: [(Outcome, &str); 12] = [
    (Outcome::Ok, "ok"),
    (Outcome::Partial, "partial_success"),
    (Outcome::Malformed, "malformed"),
    (Outcome::TooLarge, "too_large"),
    (Outcome::Unsupported, "unsupported"),
    (Outcome::Unauthorized, "unauthorized"),
    (Outcome::Unimplemented, "unimplemented"),
    (Outcome::WrongMethod, "wrong_method"),
    (Outcome::Overloaded, "overloaded"),
    (Outcome::TimedOut, "timed_out"),
    (Outcome::StoreError, "store_error"),
    (Outcome::Panicked, "panicked"),
];

const REJECTIONS: [(Rejection, &str); 3] = [
    (Rejection::TraceId, "invalid_trace_id"),
    (Rejection::SpanId, "invalid_span_id"),
    (Rejection::StoreError, "store_error"),
];

/// The counters. Spans received = stored + duplicate + rejected + those being written right now; records, too.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [[AtomicU64; OUTCOMES.len()]; PROTOCOLS.len()],
    spans: Items,
    records: Items,
    brokers: Brokers,
    wire_bytes: AtomicU64,
    message_bytes: AtomicU64,
    store_errors: AtomicU64,
    panics: AtomicU64,
    connections: AtomicU64,
    open_connections: AtomicU64,
    ingest: Histogram,
}

/// The counters of one signal.
#[derive(Debug, Default)]
struct Items {
    received: AtomicU64,
    stored: AtomicU64,
    duplicates: AtomicU64,
    rejected: [AtomicU64; REJECTIONS.len()],
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn answered(&self, protocol: Protocol, outcome: Outcome) {
        add(&self.requests[protocol as usize][outcome as usize], 1);
    }

    /// A body was read: so many bytes came over the network and became a message of so many bytes.
    pub(crate) fn read_body(&self, wire: u64, message: u64) {
        add(&self.wire_bytes, wire);
        add(&self.message_bytes, message);
    }

    /// A decoded request carries so many spans or records.
    pub(crate) fn received(&self, signal: Signal, items: u64) {
        add(&self.items(signal).received, items);
    }

    /// The store has kept a request's spans or records.
    pub(crate) fn stored(&self, signal: Signal, stored: u64, duplicates: u64, took: Duration) {
        add(&self.items(signal).stored, stored);
        add(&self.items(signal).duplicates, duplicates);
        self.ingest.record(took);
    }

    /// Spans or records will not be stored.
    pub(crate) fn rejected(&self, signal: Signal, reason: Rejection, items: u64) {
        add(&self.items(signal).rejected[reason as usize], items);
    }

    fn items(&self, signal: Signal) -> &Items {
        match signal {
            Signal::Traces => &self.spans,
            Signal::Logs => &self.records,
        }
    }

    /// The store failed to keep a request.
    pub(crate) fn store_failed(&self) {
        add(&self.store_errors, 1);
    }

    /// A handler panicked.
    pub(crate) fn panicked(&self) {
        add(&self.panics, 1);
    }

    /// A connection was accepted.
    pub(crate) fn connected(&self) {
        add(&self.connections, 1);
        add(&self.open_connections, 1);
    }

    /// A connection ended.
    pub(crate) fn disconnected(&self) {
        self.open_connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Everything as Prometheus text (exposition format 0.0.4). `in_flight` is what ingest holds right now, in bytes.
    pub(crate) fn render(&self, in_flight: u64) -> String {
        let mut text = Text::default();
        macro_rules! items {
            ($name:literal, $items:expr) => {{
                let (name, items): (&str, &Items) = (concat!("scouter_server_", $name, "_received_total"), $items);
                text.counter(name, concat!($name, " in requests that could be decoded."));
                text.value("", read(&items.received));
                let name = concat!("scouter_server_", $name, "_stored_total");
                text.counter(name, concat!($name, " that were stored and had not been stored before."));
                text.value("", read(&items.stored));
                let name = concat!("scouter_server_", $name, "_duplicate_total");
                text.counter(name, concat!($name, " that came again and were stored already."));
                text.value("", read(&items.duplicates));
            }};
        }
        items!("spans", &self.spans);
        text.counter("scouter_server_spans_rejected_total", "Spans that were received and not stored.");
        for (reason, name) in REJECTIONS {
            text.value(&format!("reason=\"{name}\""), read(&self.spans.rejected[reason as usize]));
        }
        items!("records", &self.records);
        text.counter("scouter_server_records_rejected_total", "Records that were received and not stored.");
        text.value("reason=\"store_error\"", read(&self.records.rejected[Rejection::StoreError as usize]));
        self.brokers.render(&mut text);
        text.counter("scouter_server_requests_total", "Requests for ingest that were answered.");
        for (protocol, name) in PROTOCOLS {
            for (outcome, status) in OUTCOMES {
                let count = read(&self.requests[protocol as usize][outcome as usize]);
                text.value(&format!("protocol=\"{name}\",status=\"{status}\""), count);
            }
        }
        text.counter("scouter_server_bytes_total", "Bytes of request bodies, as they came and as they were read.");
        text.value("stage=\"wire\"", read(&self.wire_bytes));
        text.value("stage=\"decompressed\"", read(&self.message_bytes));
        text.gauge("scouter_server_in_flight_bytes", "Bytes of requests that are being received or written.");
        text.value("", in_flight);
        text.counter("scouter_server_store_errors_total", "Requests that the store could not keep.");
        text.value("", read(&self.store_errors));
        text.counter("scouter_server_panics_total", "Requests that hit a defect of the server.");
        text.value("", read(&self.panics));
        text.counter("scouter_server_connections_total", "Connections that were accepted.");
        text.value("", read(&self.connections));
        text.gauge("scouter_server_connections_open", "Connections that are open.");
        text.value("", read(&self.open_connections));
        text.histogram(
            "scouter_server_ingest_seconds",
            "Time from a decoded request to its durable storage.",
            &self.ingest,
        );
        text.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_where_their_variants_count() {
        for (place, (protocol, _)) in PROTOCOLS.into_iter().enumerate() {
            assert_eq!(protocol as usize, place);
        }
        for (place, (outcome, _)) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
        for (place, (reason, _)) in REJECTIONS.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }

    #[test]
    fn what_is_counted_is_printed() {
        let metrics = Metrics::default();
        metrics.answered(Protocol::Grpc, Outcome::TooLarge);
        metrics.received(Signal::Traces, 3);
        metrics.received(Signal::Logs, 5);
        metrics.rejected(Signal::Traces, Rejection::SpanId, 1);
        metrics.rejected(Signal::Logs, Rejection::StoreError, 4);
        metrics.fetched(Broker::Kafka, 2, 900);
        metrics.redelivered(Broker::RabbitMq, 6);
        metrics.dead_lettered(Broker::Kafka, DeadLetter::Malformed);
        metrics.stored(Signal::Traces, 2, 0, Duration::from_millis(3));
        metrics.read_body(10, 400);
        let text = metrics.render(77);
        for line in [
            "# TYPE scouter_server_requests_total counter",
            "scouter_server_requests_total{protocol=\"grpc\",status=\"too_large\"} 1",
            "scouter_server_spans_received_total 3",
            "scouter_server_spans_stored_total 2",
            "scouter_server_spans_rejected_total{reason=\"invalid_span_id\"} 1",
            "scouter_server_records_received_total 5",
            "scouter_server_records_rejected_total{reason=\"store_error\"} 4",
            "scouter_server_messages_received_total{receiver=\"kafka\"} 2",
            "scouter_server_message_bytes_total{receiver=\"kafka\"} 900",
            "scouter_server_messages_redelivered_total{receiver=\"rabbitmq\"} 6",
            "scouter_server_dead_letters_total{receiver=\"kafka\",reason=\"malformed\"} 1",
            "scouter_server_bytes_total{stage=\"wire\"} 10",
            "scouter_server_in_flight_bytes 77",
            "scouter_server_ingest_seconds_bucket{le=\"0.0025\"} 0",
            "scouter_server_ingest_seconds_bucket{le=\"0.005\"} 1",
            "scouter_server_ingest_seconds_bucket{le=\"+Inf\"} 1",
            "scouter_server_ingest_seconds_sum 0.003",
            "scouter_server_ingest_seconds_count 1",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line} is not in\n{text}");
        }
    }
}
