//! The `opentelemetry` API over this crate. Tests name the rows of the specification's compliance matrix that they show.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "opentelemetry")]

mod conversion;
mod peer;
mod span;
#[path = "../support/mod.rs"]
mod support;
mod tracer;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use scouter_span::otel::{Provider, Tracer};

use support::Fixture;

/// A provider of the API, its tracer, and what ends.
struct Api {
    fixture: Fixture,
    provider: Provider,
    tracer: Tracer,
}

impl Api {
    fn new() -> Self {
        Self::over(Fixture::new())
    }

    fn over(fixture: Fixture) -> Self {
        let provider = Provider::new(fixture.provider.clone());
        let tracer = provider.tracer("test");
        Self { fixture, provider, tracer }
    }

    fn spans(&self) -> Vec<Span> {
        self.fixture.spans()
    }

    /// The only span that has ended.
    fn span(&self) -> Span {
        let mut spans = self.spans();
        assert_eq!(spans.len(), 1);
        spans.remove(0)
    }
}

/// Keys and values, in order of the keys.
fn sorted<'a>(attributes: &'a [KeyValue]) -> Vec<(&'a str, &'a any_value::Value)> {
    let value = |attribute: &'a KeyValue| attribute.value.as_ref().and_then(|any| any.value.as_ref()).unwrap();
    let mut all: Vec<_> = attributes.iter().map(|attribute| (attribute.key.as_str(), value(attribute))).collect();
    all.sort_by_key(|(key, _)| *key);
    all
}

fn any(value: any_value::Value) -> AnyValue {
    AnyValue { value: Some(value) }
}
