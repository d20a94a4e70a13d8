//! Records: five metrics of one moment, inserted beside a span, by our queue and as an event by opentelemetry_sdk.
//!
//! Both keep them for a batch that is thrown away. Ours looks each metric up in the profile and gives the record an id of its
//! own; the peer emits the same body with the same attributes, those of the entity.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::Key;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _};
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLogger, SdkLoggerProvider,
};
use scouter_benches::clock::{Figures, measure};
use scouter_benches::shape::TRACEPARENT;
use scouter_export::{BatchConfig, Destination, Pipeline, Worker};
use scouter_propagation::traceparent;
use scouter_queue::{Content, Entity, Metric, MetricSpec, Metrics, Profile, RecordQueue};
use scouter_span::{Resource, Value};
use scouter_transport::{Signal, Transport};

use super::ours::{Discard, QUEUE, QUEUE_BYTES};

const METRICS: [(&str, f64); 5] =
    [("latency_ms", 12.5), ("tokens", 431.0), ("cost", 0.0042), ("score", 0.87), ("attempts", 2.0)];
const FLUSH: Duration = Duration::from_secs(60);

pub(crate) fn ours(n: u64) -> Result<Figures, String> {
    let batch = BatchConfig { max_queue_size: QUEUE, max_queue_bytes: QUEUE_BYTES, ..BatchConfig::default() };
    let worker = Worker::start().map_err(text)?;
    let pipeline = Pipeline::builder(Resource::new(&[("service.name", Value::Str("benches"))], ""))
        .signal(Signal::Logs)
        .batch(batch)
        .destination(Destination::new("nowhere", || Ok(Arc::new(Discard) as Arc<dyn Transport>)))
        .build(&worker)
        .map_err(text)?;
    let specs = METRICS.map(|(name, _)| MetricSpec::new(name)).into();
    let profile = Profile::new(Entity::new("shop", "basket", "1.0.0"), Content::Custom(specs)).map_err(text)?;
    let queue = RecordQueue::new("basket", profile, Arc::clone(&pipeline) as _);
    let span = traceparent::parse(TRACEPARENT).map_err(text)?.to_context();
    let insert = |_| {
        let metrics = METRICS.iter().map(|(name, value)| Metric::new(*name, *value)).collect();
        queue.insert(&Metrics(metrics).into(), Some(&span))
    };
    let flush = || {
        if let Err(error) = pipeline.flush(FLUSH) {
            eprintln!("flush: {error}");
        }
    };
    Ok(measure(n, insert, flush))
}

#[derive(Debug)]
struct Nowhere;

impl LogExporter for Nowhere {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

pub(crate) fn opentelemetry(n: u64) -> Result<Figures, String> {
    let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let processor = BatchLogProcessor::builder(Nowhere).with_batch_config(config).build();
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    let logger = provider.logger("benches");
    let flush = || {
        if let Err(error) = provider.force_flush() {
            eprintln!("flush: {error}");
        }
    };
    Ok(measure(n, |_| emit(&logger), flush))
}

fn emit(logger: &SdkLogger) {
    let mut record = logger.create_log_record();
    record.set_event_name("scouter.record.custom");
    record.set_timestamp(SystemTime::now());
    let body: HashMap<Key, AnyValue> =
        METRICS.iter().map(|(name, value)| (Key::new(*name), AnyValue::Double(*value))).collect();
    record.set_body(AnyValue::Map(Box::new(body)));
    record.add_attribute("scouter.entity", "0190b6c5-7f3e-7c8a-9d1e-2f4a6b8c0d1e");
    record.add_attribute("scouter.space", "shop");
    record.add_attribute("scouter.name", "basket");
    record.add_attribute("scouter.version", "1.0.0");
    record.add_attribute("scouter.alias", "basket");
    let (trace, span) = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128, 0x00f0_67aa_0ba9_02b7_u64);
    record.set_trace_context(TraceId::from(trace), SpanId::from(span), Some(TraceFlags::SAMPLED));
    logger.emit(record);
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
