//! What the tests of this crate share.
#![allow(dead_code, reason = "no test uses all of it")]

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use scouter_export::{BatchConfig, Destination, Pipeline, Report, Reporter, Stats, Worker};
use scouter_span::counters::Counters;
use scouter_span::{Resource, Scope, SpanSink, Tracer, TracerProvider, Value};
use scouter_transport::memory::{Memory, MemoryConfig};
use scouter_transport::{BoxFuture, Error, ErrorKind, Payload, Receipt, RetryPolicy, Transport};

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// A pipeline with a tracer in front of it.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) provider: TracerProvider,
    pub(crate) tracer: Tracer,
    pub(crate) reports: Arc<Reports>,
}

/// Keeps reports.
#[derive(Debug, Default)]
pub(crate) struct Reports(pub Mutex<Vec<Report>>);

impl Reporter for Reports {
    fn report(&self, report: &Report) {
        self.0.lock().unwrap().push(report.clone());
    }
}

pub(crate) fn resource() -> Resource {
    Resource::new(&[("service.name", Value::Str("test"))], "")
}

impl Rig {
    pub(crate) fn new(config: BatchConfig, destinations: impl IntoIterator<Item = Destination>) -> Self {
        Self::on(&Worker::start().unwrap(), config, destinations)
    }

    pub(crate) fn on(
        worker: &Worker,
        config: BatchConfig,
        destinations: impl IntoIterator<Item = Destination>,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let reports = Arc::new(Reports::default());
        let builder = Pipeline::builder(resource()).batch(config).counters(Arc::clone(&counters));
        let builder = builder.reporter(Arc::clone(&reports) as Arc<dyn Reporter>);
        let pipeline = destinations.into_iter().fold(builder, |builder, to| builder.destination(to));
        let pipeline = pipeline.build(worker).unwrap();
        let sink = Arc::clone(&pipeline) as Arc<dyn SpanSink>;
        let provider = TracerProvider::builder(resource(), sink).counters(counters).build();
        let tracer = provider.tracer(Scope::new("scope", "1", "", &[]));
        Self { pipeline, provider, tracer, reports }
    }

    /// Ends this many spans, each in a trace of its own.
    pub(crate) fn spans(&self, number: usize) {
        for _ in 0..number {
            self.tracer.span("span").start().end();
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let stats = self.pipeline.stats();
        assert_sums(&stats);
        stats
    }

    /// Waits for the statistics to say so.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Stats) -> bool) -> Stats {
        let start = std::time::Instant::now();
        loop {
            let stats = self.stats();
            if holds(&stats) {
                return stats;
            }
            assert!(start.elapsed() < SOON, "never {what}: {stats:#?}");
            std::thread::yield_now();
        }
    }
}

/// Every span that was started is somewhere.
pub(crate) fn assert_sums(stats: &Stats) {
    for to in &stats.destinations {
        let sum = stats.live + to.exported + to.thinned + to.dropped.total() + to.queued;
        assert_eq!(stats.started, sum, "{stats:#?}");
    }
}

/// Nothing goes before the batch is full.
pub(crate) fn batches_of(size: usize) -> BatchConfig {
    BatchConfig { max_export_batch_size: size, scheduled_delay: NEVER, ..BatchConfig::default() }
}

/// A memory large enough for a rush.
pub(crate) fn memory() -> Memory {
    Memory::new(MemoryConfig::new().max_payloads(1_000_000).max_bytes(1 << 30).timeout(NEVER))
}

/// Into this memory, with few and short waits between tries.
pub(crate) fn to(name: &str, transport: &(impl Transport + Clone)) -> Destination {
    let transport = transport.clone();
    Destination::new(name, move || Ok(Arc::new(transport.clone()) as Arc<dyn Transport>))
        .export_timeout(NEVER)
        .retry(quick())
}

pub(crate) fn quick() -> RetryPolicy {
    let milli = Duration::from_millis(1);
    RetryPolicy::new().initial_backoff(milli).max_backoff(milli * 2).max_attempts(3)
}

/// Waits for something that transports tell asynchronously.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, future).await.expect("it happens soon") })
}

pub(crate) fn decode(payload: &Payload) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(payload.body.clone()).unwrap()
}

/// The trace and span ids in a payload, in hexadecimal digits.
pub(crate) fn ids(payload: &Payload) -> Vec<(String, String)> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let request = decode(payload);
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).map(|span| (hex(&span.trace_id), hex(&span.span_id))).collect()
}

pub(crate) fn all_ids(memory: &Memory) -> Vec<(String, String)> {
    memory.payloads().iter().flat_map(ids).collect()
}

pub(crate) fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "as told")
}

/// Does before every send what it is told, then hands on to a memory.
#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) memory: Memory,
    pub(crate) sends: Arc<AtomicUsize>,
    script: Arc<Script>,
}

type Script = dyn Fn(usize, &Payload) -> Result<Duration, Error> + Send + Sync;

impl Scripted {
    /// `script` gets the number of the send and the payload, and says how long to wait, or fails, or panics.
    pub(crate) fn new(script: impl Fn(usize, &Payload) -> Result<Duration, Error> + Send + Sync + 'static) -> Self {
        Self { memory: memory(), sends: Arc::default(), script: Arc::new(script) }
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl Transport for Scripted {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        let number = self.sends.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let delay = (self.script)(number, &payload)?;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            self.memory.send(payload).await
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.memory.flush()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.memory.close()
    }
}
