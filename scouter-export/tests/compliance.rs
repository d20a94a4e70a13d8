//! Rows of the OpenTelemetry compliance matrix that this crate answers for. Each test begins with the row's number.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter, SpanProcessor};
use prost::Message;
use scouter_export::{
    BatchConfig, ExportError, ExportObserver, ExportOperation, FlushError, Instrument, MetricValue, Pipeline, Stats,
    Worker, sdk,
};
use scouter_span::{Sampler, Scope, SpanSink, TracerProvider};
use scouter_transport::memory::Memory;
use scouter_transport::{BoxFuture, Error, ErrorKind, Payload, Receipt, Signal, Status, Transport};

/// An exporter, in the words of the SDK and in ours.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.note(format!("export {}", batch.len()));
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.note("force flush");
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.note("shutdown");
        Ok(())
    }
}

impl Transport for Told {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        self.note(format!("export {}", payload.items));
        Box::pin(async { Ok(Receipt::default()) })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.note("force flush");
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.note("shutdown");
        Box::pin(async { Ok(()) })
    }
}

/// "Built-in `SpanProcessor`s implement `ForceFlush` spec": all spans that ended before are exported when it returns, it
/// tells failure and time-out, and the exporter's own flush follows. Batching and simple alike, and as a processor of the
/// SDK.
#[test]
fn m059_built_in_span_processors_implement_force_flush() {
    for simple in [false, true] {
        let told = Told::default();
        let rig = Rig::new(batches_of(1000), [to("a", &told).simple(simple).flush_transport(true)]);
        rig.spans(3);
        assert_eq!(rig.pipeline.flush(SOON), Ok(()));
        let exports = if simple { vec!["export 1"; 3] } else { vec!["export 3"] };
        assert_eq!(told.all(), [exports, vec!["force flush"]].concat());
    }
    let failing = Scripted::new(|_, _| Err(Error::new(ErrorKind::Refused, "no")));
    let rig = Rig::new(batches_of(1000), [to("a", &failing)]);
    rig.spans(1);
    assert!(matches!(rig.pipeline.flush(SOON), Err(FlushError::Failed { dropped: 1, .. })));

    let hanging = memory();
    hanging.hold();
    let rig = Rig::new(batches_of(1000), [to("a", &hanging)]);
    rig.spans(1);
    assert_eq!(
        rig.pipeline.flush(Duration::from_millis(20)),
        Err(FlushError::Timeout { signal: Signal::Traces, remaining: 1 })
    );

    let processor = sdk::Processor::new(Arc::clone(&Rig::new(batches_of(1000), [to("a", &memory())]).pipeline));
    assert!(processor.force_flush().is_ok());
}

/// "Exporter interface": export, force flush and shutdown. Ours is the transport; one of the SDK's is taken too.
#[test]
fn m136_exporter_interface() {
    let (ours, theirs) = (Told::default(), Told::default());
    let made = theirs.clone();
    let rig = Rig::new(batches_of(2), [to("ours", &ours), sdk::destination("theirs", move || Ok(made.clone()))]);
    rig.spans(4);
    rig.pipeline.shutdown(SOON).unwrap();
    assert_eq!(ours.all(), ["export 2", "export 2", "shutdown"]);
    assert_eq!(theirs.all(), ["export 2", "export 2", "shutdown"]);
}

/// "Exporter interface has `ForceFlush`": called after the exports that the flush was for.
#[test]
fn m137_exporter_interface_has_force_flush() {
    let (ours, theirs) = (Told::default(), Told::default());
    let made = theirs.clone();
    let theirs_too = sdk::destination("theirs", move || Ok(made.clone()));
    let rig = Rig::new(batches_of(1000), [to("ours", &ours).flush_transport(true), theirs_too]);
    rig.spans(4);
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(ours.all(), ["export 4", "force flush"]);
    assert_eq!(theirs.all(), ["export 4", "force flush"]);

    // A flush that fails is told and costs nothing.
    #[derive(Clone, Debug)]
    struct Stubborn(Memory);
    impl Transport for Stubborn {
        fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
            self.0.send(payload)
        }
        fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
            Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "not now")) })
        }
        fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
            self.0.close()
        }
    }
    let rig = Rig::new(batches_of(1000), [to("stubborn", &Stubborn(memory())).flush_transport(true)]);
    rig.spans(1);
    assert_eq!(rig.pipeline.flush(SOON), Ok(()));
    let stats = rig.stats();
    assert_eq!(stats.destinations[0].exported, 1);
    assert!(stats.destinations[0].last_error.as_deref().unwrap().contains("not now"));
}

const ALONE: &str = "SCOUTER_TEST_STDOUT";

/// "Standard output (logging)": the SDK's exporter to standard output as a destination. It prints to the real one, so it is
/// tried in a process of its own.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test starts itself again and says so through the environment")]
fn m138_standard_output_logging() {
    if std::env::var_os(ALONE).is_some() {
        let stdout = sdk::destination("stdout", || Ok(opentelemetry_stdout::SpanExporter::default()));
        let rig = Rig::new(batches_of(1000), [stdout]);
        let mut span = rig.tracer.span("printed span").start();
        span.set_attribute("printed.key", "printed value");
        span.end();
        rig.pipeline.shutdown(SOON).unwrap();
        assert_eq!(rig.stats().destinations[0].exported, 1);
        return;
    }
    let mut alone = Command::new(std::env::current_exe().unwrap());
    let name = "m138_standard_output_logging";
    let output = alone.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(ALONE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for expected in ["printed span", "printed.key", "printed value", "service.name"] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
}

/// "In-memory (mock exporter)": the memory transport keeps payloads, and the capture keeps finished spans.
#[test]
fn m139_in_memory_mock_exporter() {
    let memory = memory();
    let rig = Rig::new(batches_of(1000), [to("memory", &memory)]);
    rig.pipeline.capture().enable(scouter_export::CaptureLimit::default());
    rig.spans(3);
    let captured = sdk::decode(&rig.pipeline.capture().drain()).unwrap();
    assert_eq!(captured.iter().map(|batch| batch.spans.len()).sum::<usize>(), 3);
    rig.pipeline.flush(SOON).unwrap();
    let kept = sdk::decode(&memory.payloads()[0].body).unwrap();
    assert_eq!(kept[0].spans, captured[0].spans);
    assert_eq!(memory.take().len(), 1);
    assert!(memory.payloads().is_empty());
}

/// "Concurrent sending": as many requests as configured are under way at a time, and no more.
#[test]
fn m146_concurrent_sending() {
    for most in [1, 4] {
        let memory = memory();
        memory.hold();
        let config = BatchConfig { max_concurrent_exports: most, ..batches_of(1) };
        let rig = Rig::new(config, [to("a", &memory)]);
        rig.spans(10);
        wait(memory.until_waiting(most));
        let stats = rig.until("begun", |stats| stats.destinations[0].requests == most as u64);
        assert_eq!((stats.destinations[0].in_flight, stats.destinations[0].waiting()), (most as u64, 10 - most as u64));
        memory.release();
        rig.pipeline.flush(SOON).unwrap();
        assert_eq!(rig.stats().destinations[0].exported, 10);
    }
}

/// The counts under this name whose attributes have all of these values, added up.
fn count(stats: &Stats, name: &str, wanted: &[&str]) -> u64 {
    let metrics = stats.metrics();
    let named: Vec<_> = metrics.iter().filter(|metric| metric.name == name).collect();
    assert!(!named.is_empty(), "no {name} in {metrics:#?}");
    let matching = named.into_iter().filter(|metric| {
        let errors = metric.attributes.iter().any(|(key, _)| *key == "error.type");
        let has = |value: &&str| metric.attributes.iter().any(|(_, known)| known == value);
        wanted.iter().all(has) && (errors == wanted.iter().any(|value| ERRORS.contains(value)))
    });
    matching
        .map(|metric| match metric.value {
            MetricValue::Count(count) => {
                assert_eq!(metric.unit, "{span}");
                count
            }
            MetricValue::Durations(ref durations) => durations.count,
        })
        .sum()
}

const ERRORS: [&str; 5] = ["queue_full", "refused", "rejected", "retries_exhausted", "shutdown"];

fn instrument(stats: &Stats, name: &str) -> Instrument {
    stats.metrics().into_iter().find(|metric| metric.name == name).unwrap().instrument
}

/// `otel.sdk.span.started`, by sampling result.
#[test]
fn m195_otel_sdk_span_started() {
    let rig = Rig::new(batches_of(1000), [to("a", &memory())]);
    rig.spans(3);
    let open = rig.tracer.span("open").start();
    let stats = rig.stats();
    assert_eq!(count(&stats, "otel.sdk.span.started", &["RECORD_AND_SAMPLE"]), 4);
    assert_eq!(count(&stats, "otel.sdk.span.started", &["DROP"]), 0);
    assert_eq!(instrument(&stats, "otel.sdk.span.started"), Instrument::Counter);
    drop(open);

    let counters = Arc::default();
    let pipeline = Pipeline::builder(resource()).counters(Arc::clone(&counters)).destination(to("a", &memory()));
    let pipeline = pipeline.build(&Worker::start().unwrap()).unwrap();
    let provider = TracerProvider::builder(resource(), Arc::clone(&pipeline) as Arc<dyn SpanSink>);
    let provider = provider.counters(counters).sampler(Sampler::AlwaysOff).build();
    provider.tracer(Scope::new("s", "", "", &[])).span("span").start().end();
    assert_eq!(count(&pipeline.stats(), "otel.sdk.span.started", &["DROP"]), 1);
}

/// `otel.sdk.span.live`.
#[test]
fn m196_otel_sdk_span_live() {
    let rig = Rig::new(batches_of(1000), [to("a", &memory())]);
    let live = |stats: &Stats| count(stats, "otel.sdk.span.live", &["RECORD_AND_SAMPLE"]);
    let mut open: Vec<_> = (0..3).map(|_| rig.tracer.span("open").start()).collect();
    assert_eq!(live(&rig.stats()), 3);
    open.pop().unwrap().end();
    open.pop().unwrap().abandon();
    assert_eq!(live(&rig.stats()), 1);
    drop(open);
    assert_eq!(live(&rig.stats()), 0);
    assert_eq!(instrument(&rig.stats(), "otel.sdk.span.live"), Instrument::UpDownCounter);
}

/// `otel.sdk.processor.span.queue.size`: what waits to be handed to the exporter.
#[test]
fn m197_otel_sdk_processor_span_queue_size() {
    let memory = memory();
    memory.hold();
    let config = BatchConfig { max_concurrent_exports: 1, ..batches_of(4) };
    let rig = Rig::new(config, [to("a", &memory)]);
    rig.spans(10);
    wait(memory.until_waiting(1));
    let stats = rig.stats();
    assert_eq!(count(&stats, "otel.sdk.processor.span.queue.size", &["batching_span_processor/a"]), 6);
    assert_eq!(instrument(&stats, "otel.sdk.processor.span.queue.size"), Instrument::UpDownCounter);
    memory.release();
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(count(&rig.stats(), "otel.sdk.processor.span.queue.size", &[]), 0);
}

/// `otel.sdk.processor.span.queue.capacity`: as configured, and not there for a simple processor.
#[test]
fn m198_otel_sdk_processor_span_queue_capacity() {
    let config = BatchConfig { max_queue_size: 77, ..batches_of(4) };
    let rig = Rig::new(config, [to("a", &memory()), to("simple", &memory()).simple(true)]);
    let stats = rig.stats();
    assert_eq!(count(&stats, "otel.sdk.processor.span.queue.capacity", &["batching_span_processor"]), 77);
    assert_eq!(count(&stats, "otel.sdk.processor.span.queue.capacity", &["simple_span_processor"]), 0);
}

/// `otel.sdk.processor.span.processed`: handed to the exporter, or dropped before that with the reason as `error.type`.
#[test]
fn m199_otel_sdk_processor_span_processed() {
    let memory = memory();
    memory.hold();
    let config = BatchConfig { max_queue_size: 8, max_concurrent_exports: 1, ..batches_of(4) };
    let rig = Rig::new(config, [to("a", &memory)]);
    rig.spans(8);
    wait(memory.until_waiting(1));
    rig.until("moved on", |stats| stats.pending == 0);
    rig.spans(3);
    let stats = rig.stats();
    let name = "otel.sdk.processor.span.processed";
    assert_eq!((count(&stats, name, &[]), count(&stats, name, &["queue_full"])), (4, 3));
    memory.release();
    rig.pipeline.flush(SOON).unwrap();
    let stats = rig.stats();
    assert_eq!((count(&stats, name, &[]), count(&stats, name, &["queue_full"])), (8, 3));
    assert_eq!(instrument(&stats, name), Instrument::Counter);
}

/// `otel.sdk.exporter.span.inflight`: handed to the exporter and not answered for.
#[test]
fn m200_otel_sdk_exporter_span_inflight() {
    let memory = memory();
    memory.hold();
    let config = BatchConfig { max_concurrent_exports: 2, ..batches_of(4) };
    let rig = Rig::new(config, [to("a", &memory)]);
    rig.spans(13);
    wait(memory.until_waiting(2));
    let name = "otel.sdk.exporter.span.inflight";
    let stats = rig.stats();
    assert_eq!(
        (count(&stats, name, &["scouter_span_exporter/a"]), instrument(&stats, name)),
        (8, Instrument::UpDownCounter)
    );
    memory.release();
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(count(&rig.stats(), name, &[]), 0);
}

/// `otel.sdk.exporter.span.exported`: well, or badly with an `error.type`; rejected spans of a partial success are
/// `rejected`.
#[test]
fn m201_otel_sdk_exporter_span_exported() {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
    let partial = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let (memory, failing) = (memory(), Scripted::new(|_, _| Err(unavailable())));
    memory.answer_with(partial);
    let rig = Rig::new(batches_of(5), [to("a", &memory), to("b", &failing)]);
    rig.spans(5);
    let stats = rig.until("settled", |stats| stats.destinations.iter().all(|to| to.queued == 0));
    let name = "otel.sdk.exporter.span.exported";
    let of = |to: &str, error: &str| count(&stats, name, &[&format!("scouter_span_exporter/{to}"), error]);
    assert_eq!(count(&stats, name, &["scouter_span_exporter/a"]), 3);
    assert_eq!((of("a", "rejected"), of("b", "retries_exhausted")), (2, 5));
    assert_eq!(count(&stats, name, &["scouter_span_exporter/b"]), 0);
}

/// What an operation was: destination, spans, rejected, attempts, error, status.
type Seen = (String, u64, u64, u32, Option<ExportError>, Option<Status>);

/// Keeps operations, and panics after that when it is told to.
#[derive(Debug, Default)]
struct Watcher {
    seen: Mutex<Vec<Seen>>,
    panics: AtomicUsize,
}

impl ExportObserver for Watcher {
    fn exported(&self, operation: &ExportOperation<'_>) {
        let ExportOperation { destination, spans, rejected, attempts, error, status, .. } = *operation;
        assert!(operation.duration < SOON);
        self.seen.lock().unwrap().push((destination.to_owned(), spans, rejected, attempts, error, status));
        let panics = self.panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(panics.is_err(), "an observer's bug");
    }
}

/// `otel.sdk.exporter.operation.duration`: every operation once, with what came of it.
#[test]
fn m211_otel_sdk_exporter_operation_duration() {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
    let partial = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let fails = Scripted::new(|number, payload| match number {
        0 => Err(unavailable()),
        1 => Ok(Duration::from_millis(3)),
        2 => Err(Error::new(ErrorKind::Refused, "no").with_status(Status::Http(400))),
        3 if payload.items > 3 => Err(Error::new(ErrorKind::TooLarge, "no")),
        6 => panic!("a transport's bug"),
        _ => Ok(Duration::ZERO),
    });
    let watcher = Arc::new(Watcher::default());
    watcher.panics.store(1, Ordering::Relaxed);
    let worker = Worker::start().unwrap();
    let pipeline = Pipeline::builder(resource())
        .batch(BatchConfig { max_concurrent_exports: 1, ..batches_of(5) })
        .destination(to("a", &fails))
        .observer(Arc::clone(&watcher) as Arc<dyn ExportObserver>)
        .build(&worker)
        .unwrap();
    let provider = TracerProvider::builder(resource(), Arc::clone(&pipeline) as Arc<dyn SpanSink>).build();
    let tracer = provider.tracer(Scope::new("s", "", "", &[]));
    let five = || {
        (0..5).for_each(|_| tracer.span("span").start().end());
        let _ = pipeline.flush(SOON);
    };
    (0..4).for_each(|_| five());
    fails.memory.answer_with(partial);
    five();
    let refused = Some(ExportError::Transport(ErrorKind::Refused));
    let expected = [
        (5, 0, 2, None, None),
        (5, 0, 1, refused, Some(Status::Http(400))),
        // Two halves of what was too large at first.
        (2, 0, 1, None, None),
        (3, 0, 1, None, None),
        (5, 0, 1, Some(ExportError::Panic), None),
        (5, 2, 1, Some(ExportError::Rejected), None),
    ];
    let expected = expected
        .map(|(spans, rejected, attempts, error, status)| ("a".to_owned(), spans, rejected, attempts, error, status));
    assert_eq!(*watcher.seen.lock().unwrap(), expected);
    let stats = pipeline.stats();
    assert_eq!(stats.panics, 2, "the transport's and the observer's");
    assert_eq!(count(&stats, "otel.sdk.exporter.operation.duration", &[]), 6);
    assert_eq!(instrument(&stats, "otel.sdk.exporter.operation.duration"), Instrument::Histogram);
    assert!(stats.destinations[0].operations.sum >= Duration::from_millis(3));
}
