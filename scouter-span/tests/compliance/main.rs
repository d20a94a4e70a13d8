//! The rows of the specification's compliance matrix that this crate shows, one test for each, named by its id: through its
//! own types and through the `opentelemetry` API where both can.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "opentelemetry")]

mod always_record;
mod attributes;
mod composite;
mod context;
mod events;
mod ids;
mod links;
mod plugins;
mod probability;
mod processors;
mod provider;
mod resource;
mod sampling;
mod span;
#[path = "../support/mod.rs"]
mod support;
mod tracer;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use scouter_span::otel::{self, Provider};
use scouter_span::tracer::TracerProviderBuilder;
use scouter_span::{Sampler, SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use support::Fixture;

/// One provider and both faces of it.
struct Both {
    fixture: Fixture,
    api: otel::Tracer,
}

impl Both {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with<'a>(set: impl FnOnce(TracerProviderBuilder<'a>) -> TracerProviderBuilder<'a>) -> Self {
        let fixture = Fixture::with(set);
        let api = Provider::new(fixture.provider.clone()).tracer("api");
        Self { fixture, api }
    }

    fn sampling(sampler: Sampler) -> Self {
        Self::with(|builder| builder.sampler(sampler))
    }

    fn own(&self) -> &scouter_span::Tracer {
        &self.fixture.tracer
    }

    fn spans(&self) -> Vec<Span> {
        self.fixture.spans()
    }

    fn names(&self) -> Vec<String> {
        self.spans().into_iter().map(|span| span.name).collect()
    }
}

fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}

/// Keys and values, in order of the keys.
fn sorted(attributes: &[KeyValue]) -> Vec<(String, any_value::Value)> {
    let entry = |attribute: &KeyValue| Some((attribute.key.clone(), attribute.value.clone()?.value?));
    let mut all: Vec<_> = attributes.iter().map(|attribute| entry(attribute).unwrap()).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn named(attributes: &[(&str, any_value::Value)]) -> Vec<(String, any_value::Value)> {
    attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// A parent in trace 7, with this trace state.
fn parent(flags: TraceFlags, remote: bool, state: &str) -> SpanContext {
    SpanContext {
        is_remote: remote,
        trace_state: TraceState::parse(state).unwrap(),
        ..SpanContext::new(TraceId::from_int(7).unwrap(), SpanId::from_int(8).unwrap(), flags)
    }
}
