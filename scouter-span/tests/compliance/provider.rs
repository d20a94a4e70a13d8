//! Traces / TracerProvider.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use scouter_span::otel::Provider;
use scouter_span::{Scope, Value, request};

use crate::plugins::Notes;
use crate::support::{Fixture, decode};
use crate::{Both, named, sorted, text};

/// What is exported of the scope that was asked for last.
fn last_scope(fixture: &Fixture) -> ScopeSpans {
    let (spans, scopes) = (fixture.kept.spans.lock().unwrap(), fixture.kept.scopes.lock().unwrap());
    let group = request::Group { scope: scopes.last().unwrap(), spans: &spans };
    let mut bytes = Vec::new();
    request::encode(&mut bytes, fixture.provider.resource(), &[group]);
    decode(&bytes).resource_spans.remove(0).scope_spans.remove(0)
}

#[test]
fn m001_providers_are_created() {
    let both = Both::new();
    assert!(!both.fixture.provider.is_closed());
    both.own().span("own").start().end();
    both.api.start("api").end();
    assert_eq!(both.names(), ["own", "api"]);
    assert_eq!(Provider::new(both.fixture.provider.clone()).provider().counters().ended.get(), 2);
}

#[test]
fn m002_tracers_have_a_name_and_a_version() {
    let both = Both::new();
    both.fixture.provider.tracer(Scope::new("lib", "1.2", "", &[])).span("x").start().end();
    let own = last_scope(&both.fixture).scope.unwrap();
    assert_eq!((own.name.as_str(), own.version.as_str()), ("lib", "1.2"));
    let provider = Provider::new(both.fixture.provider.clone());
    provider.tracer_with_scope(InstrumentationScope::builder("lib").with_version("3").build()).start("y").end();
    let api = last_scope(&both.fixture).scope.unwrap();
    assert_eq!((api.name.as_str(), api.version.as_str()), ("lib", "3"));
    // A name that says nothing still gives a tracer that works.
    assert!(provider.tracer("").start("z").is_recording());
}

#[test]
fn m003_tracers_have_a_schema_url() {
    const URL: &str = "https://opentelemetry.io/schemas/1.30.0";
    let both = Both::new();
    both.fixture.provider.tracer(Scope::new("lib", "", URL, &[])).span("x").start().end();
    assert_eq!(last_scope(&both.fixture).schema_url, URL);
    let provider = Provider::new(both.fixture.provider.clone());
    provider.tracer_with_scope(InstrumentationScope::builder("lib").with_schema_url(URL).build());
    assert_eq!(last_scope(&both.fixture).schema_url, URL);
}

#[test]
fn m004_tracers_have_scope_attributes() {
    let both = Both::new();
    let expected = named(&[("team", text("b"))]);
    both.fixture.provider.tracer(Scope::new("lib", "", "", &[("team", "a".into()), ("team", Value::Str("b"))]));
    assert_eq!(sorted(&last_scope(&both.fixture).scope.unwrap().attributes), expected);
    let provider = Provider::new(both.fixture.provider.clone());
    let scope = InstrumentationScope::builder("lib").with_attributes([KeyValue::new("team", "b")]).build();
    provider.tracer_with_scope(scope);
    assert_eq!(sorted(&last_scope(&both.fixture).scope.unwrap().attributes), expected);
}

#[test]
fn m005_tracers_know_their_scope() {
    let both = Both::new();
    let scope = Scope::new("lib", "1.2", "https://a.example/schema", &[]);
    assert_eq!(both.fixture.provider.tracer(scope.clone()).scope(), &scope);
    assert_eq!(both.api.tracer().scope().view().name(), "api");
}

#[test]
fn m006_providers_are_safe_for_concurrent_calls() {
    let both = Both::new();
    let provider = Provider::new(both.fixture.provider.clone());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..50 {
                    let name = format!("scope {number}");
                    both.fixture.provider.tracer(Scope::new(&name, "", "", &[])).span("own").start().end();
                    provider.tracer(name).start("api").end();
                    both.fixture.provider.force_flush(Duration::ZERO);
                }
            });
        }
    });
    assert_eq!(both.spans().len(), 800);
}

#[test]
fn m007_shutdown_reaches_every_processor_once() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let failing = Arc::new(Notes { name: "first", calls: Arc::clone(&calls), answer: false });
    let both = Both::with(|builder| builder.processor(failing).processor(Notes::new("second", &calls)));
    let mut open = both.own().span("open").start();
    both.fixture.provider.close();
    assert_eq!(calls.lock().unwrap().len(), 2, "closing alone shuts nothing down");
    assert!(!both.fixture.provider.shutdown(Duration::from_secs(5)), "one processor says it failed");
    assert_eq!(*calls.lock().unwrap(), ["first start open", "second start open", "first shutdown", "second shutdown"]);
    assert!(both.fixture.provider.is_closed());
    assert!(!both.fixture.provider.shutdown(Duration::from_secs(5)), "only the first call shuts down");
    assert_eq!(calls.lock().unwrap().len(), 4);

    // Tracers go on, and do nothing.
    assert!(!both.own().span("late").start().is_recording() && !both.api.start("late").is_recording());
    assert!(!both.own().is_enabled());
    let later = both.fixture.provider.tracer(Scope::new("later", "", "", &[]));
    assert!(!later.span("late").start().is_recording());
    open.end();
    assert_eq!(both.names(), ["open"]);
}

#[test]
fn m008_flush_reaches_every_processor_within_one_time_limit() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let both = Both::with(|builder| builder.processor(Notes::new("first", &calls)));
    assert!(both.fixture.provider.force_flush(Duration::from_secs(5)));
    let failing = Arc::new(Notes { name: "second", calls: Arc::clone(&calls), answer: false });
    both.fixture.provider.add_processor(failing);
    both.fixture.provider.add_processor(Notes::new("third", &calls));
    assert!(!both.fixture.provider.force_flush(Duration::from_secs(5)));
    assert_eq!(*calls.lock().unwrap(), ["first flush", "first flush", "second flush", "third flush"]);
    assert!(Fixture::new().provider.force_flush(Duration::ZERO), "nothing to flush is flushed");
}
