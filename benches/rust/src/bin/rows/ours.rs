//! Scouter: recorded through its own types, or through the traits of the `opentelemetry` API.

use std::hint::black_box;
use std::sync::Arc;

use scouter_benches::clock::{Figures, measure};
use scouter_benches::shape::{EVENT, FLAG, FRACTION, NAME, NUMBERS, TEXTS, TRACEPARENT};
use scouter_propagation::traceparent;
use scouter_span::scope::ScopeId;
use scouter_span::{FinishedSpan, Resource, Sampler, Scope, SpanSink, Tracer, TracerProvider, Value};

use crate::{Row, no_such_row};

/// Takes finished spans and keeps none: what is measured is recording alone.
#[derive(Debug)]
struct Discard;

impl SpanSink for Discard {
    fn register(&self, _scope: &Arc<Scope>) -> ScopeId {
        ScopeId(0)
    }

    fn accept(&self, span: FinishedSpan<'_>) {
        black_box(span.bytes);
    }
}

pub(crate) fn run(row: Row, n: u64, _endpoint: &str) -> Result<Figures, String> {
    Ok(match row {
        Row::Span => {
            let tracer = tracer(Sampler::AlwaysOn);
            measure(n, |_| record(&tracer), || {})
        }
        Row::Unsampled => {
            let tracer = tracer(Sampler::AlwaysOff);
            measure(n, |_| tracer.span(NAME).start(), || {})
        }
        Row::Parse => {
            measure(n, |_| traceparent::parse(black_box(TRACEPARENT)).map(traceparent::TraceParent::to_context), || {})
        }
        Row::Format => {
            let context = traceparent::parse(TRACEPARENT).map_err(|error| error.to_string())?.to_context();
            measure(n, |_| traceparent::format(black_box(&context)), || {})
        }
        Row::Pipeline => return no_such_row(row, "ours"),
    })
}

pub(crate) fn run_through_api(row: Row, _n: u64) -> Result<Figures, String> {
    no_such_row(row, "ours-api")
}

fn tracer(sampler: Sampler) -> Tracer {
    let resource = Resource::new(&[("service.name", Value::Str("benches"))], "");
    let provider = TracerProvider::builder(resource, Arc::new(Discard)).sampler(sampler).build();
    provider.tracer(Scope::new("benches", "", "", &[]))
}

fn record(tracer: &Tracer) {
    let mut span = tracer.span(NAME).start();
    for (key, value) in TEXTS {
        span.set_attribute(key, value);
    }
    for (key, value) in NUMBERS {
        span.set_attribute(key, value);
    }
    span.set_attribute(FRACTION.0, FRACTION.1);
    span.set_attribute(FLAG.0, FLAG.1);
    let (name, (key, value)) = EVENT;
    span.add_event(name, &[(key, value.into())]);
    span.end();
}
