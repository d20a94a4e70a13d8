//! opentelemetry_sdk with its batch processor, and opentelemetry-otlp over HTTP where something is sent.

use std::collections::HashMap;
use std::hint::black_box;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use scouter_benches::clock::{Figures, measure};
use scouter_benches::shape::{EVENT, FLAG, FRACTION, NAME, NUMBERS, TEXTS, TRACEPARENT};

use crate::{Row, no_such_row};

/// Large enough that the rows below lose nothing, so that each span's whole cost is in the figure.
const QUEUE: usize = 1 << 19;

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

pub(crate) fn run(row: Row, n: u64, endpoint: &str) -> Result<Figures, String> {
    Ok(match row {
        Row::Span => {
            let provider = provider(Discard, Sampler::AlwaysOn);
            let tracer = provider.tracer("benches");
            measure(n, |_| record(&tracer), || flush(&provider))
        }
        Row::Unsampled => {
            let provider = provider(Discard, Sampler::AlwaysOff);
            let tracer = provider.tracer("benches");
            measure(n, |_| tracer.start(NAME), || {})
        }
        Row::Parse => {
            let propagator = TraceContextPropagator::new();
            let carrier = HashMap::from([("traceparent".to_owned(), TRACEPARENT.to_owned())]);
            let empty = Context::new();
            measure(n, |_| propagator.extract_with_context(&empty, black_box(&carrier)), || {})
        }
        Row::Format => {
            let propagator = TraceContextPropagator::new();
            let carrier = HashMap::from([("traceparent".to_owned(), TRACEPARENT.to_owned())]);
            let context = propagator.extract_with_context(&Context::new(), &carrier);
            assert!(context.span().span_context().is_valid(), "the header was not read");
            let mut out: HashMap<String, String> = HashMap::new();
            measure(n, |_| propagator.inject_context(black_box(&context), &mut out), || {})
        }
        Row::Pipeline => {
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(format!("{endpoint}/v1/traces"))
                .build()
                .map_err(|error| format!("no exporter for {endpoint}: {error}"))?;
            let provider = provider(exporter, Sampler::AlwaysOn);
            let tracer = provider.tracer("benches");
            measure(n, |_| record(&tracer), || flush(&provider))
        }
        Row::Record => return super::records::opentelemetry(n),
        Row::Second | Row::Gzip | Row::Kafka | Row::RabbitMq => return no_such_row(row, "opentelemetry"),
    })
}

/// Records the span through the traits of the `opentelemetry` API, whoever implements them.
pub(crate) fn record<T: Tracer>(tracer: &T) {
    let mut span = tracer.start(NAME);
    for (key, value) in TEXTS {
        span.set_attribute(KeyValue::new(key, value));
    }
    for (key, value) in NUMBERS {
        span.set_attribute(KeyValue::new(key, value));
    }
    span.set_attribute(KeyValue::new(FRACTION.0, FRACTION.1));
    span.set_attribute(KeyValue::new(FLAG.0, FLAG.1));
    let (name, (key, value)) = EVENT;
    span.add_event(name, vec![KeyValue::new(key, value)]);
    span.end();
}

fn provider(exporter: impl SpanExporter + 'static, sampler: Sampler) -> SdkTracerProvider {
    let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    SdkTracerProvider::builder().with_span_processor(processor).with_sampler(sampler).build()
}

fn flush(provider: &SdkTracerProvider) {
    if let Err(error) = provider.force_flush() {
        eprintln!("flush: {error}");
    }
}
